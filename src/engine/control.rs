//! The control thread: signals, progress, and what a job has to be guarded against. It runs no task, so nothing that a
//! task does can hold it up.
//!
//! INT, TERM and HUP stop the job. TSTP (Ctrl-Z) pauses it: the children are stopped, the clock stands still, and then
//! the runner stops itself, until somebody lets it go on.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::engine::limits::watchdog::Watchdog;
use crate::engine::run::SharedLauncher;
use crate::report::terminal::progress::Progress;
use crate::sys;
use crate::task::{Cancel, Cause, Level, clock};

const TICK: Duration = Duration::from_millis(100);

/// How long a SIGTSTP waits for a SIGCONT that was sent right behind it.
const TAKEN_BACK: Duration = Duration::from_millis(2);

/// The control thread's handle; one for the whole process.
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// In the order in which they started.
    current: Mutex<Vec<Current>>,
    /// The first signal that came, 0 if none did.
    signal: AtomicI32,
    /// How many jobs have started.
    started: AtomicU64,
}

const DRAINING: &str = "stopping: running tasks finish, no new ones start (once more ends them)";

/// A job that runs now.
struct Current {
    /// Which one it is; no two jobs of a process have the same.
    number: u64,
    cancel: Arc<Cancel>,
    progress: Progress,
    watchdog: Watchdog,
    launcher: SharedLauncher,
}

impl Control {
    /// Starts the thread and takes INT, TERM, HUP and TSTP, unless the runner was started with them ignored (`nohup`).
    /// XFSZ is ignored from here on.
    ///
    /// # Errors
    /// If the thread or the signal handlers cannot be had.
    pub fn start() -> io::Result<Self> {
        sys::ignore_file_limit();
        let shared = Arc::new(Shared::default());
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _guard = runtime.enter();
            Signals::new()?
        };
        let control = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("control".into())
            .spawn(move || runtime.block_on(watch(&control, signals)))?;
        Ok(Self { shared })
    }

    /// Makes these the ones of a job that runs now, until what is returned is dropped.
    pub fn attach(
        &self,
        cancel: Arc<Cancel>,
        progress: Progress,
        watchdog: Watchdog,
        launcher: SharedLauncher,
    ) -> Attached<'_> {
        // Under the lock, so that a signal finds the job or is found here: it may have come between two jobs.
        let mut current = self.lock();
        if let Some(signal) = self.signal() {
            progress.println(DRAINING);
            cancel.raise(Level::Drain, Cause::Signal(signal));
        }
        let number = self.shared.started.fetch_add(1, Ordering::SeqCst);
        current.push(Current { number, cancel, progress, watchdog, launcher });
        Attached { control: self, number }
    }

    /// The first signal that came, if one did.
    pub fn signal(&self) -> Option<i32> {
        Some(self.shared.signal.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Current>> {
        self.shared.lock()
    }
}

/// A job is attached to the control thread for as long as this lives.
pub struct Attached<'a> {
    control: &'a Control,
    number: u64,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        let mut all = self.control.lock();
        if let Some(index) = all.iter().position(|current| current.number == self.number) {
            let mut current = all.remove(index);
            current.progress.finish();
            current.watchdog.say_failures(&current.cancel, &current.progress);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Current>> {
        self.current.lock().expect("no holder of this lock panics")
    }

    /// Stops the current jobs, and says what happens now.
    fn stop(&self, signal: i32, level: Level) {
        let current = self.lock();
        if let Some(first) = current.first() {
            first.progress.println(match level {
                Level::Drain => DRAINING,
                _ => "ending the running tasks (once more leaves at once)",
            });
        }
        for job in &*current {
            job.cancel.raise(level, Cause::Signal(signal));
        }
    }

    /// The first signal drains, the second kills, the third leaves at once.
    fn take_signal(&self, count: u32, number: i32) {
        let _ = self.signal.compare_exchange(0, number, Ordering::SeqCst, Ordering::SeqCst);
        match count {
            1 => self.stop(number, Level::Drain),
            2 => self.stop(number, Level::Kill),
            _ => std::process::exit(128 + number),
        }
    }

    /// Stops the children and this process, and returns when it is let go on. What the children do on their own account
    /// between their continuing and ours, or the other way round, is a matter of microseconds.
    fn pause(&self) {
        // All jobs have the same one.
        let launcher = self.lock().first().and_then(|current| current.launcher.running());
        if let Some(launcher) = &launcher {
            launcher.pause();
        }
        clock::pause();
        sys::stop_this_process();
        clock::resume();
        if let Some(launcher) = &launcher {
            launcher.resume();
        }
    }

    fn tick(&self) {
        for current in &mut *self.lock() {
            current.watchdog.tick(&current.cancel, &current.progress);
            current.progress.tick();
        }
    }
}

/// The signals that stop or pause a run.
struct Signals(Vec<(i32, Signal)>);

impl Signals {
    fn new() -> io::Result<Self> {
        let ignored = sys::ignored_signals();
        let pause = SignalKind::from_raw(libc::SIGTSTP);
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), pause];
        let taken = kinds
            .into_iter()
            .map(|kind| (kind.as_raw_value(), kind))
            .filter(|(number, _)| ignored & (1 << (number - 1)) == 0)
            .map(|(number, kind)| Ok((number, signal(kind)?)))
            .collect::<io::Result<_>>()?;
        Ok(Self(taken))
    }

    /// The next signal's number.
    async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

impl Signals {
    /// Whether a SIGCONT has come behind a SIGTSTP: it does nothing to a process that is not stopped yet, and would be
    /// missed by one that then stops itself.
    async fn are_taken_back(&mut self) -> bool {
        let go_on = self.0.iter_mut().find(|(number, _)| *number == libc::SIGCONT);
        match go_on {
            Some((_, signal)) => tokio::time::timeout(TAKEN_BACK, signal.recv()).await.is_ok(),
            None => false,
        }
    }
}

async fn watch(shared: &Shared, mut signals: Signals) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0;
    loop {
        tokio::select! {
            number = signals.next() => match number {
                libc::SIGTSTP if !signals.are_taken_back().await => shared.pause(),
                libc::SIGTSTP | libc::SIGCONT => {}
                _ => {
                    count += 1;
                    shared.take_signal(count, number);
                }
            },
            _ = ticks.tick() => shared.tick(),
        }
    }
}
