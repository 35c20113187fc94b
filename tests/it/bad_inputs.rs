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
    let misspelt = csv("delimitor = \";\"").file("job.toml", "[inputs]\ncsv = { fiel = \"a.csv\", delimitor = \";\" }\n[workload.sleep]\nduration = \"0s\"\n").run();
    misspelt.exit(2).stderr_has("did you mean `file` by `fiel`?");
    misspelt.stderr_has("did you mean `delimiter`?");
    assert!(!misspelt.stderr().contains("unknown key `fiel`"), "{}", misspelt.stderr());
}

#[test]
fn any_source_of_a_matrix_may_be_empty_if_that_is_ok() {
    for matrix in [
        "{ k = [1, 2], f = { glob = \"none*\" } }",
        "{ f = { glob = \"none*\" }, k = [1, 2] }",
        "{ f = { csv = \"b.csv\" }, g = { csv = \"a.csv\" } }",
        "{ k = [1, 2], f = [] }",
    ] {
        let empty = |empty: &str| {
            job(&format!("matrix = {matrix}\nempty = \"{empty}\""))
                .file("a.csv", "a\n")
                .file("b.csv", "b\n1\n")
                .run()
        };
        empty("ok").exit(0);
        assert!([Some(2), Some(4)].contains(&empty("told").output.status.code()), "{matrix}");
    }
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

/// Makes an .xlsx file with a chart sheet in front of these rows.
pub const XLSX: &str = r#"
import sys, zipfile
path, rows = sys.argv[1:]
main = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main'
office = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
links = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s</Relationships>'
link = lambda n, kind, target: '<Relationship Id="r%d" Type="%s/%s" Target="%s"/>' % (n, office, kind, target)
with zipfile.ZipFile(path, 'w') as book:
    book.writestr('[Content_Types].xml', '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>')
    book.writestr('_rels/.rels', links % link(1, 'officeDocument', 'xl/workbook.xml'))
    book.writestr('xl/workbook.xml', '<workbook xmlns="%s" xmlns:r="%s"><sheets><sheet name="Chart" sheetId="1" r:id="r1"/>'
        '<sheet name="A&amp;B" sheetId="2" r:id="r2"/></sheets></workbook>' % (main, office))
    book.writestr('xl/_rels/workbook.xml.rels', links % (link(1, 'chartsheet', 'chartsheets/sheet1.xml')
        + link(2, 'worksheet', 'worksheets/sheet1.xml') + link(3, 'styles', 'styles.xml') + link(4, 'sharedStrings', 'sharedStrings.xml')))
    book.writestr('xl/chartsheets/sheet1.xml', '<chartsheet xmlns="%s"><sheetViews/></chartsheet>' % main)
    book.writestr('xl/worksheets/sheet1.xml', '<worksheet xmlns="%s"><sheetData>%s</sheetData></worksheet>' % (main, rows))
    book.writestr('xl/styles.xml', '<styleSheet xmlns="%s"><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="46"/></cellXfs></styleSheet>' % main)
    book.writestr('xl/sharedStrings.xml', '<sst xmlns="%s"><si><t>a</t></si><si><t>b</t></si></sst>' % main)
"#;

#[test]
fn a_cell_has_its_place_whatever_the_order_and_none_is_there_twice() {
    let row = |row: u32, cells: &[(&str, u32)]| {
        let cell =
            |(column, value): &(&str, u32)| format!("<c r=\"{column}{row}\"><v>{value}</v></c>");
        format!("<row r=\"{row}\">{}</row>", cells.iter().map(cell).collect::<String>())
    };
    let rows = [
        row(2, &[("A", 1), ("B", 2)]),
        row(2, &[("A", 3)]),
        row(5, &[("B", 9)]),
        row(4, &[("B", 6), ("A", 5)]),
        row(3, &[("A", 7), ("A", 8), ("B", 8)]),
        row(5, &[("A", 4)]),
    ];
    let rows =
        format!("<row><c t=\"s\"><v>0</v></c><c t=\"s\"><v>1</v></c></row>{}", rows.concat());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.xlsx");
    assert_eq!(crate::support::python(XLSX, [path.as_os_str(), rows.as_ref()]), "");
    let ran = job("sheet = \"book.xlsx\"").file("book.xlsx", std::fs::read(&path).unwrap()).run();
    ran.exit(3).rows("a,b,status", &[",,failed", ",,failed", "5,6,ok", "4,9,ok"]);
    let errors = ran.report().column("error");
    assert!(errors[0].ends_with("row 2: cell A2 is there twice"), "{}", errors[0]);
    assert!(errors[1].ends_with("row 3: cell A3 is there twice"), "{}", errors[1]);
}

#[test]
fn a_cell_that_cannot_be_used_costs_its_row() {
    let cells = [
        ("s=\"1\"", "-18124"),
        ("s=\"1\"", "1E7"),
        ("s=\"2\"", "-0.0625"),
        ("s=\"2\"", "1E400"),
        ("", "9007199254740993"),
        ("", "1,5"),
        ("t=\"e\"", "#SPILL!"),
        ("t=\"s\"", "99"),
        ("t=\"s\"", "1"),
    ];
    let cell = |(row, (attributes, value)): (u32, (&str, &str))| {
        format!("<row r=\"{row}\"><c r=\"A{row}\" {attributes}><v>{value}</v></c></row>")
    };
    let rows: Vec<String> = (2..).zip(cells).map(cell).collect();
    let rows = format!("<row><c t=\"s\"><v>0</v></c></row>{}", rows.concat());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.xlsx");
    assert_eq!(crate::support::python(XLSX, [path.as_os_str(), rows.as_ref()]), "");
    let book = std::fs::read(&path).unwrap();
    let ran = job("sheet = \"book.xlsx\"").file("book.xlsx", &book).run();
    ran.exit(3).rows(
        "a,status",
        &[
            "1850-05-17,ok",
            ",failed",
            "'-1:30:00,ok",
            ",failed",
            "9007199254740993,ok",
            ",failed",
            ",failed",
            ",failed",
            "b,ok",
        ],
    );
    let errors: Vec<_> =
        ran.report().column("error").into_iter().filter(|error| !error.is_empty()).collect();
    let said = [
        "cell A3 holds `10000000`",
        "cell A5 holds `1E400`",
        "cell A7 holds `1,5`",
        "cell A8 is the error #SPILL!",
        "cell A9 refers to text 99",
    ];
    assert_eq!(errors.len(), said.len(), "{errors:?}");
    for (error, said) in errors.iter().zip(said) {
        assert!(error.contains(said), "{error}");
    }
    let chart = "sheet = { file = \"book.xlsx\", sheet = \"Chart\" }";
    let ran = job(chart).file("book.xlsx", &book).run();
    ran.exit(2).stderr_has("is a chart or a dialog, not a table: its only sheet is `A&B`");
}

/// Makes an .xlsb file with these records, each a kind and the hexadecimal digits of its data, as cells.
const XLSB: &str = r#"
import sys, zipfile
path, records = sys.argv[1:]
def record(kind, data=b''):
    head = bytes([kind & 127 | 128, kind >> 7]) if kind > 127 else bytes([kind])
    length = bytes([len(data) & 127 | 128, len(data) >> 7]) if len(data) > 127 else bytes([len(data)])
    return head + length + data
text = lambda s: len(s).to_bytes(4, 'little') + s.encode('utf-16-le')
cells = b''.join(record(int(kind, 16), bytes.fromhex(data)) for kind, data in (word.split(':') for word in records.split()))
with zipfile.ZipFile(path, 'w') as book:
    link = '<Relationship Id="r1" Type="worksheet" Target="worksheets/sheet1.bin"/>'
    book.writestr('xl/_rels/workbook.bin.rels', '<Relationships>%s</Relationships>' % link)
    book.writestr('xl/workbook.bin', record(0x9C, bytes(8) + text('r1') + text('S')) + record(0x90) + record(0x9D))
    book.writestr('xl/worksheets/sheet1.bin', record(0x94, bytes(16)) + record(0x91) + cells + record(0x92))
"#;

#[test]
fn no_cell_of_a_binary_workbook_is_passed_over() {
    let place = |column: u8| format!("{column:02x}00000000000000");
    let row = |row: u8| format!("0:{row:02x}000000");
    let text = |text: &str| {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        let units: Vec<_> = units.map(|byte| format!("{byte:02x}")).collect();
        let units = units.concat();
        format!("{:02x}000000{units}", text.encode_utf16().count())
    };
    let rows = [
        format!("{} 6:{}{} 3e:{}01{}00000000", row(0), place(0), text("a"), place(1), text("b")),
        // Whole numbers and errors, of no formula and of one.
        format!("{} 2:{}22000000 1:{}", row(1), place(0), place(1)),
        format!("{} 2:{}22000000 b:{}07000000", row(2), place(0), place(1)),
        format!("{} 3:{}2a 2:{}22000000", row(3), place(0), place(1)),
        format!("{} 3e:{}00{} 8:{}{}", row(4), place(0), text("rich €"), place(1), text("x")),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.xlsb");
    let book = |records: &str| {
        assert_eq!(crate::support::python(XLSB, [path.as_os_str(), records.as_ref()]), "");
        job("sheet = \"book.xlsb\"").file("book.xlsb", std::fs::read(&path).unwrap()).run()
    };
    let ran = book(&rows.join(" "));
    ran.exit(3).rows("a,b,status", &["8,,ok", ",,failed", ",,failed", "rich €,x,ok"]);
    let errors = ran.report().column("error");
    assert!(errors[1].contains("cell B3 is the error #DIV/0!"), "{errors:?}");
    assert!(errors[2].contains("cell A4 is the error #N/A"), "{errors:?}");
    // A short cell says no column.
    book(&format!("{} d:0000000022000000", rows[0])).exit(2).stderr_has("save it as .xlsx");
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

/// Several files: one that cannot be opened is a failed row, wherever it is among them.
#[test]
fn a_file_that_cannot_be_read_costs_no_other_one() {
    let foreign = b"BZh91AY&SY\x01\x02\x03\x04";
    for (source, good) in [
        ("lines", ["1\n", "2\n"]),
        ("csv", ["input\n1\n", "input\n2\n"]),
        ("jsonl", ["{\"input\":1}\n", "{\"input\":2}\n"]),
        ("json", ["[{\"input\":1}]", "[{\"input\":2}]"]),
    ] {
        for names in [["a", "b", "c"], ["b", "a", "c"], ["c", "a", "b"]] {
            for shuffle in ["", "\nshuffle = 1"] {
                let files = |more: &str| {
                    let text = format!(
                        "[inputs]\n{source} = \"*.in\"{shuffle}{more}\n[workload.command]\nargv = [\"echo\", \"{{input}}\"]\n"
                    );
                    TestJob::new(&text)
                        .file(format!("{}.in", names[0]), foreign)
                        .file(format!("{}.in", names[1]), good[0])
                        .file(format!("{}.in", names[2]), good[1])
                };
                let ran = files("").run();
                let mut rows = ran.exit(3).report().select("result,status");
                rows.sort();
                assert_eq!(rows, [",failed", "1,ok", "2,ok"], "{source} {names:?}");
                let errors = ran.report().column("error");
                let error = errors.iter().find(|error| !error.is_empty()).unwrap();
                assert!(error.starts_with(&format!("`{}.in`: ", names[0])), "{error}");
                files("\nbad_input = \"stop\"").run().exit(2);
            }
        }
        let all = format!(
            "[inputs]\n{source} = \"*.in\"\n[workload.command]\nargv = [\"echo\", \"{{input}}\"]\n"
        );
        let none = TestJob::new(&all).file("a.in", foreign).file("b.in", foreign);
        none.run().exit(2).stderr_has("`a.in`: ");
    }
}

#[test]
fn a_file_that_is_looked_at_late_costs_no_other_one() {
    let inputs = "[inputs]\ncsv = \"d/*.csv\"\nskip = 998\n[workload.command]\nargv = [\"echo\", \"{input}\"]\n";
    let mut test = TestJob::new(inputs);
    for number in 1..=1005 {
        let table = match number {
            1002 => "input,z\n1,2\n".to_owned(),
            1003 => "BZh91AY&SY".to_owned(),
            _ => format!("input\n{number}\n"),
        };
        test = test.file(format!("d/f{number:04}.csv"), table);
    }
    let ran = test.run();
    ran.exit(3).rows("result", &["999", "1000", "1001", "", "", "1004", "1005"]);
    let errors = ran.report().column("error");
    assert!(errors[3].contains("f1002.csv`: has other columns than"), "{}", errors[3]);
    assert!(errors[4].starts_with("`d/f1003.csv`: "), "{}", errors[4]);
}
