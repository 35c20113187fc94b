//! The rows of an earlier run that are kept on resume, looked up by the inputs as they are read.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, OnceLock};
use std::{fmt, mem};

use crate::base::lock;
use crate::report::resume::finished_inputs::Finished;
use crate::report::resume::row_numbers::RowNumbers;
use crate::report::resume::start::Rest;
use crate::report::resume::unfinished_rows::Unfinished;
use crate::report::stats::Counts;
use crate::report::store::identify::Identify;
use crate::report::store::row_order::Index;
use crate::report::store::state;
use crate::report::terminal::task_output::Queue;
use crate::task::Fields;

/// The finished rows of an earlier run, waiting for their inputs.
#[derive(Debug)]
pub struct KeptRows {
    waiting: Mutex<Waiting>,
    index: Arc<Mutex<Index>>,
    counts: Arc<Counts>,
    /// Outputs in input order, which do not wait for tasks that do not run.
    outputs: Option<Arc<Queue>>,
    ok: u64,
    rest: Rest,
    own: OnceLock<Own>,
    /// Where files are called by the tasks' numbers, those that they had.
    numbers: Option<RowNumbers>,
    /// Where it is recorded that a row counts no more.
    state: File,
}

/// What became of finished rows whose inputs did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Closed {
    /// How many are dropped: their inputs no longer exist.
    pub(in crate::report) gone: u64,
    /// How many are kept, since the command line leaves inputs out.
    pub(in crate::report) left_out: u64,
    /// How many are dropped: their files are called by numbers that other tasks have now.
    pub(in crate::report) overtaken: u64,
}

/// What is to be done for each task whose row is kept.
struct Own(Box<Owner>);

/// Is told of a task: its number and its input.
type Owner = dyn Fn(u64, &Fields) + Send + Sync;

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own")
    }
}

#[derive(Debug)]
struct Waiting {
    /// `None` once no more inputs are looked up.
    finished: Option<Finished>,
    unfinished: Unfinished,
    /// Tasks that are to run again, and the places of the rows that they had.
    rerun: HashMap<u64, u64>,
    identify: Identify,
    /// The number of rows whose inputs no longer exist, known once all inputs have been read.
    gone: u64,
}

impl KeptRows {
    pub(in crate::report) fn new(
        (finished, unfinished, numbers): (Finished, Unfinished, Option<RowNumbers>),
        state: File,
        rest: Rest,
        identify: Identify,
        index: Arc<Mutex<Index>>,
        counts: Arc<Counts>,
        outputs: Option<Arc<Queue>>,
    ) -> Self {
        let ok = finished.ok();
        let rerun = HashMap::new();
        let waiting = Waiting { finished: Some(finished), unfinished, rerun, identify, gone: 0 };
        let (waiting, own) = (Mutex::new(waiting), OnceLock::new());
        Self { waiting, index, counts, outputs, ok, rest, own, numbers, state }
    }

    /// Whether the row at this place may be that of the task which has this number now: where files are called by numbers, a
    /// task whose number has changed runs again.
    fn fits(&self, place: u64, task: u64) -> bool {
        self.numbers.as_ref().is_none_or(|numbers| numbers.is_of(place, task))
    }

    /// How many of the rows with which the report began are ok.
    pub fn ok(&self) -> u64 {
        self.ok
    }

    /// Hands the tasks whose rows are kept, and are ok, to `own` before anything runs: by a look through the inputs,
    /// which `each` hands on. None of the rows is taken by that.
    pub fn each_ok(
        &self,
        each: impl FnOnce(&mut dyn FnMut(u64, &Fields)),
        own: impl Fn(u64, &Fields),
    ) {
        let (mut finished, mut identify) = {
            let waiting = lock(&self.waiting);
            let Some(finished) = waiting.finished.clone() else { return };
            (finished, waiting.identify.clone())
        };
        each(&mut |task, fields| {
            if let Some((row, false)) = finished.take(identify.of(fields))
                && self.fits(row, task)
            {
                own(task, fields);
            }
        });
    }

    /// The same for inputs that can be read only once: as each row is kept.
    pub fn own_as_kept(&self, own: impl Fn(u64, &Fields) + Send + Sync + 'static) {
        let _ = self.own.set(Own(Box::new(own))); // it is set once
    }

    /// Whether the task with this number and input is finished. If so, it keeps its row, which is not available for
    /// another task with an equal input. One that was ok is finished only if it `is_current`.
    pub fn keep(&self, task: u64, fields: &Fields, is_current: impl Fn() -> bool) -> bool {
        let mut waiting = lock(&self.waiting);
        let identity = waiting.identify.of(fields);
        let Some((row, has_failed)) =
            waiting.finished.as_mut().and_then(|finished| finished.take(identity))
        else {
            self.take_unfinished(&mut waiting, identity, task);
            return false;
        };
        if !self.fits(row, task) {
            return false;
        }
        if !has_failed && !is_current() {
            waiting.rerun.insert(task, row);
            return false;
        }
        if let Some(Own(own)) = self.own.get().filter(|_| !has_failed) {
            own(task, fields);
        }
        let mut index = lock(&self.index);
        index.add(task, row);
        if let Some(place) = fields.place() {
            index.is_at(row, place);
        }
        drop(index);
        self.counts.keep(has_failed);
        if let Some(outputs) = &self.outputs {
            outputs.pass(task);
        }
        true
    }

    /// Notes that the task with this number and input runs again, whether or not a task with an equal input is finished:
    /// if it is not started after all, it has the row that it had.
    pub fn runs_again(&self, task: u64, fields: &Fields) {
        let mut waiting = lock(&self.waiting);
        let identity = waiting.identify.of(fields);
        self.take_unfinished(&mut waiting, identity, task);
    }

    fn take_unfinished(&self, waiting: &mut Waiting, identity: u128, task: u64) {
        if let Some(row) = waiting.unfinished.take(identity)
            && self.fits(row, task)
        {
            waiting.rerun.insert(task, row);
        }
    }

    /// Whether this task, which is not started, was to run again: then it has the row that it had.
    pub(in crate::report) fn stays(&self, task: u64) -> bool {
        let stays = lock(&self.waiting).rerun.contains_key(&task);
        if let Some(outputs) = self.outputs.as_ref().filter(|_| stays) {
            outputs.pass(task);
        }
        stays
    }

    /// This task is started again, or has another row: the one that it had counts no more, also after a kill.
    pub fn replace(&self, task: u64) {
        if let Some(row) = lock(&self.waiting).rerun.remove(&task) {
            let _ = state::replace(&self.state, row); // without it, a kill may have the task run again
        }
    }

    /// Records that all inputs have been read: the inputs of rows that are still waiting no longer exist, unless some are
    /// left out.
    pub fn inputs_ended(&self) {
        if self.rest == Rest::Kept {
            return;
        }
        let mut waiting = lock(&self.waiting);
        waiting.gone = waiting.finished.take().map_or(waiting.gone, |finished| finished.left());
        waiting.unfinished = Unfinished::default();
    }

    /// Ends the lookups. Tasks that were to run again and have not been started have the rows that they had. If not all
    /// inputs have been read, the rows that are still waiting are kept after all others, since their inputs may still exist,
    /// in the order of the numbers that they had, which `numbers` has by their places. Where files are called by numbers, they
    /// keep those.
    pub(in crate::report) fn close(&self, numbers: impl FnOnce() -> Vec<Option<u64>>) -> Closed {
        let mut waiting = lock(&self.waiting);
        let (mut left_out, mut overtaken) = (0, 0);
        let mut index = lock(&self.index);
        for (task, row) in mem::take(&mut waiting.rerun) {
            if !index.has(task) {
                index.add(task, row);
                self.counts.keep(false);
            }
        }
        if let Some(finished) = waiting.finished.take() {
            let mut remaining = finished.remaining();
            if self.rest == Rest::Kept {
                left_out = remaining.len() as u64;
            }
            remaining.extend(mem::take(&mut waiting.unfinished).remaining());
            let numbers = if remaining.is_empty() { Vec::new() } else { numbers() };
            let number = |row: u64| numbers.get(row as usize).copied().flatten();
            remaining.sort_unstable_by_key(|&row| (number(row), row));
            if self.numbers.is_none() {
                index.add_after_all(&remaining);
            } else {
                let all = remaining.len();
                remaining.retain(|&row| {
                    let own = number(row).filter(|&task| self.fits(row, task) && !index.has(task));
                    if let Some(task) = own {
                        index.add(task, row);
                    }
                    own.is_some()
                });
                overtaken = (all - remaining.len()) as u64;
            }
            for _ in remaining {
                self.counts.keep(false);
            }
        }
        Closed { gone: waiting.gone, left_out, overtaken }
    }
}
