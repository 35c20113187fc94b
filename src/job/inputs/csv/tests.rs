use proptest::prelude::*;

use super::*;
use crate::job::inputs::records::{Records, Stream};
use crate::job::inputs::text::TextOptions;
use crate::job::inputs::text::tests::text;

fn open_with(bytes: impl AsRef<[u8]>, options: &CsvOptions) -> Result<Rows, InputError> {
    Rows::new(text(bytes.as_ref(), TextOptions::default())?, options)
}

/// The header and the rows, cells joined by `|`; what is wrong with a row in words.
fn rows_with(bytes: impl AsRef<[u8]>, options: &CsvOptions) -> Vec<String> {
    let rows = match open_with(bytes, options) {
        Ok(rows) => rows,
        Err(error) => return vec![error.to_string()],
    };
    let header = rows.header().join("|");
    let shown = |row: Result<Fields, InputError>| {
        let row = row.unwrap();
        let cells: Vec<_> = row.iter().map(String::from_utf8_lossy).collect();
        row.cause().map_or(cells.join("|"), str::to_owned)
    };
    [header].into_iter().chain(Stream::new(Box::new(rows)).map(shown)).collect()
}

fn rows(bytes: impl AsRef<[u8]>) -> Vec<String> {
    rows_with(bytes, &CsvOptions::default())
}

#[test]
fn tables_are_read_as_people_have_them() {
    for (table, expected) in [
        ("\u{feff}a,b\r\n1,\"x,\"\"y\nz\"\r\n,2\r\n", &["a|b", "1|x,\"y\nz", "|2"][..]),
        ("id;name\n1;\"Müller; Söhne\"\n2;3,5 kg\n", &["id|name", "1|Müller; Söhne", "2|3,5 kg"]),
        ("sep=|\na|b,c\n1|2\n", &["a|b,c", "1|2"]),
        ("\"sep=;\"\r\na;b\r\n1;2\r\n", &["a|b", "1|2"]),
        (" a , ,a\n1, 2 ,3\n", &["a|column_2|a_2", "1| 2 |3"]),
        ("a,b\n\n1,2\n,\n   \n,,,\n3,4", &["a|b", "1|2", "3|4"]),
        ("a\n1\n\n\"\"\n2\n", &["a", "1", "2"]),
        ("a\n1\n\" \"\n   \n\"\n\"\n2\n", &["a", "1", " ", "\n", "2"]),
        ("a,b\r1,2\r3,4\r", &["a|b", "1|2", "3|4"]),
        ("\n\na,b\n1,2\n", &["a|b", "1|2"]),
    ] {
        assert_eq!(rows(table), expected, "{table:?}");
    }
}

#[test]
fn a_row_that_cannot_be_used_says_where_and_why() {
    for (table, line, said) in [
        ("a,b\n1,2\n\"3\n\",4,5\n6,7\n", 3, "expected 2 columns, found 3"),
        ("a,b\n1,2\n\"say \"hi\"\",4\n6,7\n", 3, "`quotes = false`"),
        ("a,b\n1,2\n\"a\\\"b\",4\n6,7\n", 3, "set `escape = '\\'`"),
    ] {
        let rows = rows(table);
        assert_eq!((&rows[1][..], &rows[3][..]), ("1|2", "6|7"), "{table}");
        assert!(rows[2].starts_with(&format!("standard input line {line}: ")), "{}", rows[2]);
        assert!(rows[2].contains(said), "{}", rows[2]);
    }
    for (table, line) in [("a,b\n1,2\n3,\"4\n5,6\n", 3), ("a,b\n1,2\n\"3\n\",\"4\n5,6", 4)] {
        let rows = rows(table);
        assert_eq!(rows.len(), 3, "{rows:?}");
        let said = format!("standard input line {line}: a quote opens here and is never closed");
        assert!(rows[2].starts_with(&said), "{}", rows[2]);
    }
    let last = rows("a,b\n1,2\n3,4\nTotal: 2\n\n");
    assert!(last[3].contains("the last line has 1 column where all others have 2"), "{last:?}");
}

#[test]
fn options_say_what_a_table_is_like() {
    let options = CsvOptions::default;
    let given = Header::Given(vec!["x".into(), "y".into()]);
    for (table, options, expected) in [
        (
            "1;2\n3;4\n",
            CsvOptions { header: Header::None, ..options() },
            &["column_1|column_2", "1|2", "3|4"][..],
        ),
        ("1;2\n", CsvOptions { header: given, ..options() }, &["x|y", "1|2"]),
        (
            "t\n\nn\na:b\n1:2\n",
            CsvOptions { delimiter: Some(b':'), skip_lines: 3, ..options() },
            &["a|b", "1|2"],
        ),
        (
            "# a;b;c\na,b\n# 1\n1,2\n",
            CsvOptions { comments: Some("#".into()), ..options() },
            &["a|b", "1|2"],
        ),
        ("a , b\n 1 , \"x, y\" \n", CsvOptions { trim: true, ..options() }, &["a|b", "1|x, y"]),
        ("a,b\n\"1,2\"\n", CsvOptions { no_quotes: true, ..options() }, &["a|b", "\"1|2\""]),
        (
            "a,b\n\"x\\\"y\",1\\,2\n",
            CsvOptions { escape: Some(b'\\'), ..options() },
            &["a|b", "x\"y|1,2"],
        ),
        ("", CsvOptions { header: Header::None, ..options() }, &[""]),
        (
            "a;b,c\n1,2;3\n",
            options(),
            &["standard input: `,` and `;` split its header into 2 columns each: set `delimiter`"],
        ),
    ] {
        assert_eq!(rows_with(table, &options), expected, "{table:?}");
    }
    assert_eq!(rows(""), [""]);
    assert!(rows(b"a,\xff\n")[0].contains("the name of column 2 is not UTF-8"));
}

#[test]
fn a_row_without_an_end_does_not_fill_the_memory() {
    let mut table = b"a\n1\n\"".to_vec();
    table.resize(LONGEST + (1 << 20), b'\n');
    let rows = rows(&table);
    assert_eq!(rows.len(), 3);
    assert!(
        rows[2].starts_with("standard input line 3: a row that starts here is longer"),
        "{}",
        rows[2]
    );
}

#[test]
fn a_row_is_found_again() {
    let mut rows = open_with("a\n1\n22\n333\n", &CsvOptions::default()).unwrap();
    let mut positions = Vec::new();
    loop {
        positions.push(rows.position());
        if rows.next_record().is_none() {
            break;
        }
    }
    for (index, expected) in [(2, "333"), (0, "1"), (1, "22")] {
        rows.seek(positions[index]).unwrap();
        assert_eq!(rows.next_record().unwrap().unwrap(), Fields::single(expected));
    }
}

proptest! {
    #[test]
    fn what_the_csv_crate_writes_comes_back(
        cells in prop::collection::vec(prop::array::uniform2("[a,\"\n\r;= ä]{1,6}"), 0..12)
    ) {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["x", "y"]).unwrap();
        for row in &cells {
            writer.write_record(row).unwrap();
        }
        let options = CsvOptions { delimiter: Some(b','), ..CsvOptions::default() };
        let rows = open_with(writer.into_inner().unwrap(), &options).unwrap();
        let back: Vec<Fields> = Stream::new(Box::new(rows)).map(Result::unwrap).collect();
        let expected: Vec<Fields> = cells.iter().map(|row| row.iter().collect()).collect();
        prop_assert_eq!(back, expected);
    }
}

#[test]
fn a_row_that_goes_wrong_ends_where_its_cells_do() {
    for (table, expected) in [
        // Line breaks in a cell after the one that goes wrong.
        ("a,b,c\n\"say \"hi\"\",\"x\ny\",3\n4,5,6\n", &["4|5|6"][..]),
        ("a,b\n\"x\"y,\"1\n,2\n\"\n4,5\n", &["4|5"]),
        // There is no telling: it ends with its line.
        ("a,b\n\"x\"y,\"1\n4,5\n6,7\n", &["4|5", "6|7"]),
        ("a,b\n\"x\"y\n4,5\n", &["4|5"]),
        ("a\n\"x\"y\n4\n", &["4"]),
    ] {
        let rows = rows(table);
        assert!(rows[1].starts_with("standard input line 2: a cell goes on"), "{}", rows[1]);
        assert_eq!(&rows[2..], expected, "{table:?}");
    }
}
