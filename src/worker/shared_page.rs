//! The page that the runner shares with a worker process: what the worker runs now and since when, what has been taken
//! back from it, and the answers that it has not written to its pipe yet.
//!
//! So the runner knows without a message per start what was running when a worker died, which tasks were done, and when
//! a timeout is due. The page is a memfd, file descriptor 3 of the worker. Its first words, 64 bits each:
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
//! `current`. All four are sequentially consistent, so they have one order that both agree on: either the worker sees
//! the barrier and does not start the task, or the runner sees that the task is current. With anything weaker both could
//! miss each other (a store may be delayed past a later load, even on x86) and a task would run twice. What is above
//! the current task has therefore not started and never will. What is not above it is in doubt, so it is left to the
//! worker, which answers for it in any case. Since sequence numbers and the barrier only grow, nothing is ever reset.
//!
//! **Timing.** The worker stores `since` before `current`, the latter with release: whoever has seen the current number
//! sees its start or a later one, never an earlier one, and no timeout comes too soon.
//!
//! **The journal.** An answer is copied first and counted in `length` after (release), so what is counted is whole. It
//! is emptied only once the pipe has all of it: an answer is in the pipe, in the journal, or in both, and the reader
//! drops what it has already. Emptying sets the length to 0, then makes a new generation, and only then is anything
//! overwritten: a reader that finds the same generation before and after its copy has a good copy, else it looks again
//! later. When the worker is dead, the journal no longer moves.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::task::Moment;

/// The worker's descriptor of the page.
const WORKER_FD: i32 = 3;
const JOURNAL_START: usize = 4096;
/// A millisecond's worth of the smallest answers fits twice.
const JOURNAL_BYTES: usize = 256 << 10;
const PAGE_BYTES: usize = JOURNAL_START + JOURNAL_BYTES;

#[repr(C)]
struct Words {
    current: AtomicU64,
    since: AtomicU64,
    barrier: AtomicU64,
    generation: AtomicU64,
    length: AtomicU64,
}

/// The mapped memory.
#[derive(Debug)]
struct Mapping(NonNull<u8>);

// SAFETY: it is plain memory, which belongs to no thread; whoever holds it may use it from any thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(memory: &OwnedFd) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address, so no memory of ours is replaced.
        let address =
            unsafe { mmap(ptr::null_mut(), PAGE_BYTES, access, MapFlags::SHARED, memory, 0)? };
        Ok(Self(NonNull::new(address.cast()).expect("a mapping is not at address 0")))
    }

    fn words(&self) -> &Words {
        // SAFETY: the mapping is page-aligned, larger than the words, lives as long as `self`, and holds zeroes at
        // first, which are valid; atomics may be shared with another process.
        unsafe { self.0.cast().as_ref() }
    }

    fn journal(&self) -> *mut u8 {
        // SAFETY: the offset is inside the mapping.
        unsafe { self.0.add(JOURNAL_START).as_ptr() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and no reference into it outlives `self`.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), PAGE_BYTES) };
    }
}

/// The task that a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its sequence number.
    pub seq: u64,
    /// When it started.
    pub since: Moment,
}

/// The runner's end.
#[derive(Debug)]
pub struct RunnerPage {
    mapping: Mapping,
    /// How far the journal of which generation has been read.
    read: (u64, usize),
}

impl RunnerPage {
    /// A new page, and the descriptor that the worker gets.
    ///
    /// # Errors
    /// If the system has no memory or descriptor for it.
    pub fn create() -> io::Result<(Self, OwnedFd)> {
        let memory = memfd_create("runner-page", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, PAGE_BYTES as u64)?;
        let mapping = Mapping::new(&memory)?;
        Ok((Self { mapping, read: (0, 0) }, memory))
    }

    /// What runs now, if anything does.
    pub fn running(&self) -> Option<Running> {
        let words = self.mapping.words();
        let seq = words.current.load(SeqCst);
        let since = Moment::from_nanos(words.since.load(Relaxed));
        (seq != 0).then_some(Running { seq, since })
    }

    /// Lets nothing below `barrier` start any more, and returns the sequence number that runs now, 0 if none does: if
    /// one does, all between it and `barrier` have not started and never will.
    pub fn take_back(&self, barrier: u64) -> u64 {
        let words = self.mapping.words();
        words.barrier.store(barrier, SeqCst);
        words.current.load(SeqCst)
    }

    /// Appends what the journal has got since the last look: whole answers. It may have been written to the pipe too.
    pub fn read_journal(&mut self, into: &mut Vec<u8>) {
        let words = self.mapping.words();
        let generation = words.generation.load(Acquire);
        let length = (words.length.load(Acquire) as usize).min(JOURNAL_BYTES);
        let start = if self.read.0 == generation { self.read.1 } else { 0 };
        if start >= length {
            return;
        }
        let before = into.len();
        into.reserve(length - start);
        // SAFETY: `start..length` is inside the journal, and as much was reserved. The writer is another process, so
        // no reference of this one is violated; bytes that it was overwriting are thrown away below.
        unsafe {
            let from = self.mapping.journal().add(start);
            ptr::copy_nonoverlapping(from, into.as_mut_ptr().add(before), length - start);
            into.set_len(before + length - start);
        }
        fence(Acquire); // the copy is done before the second look
        if words.generation.load(Relaxed) == generation {
            self.read = (generation, length);
        } else {
            into.truncate(before);
        }
    }
}

/// The worker's end.
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
        // SAFETY: the launcher has put the page there, and nothing else in this process knows of the descriptor. If
        // this process was started by somebody else, the size tells.
        let memory = unsafe { OwnedFd::from_raw_fd(WORKER_FD) };
        Self::new(&memory)
    }

    fn new(memory: &OwnedFd) -> io::Result<Self> {
        if rustix::fs::fstat(memory)?.st_size as usize != PAGE_BYTES {
            return Err(io::Error::other("file descriptor 3 is not a page of the runner"));
        }
        Ok(Self { mapping: Mapping::new(memory)?, length: 0 })
    }

    /// Announces the task `seq`, which starts at `now`. False: it was taken back and must not start.
    pub fn start(&mut self, seq: u64, now: Moment) -> bool {
        let words = self.mapping.words();
        words.since.store(now.as_nanos(), Relaxed);
        words.current.store(seq, SeqCst); // also the release that `since` needs
        words.barrier.load(SeqCst) <= seq
    }

    /// Announces that nothing runs.
    pub fn rest(&mut self) {
        self.mapping.words().current.store(0, SeqCst);
    }

    /// Appends an answer to the journal. False: it does not fit.
    pub fn record(&mut self, answer: &[u8]) -> bool {
        if answer.len() > JOURNAL_BYTES - self.length {
            return false;
        }
        // SAFETY: it fits; `answer` is not in the journal, since that is only lent out while `self` is borrowed.
        unsafe {
            let to = self.mapping.journal().add(self.length);
            ptr::copy_nonoverlapping(answer.as_ptr(), to, answer.len());
        }
        self.length += answer.len();
        self.mapping.words().length.store(self.length as u64, Release);
        true
    }

    /// The answers in the journal.
    pub fn recorded(&self) -> &[u8] {
        // SAFETY: the bytes are inside the mapping and written; only this process writes them, through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.mapping.journal(), self.length) }
    }

    /// Empties the journal, whose answers are all in the pipe.
    pub fn clear(&mut self) {
        let words = self.mapping.words();
        words.length.store(0, Relaxed);
        // Release: who sees the new generation sees no old length. The fence: nothing is overwritten before.
        words.generation.store(words.generation.load(Relaxed) + 1, Release);
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
    fn what_does_not_fit_is_left_out() {
        let (mut runner, mut worker) = page();
        assert!(worker.record(&vec![b'a'; JOURNAL_BYTES - 1]));
        assert!(!worker.record(b"bb"));
        assert!(worker.record(b"b"));
        assert!(journal(&mut runner).ends_with("aab"));
    }

    /// Either end may win, but never both: a task that the runner takes back is not run.
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
