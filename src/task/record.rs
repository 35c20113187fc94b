//! A finished task, on its way to the report.

use std::sync::Arc;
use std::time::Duration;

use crate::base::mask;
use crate::sys::CpuTime;
use crate::task::{Earlier, Moment, Outcome, Payload, StageRecord, Status, Task};

/// One finished task, on its way to the report.
#[derive(Clone, Debug)]
pub struct Record {
    /// The task; its `attempts` count those that were charged.
    pub task: Task,
    /// From 1; `None` if the task never started.
    pub slot: Option<usize>,
    /// From being taken to the first start; `None` if it never started.
    pub queued: Option<Duration>,
    /// When the first attempt started; `None` if the task never started.
    pub first_started: Option<Moment>,
    /// The last attempt's outcome.
    pub outcome: Outcome,
    /// The values of `[columns]`, in their order; `None` where the output had none.
    pub columns: Vec<Option<Vec<u8>>>,
}

impl Record {
    /// How long it was queued and how long it ran, in all stages together: each `None` if that is known of none. What could
    /// not be started was queued and has not run.
    pub fn times(&self) -> (Option<Duration>, Option<Duration>) {
        if self.first_started.is_none() {
            return (None, None);
        }
        let sum = |times: &mut dyn Iterator<Item = Duration>| times.reduce(|sum, more| sum + more);
        match &self.task.passed {
            Some(passed) if !passed.stages.is_empty() => (
                sum(&mut passed.stages.iter().filter_map(|stage| stage.queued)),
                sum(&mut passed.stages.iter().filter_map(|stage| stage.run)),
            ),
            _ => (self.queued, self.outcome.has_run.then_some(self.outcome.run)),
        }
    }

    /// Attempts that were charged, in all stages together.
    pub fn attempts(&self) -> u32 {
        match &self.task.passed {
            Some(passed) if !passed.stages.is_empty() => {
                passed.stages.iter().map(|stage| stage.attempts).sum()
            }
            _ => self.task.attempts,
        }
    }

    /// Keeps secrets out of the columns; the outcome has been masked before.
    pub fn mask_columns(&mut self) {
        if mask::is_in_use() {
            show_no_parts(&mut self.outcome, &mut self.columns);
            self.columns.iter_mut().flatten().for_each(mask::apply_to);
        }
    }

    /// Its times and attempts in its stage.
    fn stage_record(&self) -> StageRecord {
        let started = self.queued.is_some() && self.outcome.has_run;
        StageRecord {
            queued: self.queued,
            run: started.then_some(self.outcome.run),
            attempts: self.task.attempts,
        }
    }

    /// Turns it into the record of all stages that the task has been in, of which the last is called `name`. The inputs have
    /// `fields` fields.
    pub fn in_all_stages(&mut self, fields: usize, name: Option<&str>) {
        let stage = self.stage_record();
        show_no_parts(&mut self.outcome, &mut self.columns);
        let passed = self.task.passed.get_or_insert_default();
        passed.stages.push(stage);
        passed.payload = None;
        self.first_started = passed.first_started.or(self.first_started);
        self.outcome.cpu = CpuTime::sum(passed.cpu, self.outcome.cpu);
        self.outcome.peak_rss = passed.peak_rss.max(self.outcome.peak_rss);
        let columns = std::mem::take(&mut passed.columns);
        self.columns.splice(0..0, columns);
        let notes = std::mem::take(&mut passed.notes);
        tell_of_earlier(notes, name, &mut self.outcome);
        self.task.fields.truncate(fields);
    }

    /// The task as it enters the stage after the one called `name`. The inputs have `fields` fields.
    pub fn into_next_stage(self, fields: usize, name: Option<&str>, payload: Arc<Payload>) -> Task {
        let stage = self.stage_record();
        let Self { mut task, first_started, mut outcome, mut columns, .. } = self;
        let mut passed = task.passed.take().unwrap_or_default();
        passed.stages.push(stage);
        passed.first_started = passed.first_started.or(first_started);
        passed.cpu = CpuTime::sum(passed.cpu, outcome.cpu);
        passed.peak_rss = passed.peak_rss.max(outcome.peak_rss);
        passed.payload = Some(payload);
        task.fields.pad(fields + passed.columns.len());
        for column in &columns {
            task.fields.push(column.as_deref().unwrap_or_default());
        }
        show_no_parts(&mut outcome, &mut columns);
        passed.columns.extend(columns);
        if !outcome.error.is_empty() {
            passed.notes.push(of_stage(name, &outcome.error));
        }
        task.taken = outcome.started + outcome.run;
        task.attempts = 0;
        task.was_put_off = false;
        task.passed = Some(passed);
        task
    }

    /// The record of a task that has not started in this run, with this many empty columns.
    fn not_started(task: Task, outcome: Outcome, columns: usize) -> Self {
        let columns = vec![None; columns];
        Self { task, slot: None, queued: None, first_started: None, outcome, columns }
    }

    /// The record of a task whose input cannot be used: it fails, and no attempt is charged.
    pub fn unusable(task: Task, columns: usize) -> Self {
        let cause = task.fields.cause().unwrap_or_default().to_owned();
        let outcome = Outcome { error: cause, ..Outcome::not_started("") };
        Self::not_started(task, outcome, columns)
    }

    /// The record of a task that did not have to run.
    pub fn skipped(task: Task, columns: usize) -> Self {
        let outcome = Outcome { status: Status::Skipped, ..Outcome::not_started("") };
        Self::not_started(task, outcome, columns)
    }

    /// The record of a task that does not run, or not again, since its job was stopped.
    pub fn unrun(mut task: Task, columns: usize) -> Self {
        if let Some(earlier) = task.earlier.take() {
            let mut record = earlier.into_record(task);
            record.outcome.cut_short();
            return record;
        }
        if task.fields.cause().is_some() {
            return Self::unusable(task, columns);
        }
        let outcome = Outcome::new(Status::Cancelled, task.taken, Duration::ZERO);
        Self::not_started(task, outcome, columns)
    }
}

/// Puts what may be shown in the place of values that have a part of a secret.
fn show_no_parts(outcome: &mut Outcome, columns: &mut [Option<Vec<u8>>]) {
    let Some(rare) = &mut outcome.rare else { return };
    for (place, shown) in rare.shown.drain(..) {
        if let Some(column) = columns.get_mut(place) {
            *column = Some(shown);
        }
    }
}

/// Adds what earlier stages have said. The cause of a failure stays first; else all is in the order of the stages.
fn tell_of_earlier(mut notes: Vec<String>, name: Option<&str>, outcome: &mut Outcome) {
    if notes.is_empty() {
        return;
    }
    if outcome.status == Status::Ok && !outcome.error.is_empty() {
        notes.push(of_stage(name, &std::mem::take(&mut outcome.error)));
    }
    outcome.append(&notes.join("; "));
}

/// What a stage has to say, with its name.
fn of_stage(name: Option<&str>, said: &str) -> String {
    format!("{}: {said}", name.unwrap_or_default())
}

impl Earlier {
    fn into_record(self, task: Task) -> Record {
        Record {
            task,
            slot: self.slot,
            queued: Some(self.queued),
            first_started: Some(self.first_started),
            outcome: self.outcome,
            columns: self.columns,
        }
    }
}
