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
fn what_python_cannot_read_costs_its_own_task() {
    let module =
        "async def later(a): return a\ndef work(a): return a if isinstance(a, int) else 'odd'";
    let deep = format!("{}{}", "[\"],\",".repeat(9_999), "[]".to_owned() + &"]".repeat(9_999));
    let lines: Vec<_> = (0..300)
        .map(|n| format!("{{\"a\": {}}}\n", if n == 100 { deep.clone() } else { n.to_string() }))
        .collect();
    for model in MODELS {
        for function in ["work", "later"] {
            let rest = format!(
                "model = '{model}'\n[inputs]\njsonl = 'in.jsonl'\n[limits]\nconcurrency = 2\n"
            );
            let test = job(module, &rest).file("in.jsonl", lines.concat());
            let ran =
                test.args(["--set", &format!("workload.python.function=mine:{function}")]).run();
            ran.exit(3);
            let report = ran.report();
            for (n, (status, result)) in
                report.column("status").iter().zip(report.column("result")).enumerate()
            {
                let expected =
                    if n == 100 { ("failed", String::new()) } else { ("ok", n.to_string()) };
                assert_eq!((&status[..], result), expected, "{model} {function} {n}");
            }
            assert_eq!(
                report.column("error")[100],
                "ValueError: Python cannot read what the function is to be called with: lists or \
                 objects lie too deep in one another"
            );
        }
    }
}

#[test]
fn what_stands_in_json_keeps_its_type() {
    let module = "def work(*all): return repr(all)";
    let args = "args = ['{a/n}', '{a/z}', '{a/l}', '{a/t}', '{a/s}', '{a/n} {a/s}']";
    let line = "{\"a\": {\"n\": 5, \"z\": null, \"l\": [1,\\n {\"x\": 2}], \"t\": true, \"s\": \"x\\u00e9\"}}\n";
    let of = |line: &str, source: &str| {
        let text =
            format!("[inputs]\n{source} = 'in'\n[workload.python]\nfunction = 'mine:work'\n{args}");
        TestJob::new(&text).file("mine.py", module).file("in", line).run()
    };
    let expected = "(5, None, [1, {'x': 2}], True, 'xé', '5 xé')";
    of(&line.replace("\\n ", ""), "jsonl").exit(0).rows("result", &[expected]);
    of(&format!("[{}]", line.replace("\\n", "\n")), "json").exit(0).rows("result", &[expected]);
}

#[test]
fn what_a_function_does_to_its_modules_hangs_nobody() {
    let module = "
import os
def work(x):
    if x == 3: setattr(os, os.environ['WHICH'], None)
    return x";
    for model in MODELS {
        for which in ["read", "write", "pread"] {
            let rest = format!(
                "model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 20 }}\n[limits]\nconcurrency = 2"
            );
            let ran = job(module, &rest).env("WHICH", which).run();
            ran.exit(0).rows("status", &["ok"; 20]);
        }
    }
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
                "[1]",
                "x",
                "1.10",
                "{\"when\":\"2026-01-02\"}",
            ],
            "{model}"
        );
        assert_eq!(results[22], "{\"(1, 2)\":3}");
        assert_eq!(results[23], "[[...]]", "something within itself ends");
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

const RECORDS: &str = r#"
import array, collections, dataclasses, datetime, decimal, enum, fractions, ipaddress, pathlib, types, typing, uuid
@dataclasses.dataclass
class Row: m: float; ok: bool
@dataclasses.dataclass
class Odd: kind: typing.ClassVar[int] = 3; seed: dataclasses.InitVar[int] = 0; m: int = 1
class Named(typing.NamedTuple): m: float; ok: bool
class Color(enum.Enum): RED = 'red'; BLUE = 2
class Level(enum.IntEnum): LOW = 1
class Text(str): pass
class Own(collections.UserDict): pass
VALUES = [
    (Row(1.5, True), '{"m":1.5,"ok":true}'),
    (Odd(), '{"m":1}'),
    ([Row(1.5, True)], '[{"m":1.5,"ok":true}]'),
    (Named(1.5, True), '{"m":1.5,"ok":true}'),
    ({'rows': [Named(1, None)]}, '{"rows":[{"m":1,"ok":null}]}'),
    (types.SimpleNamespace(m=1), '{"m":1}'),
    (Own(m=1), '{"m":1}'),
    (types.MappingProxyType({'m': 1}), '{"m":1}'),
    (collections.Counter('aab'), '{"a":2,"b":1}'),
    (Color.RED, 'red'),
    (Level.LOW, '1'),
    ([Color.BLUE, Level.LOW], '[2,1]'),
    (decimal.Decimal('1.50'), '1.50'),
    ({'m': decimal.Decimal('1.50')}, '{"m":"1.50"}'),
    (fractions.Fraction(1, 3), '1/3'),
    (uuid.UUID(int=1), '00000000-0000-0000-0000-000000000001'),
    (ipaddress.ip_address('10.0.0.1'), '10.0.0.1'),
    (datetime.timedelta(days=1, seconds=5), '1 day, 0:00:05'),
    (datetime.time(1, 2), '01:02:00'),
    (range(3), '[0,1,2]'),
    ({3, 1, 2}, '[1,2,3]'),
    (frozenset(['b', 'a']), '["a","b"]'),
    (collections.deque([1]), '[1]'),
    (array.array('d', [1.5]), '[1.5]'),
    ({'a': 1}.keys(), '["a"]'),
    (map(str, [1]), '["1"]'),
    (b'abc', 'abc'),
    (bytearray(b'abc'), 'abc'),
    (b'\xff\xfe', '//4='),
    ({'m': b'\xff'}, '{"m":"/w=="}'),
    (Text('x'), 'x'),
    ({1: 'a', None: 'b', True: 'c'}, '{"1":"c","null":"b"}'),
    ({1: 'a', '1': 'b'}, '[["1","a"],["1","b"]]'),
    ({Color.RED: 1}, '{"red":1}'),
    ([float('nan'), float('inf'), 1.0], '[null,"inf",1.0]'),
    (pathlib.PurePosixPath('a/b'), 'a/b'),
    (1 + 2j, '(1+2j)'),
]
"#;

#[test]
fn records_collections_and_numbers_are_values_under_every_model() {
    let module = format!("{RECORDS}\ndef work(n): return VALUES[n - 1][0]");
    let check = format!("{RECORDS}\ndef work(n): return VALUES[n - 1][1]");
    let inputs = "[inputs]\nrepeat = 37";
    let expected = job(&check, inputs).args(["--model", "sequential"]).run();
    let expected = expected.exit(0).report().column("result");
    for model in MODELS {
        let ran = job(&module, inputs).args(["--model", model]).run();
        assert_eq!(ran.exit(0).report().column("result"), expected, "{model}");
    }
}

#[test]
fn what_has_no_form_is_its_repr_and_that_is_said_once() {
    let module = "
class Plain:
    def __repr__(self): return 'a plain thing'
class Broken:
    def __repr__(self): raise ValueError('no words')
around = {'me': None}
around['me'] = around
def work(n): return [Plain(), [Plain(), 1], around, Broken(), print, Plain][n - 1]";
    for model in MODELS {
        let rest = format!("model = '{model}'\n[inputs]\nrepeat = 6\n[limits]\nconcurrency = 3");
        let ran = job(module, &rest).run();
        let report = ran.exit(3).report();
        let results = report.column("result");
        assert_eq!(results[0], "a plain thing");
        assert_eq!(results[1], r#"["a plain thing",1]"#);
        assert_eq!(results[2], "{'me': {...}}");
        assert_eq!(results[4], "<built-in function print>");
        assert_eq!(report.column("status"), ["ok", "ok", "ok", "failed", "ok", "ok"]);
        let error = &report.column("error")[3];
        assert!(error.contains("a mine.Broken, whose repr raised ValueError"), "{error}");
        ran.stderr_has("`mine.Plain`")
            .stderr_has("`dict that refers to itself`")
            .stderr_has("`repr`");
        assert_eq!(ran.stderr().matches("`mine.Plain`").count(), 1, "{}", ran.stderr());
    }
}

#[test]
fn what_is_too_large_for_a_report_fails_with_the_way_out() {
    let module = "
def work(n):
    return ['x' * (300 << 20), b'x' * (300 << 20), ['x' * 1000] * (300 << 10), 'short'][n - 1]";
    let ran = job(module, "[inputs]\nrepeat = 4").args(["--model", "sequential"]).run();
    ran.exit(3).rows("status", &["failed", "failed", "failed", "ok"]);
    for error in &ran.report().column("error")[..3] {
        assert!(error.contains("fit a report: write it to a file"), "{error}");
    }
}

#[test]
fn bytes_go_to_the_next_stage_as_they_are() {
    let module = "
def make(n): return [b'abc', b'\\xff\\x00\\xfe', bytearray(b'x'), 'text'][n - 1]
def use(data): return [type(data).__name__, len(data)]";
    let stages = |last: &str| {
        format!(
            "inputs.repeat = 4\n[[stages]]\nname = 'make'\n[stages.workload.python]\nfunction = 'mine:make'\n\
             args = ['{{input}}']\n[[stages]]\nname = 'use'\n{last}"
        )
    };
    for model in MODELS {
        let text = stages("[stages.workload.python]\nfunction = 'mine:use'");
        let sets = ["make", "use"].map(|stage| format!("stages.{stage}.model={model}"));
        let job = TestJob::new(&text).file("mine.py", module);
        let ran = job.args(["--set", &sets[0], "--set", &sets[1]]).run();
        ran.exit(0).rows(
            "result",
            &[r#"["bytes",3]"#, r#"["bytes",3]"#, r#"["bytes",1]"#, r#"["str",4]"#],
        );
    }
    let text = stages("[stages.workload.command]\nargv = ['sh', '-c', 'od -An -tx1']");
    let ran = TestJob::new(&text).file("mine.py", module).run();
    ran.exit(0).rows("result", &["61 62 63", "ff 00 fe", "78", "74 65 78 74"]);
}

#[test]
fn what_a_report_cannot_hold_is_said_and_goes_on_as_it_is() {
    let module = "
VALUES = ['a\\0b', 'a\\udcffb', '\\ud800', '\\udcc3\\udca9', b'a\\0b', '\u{e9}'.encode(), '\u{1f600} \\\\ud']
def make(n): return VALUES[n - 1]
def member(n): return {'m': VALUES[n - 1]}
def use(data): return ascii(data)
def length(data): return len(data)";
    for model in MODELS {
        let text = format!(
            "model = '{model}'\ninputs.repeat = 7\n[workload.python]\nfunction = 'mine:make'"
        );
        let ran = TestJob::new(&text).file("mine.py", module).run();
        let cells = [
            "ok,a\u{fffd}b",
            "ok,a\u{fffd}b",
            "failed,",
            "failed,",
            "ok,YQBi",
            "ok,\u{e9}",
            "ok,\u{1f600} \\ud",
        ];
        ran.exit(3).rows("status,result", &cells);
        let errors = ran.report().column("error");
        let said = "`result` has a NUL, or bytes that are not UTF-8, which a report cannot hold: U+FFFD stands there";
        assert_eq!(errors[..2], [said, said], "{model}");
        assert!(errors[2].contains("half of a surrogate pair"), "{model}: {}", errors[2]);
        assert_eq!(errors[4..], ["", "", ""], "{model}");
        let again =
            "[inputs]\njob = 'job'\n[workload.command]\nargv = ['printf', '%s', '{result}']";
        let two = TestJob::new(&text.replace("repeat = 7", "repeat = 2")).file("mine.py", module);
        let ran = two.file("again.toml", again).arg("again.toml").run();
        ran.exit(3);
        let report = ran.report_of("again");
        assert_eq!(report.column("status")[..2], ["failed", "failed"], "{model}");
        assert!(report.column("error")[0].contains("`result` is not what the task returned"));

        let stages = "inputs.repeat = 7\n[[stages]]\nname = 'make'\n[stages.workload.python]\nfunction = 'mine:make'\n\
            args = ['{input}']\n[[stages]]\nname = 'use'\n[stages.workload.python]\nfunction = 'mine:use'\n";
        let sets = ["make", "use"].map(|stage| format!("stages.{stage}.model={model}"));
        for args in ["", "args = ['{payload}', ]", "args = []\nkwargs = { data = '{payload}' }"] {
            let job = TestJob::new(&format!("{stages}{args}")).file("mine.py", module);
            let ran = job.args(["--set", &sets[0], "--set", &sets[1]]).run();
            ran.exit(3);
            let results = ran.report().column("result");
            assert_eq!(results[..2], ["'a\\x00b'", "'a\\udcffb'"], "{model}");
            assert_eq!(results[4..6], ["b'a\\x00b'", "b'\\xc3\\xa9'"], "{model}");
        }
    }
    let text = "inputs.repeat = 1\n[workload.python]\nfunction = 'mine:member'\n[columns.m]";
    let ran = TestJob::new(text).file("mine.py", module).run();
    let error = ran.exit(0).report().column("error").remove(0);
    assert!(error.starts_with("`m` has a NUL"), "{error}");
}

#[test]
fn a_view_of_numbers_is_an_array() {
    let module = "
import array
VALUES = [memoryview(array.array('i', [1, 2])), memoryview(b'ab'), {'v': memoryview(array.array('d', [0.5]))}]
def work(n): return VALUES[n - 1]";
    for model in MODELS {
        let ran = job(module, &format!("model = '{model}'\n[inputs]\nrepeat = 3")).run();
        ran.exit(0);
        assert_eq!(ran.report().column("result"), ["[1,2]", "ab", "{\"v\":[0.5]}"], "{model}");
    }
}

#[test]
fn sets_have_one_order_and_groups_are_whole_under_every_model() {
    let module = r#"
import collections, dataclasses, decimal, itertools, uuid
nan = float('nan')
@dataclasses.dataclass
class Both(list):
    a: int
@dataclasses.dataclass
class Output(collections.OrderedDict):
    a: int
both = Both(1)
both.append(2)
output = Output(1)
output.update(a=output.a, b=2)
def rows():
    for name, items in itertools.groupby(['a1', 'a2', 'b1'], key=lambda item: item[0]):
        yield {'name': name, 'items': items}
def fails():
    yield 1
    yield (1 / 0 for _ in 'a')
VALUES = [
    ({frozenset(['a']), frozenset(['b']), frozenset(['c']), frozenset(['a', 'd'])}, '[["a","d"],["a"],["b"],["c"]]'),
    ([{'x': {frozenset(['q', 'z']), frozenset(['y'])}}], '[{"x":[["q","z"],["y"]]}]'),
    ({10.0, 9, nan, 1.5}, '[1.5,9,10.0,null]'),
    ({10, 9, 1}, '[1,9,10]'),
    ({(10, 'a'), (9, 'b')}, '[[9,"b"],[10,"a"]]'),
    ({'b', 'a', 1, None}, '["a","b",1,null]'),
    (set(), '[]'),
    (itertools.groupby('aab'), '[["a",["a","a"]],["b",["b"]]]'),
    (rows(), '[{"name":"a","items":["a1","a2"]},{"name":"b","items":["b1"]}]'),
    (memoryview(b'ab'), 'ab'),
    (Both(1), '{"a":1}'),
    (output, '{"a":1,"b":2}'),
    (['\udcff'], '["\\udcff"]'),
]
FAILING = [(both, 'which has both members and items'), (['\ud800'], 'half of a surrogate pair'), (fails(), 'raised after 0 values')]
def result(n): return VALUES[n - 1][0]
def expected(n): return VALUES[n - 1][1]
def failing(n): return FAILING[n - 1][0]
"#;
    let run = |function: &str, repeat: usize, model: &str| {
        let text = format!(
            "model = '{model}'\n[inputs]\nrepeat = {repeat}\n[workload.python]\nfunction = 'mine:{function}'"
        );
        TestJob::new(&text).file("mine.py", module).run()
    };
    let expected = run("expected", 13, "sequential");
    let expected = expected.exit(0).report().column("result");
    for model in MODELS {
        assert_eq!(run("result", 13, model).report().column("result"), expected, "{model}");
        let ran = run("failing", 3, model);
        let errors = ran.exit(3).report().column("error");
        for (error, words) in errors.iter().zip([
            "which has both members and items",
            "half of a surrogate pair",
            "raised after 0 values",
        ]) {
            assert!(error.contains(words), "{model}: {error}");
        }
    }
}

#[test]
fn infinity_and_signed_bytes_reach_the_next_stage_as_they_are() {
    let module = "
import array, ctypes, math
VALUES = [math.inf, [-math.inf, 'Infinity', math.nan], {'a': {'b': math.inf, '\u{e9}\\udcff': 1}}, memoryview(array.array('b', [-1, 2])),
    memoryview((ctypes.c_int * 2)(1, -1)), memoryview(array.array('h', [-1])).cast('B').cast('@h')]
def make(n): return VALUES[n - 1]
def use(data): return ascii(data)";
    let text = "inputs.repeat = 6\n[[stages]]\nname = 'make'\n[stages.workload.python]\nfunction = 'mine:make'\n\
        args = ['{input}']\n[[stages]]\nname = 'use'\n";
    let python = format!("{text}[stages.workload.python]\nfunction = 'mine:use'");
    for model in MODELS {
        let sets = ["make", "use"].map(|stage| format!("stages.{stage}.model={model}"));
        let made = TestJob::new(&python).file("mine.py", module);
        let ran = made.args(["--set", &sets[0], "--set", &sets[1]]).run();
        let results = ran.exit(0).report().column("result");
        let expected = [
            "inf",
            "[-inf, 'Infinity', None]",
            r"{'a': {'b': inf, '\xe9\udcff': 1}}",
            "[-1, 2]",
            "[1, -1]",
            "[-1]",
        ];
        assert_eq!(results, expected, "{model}");
    }
    // Where only JSON is understood, it is a text.
    let command = format!("{text}[stages.workload.command]\nargv = ['cat']");
    let ran = TestJob::new(&command).file("mine.py", module).run();
    let results = ran.exit(0).report().column("result");
    assert_eq!(results[..2], ["inf", r#"["-inf","Infinity",null]"#]);
}

#[test]
fn values_over_several_lines_arrive_in_one() {
    let json = "[\n  {\n    \"name\": \"x\",\n    \"tags\": [\n      1,\r\n      2\n    ]\n  },\n  \
        {\n    \"name\": \"y\\n\",\n    \"tags\": {\n      \"a\": 1\n    }\n  }\n]\n";
    let module = "def work(name, tags, batch_size=0): return repr((name, tags))";
    for model in MODELS {
        for batch in ["", "\nbatch = 2"] {
            let test = job(module, &format!("[inputs]\njson = 'p.json'{batch}"));
            let ran = test.file("p.json", json).args(["--model", model]).run();
            let each = [r"('x', [1, 2])", r"('y\n', {'a': 1})"];
            let both = [r"(['x', 'y\n'], [[1, 2], {'a': 1}])"];
            let expected = if batch.is_empty() { &each[..] } else { &both };
            assert_eq!(ran.exit(0).report().column("result"), expected, "{model} {batch}");
        }
    }
}

#[test]
fn numbers_of_a_batch_are_those_of_single_inputs() {
    let module = "def work(input): return repr(input)";
    for model in MODELS {
        let values = "[inputs]\nvalues = [inf, 1.5, nan, 'nan', 0x10, -inf]\nbatch = 6";
        let ran = job(module, values).args(["--model", model]).run();
        ran.exit(0);
        let report = ran.report();
        assert_eq!(report.column("result"), ["[inf, 1.5, nan, 'nan', 16, -inf]"], "{model}");
        let cell = r#"["inf",1.5,"nan","nan",16,"-inf"]"#;
        assert_eq!(report.column("input"), [cell], "a report has JSON");
    }
}
