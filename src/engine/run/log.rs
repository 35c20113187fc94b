//! The job's log, opened when it is first needed.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::lock;
use crate::report::Report;
use crate::worker::Log;

/// The log of a job, opened when the first worker that may write to it is started.
#[derive(Debug, Default)]
pub struct SharedLog(Mutex<Option<Arc<Log>>>);

impl SharedLog {
    /// The log, opened if it has not been.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn get(&self, report: &Report) -> io::Result<Arc<Log>> {
        let mut log = lock(&self.0);
        if let Some(log) = &*log {
            return Ok(Arc::clone(log));
        }
        let opened = report.open_log().map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Arc::clone(log.insert(Arc::new(opened))))
    }

    /// Closes it, once every worker has ended. Returns its path, if anything has been written.
    pub fn finish(self) -> Option<PathBuf> {
        let log = self.0.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        Arc::into_inner(log)?.finish()
    }
}
