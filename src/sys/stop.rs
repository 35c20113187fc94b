//! SIGTSTP (Ctrl-Z), held until the runner has prepared for it.
//!
//! The signal is blocked and never handled, so the kernel itself keeps track of it: a SIGCONT discards a pending
//! SIGTSTP whenever it comes, and unblocking the signal stops the process only if it is still pending. A handler that
//! stops the process itself could be overtaken by the SIGCONT, and then nothing would wake the process again.

use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::{io, ptr};

use tokio::io::unix::AsyncFd;

/// SIGTSTP, blocked in the thread that created this and in all threads that it starts.
pub struct HeldStop {
    /// Readable while the signal is pending.
    waiting: AsyncFd<OwnedFd>,
}

impl HeldStop {
    /// Blocks the signal; must run on a runtime, and before other threads are started. `None` if it was blocked
    /// already, which means that the parent does not want it.
    ///
    /// # Errors
    /// If the system does not watch it.
    pub fn new() -> io::Result<Option<Self>> {
        if is_blocked() {
            return Ok(None);
        }
        mask(libc::SIG_BLOCK);
        let signals = only_stop();
        // SAFETY: the set is initialised.
        let descriptor = unsafe {
            libc::signalfd(-1, &raw const signals, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it for us.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Some(Self { waiting: super::watch(descriptor)? }))
    }

    /// Returns when the signal has come and is still pending.
    ///
    /// # Errors
    /// If the runtime ends.
    pub async fn comes(&self) -> io::Result<()> {
        loop {
            let mut ready = self.waiting.readable().await?;
            // Before the check, so that a signal that comes in between is seen by the next one.
            ready.clear_ready();
            if is_waiting() {
                return Ok(());
            }
        }
    }

    /// Stops this process with all of its threads if the signal is still pending; returns when a SIGCONT has come.
    pub fn obey(&self) {
        if is_job_of_a_shell() {
            mask(libc::SIG_UNBLOCK); // the kernel stops this very thread before the call returns
            mask(libc::SIG_BLOCK);
            return;
        }
        // If no shell could continue the process, the kernel ignores SIGTSTP but obeys SIGSTOP, which is what the
        // sender of SIGTSTP to a service expects.
        if self.take() {
            // SAFETY: no handler can be installed for it. Sent to this very thread, which takes it before it returns.
            unsafe { libc::raise(libc::SIGSTOP) };
        }
    }

    /// Consumes the signal. Returns false if it is not pending any more.
    fn take(&self) -> bool {
        let mut information = [0; size_of::<libc::signalfd_siginfo>()];
        rustix::io::read(&self.waiting, &mut information).is_ok()
    }
}

/// Whether the signal waits: a SIGCONT may have taken it back.
fn is_waiting() -> bool {
    let mut pending = MaybeUninit::uninit();
    // SAFETY: the call writes the set before it is read, and cannot fail with a valid place.
    unsafe {
        libc::sigpending(pending.as_mut_ptr());
        libc::sigismember(pending.as_ptr(), libc::SIGTSTP) == 1
    }
}

/// Whether the parent is of the same session but of another process group, as a shell with job control is: then the
/// kernel obeys SIGTSTP.
///
/// In a container, the session and the group can be those of a process outside, whose number is 0 here; a safe type
/// for the number of a process does not hold that.
fn is_job_of_a_shell() -> bool {
    // SAFETY: none of the calls takes a pointer; each fails with -1, and `getppid` and `getpgrp` never do.
    let (parent, session, group, own_session, own_group) = unsafe {
        let parent = libc::getppid();
        let (session, group) = (libc::getsid(parent), libc::getpgid(parent));
        (parent, session, group, libc::getsid(0), libc::getpgrp())
    };
    parent != 0 && session != -1 && session == own_session && group != own_group
}

fn only_stop() -> libc::sigset_t {
    let mut signals = MaybeUninit::uninit();
    // SAFETY: the first call initialises the set; neither can fail with these arguments.
    unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGTSTP);
        signals.assume_init()
    }
}

fn mask(how: libc::c_int) {
    let signals = only_stop();
    // SAFETY: the set is initialised, and null is allowed for the old one.
    unsafe { libc::pthread_sigmask(how, &raw const signals, ptr::null_mut()) };
}

fn is_blocked() -> bool {
    let mut blocked = MaybeUninit::uninit();
    // SAFETY: a null set changes nothing; the old one is written before it is read.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), blocked.as_mut_ptr());
        libc::sigismember(blocked.as_ptr(), libc::SIGTSTP) == 1
    }
}
