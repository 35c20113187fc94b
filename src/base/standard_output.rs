//! Standard output, as everything but the tasks' own output is written there. One place notes that it could not be: a full
//! disk must not look like success.

use std::io::{self, Write};
use std::sync::OnceLock;

use super::diagnostic::reason;
use super::mask;

/// Why something could not be written.
static FAILURE: OnceLock<String> = OnceLock::new();

/// Writes a text, with secrets masked. A reader that has gone is not a failure.
pub fn write(text: &[u8]) {
    let mut out = io::stdout().lock();
    let written = out.write_all(&mask::apply(text)).and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = FAILURE.set(reason(&error)); // the first one is said
    }
}

/// Why not everything could be written, if it could not.
pub fn failure() -> Option<&'static str> {
    FAILURE.get().map(String::as_str)
}
