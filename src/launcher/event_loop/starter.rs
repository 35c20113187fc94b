//! Starts the children that a loop watches, and takes in those that others have left to it.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, getpid, pidfd_open, waitid};

use crate::launcher::message::{Request, StartRequest};
use crate::launcher::server::Common;
use crate::sys::{Failure, PointerBuffer, Program, Spawner, Step};

/// What starting a child needs, reused from start to start.
pub(super) struct Starter {
    pub(super) common: Arc<Common>,
    spawner: Spawner,
    parent: Pid,
    argv: PointerBuffer,
    env: PointerBuffer,
    /// Which variables of the launcher's own environment are changed or removed for this child.
    changed: Vec<bool>,
}

impl Starter {
    pub(super) fn new(common: Arc<Common>) -> io::Result<Self> {
        let [argv, env] = [PointerBuffer::default(), PointerBuffer::default()];
        let changed = vec![false; common.environment.len()];
        Ok(Self { common, spawner: Spawner::new()?, parent: getpid(), argv, env, changed })
    }

    /// Starts the program of `request` with these descriptors, which are closed here.
    pub(super) fn start(
        &mut self,
        request: &StartRequest<'_>,
        descriptors: &mut Vec<OwnedFd>,
    ) -> Result<(Pid, OwnedFd), Failure> {
        let prepare = |errno: Errno| Failure { step: Step::Prepare, error: errno.into() };
        if self.common.leaving.load(Ordering::SeqCst) {
            return Err(prepare(Errno::CANCELED));
        }
        if descriptors.len() != request.ends.count() {
            return Err(prepare(Errno::MFILE));
        }
        let common = &*self.common;
        let mut came = descriptors.iter();
        let mut end = |number| {
            let came = if request.ends.has(number) { came.next() } else { None };
            came.map(AsFd::as_fd)
        };
        let ends = [0, 1, 2].map(|number| end(number).unwrap_or(common.null.as_fd()));
        let extra = end(3);
        mark_changed(&common.environment, request, &mut self.changed);
        let kept = common.environment.iter().zip(&self.changed).filter(|(_, changed)| !**changed);
        let env = request.set().chain(kept.map(|(variable, _)| variable.as_c_str()));
        let started = self.spawner.start(&Program {
            path: request.program,
            argv: self.argv.fill(request.argv()),
            env: self.env.fill(env),
            folder: request.folder,
            ends,
            extra,
            mask: &common.mask,
            open_files: common.open_files,
            parent: self.parent,
        });
        descriptors.clear();
        started
    }

    /// Takes an orphan that this process has inherited for a child that was started here.
    pub(super) fn adopt(&mut self, pid: i32) -> Result<(Pid, OwnedFd), Failure> {
        let gone = |error: Errno| Failure { step: Step::Prepare, error: error.into() };
        let pid = Pid::from_raw(pid).filter(|_| pid > 0).ok_or(gone(Errno::SRCH))?;
        // From here on nobody else reaps it.
        self.common.adopted.insert(pid);
        let adopted = pidfd_open(pid, PidfdFlags::empty()).and_then(|pidfd| {
            // Fails if it is not a child.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            waitid(WaitId::PidFd(pidfd.as_fd()), options)?;
            Ok((pid, pidfd))
        });
        adopted.map_err(|error| {
            self.common.adopted.remove(pid);
            gone(error)
        })
    }

    /// The same, with the request in the last descriptor.
    pub(super) fn start_in_memory(
        &mut self,
        descriptors: &mut Vec<OwnedFd>,
    ) -> Result<(Pid, OwnedFd), Failure> {
        let read = |memory: OwnedFd| -> io::Result<Vec<u8>> {
            let (mut memory, mut message) = (File::from(memory), Vec::new());
            memory.rewind()?;
            memory.read_to_end(&mut message)?;
            Ok(message)
        };
        let failed = |error| Failure { step: Step::Prepare, error };
        let memory = descriptors.pop().ok_or(Errno::MFILE.into()).map_err(failed)?;
        let message = read(memory).map_err(failed)?;
        match Request::decode(&message) {
            Ok(Request::Start(request)) => self.start(&request, descriptors),
            _ => Err(failed(Errno::INVAL.into())),
        }
    }
}

/// Marks which of the sorted variables in `environment` the request sets or removes.
fn mark_changed(
    environment: &[std::ffi::CString],
    request: &StartRequest<'_>,
    changed: &mut [bool],
) {
    changed.fill(false);
    let set = request.set().map(name_of);
    for name in set.chain(request.unset().map(CStr::to_bytes)) {
        if let Ok(index) = environment.binary_search_by(|variable| name_of(variable).cmp(name)) {
            changed[index] = true;
        }
    }
}

/// The name of a `NAME=value`.
fn name_of(variable: &CStr) -> &[u8] {
    let bytes = variable.to_bytes();
    &bytes[..memchr::memchr(b'=', bytes).unwrap_or(bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variables_name_ends_at_the_first_equals_sign() {
        assert_eq!(name_of(c"A=b=c"), b"A");
        assert_eq!(name_of(c"EMPTY="), b"EMPTY");
        assert_eq!(name_of(c"none"), b"none");
    }
}
