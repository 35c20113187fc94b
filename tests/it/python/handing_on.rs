//! What is handed to a function whole: inputs on several lines, payloads at any depth, values that are yielded again.

use super::{MODELS, job};
use crate::support::TestJob;

#[test]
fn an_input_that_is_written_over_several_lines_is_one_argument() {
    // A line of it looks like a line of requests.
    let input =
        "[\n{\"a\": [\n[1,[10,20]],\r\n[2,[30,40]]\n]},\n{\"a\": {\n\"b\": \"x\\ny\"\n}}\n]";
    let module = "
def work(a): return repr(a)
async def later(a): return repr(a)";
    for model in MODELS {
        for function in ["work", "later"] {
            let rest = "args = ['{a}']\n[inputs]\njson = 'in.json'\n";
            let job_file = format!("[workload.python]\nfunction = 'mine:{function}'\n{rest}");
            let test = TestJob::new(&job_file).file("mine.py", module).file("in.json", input);
            let ran = test.args(["--model", model]).run();
            ran.exit(0).rows("result", &["[[1, [10, 20]], [2, [30, 40]]]", "{'b': 'x\\ny'}"]);
        }
    }
}

#[test]
fn payloads_inside_of_arrays_and_tables_are_what_was_handed_on() {
    let module = "
VALUES = [b'abc', b'\\xff', 'a\\0', 5]
def make(n): return VALUES[n - 1]
def use(*args, **kwargs): return repr((args, kwargs))";
    let job_file = "inputs.repeat = 4\n[[stages]]\nname = 'make'\n[stages.workload.python]\nfunction = 'mine:make'\n\
        args = ['{input}']\n[[stages]]\nname = 'use'\n[stages.workload.python]\nfunction = 'mine:use'\n";
    let forms = ["b'abc'", "b'\\xff'", "'a\\x00'", "5"];
    for model in MODELS {
        for (arguments, expected) in [
            (
                "args = ['{payload}', ['{payload}'], { k = ['x', '{payload}'] }]\nkwargs = { n = { m = '{payload}' } }",
                "((P, [P], {'k': ['x', P]}), {'n': {'m': P}})",
            ),
            ("args = [['x', '{payload}']]", "((['x', P],), {})"),
            ("args = ['{payload}']", "((P,), {})"),
        ] {
            let test = TestJob::new(&format!("{job_file}{arguments}")).file("mine.py", module);
            let sets = ["make", "use"].map(|stage| format!("stages.{stage}.model={model}"));
            let ran = test.args(["--set", &sets[0], "--set", &sets[1]]).run();
            let results = ran.exit(0).report().column("result");
            let expected: Vec<_> = forms.iter().map(|form| expected.replace('P', form)).collect();
            assert_eq!(results, expected, "{model} {arguments}");
        }
        let arguments = "args = [['{input}', 'x'], { k = '{input}' }]\nas_bytes = true";
        let job_file =
            format!("inputs.values = ['é']\n[workload.python]\nfunction = 'mine:use'\n{arguments}");
        let ran = TestJob::new(&job_file).file("mine.py", module).args(["--model", model]).run();
        ran.exit(0).rows("result", &["(([b'\\xc3\\xa9', b'x'], {'k': b'\\xc3\\xa9'}), {})"]);
    }
}

#[test]
fn infinity_goes_on_beside_what_has_no_form() {
    let module = "
import math
class C:
    def __repr__(self): return 'C'
def make(n): return [math.inf, C()]
def use(data): return repr(data)";
    let job_file = "inputs.repeat = 3\n[[stages]]\nname = 'make'\n[stages.workload.python]\nfunction = 'mine:make'\n\
        args = ['{input}']\n[[stages]]\nname = 'use'\n[stages.workload.python]\nfunction = 'mine:use'\n";
    for model in MODELS {
        let sets = ["make", "use"].map(|stage| format!("stages.{stage}.model={model}"));
        let test = TestJob::new(job_file).file("mine.py", module);
        let ran = test.args(["--set", &sets[0], "--set", &sets[1]]).run();
        ran.exit(0).rows("result", &["[inf, 'C']"; 3]).stderr_has("mine.C");
    }
}

#[test]
fn each_value_is_taken_whole_before_the_next_one_under_every_model() {
    let module = "
import asyncio, itertools
def same(n):
    row, inner = {}, []
    for i in range(3):
        row['i'] = i
        yield row
def nested(n):
    row = {'all': [], 'of': ([],)}
    for i in range(3):
        row['all'].append(i)
        row['of'][0].append(i)
        yield row
def inside(n): return {'rows': same(n), 'list': [nested(n)]}
def rows(n):
    row = []
    for i in range(3):
        row.append(i)
        yield row
async def async_same(n):
    for row in same(n):
        yield row
        await asyncio.sleep(0)
async def async_nested(n):
    for row in nested(n): yield row
async def async_rows(n):
    for row in rows(n): yield row
async def groups(n):
    for key, group in itertools.groupby('aab'): yield key, group
async def views(n):
    buffer = bytearray(1)
    for i in range(3):
        buffer[0] = 97 + i
        yield memoryview(buffer)
async def awaitables(n):
    async def one(i): return {'i': i}
    for i in range(2): yield {'awaited': one(i), 'x': (1,)}
async def cyclic(n):
    cycle = []
    cycle.append(cycle)
    yield 1
    yield cycle
async def holds(n): return {'rows': async_same(n)}
";
    let same = r#"[{"i":0},{"i":1},{"i":2}]"#;
    let nested =
        r#"[{"all":[0],"of":[[0]]},{"all":[0,1],"of":[[0,1]]},{"all":[0,1,2],"of":[[0,1,2]]}]"#;
    let inside = format!("{{\"rows\":{same},\"list\":[{nested}]}}");
    let holds = format!("{{\"rows\":{same}}}");
    for model in MODELS {
        for (function, expected) in [
            ("same", same),
            ("nested", nested),
            ("inside", &inside),
            ("rows", "[[0],[0,1],[0,1,2]]"),
            ("async_same", same),
            ("async_nested", nested),
            ("async_rows", "[[0],[0,1],[0,1,2]]"),
            ("groups", r#"[["a",["a","a"]],["b",["b"]]]"#),
            ("views", r#"["a","b","c"]"#),
            ("awaitables", r#"[{"awaited":{"i":0},"x":[1]},{"awaited":{"i":1},"x":[1]}]"#),
            ("cyclic", "[1, [[...]]]"),
            ("holds", &holds),
        ] {
            let rest = format!("model = '{model}'\n[inputs]\nrepeat = 2");
            let test = job(module, &rest);
            let ran =
                test.args(["--set", &format!("workload.python.function=mine:{function}")]).run();
            let results = ran.exit(0).report().column("result");
            assert_eq!(results, [expected, expected], "{model} {function}");
        }
    }
}
