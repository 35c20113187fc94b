//! Tables in all their dialects, compared cell by cell with what Python's csv reads, and pandas and openpyxl where they
//! are installed.

use std::path::Path;

use crate::support::{TestJob, python};

/// Writes tables into the folder `sys.argv[1]`: random cells in every dialect.
const MAKE: &str = r##"
import csv, glob, io, os, random, sys
folder = sys.argv[1]
random.seed(7)
ALPHABET = ["a", "b", "ß", "数", " ", "'", '"', ",", ";", "\t", "|", "\n", "1", "-", "=", "#", "."]
def cell(quotes):
    text = "".join(random.choice(ALPHABET) for _ in range(random.randint(1, 8)))
    return text if quotes else text.replace('"', "").replace("\n", " ")
def write(name, text, encoding="utf-8", options=""):
    with open(f"{folder}/{name}.csv", "wb") as file:
        file.write(text.encode(encoding))
    with open(f"{folder}/{name}.toml", "w") as file:
        file.write(f'[inputs]\ncsv = {{ file = "{name}.csv"{options} }}\n[workload.sleep]\nduration = "0s"\n'
                   '[report]\nformula_safe = false\n')
number = 0
for delimiter in [",", ";", "\t", "|"]:
    for quoting in [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]:
        for ending in ["\n", "\r\n"]:
            for encoding in ["utf-8", "utf-8-sig", "utf-16"]:
                out = io.StringIO(newline="")
                writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=ending)
                width = random.randint(2, 6)
                writer.writerow([f"name{n}" for n in range(width)])
                for _ in range(random.randint(0, 30)):
                    writer.writerow([cell(True) for _ in range(width)])
                write(f"t{number:02}", out.getvalue(), encoding)
                number += 1
out = io.StringIO(newline="")
csv.writer(out, escapechar="\\", doublequote=False).writerows([["a", "b"], ['x"y', "1\\2"], ["c,d", "\n"]])
write("escaped", out.getvalue(), options=", escape = '\\'")
print(number + 1)
"##;

/// Compares every report in `sys.argv[1]` with what Python's csv reads of its table.
const COMPARE: &str = r#"
import csv, glob, os, sys
folder = sys.argv[1]
csv.field_size_limit(1 << 30)
wrong, compared = [], 0
for table in sorted(glob.glob(folder + "/*.csv")):
    name = os.path.basename(table)[:-4]
    raw = open(table, "rb").read()
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    header = raw.decode(encoding).split("\n")[0]
    delimiter = next(d for d in [";", "\t", "|", ","] if d in header)
    escape = {"escapechar": "\\", "doublequote": False} if name == "escaped" else {}
    with open(table, encoding=encoding, newline="") as file:
        rows = [row for row in csv.reader(file, delimiter=delimiter, strict=True, **escape) if any(row)]
    report = f"{folder}/results/{name}.csv"
    if not os.path.exists(report):
        if len(rows) > 1: wrong.append((name, "no report"))
        continue
    with open(report, encoding="utf-8", newline="") as file:
        ours = list(csv.reader(file, strict=True))
    width = len(rows[0])
    cells = [row[1:1 + width] for row in ours]
    if cells != rows:
        wrong.append((name, next(((a, b) for a, b in zip(rows, cells) if a != b), (len(rows), len(cells)))))
    compared += 1
print(wrong if wrong else "all equal", "of", compared)
"#;

#[test]
fn cells_are_those_that_python_reads() {
    let test = TestJob::empty();
    let folder = test.folder().to_str().unwrap().to_owned();
    let made: usize = python(MAKE, [&folder]).trim().parse().unwrap();
    assert!(made > 50, "{made} tables");
    let mut jobs: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|ext| ext == "toml"))
        .collect();
    jobs.sort();
    let ran = test.args(jobs.iter().map(String::as_str)).run();
    let said = python(COMPARE, [&folder]);
    assert!(said.starts_with("all equal of "), "{said}\n{}", ran.stderr());
}

/// Makes a table, and a workbook of it if openpyxl is there; says what could be made.
const WORKBOOK: &str = r#"
import datetime, sys
try:
    import openpyxl
except ImportError:
    print("openpyxl is not installed"); sys.exit()
book = openpyxl.Workbook()
sheet = book.active
sheet.title = "First"
sheet.append(["id", "name", "when", "ok", None])
sheet.append([1, "Ann", datetime.datetime(2024, 1, 31, 12, 30), True])
sheet.append([None, None, None, None])
sheet.append([2.5, "007", datetime.date(2024, 2, 1), False])
book.create_sheet("Other").append(["x"])
book.save(sys.argv[1])
print("made")
"#;

#[test]
fn a_workbook_is_a_table() {
    let book = "[inputs]\nsheet = \"book.xlsx\"\n[workload.command]\nargv = [\"echo\", \"{id}\"]\n";
    let test = TestJob::new(book);
    let path = test.folder().join("book.xlsx");
    let said = python(WORKBOOK, [&path]);
    if said.trim() != "made" {
        eprintln!("skipped: {}", said.trim());
        return;
    }
    let ran = test.run();
    ran.exit(0).rows(
        "id,name,when,ok,result",
        &["1,Ann,2024-01-31 12:30:00.000,true,1", "2.5,007,2024-02-01,false,2.5"],
    );
    let ran =
        TestJob::again(ran).args(["job.toml", "--fresh", "--set", "inputs.sheet.sheet=Nope"]).run();
    ran.exit(2).stderr_has("its sheets are `First`, `Other`");
}
