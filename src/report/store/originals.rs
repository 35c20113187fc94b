//! `results/.<job>.inputs`: the inputs that a report cannot hold byte by byte, such as file names that are not UTF-8. A
//! job whose inputs are all text has none.
//!
//! It is written before the rows and found by the identities that the state has of them, so that sorting, renumbering
//! and resuming a report do not concern it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use xxhash_rust::xxh3::xxh3_64;

use crate::csv::{InputCell, Original, Originals};
use crate::report::store::identify::Identify;
use crate::report::store::state::{self, ENTRY, Entry, State, entries_end};
use crate::task::Fields;

const MAGIC: &[u8; 16] = b"runner inputs 1\n";

/// The length of the header: the magic, and the seed of the identities.
const HEADER: u64 = 24;

/// What stands before an input: its identity, its length and its checksum.
const HEAD: usize = 16 + 4 + 4;

/// So many cells can stand for something else than they most likely do; each doubles the work.
const DOUBTS: usize = 8;

/// Appends the first `count` of `fields`, of this identity, as they are kept: those of the input, behind which a task has
/// the names of what it makes and what its stages have found.
pub(in crate::report) fn push(out: &mut Vec<u8>, identity: u128, fields: &Fields, count: usize) {
    let mut values = Vec::new();
    for value in fields.iter().take(count) {
        values.extend_from_slice(&(value.len() as u32).to_le_bytes());
        values.extend_from_slice(value);
    }
    out.extend_from_slice(&identity.to_le_bytes());
    out.extend_from_slice(&(values.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(&values).to_le_bytes());
    out.extend_from_slice(&values);
}

fn checksum(values: &[u8]) -> u32 {
    xxh3_64(values) as u32
}

/// The file beside the state while a report is written. It is made when there is something to keep.
#[derive(Debug)]
pub(in crate::report) struct Keeper {
    path: PathBuf,
    seed: u64,
    file: Option<File>,
    end: u64,
}

impl Keeper {
    /// Keeps inputs at `path`, with those that are there of an earlier run if it had the same `seed`.
    pub(in crate::report) fn new(path: PathBuf, seed: u64) -> Self {
        Self { path, seed, file: None, end: 0 }
    }

    /// Where it is.
    pub(in crate::report) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends what [`push`] has made.
    pub(in crate::report) fn append(&mut self, inputs: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            (self.file, self.end) = self.open().map(|(file, end)| (Some(file), end))?;
        }
        let Some(file) = &self.file else { return Ok(()) };
        file.write_all_at(inputs, self.end)?;
        self.end += inputs.len() as u64;
        Ok(())
    }

    /// Removes what an earlier run has left, which describes nothing any more.
    pub(in crate::report) fn remove_if_old(&self) {
        if self.file.is_none()
            && File::open(&self.path).is_ok_and(|old| seed(&old) != Some(self.seed))
        {
            let _ = std::fs::remove_file(&self.path); // it is harmless
        }
    }

    fn open(&self) -> io::Result<(File, u64)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
        let file = file.open(&self.path)?;
        if seed(&file) == Some(self.seed) {
            // What a kill has torn would hide what comes after it.
            let end = scan(&file, |_, _| ())?;
            file.set_len(end)?;
            return Ok((file, end));
        }
        file.set_len(0)?;
        file.write_all_at(&[&MAGIC[..], &self.seed.to_le_bytes()].concat(), 0)?;
        Ok((file, HEADER))
    }
}

/// The seed that `file` says, if it is such a file.
fn seed(file: &File) -> Option<u64> {
    let mut bytes = [0; HEADER as usize];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let seed = bytes.strip_prefix(MAGIC)?;
    Some(u64::from_le_bytes(seed.try_into().ok()?))
}

/// The whole inputs at `path`, as they are kept; none if they are of another `seed`, or there are none.
pub(in crate::report) fn whole(path: &Path, seed: u64) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    if self::seed(&file) != Some(seed) {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; (scan(&file, |_, _| ())? - HEADER) as usize];
    file.read_exact_at(&mut bytes, HEADER)?;
    Ok(bytes)
}

/// Appends the inputs at `from` to those at `into`.
pub(in crate::report) fn carry(from: &Path, into: &Path, seed: u64) -> io::Result<()> {
    let inputs = whole(from, seed)?;
    if inputs.is_empty() { Ok(()) } else { Keeper::new(into.to_owned(), seed).append(&inputs) }
}

/// Passes the identity of every whole input, and where it starts, to `each`; says where the last one ends.
fn scan(file: &File, mut each: impl FnMut(u128, u64)) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut reader = BufReader::new(file.try_clone()?);
    reader.seek(SeekFrom::Start(HEADER))?;
    let mut end = HEADER;
    while let Some((identity, values, check)) = next_head(&mut reader) {
        let next = end + HEAD as u64 + u64::from(values);
        if next > length {
            break;
        }
        let mut bytes = vec![0; values as usize];
        reader.read_exact(&mut bytes)?;
        if checksum(&bytes) != check {
            break;
        }
        each(identity, end);
        end = next;
    }
    Ok(end)
}

fn next_head(reader: &mut impl Read) -> Option<(u128, u32, u32)> {
    let mut head = [0; HEAD];
    reader.read_exact(&mut head).ok()?;
    let (identity, rest) = head.split_first_chunk()?;
    let (length, check) = rest.split_first_chunk()?;
    let check = u32::from_le_bytes(check.try_into().ok()?);
    Some((u128::from_le_bytes(*identity), u32::from_le_bytes(*length), check))
}

/// Knows the inputs of the report at `report`, of which `own` fields are the source's own: `None` without its state.
pub fn originals(report: &Path, own: usize) -> Option<Box<dyn Originals>> {
    let job = report.file_stem()?.to_string_lossy().into_owned();
    let state = File::open(report.with_file_name(format!(".{job}.state"))).ok()?;
    let header = State::header_of(&state)?;
    let entries = (state.metadata().ok()?.len()).checked_sub(state::HEADER as u64)? / ENTRY as u64;
    let kept = File::open(report.with_file_name(format!(".{job}.inputs")));
    let kept = kept.ok().filter(|kept| seed(kept) == Some(header.seed));
    let identify = Identify::new(header.identities(), own);
    Some(Box::new(Known { state, entries, next: 0, identify, own, kept, places: None }))
}

/// What state and file know together.
struct Known {
    state: File,
    entries: u64,
    /// The number of the entry that is most likely asked for next.
    next: u64,
    identify: Identify,
    own: usize,
    kept: Option<File>,
    /// Where the input of each identity is; made when the first is asked for.
    places: Option<HashMap<u128, u64>>,
}

impl Known {
    fn entry(&self, number: u64) -> Option<Entry> {
        let mut bytes = [0; ENTRY];
        self.state.read_exact_at(&mut bytes, entries_end(number)).ok()?;
        Entry::read(&bytes)
    }

    /// The entry of the row that starts at `offset`.
    fn entry_at(&mut self, offset: u64) -> Option<Entry> {
        let (mut low, mut high) = (0, self.entries);
        let mut number = self.next.min(high.checked_sub(1)?);
        while low < high {
            let entry = self.entry(number)?;
            match entry.offset.cmp(&offset) {
                std::cmp::Ordering::Equal => {
                    self.next = number + 1;
                    return Some(entry);
                }
                std::cmp::Ordering::Less => low = number + 1,
                std::cmp::Ordering::Greater => high = number,
            }
            number = low.midpoint(high);
        }
        None
    }

    /// The input of this identity, if it was kept.
    fn kept(&mut self, identity: u128) -> Option<Vec<Vec<u8>>> {
        let file = self.kept.as_ref()?;
        let places = self.places.get_or_insert_with(|| {
            let mut places = HashMap::new();
            let found = scan(file, |identity, place| {
                places.insert(identity, place);
            });
            drop(found); // what was read before an error counts
            places
        });
        let mut place = *places.get(&identity)?;
        let mut head = [0; HEAD];
        file.read_exact_at(&mut head, place).ok()?;
        let (_, length, _) = next_head(&mut &head[..])?;
        place += HEAD as u64;
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, place).ok()?;
        let (mut rest, mut values) = (&bytes[..], Vec::new());
        while let Some((length, after)) = rest.split_first_chunk() {
            let (value, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            values.push(value.to_vec());
            rest = after;
        }
        Some(values)
    }

    /// The only reading of `cells` that has this identity. Where many can be read in two ways, most likely all are meant as
    /// they are read, or all as they stand there.
    fn guessed(&mut self, identity: u128, cells: &[InputCell]) -> Option<Vec<Vec<u8>>> {
        let own = &cells[..self.own.min(cells.len())];
        let doubts: Vec<usize> =
            (0..own.len()).filter(|&index| own[index].written != own[index].meant).collect();
        let mut values: Vec<Vec<u8>> = cells.iter().map(|cell| cell.meant.clone()).collect();
        let are_many = doubts.len() > DOUBTS;
        for choice in 0..if are_many { 2 } else { 1_u32 << doubts.len() } {
            for (bit, &index) in doubts.iter().enumerate() {
                let cell = &cells[index];
                let is_literal = choice & if are_many { 1 } else { 1 << bit } != 0;
                values[index].clone_from(if is_literal { &cell.written } else { &cell.meant });
            }
            if self.identify.may_be(identity, &values.iter().collect()) {
                return Some(values);
            }
        }
        None
    }
}

impl Originals for Known {
    fn of_row(&mut self, offset: u64, row: &[u8], cells: &[InputCell]) -> Original {
        let Some(entry) = self.entry_at(offset) else { return Original::Unknown };
        let is_as_written = entry.length as usize == row.len()
            && state::check(row, entry.identity, entry.status) == entry.check;
        if !is_as_written {
            return Original::Unknown;
        }
        let kept = self.kept(entry.identity).filter(|values| values.len() == cells.len());
        let known = kept.or_else(|| self.guessed(entry.identity, cells));
        known.map_or(Original::Lost, Original::Known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(values: &[&[u8]]) -> Fields {
        values.iter().collect()
    }

    fn all(path: &Path) -> Vec<u128> {
        let mut found = Vec::new();
        scan(&File::open(path).unwrap(), |identity, _| found.push(identity)).unwrap();
        found
    }

    #[test]
    fn a_torn_end_goes_and_another_report_starts_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".a.inputs");
        let keep = |seed: u64, identity: u128| {
            let (mut keeper, mut bytes) = (Keeper::new(path.clone(), seed), Vec::new());
            push(&mut bytes, identity, &input(&[b"\xff", b"", b"x\0", b"made"]), 3);
            keeper.append(&bytes).unwrap();
        };
        keep(1, 10);
        keep(1, 11);
        assert_eq!(all(&path), [10, 11]);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        keep(1, 12);
        assert_eq!(all(&path), [10, 12]);
        keep(2, 13);
        assert_eq!(all(&path), [13]);
        Keeper::new(path.clone(), 2).remove_if_old();
        assert!(path.exists());
        Keeper::new(path.clone(), 3).remove_if_old();
        assert!(!path.exists());
    }
}
