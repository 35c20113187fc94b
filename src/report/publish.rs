//! The partial becomes the report, at once and whole.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::job::Order;
use crate::report::ReportError;
use crate::report::recorder::Recorder;

/// Replaces the report at `path` by what was recorded. If that fails, the rows stay in the partial.
pub(super) fn publish(recorder: &Recorder, order: Order, path: &Path) -> Result<(), ReportError> {
    if let Some(message) = &recorder.broken {
        return Err(kept(message, recorder));
    }
    let partial = &recorder.partial;
    let in_order = order == Order::Completion || recorder.index.in_order();
    let done = if in_order && partial.is_in_place() {
        fs::rename(partial.path(), path)
    } else {
        // Also if somebody has removed the file, or the whole folder: the rows are still open here.
        let copied = replace(path, |file| recorder.index.copy(partial, file));
        if copied.is_ok() {
            partial.remove();
        }
        copied
    };
    done.map_err(|error| kept(&format!("failed to write `{}`: {error}", path.display()), recorder))
}

fn kept(message: &str, recorder: &Recorder) -> ReportError {
    let rows = recorder.index.rows();
    let path = recorder.partial.path().display();
    ReportError::write(if !recorder.partial.is_in_place() {
        format!("{message}; `{path}` has been removed, so its {rows} rows are lost")
    } else if rows == 1 {
        format!("{message}; the 1 row written so far is kept in `{path}`")
    } else {
        format!(
            "{message}; the {rows} rows written so far are kept in `{path}`, in the order in which tasks ended"
        )
    })
}

/// Replaces the file at `path` by what `write` writes: there is always either the old one or the new one, whole.
///
/// It is not synced to the disk, which would cost 4 ms on ext4, more than a job of one short task: a crash of the whole
/// machine within seconds may take the new report with it. Not the old one on ext4 and btrfs, which write the data of a
/// file that replaces another before they rename it.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut file: NamedTempFile = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".tmp")
        .permissions(Permissions::from_mode(0o666)) // less the umask, as any new file
        .tempfile_in(folder)?;
    write(file.as_file_mut())?;
    file.as_file_mut().flush()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
