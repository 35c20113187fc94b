//! What the end of a child comes to: a status, a result, an error in words.

use std::io;

use super::plan::ResultEnd;
use crate::base::diagnostic::reason;
use crate::base::text::{write_clean, write_clean_tail};
use crate::launcher::Exit;
use crate::sys::{Step, signal_name};
use crate::task::Status;

/// How many characters of standard output a row shows.
const RESULT: usize = 500;

/// How many characters of what was said last an error shows.
const ERROR_TAIL: usize = 4 << 10;

/// The cell `result`.
pub fn result(output: &[u8], end: ResultEnd) -> Vec<u8> {
    let mut text = String::new();
    match end {
        ResultEnd::Head => write_clean(output, RESULT, &mut text),
        ResultEnd::Tail => write_clean_tail(output, RESULT, &mut text),
    }
    text.into_bytes()
}

/// Status, exit code and cause of an attempt that ran to its own end.
pub fn verdict(exit: &Exit, program: &str, success_codes: &[i32]) -> (Status, Option<i32>, String) {
    match exit {
        Exit::Code(code) if success_codes.contains(code) => {
            (Status::Ok, Some(*code), String::new())
        }
        Exit::Code(code) => (Status::Failed, Some(*code), how_it_ended(exit, program)),
        Exit::Signal(_) | Exit::Stopped(_) => (Status::Crashed, None, how_it_ended(exit, program)),
        Exit::NotStarted(..) => (Status::Failed, None, how_it_ended(exit, program)),
    }
}

/// The end of a child in words.
pub fn how_it_ended(exit: &Exit, program: &str) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("killed by signal {signal} ({})", signal_name(*signal)),
        Exit::Stopped(signal) => format!(
            "stopped by signal {signal} ({}), which nothing would have ended, so it was killed",
            signal_name(*signal)
        ),
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

/// The cell `error`: the cause, then the end of what the child has said, where the reason stands.
pub fn error(cause: String, note: Option<&str>, said: &[u8]) -> String {
    let mut text = cause;
    if let Some(note) = note {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(note);
    }
    if !text.is_empty() && !said.trim_ascii().is_empty() {
        text.push_str(": ");
        write_clean_tail(said, ERROR_TAIL, &mut text);
    }
    text
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
        let long = format!("{}\nFATAL: the disk is full", "ü".repeat(ERROR_TAIL));
        let text = error("exit code 1".into(), None, long.as_bytes());
        assert!(text.starts_with("exit code 1: …ü"), "{text}");
        assert!(text.ends_with(r"ü\nFATAL: the disk is full"), "{text}");
        assert_eq!(text.chars().count(), "exit code 1: ".len() + ERROR_TAIL);
    }
}
