//! The columns of a report, and how a single cell is written in its dialect.

use std::collections::HashSet;

use crate::config::ReportSettings;
use crate::csv::{Dialect, number};
use crate::job::Job;

/// The fixed columns before the input's fields.
pub const COLUMNS_BEFORE: [&str; 1] = ["task"];

/// The fixed columns between the input's fields and `[columns]`.
const COLUMNS_AFTER: [&str; 12] = [
    "status",
    "attempts",
    "started_utc",
    "queue_s",
    "run_s",
    "cpu_user_s",
    "cpu_sys_s",
    "peak_rss_bytes",
    "slot",
    "code",
    "result",
    "output_bytes",
];

/// In a job with `[[stages]]`, behind `status`: the stage in which the task ended.
pub const COLUMN_OF_STAGES: &str = "stage";

/// In a job with `[[stages]]`, in the place of `queue_s` and `run_s`: these for every stage, behind its name and a `_`.
pub const COLUMNS_OF_A_STAGE: [&str; 3] = ["queue_s", "run_s", "attempts"];

/// The fixed columns behind `[columns]`.
pub const COLUMNS_LAST: [&str; 1] = ["error"];

/// The columns of `<job>.attempts.csv`.
pub const ATTEMPT_COLUMNS: [&str; 7] =
    ["task", "attempt", "status", "started_utc", "run_s", "code", "error"];

/// Whether every report has a column of this name.
pub fn is_report_column(name: &str) -> bool {
    COLUMNS_BEFORE.contains(&name) || COLUMNS_AFTER.contains(&name) || COLUMNS_LAST.contains(&name)
}

/// The name of a stage's column.
fn stage_columns(stage: &str) -> [String; 3] {
    COLUMNS_OF_A_STAGE.map(|column| format!("{stage}_{column}"))
}

/// Whether a report of these `[[stages]]` has a column of this name, whatever else it has.
pub fn is_column_of(name: &str, stages: &[String]) -> bool {
    is_report_column(name)
        || (!stages.is_empty() && name == COLUMN_OF_STAGES)
        || stages.iter().any(|stage| stage_columns(stage).iter().any(|column| column == name))
}

/// The fixed columns between the input's fields and `[columns]`, in a report of these `[[stages]]`.
fn columns_after(stages: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for column in COLUMNS_AFTER {
        match column {
            "status" if !stages.is_empty() => {
                names.extend(["status", COLUMN_OF_STAGES].map(str::to_owned));
            }
            "queue_s" if !stages.is_empty() => {
                names.extend(stages.iter().flat_map(|stage| stage_columns(stage)));
            }
            "run_s" if !stages.is_empty() => {}
            column => names.push(column.to_owned()),
        }
    }
    names
}

/// The names of all columns. A field with the name of another column is prefixed until no two are the same.
pub(super) fn column_names(fields: &[String], columns: &[&str], stages: &[String]) -> Vec<String> {
    let fixed = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let mut taken: HashSet<String> = fields
        .iter()
        .filter(|field| !is_column_of(field, stages) && !columns.contains(&field.as_str()))
        .cloned()
        .chain(columns.iter().map(|&name| name.to_owned()))
        .collect();
    let mut names = fixed(&COLUMNS_BEFORE);
    for field in fields {
        let mut name = field.clone();
        if is_column_of(&name, stages) || columns.contains(&name.as_str()) {
            while is_column_of(&name, stages) || taken.contains(&name) {
                name.insert_str(0, "input_");
            }
            taken.insert(name.clone());
        }
        names.push(name);
    }
    names.extend(columns_after(stages));
    names.extend(fixed(columns));
    names.extend(fixed(&COLUMNS_LAST));
    names
}

/// The characters that make a spreadsheet calculate a cell that they begin.
pub(super) const FORMULA: &[u8] = b"=+-@\t\r\n";

const QUOTE: u8 = b'"';

/// Text of so many bytes is looked at byte by byte: what finds a byte fast in a long text takes longer to begin.
const SHORT: usize = 16;

/// The shape of one report.
#[derive(Debug)]
pub(super) struct Layout {
    /// The names of all columns.
    pub(super) names: Vec<String>,
    /// How many of them are fields of the input.
    pub(super) fields: usize,
    /// How many of them come from the output.
    pub(super) columns: usize,
    /// The names of `[[stages]]`; none in a job without.
    pub(super) stages: Vec<String>,
    /// What stands between cells.
    pub(super) delimiter: u8,
    /// The decimal separator.
    pub(super) point: u8,
    /// What ends a row.
    pub(super) terminator: &'static [u8],
    bom: &'static [u8],
    formula_safe: bool,
    csv: csv_core::Writer,
}

impl Layout {
    /// The report that `job` asks for.
    pub(super) fn of(job: &Job) -> Self {
        let columns = job.stages.iter().flat_map(|stage| &stage.columns);
        let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        Self::of_stages(&job.fields, &columns, job.stage_names(), job.report)
    }

    /// A report with these fields and output columns.
    pub(super) fn new(fields: &[String], columns: &[&str], settings: ReportSettings) -> Self {
        Self::of_stages(fields, columns, Vec::new(), settings)
    }

    fn of_stages(
        fields: &[String],
        columns: &[&str],
        stages: Vec<String>,
        settings: ReportSettings,
    ) -> Self {
        let (bom, terminator, delimiter, point): (&[u8], &[u8], u8, u8) = match settings.dialect {
            Dialect::Csv => (b"", b"\n", b',', b'.'),
            Dialect::Excel => (b"\xef\xbb\xbf", b"\r\n", b',', b'.'),
            Dialect::ExcelSemicolon => (b"\xef\xbb\xbf", b"\r\n", b';', b','),
        };
        Self {
            names: column_names(fields, columns, &stages),
            stages,
            fields: fields.len(),
            columns: columns.len(),
            delimiter,
            point,
            terminator,
            bom,
            formula_safe: settings.formula_safe,
            csv: csv_core::WriterBuilder::new().delimiter(delimiter).build(),
        }
    }

    /// The rows of single attempts.
    pub(super) fn attempts(settings: ReportSettings, is_staged: bool) -> Self {
        let mut names = ATTEMPT_COLUMNS.map(str::to_owned).to_vec();
        if is_staged {
            names.insert(1, COLUMN_OF_STAGES.into());
        }
        Self { names, ..Self::new(&[], &[], settings) }
    }

    /// What stands before the first row.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut out = self.bom.to_vec();
        for (index, name) in self.names.iter().enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            self.push_text(&mut out, name.as_bytes());
        }
        out.extend_from_slice(self.terminator);
        out
    }

    /// Appends text that the user or a program has made: safe for spreadsheets and quoted if need be. What no
    /// spreadsheet can hold, a NUL and bytes that are not UTF-8, becomes U+FFFD.
    pub(super) fn push_text(&self, out: &mut Vec<u8>, text: &[u8]) {
        if text.len() <= SHORT && text.iter().all(u8::is_ascii_alphanumeric) {
            return text.iter().for_each(|byte| out.push(*byte)); // nothing can be wrong with it
        }
        match std::str::from_utf8(text) {
            Ok(text) if memchr::memchr(0, text.as_bytes()).is_none() => {
                self.push_utf8(out, text.as_bytes());
            }
            _ => {
                let text = String::from_utf8_lossy(text).replace('\0', "\u{fffd}");
                self.push_utf8(out, text.as_bytes());
            }
        }
    }

    fn push_utf8(&self, out: &mut Vec<u8>, text: &[u8]) {
        let Some(first) = text.first() else { return };
        let decimal_comma = self.point != b'.' && text.contains(&b'.') && number::is_number(text);
        if decimal_comma {
            out.extend(text.iter().map(|&byte| if byte == b'.' { self.point } else { byte }));
            return;
        }
        let formula = self.formula_safe && FORMULA.contains(first) && !number::is_number(text);
        let quoted = self.csv.should_quote(text);
        if quoted {
            out.push(QUOTE);
        }
        if formula {
            out.push(b'\'');
        }
        if quoted {
            push_quoted(out, text);
            out.push(QUOTE);
        } else {
            out.extend_from_slice(text);
        }
    }
}

fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * text.len(), 0); // every byte may be a quote, which is doubled
    let (_, _, written) = csv_core::quote(text, &mut out[start..], QUOTE, QUOTE, true);
    out.truncate(start + written);
}

/// Whether a spreadsheet would calculate this text.
pub(super) fn is_formula(text: &str) -> bool {
    text.as_bytes().first().is_some_and(|first| FORMULA.contains(first))
        && !number::is_number(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Order;

    fn layout(dialect: Dialect, formula_safe: bool) -> Layout {
        Layout::new(&[], &[], ReportSettings { dialect, order: Order::Input, formula_safe })
    }

    fn cell(layout: &Layout, text: &[u8]) -> String {
        let mut out = Vec::new();
        layout.push_text(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_stand_in_their_order() {
        let fields = ["x".to_owned()];
        assert_eq!(
            column_names(&fields, &["loss"], &[]).join(" "),
            "task x status attempts started_utc queue_s run_s cpu_user_s cpu_sys_s peak_rss_bytes slot code result \
             output_bytes loss error"
        );
    }

    #[test]
    fn stages_have_columns_of_their_own() {
        let (fields, stages) =
            (["stage", "a_run_s"].map(str::to_owned), ["a", "b"].map(str::to_owned));
        assert_eq!(
            column_names(&fields, &["x"], &stages).join(" "),
            "task input_stage input_a_run_s status stage attempts started_utc a_queue_s a_run_s a_attempts b_queue_s \
             b_run_s b_attempts cpu_user_s cpu_sys_s peak_rss_bytes slot code result output_bytes x error"
        );
        assert_eq!(column_names(&fields, &[], &[])[1..3], fields, "plain jobs have no stages");
    }

    #[test]
    fn fields_make_way_for_columns_of_their_name() {
        let fields = ["input_code", "code", "loss", "x"].map(str::to_owned);
        assert_eq!(
            column_names(&fields, &["loss"], &[])[1..5],
            ["input_code", "input_input_code", "input_loss", "x"]
        );
    }

    #[test]
    fn cells_are_safe_for_spreadsheets() {
        let csv = layout(Dialect::Csv, true);
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("=a,b", "\"'=a,b\""),
            ("@x", "'@x"),
            ("-x", "'-x"),
            ("-1.5", "-1.5"),
            ("+1e6", "+1e6"),
            ("-1-1", "'-1-1"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("\nx", "\"'\nx\""),
            ("größer", "größer"),
        ] {
            assert_eq!(cell(&csv, text.as_bytes()), expected);
        }
        assert_eq!(cell(&csv, b"a\xffb"), "a\u{fffd}b");
        assert_eq!(cell(&layout(Dialect::Csv, false), b"=1+1"), "=1+1");
    }

    #[test]
    fn the_semicolon_dialect_has_decimal_commas() {
        let semicolon = layout(Dialect::ExcelSemicolon, true);
        for (text, expected) in [
            ("1.5", "1,5"),
            ("-0.25", "-0,25"),
            ("1.2.3", "1.2.3"),
            ("a;b", "\"a;b\""),
            ("a,b", "a,b"),
        ] {
            assert_eq!(cell(&semicolon, text.as_bytes()), expected);
        }
    }

    #[test]
    fn headers_follow_the_dialect() {
        let names = "task,status,attempts,started_utc,queue_s,run_s,cpu_user_s,cpu_sys_s,peak_rss_bytes,slot,code,\
                     result,output_bytes,error";
        let header = |dialect| String::from_utf8(layout(dialect, true).header()).unwrap();
        assert_eq!(header(Dialect::Csv), format!("{names}\n"));
        assert_eq!(header(Dialect::Excel), format!("\u{feff}{names}\r\n"));
        assert_eq!(
            header(Dialect::ExcelSemicolon),
            format!("\u{feff}{}\r\n", names.replace(',', ";"))
        );
        let settings =
            ReportSettings { dialect: Dialect::Csv, order: Order::Input, formula_safe: true };
        let header = Layout::new(&["=x".to_owned()], &[], settings).header();
        assert!(header.starts_with(b"task,'=x,status"));
    }

    proptest! {
        #[test]
        fn any_cells_read_back(
            cells in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..40),
                    "[=+@;,\"'\r\n\t0-9.eä-]{0,12}".prop_map(String::into_bytes),
                ],
                2..6,
            ),
            dialect in prop::sample::select(vec![Dialect::Csv, Dialect::Excel, Dialect::ExcelSemicolon]),
            formula_safe in any::<bool>(),
        ) {
            let layout = layout(dialect, formula_safe);
            let mut out = Vec::new();
            for (index, cell) in cells.iter().enumerate() {
                if index > 0 {
                    out.push(layout.delimiter);
                }
                layout.push_text(&mut out, cell);
            }
            out.extend_from_slice(layout.terminator);
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .delimiter(layout.delimiter)
                .from_reader(&out[..]);
            let row = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(row.len(), cells.len());
            for (read, cell) in row.iter().zip(&cells) {
                let text = String::from_utf8_lossy(cell).replace('\0', "\u{fffd}");
                let number = number::is_number(cell);
                let expected = match (formula_safe && is_formula(&text), number && layout.point == b',') {
                    (true, _) => format!("'{text}"),
                    (false, true) => text.replace('.', ","),
                    (false, false) => text,
                };
                prop_assert_eq!(read, expected);
            }
            prop_assert!(reader.records().next().is_none());
        }
    }
}
