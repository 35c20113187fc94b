//! The end of a report: its rows in their order, under its name, and the job's row in `summary.csv`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use super::logs::LogFolder;
use super::publish::Publish;
use super::resume::attempt_numbers::AttemptNumbers;
use super::resume::kept_rows::Closed;
use super::resume::row_numbers;
use super::resume::start::Origin;
use super::store::row_order::{Index, KeptRow};
use super::write::recorder::Recorder;
use super::{Report, ReportError, RunFacts, SHEET_ROWS, Summary, parts, resume, summary_file};
use crate::base::diagnostic::reason;
use crate::base::lock;
use crate::base::number::Sum;
use crate::config::Order;
use crate::task::Status;

impl Report {
    /// Takes the last rows, sorts all of them, and replaces the old report and the job's row in `summary.csv`.
    ///
    /// To be called when no buffer is in use any more.
    ///
    /// # Errors
    /// If something could not be written. Every row that was written is kept, and the message says where.
    pub fn finish(mut self, facts: RunFacts) -> Result<Summary, ReportError> {
        let mut recorder = self
            .close()
            .ok_or_else(|| ReportError::internal("the recorder failed: a bug".into()))?;
        if self.is_part {
            return parts::end(recorder, &self.job, facts);
        }
        let mut closed = self.kept.as_ref().map(|kept| kept.close(|| self.numbers(&recorder)));
        let path = self.job.report();
        let is_empty = lock(&recorder.index).rows() == 0 && !self.may_be_empty;
        if is_empty && let Some(closed) = &mut closed {
            closed.gone = 0; // they stay where they are
        }
        // A part of the inputs is not a reason to lose a longer report, unless that was asked for.
        let is_shorter = facts.saw_a_part
            && !self.is_fresh
            && self.kept.is_none()
            && lock(&recorder.index).rows() < rows_of(&path);
        let is_whole = path.exists() && self.origin != Origin::Partial;
        // Empty inputs are usually a mistake, and the old report may have cost much work.
        let warning = if is_empty && self.kept.is_some() && !is_whole {
            Some(format!(
                "`{}` is kept, since this run had no task; --resume continues from it, --fresh starts over",
                recorder.partial.path().display()
            ))
        } else if is_empty && path.exists() {
            self.put_back(&recorder)?;
            recorder.partial.remove();
            let path = path.display();
            let why = if facts.saw_a_part {
                "since not all inputs were read and no task ran"
            } else {
                "since it is of an earlier run, and this one had no task"
            };
            Some(format!("`{path}` is kept, {why}"))
        } else if is_shorter {
            Some(format!(
                "`{}` is kept, since not all inputs were read: what was done is in `{}`; --resume continues from it, \
                 --fresh starts over",
                path.display(),
                recorder.partial.path().display()
            ))
        } else {
            let numbers = self.attempt_numbers.take();
            let took = facts.started.elapsed();
            let warning = self.publish(&mut recorder, numbers, &path, took)?;
            recorder.originals.remove_if_old();
            if let Some(earlier) = &self.earlier {
                let tally = recorder.totals.tally;
                earlier.replaced_by(tally.total() - tally.get(Status::Cancelled));
            }
            warning.or(self.remove_left(&recorder).err())
        };
        let rows = lock(&recorder.index).rows();
        let attempts_broken =
            recorder.attempts.as_ref().and_then(|attempts| attempts.broken.clone());
        let mut summary = Summary::of(&self.job, facts, recorder);
        self.name_totals(&mut summary);
        if let Some(closed) = closed {
            self.tell_resumed(&mut summary, rows, closed);
        }
        summary.warnings.extend(warning);
        summary.failures = self.shared.remarks.failures();
        summary.warnings.extend(self.shared.remarks.warning());
        if rows >= SHEET_ROWS {
            summary.warnings.push(format!(
                "`{}` has {rows} rows: a spreadsheet shows only the first {}",
                path.display(),
                SHEET_ROWS - 1
            ));
        }
        let replaced =
            summary_file::replace_row(&self.job.results, &summary, self.job.shared_dialect);
        summary.warnings.extend(replaced?);
        let unprinted = self.shared.printer.as_ref().and_then(|printer| printer.finish());
        if let Some(message) = attempts_broken.or(unprinted) {
            let report = path.display();
            return Err(ReportError::write(format!(
                "{message}; the tasks that ran are in `{report}`"
            )));
        }
        Ok(summary)
    }

    /// Publishes the report, and adds the figures of its kept rows to the totals. May return a warning.
    fn publish(
        &self,
        recorder: &mut Recorder,
        mut numbers: Option<AttemptNumbers>,
        path: &Path,
        took: Duration,
    ) -> Result<Option<String>, ReportError> {
        let layout = &self.shared.layout;
        if let Some(logs) = &self.logs {
            logs.unsettle().map_err(|error| ReportError::writing(logs.path(), &error))?;
        }
        if let Some(numbers) = &numbers {
            let note = self.job.attempt_note();
            numbers.unsettle().map_err(|error| ReportError::writing(&note, &error))?;
        }
        let publish =
            Publish { order: self.job.settings.order, path, delimiter: layout.csv.delimiter, took };
        let mut totals = std::mem::take(&mut recorder.totals);
        let mut queue = std::mem::take(&mut recorder.queue);
        let mut run = std::mem::take(&mut recorder.run);
        let published = publish.publish(recorder, |KeptRow { place, task, status, row }| {
            if let Some(numbers) = &mut numbers {
                numbers.keep(place, row, task);
            }
            if !layout.totals.is_empty() {
                layout.add(row, &layout.totals, &mut totals.sums);
            }
            resume::kept_figures::add_figures(
                row,
                status,
                layout,
                &mut totals,
                (&mut queue, &mut run),
            );
        });
        (recorder.totals, recorder.queue, recorder.run) = (totals, queue, run);
        if let Err(error) = published {
            self.logs.iter().for_each(LogFolder::stay);
            numbers.iter().for_each(AttemptNumbers::stay);
            return Err(error);
        }
        let numbered = numbers.and_then(|numbers| numbers.settle(layout.csv.delimiter).err());
        let numbered = numbered.map(|error| {
            let attempts = self.job.attempts();
            format!(
                "`{}` still has the numbers of earlier tasks: {}",
                attempts.display(),
                reason(&error)
            )
        });
        let Some(logs) = &self.logs else { return Ok(numbered) };
        let settled = logs.settle(&lock(&recorder.index));
        Ok(numbered.or(settled.err().map(|error| {
            format!(
                "the files in `{}` are not all there: {}",
                logs.path().display(),
                reason(&error)
            )
        })))
    }

    /// Removes what stood beside the report before this one and says nothing of it: attempts and whole outputs, where this
    /// run has none.
    fn remove_left(&self, recorder: &Recorder) -> Result<(), String> {
        let job = &self.job;
        let cannot = |path: &Path, error: &io::Error| {
            format!(
                "`{}` is of an earlier run and could not be removed: {}",
                path.display(),
                reason(error)
            )
        };
        match &recorder.attempts {
            Some(attempts) if !job.has_attempts => attempts.remove_if_empty(),
            Some(_) => {}
            None => {
                for path in [job.attempts(), job.attempt_note()] {
                    match fs::remove_file(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            return Err(cannot(&path, &error));
                        }
                        _ => {}
                    }
                }
            }
        }
        let discarded = if self.logs.is_none() { LogFolder::discard(job) } else { Ok(()) };
        discarded.map_err(|error| cannot(&job.logs(), &error))
    }

    /// Gives the sums of columns their names; what was left out of them is said.
    fn name_totals(&self, summary: &mut Summary) {
        let layout = &self.shared.layout;
        summary.totals.sums.resize(layout.totals.len(), Sum::default());
        for (&column, sum) in layout.totals.iter().zip(&summary.totals.sums) {
            let name = layout.column(column);
            if sum.strange() > 0 {
                let cells = if sum.strange() == 1 { "cell is" } else { "cells are" };
                summary.warnings.push(format!(
                    "{} {cells} not a number in the column `{name}`, whose total leaves them out",
                    sum.strange()
                ));
            }
            summary.column_totals.push((name.to_owned(), *sum));
        }
    }

    /// The numbers in the rows with which the report began; none where they stand in their order anyway, or cannot be
    /// read any more.
    fn numbers(&self, recorder: &Recorder) -> Vec<Option<u64>> {
        let is_sorted = self.origin == Origin::Report
            && self.job.settings.order == Order::Input
            && !self.job.names_by_number;
        if is_sorted {
            return Vec::new();
        }
        let (partial, state) = (recorder.partial.file(), recorder.state.file());
        row_numbers::numbers(partial, state, recorder.kept).unwrap_or_default()
    }

    /// Gives what stands beside the report its names again: the report that was to be resumed stays.
    fn put_back(&self, recorder: &Recorder) -> Result<(), ReportError> {
        if self.kept.is_none() {
            return Ok(());
        }
        let note = self.job.attempt_note();
        AttemptNumbers::forget(&note).map_err(|error| ReportError::writing(&note, &error))?;
        let Some(logs) = &self.logs else { return Ok(()) };
        let failed = |error: io::Error| ReportError::writing(logs.path(), &error);
        let (partial, state) = (recorder.partial.file(), recorder.state.file());
        let numbers = row_numbers::numbers(partial, state, recorder.kept).map_err(failed)?;
        let mut index = Index::default();
        for (place, number) in (0..).zip(numbers) {
            if let Some(number) = number {
                index.add(number, place);
            }
        }
        logs.unsettle().and_then(|()| logs.settle(&index)).map_err(failed)
    }

    fn tell_resumed(&self, summary: &mut Summary, rows: u64, closed: Closed) {
        let Closed { gone, left_out, overtaken } = closed;
        let kept = self.counts.kept();
        summary.kept = kept;
        summary.reason = format!("{}; resumed: {kept} of {rows} kept", summary.reason);
        summary.notes.extend(self.note.clone());
        if gone > 0 {
            summary.notes.push(match gone {
                1 => "1 finished row is dropped: its input no longer exists".into(),
                _ => format!("{gone} finished rows are dropped: their inputs no longer exist"),
            });
        }
        if overtaken > 0 {
            summary.notes.push(match overtaken {
                1 => "1 row is dropped: another task has the number of its files now".into(),
                _ => format!(
                    "{overtaken} rows are dropped: other tasks have the numbers of their files now"
                ),
            });
        }
        if left_out > 0 {
            summary.notes.push(match left_out {
                1 => "1 finished row is kept whose input is left out this time".into(),
                _ => {
                    format!("{left_out} finished rows are kept whose inputs are left out this time")
                }
            });
        }
    }
}

/// How many rows the report at `path` has; a line break inside quotes ends none.
fn rows_of(path: &Path) -> u64 {
    let Ok(file) = File::open(path) else { return 0 };
    let (mut reader, mut lines, mut is_quoted) = (BufReader::new(file), 0_u64, false);
    loop {
        let length = match reader.fill_buf() {
            Ok(bytes) if !bytes.is_empty() => {
                for at in memchr::memchr2_iter(b'"', b'\n', bytes) {
                    match bytes[at] {
                        b'"' => is_quoted = !is_quoted,
                        _ => lines += u64::from(!is_quoted),
                    }
                }
                bytes.len()
            }
            _ => return lines.saturating_sub(1),
        };
        reader.consume(length);
    }
}
