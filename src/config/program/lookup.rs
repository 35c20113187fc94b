//! Where a program is: once per job where its name has no placeholder, else once per attempt.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// Where programs are looked for.
#[derive(Clone, Debug)]
pub struct Places {
    /// As in `PATH`.
    path: OsString,
    /// Where a relative path starts, and a relative folder in the `PATH`.
    folder: PathBuf,
}

/// Why a program cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Its name is empty.
    Empty,
    /// No folder of the `PATH` has it.
    NotInPath,
    /// There is no such file.
    Missing,
    /// It is a folder, or its mode says that it is not a program.
    NotExecutable,
}

impl Places {
    /// Looks in the folders of `path`, from `folder`.
    pub fn new(path: impl Into<OsString>, folder: &Path) -> Self {
        Self { path: path.into(), folder: folder.to_owned() }
    }

    /// The absolute path of a program: one with a slash is a path, any other a name to look up.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(&self, program: &[u8]) -> Result<PathBuf, Unusable> {
        let name = OsStr::from_bytes(program);
        if program.is_empty() {
            return Err(Unusable::Empty);
        }
        if program.contains(&b'/') {
            let path = self.folder.join(name);
            return usable(&path).map(|()| path);
        }
        let mut reason = Unusable::NotInPath;
        for place in std::env::split_paths(&self.path) {
            let path = self.folder.join(place).join(name);
            match usable(&path) {
                Ok(()) => return Ok(path),
                Err(Unusable::NotExecutable) if !path.is_dir() => reason = Unusable::NotExecutable,
                Err(_) => {}
            }
        }
        Err(reason)
    }
}

fn usable(path: &Path) -> Result<(), Unusable> {
    if !path.exists() {
        return Err(Unusable::Missing);
    }
    if path.is_dir() || access(path, Access::EXEC_OK).is_err() {
        return Err(Unusable::NotExecutable);
    }
    Ok(())
}

impl Unusable {
    /// What is wrong with the program `name` of a job in `folder`, and the way out, if there is one.
    pub fn explain(&self, name: &str, folder: &Path) -> (String, Option<String>) {
        match self {
            Self::Empty => (self.to_string(), None),
            Self::NotInPath => {
                let is_here = folder.join(name).is_file();
                let help = || format!("write `./{name}` for the one in the job's folder");
                (format!("there is no program `{name}` in the PATH"), is_here.then(help))
            }
            Self::Missing => (format!("there is no program `{name}`"), None),
            Self::NotExecutable => {
                (format!("`{name}` is not executable"), Some(format!("try `chmod +x {name}`")))
            }
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the program's name is empty",
            Self::NotInPath => "no such program in PATH",
            Self::Missing => "no such file or directory",
            Self::NotExecutable => "permission denied: it is not executable",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_name_is_looked_up_and_a_path_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("bin/folder")).unwrap();
        for (name, mode) in [("bin/tool", 0o755), ("bin/plain", 0o644), ("here", 0o755)] {
            fs::write(at(name), "#!/bin/sh\n").unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let places = Places::new("/nowhere:bin", folder.path());
        for (program, expected) in [
            ("tool", Ok(at("bin/tool"))),
            ("./here", Ok(at("./here"))),
            ("/bin/sh", Ok("/bin/sh".into())),
            ("here", Err(Unusable::NotInPath)),
            ("folder", Err(Unusable::NotInPath)),
            ("plain", Err(Unusable::NotExecutable)),
            ("bin/folder", Err(Unusable::NotExecutable)),
            ("./none", Err(Unusable::Missing)),
            ("", Err(Unusable::Empty)),
        ] {
            assert_eq!(places.find(program.as_bytes()), expected, "{program:?}");
        }
    }
}
