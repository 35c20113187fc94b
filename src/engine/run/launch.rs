//! The launcher of this process, shared by all jobs.

use std::io;
use std::sync::{Arc, Mutex};

use crate::launcher::Launcher;

/// The launcher of this process, started when it is first needed and shared by all jobs.
#[derive(Clone, Default)]
pub struct SharedLauncher(Arc<Mutex<Option<Arc<Launcher>>>>);

impl SharedLauncher {
    /// The launcher, started if there is none.
    ///
    /// # Errors
    /// If the system cannot start a process.
    pub fn get(&self) -> io::Result<Arc<Launcher>> {
        let mut launcher = self.0.lock().expect("starting a launcher does not panic");
        if launcher.is_none() {
            *launcher = Some(Arc::new(Launcher::start()?));
        }
        Ok(Arc::clone(launcher.as_ref().expect("it was just started")))
    }

    /// The launcher, if it has been needed so far.
    pub fn running(&self) -> Option<Arc<Launcher>> {
        self.0.lock().expect("starting a launcher does not panic").clone()
    }
}
