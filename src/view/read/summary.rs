//! A job's row of `summary.csv`: what the rows of its report do not say.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use crate::csv::TimestampReader;
use crate::view::read::figures;
use crate::view::read::rows::Rows;

/// A job's row of the summary, by column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryRow(Vec<(String, String)>);

impl SummaryRow {
    /// The row of `job` in the file at `path`; `None` if there is none, or no such file.
    pub fn read(path: &Path, job: &str) -> Option<Self> {
        let mut rows = Rows::open(File::open(path).ok()?).ok()??;
        let names = rows.names().to_vec();
        while let Some((row, _)) = rows.next().ok()? {
            if row.word(0) == job.as_bytes() {
                return Some(Self(names.into_iter().zip(row.texts()).collect()));
            }
        }
        None
    }

    /// The columns that are not empty, in their order.
    pub fn columns(&self) -> Vec<(String, String)> {
        self.0.iter().filter(|(_, text)| !text.is_empty()).cloned().collect()
    }

    /// The text of a column; `None` if it is empty.
    pub fn text(&self, column: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == column);
        found.map(|(_, text)| text.as_str()).filter(|text| !text.is_empty())
    }

    /// An integer.
    pub fn integer(&self, column: &str) -> Option<u64> {
        figures::integer(self.text(column)?.as_bytes())
    }

    /// A number of seconds.
    pub fn seconds(&self, column: &str) -> Option<Duration> {
        Some(Duration::from_nanos(figures::nanos(self.text(column)?.as_bytes())?))
    }

    /// A number.
    pub fn number(&self, column: &str) -> Option<f64> {
        figures::number(self.text(column)?.as_bytes())
    }

    /// How many rows were kept of an earlier run; `None` if the run was not resumed.
    pub fn kept(&self) -> Option<u64> {
        let (_, kept) = self.text("reason")?.rsplit_once("resumed: ")?;
        // Should the words change, as many as there may be.
        let kept = kept.split(' ').next().and_then(|count| count.parse().ok());
        Some(kept.unwrap_or(u64::MAX))
    }

    /// Whether the run was shared out to machines with clocks of their own.
    pub fn is_of_shards(&self) -> bool {
        let mut words = self.text("reason").unwrap_or_default().split(' ');
        let shards = (words.next(), words.next(), words.next());
        matches!(shards, (Some(place), Some(count), Some("shards,"))
            if place.ends_with(':') && count.parse::<u32>().is_ok())
    }

    /// A time, in microseconds since 1970.
    pub fn micros(&self, column: &str) -> Option<i64> {
        TimestampReader::default().micros(self.text(column)?.as_bytes())
    }
}

#[cfg(test)]
impl SummaryRow {
    /// A row with these cells.
    pub fn of<const N: usize>(cells: [(&str, &str); N]) -> Self {
        Self(cells.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_a_job_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.csv");
        assert_eq!(SummaryRow::read(&path, "a"), None);
        let text = "job,tasks,wall_s,reason,started_utc\nb,1,,,\na,7,1.5,\"x, y\",1970-01-01 00:00:01.000\n";
        std::fs::write(&path, text).unwrap();
        let row = SummaryRow::read(&path, "a").unwrap();
        assert_eq!(row.integer("tasks"), Some(7));
        assert_eq!(row.seconds("wall_s"), Some(Duration::from_millis(1500)));
        assert_eq!((row.text("reason"), row.text("model")), (Some("x, y"), None));
        assert_eq!(row.micros("started_utc"), Some(1_000_000));
        assert_eq!(SummaryRow::read(&path, "c"), None);
    }
}
