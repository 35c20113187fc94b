//! The report that is resumed: its columns are the fields of objects, which need not be those that a look at the first
//! objects shows now.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::csv::cells_of;
use crate::base::text::without_mark;

/// The columns before `status`, without `task`, of the report of `job` in `results` that a run resumes; none if there is
/// none.
pub(in crate::job) fn columns(results: &Path, job: &str) -> Vec<String> {
    let names = [format!("{job}.csv.partial"), format!("{job}.csv")];
    let header = names.iter().find_map(|name| header(&results.join(name))).unwrap_or_default();
    let fields = header.into_iter().skip(1);
    fields.take_while(|column| column != "status").collect()
}

fn header(report: &Path) -> Option<Vec<String>> {
    /// No header is longer.
    const LONGEST: u64 = 1 << 20;
    let mut text = Vec::new();
    let mut lines = BufReader::new(File::open(report).ok()?.take(LONGEST));
    // A name may have line breaks.
    while !text.ends_with(b"error\n") && !text.ends_with(b"error\r\n") {
        if lines.read_until(b'\n', &mut text).ok()? == 0 {
            return None;
        }
    }
    let text = without_mark(&text);
    let delimiter = *text.strip_prefix(b"task")?.first()?;
    cells_of(text, delimiter)
}
