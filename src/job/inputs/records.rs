//! What is common to files of inputs: where they are, how they are opened, and reading them record by record.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::base::diagnostic::reason;
use crate::job::inputs::InputError;
use crate::task::Fields;

/// A file of inputs, as the job file names it.
#[derive(Clone, Debug)]
pub(super) struct InputFile {
    path: PathBuf,
    /// As the user wrote it; for messages.
    shown: String,
    /// Whether it is a regular file, which can be read more than once and from anywhere.
    pub regular: bool,
}

impl InputFile {
    /// The file called `name` as seen from `folder`, or why there is none. `-` is standard input.
    pub fn find(name: &str, folder: &Path) -> Result<Self, String> {
        if name == "-" {
            return Ok(Self {
                path: PathBuf::new(),
                shown: "standard input".into(),
                regular: false,
            });
        }
        let path = folder.join(name);
        let failed = |error: &io::Error| format!("failed to read `{name}`: {}", reason(error));
        let metadata = std::fs::metadata(&path).map_err(|error| failed(&error))?;
        if metadata.is_dir() {
            return Err(format!("failed to read `{name}`: is a directory"));
        }
        // A pipe must not be opened before its time: its writer would be gone when it is read.
        if metadata.is_file() {
            File::open(&path).map_err(|error| failed(&error))?;
        }
        Ok(Self { path, shown: format!("`{name}`"), regular: metadata.is_file() })
    }

    /// A report that is going to be at `path`.
    pub fn report(path: PathBuf) -> Self {
        Self { shown: format!("`{}`", path.display()), path, regular: true }
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
            return self.open().and_then(|file| file.metadata()).is_ok_and(|data| blocks(&data));
        }
        !self.regular
    }

    /// Opens it.
    pub fn open(&self) -> io::Result<File> {
        if self.is_stdin() {
            return Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?));
        }
        File::open(&self.path)
    }

    /// An error about all of it.
    pub fn error(&self, message: impl fmt::Display) -> InputError {
        InputError::new(format!("{}: {message}", self.shown))
    }

    /// An error in one line of it.
    pub fn error_at(&self, line: u64, message: impl fmt::Display) -> InputError {
        InputError::new(format!("{} line {line}: {message}", self.shown))
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

/// What records are read from. A pipe fails to seek, and is never asked to.
pub(super) trait Bytes: Read + Seek + Send {}

impl<T: Read + Seek + Send> Bytes for T {}

/// A file of inputs while it is read.
pub(super) trait Records: Send {
    /// The next record; after an error there is none.
    fn next_record(&mut self) -> Option<Result<Fields, InputError>>;

    /// The byte at which the next record starts, for `seek`.
    fn position(&self) -> u64;

    /// Makes the record at `position` the next one.
    fn seek(&mut self, position: u64) -> Result<(), InputError>;
}

/// Records as an iterator, which ends with the first error.
pub(super) struct Stream {
    records: Option<Box<dyn Records>>,
}

impl Stream {
    /// The remaining records.
    pub fn new(records: Box<dyn Records>) -> Self {
        Self { records: Some(records) }
    }
}

impl Iterator for Stream {
    type Item = Result<Fields, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.as_mut()?.next_record();
        if !matches!(record, Some(Ok(_))) {
            self.records = None;
        }
        record
    }
}

/// Records that had to be opened when the job was planned, since their header can be read only once.
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
