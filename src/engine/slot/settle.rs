//! Settling a task that was attempted: its row, its next attempt, or its way into the next stage.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::SlotContext;
use crate::base::mask;
use crate::config::{Logs, Retry};
use crate::csv::not_whole;
use crate::engine::feed::{Feed, Patience, Reply};
use crate::engine::limits::budget::Reservation;
use crate::engine::limits::watchdog::stop_on;
use crate::job::Stage;
use crate::report::terminal::note;
use crate::report::terminal::progress::aside;
use crate::task::{
    Earlier, Level, Moment, NoPayload, Outcome, Payload, PayloadKind, Record, Status, Task, Values,
    payload,
};
use crate::worker::internal::Verdict;
use crate::workload::Workload;
use crate::workload::columns::Column;
use crate::workload::command::Keep;
use crate::workload::written::Place;

/// How often a host may refuse a task that is not charged for it, while the limit of requests is being found.
const MOST_REFUSALS: u8 = 10;

// A record has some hundred bytes: it is passed on by reference, so that it is not copied at each step.
impl SlotContext<'_> {
    pub(super) fn settle(&mut self, task: Task, verdict: Verdict) {
        match verdict {
            Verdict::Done(outcome) if self.was_evicted(&outcome) => {
                self.requeue(task, outcome.has_run);
            }
            Verdict::Done(outcome) => self.done(task, outcome),
            Verdict::Requeue { has_begun } => self.requeue(task, has_begun),
            Verdict::Unfit(words) => {
                let mut record = Record::unrun(task, self.stage.columns.len());
                record.outcome.append(&words);
                self.end(&mut record);
            }
        }
    }

    /// Gives a task back, uncharged. What a worker has begun with counts for budgets as one that crashed: nobody knows what
    /// it has used.
    fn requeue(&mut self, task: Task, has_begun: bool) {
        if let Some(reservation) = self.reservation.take().filter(|_| has_begun) {
            reservation.settle_as_reserved();
        }
        self.handle.give_back(task);
    }

    /// Whether the attempt was ended to make room, which is not charged: apart from that, only a kill cancels a running
    /// attempt.
    fn was_evicted(&self, outcome: &Outcome) -> bool {
        outcome.status == Status::Cancelled && self.run.cancel.level() < Level::Kill
    }

    pub(super) fn done(&mut self, mut task: Task, mut outcome: Outcome) {
        if let Some(held) = &mut self.held {
            held.add(outcome.run);
        }
        if let Some(pilot) = &self.live.pilot {
            pilot.note(self.number, &outcome);
        }
        if let Some(meter) = &self.live.meter
            && outcome.has_run
        {
            meter.busy(outcome.run);
        }
        let did_well = outcome.status == Status::Ok;
        if !did_well {
            self.heed(&task, &outcome); // before a host that has refused is tried again
        }
        if let Some(until) = self.told(&task, &outcome)
            && self.stage.limits.adaptive.is_some()
            && !self.stage.retry.as_ref().is_some_and(|retry| retry.is_final(&outcome))
            && task.refusals < MOST_REFUSALS
            && self.run.cancel.level() == Level::Run
        {
            task.refusals += 1;
            return self.handle.retry(task, until); // it costs the task nothing that the limit is being found
        }
        if let Some(made) = &self.run.made
            && self.next.is_none()
        {
            made.finish(&task, &mut outcome);
            self.forget_logs(&task, &outcome);
        }
        let payload = self.payload(&task, &mut outcome);
        if did_well {
            self.judge(&task, &outcome);
        }
        match outcome.result_kind {
            PayloadKind::Binary => show_binary(&mut outcome.result),
            PayloadKind::Escaped if self.next.is_none() => outcome.append(&not_whole("result")),
            PayloadKind::Bytes
                if self.next.is_none()
                    && matches!(self.stage.workload, Workload::Worker(_))
                    && !is_plain_text(&outcome.result) =>
            {
                outcome.append(&not_whole("result"));
            }
            _ => {}
        }
        if let Some(note) = &outcome.rare().note {
            self.live.watch.note(note);
        }
        task.attempts += 1;
        let mut record = record(self.stage, self.number, task, outcome);
        if let Some(reservation) = self.reservation.take() {
            settle(reservation, &mut record);
        }
        if let Some(retry) = self.stage.retry.as_ref().filter(|retry| retry.repeats()) {
            if let Some(due) = self.next_attempt(retry, &record) {
                return self.wait(record, due);
            }
            if self.is_cut_short(retry, &record) {
                record.outcome.cut_short();
            }
            quarantine(retry, &mut record.outcome);
        } else if self.run.has_attempts {
            self.buffer.note_attempt(&record); // like the stages with retries
        }
        if let (Some(next), Some(payload)) = (self.next, payload) {
            return self.advance(next, record, payload);
        }
        self.end(&mut record);
    }

    /// Forgets the output of a task that is ok after all, if only those of the others are kept.
    fn forget_logs(&self, task: &Task, outcome: &Outcome) {
        if let Some(logs) = &self.run.logs[self.live.index]
            && self.run.job.report.logs == Logs::Failed
            && outcome.status == Status::Ok
        {
            logs.forget(task.number);
        }
    }

    /// What its workload took for ok is that, or has failed after all: it has not made its files, or hands on too much.
    fn judge(&self, task: &Task, outcome: &Outcome) {
        if outcome.status != Status::Ok {
            return self.heed(task, outcome);
        }
        if let Some(written) = &self.run.written
            && let Some(hash) = outcome.rare().output_hash
        {
            written.put(task.number, Place::Output(self.live.index), hash);
        }
        if let Some(median) = &self.live.median {
            median.add(outcome.run);
        }
    }

    /// Stops the job if its `stop_on` says so of this outcome.
    fn heed(&self, task: &Task, outcome: &Outcome) {
        let rules = &self.stage.limits.stop_on;
        if let Some(rule) = rules.iter().find(|rule| rule.matches(outcome)) {
            stop_on(rule, task.number, self.run.job.limits.on_stop, &self.run.cancel);
        }
    }

    /// Tells the feed what a host made of a request. Says until when the host is left alone, if it has refused.
    fn told(&self, task: &Task, outcome: &Outcome) -> Option<Moment> {
        let Workload::Http(spec) = &self.stage.workload else { return None };
        let code = outcome.code?;
        let is_refusal = outcome.status == Status::Failed && [429, 503].contains(&code);
        let reply =
            if is_refusal { Reply::Refused(outcome.rare().retry_after) } else { Reply::Answered };
        let other = outcome.rare().refused_by.as_deref();
        let until = self.handle.ended(task, outcome.started, reply, other)?;
        if self.live.watch.is_news(until) {
            let Task { fields, number: task, .. } = task;
            let values = Values { fields, task: *task, attempt: 1, slot: 1, payload: None };
            let mut host =
                other.map_or_else(|| spec.host(&values).unwrap_or_default(), str::to_owned);
            mask::apply_to_string(&mut host);
            // Up to the second: what is left of the last one is no news.
            let pause = until.since(Moment::now()).as_secs_f64().round();
            let pause = humantime::format_duration(Duration::from_secs_f64(pause));
            let job = &self.run.job.name;
            let words =
                format!("`{host}` has refused (status {code}): it is left alone for {pause}");
            aside(|| note(&format!("{job}: {words}\n")));
            self.run.report.counts().wait(host, until);
        }
        Some(until)
    }

    /// A task has had its last attempt in this stage.
    pub(super) fn count_end(&mut self, record: &Record) {
        if let Some((let_start, late)) = self.pacing.late.take()
            && let Some(due) = &self.live.admission.due
            && record.outcome.has_run
        {
            let waited = record.outcome.started.since(let_start); // for its program
            due.ended(late + waited + record.outcome.run);
        }
        if let Some(meter) = &self.live.meter {
            meter.end();
        }
    }

    /// A task goes on to the next stage.
    fn advance(&mut self, next: &Feed, record: Record, payload: Arc<Payload>) {
        self.count_end(&record);
        if self.run.has_attempts {
            self.buffer.put_attempt();
        }
        let name = self.stage.name.as_deref();
        let task = record.into_next_stage(self.run.job.task_fields(), name, payload);
        // Earlier tasks go first, and this must not wait, since the rest of the batch has to be settled.
        let back = if self.finished.is_empty() { next.offer(task).err() } else { Some(task) };
        self.finished.extend(back);
    }

    /// A task has had its last attempt.
    pub(super) fn end(&mut self, record: &mut Record) {
        self.count_end(record);
        if self.live.meter.is_some() {
            record.in_all_stages(self.run.job.task_fields(), self.stage.name.as_deref());
        }
        if let Some(made) = &self.run.made
            && record.outcome.status != Status::Ok
            && let Some(why) = made.fail(&record.task)
        {
            record.outcome.append(&why);
        }
        if self.run.is_part && self.was_cut_off(record) {
            return self.buffer.forget_attempt();
        }
        if let Some(ends) = &self.run.ends {
            ends.count(self.number, record.outcome.status, &self.run.cancel);
        }
        record.mask_columns();
        self.buffer.put(record);
    }

    /// Whether the end of the job, and not the task itself, made its last attempt what it is: another start attempts it
    /// as if there had been none. Who ends a job on a cluster signals its tasks as well.
    #[cold]
    fn was_cut_off(&self, record: &Record) -> bool {
        /// How a shell says that TERM or KILL has ended a program.
        const SIGNALLED: [i32; 2] = [128 + libc::SIGTERM, 128 + libc::SIGKILL];
        let outcome = &record.outcome;
        let is_signalled = outcome.code.is_some_and(|code| SIGNALLED.contains(&code));
        let is_retried = |retry: &Retry| retry.wants(record.task.attempts, outcome);
        self.run.cancel.level() >= Level::Drain
            && match outcome.status {
                Status::Cancelled | Status::Crashed => true,
                Status::Failed | Status::Timeout => {
                    is_signalled || self.stage.retry.as_ref().is_some_and(is_retried)
                }
                Status::Ok | Status::Skipped => false,
            }
    }

    /// Takes the payload out of a task's outcome; `None` if the task does not enter the next stage. A task whose
    /// payload is too long fails.
    fn payload(&self, task: &Task, outcome: &mut Outcome) -> Option<Arc<Payload>> {
        let max_payload = self.stage.next.max_payload()?;
        if outcome.status != Status::Ok {
            return None;
        }
        if let Some(payload) = outcome.payload.take() {
            if payload.len() <= max_payload.bytes() {
                return Some(payload);
            }
            outcome.withhold(&NoPayload::TooLong(max_payload));
            return None;
        }
        if let Workload::Sleep(_) = self.stage.workload
            && let Some(passed) = &task.passed
        {
            return passed.payload.clone(); // sleeping changes nothing
        }
        let value = match outcome.result_kind {
            PayloadKind::Json if outcome.result.is_empty() => b"null".to_vec(),
            _ => outcome.result.clone(),
        };
        match payload::of_bytes(outcome.result_kind, value, max_payload) {
            Ok(payload) => Some(Arc::new(payload)),
            Err(no_payload) => {
                outcome.withhold(&no_payload);
                None
            }
        }
    }

    /// Waits until the next stage has room for the finished tasks.
    pub(super) async fn hand_on(&mut self) {
        let Some(next) = self.next else { return };
        let patience = Patience::of(self.stage);
        while let Some(task) = self.finished.pop_front() {
            next.put(task, patience).await;
        }
    }

    /// Notes the last attempt; returns when the next one is due, if there is one.
    fn next_attempt(&mut self, retry: &Retry, record: &Record) -> Option<Moment> {
        let Record { task, outcome, .. } = record;
        self.buffer.note_attempt(record);
        if !retry.wants(task.attempts, outcome) || self.run.cancel.level() != Level::Run {
            return None; // its row is written with the task's
        }
        self.buffer.put_attempt();
        let pause = retry.pause(task.attempts, outcome.rare().retry_after, fastrand::f64());
        Some(Moment::now() + pause)
    }

    /// Whether there is no further attempt only because the job is being stopped.
    fn is_cut_short(&self, retry: &Retry, Record { task, outcome, .. }: &Record) -> bool {
        let is_cause = || self.stage.limits.stop_on.iter().any(|rule| rule.matches(outcome));
        self.run.cancel.level() != Level::Run
            && !matches!(outcome.status, Status::Ok | Status::Cancelled | Status::Skipped)
            && retry.wants(task.attempts, outcome)
            && !is_cause()
    }

    /// Queues a task for its next attempt, without occupying a slot.
    #[cold]
    fn wait(&self, record: Record, due: Moment) {
        let Record { mut task, slot, queued, first_started, mut outcome, columns } = record;
        let first_started = first_started.unwrap_or(outcome.started);
        let queued = queued.unwrap_or_default();
        if self.run.keep != Keep::Everything {
            outcome.output = Vec::new(); // it was only captured for `columns`
        }
        if let Some(rare) = &mut outcome.rare {
            rare.text = None;
        }
        if let Some(payload) = task.payload_mut() {
            payload.unload();
        }
        task.earlier = Some(Box::new(Earlier { first_started, queued, slot, outcome, columns }));
        self.handle.retry(task, due);
    }
}

/// Whether a cell can hold it.
fn is_plain_text(value: &[u8]) -> bool {
    memchr::memchr(0, value).is_none() && std::str::from_utf8(value).is_ok()
}

/// Makes bytes what a report can hold: the text that they are, or base64.
fn show_binary(result: &mut Vec<u8>) {
    if !is_plain_text(result) {
        *result = BASE64_STANDARD.encode(&*result).into_bytes();
    }
}

/// Settles what an attempt has reserved; its row says if that could not be told.
fn settle(reservation: Reservation, record: &mut Record) {
    let said = reservation.settle(&record.outcome, &record.columns);
    if let Some(mut said) = said {
        mask::apply_to_string(&mut said);
        record.outcome.append(&said);
    }
}

/// Marks a task that has killed a worker process at every attempt, which is not an accident. Like any task that has had
/// its last attempt, it does not run again in this run.
fn quarantine(retry: &Retry, outcome: &mut Outcome) {
    let lost = outcome.workers_lost;
    if lost >= retry.max_attempts {
        outcome.error = format!("quarantined, it killed {lost} workers: {}", outcome.error);
    }
}

/// The values of columns in what an attempt came to. Its row says if one should be there and is not.
fn found(columns: &[Column], outcome: &mut Outcome) -> Vec<Option<Vec<u8>>> {
    let output = outcome.readable();
    let (found, doubt) = Column::extract_all(columns, output, &outcome.rare().headers);
    // A value that is null has no members, and no form either.
    let is_null = output.is_empty() && outcome.result_kind == PayloadKind::Json;
    let values = outcome.values_of(found);
    if outcome.status == Status::Ok
        && !is_null
        && let Some(doubt) = doubt
    {
        outcome.append(&doubt);
    }
    if outcome.result_kind == PayloadKind::Json {
        for (column, value) in columns.iter().zip(&values) {
            if value.as_ref().is_some_and(|value| !is_plain_text(value)) {
                outcome.append(&not_whole(&column.name));
            }
        }
    }
    values
}

/// Says which value a report cannot hold as it is.
fn tell_of_other_bytes(columns: &[Column], values: &[Option<Vec<u8>>], outcome: &mut Outcome) {
    let is_text = |value: &Vec<u8>| !value.contains(&0) && std::str::from_utf8(value).is_ok();
    let other = |value: &Option<Vec<u8>>| value.as_ref().is_some_and(|value| !is_text(value));
    if let Some((column, _)) = columns.iter().zip(values).find(|(_, value)| other(value)) {
        let name = &column.name;
        outcome.append(&format!(
            "column `{name}` has bytes that are not UTF-8, or a NUL: they are read as U+FFFD"
        ));
    }
}

#[inline]
pub(super) fn record(stage: &Stage, slot: usize, task: Task, outcome: Outcome) -> Record {
    let (columns, slot) = (Vec::new(), Some(slot));
    let mut record = Record { queued: None, first_started: None, slot, task, outcome, columns };
    let Record { task, outcome, queued, first_started, columns, .. } = &mut record;
    if !stage.columns.is_empty() {
        *columns = match &mut outcome.rare {
            Some(rare) if rare.columns.is_some() => rare.columns.take().unwrap_or_default(),
            _ => found(&stage.columns, outcome),
        };
        tell_of_other_bytes(&stage.columns, columns, outcome);
    }
    outcome.mask();
    if let Some(earlier) = task.earlier.take() {
        outcome.workers_lost += earlier.outcome.workers_lost;
        *first_started = Some(earlier.first_started);
        *queued = Some(earlier.queued);
    } else if outcome.has_run {
        *first_started = Some(outcome.started);
        *queued = Some(outcome.started.since(task.taken));
    }
    record
}
