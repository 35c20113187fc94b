//! Inputs that cannot be used, and job files that ask for what is not there: each is said clearly, at its place.

use crate::support::TestJob;

/// Runs `true` for each input.
fn job(inputs: &str) -> TestJob {
    TestJob::new(&format!("[inputs]\n{inputs}\n[workload.sleep]\nduration = \"0s\"\n"))
}

/// A mistake of the job file: what it says, and the line and column that it names.
fn mistake(test: TestJob, said: &str, place: &str) {
    let ran = test.run();
    ran.exit(2).stderr_has(said).stderr_has(&format!("--> job.toml:{place}"));
}

#[test]
fn an_option_that_cannot_be_is_a_mistake_at_its_place() {
    let csv = |options: &str| {
        job(&format!("csv = {{ file = \"a.csv\", {options} }}")).file("a.csv", "a,b\n1,2\n")
    };
    mistake(csv("delimiter = \";;\""), "must be one ASCII character", "2:37");
    mistake(csv("encoding = \"latin-7\""), "`latin-7` is not a known encoding", "2:36");
    mistake(csv("delimeter = \";\""), "did you mean `delimiter`?", "2:25");
    mistake(job("csv = \".\""), "is a directory", "2:7");
    mistake(job("csv = \"no.csv\""), "no such file or directory", "2:7");
    mistake(job("sheet = \"a.csv\"").file("a.csv", "a\n1\n"), "`csv` reads tables of text", "2:9");
    mistake(job("csv = \"a.csv\"").file("a.csv", ""), "has no header row", "2:7");
    let regex = job("lines = { file = \"a\", regex = 'a(b)' }").file("a", "ab\n");
    mistake(regex, "`(?P<name>…)`", "2:31");
    let empty = job("matrix = { n = [1], f = { lines = \"a\" } }").file("a", "");
    mistake(empty, "`f` is empty, so there is no combination", "2:21");
}

#[test]
fn a_document_without_that_array_says_what_it_has() {
    let json = |at: &str| {
        job(&format!("json = {{ file = \"d\", at = \"{at}\" }}"))
            .file("d", r#"{"a": {"b": [1], "c~/": []}, "n": 3}"#)
    };
    mistake(json("/n"), "`/n` is a number, not an array", "2:27");
    mistake(json("/a"), "set `at` to \"/a/b\" or \"/a/c~0~1\"", "2:27");
    mistake(
        json("/x"),
        "the document has no `x`, which `at = \"/x\"` names: it has `a`, `n`",
        "2:27",
    );
    mistake(
        json("/a/x"),
        "`/a` has no `x`, which `at = \"/a/x\"` names: it has `b`, `c~/`",
        "2:27",
    );
    mistake(json("a.b"), "write `at = \"/a/b\"`", "2:27");
    mistake(job("json = \"d\"").file("d", ""), "has no document", "2:8");
}

#[test]
fn a_field_that_needs_itself_is_one_mistake() {
    let text = "[inputs]\nvalues = [1]\nwhere = \"x > 0\"\n[fields.x]\nvalue = \"{x}a\"\n\
                [workload.command]\nargv = [\"echo\", \"{x}\"]\n";
    let ran = TestJob::new(text).run();
    ran.exit(2).stderr_has("the field `x` needs itself").stderr_has("--> job.toml:4:9");
    assert!(!ran.stderr().contains("unknown field"), "{}", ran.stderr());
}

#[test]
fn check_says_that_an_exact_name_wins_over_syntax() {
    let text = "[inputs]\ncsv = \"in.csv\"\n[fields.made]\nvalue = \"{a:b}\"\n[workload.command]\n\
                argv = [\"printf\", \"%s|\", \"{km/h}\", \"{a:b}\", \"{env.x}\", \"{tasks}\", \"{id}\"]\n";
    let ran = TestJob::new(text).file("in.csv", "id,tasks,km/h,a:b,env.x\n1,2,3,4,5\n").run();
    ran.exit(0).rows("made,result", &["4,3|4|5|2|1|"]);
    assert_eq!(ran.stderr(), "");
    let ran = TestJob::again(ran).args(["check", "job.toml"]).run();
    ran.exit(0)
        .stderr_has("`{km/h}` is the field `km/h`, not what stands at `h` in the JSON of `km`")
        .stderr_has("--> job.toml:4:10")
        .stderr_has("`{a:b}` is the field `a:b`")
        .stderr_has("not the environment variable `x`")
        .stderr_has("not the number of tasks");
    assert!(!ran.stderr().contains("`{id}`"));
}

#[test]
fn the_fields_of_objects_are_those_of_the_report_that_is_resumed() {
    for (source, open, between, close) in [("jsonl", "", "\n", "\n"), ("json", "[", ",", "]")] {
        let text = |objects: &[&str]| format!("{open}{}{close}", objects.join(between));
        let old = [r#"{"a": 1, "status": "x", "b": 2}"#, r#"{"a": 3, "status": "y", "b": 4}"#];
        let inputs = format!("{source} = \"in.json\"");
        let ran = job(&inputs).file("in.json", text(&old)).run();
        ran.exit(0).rows("a,input_status,b,status", &["1,x,2,ok", "3,y,4,ok"]);
        // Another order of keys, one key more and one less in the sample.
        let new = [r#"{"new": 5, "status": "y", "a": 3, "b": 4}"#, r#"{"status": "x", "a": 9}"#];
        let again = TestJob::again(ran).file("in.json", text(&new)).args(["job.toml", "--resume"]);
        let ran = again.run();
        ran.exit(0)
            .rows("a,input_status,b,status", &["3,y,4,ok", "9,x,,ok"])
            .stderr_has("the key `new` is not a field");
        assert!(ran.summary("job")["reason"].contains("resumed: 1 of 2 kept"));
        let ran = TestJob::again(ran).args(["job.toml", "--fresh"]).run();
        ran.exit(0).rows("new,input_status,a,b", &["5,y,3,4", ",x,9,"]);
    }
}

#[test]
fn a_workbook_that_would_fill_the_memory_is_refused() {
    let script = r#"
import sys, zipfile
kind, path = sys.argv[1:]
cell = lambda n, v: '<table:table-cell table:number-columns-repeated="%d" office:value-type="string"><text:p>%s</text:p></table:table-cell>' % (n, v)
row = lambda n, c: '<table:table-row table:number-rows-repeated="%d">%s</table:table-row>' % (n, c)
body = row(1, cell(1, 'a') + cell(1, 'b')) + {
    'fine': row(2, cell(1, '1') + cell(1, '2')) + row(1048000, '<table:table-cell table:number-columns-repeated="1024"/>'),
    'wide': row(1, cell(16384, 'x')) * 4000,
    'long': row(1048000, cell(50, 'x')),
}[kind]
names = ' '.join('xmlns:%s="urn:oasis:names:tc:opendocument:xmlns:%s:1.0"' % (n, n) for n in ('office', 'table', 'text'))
with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as book:
    book.writestr('mimetype', 'application/vnd.oasis.opendocument.spreadsheet', zipfile.ZIP_STORED)
    book.writestr('META-INF/manifest.xml', '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>')
    book.writestr('content.xml', '<?xml version="1.0"?><office:document-content %s><office:body><office:spreadsheet><table:table table:name="S">%s</table:table></office:spreadsheet></office:body></office:document-content>' % (names, body))
"#;
    let book = |kind: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.ods");
        assert_eq!(crate::support::python(script, [kind.as_ref(), path.as_os_str()]), "");
        job("sheet = \"book.ods\"").file("book.ods", std::fs::read(&path).unwrap()).run()
    };
    book("fine").exit(0).rows("a,b", &["1,2", "1,2"]);
    for kind in ["wide", "long"] {
        book(kind).exit(2).stderr_has("cells that are far away");
    }
}

#[test]
fn a_damaged_workbook_is_said_to_be_one() {
    let mut bytes = vec![0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    bytes.resize(4096, 0xff);
    let ran = job("sheet = \"a.xls\"").file("a.xls", bytes).run();
    ran.exit(2).stderr_has("`a.xls`: is").stderr_has("workbook");
    assert!(!ran.stderr().contains("panicked"), "{}", ran.stderr());
}

#[test]
fn a_pipe_that_says_nothing_ends_with_a_signal() {
    for (inputs, signal, code) in [("blocks = \"-\"", 15, 143), ("lines = \"-\"", 2, 130)] {
        let mut running = job(inputs).spawn();
        running.wait_for_file("results/job.csv.partial", |_| true);
        running.signal(signal);
        // Its standard input stays open meanwhile.
        let end =
            crate::support::wait_until("the runner ends", || running.child.try_wait().unwrap());
        assert_eq!(end.code(), Some(code), "{inputs}");
    }
}
