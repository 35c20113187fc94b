//! What is in flight to one worker: which tasks, and how many to send next. No I/O.

use std::collections::VecDeque;
use std::time::Duration;

use crate::task::{Outcome, Task};
use crate::worker::internal::Verdict;
use crate::worker::private_protocol::Reply;

/// Takes a task that is settled, and how.
pub type Settle<'a> = dyn FnMut(Task, Verdict) + 'a;

/// Tasks that were sent and are not settled yet, found by their sequence number.
///
/// A task is settled exactly once, since it leaves the ledger for it: answers that come twice (through the pipe and
/// through the journal) or for tasks that were taken back find nothing.
#[derive(Debug)]
pub struct Flight {
    /// The sequence number of the front.
    first: u64,
    tasks: VecDeque<Option<Task>>,
    open: usize,
}

impl Flight {
    /// Nothing in flight; the first task will be number 1, since 0 stands for none.
    pub fn new() -> Self {
        Self { first: 1, tasks: VecDeque::new(), open: 0 }
    }

    /// Puts a task in flight and returns its sequence number.
    pub fn send(&mut self, task: Task) -> u64 {
        let seq = self.next();
        self.tasks.push_back(Some(task));
        self.open += 1;
        seq
    }

    /// The sequence number of the next task that is sent.
    pub fn next(&self) -> u64 {
        self.first + self.tasks.len() as u64
    }

    /// How many tasks are not settled yet.
    pub fn len(&self) -> usize {
        self.open
    }

    /// Whether the task with this sequence number is not settled yet.
    pub fn is_open(&self, seq: u64) -> bool {
        let index = seq.checked_sub(self.first);
        index.is_some_and(|index| matches!(self.tasks.get(index as usize), Some(Some(_))))
    }

    /// Settles what a reply is about, and returns the outcome's time if it was news. Tasks that a worker did not run
    /// are requeued.
    pub fn accept(&mut self, reply: Reply, settle: &mut Settle<'_>) -> Option<Duration> {
        match reply {
            Reply::Done(seq, outcome) => {
                let run = outcome.run;
                self.finish(seq, outcome, settle).then_some(run)
            }
            Reply::Cancelled(seq, outcome) => {
                self.finish(seq, outcome, settle);
                None
            }
            Reply::TakenBack(seq) => {
                // Nothing is sent while something is in doubt: if this task is, all after it are of the same batch.
                if self.is_open(seq) {
                    self.requeue_from(seq, settle);
                }
                None
            }
        }
    }

    /// Settles one task as done. False: it was not in flight.
    pub fn finish(&mut self, seq: u64, outcome: Outcome, settle: &mut Settle<'_>) -> bool {
        let Some(task) = self.take(seq) else { return false };
        self.trim();
        settle(task, Verdict::Done(outcome));
        true
    }

    /// The task with this sequence number may have killed its worker: it is to run alone from now on.
    pub fn suspect(&mut self, seq: u64) {
        let index = seq.checked_sub(self.first);
        let task = index.and_then(|index| self.tasks.get_mut(index as usize));
        if let Some(Some(task)) = task {
            task.is_suspect = true;
        }
    }

    /// Requeues every task from `seq` on.
    pub fn requeue_from(&mut self, seq: u64, settle: &mut Settle<'_>) {
        for seq in seq.max(self.first)..self.next() {
            if let Some(task) = self.take(seq) {
                settle(task, Verdict::Requeue);
            }
        }
        self.trim();
    }

    /// Settles every task that is left as done, with an outcome made by `outcome`.
    pub fn finish_all(&mut self, outcome: impl Fn() -> Outcome, settle: &mut Settle<'_>) {
        for seq in self.first..self.next() {
            self.finish(seq, outcome(), settle);
        }
    }

    fn take(&mut self, seq: u64) -> Option<Task> {
        let index = seq.checked_sub(self.first)?;
        let task = self.tasks.get_mut(index as usize)?.take()?;
        self.open -= 1;
        Some(task)
    }

    /// Forgets settled tasks at the front.
    fn trim(&mut self) {
        while let Some(None) = self.tasks.front() {
            self.tasks.pop_front();
            self.first += 1;
        }
    }
}

/// How many tasks to send at once: one at first, more only while tasks are short.
#[derive(Debug)]
pub struct Pace {
    /// A moving average of a task's nanoseconds, what it costs to pass it on included.
    nanos: Option<f64>,
    appetite: usize,
}

/// Enough work for the pipe's latency (some 20 us) not to show, and little enough to share it out evenly.
const BATCH_NANOS: f64 = 2e6;
/// Limits what a worker that dies or turns slow holds up.
const MAX_BATCH: usize = 4096;
const MAX_GROWTH: usize = 4;
/// What reading a request and writing an answer costs a worker.
const PASSING_ON: f64 = 400.0;
/// The share of the newest task in the average.
const WEIGHT: f64 = 1.0 / 16.0;

impl Pace {
    /// A task that runs for longer than this lets nothing wait behind it.
    pub const LONG: Duration = Duration::from_millis(5);

    /// Nothing is known yet.
    pub fn new() -> Self {
        Self { nanos: None, appetite: 1 }
    }

    /// How many tasks to send next.
    pub fn appetite(&self) -> usize {
        self.appetite
    }

    /// A task has taken this long.
    pub fn took(&mut self, run: Duration) {
        let nanos = run.as_nanos() as f64 + PASSING_ON;
        let average = self.nanos.map_or(nanos, |average| average + (nanos - average) * WEIGHT);
        self.nanos = Some(average);
        if run > Self::LONG {
            self.back_to_one();
        }
    }

    /// A batch is through: the next one may be larger.
    pub fn grow(&mut self) {
        let Some(nanos) = self.nanos else { return };
        let fitting = (BATCH_NANOS / nanos) as usize;
        self.appetite = fitting.min(self.appetite * MAX_GROWTH).clamp(1, MAX_BATCH);
    }

    /// A task turned out long, or killed the worker.
    pub fn back_to_one(&mut self) {
        self.appetite = 1;
        self.nanos = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Fields, Moment, Status};

    const NOTHING: [i64; 0] = [];

    fn flight(tasks: u64) -> Flight {
        let mut flight = Flight::new();
        for number in 1..=tasks {
            let task = Task::new(number, Fields::single("x"));
            assert_eq!(flight.send(task), number);
        }
        flight
    }

    fn done(seq: u64) -> Reply {
        Reply::Done(seq, outcome())
    }

    fn outcome() -> Outcome {
        Outcome::new(Status::Ok, Moment::now(), Duration::ZERO)
    }

    /// What `act` settles: task numbers, negative if requeued.
    fn settled(act: impl FnOnce(&mut Settle<'_>)) -> Vec<i64> {
        let mut settled = Vec::new();
        act(&mut |task: Task, verdict| {
            let number = task.number as i64;
            settled.push(if matches!(verdict, Verdict::Done(_)) { number } else { -number });
        });
        settled
    }

    #[test]
    fn every_task_is_settled_once() {
        let mut flight = flight(3);
        assert_eq!(settled(|to| assert!(flight.accept(done(2), to).is_some())), [2]);
        assert_eq!(settled(|to| assert!(flight.accept(done(2), to).is_none())), NOTHING);
        assert_eq!(settled(|to| assert!(flight.accept(done(1), to).is_some())), [1]);
        assert_eq!(settled(|to| assert!(flight.accept(done(1), to).is_none())), NOTHING);
        assert_eq!(settled(|to| assert!(flight.accept(done(4), to).is_none())), NOTHING);
        assert_eq!((flight.len(), flight.next()), (1, 4));
        assert_eq!(settled(|to| flight.requeue_from(1, to)), [-3]);
        assert_eq!((flight.len(), flight.next()), (0, 4));
    }

    #[test]
    fn what_is_taken_back_is_requeued_in_order() {
        let mut flight = flight(5);
        assert_eq!(settled(|to| flight.requeue_from(3, to)), [-3, -4, -5]);
        assert_eq!(
            settled(|to| assert!(flight.accept(Reply::TakenBack(3), to).is_none())),
            NOTHING
        );
        assert_eq!(settled(|to| assert!(flight.accept(Reply::TakenBack(2), to).is_none())), [-2]);
        assert_eq!(settled(|to| flight.finish_all(outcome, to)), [1]);
        assert_eq!(flight.next(), 6);
    }

    #[test]
    fn a_late_word_about_an_old_batch_does_not_touch_the_next() {
        let mut flight = flight(3);
        settled(|to| flight.requeue_from(2, to));
        settled(|to| assert!(flight.accept(done(1), to).is_some()));
        let task = Task::new(9, Fields::single("x"));
        assert_eq!(flight.send(task), 4);
        assert_eq!(
            settled(|to| assert!(flight.accept(Reply::TakenBack(2), to).is_none())),
            NOTHING
        );
        assert!(flight.is_open(4));
    }

    #[test]
    fn batches_grow_only_while_tasks_are_short() {
        let mut pace = Pace::new();
        let mut appetites = Vec::new();
        for _ in 0..8 {
            appetites.push(pace.appetite());
            pace.took(Duration::from_nanos(100));
            pace.grow();
        }
        assert_eq!(appetites, [1, 4, 16, 64, 256, 1024, 4000, 4000]);
        pace.took(Duration::from_millis(6));
        assert_eq!(pace.appetite(), 1);
        pace.grow();
        assert_eq!(pace.appetite(), 1);
    }

    #[test]
    fn a_batch_is_about_two_milliseconds_of_work() {
        let mut pace = Pace::new();
        for _ in 0..8 {
            pace.took(Duration::from_micros(99));
            pace.grow();
        }
        assert_eq!(pace.appetite(), 20);
    }
}
