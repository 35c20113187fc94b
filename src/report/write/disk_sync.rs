//! Syncs rows to the disk once a second, in a thread of its own: a slow disk delays nothing else. A power cut costs at
//! most that second.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use rustix::io::Errno;

/// How long a row may be in the page cache only.
const PERIOD: Duration = Duration::from_secs(1);

/// The thread that syncs. It ends some time after this handle is dropped.
#[derive(Debug)]
pub(in crate::report) struct Syncer {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    dirty: AtomicBool,
    over: AtomicBool,
    failure: OnceLock<io::Error>,
}

impl Syncer {
    /// Syncs `files` from now on. `on_failure` gets the first error, after which nothing is synced any more.
    pub(in crate::report) fn start(
        files: [File; 2],
        on_failure: impl FnOnce(&io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let inner = Arc::clone(&shared);
        let thread = thread::Builder::new().name("sync".into()).spawn(move || {
            if let Err(error) = run(&inner, &files) {
                on_failure(inner.failure.get_or_init(|| error));
            }
        })?;
        Ok(Self { shared, thread: thread.thread().clone() })
    }

    /// Records that there are new rows.
    pub(in crate::report) fn written(&self) {
        self.shared.dirty.store(true, Ordering::Release);
    }

    /// Why rows could not be synced.
    pub(in crate::report) fn failure(&self) -> Option<&io::Error> {
        self.shared.failure.get()
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

fn run(shared: &Shared, files: &[File]) -> io::Result<()> {
    while !shared.over.load(Ordering::Acquire) {
        thread::park_timeout(PERIOD);
        if !shared.over.load(Ordering::Acquire) && shared.dirty.swap(false, Ordering::AcqRel) {
            files.iter().try_for_each(data)?;
        }
    }
    Ok(())
}

/// Syncs the data of `file` to the disk.
pub(in crate::report) fn data(file: &File) -> io::Result<()> {
    match rustix::fs::fdatasync(file) {
        // The file system has nothing to sync.
        Ok(()) | Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
