//! The launcher: a small process that starts every child of the runner, so that none outlives it.
//!
//! It is the runner's own program, executed anew with [`LAUNCH_ARG`]. Its standard input is the control socket: new
//! ports come in over it, and its end is the runner's. This thread takes them, shares them out among threads that do
//! the work ([`EventLoop`]), reaps orphans, and kills all that is left when the runner has gone.

use std::ffi::CString;
use std::io::{self, Stdin};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Resource, getpid, getrlimit, set_child_subreaper};
use rustix::thread::set_name;

use crate::launcher::event_loop::EventLoop;
use crate::launcher::message::Control;
use crate::launcher::{socket, tree};
use crate::sys;
use crate::sys::{Of, SignalMask, memory};

/// The only argument of a runner that is to be the launcher.
pub const LAUNCH_ARG: &str = "--start-commands-for-the-runner";

/// Ports per core that get a thread of their own: a thread waits while its child is being started.
const THREADS_PER_CORE: usize = 2;

/// How long an orphan that has ended may stay a zombie. Orphans are rare, and asking costs a microsecond.
const SWEEP: Duration = Duration::from_millis(200);

/// What all threads of the launcher share.
pub struct Common {
    /// `NAME=value` each, sorted by name.
    pub environment: Vec<CString>,
    /// What the children start with blocked.
    pub mask: SignalMask,
    /// For ends that the runner has sent none for.
    pub null: OwnedFd,
    /// The soft limit of open files that children get, and the hard one, if the runner has raised the former.
    pub open_files: Option<(u64, u64)>,
    /// The runner has gone: nothing is started any more.
    pub leaving: AtomicBool,
}

/// The launcher, from its start to its end.
pub fn main() -> ! {
    let mask = SignalMask::block_all();
    let control = io::stdin();
    match serve(&control, mask) {
        Ok(()) => exit(0),
        Err(error) => {
            eprintln!("runner: the launcher failed: {error}");
            tree::kill_descendants();
            exit(1)
        }
    }
}

fn serve(control: &Stdin, mask: SignalMask) -> io::Result<()> {
    set_name(c"runner-launcher")?;
    set_child_subreaper(Some(getpid()))?;
    sys::keep_descriptors_from_children();
    let common = Common {
        environment: environment(),
        mask,
        null: null_above_the_childs_ends()?,
        open_files: open_files(first_packet(control)?),
        leaving: AtomicBool::new(false),
    };
    let common = Arc::new(common);
    let mut threads = Threads { common: Arc::clone(&common), inboxes: Vec::new(), next: 0 };
    let mut ports = Vec::new();
    while wait_and_sweep(control)? {
        let mut packet = [0; 8];
        let Some(length) = socket::receive(control, &mut packet, &mut ports)? else { break };
        match Control::decode(&packet[..length]) {
            Control::Port => ports.drain(..).try_for_each(|port| threads.give(&port))?,
            word => threads.tell_all(word),
        }
    }
    common.leaving.store(true, Ordering::SeqCst);
    tree::kill_descendants();
    Ok(())
}

/// Waits for news on the control socket, and reaps orphans meanwhile: they are adopted by this thread, the first one,
/// and each child of a port is the child of its port's thread. Always true, so that it can be a condition.
fn wait_and_sweep(control: &Stdin) -> io::Result<bool> {
    let pause = Timespec { tv_sec: 0, tv_nsec: i64::from(SWEEP.subsec_nanos()) };
    let mut watched = [PollFd::new(control, PollFlags::IN)];
    while rustix::io::retry_on_intr(|| poll(&mut watched, Some(&pause)))? == 0 {
        sys::reap_all(Of::Thread);
    }
    Ok(true)
}

/// The first packet says which soft limit of open files the runner was started with; 0 if it has not changed it.
fn first_packet(control: &Stdin) -> io::Result<u64> {
    wait_and_sweep(control)?;
    let mut limit = [0; 8];
    socket::receive(control, &mut limit, &mut Vec::new())?;
    Ok(u64::from_ne_bytes(limit))
}

fn open_files(original: u64) -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile);
    let differs = original != 0 && limit.current != Some(original);
    differs.then(|| (original, limit.maximum.unwrap_or(u64::MAX)))
}

fn environment() -> Vec<CString> {
    let mut variables: Vec<(Vec<u8>, Vec<u8>)> =
        env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect();
    variables.sort();
    let joined = variables.into_iter().map(|(name, value)| [name, value].join(&b'='));
    joined.map(|variable| CString::new(variable).expect("it came as a C string")).collect()
}

/// Opens the null device until it is above 3, and so sees to it that whatever is opened later is, too: a child's ends
/// can then be put in their places in any order.
fn null_above_the_childs_ends() -> io::Result<OwnedFd> {
    loop {
        let null = open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        if null.as_raw_fd() > 3 {
            return Ok(null);
        }
        std::mem::forget(null);
    }
}

/// The threads that start children, each with ports of its own.
struct Threads {
    common: Arc<Common>,
    /// Ports are handed over as packets, since each thread has descriptors of its own.
    inboxes: Vec<OwnedFd>,
    next: usize,
}

impl Threads {
    /// Gives a port to a thread: a new one while there are few, then to each in turn.
    fn give(&mut self, port: &OwnedFd) -> io::Result<()> {
        let most = thread::available_parallelism().map_or(1, usize::from) * THREADS_PER_CORE;
        if self.inboxes.len() < most {
            self.start()?;
            self.next = self.inboxes.len() - 1;
        }
        let inbox = &self.inboxes[self.next];
        self.next = (self.next + 1) % self.inboxes.len();
        // Should a thread hang, the port is lost, which its owner is told by its end.
        let _ = socket::send_patiently(inbox, &Control::Port.encode(), &[port.as_fd()]);
        Ok(())
    }

    /// Passes a word of the runner's on to every thread. While the children are stopped so is the runner, which then
    /// asks for no port and so for no further thread.
    fn tell_all(&self, word: Control) {
        for inbox in &self.inboxes {
            let _ = socket::send_patiently(inbox, &word.encode(), &[]);
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let (ours, theirs) = socket::pair()?;
        let common = Arc::clone(&self.common);
        let body = move || match EventLoop::new(common, theirs).and_then(|ports| {
            // A child's peak starts at what this process has in memory: no more than it takes to serve.
            memory::drop_clean_pages();
            memory::reset_peak();
            ports.serve()
        }) {
            Ok(never) => never,
            // A child dies with its thread: better all at once, and said, than some.
            Err(error) => {
                eprintln!("runner: the launcher failed: {error}");
                exit(1)
            }
        };
        thread::Builder::new().name("runner-start".into()).stack_size(128 << 10).spawn(body)?;
        self.inboxes.push(ours);
        Ok(())
    }
}
