//! When the run was that a report is of, by the clock of the machine that drives it.

use std::path::Path;

use serde_json::Value;

use crate::csv::TimestampReader;
use crate::report::status;
use crate::view::read::summary::SummaryRow;

/// The time in which a run has started its attempts. What started at another time was done by an earlier run: before it,
/// or, where the clock has been set back between the two, after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    since: Option<i64>,
    until: Option<i64>,
}

impl Period {
    /// The time from then on, in microseconds since 1970; all of it if that is not known.
    pub fn from(since: Option<i64>) -> Self {
        Self { since, until: None }
    }

    /// That of the run that has this row in the summary. Only one that was resumed has rows of other runs; the clocks of
    /// other machines tell no end.
    pub fn of(summary: &SummaryRow) -> Self {
        let ends = summary.kept().is_some() && !summary.is_of_shards();
        // It is written to the millisecond, and an attempt may have started within that one.
        let end = summary.micros("finished_utc").filter(|_| ends).map(|end| end + 999);
        Self { since: summary.micros("started_utc"), until: end }
    }

    /// Whether an attempt that started then is one of this run.
    pub fn has(&self, start: i64) -> bool {
        self.since.is_none_or(|since| start >= since) && !self.is_over(start)
    }

    /// Whether it was over by then.
    pub fn is_over(&self, start: i64) -> bool {
        self.until.is_some_and(|until| start > until)
    }
}

/// What a run that has not ended has last said of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoFar {
    /// When it began, in microseconds since 1970.
    pub started: i64,
    /// For how long it had been running, in seconds.
    pub elapsed: f64,
}

impl SoFar {
    /// What the run of `job` has said in `folder`. One on a cluster has drivers, of which none knows when it began by the
    /// clocks that its rows have.
    pub fn read(folder: &Path, job: &str) -> Option<Self> {
        Self::of(&status::last(folder, job)?)
    }

    fn of(said: &Value) -> Option<Self> {
        if said["on"].is_string() {
            return None;
        }
        let started = said["started_utc"].as_str()?;
        let started = TimestampReader::default().micros(started.as_bytes())?;
        Some(Self { started, elapsed: said["elapsed_s"].as_f64()? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn only_a_resumed_run_has_rows_of_other_runs() {
        let row = |reason: &str| {
            SummaryRow::of([
                ("started_utc", "1970-01-01 00:00:02.000"),
                ("finished_utc", "1970-01-01 00:00:04.000"),
                ("reason", reason),
            ])
        };
        let alone = Period::of(&row("set in the job file"));
        assert_eq!([1, 2, 3, 9].map(|at| alone.has(at * SECOND)), [false, true, true, true]);
        let resumed = Period::of(&row("set in the job file; resumed: 3 of 6 kept"));
        assert_eq!([1, 2, 3, 9].map(|at| resumed.has(at * SECOND)), [false, true, true, false]);
        assert!(resumed.has(4 * SECOND + 500) && !resumed.has(4 * SECOND + 1000));
        let shared = Period::of(&row("slurm: 2 shards, one node; resumed: 3 of 6 kept"));
        assert!(shared.has(9 * SECOND));
        assert!(Period::default().has(i64::MIN));
    }

    #[test]
    fn a_driver_does_not_know_when_its_run_began() {
        let said = json!({ "started_utc": "1970-01-01 00:00:02.000", "elapsed_s": 1.5 });
        assert_eq!(SoFar::of(&said), Some(SoFar { started: 2 * SECOND, elapsed: 1.5 }));
        let mut on = said;
        on["on"] = json!("slurm");
        assert_eq!(SoFar::of(&on), None);
        assert_eq!(SoFar::of(&json!({ "elapsed_s": 1.5 })), None);
    }
}
