//! The models: each is nothing but a number of event loops, and slots shared out among them. One file each.

mod event_loop;
pub mod guide;
pub mod level;
mod nature;
pub mod pilot;
mod processes;
mod sequential;
mod threads;
pub mod usl;

use std::ops::Range;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fmt, io, thread};

pub use nature::Nature;

/// The default number of slots for work that waits in an event loop.
const WAITING_ON_A_LOOP: usize = 100;
/// The default number of slots for work that waits in threads, as in Python's `ThreadPoolExecutor`.
const WAITING_IN_THREADS: usize = 32;

/// A way to run tasks concurrently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// One task at a time.
    Sequential,
    /// A pool of operating-system threads, each doing one task at a time.
    Threads,
    /// A pool of worker processes.
    Processes,
    /// Many tasks in flight on an event loop.
    Async,
}

impl Model {
    /// Every model, the simplest first.
    pub const ALL: [Model; 4] = [Model::Sequential, Model::Threads, Model::Async, Model::Processes];

    /// Its name in job files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Model::Sequential => "sequential",
            Model::Threads => "threads",
            Model::Processes => "processes",
            Model::Async => "async",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Model {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|model| model.name() == word).ok_or_else(|| {
            format!("expected sequential, threads, processes or async, found `{word}`")
        })
    }
}

/// Runs one event loop with the slots of a range, numbered from 0, until they have ended.
pub type RunLoop<'a> = &'a (dyn Fn(Range<usize>) + Sync);

/// Runs `slots` slots under `model`, and returns when all have ended.
///
/// # Errors
/// If the system cannot start the threads.
pub fn run(model: Model, slots: usize, nature: Nature, run_loop: RunLoop<'_>) -> io::Result<()> {
    match model {
        Model::Sequential => sequential::run(run_loop),
        // The program has the threads.
        Model::Threads if nature == Nature::Hosted => in_threads(&shares(slots, 1), run_loop),
        Model::Threads => threads::run(slots, run_loop),
        Model::Processes => processes::run(slots, run_loop),
        Model::Async => event_loop::run(slots, nature, run_loop),
    }
}

/// From this number on, a thread of a pool spends more time looking for work among all others than starting takes.
const LARGE_POOL: usize = 128;

/// Runs an event loop for each of `ranges` in a thread of its own: a rayon pool with one thread per loop.
fn in_threads(ranges: &[Range<usize>], run_loop: RunLoop<'_>) -> io::Result<()> {
    if ranges.len() > LARGE_POOL {
        return in_plain_threads(ranges, run_loop);
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(ranges.len())
        .thread_name(|index| format!("loop-{}", index + 1))
        .build()
        .map_err(io::Error::other)?;
    pool.broadcast(|context| run_loop(ranges[context.index()].clone()));
    Ok(())
}

/// [`in_threads`] for hundreds of loops, which share no work and so need no pool.
fn in_plain_threads(ranges: &[Range<usize>], run_loop: RunLoop<'_>) -> io::Result<()> {
    thread::scope(|scope| {
        for (index, range) in ranges.iter().enumerate() {
            let builder = thread::Builder::new().name(format!("loop-{}", index + 1));
            match builder.spawn_scoped(scope, move || run_loop(range.clone())) {
                Err(error) if index == 0 => return Err(error),
                // If the system starts no more threads, those that there are do the work.
                Err(_) => break,
                Ok(_) => {}
            }
        }
        Ok(())
    })
}

/// Distributes `slots` slots among `loops` event loops as evenly as possible.
fn shares(slots: usize, loops: usize) -> Vec<Range<usize>> {
    (0..loops).map(|index| slots * index / loops..slots * (index + 1) / loops).collect()
}

/// The number of cores beyond which none are used, whatever the system says.
static MOST_CORES: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The number of cores that this process may use, according to its affinity, its cgroup's quota and [`limit_cores`].
pub fn cores() -> usize {
    // Asked once: it takes twenty system calls, and each slot of a job wants to know.
    static OF_SYSTEM: OnceLock<usize> = OnceLock::new();
    let cores = OF_SYSTEM.get_or_init(|| thread::available_parallelism().map_or(1, usize::from));
    (*cores).min(MOST_CORES.load(Ordering::Relaxed))
}

/// Uses no more cores than `most` from here on: a scheduler need not enforce what it grants.
pub fn limit_cores(most: usize) {
    MOST_CORES.store(most.max(1), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_in_one_share() {
        assert_eq!(shares(5, 2), [0..2, 2..5]);
        assert_eq!(shares(2, 2), [0..1, 1..2]);
        assert_eq!(shares(130, 3).into_iter().flatten().count(), 130);
    }

    #[test]
    fn models_are_read_by_name() {
        for model in Model::ALL {
            assert_eq!(model.name().parse(), Ok(model));
        }
        assert!("thread".parse::<Model>().is_err());
    }
}
