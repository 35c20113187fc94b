//! What is said of an exception.

use std::fs;

use super::{MODELS, job};
use crate::support::TestJob;

#[test]
fn a_group_of_exceptions_says_what_it_holds() {
    let module = "
import sys
if sys.version_info < (3, 11):
    class ExceptionGroup(Exception):
        def __str__(self): return self.args[0] + ': ValueError: 0; TypeError: not this'
def work(x):
    raise ExceptionGroup('unhandled errors', [ValueError(0), TypeError('not this')])";
    for model in MODELS {
        let ran = job(module, &format!("model = '{model}'\n[inputs]\nrepeat = 1")).run();
        let error = ran.exit(3).report().column("error").remove(0);
        assert!(error.contains(": ValueError: 0; TypeError: not this"), "{model}: {error}");
    }
}

#[test]
fn a_page_tells_errors_apart_that_the_same_line_has_raised() {
    let module = "
def work(n):
    reason = 'disk full' if int(n) % 2 else 'no such user'
    raise RuntimeError(reason)";
    let inputs = "inputs.repeat = 8\n[report]\nalso = ['html']\n";
    let call = "python = { function = 'mine:work', args = ['{task}'] }\n";
    let stage = format!(
        "[[stages]]\nname = 'one'\nworkload.command.shell = 'echo a >&2; echo b >&2'\n\
         [[stages]]\nname = 'two'\nworkload.{call}"
    );
    for rest in [format!("[workload]\n{call}"), stage] {
        let ran = TestJob::new(&format!("{inputs}{rest}")).file("mine.py", module).run();
        let page = fs::read_to_string(ran.exit(3).path("results/job.html")).unwrap();
        let mut causes: Vec<_> = page.split("RuntimeError: ").skip(1).collect();
        causes
            .retain(|cause| cause.starts_with("disk full<") || cause.starts_with("no such user<"));
        assert!(page.contains("of 2 causes, of 4 tasks: RuntimeError: disk full"), "{rest}");
        assert!(causes.len() >= 2 && !page.contains("RuntimeError:     raise"), "{rest}");
    }
}

#[test]
fn the_terminal_shows_what_was_raised_and_not_where() {
    // A traceback that is too long for a line.
    let module = "
def deep(n):
    if n: return deep(n - 1)  # ------------------------------------------------------------------------------------
    raise ValueError('what it is about')  # ------------------------------------------------------------------------
def work(x): return deep(9)";
    for model in MODELS {
        let ran = job(module, &format!("model = '{model}'\n[inputs]\nrepeat = 1")).run();
        ran.exit(3).stderr_has("job: task 1 failed: ValueError: what it is about\n");
    }
}

#[test]
fn exceptions_and_results_with_odd_attributes_are_what_they_are() {
    let module = "
class ApiError(Exception):
    def __init__(self, words): super().__init__(words); self.info = {}
    def __getattr__(self, name): return self.info[name]
class Endless(Exception):
    def __getattr__(self, name): return getattr(self, name + '_')
class Half(Exception): pass
class Group(Exception):
    @property
    def exceptions(self): raise OSError('none')
class Texts(Exception):
    __notes__ = 'text'
class Unprintable(Exception):
    def __str__(self): raise ValueError
try:
    class Mean(ExceptionGroup):
        @property
        def exceptions(self): raise OSError('none')
    mean = Mean('mean', [ValueError()])
except NameError:
    mean = Exception('mean')
ERRORS = [ApiError('api'), Endless('endless'), Half('half'), Group('group'), Texts('texts'), Unprintable(), mean]
def raises(n): raise ERRORS[n - 1]
async def awaited(n): raise ERRORS[n - 1]
class Odd:
    def __getattr__(self, name): raise KeyError(name)
    def __repr__(self): return type(self).__name__
class Array(Odd):
    dtype = Odd()
    def tolist(self): return [1, 2]
class Plain(Array):
    dtype = 'float'
class Call(Odd):
    def __call__(self, n): return [Odd(), Array(), Plain(), [Odd()]][n - 1]
call = Call()
def work(n): return call(n)";
    let run = |function: &str, model: &str, repeat: usize| {
        let rest = format!("model = '{model}'\n[inputs]\nrepeat = {repeat}\n");
        job(module, &rest)
            .args(["--set", &format!("workload.python.function=mine:{function}")])
            .run()
    };
    for model in MODELS {
        for function in ["raises", "awaited"] {
            let errors = run(function, model, 7).exit(3).report().column("error");
            let words = ["mine.ApiError: api\n", "mine.Endless: endless\n", "mine.Half: half\n"];
            let more =
                ["mine.Group: group\n", "mine.Texts: texts\n", "mine.Unprintable: <", "mean"];
            for (error, words) in errors.iter().zip(words.iter().chain(&more)) {
                assert!(error.contains(words), "{model} {function}: {error}");
            }
        }
        for function in ["work", "call"] {
            let ran = run(function, model, 4);
            ran.exit(0).rows("result", &["Odd", "[1,2]", "[1,2]", "[\"Odd\"]"]);
        }
    }
}
