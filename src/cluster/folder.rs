//! `results/.<job>.run`: all that driver and shards have to tell each other, as files on a shared file system. A file
//! appears whole or not at all: it is written beside its place, brought to the disk, and renamed.
//!
//! ```text
//! plan.json               what is to be done; see `plan`
//! inputs, inputs.at       the inputs of all tasks; see `snapshot`
//! bin/runner              a copy of the program
//! sub/0002.list .sh .job  a submission: a line `shard start` for each element, its script, and the scheduler's name for it
//! work/00017.2.0/         what shard 17 writes in its second start; the last number counts copies of that start
//! done/00017              a link to the start that did all of the shard; whoever makes it first has done it
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often it is tried to remove a folder in which something is still made.
const REMOVALS: u32 = 40;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(50);

/// The folder of one run of a job.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

/// One start of a shard, as far as its folder's name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFolder {
    /// The shard's number, from 0.
    pub shard: u32,
    /// The number of the start, from 1.
    pub start: u32,
    /// Where it is.
    pub path: PathBuf,
}

/// What a start says of itself.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct StartNote {
    /// The node's name.
    pub node: String,
    /// The kind of its processor.
    pub arch: String,
    /// When it started, in milliseconds since 1970.
    pub started_ms: u64,
}

/// What a start says at its end.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct EndNote {
    /// When it ended, in milliseconds since 1970.
    pub ended_ms: u64,
    /// The model that ran its tasks.
    pub model: String,
    /// How many it ran at once.
    pub concurrency: usize,
    /// Why.
    pub reason: String,
    /// How long it took until the first task could start, in milliseconds.
    pub startup_ms: u64,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// Which rule of the job has stopped it, if one has.
    #[serde(default)]
    pub stopped: Option<String>,
    /// The peak memory of the process that used most, in bytes.
    #[serde(default)]
    pub peak_rss: Option<u64>,
}

/// The name of the file with a [`StartNote`].
pub const START_NOTE: &str = "start.json";

/// The name of the file with an [`EndNote`].
pub const END_NOTE: &str = "end.json";

impl RunFolder {
    /// The folder for `job` in the folder of its reports.
    pub fn of(results: &Path, job: &str) -> Self {
        Self { root: results.join(format!(".{job}.run")) }
    }

    /// The folder at `root`.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The lock of the driver: beside the folder, which comes and goes.
    pub fn driver_lock(&self) -> PathBuf {
        let mut name = self.root.as_os_str().to_owned();
        name.push(".lock");
        PathBuf::from(name)
    }

    /// The plan.
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// The inputs.
    pub fn inputs(&self) -> PathBuf {
        self.root.join("inputs")
    }

    /// Where in the inputs some of them are.
    pub fn inputs_at(&self) -> PathBuf {
        self.root.join("inputs.at")
    }

    /// The copy of the program.
    pub fn program(&self) -> PathBuf {
        self.root.join("bin/runner")
    }

    /// When the last start of a shard ended, for budgets of a time.
    pub fn last_end(&self) -> PathBuf {
        self.root.join("ended")
    }

    /// A file of a submission: its list, its script, or the scheduler's name for it.
    pub fn submission(&self, number: u32, ending: &str) -> PathBuf {
        self.root.join(format!("sub/{number:04}.{ending}"))
    }

    /// What an element of a submission prints.
    pub fn element_log(&self, submission: u32, index: u32) -> PathBuf {
        self.submission(submission, &format!("{index}.log"))
    }

    /// The folder of all starts.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// The link of a shard that is done.
    pub fn link(&self, shard: u32) -> PathBuf {
        self.root.join(format!("done/{shard:05}"))
    }

    /// Makes it, empty.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(&self) -> io::Result<()> {
        ["bin", "sub", "work", "done"]
            .iter()
            .try_for_each(|folder| fs::create_dir_all(self.root.join(folder)))
    }

    /// Removes it and all that is in it.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        // The plan goes first: what is left without one is no run.
        match fs::remove_file(self.plan()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for attempt in 1.. {
            match fs::remove_dir_all(&self.root) {
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                // What is just being ended may still have made a file.
                Err(error)
                    if error.kind() == ErrorKind::DirectoryNotEmpty && attempt < REMOVALS =>
                {
                    thread::sleep(BETWEEN_REMOVALS);
                }
                removed => return removed,
            }
        }
        Ok(())
    }

    /// Copies this program into it, so that an upgrade does not reach a run.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub fn copy_program(&self) -> io::Result<PathBuf> {
        let place = self.program();
        let beside = place.with_extension("tmp");
        fs::copy(std::env::current_exe()?, &beside)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755))?;
        fs::rename(&beside, &place)?;
        Ok(place)
    }

    /// Writes a file of it, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, place: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let beside = place.with_file_name(name);
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, place)?;
        if let Some(folder) = place.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// All starts that have a folder. A folder is read anew each time: what is said of a single file may be old on a
    /// shared file system.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn starts(&self) -> io::Result<Vec<StartFolder>> {
        let mut starts = Vec::new();
        for entry in fs::read_dir(self.work())? {
            let entry = entry?;
            let name = entry.file_name();
            let mut parts = name.to_str().unwrap_or_default().split('.').map(str::parse);
            if let (Some(Ok(shard)), Some(Ok(start)), Some(Ok(_)), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            {
                starts.push(StartFolder { shard, start, path: entry.path() });
            }
        }
        Ok(starts)
    }

    /// The shards that are done, each with the folder that has its rows.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn links(&self) -> io::Result<HashMap<u32, PathBuf>> {
        let mut links = HashMap::new();
        for entry in fs::read_dir(self.root.join("done"))? {
            let entry = entry?;
            if let Some(shard) = entry.file_name().to_str().and_then(|name| name.parse().ok())
                && let Ok(target) = fs::read_link(entry.path())
                && let Some(name) = target.file_name()
            {
                links.insert(shard, self.work().join(name));
            }
        }
        Ok(links)
    }

    /// Makes the folder of a start: its own, even if the same start runs twice.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make_start(&self, shard: u32, start: u32) -> io::Result<PathBuf> {
        for copy in 0..u32::MAX {
            let path = self.work().join(format!("{shard:05}.{start}.{copy}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("too many copies of one start"))
    }

    /// Publishes the start in `folder` as the one that has done all of its shard; returns false if another one was
    /// first.
    ///
    /// # Errors
    /// If the link cannot be made.
    pub fn publish(&self, shard: u32, folder: &Path) -> io::Result<bool> {
        let name = folder.file_name().unwrap_or_default();
        match symlink(Path::new("../work").join(name), self.link(shard)) {
            Ok(()) => {
                File::open(self.root.join("done"))?.sync_all()?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Reads a note of a start; `None` if there is none (yet).
pub fn note<T: for<'a> Deserialize<'a>>(folder: &Path, name: &str) -> Option<T> {
    serde_json::from_slice(&fs::read(folder.join(name)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_copy_of_a_start_has_a_folder_and_one_is_published() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::of(place.path(), "words");
        folder.create().unwrap();
        let (one, other) = (folder.make_start(17, 2).unwrap(), folder.make_start(17, 2).unwrap());
        assert_ne!(one, other);
        assert!(folder.publish(17, &other).unwrap());
        assert!(!folder.publish(17, &one).unwrap());
        assert_eq!(folder.links().unwrap(), HashMap::from([(17, other)]));
        let mut starts = folder.starts().unwrap();
        starts.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!((starts[0].shard, starts[0].start, &starts[0].path), (17, 2, &one));
        folder.write(&folder.plan(), b"{}").unwrap();
        folder.remove().unwrap();
        folder.remove().unwrap();
        assert!(!folder.path().exists());
    }
}
