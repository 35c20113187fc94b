//! What is said of an exception.

use super::{MODELS, job};

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
