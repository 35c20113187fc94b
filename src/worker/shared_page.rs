//! The page that the runner shares with a worker process: which task the worker runs and since when, which tasks have
//! been taken back from it, and the answers that it has not yet written to its pipe.
//!
//! So, without a message per start, the runner knows which task was running when a worker died, which tasks were done,
//! and when a timeout is due. The page is a memfd, file descriptor 3 of the worker. Its first words, 64 bits each:
//!
//! | word | name | written by | |
//! |---|---|---|---|
//! | 0 | current | worker | the sequence number that runs now, 0 if none does |
//! | 1 | since | worker | when it started, nanoseconds of `CLOCK_MONOTONIC` |
//! | 2 | barrier | runner | below this sequence number nothing new may start; only ever grows |
//! | 3 | generation | worker | how often the journal was emptied |
//! | 4 | length | worker | bytes in the journal, which starts at byte 4096 |
//!
//! **Taking back.** The worker stores `current` and then loads `barrier`; the runner stores `barrier` and then loads
//! `current`. All four are sequentially consistent, so there is one order on which both agree: either the worker sees
//! the barrier and does not start the task, or the runner sees that the task is current. With a weaker ordering, both
//! could miss each other (a store may be delayed past a later load, even on x86) and a task would run twice. Tasks
//! above the current one have therefore not started and never will. The others are in doubt, so they are left to the
//! worker, which answers for them in any case. Since sequence numbers and the barrier only grow, nothing is ever reset.
//!
//! **Timing.** The worker stores `since` before `current`, the latter with release: a runner that has seen the current
//! number sees its start or a later one, never an earlier one, so that no timeout comes too soon.
//!
//! **The journal.** An answer is first copied and then counted in `length` (release), so that counted answers are
//! whole. The journal is emptied only once the pipe has all of it: an answer is in the pipe, in the journal, or in
//! both, and the reader drops what it has already. Emptying sets the length to 0, then starts a new generation, and
//! only then is anything overwritten: a reader that finds the same generation before and after its copy has a good
//! copy; otherwise it reads again later. When the worker is dead, the journal does not change any more.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use crate::sys::{SharedMapping, inherited};
use crate::task::Moment;

/// The worker's descriptor of the page.
const WORKER_FD: i32 = 3;
const JOURNAL_START: usize = 4096;
/// Room for twice the smallest answers of a millisecond.
const JOURNAL_BYTES: usize = 256 << 10;
const PAGE_BYTES: usize = JOURNAL_START + JOURNAL_BYTES;

/// The words of the table above.
#[derive(Clone, Copy, Debug)]
enum Word {
    Current,
    Since,
    Barrier,
    Generation,
    Length,
}

/// The mapped memory.
#[derive(Debug)]
struct Mapping(SharedMapping);

impl Mapping {
    fn new(memory: &OwnedFd) -> io::Result<Self> {
        SharedMapping::new(memory, PAGE_BYTES).map(Self)
    }

    fn word(&self, word: Word) -> &AtomicU64 {
        self.0.word(word as usize)
    }
}

/// A task that a worker is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its sequence number.
    pub seq: u64,
    /// When it started.
    pub since: Moment,
}

/// The runner's side of a page.
#[derive(Debug)]
pub struct RunnerPage {
    mapping: Mapping,
    /// The generation of the journal that was read last, and how far.
    read: (u64, usize),
}

impl RunnerPage {
    /// A new page, and the descriptor that the worker gets.
    ///
    /// # Errors
    /// If the system has no memory or descriptor left.
    pub fn create() -> io::Result<(Self, OwnedFd)> {
        let memory = memfd_create("runner-page", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, PAGE_BYTES as u64)?;
        let mapping = Mapping::new(&memory)?;
        Ok((Self { mapping, read: (0, 0) }, memory))
    }

    /// The task that is running, if there is one.
    pub fn running(&self) -> Option<Running> {
        let page = &self.mapping;
        let seq = page.word(Word::Current).load(SeqCst);
        let since = Moment::from_nanos(page.word(Word::Since).load(Relaxed));
        (seq != 0).then_some(Running { seq, since })
    }

    /// Prevents tasks below `barrier` from starting, and returns the sequence number of the running task, 0 if there is
    /// none: if there is one, all tasks between it and `barrier` have not started and never will.
    pub fn take_back(&self, barrier: u64) -> u64 {
        let page = &self.mapping;
        page.word(Word::Barrier).store(barrier, SeqCst);
        page.word(Word::Current).load(SeqCst)
    }

    /// Appends the whole answers that the journal has got since the last read. They may have been written to the pipe
    /// as well.
    pub fn read_journal(&mut self, into: &mut Vec<u8>) {
        let page = &self.mapping;
        let generation = page.word(Word::Generation).load(Acquire);
        let length = (page.word(Word::Length).load(Acquire) as usize).min(JOURNAL_BYTES);
        let start = if self.read.0 == generation { self.read.1 } else { 0 };
        if start >= length {
            return;
        }
        let before = into.len();
        page.0.copy_out(JOURNAL_START + start, length - start, into);
        fence(Acquire); // the copy is complete before the second check
        if page.word(Word::Generation).load(Relaxed) == generation {
            self.read = (generation, length);
        } else {
            into.truncate(before);
        }
    }
}

/// The worker's side of a page.
#[derive(Debug)]
pub struct WorkerPage {
    mapping: Mapping,
    /// Bytes in the journal.
    length: usize,
}

impl WorkerPage {
    /// The page that this process was given by the runner.
    ///
    /// # Errors
    /// If it was not given one.
    pub fn inherited() -> io::Result<Self> {
        // If this process was not started by the launcher, the size is wrong.
        let memory = inherited(WORKER_FD);
        Self::new(&memory)
    }

    fn new(memory: &OwnedFd) -> io::Result<Self> {
        if rustix::fs::fstat(memory)?.st_size as usize != PAGE_BYTES {
            return Err(io::Error::other("file descriptor 3 is not the runner's page"));
        }
        Ok(Self { mapping: Mapping::new(memory)?, length: 0 })
    }

    /// Announces the task `seq`, which starts at `now`. Returns false if it was taken back and must not start.
    pub fn start(&mut self, seq: u64, now: Moment) -> bool {
        let page = &self.mapping;
        page.word(Word::Since).store(now.as_nanos(), Relaxed);
        page.word(Word::Current).store(seq, SeqCst); // includes the release that `since` needs
        page.word(Word::Barrier).load(SeqCst) <= seq
    }

    /// Announces that nothing runs.
    pub fn rest(&mut self) {
        self.mapping.word(Word::Current).store(0, SeqCst);
    }

    /// Appends an answer to the journal. Returns false if it does not fit.
    pub fn record(&mut self, answer: &[u8]) -> bool {
        if answer.len() > JOURNAL_BYTES - self.length {
            return false;
        }
        self.mapping.0.copy_in(JOURNAL_START + self.length, answer);
        self.length += answer.len();
        self.mapping.word(Word::Length).store(self.length as u64, Release);
        true
    }

    /// The answers in the journal.
    pub fn recorded(&self) -> &[u8] {
        self.mapping.0.own_bytes(JOURNAL_START, self.length)
    }

    /// Empties the journal, whose answers are all in the pipe.
    pub fn clear(&mut self) {
        let page = &self.mapping;
        page.word(Word::Length).store(0, Relaxed);
        // Release: a reader of the new generation sees no old length. The fence: nothing is overwritten before.
        page.word(Word::Generation).store(page.word(Word::Generation).load(Relaxed) + 1, Release);
        fence(Release);
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn page() -> (RunnerPage, WorkerPage) {
        let (runner, memory) = RunnerPage::create().unwrap();
        (runner, WorkerPage::new(&memory).unwrap())
    }

    fn journal(page: &mut RunnerPage) -> String {
        let mut bytes = Vec::new();
        page.read_journal(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_runner_sees_what_runs_and_since_when() {
        let (runner, mut worker) = page();
        assert_eq!(runner.running(), None);
        let since = Moment::now();
        assert!(worker.start(1, since));
        assert_eq!(runner.running(), Some(Running { seq: 1, since }));
        worker.rest();
        assert_eq!(runner.running(), None);
    }

    #[test]
    fn what_was_taken_back_does_not_start() {
        let (runner, mut worker) = page();
        assert!(worker.start(7, Moment::now()));
        assert_eq!(runner.take_back(10), 7);
        assert!(!worker.start(8, Moment::now()));
        assert!(!worker.start(9, Moment::now()));
        assert!(worker.start(10, Moment::now()));
    }

    #[test]
    fn the_journal_is_read_once() {
        let (mut runner, mut worker) = page();
        assert!(worker.record(b"one\n"));
        assert_eq!(journal(&mut runner), "one\n");
        assert!(worker.record(b"two\n"));
        assert_eq!(journal(&mut runner), "two\n");
        assert_eq!(worker.recorded(), b"one\ntwo\n");
        worker.clear();
        assert_eq!(journal(&mut runner), "");
        assert!(worker.record(b"three\n"));
        assert_eq!(journal(&mut runner), "three\n");
    }

    #[test]
    fn an_answer_that_does_not_fit_is_refused() {
        let (mut runner, mut worker) = page();
        assert!(worker.record(&vec![b'a'; JOURNAL_BYTES - 1]));
        assert!(!worker.record(b"bb"));
        assert!(worker.record(b"b"));
        assert!(journal(&mut runner).ends_with("aab"));
    }

    /// Either side may win, but never both: a task that the runner takes back is not run.
    #[test]
    fn no_task_is_both_run_and_taken_back() {
        let (runner, mut worker) = page();
        let (ran, taken) = std::thread::scope(|scope| {
            let runs = scope.spawn(move || {
                (1..=200_000)
                    .filter(|&seq| worker.start(seq, Moment::from_nanos(1)))
                    .collect::<Vec<_>>()
            });
            let mut taken = HashSet::new();
            while !runs.is_finished() {
                let current = runner.running().map_or(0, |running| running.seq);
                let barrier = current + 3;
                let current = runner.take_back(barrier);
                if current != 0 {
                    taken.extend(current + 1..barrier);
                }
            }
            (runs.join().unwrap(), taken)
        });
        assert!(ran.iter().all(|seq| !taken.contains(seq)));
    }
}
