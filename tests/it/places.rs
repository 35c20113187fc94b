//! What is blank in a source of `zip` is a place beside those of the others, as `paste` and `parallel --link` have it.

use crate::support::{Ran, TestJob, python};

fn zip(sources: &str, echo: &str) -> TestJob {
    TestJob::new(&format!(
        "[inputs]\nzip = {{ {sources} }}\n[workload.command]\nargv = [\"printf\", \"%s\", \"[{echo}]\"]\n"
    ))
    .file("a.txt", "x\n\nz\n")
    .file("b.txt", "1\n2\n\n")
    .file("a.csv", "id,n\r\n1,a\r\n,\r\n\r\n3,c\r\n")
    .file("b.csv", "# p\np,q\n10,u\n20,v\n# one more\n30,w\n\n\n")
    .file("c.csv", "\n5\n\n7\n8\n")
    .file("a.jsonl", "{\"k\":1}\n\n{}\n{\"k\":4}\n")
    .file("a.json", "[{\"k\":1}, {}, {\"k\":3}]")
}

fn result(ran: &Ran, rows: &[&str]) {
    ran.exit(0).rows("result", rows);
}

#[test]
fn a_blank_one_is_a_place() {
    let (a, b) = ("a = { lines = \"a.txt\" }", "b = { lines = \"b.txt\" }");
    result(&zip(&format!("{a}, {b}"), "{a}{b}").run(), &["[x1]", "[2]", "[z]"]);
    result(&zip(&format!("{b}, {a}"), "{a}{b}").run(), &["[x1]", "[2]", "[z]"]);
    let tables = "a = { csv = \"a.csv\" }, b = { csv = { file = \"b.csv\", comments = \"#\" } }";
    result(&zip(tables, "{id}={p}").run(), &["[1=10]", "[=20]", "[=30]", "[3=]"]);
    let unnamed = "c = { csv = { file = \"c.csv\", header = false } }";
    result(
        &zip(&format!("{unnamed}, n = [1, 2, 3, 4, 5]"), "{n}{c}").run(),
        &["[1]", "[25]", "[3]", "[47]", "[58]"],
    );
    let objects = "a = { jsonl = \"a.jsonl\" }, n = [1, 2, 3, 4]";
    result(&zip(objects, "{n}{a}").run(), &["[11]", "[2]", "[3]", "[44]"]);
    let objects = "n = [1, 2, 3], a = { json = \"a.json\" }";
    result(&zip(objects, "{n}{a}").run(), &["[11]", "[2]", "[33]"]);
    let groups = "a = { lines = { file = \"a.txt\", regex = '(?P<g>\\w)' } }, n = [1, 2, 3]";
    result(&zip(groups, "{n}{a}").run(), &["[1x]", "[2]", "[3z]"]);
}

#[test]
fn blank_ones_at_the_end_are_none_unless_another_is_beside_them() {
    let b = "b = { lines = \"b.txt\" }";
    result(&zip(&format!("{b}, n = [1, 2]"), "{n}{b}").run(), &["[11]", "[22]"]);
    result(&zip(&format!("n = [1, 2], {b}"), "{n}{b}").run(), &["[11]", "[22]"]);
    result(&zip(&format!("{b}, n = [1, 2, 3]"), "{n}{b}").run(), &["[11]", "[22]", "[3]"]);
    result(&zip(&format!("n = [1, 2, 3], {b}"), "{n}{b}").run(), &["[11]", "[22]", "[3]"]);
    zip(&format!("n = [1, 2, 3, 4], {b}"), "{n}{b}").run().exit(2).stderr_has("`b` has 3 values");
    let ran = zip(&format!("{b}, n = [1, 2, 3, 4]"), "{n}{b}").run();
    ran.exit(2).stderr_has("`b` has 3 inputs, `n` has 4");
    let many = format!("x\n{}y\n", "\n".repeat(100));
    let ran = zip("m = { lines = \"m.txt\" }, n = [1, 2]", "{m}{n}").file("m.txt", many).run();
    ran.exit(2).stderr_has("`n` has 2 inputs, `m` has more").rows("result", &["[x1]", "[2]"]);
}

#[test]
fn what_is_said_of_blank_lines_goes_first() {
    let skip = |name: &str| {
        format!("{name} = {{ lines = {{ file = \"{name}.txt\", blank = \"skip\" }} }}")
    };
    let ran = zip(&format!("{}, {}", skip("a"), skip("b")), "{a}{b}").run();
    result(&ran, &["[x1]", "[z2]"]);
    let keep = "b = { lines = { file = \"b.txt\", blank = \"keep\" } }, n = [1, 2]";
    zip(keep, "{n}{b}").run().exit(2).stderr_has("not equally long");
    let words = "a = { lines = { file = \"a.txt\", words = true } }, n = [1, 2]";
    result(&zip(words, "{n}{a}").run(), &["[1x]", "[2z]"]);
}

#[test]
fn an_empty_row_of_a_sheet_is_a_place() {
    let cell = |place: &str, value: u32| format!("<c r=\"{place}\"><v>{value}</v></c>");
    let row = |number: u32, value: u32| {
        format!("<row r=\"{number}\">{}</row>", cell(&format!("A{number}"), value))
    };
    let rows = format!(
        "<row r=\"2\"><c r=\"A2\" t=\"s\"><v>0</v></c></row>{}{}{}",
        row(3, 7),
        row(5, 8),
        row(6, 9)
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.xlsx");
    assert_eq!(python(crate::bad_inputs::XLSX, [path.as_os_str(), rows.as_ref()]), "");
    let book = std::fs::read(&path).unwrap();
    let ran = zip("s = { sheet = \"book.xlsx\" }, n = [1, 2, 3, 4]", "{n}{s}");
    result(&ran.file("book.xlsx", &book).run(), &["[17]", "[2]", "[38]", "[49]"]);
}
