//! The sources of tasks, and the selection of inputs.

use super::*;

#[test]
fn every_source_yields_its_inputs() {
    for (inputs, fields, rows) in [
        (
            "values = [1, 0.10, \"x\", true, 1_000]",
            "input",
            &["1", "0.10", "x", "true", "1000"][..],
        ),
        ("values = [{ a = 1, b = \"x\" }, { b = 2 }]", "a b", &["1|x", "|2"]),
        ("range = { from = 1, to = 2, step = 0.5 }", "input", &["1.0", "1.5", "2.0"]),
        ("range = { from = 3, to = 1, step = -1 }", "input", &["3", "2", "1"]),
        ("repeat = 3", "input", &["1", "2", "3"]),
        ("matrix = { z = [0.10, 1], a = [1, 2] }", "z a", &["0.10|1", "0.10|2", "1|1", "1|2"]),
        ("zip = { z = [1, 2], a = [\"x\", \"y\"] }", "z a", &["1|x", "2|y"]),
        ("lines = \"lines.txt\"", "input", &["one", "two"]),
        ("lines = \"nul.txt\"\nnull = true", "input", &["a\nb", "c"]),
        ("csv = \"data/d.csv\"", "x y", &["1|2", "3|"]),
        ("jsonl = \"d.jsonl\"", "a b", &["1.50|[1]", "|x"]),
        ("glob = \"data/*\"", "input", &["data/d.csv"]),
        ("values = []", "input", &[]),
    ] {
        let files = Files::inputs(inputs)
            .file("lines.txt", "one\ntwo\n")
            .file("nul.txt", "a\nb\0c")
            .file("data/d.csv", "\u{feff}x,y\n1,2\n3,\n")
            .file("d.jsonl", "{\"a\": 1.50, \"b\": [1]}\n{\"b\": \"x\"}\n");
        assert_eq!(files.rows(), rows, "{inputs}");
        assert_eq!(files.plan().fields.join(" "), fields, "{inputs}");
    }
}

#[test]
fn inputs_are_selected_in_order() {
    for (more, tasks, rows) in [
        ("limit = 2", Some(2), &["1", "2"][..]),
        ("skip = 8", Some(2), &["9", "10"]),
        ("skip = 20", Some(0), &[]),
        ("where = \"input > 5\"\nskip = 1\nlimit = 2", None, &["7", "8"]),
        ("shuffle = 7\nlimit = 0", Some(0), &[]),
    ] {
        let files = Files::inputs(&format!("repeat = 10\n{more}"));
        assert_eq!(files.rows(), rows, "{more}");
        assert_eq!(files.plan().inputs.tasks(), tasks, "{more}");
    }
}

#[test]
fn every_source_can_be_shuffled() {
    let csv = (0..50).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    let objects = (0..50).map(|n| format!("{{\"x\": {n}}}")).collect::<Vec<_>>().join("\n");
    for source in ["csv = \"d.csv\"", "jsonl = \"d.jsonl\"", "lines = \"lines\"", "glob = \"f/*\""]
    {
        let mut files = Files::inputs(&format!("{source}\nshuffle = 1"))
            .file("d.csv", format!("x\n{csv}"))
            .file("d.jsonl", &objects)
            .file("lines", &csv);
        for n in 0..50 {
            files = files.file(&format!("f/{n:02}"), "");
        }
        let shuffled = files.rows();
        let mut sorted = shuffled.clone();
        sorted.sort_by_key(|row| row.trim_start_matches("f/").parse::<u64>().unwrap());
        assert_ne!(shuffled, sorted, "{source}");
        let plain = files.set("inputs.where=\"'a' != 'b'\"");
        assert_eq!(plain.rows(), shuffled, "{source}");
        assert_eq!(sorted.len(), 50, "{source}");
    }
}

#[test]
fn a_file_that_is_bad_while_running_says_where() {
    let files = Files::inputs("csv = \"d.csv\"").file("d.csv", "x,y\n1,2\n3\n4,5\n");
    assert_eq!(files.rows(), ["1|2", "bad: `d.csv` line 3: expected 2 columns, found 1", "4|5"]);
    let files = Files::inputs("jsonl = \"d.jsonl\"").file("d.jsonl", "{\"a\": 1}\n7\n");
    assert_eq!(files.rows(), ["1", "bad: `d.jsonl` line 2: expected an object, found a number"]);
}

#[test]
fn without_inputs_there_is_one_task() {
    let files = Files::new(SLEEP);
    assert_eq!(files.rows(), [""]);
    assert_eq!(files.plan().inputs.tasks(), Some(1));
    assert!(files.plan().fields.is_empty());
    let mut limited = Files::new(SLEEP);
    limited.overrides.limit = Some(5);
    assert_eq!(limited.rows(), [""]);
}
