//! The launcher: a small process that starts every child of the runner, so that none outlives it.
//!
//! It is the runner's own program, executed again with [`LAUNCH_ARG`]. Its standard input is the control socket: new
//! ports arrive over it, and its end means that the runner has ended. The first thread receives ports and distributes
//! them among threads that do the work ([`EventLoop`]), reaps orphans, and kills everything that is left when the
//! runner has ended.

use std::collections::HashSet;
use std::ffi::{CString, OsString};
use std::io::{self, Stdin};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{env, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{
    Pid, Resource, Signal, getpid, getrlimit, set_child_subreaper, set_parent_process_death_signal,
    setsid,
};
use rustix::thread::set_name;

use crate::base::diagnostic::print_error;
use crate::base::lock;
use crate::config::program::OF_A_TASK;
use crate::launcher::event_loop::EventLoop;
use crate::launcher::message::Control;
use crate::launcher::{socket, tree};
use crate::sys;
use crate::sys::{SignalMask, memory};

/// The only argument of a process that is the launcher.
pub const LAUNCH_ARG: &str = "--start-commands-for-the-runner";

/// The number of threads per core, more than one since a thread waits while its child is being started.
const THREADS_PER_CORE: usize = 2;

/// How long an orphan that has ended may stay a zombie. Orphans are rare, and a check costs a microsecond.
const SWEEP: Duration = Duration::from_millis(200);

/// What all threads of the launcher share.
pub struct Common {
    /// `NAME=value` each, sorted by name.
    pub environment: Vec<CString>,
    /// The signals that are blocked in children at their start.
    pub mask: SignalMask,
    /// The null device, for descriptors that the runner has not sent.
    pub null: OwnedFd,
    /// The soft and the hard limit of open files for children, if the runner has raised the soft one.
    pub open_files: Option<(u64, u64)>,
    /// Whether the runner has ended, so that nothing is started any more.
    pub leaving: AtomicBool,
    /// Orphans that a port has taken for its child.
    pub adopted: Adopted,
}

/// Processes that this one has inherited and whose end a port waits for.
#[derive(Debug, Default)]
pub struct Adopted(Mutex<HashSet<Pid>>);

impl Adopted {
    /// A port waits for this one.
    pub fn insert(&self, pid: Pid) {
        self.lock().insert(pid);
    }

    /// It has been reaped.
    pub fn remove(&self, pid: Pid) {
        self.lock().remove(&pid);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Pid>> {
        lock(&self.0)
    }

    /// Reaps orphans that have ended, until one of them is somebody's.
    fn sweep(&self) {
        while let Some(pid) = sys::ended_orphan() {
            if self.lock().contains(&pid) {
                return; // its port is about to reap it
            }
            let _ = sys::reap(pid);
        }
    }
}

/// Runs the launcher, from its start to its end.
pub fn main() -> ! {
    let mask = SignalMask::block_all();
    let control = io::stdin();
    match serve(&control, mask) {
        Ok(()) => exit(0),
        Err(error) => {
            print_error(&format!("runner: the launcher failed: {error}"));
            tree::kill_descendants();
            exit(1)
        }
    }
}

fn serve(control: &Stdin, mask: SignalMask) -> io::Result<()> {
    set_name(c"runner-launcher")?;
    // Its children are in this session, too. Signals from the terminal are for the runner to handle, and a child that wants
    // the terminal is told so at once, instead of being stopped.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    // A stopped one could not see that the runner has ended.
    set_parent_process_death_signal(Some(Signal::CONT))?;
    sys::keep_descriptors_from_children();
    let common = Common {
        environment: environment(),
        mask,
        null: null_above_the_childs_ends()?,
        open_files: open_files(first_packet(control)?),
        leaving: AtomicBool::new(false),
        adopted: Adopted::default(),
    };
    let common = Arc::new(common);
    let mut threads = Threads { common: Arc::clone(&common), inboxes: Vec::new(), next: 0 };
    let mut ports = Vec::new();
    while wait_and_sweep(control, &common.adopted)? {
        let mut packet = [0; 8];
        let Some(length) = socket::receive(control, &mut packet, &mut ports)? else { break };
        match Control::decode(&packet[..length]) {
            Control::Port => ports.drain(..).try_for_each(|port| threads.give(&port))?,
            message => threads.tell_all(message),
        }
    }
    common.leaving.store(true, Ordering::SeqCst);
    tree::kill_descendants();
    Ok(())
}

/// Waits for news on the control socket, and reaps orphans meanwhile: they are adopted by this thread, the first one,
/// and each child of a port is the child of its port's thread. Always true, so that it can be a condition.
fn wait_and_sweep(control: &Stdin, adopted: &Adopted) -> io::Result<bool> {
    let pause = Timespec { tv_sec: 0, tv_nsec: i64::from(SWEEP.subsec_nanos()) };
    let mut watched = [PollFd::new(control, PollFlags::IN)];
    while rustix::io::retry_on_intr(|| poll(&mut watched, Some(&pause)))? == 0 {
        adopted.sweep();
    }
    Ok(true)
}

/// Receives the first packet: the soft limit of open files that the runner was started with, or 0 if it has not changed
/// it.
fn first_packet(control: &Stdin) -> io::Result<u64> {
    wait_and_sweep(control, &Adopted::default())?;
    let mut limit = [0; 8];
    socket::receive(control, &mut limit, &mut Vec::new())?;
    Ok(u64::from_ne_bytes(limit))
}

fn open_files(original: u64) -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile);
    let differs = original != 0 && limit.current != Some(original);
    differs.then(|| (original, limit.maximum.unwrap_or(u64::MAX)))
}

/// What children inherit: not what an outer runner says of the task that this runner is.
fn environment() -> Vec<CString> {
    let is_passed_on = |(name, _): &(OsString, OsString)| !OF_A_TASK.iter().any(|of| name == of);
    let mut variables: Vec<(Vec<u8>, Vec<u8>)> = env::vars_os()
        .filter(is_passed_on)
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect();
    variables.sort();
    let joined = variables.into_iter().map(|(name, value)| [name, value].join(&b'='));
    joined.map(|variable| CString::new(variable).expect("it came as a C string")).collect()
}

/// Opens the null device until its descriptor is above 3, so that all later ones are as well: a child's descriptors can
/// then be moved to their numbers in any order.
fn null_above_the_childs_ends() -> io::Result<OwnedFd> {
    loop {
        let null = open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        if null.as_raw_fd() > 3 {
            return Ok(null);
        }
        std::mem::forget(null);
    }
}

/// The threads that start children, each of which has ports of its own.
struct Threads {
    common: Arc<Common>,
    /// The sockets to the threads. Ports are sent as packets, since each thread has a descriptor table of its own.
    inboxes: Vec<OwnedFd>,
    next: usize,
}

impl Threads {
    /// Gives a port to a thread: to a new one while there are few, then to each in turn.
    fn give(&mut self, port: &OwnedFd) -> io::Result<()> {
        let most = thread::available_parallelism().map_or(1, usize::from) * THREADS_PER_CORE;
        if self.inboxes.len() < most {
            self.start()?;
            self.next = self.inboxes.len() - 1;
        }
        let inbox = &self.inboxes[self.next];
        self.next = (self.next + 1) % self.inboxes.len();
        // If a thread hangs, the port is lost, and closed for its owner.
        let _ = socket::send_patiently(inbox, &Control::Port.encode(), &[port.as_fd()]);
        Ok(())
    }

    /// Passes a message of the runner on to every thread. While the children are stopped, the runner is as well, so it
    /// requests no port and so no further thread.
    fn tell_all(&self, message: Control) {
        for inbox in &self.inboxes {
            let _ = socket::send_patiently(inbox, &message.encode(), &[]);
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let (ours, theirs) = socket::pair()?;
        let common = Arc::clone(&self.common);
        let body = move || match EventLoop::new(common, theirs).and_then(|ports| {
            // A child's peak starts at the memory of this process, so that has to be small.
            memory::drop_clean_pages();
            memory::reset_peak();
            ports.serve()
        }) {
            Ok(never) => never,
            // A child dies with its thread: it is better if all die at once, with a message.
            Err(error) => {
                print_error(&format!("runner: the launcher failed: {error}"));
                exit(1)
            }
        };
        thread::Builder::new().name("runner-start".into()).stack_size(128 << 10).spawn(body)?;
        self.inboxes.push(ours);
        Ok(())
    }
}
