//! A child's standard input, output and error, opened for one attempt.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, MemfdFlags, OFlags, fcntl_setfl, fstat, memfd_create};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use super::Setup;
use super::plan::{Input, Plan};
use super::stream::Stream;
use crate::base::diagnostic::reason;
use crate::config::Template;
use crate::task::{Making, Moment, Values, clock};
use crate::workload::claims::Claims;
use crate::workload::output_file::OutputPath;
use crate::workload::target::{Output, Target};
use crate::workload::written::{Place, WrittenFiles};

/// What a child is given.
#[derive(Debug)]
pub struct Ends {
    stdin: Option<OwnedFd>,
    /// Whether standard input is a named pipe.
    is_pipe: bool,
    stdout: End,
    stderr: End,
}

/// Where a child writes.
#[derive(Debug)]
enum End {
    /// To the runner; the runner's copy, until the child has it.
    Pipe(Option<OwnedFd>),
    /// To a file or a device; `None` once it has its name.
    File(Option<Output>),
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
        setup: &Setup,
        [stdout, stderr]: [&mut Stream; 2],
    ) -> Result<Self, String> {
        let stdin = open_input(plan, values)?;
        let is_pipe = matches!(plan.stdin, Input::File(_)) && stdin.as_ref().is_some_and(is_fifo);
        let output = plan.stdout.as_ref().map(|path| target(path, plan, values)).transpose()?;
        let errors = plan.stderr.as_ref().map(|path| target(path, plan, values)).transpose()?;
        let shared = output.as_ref().zip(errors.as_ref()).is_some_and(|(a, b)| a.real == b.real);
        setup.claim(output.as_ref(), values, 0)?;
        if !shared {
            setup.claim(errors.as_ref(), values, 1)?;
        }
        let read = |target: &Target| check_read(target, plan, values);
        let stdout = open_output(output, stdout, read)?;
        let stderr = if shared {
            stderr.clear();
            End::WithOutput
        } else {
            open_output(errors, stderr, read)?
        };
        Ok(Self { stdin, is_pipe, stdout, stderr })
    }

    /// Waits until somebody writes to the named pipe that is standard input, if it is one: a child would take it for empty.
    pub async fn ready(&self) {
        let Some(pipe) = self.stdin.as_ref().filter(|_| self.is_pipe) else { return };
        let mut pause = Duration::from_millis(1);
        while !has_writer(pipe.as_fd()) {
            clock::sleep_until(Moment::now() + pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Gives the files their names: those of an ok task, or of a failure.
    ///
    /// # Errors
    /// In words.
    pub fn finish(&mut self, is_ok: bool, claims: &Claims) -> Result<(), String> {
        let mut finished = Ok(());
        for end in [&mut self.stdout, &mut self.stderr] {
            if let End::File(output) = end
                && let Some(output) = output.take()
            {
                finished = finished.and(output.finish(is_ok, claims));
            }
        }
        finished
    }

    /// Notes what standard output has in it, if that went to a file. The files never get their names, but those that are
    /// `making` are put where they are looked for.
    ///
    /// # Errors
    /// In words.
    pub fn note(
        &mut self,
        written: &WrittenFiles,
        making: Option<&Making>,
        (task, stage): (u64, usize),
    ) -> Result<(), String> {
        if let End::File(Some(output @ Output::Staged(_))) = &self.stdout {
            let noted = written.add(task, Place::Output(stage), output.file());
            let fail = |error| format!("cannot read the output again: {}", reason(&error));
            noted.map_err(fail)?;
        }
        let Some(making) = making else { return Ok(()) };
        for end in [&mut self.stdout, &mut self.stderr] {
            if let End::File(output) = end
                && let Some(output) = output.take()
            {
                output.put_apart(&making.files)?;
            }
        }
        Ok(())
    }

    /// The child's standard input; `None` for null.
    pub fn stdin(&self) -> Option<BorrowedFd<'_>> {
        self.stdin.as_ref().map(AsFd::as_fd)
    }

    /// The child's standard output.
    pub fn stdout(&self) -> Option<BorrowedFd<'_>> {
        match &self.stdout {
            End::Pipe(pipe) => pipe.as_ref().map(AsFd::as_fd),
            End::File(output) => output.as_ref().map(|output| output.for_child().as_fd()),
            End::WithOutput => None,
        }
    }

    /// The child's standard error.
    pub fn stderr(&self) -> Option<BorrowedFd<'_>> {
        match &self.stderr {
            End::Pipe(pipe) => pipe.as_ref().map(AsFd::as_fd),
            End::File(output) => output.as_ref().map(|output| output.for_child().as_fd()),
            End::WithOutput => self.stdout(),
        }
    }

    /// Closes what only the child needs: the end of its output is seen when nobody has it open any more.
    pub fn release(&mut self) {
        self.stdin = None;
        for end in [&mut self.stdout, &mut self.stderr] {
            match end {
                End::Pipe(pipe) => *pipe = None,
                End::File(output) => output.iter_mut().for_each(Output::release),
                End::WithOutput => {}
            }
        }
    }

    /// Whether a process can still write to one of the files.
    pub fn are_held(&self) -> bool {
        let is_held = |end: &End| matches!(end, End::File(Some(output)) if output.is_held());
        is_held(&self.stdout) || is_held(&self.stderr)
    }

    /// Reads what has gone to files into the streams that are searched for columns.
    ///
    /// # Errors
    /// In words, if one cannot be read.
    pub fn read_back(&self, [stdout, stderr]: [&mut Stream; 2]) -> Result<(), String> {
        self.stdout.read_back(stdout)?;
        match &self.stderr {
            End::WithOutput => self.stdout.read_back(stderr),
            end => end.read_back(stderr),
        }
    }

    /// Reads standard output into `stdout` if that has gone to a file, for rules that look into it. Says whether it has.
    ///
    /// # Errors
    /// In words, if it cannot be read.
    pub fn read_answer(&self, stdout: &mut Stream) -> Result<bool, String> {
        let End::File(Some(output)) = &self.stdout else { return Ok(false) };
        if !stdout.is_searched() {
            read_again(output, stdout, "a `json:` rule")?; // else it has been read
        }
        Ok(true)
    }

    /// Whether the runner reads standard output, and standard error.
    pub fn captured(&self) -> [bool; 2] {
        [&self.stdout, &self.stderr].map(|end| matches!(end, End::Pipe(_)))
    }

    /// How much has been written to standard output; `captured` if it was read, `None` if that cannot be known.
    pub fn output_bytes(&self, captured: u64) -> Option<u64> {
        match &self.stdout {
            End::File(Some(Output::Direct(_))) => None,
            End::File(Some(output)) => {
                let metadata = output.file().metadata();
                metadata.ok().filter(std::fs::Metadata::is_file).map(|data| data.len())
            }
            _ => Some(captured),
        }
    }
}

impl End {
    fn read_back(&self, stream: &mut Stream) -> Result<(), String> {
        let Self::File(Some(output)) = self else { return Ok(()) };
        if !stream.is_searched() {
            return Ok(());
        }
        read_again(output, stream, "its columns")
    }
}

/// Reads what has been written, for `what` looks into it.
fn read_again(output: &Output, stream: &mut Stream, what: &str) -> Result<(), String> {
    let read = match output {
        Output::Direct(_) => Err(std::io::Error::other("it went to a device or a pipe")),
        Output::Staged(_) => stream.read_file(output.file()),
    };
    read.map_err(|error| format!("cannot read the output again for {what}: {}", reason(&error)))
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

fn open_output(
    target: Option<Target>,
    stream: &mut Stream,
    check_read: impl Fn(&Target) -> Result<(), String>,
) -> Result<End, String> {
    let Some(target) = target else {
        let pipe =
            stream.open().map_err(|error| format!("failed to make a pipe: {}", reason(&error)))?;
        return Ok(End::Pipe(Some(pipe)));
    };
    stream.clear();
    let spared = check_read(&target.of_failure()).err();
    let mut output = target.open()?;
    if let Some(why) = spared {
        output.spare_failed(why);
    }
    Ok(End::File(Some(output)))
}

/// Where an output goes: never over what the task reads.
fn target(path: &OutputPath, plan: &Plan, values: &Values<'_>) -> Result<Target, String> {
    let target = path.place(values)?;
    check_read(&target, plan, values)?;
    Ok(target)
}

/// Whether a task may write to `target`, since neither it nor its job reads that.
fn check_read(target: &Target, plan: &Plan, values: &Values<'_>) -> Result<(), String> {
    let stdin = || match &plan.stdin {
        Input::File(path) => vec![plan.resolve(&rendered(path, values))],
        _ => Vec::new(),
    };
    plan.read.check(target, values, stdin)
}

fn is_fifo(file: &OwnedFd) -> bool {
    fstat(file).is_ok_and(|about| FileType::from_raw_mode(about.st_mode).is_fifo())
}

/// Whether somebody has a named pipe open to write to it, or has had since it was opened here.
fn has_writer(pipe: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0) {
        return true; // there is something in it, or was
    }
    // A writer that has written nothing yet is told from none by an attempt to copy from it.
    let Ok((_reader, copy)) = pipe_with(PipeFlags::CLOEXEC) else { return false };
    match tee(pipe, &copy, 1, SpliceFlags::NONBLOCK) {
        Ok(copied) => copied > 0,
        Err(error) => error == Errno::AGAIN,
    }
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
