//! The system calls that neither std nor rustix has, each wrapped in a safe function: signals, waiting with a child's
//! own resource usage, a thread's own descriptors, and starting a program ([`Spawner`]); shared memory; and what
//! proc(5) and cgroups(7) tell.
//!
//! All unsafe code of the crate is here, each block with its reason, and no other module reads `/proc`.

mod available_memory;
mod cpu_time;
mod fd_path;
mod file_lock;
mod load;
mod mapping;
pub mod memory;
mod oom;
mod pressure;
mod processes;
mod processor_times;
mod signal;
mod spawn;
mod stop;
mod unsent;
pub mod usage;
mod writers;

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::{io, ptr};

use rustix::process::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub use available_memory::{MemorySource, available_memory, total_memory};
pub use cpu_time::{CpuTime, thread_cpu};
pub use fd_path::{THIS_PROGRAM, descriptor_in, fd_path, fd_path_for_others};
pub use file_lock::is_locked;
pub use load::LoadSource;
pub use mapping::{SharedMapping, inherited};
pub use oom::{oom_kills, said_of_kills};
pub use pressure::{memory_stalled, processors_stalled};
pub use processes::{descendants, host, is_running, living_groups};
pub use processor_times::ProcessorTimes;
pub use signal::{hear_of_children, ignored_signals, signal_name};
pub use spawn::{Failure, PointerBuffer, Program, Spawner, Step};
pub use stop::HeldStop;
pub use unsent::{has_hung_up, unsent};
pub use writers::has_other_writers;

/// A set of blocked signals.
#[derive(Clone, Copy)]
pub struct SignalMask(libc::sigset_t);

impl SignalMask {
    /// Blocks every signal in this thread and in those that it starts, and restores the default of SIGPIPE and SIGXFSZ
    /// (Rust and [`ignore_file_limit`] ignore them, and ignored signals stay ignored in a child). Returns the signals that
    /// were blocked before, except SIGTSTP, which the runner itself has blocked ([`HeldStop`]): those that a child starts
    /// with.
    ///
    /// A child that gets this mask does not inherit blocked signals; it would inherit ignored ones.
    pub fn block_all() -> Self {
        restore_internal_signals();
        let mut before = MaybeUninit::uninit();
        // SAFETY: both sets are written by the calls before they are read, and none of the calls can fail with these
        // arguments. No handler is installed.
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
            let mut all = MaybeUninit::uninit();
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            libc::sigdelset(before.as_mut_ptr(), libc::SIGTSTP);
            Self(before.assume_init())
        }
    }
}

/// Restores the default of the two signals that glibc reserves: its `posix_spawn`, by which this process may have been
/// started, leaves them ignored, and its `sigaction` refuses them.
fn restore_internal_signals() {
    // As large as the kernel's `struct sigaction` on any machine; all zero is the default.
    let default = [0_u64; 8];
    let mask_bytes = size_of::<u64>();
    for signal in [32, 33] {
        let nowhere = ptr::null_mut::<u64>();
        // SAFETY: the kernel reads the action and the size of its mask. No code of this process uses these signals: it
        // cancels no threads and changes no user.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, nowhere, mask_bytes)
        };
    }
}

/// Makes writing beyond the file size limit (`ulimit -f`) an error like that of a full disk, instead of killing this
/// process.
pub fn ignore_file_limit() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// How a child ended, and what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// The status that `wait` returns.
    pub status: i32,
    /// Processor time of the child, and of its children that it waited for.
    pub cpu: CpuTime,
    /// Peak resident memory in bytes, of the largest of them.
    pub peak_rss: u64,
}

/// Reaps this child if it has ended.
///
/// # Errors
/// `ECHILD` if it is not, or no longer, a child of this process.
pub fn reap(pid: Pid) -> io::Result<Option<Reaped>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both places are valid for writes during the call.
    let found = unsafe {
        libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, libc::WNOHANG, usage.as_mut_ptr())
    };
    if found < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed above, which is a valid value, and perhaps overwritten with another.
    let usage = unsafe { usage.assume_init() };
    Ok((found > 0).then(|| Reaped {
        status,
        cpu: CpuTime { user: duration(usage.ru_utime), system: duration(usage.ru_stime) },
        peak_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    }))
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
}

/// What is left after reaping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// There are children that have not ended.
    Running,
    /// There are no children.
    Nothing,
}

/// Reaps all children that have ended.
pub fn reap_all() -> Left {
    let flags = libc::WNOHANG | libc::__WALL;
    loop {
        // SAFETY: null is allowed for both places.
        match unsafe { libc::wait4(-1, ptr::null_mut(), flags, ptr::null_mut()) } {
            0 => return Left::Running,
            1.. => {}
            _ => return Left::Nothing,
        }
    }
}

/// A child of this thread that has ended and waits to be reaped, if there is one.
pub fn ended_orphan() -> Option<Pid> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL | libc::__WNOTHREAD;
    // SAFETY: the place is valid for writes, and all zero is a valid value, which stays if there is no such child. The
    // pid is what `waitid` fills in.
    let pid = unsafe {
        if libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) < 0 {
            return None;
        }
        info.assume_init().si_pid()
    };
    Pid::from_raw(pid).filter(|_| pid > 0)
}

/// Gives this thread a table of descriptors of its own, a copy of the process's, where the kernel can (Linux 5.9).
///
/// Without it, a child that another thread is starting holds copies of this thread's pipe ends until it has executed
/// its program. Uses `close_range` and not `unshare`, which containers commonly forbid.
pub fn unshare_descriptors() {
    let nothing = libc::c_uint::MAX;
    // SAFETY: the range holds no descriptor, so none is closed; what is opened or closed from now on concerns this
    // thread alone, and it owns all that it uses.
    unsafe { libc::syscall(libc::SYS_close_range, nothing, nothing, libc::CLOSE_RANGE_UNSHARE) };
}

/// Has every open descriptor above 2 closed in executed programs, if the kernel can do that (Linux 5.11): descriptors
/// that this process happened to inherit are not for its children.
pub fn keep_descriptors_from_children() {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: sets a flag, which concerns nothing but `execve`.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, flags) };
}

/// Has the runtime of this thread watch this descriptor for reading.
///
/// # Errors
/// If the system cannot watch it, or no more descriptors.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` stays open, and the same, for as long as it is owned.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    Ok(watched?)
}
