//! The whole output of a task's last attempt, in files of the job's folder of logs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::stream::Stream;
use crate::base::diagnostic::reason;
use crate::task::Status;

/// The streams of a command, as their files are called.
const STREAMS: [&str; 2] = ["out", "err"];

/// Which outputs of a stage's tasks are kept in files, and where.
#[derive(Clone, Debug)]
pub struct TaskLogs {
    /// The folder, absolute.
    pub folder: Arc<Path>,
    /// The stage's name, if it has one.
    pub stage: Option<String>,
    /// Whether those of tasks that are ok are kept, too.
    pub keeps_ok: bool,
}

impl TaskLogs {
    fn path(&self, task: u64, stream: &str) -> PathBuf {
        self.folder.join(match &self.stage {
            Some(stage) => format!("{task}.{stage}.{stream}"),
            None => format!("{task}.{stream}"),
        })
    }

    /// Keeps the output of an attempt that ended like this, in place of that of an earlier one. Of a stream that is
    /// `None` there is nothing to keep.
    ///
    /// # Errors
    /// In words.
    pub(super) fn keep(
        &self,
        task: u64,
        status: Status,
        streams: [Option<&mut Stream>; 2],
    ) -> Result<(), String> {
        let is_kept = self.keeps_ok || status != Status::Ok;
        for (name, stream) in STREAMS.into_iter().zip(streams) {
            let path = self.path(task, name);
            let done = match stream.filter(|_| is_kept) {
                Some(stream) => stream.save(&path),
                None => remove(&path),
            };
            done.map_err(|error| {
                format!("its output could not be kept in `{}`: {}", path.display(), reason(&error))
            })?;
        }
        Ok(())
    }

    /// Removes what has been kept of a task.
    pub fn forget(&self, task: u64) {
        for stream in STREAMS {
            let _ = remove(&self.path(task, stream)); // a file too many is no harm
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
