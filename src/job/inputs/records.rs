//! What is common to files of inputs: where they are, how they are opened, and reading them record by record.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, io};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::base::diagnostic::reason;
use crate::job::inputs::InputError;
use crate::job::inputs::finish::Finish;
use crate::job::inputs::stamp::Stamp;
use crate::sys;
use crate::task::Fields;

/// Says whether reading is to end at once, since the run was stopped.
#[derive(Clone, Default)]
pub struct Stop(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Stop {
    /// Ends reading as soon as `is_raised` says so.
    pub fn when(is_raised: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(is_raised)))
    }

    /// Whether reading is to end.
    pub fn is_raised(&self) -> bool {
        self.0.as_ref().is_some_and(|is_raised| is_raised())
    }

    /// An error if it is.
    pub(super) fn check(&self) -> Result<(), InputError> {
        if self.is_raised() {
            return Err(InputError::new("stopped while the inputs were being read".into()));
        }
        Ok(())
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stop")
    }
}

/// A file of inputs, as the job file names it.
#[derive(Clone, Debug)]
pub(super) struct InputFile {
    path: PathBuf,
    /// As the job file or a pattern has it.
    name: Vec<u8>,
    /// Likewise; for messages.
    shown: String,
    /// Whether it is a regular file, which can be read more than once and from anywhere.
    pub regular: bool,
}

impl InputFile {
    /// The file called `name` as seen from `folder`, or why there is none. `-` is standard input.
    pub fn find(name: &str, folder: &Path) -> Result<Self, String> {
        if name == "-" {
            return Ok(Self::stdin());
        }
        if name.is_empty() {
            return Err("the name of the file is empty".into());
        }
        let path = folder.join(name);
        let failed = |error: &io::Error| format!("failed to read `{name}`: {}", reason(error));
        let metadata = std::fs::metadata(&path).map_err(|error| failed(&error))?;
        if metadata.is_dir() {
            return Err(format!("failed to read `{name}`: is a directory"));
        }
        // By another name it is standard input all the same; a file is opened anew, and so read from its beginning.
        if sys::descriptor_in(&path) == Some("0") && !metadata.is_file() {
            return Ok(Self::stdin());
        }
        // A pipe must not be opened before its time: its writer would be gone when it is read.
        if metadata.is_file() {
            File::open(&path).map_err(|error| failed(&error))?;
        }
        Ok(Self {
            path,
            name: name.into(),
            shown: format!("`{name}`"),
            regular: metadata.is_file(),
        })
    }

    /// The file that a pattern has found at `name` as seen from `folder`, or why it cannot be read.
    pub fn found(name: &[u8], folder: &Path) -> Result<Self, String> {
        let path = folder.join(OsStr::from_bytes(name));
        let shown = format!("`{}`", String::from_utf8_lossy(name));
        let opened = File::open(&path).and_then(|file| file.metadata());
        let metadata =
            opened.map_err(|error| format!("failed to read {shown}: {}", reason(&error)))?;
        Ok(Self { path, name: name.to_vec(), shown, regular: metadata.is_file() })
    }

    /// Standard input.
    pub fn stdin() -> Self {
        Self {
            path: PathBuf::new(),
            name: b"-".to_vec(),
            shown: "standard input".into(),
            regular: false,
        }
    }

    /// A report that is going to be at `path`.
    pub fn report(path: PathBuf) -> Self {
        let name = path.as_os_str().as_bytes().to_vec();
        Self { name, shown: format!("`{}`", path.display()), path, regular: true }
    }

    /// Where it is; empty for standard input.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name as the job file or the pattern has it.
    pub fn name_bytes(&self) -> &[u8] {
        &self.name
    }

    /// Whether it is the runner's standard input.
    pub fn is_stdin(&self) -> bool {
        self.path.as_os_str().is_empty()
    }

    /// Whether reading it can take as long as somebody else likes.
    pub fn can_block(&self) -> bool {
        let blocks = |metadata: &Metadata| {
            let kind = metadata.file_type();
            kind.is_fifo() || kind.is_char_device() || kind.is_socket() || kind.is_block_device()
        };
        if self.is_stdin() {
            return stdin().and_then(|file| file.metadata()).is_ok_and(|data| blocks(&data));
        }
        !self.regular
    }

    /// Opens it. For the writer of a named pipe it waits, unless it is stopped.
    pub fn open(&self, stop: &Stop) -> io::Result<File> {
        if self.is_stdin() {
            return stdin();
        }
        let is_pipe = || std::fs::metadata(&self.path).is_ok_and(|data| data.file_type().is_fifo());
        if self.regular || !is_pipe() {
            return File::open(&self.path);
        }
        let mut options = OpenOptions::new();
        let pipe =
            options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(&self.path)?;
        wait_for_writer(&pipe, stop)?;
        let flags = rustix::fs::fcntl_getfl(&pipe)?;
        rustix::fs::fcntl_setfl(&pipe, flags - OFlags::NONBLOCK)?;
        Ok(pipe)
    }

    /// An error about all of it.
    pub fn error(&self, message: impl fmt::Display) -> InputError {
        InputError::new(format!("{}: {message}", self.shown))
    }

    /// What is wrong in one line of it.
    pub fn complaint(&self, line: u64, message: impl fmt::Display) -> String {
        format!("{} line {line}: {message}", self.shown)
    }

    /// An error in one line of it.
    pub fn error_at(&self, line: u64, message: impl fmt::Display) -> InputError {
        InputError::new(self.complaint(line, message))
    }

    /// An error of the operating system about it.
    pub fn unreadable(&self, error: &io::Error) -> InputError {
        InputError::new(format!("failed to read {}: {}", self.shown, reason(error)))
    }
}

impl fmt::Display for InputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn stdin() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Waits until somebody has opened the other end, or has gone already.
fn wait_for_writer(pipe: &File, stop: &Stop) -> io::Result<()> {
    let patience = Timespec::try_from(Duration::from_millis(100)).map_err(io::Error::other)?;
    loop {
        let mut fds = [PollFd::new(pipe, PollFlags::IN)];
        match poll(&mut fds, Some(&patience)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if stop.is_raised() {
            return Err(io::Error::other("stopped while it had no writer"));
        }
    }
}

/// A file of inputs while it is read.
pub(super) trait Records: Send {
    /// The next record, which may be one that cannot be used; after an error there is none.
    fn next_record(&mut self) -> Option<Result<Fields, InputError>>;

    /// Where the next record starts, for `seek`.
    fn position(&mut self) -> u64;

    /// Where the record is that was read last, in words; `None` if that is not known.
    fn place(&mut self) -> Option<String> {
        None
    }

    /// The next record, and where it starts.
    fn next_placed(&mut self) -> Option<(u64, Result<Fields, InputError>)> {
        let position = self.position();
        self.next_record().map(|record| (position, record))
    }

    /// Makes the record at `position` the next one.
    fn seek(&mut self, position: u64) -> Result<(), InputError>;

    /// Makes it one that can be read from anywhere; to be called before the first record is read.
    fn make_seekable(&mut self, stop: &Stop) -> Result<(), InputError>;

    /// The file as it was when it was opened, if its records can be read where they are when it is opened again.
    fn stamp(&mut self) -> Option<Stamp> {
        None
    }

    /// The file has been opened again, to be read from anywhere: an error if it is another one than `stamp` says, now or
    /// when it is read.
    fn expect(&mut self, _: Stamp) -> Result<(), InputError> {
        Ok(())
    }

    /// About how many bytes of memory it takes.
    fn held(&mut self) -> usize {
        0
    }
}

/// Records as an iterator, which ends with the first error.
pub(super) struct Stream {
    records: Option<Box<dyn Records>>,
    finish: Finish,
}

impl Stream {
    /// The remaining records.
    pub fn new(records: Box<dyn Records>) -> Self {
        Self { records: Some(records), finish: Finish::default() }
    }

    /// The same records as `finish` has them.
    pub fn finished(self, finish: Finish) -> Self {
        Self { finish, ..self }
    }
}

impl Iterator for Stream {
    type Item = Result<Fields, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let records = self.records.as_mut()?;
        let mut record = records.next_record();
        if let Some(Ok(fields)) = &mut record {
            *fields = self.finish.of(std::mem::take(fields), &mut **records);
        }
        if !matches!(record, Some(Ok(_))) {
            self.records = None;
        }
        record
    }
}

/// Records that had to be opened when the job was planned, since their start can be read only once.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<Box<dyn Records>>>);

impl Kept {
    /// Keeps `records` for later.
    pub fn new(records: Box<dyn Records>) -> Self {
        Self(Mutex::new(Some(records)))
    }

    /// Gives them away, once.
    pub fn take(&self) -> Option<Box<dyn Records>> {
        self.0.lock().expect("nobody panics while holding it").take()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}
