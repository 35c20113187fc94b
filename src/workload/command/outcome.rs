//! What the end of a child comes to: a status, a result, an error in words.

use std::io;

use crate::base::diagnostic::reason;
use crate::base::text::write_clean;
use crate::launcher::Exit;
use crate::sys::{Step, signal_name};
use crate::task::Status;

/// How many characters of standard output a row shows.
const RESULT: usize = 500;

/// How many characters of standard error an error shows.
const ERROR_TAIL: usize = 4 << 10;

/// The cell `result`.
pub fn result(output: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    write_clean(output, RESULT, &mut text);
    text.into_bytes()
}

/// Status, exit code and cause of an attempt that ran to its own end.
pub fn verdict(exit: &Exit, program: &str, success_codes: &[i32]) -> (Status, Option<i32>, String) {
    match exit {
        Exit::Code(code) if success_codes.contains(code) => {
            (Status::Ok, Some(*code), String::new())
        }
        Exit::Code(code) => (Status::Failed, Some(*code), how_it_ended(exit, program)),
        Exit::Signal(_) => (Status::Crashed, None, how_it_ended(exit, program)),
        Exit::NotStarted(..) => (Status::Failed, None, how_it_ended(exit, program)),
    }
}

/// The end of a child in words.
pub fn how_it_ended(exit: &Exit, program: &str) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("killed by signal {signal} ({})", signal_name(*signal)),
        Exit::NotStarted(step, error) => not_started(*step, error, program),
    }
}

/// Why a program could not be started.
fn not_started(step: Step, error: &io::Error, program: &str) -> String {
    let why = reason(error);
    match (step, error.raw_os_error()) {
        (Step::Folder, _) => format!("failed to enter the working folder: {why}"),
        (Step::Execute, Some(libc::E2BIG)) => {
            format!(
                "failed to run `{program}`: its arguments and environment are too long for the system ({why})"
            )
        }
        (Step::Execute, Some(libc::ENOEXEC)) => {
            format!(
                "failed to run `{program}`: {why}; a script starts with a line like `#!/bin/sh`"
            )
        }
        (Step::Execute, _) => format!("failed to run `{program}`: {why}"),
        (Step::Clone | Step::Prepare, _) => {
            format!("failed to start a process for `{program}`: {why}")
        }
    }
}

/// The cell `error`: the cause, then what the child said last.
pub fn error(cause: String, note: Option<&str>, stderr: &[u8]) -> String {
    let mut text = cause;
    if let Some(note) = note {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(note);
    }
    if !text.is_empty() && !stderr.trim_ascii().is_empty() {
        text.push_str(": ");
        write_clean(tail(stderr), ERROR_TAIL, &mut text);
    }
    text
}

/// The last bytes, from the start of a character.
fn tail(bytes: &[u8]) -> &[u8] {
    let tail = &bytes[bytes.len().saturating_sub(ERROR_TAIL)..];
    let within = |&byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    let cut = if tail.len() < bytes.len() {
        tail.iter().take(3).take_while(|byte| within(byte)).count()
    } else {
        0
    };
    &tail[cut..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_become_statuses() {
        let no_entry = || io::Error::from_raw_os_error(libc::ENOENT);
        for (exit, codes, expected) in [
            (Exit::Code(0), &[0][..], (Status::Ok, Some(0), "")),
            (Exit::Code(3), &[0, 3], (Status::Ok, Some(3), "")),
            (Exit::Code(0), &[1], (Status::Failed, Some(0), "exit code 0")),
            (Exit::Signal(9), &[0], (Status::Crashed, None, "killed by signal 9 (SIGKILL)")),
            (
                Exit::NotStarted(Step::Execute, no_entry()),
                &[0],
                (Status::Failed, None, "failed to run `x`: no such file or directory"),
            ),
        ] {
            let (status, code, cause) = verdict(&exit, "x", codes);
            assert_eq!((status, code, cause.as_str()), expected);
        }
    }

    #[test]
    fn an_error_is_the_cause_and_then_the_tail() {
        assert_eq!(error(String::new(), None, b"a warning"), "");
        assert_eq!(error("exit code 1".into(), None, b"it\nbroke\n"), r"exit code 1: it\nbroke");
        assert_eq!(error("exit code 1".into(), Some("note"), b""), "exit code 1; note");
        let long = "ü".repeat(ERROR_TAIL);
        let text = error("exit code 1".into(), None, format!("x{long}").as_bytes());
        assert!(text.ends_with('ü') && !text.contains("\\x"), "{text}");
    }
}
