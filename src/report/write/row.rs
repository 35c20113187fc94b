//! Encodes a record as a row. This runs in the slots' threads, so that it is spread over as many cores as the job.

use std::sync::Arc;
use std::time::Duration;

use crate::csv::Timestamp;
use crate::csv::number::{push_integer, push_seconds};
use crate::report::layout::Layout;
use crate::task::{Calendar, Record, StageRecord};

/// The longest text that a cell of a spreadsheet holds, in UTF-16 units.
const CELL_LIMIT: usize = 32_767;

/// Encodes rows, one after another.
#[derive(Debug)]
pub(in crate::report) struct Encoder {
    layout: Arc<Layout>,
    calendar: Calendar,
    stamp: Timestamp,
}

/// What there is to say of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Encoded {
    /// A cell that is too long for a spreadsheet, if there is one.
    pub(in crate::report) too_long: Option<TooLong>,
    /// Whether its input can be had from it again, but for what the dialect does to cells.
    pub(in crate::report) has_whole_input: bool,
}

/// A cell that a spreadsheet would cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct TooLong {
    /// Its index in [`Layout::names`].
    pub(in crate::report) column: usize,
    /// Its length in UTF-16 units.
    pub(in crate::report) length: usize,
}

impl Encoder {
    pub(in crate::report) fn new(layout: Arc<Layout>, calendar: Calendar) -> Self {
        Self { layout, calendar, stamp: Timestamp::new() }
    }

    /// Appends the row of `record` to `out`.
    pub(in crate::report) fn push_row(&mut self, out: &mut Vec<u8>, record: &Record) -> Encoded {
        let Self { layout, calendar, stamp } = self;
        let mut row = Row { layout, out, column: 0, too_long: None, is_whole: true };
        row.integer(Some(record.task.number));
        for index in 0..layout.fields {
            row.text(record.task.fields.get(index));
        }
        let has_whole_input = row.is_whole;
        row.word(record.outcome.status.name());
        let stages = record.task.passed.as_ref().map_or(&[][..], |passed| &passed.stages);
        if !layout.stages.is_empty() {
            let ended_in = stages.len().checked_sub(1).and_then(|last| layout.stages.get(last));
            row.word(ended_in.map_or("", String::as_str));
        }
        row.integer(Some(record.attempts()));
        row.cell(|out| {
            if let Some(started) = record.first_started {
                stamp.push(out, calendar.time(started), layout.csv.point);
            }
        });
        if layout.stages.is_empty() {
            row.seconds(record.queued);
            row.seconds(
                record.first_started.filter(|_| record.outcome.has_run).map(|_| record.outcome.run),
            );
        } else {
            row.stages(stages);
        }
        row.measured(record);
        row.text(&record.outcome.result);
        row.integer(record.outcome.output_bytes);
        for index in 0..layout.columns {
            row.text(record.columns.get(index).and_then(Option::as_deref).unwrap_or_default());
        }
        row.text(record.outcome.error.as_bytes());
        let too_long = row.too_long;
        out.extend_from_slice(layout.csv.terminator);
        Encoded { too_long, has_whole_input }
    }

    /// Appends the row of a task that was skipped: after the status it has `rest`. Returns whether its input can be had
    /// from it again.
    pub(in crate::report) fn push_skipped(
        &self,
        out: &mut Vec<u8>,
        record: &Record,
        rest: &[u8],
    ) -> bool {
        let mut row = Row { layout: &self.layout, out, column: 0, too_long: None, is_whole: true };
        row.integer(Some(record.task.number));
        for index in 0..self.layout.fields {
            row.text(record.task.fields.get(index));
        }
        let has_whole_input = row.is_whole;
        row.word(record.outcome.status.name());
        out.extend_from_slice(rest);
        has_whole_input
    }

    /// Appends the row of the last attempt of a task to `out`, in the columns
    /// [`ATTEMPT_COLUMNS`](crate::csv::columns::ATTEMPT_COLUMNS).
    pub(in crate::report) fn push_attempt(&mut self, out: &mut Vec<u8>, record: &Record) {
        let Self { layout, calendar, stamp } = self;
        let Record { task, outcome, .. } = record;
        let mut row = Row { layout, out, column: 0, too_long: None, is_whole: true };
        row.integer(Some(task.number));
        if let Some(stage) = layout.stages.get(task.stage()) {
            row.word(stage);
        }
        row.integer(Some(task.attempts));
        row.word(outcome.status.name());
        row.cell(|out| stamp.push_micros(out, calendar.time(outcome.started), layout.csv.point));
        row.seconds(outcome.has_run.then_some(outcome.run));
        row.integer(record.slot);
        row.integer(outcome.code);
        row.text(outcome.error.as_bytes());
        out.extend_from_slice(layout.csv.terminator);
    }
}

/// A row that is being encoded.
struct Row<'a> {
    layout: &'a Layout,
    out: &'a mut Vec<u8>,
    column: usize,
    too_long: Option<TooLong>,
    /// Whether all texts were written as they are.
    is_whole: bool,
}

impl Row<'_> {
    fn cell(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.column > 0 {
            self.out.push(self.layout.csv.delimiter);
        }
        self.column += 1;
        write(self.out);
    }

    /// The times and attempts of each stage; those that the task did not reach have empty cells.
    fn stages(&mut self, stages: &[StageRecord]) {
        for index in 0..self.layout.stages.len() {
            let stage = stages.get(index).copied().unwrap_or_default();
            self.seconds(stage.queued);
            self.seconds(stage.run);
            self.integer(Some(stage.attempts));
        }
    }

    /// `cpu_user_s` to `code`: all empty for a task that never started.
    fn measured(&mut self, record: &Record) {
        let outcome = &record.outcome;
        self.seconds(outcome.cpu.map(|cpu| cpu.user));
        self.seconds(outcome.cpu.map(|cpu| cpu.system));
        self.integer(outcome.peak_rss);
        self.integer(record.slot);
        if let Some(host) = &self.layout.host {
            self.text(if record.slot.is_some() { host.as_bytes() } else { b"" });
        }
        self.integer(outcome.code);
    }

    fn word(&mut self, word: &str) {
        self.cell(|out| out.extend_from_slice(word.as_bytes()));
    }

    fn integer(&mut self, value: Option<impl itoa::Integer>) {
        self.cell(|out| {
            if let Some(value) = value {
                push_integer(out, value);
            }
        });
    }

    fn seconds(&mut self, duration: Option<Duration>) {
        let point = self.layout.csv.point;
        self.cell(|out| {
            if let Some(duration) = duration {
                push_seconds(out, duration, point);
            }
        });
    }

    fn text(&mut self, text: &[u8]) {
        if text.is_empty() {
            return self.cell(|_| ());
        }
        if text.len() > CELL_LIMIT && self.too_long.is_none() {
            let length = String::from_utf8_lossy(text).encode_utf16().count();
            self.too_long =
                (length > CELL_LIMIT).then_some(TooLong { column: self.column, length });
        }
        let layout = self.layout;
        let mut is_whole = true;
        self.cell(|out| is_whole = layout.csv.push_text(out, text));
        self.is_whole &= is_whole;
    }
}

#[cfg(test)]
pub(in crate::report) mod tests {
    use super::*;
    use crate::config::{Formats, Logs, Order, ReportSettings};
    use crate::csv::Dialect;
    use crate::sys::CpuTime;
    use crate::task::{Fields, Moment, Outcome, Status, Task};

    pub(crate) const SETTINGS: ReportSettings = ReportSettings {
        dialect: Dialect::Csv,
        order: Order::Input,
        formula_safe: true,
        host: false,
        logs: Logs::None,
        also: Formats { html: false, xlsx: false },
    };

    /// A task that ran for 1.5 s.
    pub(crate) fn record(number: u64) -> Record {
        let started = Moment::now();
        let outcome = Outcome {
            cpu: Some(CpuTime { user: Duration::from_nanos(41), system: Duration::ZERO }),
            result: b"done".to_vec(),
            ..Outcome::new(Status::Ok, started, Duration::from_millis(1500))
        };
        let mut task = Task::new(number, Fields::single("a,b"));
        task.attempts = 1;
        Record {
            task,
            slot: Some(2),
            queued: Some(Duration::from_micros(7)),
            first_started: Some(started),
            outcome,
            columns: Vec::new(),
        }
    }

    /// A task that was cancelled before it started.
    pub(crate) fn unrun(number: u64) -> Record {
        let mut record = Record { slot: None, queued: None, first_started: None, ..record(number) };
        record.task.attempts = 0;
        record.outcome = Outcome::new(Status::Cancelled, Moment::now(), Duration::ZERO);
        record
    }

    fn row(columns: &[&str], settings: ReportSettings, record: &Record) -> String {
        let layout = Arc::new(Layout::new(&["input".into()], columns, settings));
        let mut out = Vec::new();
        let mut encoder = Encoder::new(layout, Calendar::now());
        assert_eq!(encoder.push_row(&mut out, record).too_long, None);
        String::from_utf8(out).unwrap()
    }

    /// `row` without the only cell that differs from run to run.
    fn without_start(row: &str) -> String {
        let start = row.find("20").unwrap();
        format!("{}{}", &row[..start], &row[start + "YYYY-MM-DD hh:mm:ss.sss".len()..])
    }

    #[test]
    fn a_row_has_what_was_measured() {
        let mut done = record(1);
        assert_eq!(
            without_start(&row(&[], SETTINGS, &done)),
            "1,\"a,b\",ok,1,,0.000007,1.5,0.000000041,0,,2,,done,,\n"
        );
        done.outcome.code = Some(-1);
        done.outcome.peak_rss = Some(1024);
        done.outcome.output_bytes = Some(5);
        done.outcome.error = "exit code 1".into();
        done.columns = vec![Some(b"0.5".to_vec()), None];
        let settings = ReportSettings { dialect: Dialect::ExcelSemicolon, ..SETTINGS };
        assert_eq!(
            without_start(&row(&["loss", "acc"], settings, &done)),
            "1;a,b;ok;1;;0,000007;1,5;0,000000041;0;1024;2;-1;done;5;0,5;;exit code 1\r\n"
        );
    }

    #[test]
    fn an_attempt_has_a_row_of_its_own() {
        let settings = ReportSettings { dialect: Dialect::ExcelSemicolon, ..SETTINGS };
        let layout = Arc::new(Layout::new(&["input".into()], &["loss"], settings));
        let mut encoder = Encoder::new(layout, Calendar::now());
        let mut record = record(7);
        record.task.attempts = 2;
        record.outcome.status = Status::Failed;
        record.outcome.code = Some(1);
        record.outcome.error = "=1;2".into();
        let mut out = Vec::new();
        encoder.push_attempt(&mut out, &record);
        let row = String::from_utf8(out).unwrap();
        let started = row.split(';').nth(3).unwrap();
        assert_eq!(started.len(), "YYYY-MM-DD hh:mm:ss,uuuuuu".len(), "{started}");
        assert_eq!(row.replace(started, ""), "7;2;failed;;1,5;2;1;\"'=1;2\"\r\n");
        let header = String::from_utf8(Layout::attempts(settings, false).header()).unwrap();
        assert_eq!(header, "\u{feff}task;attempt;status;started_utc;run_s;slot;code;error\r\n");
    }

    #[test]
    fn a_task_that_never_ran_has_no_measurements() {
        assert_eq!(row(&["x"], SETTINGS, &unrun(7)), "7,\"a,b\",cancelled,0,,,,,,,,,,,,\n");
    }

    #[test]
    fn a_cell_that_a_spreadsheet_would_cut_is_found_and_kept() {
        let layout = Arc::new(Layout::new(&["input".into()], &[], SETTINGS));
        let mut encoder = Encoder::new(Arc::clone(&layout), Calendar::now());
        let mut long = record(1);
        long.outcome.result = "ä".repeat(CELL_LIMIT).into_bytes();
        let mut out = Vec::new();
        assert_eq!(encoder.push_row(&mut out, &long).too_long, None);
        long.outcome.result.push(b'x');
        let too_long = encoder.push_row(&mut out, &long).too_long.unwrap();
        assert_eq!(layout.names[too_long.column], "result");
        assert_eq!(too_long.length, CELL_LIMIT + 1);
        assert!(out.len() > 4 * CELL_LIMIT);
    }
}
