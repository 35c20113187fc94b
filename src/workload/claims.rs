//! Which files the tasks of a call write, so that none is written over by another: of each the hash in memory, and in a
//! file the name, by which a hit is confirmed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::base::lock;
use crate::base::temporary;

/// So many hashes stay in memory, which takes 64 MiB; then they are sorted into a file.
const IN_MEMORY: usize = 2 << 20;

/// Of this many sorted entries the first hash stays in memory.
const PER_BLOCK: usize = 256;

/// A hash and the place of its name.
const ENTRY: usize = 16;

/// The files that have been claimed in a call of the runner, by all of its jobs.
#[derive(Debug)]
pub struct Claims(Mutex<Inner>);

/// The place of what the whole task makes, in whichever stage and by whichever key.
pub const WHOLE_TASK: u32 = u32::MAX;

/// Who writes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer<'a> {
    /// The job.
    pub job: &'a str,
    /// The task's number.
    pub task: u64,
    /// The stage, and the key that names the file: a task that is attempted again writes the same.
    pub place: u32,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
    recent: HashMap<u64, u64>,
    sorted: Vec<Sorted>,
    names: Option<Names>,
    /// The files of reports, and below which there are some, with their jobs.
    reports: HashMap<PathBuf, Vec<String>>,
    /// The files that tasks of earlier calls have made, by their keys.
    made: HashSet<u128>,
    /// What tasks have left that were not ok, by their keys, where the files themselves cannot say so.
    left: HashMap<u128, String>,
}

/// By what the file at this path, which is a real one, is known from one call to the next.
pub fn key_of(real: &Path) -> u128 {
    xxh3_128(real.as_os_str().as_bytes())
}

/// The names in a file without a name of its own.
#[derive(Debug)]
struct Names {
    file: File,
    end: u64,
    /// What has not been written yet.
    buffer: Vec<u8>,
}

/// Entries in a file, by their hashes.
#[derive(Debug)]
struct Sorted {
    file: File,
    count: usize,
    firsts: Vec<u64>,
}

impl Default for Claims {
    fn default() -> Self {
        Self::with_limit(IN_MEMORY)
    }
}

impl Claims {
    fn with_limit(limit: usize) -> Self {
        let (recent, sorted, names) = (HashMap::new(), Vec::new(), None);
        let (reports, made) = (HashMap::new(), HashSet::new());
        let left = HashMap::new();
        Self(Mutex::new(Inner { limit, recent, sorted, names, reports, made, left }))
    }

    /// Keeps `files`, of which the report of `job` is made, and all below them, from tasks. Their paths are real ones.
    pub fn reserve(&self, job: &str, files: impl IntoIterator<Item = PathBuf>) {
        let mut inner = lock(&self.0);
        for file in files {
            let jobs = inner.reports.entry(file).or_default();
            if !jobs.iter().any(|known| known == job) {
                jobs.push(job.to_owned());
            }
        }
    }

    /// Keeps the files with these keys, as long as they are there, from what tasks leave that are not ok: other tasks have
    /// made them before.
    pub fn keep(&self, made: impl IntoIterator<Item = u128>) {
        lock(&self.0).made.extend(made);
    }

    /// Notes that the file with this key is what a task has left, known by `mark`.
    pub(super) fn leave(&self, key: u128, mark: String) {
        lock(&self.0).left.insert(key, mark);
    }

    /// Whether the file with this key is what a task has left, and still has this mark.
    pub(super) fn has_left(&self, key: u128, mark: &str) -> bool {
        lock(&self.0).left.get(&key).is_some_and(|known| known == mark)
    }

    /// What is kept from tasks, by the jobs whose reports it is of.
    pub fn reserved(&self) -> Vec<(String, Vec<PathBuf>)> {
        let inner = lock(&self.0);
        let mut by_job = BTreeMap::<_, Vec<_>>::new();
        for (file, jobs) in &inner.reports {
            for job in jobs {
                by_job.entry(job.clone()).or_default().push(file.clone());
            }
        }
        by_job.into_iter().collect()
    }

    /// Whether somebody writes the file at `path`, or has made it before, or it is the runner's own.
    pub fn has(&self, path: &Path) -> bool {
        let mut inner = lock(&self.0);
        path.ancestors().any(|path| inner.reports.contains_key(path))
            || inner.has(path.as_os_str().as_bytes())
            || (inner.made.contains(&key_of(path)) && path.exists())
    }

    /// Claims the file at `path`.
    ///
    /// # Errors
    /// In words: who writes it already, or that the claim cannot be kept.
    pub fn claim(&self, path: &Path, writer: Writer<'_>) -> Result<(), String> {
        let mut inner = lock(&self.0);
        if let Some(jobs) = path.ancestors().find_map(|path| inner.reports.get(path)) {
            let is_own = jobs.iter().any(|job| job == writer.job);
            return Err(match jobs.first().filter(|_| !is_own) {
                Some(job) => format!("it is a file of the report of the job `{job}`"),
                None => "it is a file of the job's report".into(),
            });
        }
        let path = path.as_os_str().as_bytes();
        let claimed = inner.claim(path, writer);
        claimed.unwrap_or_else(|error| Err(format!("cannot keep which files are written: {error}")))
    }
}

impl Inner {
    fn has(&mut self, path: &[u8]) -> bool {
        let Ok(Some(place)) = self.find(xxh3_64(path)) else { return false };
        self.names().and_then(|names| names.read(place, path)).is_ok_and(|found| found.is_some())
    }

    fn claim(&mut self, path: &[u8], writer: Writer<'_>) -> io::Result<Result<(), String>> {
        let hash = xxh3_64(path);
        if let Some(place) = self.find(hash)?
            && let Some((job, task, stage)) = self.names()?.read(place, path)?
        {
            let is_its_own = (job.as_str(), task) == (writer.job, writer.task);
            let is_whole = stage == WHOLE_TASK || writer.place == WHOLE_TASK;
            if is_its_own && (is_whole || stage == writer.place) {
                return Ok(Ok(()));
            }
            return Ok(Err(match (job == writer.job, task == writer.task) {
                (true, true) => "another stage or key of this task writes it, too".into(),
                (true, false) => format!("task {task} writes it already"),
                (false, _) => format!("task {task} of the job `{job}` writes it already"),
            }));
        }
        let place = self.names()?.add(path, writer)?;
        self.recent.insert(hash, place);
        if self.recent.len() >= self.limit {
            self.sort()?;
        }
        Ok(Ok(()))
    }

    fn find(&self, hash: u64) -> io::Result<Option<u64>> {
        if let Some(&place) = self.recent.get(&hash) {
            return Ok(Some(place));
        }
        for sorted in &self.sorted {
            if let Some(place) = sorted.find(hash)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn names(&mut self) -> io::Result<&mut Names> {
        if self.names.is_none() {
            self.names = Some(Names { file: temporary::file()?, end: 0, buffer: Vec::new() });
        }
        Ok(self.names.as_mut().expect("it was just set"))
    }

    /// Moves the recent entries into a file.
    #[cold]
    fn sort(&mut self) -> io::Result<()> {
        let mut entries: Vec<_> = self.recent.drain().collect();
        entries.sort_unstable();
        let file = temporary::file()?;
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|(hash, place)| [hash.to_ne_bytes(), place.to_ne_bytes()].concat())
            .collect();
        file.write_all_at(&bytes, 0)?;
        let firsts = entries.iter().step_by(PER_BLOCK).map(|(hash, _)| *hash).collect();
        self.sorted.push(Sorted { file, count: entries.len(), firsts });
        Ok(())
    }
}

impl Sorted {
    fn find(&self, hash: u64) -> io::Result<Option<u64>> {
        let Some(block) = self.firsts.partition_point(|&first| first <= hash).checked_sub(1) else {
            return Ok(None);
        };
        let first = block * PER_BLOCK;
        let count = PER_BLOCK.min(self.count - first);
        let mut bytes = [0; PER_BLOCK * ENTRY];
        let bytes = &mut bytes[..count * ENTRY];
        self.file.read_exact_at(bytes, (first * ENTRY) as u64)?;
        let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
        let entry = bytes.chunks_exact(ENTRY).find(|entry| word(&entry[..8]) == hash);
        Ok(entry.map(|entry| word(&entry[8..])))
    }
}

impl Names {
    /// Small enough to be at hand, large enough to be worth a call.
    const BUFFER: usize = 64 << 10;

    /// Adds a name and its writer: the lengths, the numbers, the job, the path.
    fn add(&mut self, path: &[u8], writer: Writer<'_>) -> io::Result<u64> {
        let place = self.end + self.buffer.len() as u64;
        let (job, length) = (writer.job.as_bytes(), path.len() as u32);
        for word in [job.len() as u32, length, writer.place] {
            self.buffer.extend_from_slice(&word.to_ne_bytes());
        }
        self.buffer.extend_from_slice(&writer.task.to_ne_bytes());
        self.buffer.extend_from_slice(job);
        self.buffer.extend_from_slice(path);
        if self.buffer.len() > Self::BUFFER {
            self.flush()?;
        }
        Ok(place)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.end)?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// The job, task and place that have claimed `path`; `None` if it is another name's entry.
    fn read(&mut self, place: u64, path: &[u8]) -> io::Result<Option<(String, u64, u32)>> {
        self.flush()?;
        let mut head = [0; 20];
        self.file.read_exact_at(&mut head, place)?;
        let word = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let task = u64::from_ne_bytes(head[12..].try_into().expect("eight bytes"));
        let mut text = vec![0; word(0) as usize + word(4) as usize];
        self.file.read_exact_at(&mut text, place + head.len() as u64)?;
        let (job, name) = text.split_at(word(0) as usize);
        Ok((name == path).then(|| (String::from_utf8_lossy(job).into_owned(), task, word(8))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(job: &str, task: u64, place: u32) -> Writer<'_> {
        Writer { job, task, place }
    }

    #[test]
    fn a_file_has_one_writer() {
        let claims = Claims::default();
        let claim = |path: &str, writer| claims.claim(Path::new(path), writer);
        assert_eq!(claim("/a", writer("x", 1, 0)), Ok(()));
        assert_eq!(claim("/a", writer("x", 1, 0)), Ok(()));
        assert_eq!(claim("/b", writer("x", 2, 0)), Ok(()));
        for (other, words) in [
            (writer("x", 2, 0), "task 1 writes it already"),
            (writer("y", 1, 0), "task 1 of the job `x` writes it already"),
            (writer("x", 1, 1), "another stage or key of this task writes it, too"),
        ] {
            assert_eq!(claim("/a", other), Err(words.into()));
        }
    }

    #[test]
    fn what_was_made_before_is_kept_as_long_as_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (made, other) = (folder.path().join("made"), folder.path().join("other"));
        std::fs::write(&made, "").unwrap();
        std::fs::write(&other, "").unwrap();
        let claims = Claims::default();
        claims.keep([key_of(&made)]);
        assert_eq!((claims.has(&made), claims.has(&other)), (true, false));
        assert_eq!(claims.claim(&made, writer("x", 1, 0)), Ok(()), "it may be made again");
        let claims = Claims::default();
        claims.keep([key_of(&made)]);
        std::fs::remove_file(&made).unwrap();
        assert!(!claims.has(&made));
    }

    #[test]
    fn many_claims_wait_in_files() {
        let claims = Claims::with_limit(1000);
        for task in 0..4500 {
            claims.claim(Path::new(&format!("/out/{task}")), writer("x", task, 0)).unwrap();
        }
        for task in (0..4500).step_by(97) {
            let taken = claims.claim(Path::new(&format!("/out/{task}")), writer("x", 9999, 0));
            assert_eq!(taken, Err(format!("task {task} writes it already")));
        }
    }
}
