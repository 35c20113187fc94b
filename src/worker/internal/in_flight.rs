//! The tasks in flight to one worker, and how many to send next. No I/O.

use std::collections::VecDeque;
use std::time::Duration;

use crate::task::{Outcome, Task};
use crate::worker::internal::Verdict;
use crate::worker::private_protocol::Reply;

/// Receives every settled task and its verdict.
pub type Settle<'a> = dyn FnMut(Task, Verdict) + 'a;

/// Tasks that were sent and are not settled yet, by their sequence numbers.
///
/// A task is settled exactly once, since it is removed for that: answers that come twice (through the pipe and through
/// the journal) or for tasks that were taken back find nothing.
#[derive(Debug)]
pub struct Flight {
    /// The sequence number of the first entry.
    first: u64,
    tasks: VecDeque<Option<Task>>,
    open: usize,
}

impl Flight {
    /// Nothing in flight. The first task gets number 1, since 0 stands for none.
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

    /// Settles the tasks of a reply, and returns the run time of a new outcome. Tasks that a worker did not run are
    /// requeued.
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
            Reply::Leaving => None,
            Reply::TakenBack(seq) => {
                // No batch is sent while tasks are in doubt: if this one is, all tasks after it belong to the same
                // batch.
                if self.is_open(seq) {
                    self.requeue_from(seq, false, settle);
                }
                None
            }
        }
    }

    /// Settles one task as done. Returns false if it was not in flight.
    pub fn finish(&mut self, seq: u64, outcome: Outcome, settle: &mut Settle<'_>) -> bool {
        let Some(task) = self.take(seq) else { return false };
        self.trim();
        settle(task, Verdict::Done(outcome));
        true
    }

    /// Marks the task with this sequence number, which may have killed its worker: it runs alone from now on.
    pub fn suspect(&mut self, seq: u64) {
        let index = seq.checked_sub(self.first);
        let task = index.and_then(|index| self.tasks.get_mut(index as usize));
        if let Some(Some(task)) = task {
            task.is_suspect = true;
        }
    }

    /// Requeues every task from `seq` on; the worker may have begun with one, or not.
    pub fn requeue_from(&mut self, seq: u64, has_begun: bool, settle: &mut Settle<'_>) {
        for seq in seq.max(self.first)..self.next() {
            if let Some(task) = self.take(seq) {
                settle(task, Verdict::Requeue { has_begun });
            }
        }
        self.trim();
    }

    /// Settles all remaining tasks as done, with outcomes from `outcome`.
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
    /// A moving average of the nanoseconds that a task takes, including the cost of passing it on.
    nanos: Option<f64>,
    appetite: usize,
}

/// Enough work to hide the pipe's latency (some 20 µs), and little enough to distribute it evenly.
const BATCH_NANOS: f64 = 2e6;
/// Limits how many tasks a worker that dies or becomes slow delays.
const MAX_BATCH: usize = 4096;
const MAX_GROWTH: usize = 4;
/// The nanoseconds that a worker takes to read a request and write an answer.
const PASSING_ON: f64 = 400.0;
/// The share of the newest task in the average.
const WEIGHT: f64 = 1.0 / 16.0;

impl Pace {
    /// The run time from which on no task may wait after a running one.
    pub const LONG: Duration = Duration::from_millis(5);

    /// A pace without any experience.
    pub fn new() -> Self {
        Self { nanos: None, appetite: 1 }
    }

    /// How many tasks to send next.
    pub fn appetite(&self) -> usize {
        self.appetite
    }

    /// Records how long a task has taken.
    pub fn took(&mut self, run: Duration) {
        let nanos = run.as_nanos() as f64 + PASSING_ON;
        let average = self.nanos.map_or(nanos, |average| average + (nanos - average) * WEIGHT);
        self.nanos = Some(average);
        if run > Self::LONG {
            self.back_to_one();
        }
    }

    /// Records that a batch is done: the next one may be larger.
    pub fn grow(&mut self) {
        let Some(nanos) = self.nanos else { return };
        let fitting = (BATCH_NANOS / nanos) as usize;
        self.appetite = fitting.min(self.appetite * MAX_GROWTH).clamp(1, MAX_BATCH);
    }

    /// Goes back to one task at a time, after a task that was long or killed the worker.
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

    /// The numbers of the tasks that `act` settles, negative if requeued.
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
        assert_eq!(settled(|to| flight.requeue_from(1, false, to)), [-3]);
        assert_eq!((flight.len(), flight.next()), (0, 4));
    }

    #[test]
    fn tasks_that_are_taken_back_are_requeued_in_order() {
        let mut flight = flight(5);
        assert_eq!(settled(|to| flight.requeue_from(3, false, to)), [-3, -4, -5]);
        assert_eq!(
            settled(|to| assert!(flight.accept(Reply::TakenBack(3), to).is_none())),
            NOTHING
        );
        assert_eq!(settled(|to| assert!(flight.accept(Reply::TakenBack(2), to).is_none())), [-2]);
        assert_eq!(settled(|to| flight.finish_all(outcome, to)), [1]);
        assert_eq!(flight.next(), 6);
    }

    #[test]
    fn a_late_reply_about_an_old_batch_does_not_affect_the_next() {
        let mut flight = flight(3);
        settled(|to| flight.requeue_from(2, false, to));
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
