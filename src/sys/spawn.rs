//! Starting a program by `clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD)` and `execve`, which is all that a start needs;
//! glibc's `posix_spawn` makes 122 system calls.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{io, ptr};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use rustix::process::Pid;

use super::SignalMask;

/// Enough for a few system calls and no signal handler.
const STACK_BYTES: usize = 64 << 10;

/// A program to start.
pub struct Program<'a> {
    /// The program's path; absolute, since the folder is changed first.
    pub path: &'a CStr,
    /// Its arguments, the first being its own name.
    pub argv: Pointers<'a>,
    /// Its environment, `NAME=value` each.
    pub env: Pointers<'a>,
    /// Its working folder.
    pub folder: Option<&'a CStr>,
    /// Descriptors for standard input, output and error; all above 3.
    pub ends: [BorrowedFd<'a>; 3],
    /// The file for its descriptor 3; itself above 3.
    pub extra: Option<BorrowedFd<'a>>,
    /// The signals that it starts with blocked.
    pub mask: &'a SignalMask,
    /// The soft and the hard limit of open files, if they differ from this process's.
    pub open_files: Option<(u64, u64)>,
    /// This process.
    pub parent: Pid,
}

/// The step at which a start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Making a process.
    Clone,
    /// Setting its session, its descriptors and its limits.
    Prepare,
    /// Changing to its folder.
    Folder,
    /// Executing the program.
    Execute,
}

/// Why a program was not started.
#[derive(Debug)]
pub struct Failure {
    /// What failed.
    pub step: Step,
    /// The system's reason.
    pub error: io::Error,
}

/// NUL-terminated strings as `execve` takes them: an array of pointers that ends with a null pointer.
#[derive(Clone, Copy)]
pub struct Pointers<'a> {
    first: *const *const c_char,
    strings: PhantomData<&'a CStr>,
}

/// The memory for [`Pointers`], reused from start to start.
#[derive(Default)]
pub struct PointerBuffer(Vec<*const c_char>);

impl PointerBuffer {
    /// The array for these strings.
    pub fn fill<'a>(&'a mut self, strings: impl Iterator<Item = &'a CStr>) -> Pointers<'a> {
        self.0.clear();
        self.0.extend(strings.map(CStr::as_ptr));
        self.0.push(ptr::null());
        Pointers { first: self.0.as_ptr(), strings: PhantomData }
    }
}

/// Starts programs, one after another, from one thread.
///
/// A child dies with the thread that started it, so this thread must live as long as the process.
pub struct Spawner {
    stack: *mut c_void,
}

impl Spawner {
    /// # Errors
    /// If there is no memory for a stack.
    pub fn new() -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::STACK;
        // SAFETY: a new mapping, which overlaps nothing.
        let stack = unsafe {
            mmap_anonymous(ptr::null_mut(), STACK_BYTES, ProtFlags::READ | ProtFlags::WRITE, flags)?
        };
        Ok(Self { stack })
    }

    /// Starts `program` in a session and a process group of its own; returns it with a pidfd. Every signal must be blocked in this
    /// thread (see [`SignalMask::block_all`]): while the child shares its memory, no handler may run there.
    ///
    /// # Errors
    /// What failed and why. No child is left then.
    pub fn start(&mut self, program: &Program<'_>) -> Result<(Pid, OwnedFd), Failure> {
        let sources = program.ends.iter().chain(&program.extra);
        assert!(sources.clone().all(|end| end.as_raw_fd() > 3), "0 to 3 are the child's");
        let mut context = Context { program, failure: None };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut pidfd: c_int = -1;
        // SAFETY: `child` runs on a stack that nothing else uses while this thread waits for it (CLONE_VFORK), reads
        // what `context` borrows, which outlives the call, and neither allocates nor unwinds.
        let pid = unsafe {
            let top = self.stack.cast::<u8>().add(STACK_BYTES).cast();
            libc::clone(child, top, flags, (&raw mut context).cast(), &raw mut pidfd)
        };
        let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 0) else {
            return Err(Failure { step: Step::Clone, error: io::Error::last_os_error() });
        };
        // SAFETY: the kernel has just made it for us.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let Some((step, errno)) = context.failure else { return Ok((pid, pidfd)) };
        // SAFETY: null is allowed for the status. The child has ended, or is about to.
        unsafe { libc::waitpid(pid.as_raw_nonzero().get(), ptr::null_mut(), 0) };
        Err(Failure { step, error: io::Error::from_raw_os_error(errno) })
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and no child uses it once `start` has returned.
        let _ = unsafe { munmap(self.stack, STACK_BYTES) };
    }
}

/// What the child reads, and where it reports a failure.
struct Context<'a> {
    program: &'a Program<'a>,
    failure: Option<(Step, c_int)>,
}

/// The child, from `clone` to `execve`: nothing but system calls, since it runs in its parent's memory.
extern "C" fn child(context: *mut c_void) -> c_int {
    // SAFETY: `start` passes its own context, which it does not touch before this has ended.
    let context = unsafe { &mut *context.cast::<Context<'_>>() };
    let step = prepare(context.program);
    // SAFETY: reads this thread's errno, which the failed call has set; `_exit` runs nothing of the parent's.
    unsafe {
        context.failure = Some((step, *libc::__errno_location()));
        libc::_exit(127)
    }
}

/// Returns only if a step fails, and which one.
fn prepare(program: &Program<'_>) -> Step {
    // SAFETY: plain system calls on values and on strings that end with a NUL (arrays: with a null).
    unsafe {
        // The launcher has no terminal to hand on. A session for each child would cost a tenth of what its start does: with
        // one goes a scheduling group (sched(7), autogroup).
        if libc::setpgid(0, 0) < 0 || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
            return Step::Prepare;
        }
        if libc::getppid() != program.parent.as_raw_nonzero().get() {
            libc::_exit(127); // the parent died before the death signal was set
        }
        for (number, end) in program.ends.iter().chain(&program.extra).enumerate() {
            if libc::dup2(end.as_raw_fd(), number as c_int) < 0 {
                return Step::Prepare;
            }
        }
        if let Some((soft, hard)) = program.open_files {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) < 0 {
                return Step::Prepare;
            }
        }
        if let Some(folder) = program.folder
            && libc::chdir(folder.as_ptr()) < 0
        {
            return Step::Folder;
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const program.mask.0, ptr::null_mut());
        libc::execve(program.path.as_ptr(), program.argv.first, program.env.first);
        Step::Execute
    }
}
