//! What a task writes to: a device at once, or a file that appears whole or not at all. It has its name only when the task
//! is ok; of one that is not, the file is `NAME.failed`. What the task makes has its temporary name until then.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::diagnostic::reason;
use crate::task::{MadeFile, own_path};
use crate::workload::claims::Claims;
use crate::workload::device;
use crate::workload::draft::Draft;
use crate::workload::leftover;
use crate::workload::real_folder::real_folder;

/// Why nothing is kept of a task that is not ok: its name is that of a file which may be anybody's.
pub const FOREIGN: &str = "the file of this name is not known to be what a failed task has left";

/// Where a file of one task goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Absolute; if it was a link, the file that it leads to.
    pub path: PathBuf,
    /// By which it is told from other files: the links of its folder have been followed, too.
    pub real: PathBuf,
    /// As the job file and the inputs have it, for messages.
    pub shown: String,
    /// Something that is there and no regular file: it is written to directly.
    pub is_device: bool,
}

impl Target {
    /// Whether it is the file that `other` names, which may be a link.
    pub fn is(&self, other: &Path) -> bool {
        if self.path == other {
            return true;
        }
        match (fs::metadata(&self.path), fs::metadata(other)) {
            (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
            _ => false,
        }
    }

    /// Opens it to be written: beside its place, unless it is a device or a pipe.
    ///
    /// # Errors
    /// In words.
    pub fn open(self) -> Result<Output, String> {
        let fail = |error: io::Error| format!("cannot write `{}`: {}", self.shown, reason(&error));
        if self.is_device {
            return Ok(Output::Direct(device::open(&self.path).map_err(fail)?));
        }
        let draft = Draft::new(&self.path).map_err(fail)?;
        let for_child = draft.for_child();
        let is_watched = for_child.is_some();
        Ok(Output::Staged(Staged { draft, for_child, is_watched, target: self, spares: None }))
    }

    /// Whether it is a temporary name: what becomes of the file is decided when its task has ended.
    fn is_temporary(&self) -> bool {
        own_path(&self.path) != self.path
    }

    /// Gives `draft` this name.
    fn persist(&self, draft: Draft, name: &Path) -> Result<(), String> {
        let fail = |error: io::Error| format!("cannot write `{}`: {}", self.shown, reason(&error));
        draft.persist(name).map_err(fail)
    }

    /// Gives `draft` the name of a failure.
    fn leave(&self, draft: Draft, name: &Path, claims: &Claims) -> Result<(), String> {
        leftover::mark_file(draft.file(), name, claims);
        self.persist(draft, name)
    }

    /// The file of a task that is not ok.
    #[must_use]
    pub fn of_failure(&self) -> Self {
        if self.is_temporary() {
            return self.clone();
        }
        let path = failed(&self.path);
        let real = failed(&self.real);
        Self { path, real, shown: format!("{}.failed", self.shown), is_device: false }
    }
}

/// The name that the file of a task has that is not ok.
fn failed(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsStr::to_owned);
    name.push(".failed");
    path.with_file_name(name)
}

/// Where a task writes.
#[derive(Debug)]
pub enum Output {
    /// To a device or a pipe.
    Direct(File),
    /// To a file that gets its name when the task is ok.
    Staged(Staged),
}

/// A file without its name.
#[derive(Debug)]
pub struct Staged {
    draft: Draft,
    /// What the child is given, if it can be told who still has that, until the child has it.
    for_child: Option<File>,
    is_watched: bool,
    target: Target,
    /// Why nothing is kept of a task that is not ok: something else has that name.
    spares: Option<String>,
}

impl Output {
    /// The open file.
    pub fn file(&self) -> &File {
        match self {
            Self::Direct(file) => file,
            Self::Staged(staged) => staged.draft.file(),
        }
    }

    /// The file for the child.
    pub fn for_child(&self) -> &File {
        match self {
            Self::Staged(Staged { for_child: Some(file), .. }) => file,
            output => output.file(),
        }
    }

    /// The child has it.
    pub fn release(&mut self) {
        if let Self::Staged(staged) = self {
            staged.for_child = None;
        }
    }

    /// Whether a process can still write to it that was given it, as far as that can be told.
    pub fn is_held(&self) -> bool {
        let Self::Staged(staged) = self else { return false };
        staged.is_watched && staged.for_child.is_none() && staged.draft.is_written_elsewhere()
    }

    /// In a comparison, which keeps no files: if it is one of `files`, it is put under the temporary name, where that is
    /// looked for.
    ///
    /// # Errors
    /// In words.
    pub fn put_apart(self, files: &[MadeFile]) -> Result<(), String> {
        let Self::Staged(Staged { draft, target, .. }) = self else { return Ok(()) };
        let real = |path: &Path| Some(real_folder(path.parent()?).join(path.file_name()?));
        let goes_to = |path: &Path| target.path == path || real(path) == Some(target.real.clone());
        let is_it = |file: &&MadeFile| goes_to(&file.temporary) || goes_to(&file.path);
        let Some(file) = files.iter().find(is_it) else { return Ok(()) };
        let put = || {
            let mut from = draft.file();
            from.rewind()?;
            io::copy(&mut from, &mut File::create(&file.temporary)?)
        };
        let put = put();
        put.map(drop)
            .map_err(|error| format!("cannot write `{}`: {}", target.shown, reason(&error)))
    }

    /// Should the task not be ok, nothing of it is kept, for this reason.
    pub fn spare_failed(&mut self, why: String) {
        if let Self::Staged(staged) = self {
            staged.spares = Some(why);
        }
    }

    /// Gives it its name, if the task `is_ok`, else that of a failure, unless that is one of `claims` or what nobody knows to
    /// be a leftover.
    ///
    /// # Errors
    /// In words.
    pub fn finish(self, is_ok: bool, claims: &Claims) -> Result<(), String> {
        let Self::Staged(Staged { draft, target, spares, .. }) = self else { return Ok(()) };
        if target.is_temporary() {
            if !is_ok && target.path.exists() {
                return Ok(()); // an earlier stage has made it, and the next attempt begins with that
            }
            return target.persist(draft, &target.path);
        }
        let failure = target.of_failure();
        let spares = spares.or_else(|| {
            let is_claimed = claims.has(&failure.real);
            if is_claimed {
                return Some(format!("cannot write `{}`: a task writes it", failure.shown));
            }
            let is_strange = !leftover::may_replace(&failure.path, claims);
            is_strange.then(|| format!("cannot write `{}`: {FOREIGN}", failure.shown))
        });
        if !is_ok {
            let keep = || target.leave(draft, &failure.path, claims);
            return spares.map_or_else(keep, |why| Err(format!("{why}; its output is not kept")));
        }
        target.persist(draft, &target.path)?;
        if spares.is_none() {
            // There is nothing, or a leftover.
            let _ = fs::remove_file(failure.path); // of an earlier attempt, if there was one
        }
        Ok(())
    }
}
