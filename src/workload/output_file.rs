//! A file that a task writes: where it may be. That it appears whole or not at all is seen to by [`super::target`].
//!
//! What stands before the first placeholder of a path is the job file's own word, and may be anywhere. What an input
//! makes of the rest stays below that folder, or below one that the inputs' pattern names, and passes no symbolic link
//! that leads out.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::base::diagnostic::reason;
use crate::config::{Planner, Template};
use crate::sys::descriptor_in;
use crate::task::{Values, own_path};
use crate::workload::real_folder::RealFolders;
use crate::workload::target::Target;

/// The longest name of a file, in bytes, on every usual file system.
const MAX_NAME: usize = 255;

/// The longest path, in bytes.
const MAX_PATH: usize = 4095;

/// A path of the job file that tasks write to.
#[derive(Clone, Debug)]
pub struct OutputPath {
    template: Template,
    /// What stands before the first placeholder, up to its last `/`; empty for the job's folder.
    literal: String,
    /// The job's.
    folder: PathBuf,
    /// Folders that the pattern of the inputs names: paths below them are the job file's word, too.
    input_folders: Vec<PathBuf>,
    /// Whether it is the temporary name of a file that the task makes: an absolute path, and the runner's own word.
    is_made: bool,
    real: RealFolders,
}

impl OutputPath {
    /// The path of `template`, for a job that is planned.
    pub fn new(template: Template, plan: &Planner<'_>) -> Self {
        let prefix = template.prefix();
        let literal = prefix[..prefix.rfind('/').map_or(0, |slash| slash + 1)].to_owned();
        Self {
            is_made: plan.is_created(&template),
            template,
            literal,
            folder: plan.folder().to_owned(),
            input_folders: plan.input_folders().to_vec(),
            real: RealFolders::default(),
        }
    }

    /// The template.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The path as written, if every task has the same.
    pub fn literal(&self) -> Option<&str> {
        self.template.literal()
    }

    /// What is wrong with it for every task of a job that has `tasks`, if that is known, and reads `sources`; and the way
    /// out, if there is one.
    pub fn mistake(
        &self,
        tasks: Option<u64>,
        sources: &[PathBuf],
    ) -> Option<(String, Option<String>)> {
        let path = self.literal()?;
        if let Err(message) = check_name(path.as_bytes(), path) {
            return Some((message, None));
        }
        let place = self.folder.join(path);
        if let Some(number) = descriptor_in(&place) {
            return check_descriptor(number, path).err().map(|message| (message, None));
        }
        let Ok(found) = fs::metadata(&place) else {
            return shared(path, tasks);
        };
        if found.is_dir() {
            return Some((format!("cannot write `{path}`: it is a folder"), None));
        }
        let is_source = |source: &&PathBuf| {
            fs::metadata(source)
                .is_ok_and(|source| (source.dev(), source.ino()) == (found.dev(), found.ino()))
        };
        if found.is_file() && sources.iter().any(|source| is_source(&source)) {
            let message = format!("cannot write `{path}`: the job reads it");
            return Some((message, Some("give the output another name".into())));
        }
        if found.is_file() { shared(path, tasks) } else { None }
    }

    /// The rendered path, for a comparison.
    pub fn render(&self, values: &Values<'_>) -> Vec<u8> {
        let mut path = Vec::new();
        self.template.render(values, &mut path);
        path
    }

    /// Where the file of one task goes; its folders are made.
    ///
    /// # Errors
    /// In words, if an input leads out, or the path cannot be that of a file.
    pub fn place(&self, values: &Values<'_>) -> Result<Target, String> {
        let path = self.render(values);
        let shown = self.shown(&path);
        let (root, path) = self.inside(&path, &shown)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        self.make_folder(&root, folder, &shown)?;
        self.look(&root, path, shown)
    }

    /// Where the file of one task would go; nothing is made.
    ///
    /// # Errors
    /// As [`OutputPath::place`].
    pub fn locate(&self, values: &Values<'_>) -> Result<Target, String> {
        let path = self.render(values);
        let shown = self.shown(&path);
        let (root, path) = self.inside(&path, &shown)?;
        self.look(&root, path, shown)
    }

    /// The path for messages: as it is written, and with the name that the file is to have.
    fn shown(&self, path: &[u8]) -> String {
        if !self.is_made {
            return String::from_utf8_lossy(path).into_owned();
        }
        let path = own_path(Path::new(OsStr::from_bytes(path)));
        path.strip_prefix(&self.folder).unwrap_or(&path).display().to_string()
    }

    /// What is at `path` now.
    fn look(&self, root: &Path, path: PathBuf, shown: String) -> Result<Target, String> {
        if let Some(number) = descriptor_in(&path) {
            check_descriptor(number, &shown)?;
            return Ok(Target { real: path.clone(), path, shown, is_device: true });
        }
        let Ok(found) = fs::symlink_metadata(&path) else {
            let real = self.real_path(&path);
            return Ok(Target { path, real, shown, is_device: false });
        };
        let (path, found) =
            if found.is_symlink() { self.follow(root, &path, &shown)? } else { (path, found) };
        if found.is_dir() {
            return Err(format!("cannot write `{shown}`: it is a folder"));
        }
        let real = self.real_path(&path);
        Ok(Target { path, real, shown, is_device: !found.is_file() })
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        let folder = path.parent().unwrap_or(Path::new("/"));
        self.real.join(folder, path.file_name().unwrap_or_default())
    }

    /// The folder that the path may not leave, and the path, absolute.
    fn inside(&self, path: &[u8], shown: &str) -> Result<(PathBuf, PathBuf), String> {
        check_name(path, shown)?;
        if self.is_made {
            let path = PathBuf::from(OsStr::from_bytes(path));
            return Ok((path.parent().unwrap_or(Path::new("/")).to_owned(), path));
        }
        let rest = path.strip_prefix(self.literal.as_bytes()).unwrap_or(path);
        let base = self.folder.join(&self.literal);
        let is_absolute = self.literal.is_empty() && rest.starts_with(b"/");
        let below = beneath(Path::new(OsStr::from_bytes(rest))).filter(|_| !is_absolute);
        if let Some(below) = below {
            return Ok((base.clone(), base.join(below)));
        }
        let whole = beneath(&self.folder.join(OsStr::from_bytes(path)));
        let whole = whole.map(|path| Path::new("/").join(path));
        let input = self.input_folders.iter().filter_map(|folder| {
            let folder = Path::new("/").join(beneath(folder)?);
            let path = whole.as_ref().filter(|path| path.starts_with(&folder))?;
            Some((folder, path.clone()))
        });
        input.into_iter().next().ok_or_else(|| {
            let folder = if self.literal.is_empty() { "the job's folder" } else { &self.literal };
            format!("cannot write `{shown}`: it leads out of {}", quoted(folder))
        })
    }

    /// Makes the folders that are missing, without passing a link that leads out.
    fn make_folder(&self, root: &Path, folder: &Path, shown: &str) -> Result<(), String> {
        if let Ok(folder) = folder.canonicalize() {
            return self.check_inside(root, &folder, shown);
        }
        let fail =
            |error: &io::Error| format!("cannot make the folder of `{shown}`: {}", reason(error));
        if !root.exists() {
            fs::create_dir_all(root).map_err(|error| fail(&error))?;
        }
        let existing = folder.ancestors().find_map(|folder| folder.canonicalize().ok());
        self.check_inside(root, &existing.unwrap_or_default(), shown)?;
        fs::create_dir_all(folder).map_err(|error| fail(&error))
    }

    fn check_inside(&self, root: &Path, folder: &Path, shown: &str) -> Result<(), String> {
        let is_inside =
            |root: &Path| root.canonicalize().is_ok_and(|root| folder.starts_with(root));
        if is_inside(root) || (!self.literal.starts_with('/') && is_inside(&self.folder)) {
            return Ok(());
        }
        Err(format!("cannot write `{shown}`: a link leads out of `{}`", root.display()))
    }

    /// Where the link at `path` leads, which is a file then.
    fn follow(&self, root: &Path, path: &Path, shown: &str) -> Result<(PathBuf, Metadata), String> {
        let fail = |error: io::Error| {
            format!("cannot write `{shown}`, which is a link: {}", reason(&error))
        };
        if fs::read_link(path).is_ok_and(|end| descriptor_in(&end).is_some()) {
            return Err(format!(
                "cannot write `{shown}`: it is a link to what the runner has open; name that itself"
            ));
        }
        let end = path.canonicalize().map_err(fail)?;
        let found = fs::metadata(&end).map_err(fail)?;
        if self.literal().is_none() {
            self.check_inside(root, end.parent().unwrap_or(Path::new("/")), shown)?;
        }
        Ok((end, found))
    }
}

/// Whether a task may write to what the runner has open under this number.
///
/// # Errors
/// In words, if it may not.
fn check_descriptor(number: &str, shown: &str) -> Result<(), String> {
    if ["1", "2"].contains(&number) {
        return Ok(());
    }
    Err(format!(
        "cannot write `{shown}`: of what the runner has open, tasks may write to `/dev/stdout` and `/dev/stderr` only"
    ))
}

/// What is wrong with one file for several tasks.
fn shared(path: &str, tasks: Option<u64>) -> Option<(String, Option<String>)> {
    tasks.filter(|&tasks| tasks > 1).map(|tasks| {
        let message = format!("all {tasks} tasks would write to `{path}`");
        (message, Some("name a field in it, or the task's number: `{task}`".into()))
    })
}

fn quoted(folder: &str) -> String {
    if folder.ends_with('/') { format!("`{folder}`") } else { folder.to_owned() }
}

/// Whether a path can be that of a file.
///
/// # Errors
/// Why not, in words.
pub fn check_name(path: &[u8], shown: &str) -> Result<(), String> {
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if last.is_empty() || last == b"." || last == b".." {
        if path.is_empty() {
            return Err("cannot write to a file without a name".into());
        }
        return Err(format!("cannot write `{shown}`: that names a folder, not a file"));
    }
    if path.contains(&0) {
        return Err(format!("cannot write `{}`: the name contains a NUL", shown.escape_default()));
    }
    let longest = path.split(|&byte| byte == b'/').map(<[u8]>::len).max().unwrap_or(0);
    if longest > MAX_NAME || path.len() > MAX_PATH {
        let (length, most, what) = if longest > MAX_NAME {
            (longest, MAX_NAME, "name")
        } else {
            (path.len(), MAX_PATH, "path")
        };
        let start: String = shown.chars().take(60).collect();
        return Err(format!(
            "cannot write `{start}…`: the {what} has {length} bytes, and the system takes {most}"
        ));
    }
    Ok(())
}

/// `path` without `.` and `..`, relative; `None` if it leads out of where it starts.
fn beneath(path: &Path) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::ParentDir => {
                if !inside.pop() {
                    return None;
                }
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(inside)
}
