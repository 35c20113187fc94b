//! The partial becomes the report, atomically and whole.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::base::diagnostic::reason;
use crate::base::lock;
use crate::config::Order;
use crate::report::ReportError;
use crate::report::store::row_order::{KeptRow, Rows};
use crate::report::write::disk_sync;
use crate::report::write::recorder::Recorder;

/// A job that took longer than this waits until its report is on the disk, as its rows were.
///
/// For a short job that would take most of its time (4 ms on ext4), and running it again is cheap.
const WORTH_SYNCING: Duration = Duration::from_secs(10);

/// How the recorded rows become a report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publish<'a> {
    pub(super) order: Order,
    /// The report.
    pub(super) path: &'a Path,
    /// The byte between cells.
    pub(super) delimiter: u8,
    /// How long the job took.
    pub(super) took: Duration,
}

impl Publish<'_> {
    /// Replaces the report with what was recorded, and passes every row of an earlier run to `on_kept`. If that fails,
    /// the rows stay in the partial.
    pub(super) fn publish(
        self,
        recorder: &mut Recorder,
        on_kept: impl FnMut(KeptRow<'_>),
    ) -> Result<(), ReportError> {
        if let Some(message) = &recorder.broken {
            return Err(kept(message, recorder));
        }
        // Another program has written to it: its bytes must neither get into the report nor be lost.
        let length = recorder.partial.file().metadata().map(|meta| meta.len());
        if length.is_ok_and(|length| length != recorder.end) {
            let partial = recorder.partial.path().display();
            return Err(ReportError::write(format!(
                "another program changed `{partial}` while the job ran, so it did not become the report; move it away to \
                 keep it, or start again with --fresh"
            )));
        }
        let in_order = self.order == Order::Completion || lock(&recorder.index).in_order();
        let done = if in_order && recorder.kept == 0 && recorder.partial.is_in_place() {
            self.rename(recorder)
        } else {
            // Also if the file or its whole folder has been removed: the rows are still open here.
            self.copy(recorder, on_kept)
        };
        done.map_err(|error| {
            kept(
                &format!("failed to write `{}`: {}", self.path.display(), reason(&error)),
                recorder,
            )
        })
    }

    fn rename(self, recorder: &mut Recorder) -> io::Result<()> {
        recorder.state.settle()?;
        self.sync(recorder.state.file())?;
        self.sync(recorder.partial.file())?;
        fs::rename(recorder.partial.path(), self.path)
    }

    /// First the report is replaced, then its state, then the partial is removed: whenever this is interrupted, what is
    /// left can be resumed. Until the state is replaced, the old one has to describe the partial, even if no row has
    /// been added to what was the report before.
    fn copy(self, recorder: &mut Recorder, on_kept: impl FnMut(KeptRow<'_>)) -> io::Result<()> {
        recorder.state.settle()?;
        let mut report = new_file(self.path)?;
        let mut state = new_file(recorder.state.path())?;
        let rows = Rows {
            partial: &recorder.partial,
            state: &recorder.state,
            kept: recorder.kept,
            delimiter: self.delimiter,
        };
        let index = lock(&recorder.index);
        rows.copy((&index, self.order), report.as_file_mut(), state.as_file_mut(), on_kept)?;
        self.sync(report.as_file())?;
        self.sync(state.as_file())?;
        report.persist(self.path).map_err(|error| error.error)?;
        state.persist(recorder.state.path()).map_err(|error| error.error)?;
        recorder.partial.remove();
        Ok(())
    }

    fn sync(self, file: &File) -> io::Result<()> {
        if self.took >= WORTH_SYNCING { disk_sync::data(file) } else { Ok(()) }
    }
}

fn kept(message: &str, recorder: &Recorder) -> ReportError {
    let rows = recorder.state.entries();
    let path = recorder.partial.path().display();
    ReportError::write(if !recorder.partial.is_in_place() {
        format!("{message}; `{path}` was removed, so its {rows} rows are lost")
    } else if rows == 1 {
        format!("{message}; the 1 row written so far is kept in `{path}`; resume with --resume")
    } else {
        format!(
            "{message}; the {rows} rows written so far are kept in `{path}`, in the order in which tasks ended; resume \
             with --resume"
        )
    })
}

/// Replaces the file at `path` with what `write` writes: there is always either the whole old file or the whole new
/// one.
///
/// It is not synced to the disk, which would cost 4 ms on ext4, more than a job of one short task. A crash of the whole
/// machine within seconds may lose the new file, but not the old one on ext4 and btrfs, which write the data of a file
/// that replaces another before they rename it.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = new_file(path)?;
    write(file.as_file_mut())?;
    file.as_file_mut().flush()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A file that will replace the one at `path`.
fn new_file(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".tmp")
        .permissions(Permissions::from_mode(0o666)) // minus the umask, as for any new file
        .tempfile_in(folder)
}
