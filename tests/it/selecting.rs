//! Which inputs become tasks and in which order: `where`, `shuffle` and `[fields]` lose none, and what is wrong with one is
//! said with its place.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::{Ran, TestJob};

/// Prints `result` for each input; `inputs` may end with another table.
fn job(inputs: &str, result: &str) -> TestJob {
    let command = format!("[workload.command]\nargv = [\"printf\", \"%s\", '{result}']\n");
    TestJob::new(&format!("[inputs]\n{inputs}\n{command}"))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// What rows have in a column, in no order.
fn sorted(ran: &Ran, column: &str) -> Vec<String> {
    let mut all = ran.report().column(column);
    all.sort();
    all
}

#[test]
fn words_are_shuffled_like_lines() {
    let written = "a b\n#x y\nc  \\#d 'e f' #g\n\n h\\\n i\nlong";
    let expected = ["#d", "#g", "a", "b", "c", "e f", "h\n", "i", "long"];
    for options in ["", ", comments = \"#\""] {
        for files in ["\"w.txt\"", "[\"w.txt\", \"v.txt\"]", "\"w.txt.gz\""] {
            for shuffle in ["", "\nshuffle = 1", "\nshuffle = 2", "\nshuffle = 3"] {
                let lines = format!("lines = {{ file = {files}, words = true{options} }}{shuffle}");
                let test = job(&lines, "{input}").file("w.txt", written).file("v.txt", "v w\n");
                let ran = test.file("w.txt.gz", gzip(written.as_bytes())).run();
                let mut expected = expected.to_vec();
                if files.contains("v.txt") {
                    expected.extend(["v", "w"]);
                }
                if options.is_empty() {
                    expected.extend(["#x", "y"]);
                }
                let mut expected: Vec<_> =
                    expected.into_iter().map(|word| word.replace('\n', "\\n")).collect();
                expected.sort();
                let found: Vec<_> = ran.exit(0).report().column("input");
                let mut found: Vec<_> =
                    found.into_iter().map(|word| word.replace('\n', "\\n")).collect();
                assert!(shuffle.is_empty() || !found.is_sorted());
                found.sort();
                assert_eq!(found, expected, "{lines}");
            }
        }
    }
}

#[test]
fn only_a_file_that_has_no_other_end_of_a_line_is_one_input() {
    for shuffle in ["", "\nshuffle = 1", "\nshuffle = 2"] {
        let ran = job(&format!("lines = [\"a\", \"b\"]{shuffle}"), "x");
        let ran = ran.file("a", "1\n2\n3\r4").file("b", "5\n").run();
        let said = ran.exit(0).stderr();
        assert!(!said.contains("has no end of a line but CR"), "{said}");
    }
}

#[test]
fn an_unpacked_file_keeps_its_places_in_any_order() {
    let text = "HEADERLINE\naaaa\nbbbb\ncccc\ndddd\n";
    for file in ["plain", "gz"] {
        for shuffle in ["", "\nshuffle = 1"] {
            let blocks =
                format!("blocks = {{ file = \"{file}\", size = \"5B\", header = true }}{shuffle}");
            let ran =
                job(&blocks, "{offset}").file("plain", text).file("gz", gzip(text.as_bytes()));
            let ran = ran.run();
            ran.exit(0);
            assert_eq!(sorted(&ran, "offset"), ["11", "16", "21", "26"], "{blocks}");
            let mut blocks = ran.report().select("block,offset");
            blocks.sort();
            assert_eq!(blocks, ["1,11", "2,16", "3,21", "4,26"]);
        }
    }
    let table = "note\nid,x\na,1\nb,2\nc\nd,4\n";
    let array = "{\"n\": 1,\n\"a\": [\n{\"id\": 1},\n{\"id\" 2},\n{\"id\": 3}]}";
    for (source, text, line) in [
        ("csv = { file = \"in\", skip_lines = 1 }", table, 5),
        ("json = { file = \"in\", at = \"/a\" }", array, 4),
    ] {
        for bytes in [text.as_bytes().to_vec(), gzip(text.as_bytes()), utf16(text)] {
            for shuffle in ["", "\nshuffle = 1"] {
                let ran = job(&format!("{source}{shuffle}"), "{id}").file("in", &bytes).run();
                ran.exit(3);
                let errors = sorted(&ran, "error").pop().unwrap();
                assert!(errors.starts_with(&format!("`in` line {line}: ")), "{source}: {errors}");
                assert_eq!(sorted(&ran, "status").len(), if line == 5 { 4 } else { 3 });
            }
        }
    }
}

#[test]
fn what_fields_and_where_find_wrong_has_its_place() {
    let field = "[fields.q]\nvalue = '{x/a}'";
    let lines: &[u8] = b"x\n{\"a\":1}\n{\"b\":1}\n{\"a\":2}\n";
    let doubtful: &[u8] = b"x\nyes\nGr\xfc\xdfe\nno\n";
    for (bytes, rest, said) in [
        (lines, field, "has nothing at `/a`"),
        (doubtful, "where = \"x == 'Grüße'\"\n", "`where` compares bytes"),
    ] {
        for bytes in [bytes.to_vec(), gzip(bytes)] {
            for source in ["csv = { file = \"in\", quotes = false }", "csv = [\"in\"]"] {
                if source == "csv = [\"in\"]" && rest == field {
                    continue;
                }
                for shuffle in ["", "shuffle = 1\n", "shuffle = 2\n"] {
                    let ran = job(&format!("{source}\n{shuffle}{rest}"), "{x}");
                    let ran = ran.file("in", &bytes).run();
                    ran.exit(3);
                    let error = sorted(&ran, "error").pop().unwrap();
                    assert!(error.starts_with("`in` line 3: ") && error.contains(said), "{error}");
                }
            }
        }
    }
    for shuffle in ["", "shuffle = 1\n"] {
        let a =
            "[inputs]\nvalues = ['{\"a\":1}', '{\"b\":1}']\n[workload.sleep]\nduration = \"0s\"\n";
        let b = format!(
            "needs = [\"a\"]\n[inputs]\njob = \"a\"\n{shuffle}[fields.q]\nvalue = '{{input/a}}'\n\
             [workload.sleep]\nduration = \"0s\"\n"
        );
        let ran = TestJob::empty().file("a.toml", a).file("b.toml", b);
        let ran = ran.args(["a.toml", "b.toml"]).run();
        ran.exit(3);
        let mut errors = ran.report_of("b").column("error");
        errors.sort();
        let error = errors.pop().unwrap();
        assert!(error.contains("results/a.csv` line 3: `{\"b\":1}` has nothing at"), "{error}");
    }
}

#[test]
fn a_field_may_be_called_like_a_number() {
    let table = |condition: &str| {
        job(&format!("csv = \"t.csv\"\nwhere = \"{condition}\""), "{id}")
            .file("t.csv", "id,2024\na,5\nb,500\n")
    };
    for condition in ["2024 > 100", "`2024` > 100", "100 < 2024"] {
        table(condition).run().exit(0).rows("result", &["b"]);
    }
    let said = TestJob::empty().args(["check", "job.toml"]).file("t.csv", "id,2024\na,5\nb,500\n");
    let said = said.file(
        "job.toml",
        "[inputs]\ncsv = \"t.csv\"\nwhere = \"2024 > 100\"\n[workload.sleep]\nduration = \"0s\"\n",
    );
    said.run().exit(0).stderr_has("`2024` is the field `2024`, not a number");
    for condition in ["2025 > 100", "'a' == 'b'", "id == 'a' and 1 < 2"] {
        let ran = table(condition).run();
        ran.stderr_has("asks for no field").stderr_has("the inputs have `id`, `2024`");
    }
}

#[test]
fn numbers_without_quotes_are_numbers_however_they_are_written() {
    let values = |condition: &str| {
        job(&format!("values = [0x10, 0o20, 0b10000, inf, -inf, nan, \"0x10\", \"inf\"]\nwhere = \"{condition}\""), "{input}").run()
    };
    values("input == 16").exit(0).rows("result", &["0x10", "0o20", "0b10000"]);
    values("input > 0").exit(0).rows("result", &["0x10", "0o20", "0b10000", "inf"]);
    values("input < 0").exit(0).rows("result", &["'-inf"]);
    values("input == '0x10'").exit(0).rows("result", &["0x10", "0x10"]);
    let pairs = "id,a,b\n1,9007199254740993,9007199254740992.0\n2,9007199254740992,9007199254740992.0\n\
        3,1234567890123456789012345678901234567890123,1234567890123456789012345678901234567890124\n\
        4,01234567890123456789012345678901234567890123,1234567890123456789012345678901234567890123\n";
    let compared = |condition: &str| {
        job(&format!("csv = \"n.csv\"\nwhere = \"{condition}\""), "{id}").file("n.csv", pairs).run()
    };
    compared("a == b").exit(0).rows("result", &["2", "4"]);
    compared("a > b").exit(0).rows("result", &["1"]);
    compared("a < b").exit(0).rows("result", &["3"]);
}

#[test]
fn fields_know_doubled_braces_and_the_number_of_tasks() {
    let fields = |inputs: &str, value: &str| {
        job(&format!("{inputs}\n[fields.x]\nvalue = '{value}'"), "{x}").run()
    };
    fields("values = [1, 2]", "{{x}} {input}").exit(0).rows("x", &["{x} 1", "{x} 2"]);
    fields("values = [1]", "{{{input}}}").exit(0).rows("x", &["{1}"]);
    for inputs in ["repeat = 5", "values = [5, 6, 7, 8, 9]"] {
        let limited = format!("{inputs}\nskip = 1\nlimit = 3");
        let ran = fields(&limited, "{input} of {tasks}");
        let first = if inputs.starts_with('r') { 2 } else { 6 };
        let rows: Vec<_> = (first..first + 3).map(|it| format!("{it} of 3")).collect();
        ran.exit(0).rows("x", &rows.iter().map(String::as_str).collect::<Vec<_>>());
        let unknown = fields(&format!("{inputs}\nwhere = \"input > 2\""), "{tasks}");
        unknown.exit(2).stderr_has("is not known before the inputs are read");
    }
    fields("repeat = 2", "{x}").exit(2).stderr_has("the field `x` needs itself");
    let alone =
        TestJob::new("[fields.x]\nvalue = '{tasks}'\n[workload.sleep]\nduration = \"0s\"\n");
    alone.run().exit(0).rows("x", &["1"]);
}

#[test]
fn a_text_may_begin_as_a_binary_file_does() {
    for text in ["PAR1\nPAR2\nTP53\n", "PAR1", "PAR1\r\nx\n", "%PDF-files\nx\n", "BZh\n"] {
        for bytes in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
            let ran = job("lines = \"in\"", "{input}").file("in", bytes).run();
            let lines: Vec<_> = text.lines().collect();
            ran.exit(0).rows("input", &lines);
        }
    }
    let parquet = job("lines = \"in\"", "x").file("in", b"PAR1\x15\x04\x15\x10PAR1").run();
    parquet.exit(2).stderr_has("is a Parquet file");
}
