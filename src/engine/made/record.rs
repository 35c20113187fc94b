//! `results/.<job>.made`: which files tasks have begun to make, and which they have made of what.
//!
//! The file has a header, then entries, of which the last one of a file counts. An entry is written with one call; what a
//! kill or a full disk has torn is at the end, fails its checksum, and is cut off.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use rustix::fs::OFlags;
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_64;

use crate::base::lock;
use crate::task::SeenFile;

const MAGIC: &[u8; 16] = b"runner made 1\n\0\0";

/// Length and checksum of an entry.
const HEAD: usize = 12;

/// Stands for no file: a run starts with such an entry.
const RUN: u128 = 0;

/// All that is said of a file that was left.
const LEFT: u8 = 1;

/// So many entries that count no more may be in the file.
const SPARE: usize = 64;

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Its task has begun, and did not end ok.
    Begun,
    /// A task that was not ok has left it: it is no task's file, unless one begins to make it.
    Left,
    /// Its task was ok.
    Made {
        /// The hash of the task.
        task: u128,
        /// What it has read.
        reads: Box<[SeenFile]>,
    },
}

/// What is known of each file.
type Entries = HashMap<u128, Known>;

/// What is known of a file, and since when.
#[derive(Clone, Debug)]
pub(super) struct Known {
    entry: Entry,
    /// Its task has begun in the last run, or as that was resumed.
    is_of_run: bool,
}

/// What is known of the files that the tasks of a job make, by the hashes of their paths.
#[derive(Debug)]
pub(super) struct Records(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// `None` if nothing is to be written.
    file: Option<File>,
    end: u64,
    entries: Entries,
}

impl Records {
    /// Records that are not kept.
    pub(super) fn none() -> Self {
        Self(Mutex::default())
    }

    /// The records in the file at `path`, which are not added to.
    ///
    /// # Errors
    /// If there is a file that cannot be read.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let (entries, ..) = parse(&bytes);
        Ok(Self(Mutex::new(Inner { entries, ..Inner::default() })))
    }

    /// The records in the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
        let mut file = options.open(path)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes)?;
        let (entries, count, end) = parse(&bytes);
        if end == 0 || count > 2 * entries.len() + SPARE {
            file = rewrite(path, &entries)?;
        } else {
            file.set_len(end)?;
        }
        let end = file.metadata()?.len();
        Ok(Self(Mutex::new(Inner { file: Some(file), end, entries })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }

    /// What is known of the file with this key.
    pub(super) fn get(&self, key: u128) -> Option<Entry> {
        self.lock().entries.get(&key).map(|known| known.entry.clone())
    }

    /// All that is known.
    pub(super) fn all(&self) -> Vec<(u128, Known)> {
        self.lock().entries.iter().map(|(key, known)| (*key, known.clone())).collect()
    }

    /// The files of tasks, made or not.
    pub(super) fn of_tasks(&self) -> Vec<u128> {
        let inner = self.lock();
        let all = inner.entries.iter().filter(|(_, known)| known.entry != Entry::Left);
        all.map(|(&key, _)| key).collect()
    }

    /// Whether the task of a file has begun in this run, be it before a kill after which the run was resumed.
    pub(super) fn has_begun(&self, key: u128) -> bool {
        self.lock().entries.get(&key).is_some_and(|known| known.is_of_run)
    }

    /// A run starts that goes on with no other.
    ///
    /// # Errors
    /// If that cannot be written; the file is as before.
    pub(super) fn start_run(&self) -> io::Result<()> {
        if !self.lock().entries.values().any(|known| known.is_of_run) {
            return Ok(());
        }
        self.add(RUN, &Entry::Begun)
    }

    /// Takes over what is known elsewhere.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn take(&self, key: u128, known: &Known) -> io::Result<()> {
        if known.is_of_run && !self.has_begun(key) {
            self.add(key, &Entry::Begun)?;
        }
        if self.get(key).as_ref() == Some(&known.entry) {
            return Ok(());
        }
        self.add(key, &known.entry)
    }

    /// Adds what is known from now on.
    ///
    /// # Errors
    /// If it cannot be written; the file is as before.
    pub(super) fn add(&self, key: u128, entry: &Entry) -> io::Result<()> {
        self.add_all(&[key], entry)
    }

    /// Likewise, of several files.
    ///
    /// # Errors
    /// If it cannot be written; the file is as before.
    pub(super) fn add_all(&self, keys: &[u128], entry: &Entry) -> io::Result<()> {
        let mut inner = self.lock();
        let Inner { file: Some(file), end, entries } = &mut *inner else { return Ok(()) };
        let mut bytes = Vec::new();
        for &key in keys {
            push(key, entry, &mut bytes);
        }
        if let Err(error) = file.write_all_at(&bytes, *end) {
            let _ = file.set_len(*end);
            return Err(error);
        }
        *end += bytes.len() as u64;
        for &key in keys {
            note(entries, key, entry.clone());
        }
        Ok(())
    }
}

impl Known {
    /// Whether it has begun in the last run.
    pub(super) fn is_of_run(&self) -> bool {
        self.is_of_run
    }
}

fn note(entries: &mut Entries, key: u128, entry: Entry) {
    if key == RUN {
        return entries.values_mut().for_each(|known| known.is_of_run = false);
    }
    let has_begun = entry == Entry::Begun;
    let is_of_run = has_begun || entries.get(&key).is_some_and(|known| known.is_of_run);
    entries.insert(key, Known { entry, is_of_run });
}

/// Replaces the file by one with nothing but these entries.
fn rewrite(path: &Path, entries: &Entries) -> io::Result<File> {
    let mut bytes = MAGIC.to_vec();
    for (&key, known) in entries.iter().filter(|(_, known)| !known.is_of_run) {
        push(key, &known.entry, &mut bytes);
    }
    if !entries.is_empty() {
        push(RUN, &Entry::Begun, &mut bytes);
    }
    for (&key, known) in entries.iter().filter(|(_, known)| known.is_of_run) {
        push(key, &Entry::Begun, &mut bytes);
        if known.entry != Entry::Begun {
            push(key, &known.entry, &mut bytes);
        }
    }
    let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(&bytes)?;
    file.persist(path).map_err(|error| error.error)
}

fn push(key: u128, entry: &Entry, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.extend_from_slice(&key.to_le_bytes());
    if *entry == Entry::Left {
        out.push(LEFT);
    }
    if let Entry::Made { task, reads } = entry {
        out.extend_from_slice(&task.to_le_bytes());
        for seen in reads {
            let written = seen.written.unwrap_or(i64::MIN);
            out.extend_from_slice(&seen.name.to_le_bytes());
            out.extend_from_slice(&seen.size.to_le_bytes());
            out.extend_from_slice(&written.to_le_bytes());
            out.extend_from_slice(&seen.content.to_le_bytes());
        }
    }
    let body = &out[start + HEAD..];
    let (length, check) = (body.len() as u32, xxh3_64(body));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEAD].copy_from_slice(&check.to_le_bytes());
}

/// The entries that count, how many there are in all, and where they end; 0 if the file is none of ours.
fn parse(bytes: &[u8]) -> (Entries, usize, u64) {
    let mut entries = HashMap::new();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else { return (entries, 0, 0) };
    let mut count = 0;
    while let Some((key, entry, length)) = first(rest) {
        note(&mut entries, key, entry);
        rest = &rest[length..];
        count += 1;
    }
    (entries, count, (bytes.len() - rest.len()) as u64)
}

/// The entry at the start of `bytes`, and its length; `None` if there is no whole one.
fn first(bytes: &[u8]) -> Option<(u128, Entry, usize)> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let check = u64::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEAD..HEAD.checked_add(length)?)?;
    if xxh3_64(body) != check {
        return None;
    }
    let (key, rest) = body.split_first_chunk()?;
    let key = u128::from_le_bytes(*key);
    let Some((task, rest)) = rest.split_first_chunk() else {
        let entry = if rest == [LEFT] { Entry::Left } else { Entry::Begun };
        return Some((key, entry, HEAD + length));
    };
    let reads = rest.chunks_exact(32).map(|seen| {
        let word = |index: usize| -> [u8; 8] {
            seen[index * 8..][..8].try_into().expect("eight bytes of 32")
        };
        let written = i64::from_le_bytes(word(2));
        SeenFile {
            name: u64::from_le_bytes(word(0)),
            size: u64::from_le_bytes(word(1)),
            written: (written != i64::MIN).then_some(written),
            content: u64::from_le_bytes(word(3)),
        }
    });
    let entry = Entry::Made { task: u128::from_le_bytes(*task), reads: reads.collect() };
    Some((key, entry, HEAD + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(task: u128) -> Entry {
        let seen = SeenFile { name: 1, size: 2, written: Some(-3), content: 4 };
        let reads = [seen, SeenFile { written: None, ..seen }].into();
        Entry::Made { task, reads }
    }

    #[test]
    fn what_is_added_is_known_next_time_and_what_is_torn_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".job.made");
        let records = Records::open(&path).unwrap();
        records.add(1, &Entry::Begun).unwrap();
        records.add(1, &made(7)).unwrap();
        records.add(2, &Entry::Begun).unwrap();
        drop(records);
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let records = Records::open(&path).unwrap();
            assert!([None, Some(Entry::Begun), Some(made(7))].contains(&records.get(1)));
            assert_eq!(records.get(2).is_some(), cut == whole.len());
            records.add_all(&[3, 4], &Entry::Left).unwrap();
            let records = Records::open(&path).unwrap();
            assert_eq!(
                [3, 4].map(|key| records.get(key)),
                [const { Some(Entry::Left) }; 2],
                "{cut}"
            );
            assert!(!records.of_tasks().contains(&3) && !records.has_begun(3));
        }
        fs::write(&path, "shopping list").unwrap();
        assert_eq!(Records::open(&path).unwrap().get(1), None);
    }

    #[test]
    fn what_has_begun_in_a_run_is_known_until_the_next_one_starts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".job.made");
        let begun = |records: &Records| [1, 2, 3].map(|key| records.has_begun(key));
        let records = Records::open(&path).unwrap();
        records.add(1, &Entry::Begun).unwrap();
        records.add(1, &made(7)).unwrap();
        records.add(2, &Entry::Begun).unwrap();
        assert_eq!(begun(&Records::open(&path).unwrap()), [true, true, false]);
        let records = Records::open(&path).unwrap();
        records.start_run().unwrap();
        records.add(1, &made(8)).unwrap();
        records.add(3, &Entry::Begun).unwrap();
        for _ in 0..100 {
            records.add(3, &made(9)).unwrap();
        }
        for _ in 0..2 {
            let records = Records::open(&path).unwrap(); // the first time, it is written anew
            assert_eq!(begun(&records), [false, false, true]);
            let all = [1, 2, 3].map(|key| records.get(key));
            assert_eq!(all, [Some(made(8)), Some(Entry::Begun), Some(made(9))]);
        }
        let other = Records::open(&folder.path().join(".other.made")).unwrap();
        for (key, known) in Records::read(&path).unwrap().all() {
            other.take(key, &known).unwrap();
        }
        assert_eq!(
            (other.has_begun(1), other.has_begun(3), other.get(3)),
            (false, true, Some(made(9)))
        );
    }

    #[test]
    fn the_file_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".job.made");
        let records = Records::open(&path).unwrap();
        for _ in 0..1000 {
            records.add(1, &made(7)).unwrap();
        }
        let long = fs::metadata(&path).unwrap().len();
        assert_eq!(Records::open(&path).unwrap().get(1), Some(made(7)));
        assert!(fs::metadata(&path).unwrap().len() < long / 100);
    }
}
