//! What goes to a function, and what comes back.

use super::{MODELS, job};
use crate::support::TestJob;

#[test]
fn arguments_keep_their_types() {
    let module = "def work(*args, **kwargs): return repr((args, kwargs))";
    for (inputs, workload, call) in [
        ("values = [1]", "", "((1,), {})"),
        ("values = ['1']", "", "(('1',), {})"),
        ("values = [123456789012345678]", "", "((123456789012345678,), {})"),
        ("values = [1.50]", "", "((1.5,), {})"),
        ("values = [true]", "", "((True,), {})"),
        ("values = [inf]", "", "((inf,), {})"),
        ("matrix = { a = [1], b = ['x'] }", "", "((), {'a': 1, 'b': 'x'})"),
        (
            "values = [7]",
            "args = ['{input}', 'n{input}', 2, [1, '{input}'], { k = '{task}' }]",
            "((7, 'n7', 2, [1, 7], {'k': 1}), {})",
        ),
        ("values = [7]", "kwargs = { x = '{input}', y = true }", "((), {'x': 7, 'y': True})"),
        ("values = ['caf\u{e9} \"q\"']", "", "(('caf\u{e9} \"q\"',), {})"),
        ("values = ['a']", "as_bytes = true", "((b'a',), {})"),
        ("repeat = 1", "args = []", "((), {})"),
    ] {
        let rest = format!("{workload}\n[inputs]\n{inputs}");
        let test = TestJob::new(&format!("[workload.python]\nfunction = 'mine:work'\n{rest}"));
        let ran = test.file("mine.py", module).args(["--model", "sequential"]).run();
        let result = ran.exit(0).report().column("result").remove(0);
        assert_eq!(result, call, "{inputs} {workload}");
    }
}

#[test]
fn file_names_and_jsonl_arrive_as_they_are() {
    let module = "import os\ndef work(x): return os.fsencode(x).hex() if isinstance(x, str) else x";
    let ran = job(module, "[inputs]\nlines = '-'").stdin(b"a\xff\n\xc3\xa9\n").run();
    ran.exit(0).rows("result", &["61ff", "c3a9"]);
    let module = "def work(a, b): return repr((a, b))";
    let ran = job(module, "[inputs]\njsonl = 'in.jsonl'")
        .file("in.jsonl", "{\"a\": [1, {\"x\": null}], \"b\": 1e3}\n{\"a\": null, \"b\": false}\n")
        .run();
    ran.exit(0).rows("result", &["([1, {'x': None}], 1000.0)", "(None, False)"]);
}

#[test]
fn values_become_cells() {
    let module = "
import datetime, decimal, fractions, pathlib
cycle = []
cycle.append(cycle)
VALUES = [
    None, True, 3, -3, 10 ** 5000, 1.5, float('nan'), float('inf'), 'text', '=1+1', '', 'caf\\u00e9 \\udcff',
    [1, 'caf\\u00e9', None], {'a': 1, 2: float('nan')}, (1, 2), pathlib.Path('a/b'),
    datetime.datetime(2026, 1, 2, 3, 4, 5), datetime.date(2026, 1, 2), {1}, b'x', decimal.Decimal('1.10'),
    {'when': datetime.date(2026, 1, 2)}, {(1, 2): 3}, cycle,
]
def work(n): return VALUES[n - 1]";
    for model in MODELS {
        let rest = format!("model = '{model}'\n[inputs]\nrepeat = 24");
        let results = job(module, &rest).run().exit(0).report().column("result");
        let large = format!("1{}", "0".repeat(5000));
        assert_eq!(
            results[..22],
            [
                "",
                "true",
                "3",
                "-3",
                &large,
                "1.5",
                "",
                "inf",
                "text",
                "'=1+1",
                "",
                "caf\u{e9} \u{fffd}",
                "[1,\"caf\u{e9}\",null]",
                "{\"a\":1,\"2\":null}",
                "[1,2]",
                "a/b",
                "2026-01-02 03:04:05",
                "2026-01-02",
                "{1}",
                "b'x'",
                "Decimal('1.10')",
                "{\"when\":\"2026-01-02\"}",
            ],
            "{model}"
        );
        assert_eq!(results[22], "{\"(1, 2)\":3}");
        assert!(
            results[23].starts_with("[["),
            "something within itself ends: {}",
            results[23].len()
        );
    }
}

#[test]
fn a_returned_object_fills_columns_of_its_names() {
    let module = "def work(x): return {'loss': x / 4, 'a/b': {'c': [x]}, 'note': None}";
    let rest = "[inputs]\nvalues = [1, 2]\n[columns.loss]\n[columns.'a/b']\n[columns.first]\njson = '/a~1b/c/0'\n\
        [columns.note]\n[columns.missing]";
    job(module, rest)
        .run()
        .exit(0)
        .rows("loss,a/b,first,note,missing", &["0.25,{\"c\":[1]},1,,", "0.5,{\"c\":[2]},2,,"]);
}

#[test]
fn an_exception_is_a_failed_row_with_the_end_of_its_traceback() {
    let module = "
import sys
class Mine(Exception):
    def __str__(self): raise ValueError('no words')
def deeper(x):
    if x == 1: raise KeyError('key')
    if x == 2: raise Mine()
    if x == 3: sys.exit(4)
    if x == 4: raise MemoryError
    if x == 5: deeper(x)
    if x == 6: raise KeyboardInterrupt
    return x
def work(x):
    return deeper(x)";
    for model in MODELS {
        let rest = format!("model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 7 }}");
        let ran = job(module, &rest).run();
        ran.exit(3)
            .rows("status", &["failed", "failed", "failed", "failed", "failed", "failed", "ok"]);
        let errors = ran.report().column("error");
        for (error, start) in errors.iter().zip([
            "KeyError: 'key'\n  File \"",
            "mine.Mine: <it cannot be printed>",
            "SystemExit: 4",
            "MemoryError",
            "RecursionError: maximum recursion depth exceeded",
            "KeyboardInterrupt",
        ]) {
            assert!(error.starts_with(start), "{error}");
        }
        assert!(
            errors[0].ends_with("in deeper\n    if x == 1: raise KeyError('key')"),
            "{}",
            errors[0]
        );
        let log = std::fs::read_to_string(ran.path("results/job.log")).unwrap();
        assert!(
            log.contains("RecursionError"),
            "the whole traceback of the long one is in the log"
        );
    }
}

#[test]
fn a_stage_hands_values_and_bytes_to_a_function() {
    let module = "
def work(data, n=0): return [type(data).__name__, len(data), n]
async def fetch(n): return {'n': n, 'big': 10 ** 30}
def use(d): return d['n'] + d['big']";
    let text = "[inputs]\nvalues = ['abc', '\\377\\376']\n\
        [[stages]]\nname = 'make'\n[stages.workload.command]\nargv = ['printf', '{input}']\n\
        [[stages]]\nname = 'measure'\n[stages.workload.python]\nfunction = 'mine:work'\n";
    for rest in ["", "args = ['{payload}', 0]", "args = ['{payload}']\nkwargs = { n = 0 }"] {
        let ran = TestJob::new(&format!("{text}{rest}")).file("mine.py", module).run();
        ran.exit(0).rows("result", &[r#"["str",3,0]"#, r#"["bytes",2,0]"#]);
    }
    let text = "[inputs]\nvalues = [1, 2]\n\
        [[stages]]\nname = 'fetch'\nmodel = 'async'\n[stages.workload.python]\nfunction = 'mine:fetch'\n\
        [[stages]]\nname = 'use'\nmodel = 'processes'\n[stages.workload.python]\nfunction = 'mine:use'\n";
    let ran = TestJob::new(text).file("mine.py", module).run();
    let big = |n| format!("100000000000000000000000000000{n}");
    ran.exit(0).rows("result", &[&big(1), &big(2)]);
}
