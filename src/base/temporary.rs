//! Unnamed temporary files, which go with the process.

use std::fs::File;
use std::io;

use super::diagnostic::reason;

/// A new one, open for reading and writing.
///
/// # Errors
/// Why there is none, with the folder where it should have been.
pub fn file() -> io::Result<File> {
    tempfile::tempfile().map_err(|error| {
        let folder = std::env::temp_dir();
        let why = reason(&error);
        io::Error::new(
            error.kind(),
            format!("{why}: no temporary file in `{}` (TMPDIR)", folder.display()),
        )
    })
}
