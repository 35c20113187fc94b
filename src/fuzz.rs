//! The readers of bytes from outside, each behind one function for the fuzzer: none may ever panic. The
//! targets are in `fuzz/`, and a short run of each is a test.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::config::Scope;
use crate::config::{Overrides, Template};
use crate::task::Values;
use crate::worker::private_protocol;
use crate::{job, report};

/// A job file of this text is planned, or its mistakes are shown.
pub fn job_file(bytes: &[u8]) {
    let Ok(mut file) = tempfile::Builder::new().suffix(".toml").tempfile() else { return };
    if file.write_all(bytes).is_ok()
        && let Err(mistakes) = job::read(&[file.path().to_owned()], &Overrides::default())
    {
        assert!(!mistakes.to_string().is_empty());
    }
}

/// A template is parsed, and rendered if it is one.
pub fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let fields = ["input".to_owned(), "task".to_owned()];
    let scope = Scope { job: "fuzz", fields: Some(&fields), ..Scope::default() };
    if let Ok(template) = Template::parse(text, &scope) {
        let fields = [&b"a/b.c"[..], b"\xff {} %"].into_iter().collect();
        let values = Values { fields: &fields, task: 1, attempt: 2, slot: 3, payload: None };
        template.render(&values, &mut Vec::new());
    }
}

/// A line of the worker protocol is read as either side reads it.
pub fn protocol_line(bytes: &[u8]) {
    let _ = private_protocol::read_reply(bytes);
    if let Ok((_, arguments)) = private_protocol::read_requests(bytes) {
        arguments.map_while(Result::ok).for_each(drop); // whoever reads them stops at the first that is none
    }
}

/// A partial and a state are compared: two bytes with the length of the state, the state, the partial.
///
/// # Panics
/// If what they agree on is not there.
pub fn partial(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk() else { return };
    let (state, partial) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*length))));
    if let (Some(state), Some(partial)) = (memory(state), memory(partial)) {
        report::read_back(&partial, &state);
    }
}

fn memory(bytes: &[u8]) -> Option<File> {
    let file: OwnedFd = memfd_create("fuzz", MemfdFlags::CLOEXEC).ok()?;
    let mut file = File::from(file);
    file.write_all(bytes).ok()?;
    Some(file)
}
