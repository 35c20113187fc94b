//! What is in files of inputs is what the tasks get: nothing of it is there twice, or as something else.

use super::{errors, job};
use crate::support::TestJob;

#[test]
fn a_text_that_looks_like_a_number_is_no_number_to_the_next_job() {
    for dialect in ["csv", "excel", "excel-semicolon"] {
        let one = format!(
            "[inputs]\nvalues = ['1,234', '1.5', 'a', '-1,5']\n[columns.c]\nregex = '(.*)'\n\
             [workload.command]\nargv = ['printf', '%s', '{{input}}']\n[report]\ndialect = '{dialect}'\n"
        );
        let read = |condition: &str| {
            format!(
                "[inputs]\njob = 'one'\n{condition}[workload.command]\n\
                 argv = ['printf', '%s', 'v{{input}}|{{result}}|{{c}}']\n"
            )
        };
        let test = TestJob::empty().file("one.toml", one).file("two.toml", read(""));
        let test = test.file("three.toml", read("where = 'c < 100'\n"));
        let ran = test.args(["run", "one.toml", "two.toml", "three.toml"]).run();
        ran.exit(0);
        let column = |name: &str| ran.report_of(name).column("result");
        let all = ["v1,234|1,234|1,234", "v1.5|1.5|1.5", "va|a|a", "v-1,5|-1,5|-1,5"];
        assert_eq!(column("two"), all, "{dialect}");
        assert_eq!(column("three"), ["v1.5|1.5|1.5"], "{dialect}");
    }
}

#[test]
fn what_several_patterns_find_is_read_once() {
    let files = |test: TestJob| test.file("a.csv", "x\n1\n").file("b.csv", "x\n2\n");
    for (names, expected) in [
        ("['*.csv', 'a.csv']", ["a.csv,1", "b.csv,2"]),
        ("['a.csv', '*.csv']", ["a.csv,1", "b.csv,2"]),
        ("['b*.csv', './*.csv', 'sub/../a.csv']", ["b.csv,2", "./a.csv,1"]),
        ("['{a,b}.csv', '[b].csv']", ["a.csv,1", "b.csv,2"]),
    ] {
        let test = files(job(&format!("csv = {names}"), "{x}")).file("sub/x", "");
        test.run().exit(0).rows("file,x", &expected);
    }
    for source in ["lines", "jsonl"] {
        let test = job(&format!("{source} = ['*.txt', 'a.txt']"), "x");
        test.file("a.txt", "{\"a\": 1}\n").run().exit(0).rows("file", &["a.txt"]);
    }
    let ran = files(job("csv = ['a.csv', './a.csv']", "{x}")).run();
    ran.exit(0).rows("file,x", &["a.csv,1", "./a.csv,1"]);
    ran.stderr_has("`./a.csv` is named twice: each of its inputs is there twice");
}

#[test]
fn braces_are_a_pattern_unless_a_file_is_called_that() {
    for (source, expected) in [("csv", &["b.csv"][..]), ("lines", &["a.csv", "b.csv", "b.csv"])] {
        let test = job(&format!("{source} = '{{a,b}}.csv'"), "{file}");
        let test = test.file("a.csv", "x\n").file("b.csv", "x\ny\n");
        test.run().exit(0).rows("file", expected);
    }
    let test = job("lines = '{a,b}.csv'", "{input}").file("a.csv", "x\n");
    test.file("{a,b}.csv", "y\n").run().exit(0).rows("input", &["y"]);
    let ran = job("lines = '{a,b}.csv'", "{input}").file("c.csv", "x\n").run();
    ran.exit(2).stderr_has("no file matches `{a,b}.csv`");
}

#[test]
fn a_torn_row_makes_no_guess_of_what_splits_a_table() {
    let rows = "2024-01-01;1,1;x\n".repeat(19);
    let table = format!("Datum;Betrag, EUR;Text\n{rows}Summe;12,5\n");
    let ran = job("csv = 'a.csv'", "x").file("a.csv", &table).run();
    ran.exit(2).stderr_has("and nearly all rows fit both: set `delimiter`");
    let test = job("csv = { file = 'a.csv', delimiter = ';' }\nskip = 18", "{Text}");
    test.file("a.csv", &table).run().exit(3).rows("status", &["ok", "failed"]);
}

#[test]
fn a_message_says_what_is_wrong_and_not_something_else() {
    let test = job("csv = { file = 'a.csv', encoding = 'shift_jis' }", "{b}");
    let ran = test.file("a.csv", b"a\x81\x20,b\n1,2\n").run();
    ran.exit(2).stderr_has("has bytes that are not Shift_JIS");

    let latin = b"{\"a\": \"x\"}\n{\"a\": \"Gr\xf6\xdfe\"}\n";
    let ran = job("jsonl = 'a.jsonl'", "{a}").file("a.jsonl", latin).run();
    ran.exit(3).rows("a,status", &["x,ok", ",failed"]);
    assert!(errors(&ran)[0].contains("name the file's `encoding`"), "{:?}", errors(&ran));
    let test = job("jsonl = { file = 'a.jsonl', encoding = 'latin1' }", "{a}");
    test.file("a.jsonl", latin).run().exit(0).rows("a", &["x", "Größe"]);
}

/// A frame whose window is 2 GiB, as of `zstd --ultra --long=31`, with one raw block.
#[test]
fn data_of_zstd_with_a_long_window_is_sound() {
    let frame = |window: u8| {
        let head = [0x28, 0xb5, 0x2f, 0xfd, 0, (window - 10) << 3, (6 << 3) | 1, 0, 0];
        [&head[..], b"x\n1\n2\n"].concat()
    };
    let test = job("csv = 'a.csv.zst'", "{x}").file("a.csv.zst", frame(31));
    test.run().exit(0).rows("x", &["1", "2"]);
    let ran = job("csv = 'a.csv.zst'", "{x}").file("a.csv.zst", frame(38)).run();
    ran.exit(2).stderr_has("needs more memory");
    assert!(!ran.stderr().contains("damaged"), "{}", ran.stderr());
}

#[test]
fn numbers_that_are_not_finite_are_inputs_as_python_writes_them() {
    let lines = "{\"a\": NaN, \"b\": 1}\n{\"a\": -Infinity, \"b\": 2}\n{\"a\": 3, \"b\": [NaN]}\n";
    let ran = job("jsonl = 'a'", "{a}").file("a", lines).run();
    ran.exit(3).rows("a,result,status", &["NaN,NaN,ok", "'-Infinity,'-Infinity,ok", ",,failed"]);
    assert!(errors(&ran)[0].contains("has `NaN` inside a value"), "{:?}", errors(&ran));
    let test = job("jsonl = 'a'\nwhere = 'a < 0'", "{b}").file("a", lines);
    test.run().rows("b,status", &["2,ok", ",failed"]);
    let test = job("json = { file = 'a', at = '/i' }", "{input}");
    let test = test.file("a", "{\"x\": [{\"l\": NaN}], \"i\": [Infinity, 1], \"y\": -Infinity}");
    test.run().exit(0).rows("input", &["Infinity", "1"]);
    let test = TestJob::new("[inputs]\njsonl = 'a'\n[workload.python]\nfunction = 'mine:work'\n");
    let test = test.file("mine.py", "def work(a, b):\n    return repr(a)\n").file("a", lines);
    test.run().rows("result", &["nan", "'-inf", ""]);
}

#[test]
fn a_result_that_is_cut_is_told_to_who_reads_it() {
    for (end, length, is_cut) in
        [("head", 9_990, true), ("tail", 9_990, true), ("head", 400, false)]
    {
        let one = format!(
            "[inputs]\nrepeat = 2\n[workload.command]\nargv = ['printf', '%0{length}d', '1']\n\
             result = '{end}'\n"
        );
        let two = |arguments: &str| {
            format!("[inputs]\njob = 'one'\n[workload.command]\nargv = [{arguments}]\n")
        };
        let test = TestJob::empty().file("one.toml", one);
        let test = test.file("two.toml", two("'printf', '%s', '{result}'"));
        let test = test.file("three.toml", two("'echo', '{input}'"));
        let ran = test.args(["run", "one.toml", "two.toml", "three.toml"]).run();
        ran.exit(0);
        let said = "two: `result` of 2 rows that `inputs.job` reads is not all that";
        let stderr = ran.stderr();
        assert_eq!(stderr.contains(said), is_cut, "{stderr}");
        assert!(!stderr.contains("three: `result`"), "{stderr}");
    }
}
