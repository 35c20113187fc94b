//! `save`: where a body goes. Inputs choose the name, never the folder that it may not leave.
//!
//! What stands before the first placeholder is the file's own word: a folder below the job's, or an absolute one. What
//! a placeholder makes of the rest stays below it, and no symbolic link leads out of the job's or the absolute folder.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use super::body::in_words;
use super::unfinished::Unfinished;
use crate::task::own_path;
use crate::workload::real_folder::real_folder;
use crate::workload::target::Target;

/// Of one part of a path, on the file systems that there are.
const LONGEST_NAME: usize = 255;
/// Of a whole path, for Linux.
const LONGEST_PATH: usize = 4096;

/// The folder that the job file names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// With a slash at its end; empty for the job's own.
    literal: String,
    /// Whether the path is the temporary name of a file that the task makes: absolute, and the runner's own word.
    is_made: bool,
}

impl Folder {
    /// The folder in a template that starts with `prefix`, before its first placeholder.
    ///
    /// # Errors
    /// In words, if the job file itself leads out of the job's folder, or names no folder.
    pub fn new(prefix: &str) -> Result<Self, String> {
        let literal = &prefix[..prefix.rfind('/').map_or(0, |slash| slash + 1)];
        if literal.starts_with('/') {
            if beneath(Path::new(literal)).is_none_or(|inside| inside.as_os_str().is_empty()) {
                return Err(
                    "an absolute `save` must name a folder before its first placeholder".into()
                );
            }
        } else if beneath(Path::new(literal)).is_none() {
            return Err(
                "`save` leads out of the job's folder; name an absolute folder for that".into()
            );
        }
        Ok(Self { literal: literal.into(), is_made: false })
    }

    /// The folder of whatever the task makes.
    pub fn of_made() -> Self {
        Self { literal: String::new(), is_made: true }
    }

    /// Where the rendered template `path` leads, for a job in `job_folder`.
    ///
    /// # Errors
    /// In words, if that is outside, or no file's name.
    pub fn place(&self, job_folder: &Path, path: &[u8]) -> Result<Place, String> {
        let shown = String::from_utf8_lossy(path);
        if self.is_made
            && let path = Path::new(OsStr::from_bytes(path))
            && let (Some(folder), Some(name)) = (path.parent(), path.file_name())
        {
            let folder = folder.to_owned();
            return Ok(Place { root: folder.clone(), folder, name: name.to_owned() });
        }
        let rest = path.strip_prefix(self.literal.as_bytes()).unwrap_or(path);
        let outside = || match &self.literal[..] {
            "" => format!("not saved: `{shown}` leads out of the job's folder"),
            literal => format!("not saved: `{shown}` leads out of `{literal}`"),
        };
        if self.literal.is_empty() && rest.starts_with(b"/") {
            return Err(outside());
        }
        let below = beneath(Path::new(OsStr::from_bytes(rest))).ok_or_else(outside)?;
        let nameless = rest.is_empty() || rest.ends_with(b"/") || rest.ends_with(b"/.");
        let Some(name) = below.file_name().filter(|_| !nameless) else {
            return Err(format!("not saved: `{shown}` is not a file name"));
        };
        let base = job_folder.join(&self.literal);
        let folder = base.join(below.parent().unwrap_or(Path::new("")));
        let root = if self.literal.starts_with('/') { base } else { job_folder.to_owned() };
        Ok(Place { root, folder, name: name.to_owned() })
    }
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

/// Where a file is going to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Nothing outside of it is touched.
    root: PathBuf,
    folder: PathBuf,
    name: std::ffi::OsString,
}

impl Place {
    /// Whether a file could be made there, without making anything: a name that cannot be is found before a transfer.
    ///
    /// # Errors
    /// In words, if it could not.
    pub fn check(&self) -> Result<(), String> {
        let path = self.folder.join(&self.name);
        self.try_out(&path).map_err(|why| format!("failed to save `{}`: {why}", path.display()))
    }

    fn try_out(&self, path: &Path) -> Result<(), String> {
        let longest = path.components().map(|part| part.as_os_str().len()).max().unwrap_or(0);
        if longest > LONGEST_NAME {
            return Err(format!(
                "a name in it has {longest} bytes, and {LONGEST_NAME} is the most"
            ));
        }
        if path.as_os_str().len() >= LONGEST_PATH {
            return Err(format!("the path has more than {LONGEST_PATH} bytes"));
        }
        if path.as_os_str().as_bytes().contains(&0) {
            return Err("it has a NUL byte".into());
        }
        if let Some(device) = self.device().map_err(|error| in_words(&error))? {
            return rustix::fs::access(&device, Access::WRITE_OK)
                .map_err(|error| in_words(&error.into()));
        }
        match fs::symlink_metadata(path) {
            Ok(about) if about.is_dir() => return Err("it is a folder".into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(in_words(&error)),
            Ok(_) => {}
        }
        let existing = self.folder.ancestors().find(|folder| fs::symlink_metadata(folder).is_ok());
        let Some(existing) = existing else { return Ok(()) };
        let folder = existing.canonicalize().map_err(|error| in_words(&error))?;
        if !folder.is_dir() {
            return Err(format!("`{}` is not a folder", existing.display()));
        }
        if self.root.exists() {
            self.check_inside(&folder).map_err(|error| in_words(&error))?;
        }
        rustix::fs::access(&folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| format!("`{}`: {}", existing.display(), in_words(&error.into())))
    }

    /// Where that is, and what is there. `shown` is how the job file and the inputs have it.
    pub fn target(&self, shown: String) -> Target {
        Target {
            path: self.folder.join(&self.name),
            real: real_folder(&self.folder).join(&self.name),
            shown,
            is_device: self.device().is_ok_and(|device| device.is_some()),
        }
    }

    /// What is there, if it is a device or a pipe, which is never replaced.
    ///
    /// # Errors
    /// If it is a link to one that leads out.
    fn device(&self) -> io::Result<Option<PathBuf>> {
        let path = self.folder.join(&self.name);
        let Ok(found) = fs::symlink_metadata(&path) else { return Ok(None) };
        if !found.is_symlink() {
            return Ok(Some(path).filter(|_| !found.is_file() && !found.is_dir()));
        }
        if fs::read_link(&path)?.starts_with("/proc") {
            return Err(io::Error::other("it is a link to what a process has open"));
        }
        // Any other link is replaced: what it leads to stays.
        let Ok(end) = fs::metadata(&path) else { return Ok(None) };
        if end.is_file() || end.is_dir() {
            return Ok(None);
        }
        let device = path.canonicalize()?;
        self.check_inside(device.parent().unwrap_or(Path::new("/")))?;
        Ok(Some(device))
    }

    /// A file for it, with its folders made.
    ///
    /// # Errors
    /// In words.
    pub fn create(&self) -> Result<Unfinished, String> {
        let path = self.folder.join(&self.name);
        let open = || match self.device()? {
            Some(device) => Unfinished::device(&device),
            None => self.make_folder().and_then(|()| Unfinished::file(&path)),
        };
        open().map_err(|error| failed(&path, &error))
    }

    /// Where it is going to be.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// The name of the file.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Makes the folders that are missing, without leaving the root through a symbolic link.
    fn make_folder(&self) -> io::Result<()> {
        if let Ok(folder) = self.folder.canonicalize() {
            return self.check_inside(&folder);
        }
        if !self.root.exists() {
            fs::create_dir_all(&self.root)?;
        }
        let existing = self.folder.ancestors().find_map(|folder| folder.canonicalize().ok());
        self.check_inside(&existing.unwrap_or_default())?;
        fs::create_dir_all(&self.folder)
    }

    fn check_inside(&self, folder: &Path) -> io::Result<()> {
        let root = self.root.canonicalize()?;
        if folder.starts_with(&root) {
            return Ok(());
        }
        Err(io::Error::other(format!("a link leads out of `{}`", root.display())))
    }
}

/// What is said of a file that cannot be written.
pub(super) fn failed(path: &Path, error: &io::Error) -> String {
    let path = own_path(path);
    format!("failed to save `{}`: {}", path.display(), in_words(error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn place(prefix: &str, path: &str) -> Result<String, String> {
        let place = Folder::new(prefix)?.place(Path::new("/job"), path.as_bytes())?;
        Ok(place.folder.join(place.name).display().to_string())
    }

    #[test]
    fn a_file_stays_in_its_folder() {
        for (prefix, path, expected) in [
            ("", "a.html", Ok("/job/a.html")),
            ("pages/", "pages/a/b.html", Ok("/job/pages/a/b.html")),
            ("pages/p-", "pages/p-1", Ok("/job/pages/p-1")),
            ("./", "./a", Ok("/job/./a")),
            ("", "a/../b", Ok("/job/b")),
            ("/data/out/", "/data/out/x", Ok("/data/out/x")),
            ("/data/out/", "/data/out//etc/passwd", Ok("/data/out/etc/passwd")),
            ("", "/etc/passwd", Err("not saved: `/etc/passwd` leads out of the job's folder")),
            ("", "../x", Err("not saved: `../x` leads out of the job's folder")),
            ("", "a/../../x", Err("not saved: `a/../../x` leads out of the job's folder")),
            ("pages/", "pages/../x", Err("not saved: `pages/../x` leads out of `pages/`")),
            (
                "/data/out/",
                "/data/out/../x",
                Err("not saved: `/data/out/../x` leads out of `/data/out/`"),
            ),
            ("pages/", "pages/", Err("not saved: `pages/` is not a file name")),
            ("", "..", Err("not saved: `..` leads out of the job's folder")),
            ("", "a/..", Err("not saved: `a/..` is not a file name")),
            ("", "", Err("not saved: `` is not a file name")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(place(prefix, path), expected, "{path}");
        }
    }

    #[test]
    fn the_job_file_may_not_lead_out_either_unless_it_says_where() {
        assert!(Folder::new("../x/").is_err());
        assert!(Folder::new("a/../../").is_err());
        assert!(Folder::new("/").is_err());
        assert!(Folder::new("/data/../").is_err());
        assert!(Folder::new("/data/").is_ok());
    }

    #[test]
    fn links_do_not_lead_out() {
        let (job, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(other.path(), job.path().join("link")).unwrap();
        for path in ["link/x", "link/new/x"] {
            let place = Folder::new("").unwrap().place(job.path(), path.as_bytes()).unwrap();
            let error = place.create().unwrap_err();
            assert!(error.contains("a link leads out of"), "{error}");
        }
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_has_its_name_once_it_is_whole() {
        let job = tempfile::tempdir().unwrap();
        let place = Folder::new("a/").unwrap().place(job.path(), b"a/b/c.txt").unwrap();
        let path = job.path().join("a/b/c.txt");
        let mut file = place.create().unwrap();
        file.write(b"one").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(fs::read_dir(job.path().join("a/b")).unwrap().count(), 0);
        let mut file = place.create().unwrap();
        file.write(b"two").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o600, 0o600);
    }
}
