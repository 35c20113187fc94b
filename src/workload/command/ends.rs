//! A child's standard input, output and error, opened for one attempt.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};

use super::plan::{Input, Plan};
use super::stream::Stream;
use crate::base::diagnostic::reason;
use crate::config::Template;
use crate::task::Values;

/// What a child is given.
#[derive(Debug)]
pub struct Ends {
    stdin: Option<OwnedFd>,
    stdout: End,
    stderr: End,
}

/// Where a child writes.
#[derive(Debug)]
enum End {
    /// To the runner; the runner's copy, until the child has it.
    Pipe(Option<OwnedFd>),
    /// To a file.
    File(File),
    /// Where standard output goes.
    WithOutput,
}

impl Ends {
    /// Opens what `plan` says for this task. `stdout` and `stderr` are what the runner reads.
    ///
    /// # Errors
    /// What could not be opened, and why.
    pub fn open(
        plan: &Plan,
        values: &Values<'_>,
        [stdout, stderr]: [&mut Stream; 2],
    ) -> Result<Self, String> {
        let stdin = open_input(plan, values)?;
        let output = plan.stdout.as_ref().map(|path| rendered(path, values));
        let errors = plan.stderr.as_ref().map(|path| rendered(path, values));
        let shared = output.is_some() && output == errors;
        let stdout = open_output(plan, output.as_deref(), stdout)?;
        let stderr = if shared {
            stderr.clear();
            End::WithOutput
        } else {
            open_output(plan, errors.as_deref(), stderr)?
        };
        Ok(Self { stdin, stdout, stderr })
    }

    /// The child's standard input; `None` for null.
    pub fn stdin(&self) -> Option<BorrowedFd<'_>> {
        self.stdin.as_ref().map(AsFd::as_fd)
    }

    /// The child's standard output.
    pub fn stdout(&self) -> Option<BorrowedFd<'_>> {
        match &self.stdout {
            End::Pipe(pipe) => pipe.as_ref().map(AsFd::as_fd),
            End::File(file) => Some(file.as_fd()),
            End::WithOutput => None,
        }
    }

    /// The child's standard error.
    pub fn stderr(&self) -> Option<BorrowedFd<'_>> {
        match &self.stderr {
            End::Pipe(pipe) => pipe.as_ref().map(AsFd::as_fd),
            End::File(file) => Some(file.as_fd()),
            End::WithOutput => self.stdout(),
        }
    }

    /// Closes what only the child needs: the end of its output is seen when nobody has it open any more.
    pub fn release(&mut self) {
        self.stdin = None;
        for end in [&mut self.stdout, &mut self.stderr] {
            if let End::Pipe(pipe) = end {
                *pipe = None;
            }
        }
    }

    /// How much has been written to standard output; `captured` if it was read, `None` if that cannot be known.
    pub fn output_bytes(&self, captured: u64) -> Option<u64> {
        match &self.stdout {
            End::File(file) => {
                file.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len())
            }
            _ => Some(captured),
        }
    }
}

fn rendered(path: &Template, values: &Values<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    path.render(values, &mut bytes);
    bytes
}

fn open_input(plan: &Plan, values: &Values<'_>) -> Result<Option<OwnedFd>, String> {
    match &plan.stdin {
        Input::Null => Ok(None),
        Input::Text(text) => in_memory(&rendered(text, values)).map(Some),
        Input::Payload => {
            let Some(payload) = values.payload else { return Ok(None) };
            match payload.open() {
                Ok(Some(file)) => Ok(Some(file.into())),
                Ok(None) => in_memory(payload.bytes()).map(Some),
                Err(error) => Err(format!("failed to read what it was handed: {}", reason(&error))),
            }
        }
        Input::File(path) => {
            let path = plan.resolve(&rendered(path, values));
            open(&path, OpenOptions::new().read(true), "read").map(|file| Some(file.into()))
        }
    }
}

/// A file in memory rather than a pipe: nobody has to feed it while the child runs.
fn in_memory(text: &[u8]) -> Result<OwnedFd, String> {
    let fill = || -> std::io::Result<File> {
        let mut memory = File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
        memory.write_all(text)?;
        memory.rewind()?;
        Ok(memory)
    };
    let memory =
        fill().map_err(|error| format!("failed to keep the standard input: {}", reason(&error)))?;
    Ok(memory.into())
}

fn open_output(plan: &Plan, path: Option<&[u8]>, stream: &mut Stream) -> Result<End, String> {
    let Some(path) = path else {
        let pipe =
            stream.open().map_err(|error| format!("failed to make a pipe: {}", reason(&error)))?;
        return Ok(End::Pipe(Some(pipe)));
    };
    stream.clear();
    let path = plan.resolve(path);
    open(&path, OpenOptions::new().write(true).create(true).truncate(true), "write").map(End::File)
}

/// Opens a file without waiting for the other end, if it is a named pipe.
fn open(path: &Path, options: &mut OpenOptions, what: &str) -> Result<File, String> {
    let mut open = || -> std::io::Result<File> {
        let file = options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
        fcntl_setfl(&file, OFlags::empty())?;
        Ok(file)
    };
    open().map_err(|error| format!("failed to {what} `{}`: {}", path.display(), reason(&error)))
}
