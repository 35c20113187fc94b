//! The control thread: signals, progress, and the watchdogs of jobs. It runs no task, so no task can delay it.
//! INT, TERM and HUP stop the jobs; USR1 prints how far they are. TSTP (Ctrl-Z) pauses them: the children are stopped, the clock stands still, and
//! then the runner stops itself until a CONT comes.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use serde_json::json;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::base::event;
use crate::engine::limits::watchdog::Watchdog;
use crate::engine::run::SharedLauncher;
use crate::report::terminal::progress::Progress;
use crate::sys;
use crate::sys::HeldStop;
use crate::task::{Cancel, Cause, Level, clock};

const TICK: Duration = Duration::from_millis(100);

/// The control thread's handle; one for the whole process.
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The running jobs, in the order in which they started.
    current: Mutex<Vec<Current>>,
    /// The first signal that came, 0 if none did.
    signal: AtomicI32,
    /// How many jobs have started.
    started: AtomicU64,
}

/// Who tells the process to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Whoever has started it.
    User,
    /// The driver of a job of which it runs a shard.
    Shard,
}

const DRAINING: &str = "stopping: running tasks finish, no new ones start (once more ends them)";

impl Role {
    /// Whether the signal drains the process, and never more than that.
    fn drains_by(self, signal: i32) -> bool {
        self == Self::Shard && signal == libc::SIGHUP
    }
}

/// A running job.
struct Current {
    /// A number that is unique among the jobs of this process.
    number: u64,
    cancel: Arc<Cancel>,
    progress: Progress,
    watchdog: Watchdog,
    launcher: SharedLauncher,
}

impl Control {
    /// Starts the thread and handles INT, TERM, HUP and TSTP, unless the runner was started with them ignored
    /// (`nohup`). XFSZ is ignored from here on.
    ///
    /// # Errors
    /// If the thread cannot be started or the signal handlers cannot be installed.
    pub fn start() -> io::Result<Self> {
        Self::start_as(Role::User)
    }

    /// The same in a shard of a job, which no terminal holds: HUP drains it, however often it comes. What tells a shard to
    /// end cannot always know whether it has been heard.
    ///
    /// # Errors
    /// As [`Control::start`].
    pub fn start_in_a_shard() -> io::Result<Self> {
        Self::start_as(Role::Shard)
    }

    fn start_as(role: Role) -> io::Result<Self> {
        sys::ignore_file_limit();
        let shared = Arc::new(Shared::default());
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _guard = runtime.enter();
            Signals::new(role)?
        };
        let control = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("control".into())
            .spawn(move || runtime.block_on(watch(&control, signals, role)))?;
        Ok(Self { shared })
    }

    /// Attaches a job that runs from now on, until the result is dropped.
    pub fn attach(
        &self,
        cancel: Arc<Cancel>,
        progress: Progress,
        watchdog: Watchdog,
        launcher: SharedLauncher,
    ) -> Attached<'_> {
        // Under the lock, so that a signal either finds the job or is found here: it may have come between two jobs.
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

    /// Tells, wherever it is asked, whether a signal has come.
    pub fn stopped(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.signal.load(Ordering::SeqCst) != 0
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Current>> {
        self.shared.lock()
    }
}

/// A job that is attached to the control thread until this is dropped.
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

    /// Stops the running jobs, and prints what happens now.
    fn stop(&self, signal: i32, level: Level) {
        let current = self.lock();
        if let Some(first) = current.first() {
            first.progress.println(match level {
                Level::Drain => DRAINING,
                _ => "ending the running tasks (once more exits at once)",
            });
        }
        for job in &*current {
            job.cancel.raise(level, Cause::Signal(signal));
        }
    }

    /// The first signal drains, the second one kills, the third one exits at once.
    fn take_signal(&self, count: u32, number: i32) {
        let _ = self.signal.compare_exchange(0, number, Ordering::SeqCst, Ordering::SeqCst);
        match count {
            1 => self.stop(number, Level::Drain),
            2 => self.stop(number, Level::Kill),
            _ => exit_at_once(128 + number),
        }
    }

    /// Stops the children and this process, and returns after the next CONT, or at once if that has come already. The
    /// children continue a few microseconds before or after this process, which does not matter.
    fn pause(&self, stop: &HeldStop) {
        // All jobs share one launcher.
        let launcher = self.lock().first().and_then(|current| current.launcher.running());
        if let Some(launcher) = &launcher {
            launcher.pause();
        }
        clock::pause();
        stop.obey();
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
struct Signals {
    /// The signals that stop it.
    end: Vec<(i32, Signal)>,
    /// The signal that pauses it.
    pause: Option<HeldStop>,
    /// The signal that asks how far it is.
    status: Option<Signal>,
}

/// What a signal requests.
enum Asked {
    /// The end of the run; the number of the signal.
    End(i32),
    Pause,
    /// A line on each job.
    Status,
}

impl Signals {
    /// Must run before other threads are started.
    fn new(role: Role) -> io::Result<Self> {
        let ignored = sys::ignored_signals();
        let is_ignored = |number: i32| ignored & (1 << (number - 1)) != 0;
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let end = kinds
            .into_iter()
            .map(|kind| (kind.as_raw_value(), kind))
            .filter(|(number, _)| role.drains_by(*number) || !is_ignored(*number))
            .map(|(number, kind)| Ok((number, signal(kind)?)))
            .collect::<io::Result<_>>()?;
        let pause = if is_ignored(libc::SIGTSTP) { None } else { HeldStop::new()? };
        let kind = SignalKind::user_defined1();
        let status = if is_ignored(kind.as_raw_value()) { None } else { Some(signal(kind)?) };
        Ok(Self { end, pause, status })
    }

    /// The next request. Other signals stay pending for the next call.
    async fn next(&mut self) -> Asked {
        let Self { end, pause, status } = self;
        let ends = std::future::poll_fn(|context| {
            for (number, signal) in &mut *end {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        });
        let pauses = async {
            match pause {
                Some(pause) if pause.comes().await.is_ok() => {}
                _ => std::future::pending().await,
            }
        };
        let asks = async {
            let asked = match status {
                Some(status) => status.recv().await,
                None => None,
            };
            if asked.is_none() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            number = ends => Asked::End(number),
            () = pauses => Asked::Pause,
            () = asks => Asked::Status,
        }
    }
}

/// Exits, and says so to programs if they listen.
fn exit_at_once(code: i32) -> ! {
    /// A pipe that nobody reads holds nobody up.
    const PATIENCE: Duration = Duration::from_millis(100);
    let (sender, receiver) = std::sync::mpsc::channel();
    let said = std::thread::Builder::new().spawn(move || {
        event::emit("end", || json!({ "exit": code }));
        let _ = sender.send(());
    });
    if said.is_ok() && event::is_on() {
        let _ = receiver.recv_timeout(PATIENCE);
    }
    std::process::exit(code)
}

async fn watch(shared: &Shared, mut signals: Signals, role: Role) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0;
    loop {
        tokio::select! {
            asked = signals.next() => match (asked, &signals.pause) {
                (Asked::Pause, Some(pause)) => shared.pause(pause),
                (Asked::Pause, None) => {}
                (Asked::Status, _) => {
                    shared.lock().iter().for_each(|current| current.progress.print());
                }
                (Asked::End(number), _) if role.drains_by(number) && count > 0 => {} // it is stopping
                (Asked::End(number), _) => {
                    count += 1;
                    shared.take_signal(count, number);
                }
            },
            _ = ticks.tick() => shared.tick(),
        }
    }
}
