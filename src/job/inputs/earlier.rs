//! The report that is resumed: its columns are the fields of objects, which need not be those that a look at the first
//! objects shows now.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::files::FILE;
use super::plan::BATCH_SIZE;
use crate::csv::columns::fields_of;
use crate::csv::header_names;

/// The names in the report that a run resumes; none if there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::job) struct Earlier {
    /// All of its columns.
    columns: Vec<String>,
    /// The fields that are not those of objects, unless a key is called that.
    others: Vec<String>,
}

impl Earlier {
    /// Those of `job` in the folder `results`, in whose report texts are safe for spreadsheets or not; `[fields]` has `made`
    /// some of its fields.
    pub fn open(results: &Path, job: &str, formula_safe: bool, made: &[String]) -> Self {
        let names = [format!("{job}.csv.partial"), format!("{job}.csv")];
        let header = |name: &String| header_names(&start(&results.join(name))?, formula_safe);
        let columns = names.iter().find_map(header).unwrap_or_default();
        Self { columns, others: made.to_vec() }
    }

    /// The runner itself has added `file` or `batch_size` to the fields.
    pub fn with(mut self, has_file: bool, has_batch: bool) -> Self {
        let added = [(FILE, has_file), (BATCH_SIZE, has_batch)];
        let added = added.into_iter().filter(|(_, is_there)| *is_there);
        self.others.extend(added.map(|(name, _)| name.to_owned()));
        self
    }

    /// The fields of its objects, of which `known` are those that a look at the first ones shows now.
    pub fn fields(&self, known: &[String]) -> Vec<String> {
        let all: Vec<String> = known.iter().chain(&self.others).cloned().collect();
        let mut fields = fields_of(&self.columns, &all);
        fields.retain(|field| known.contains(field) || !self.others.contains(field));
        fields
    }
}

/// What a report begins with.
fn start(report: &Path) -> Option<Vec<u8>> {
    /// No header is longer.
    const LONGEST: u64 = 1 << 20;
    let mut text = Vec::new();
    File::open(report).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
    Some(text)
}
