//! The inputs of a run as they were when it was planned: read once, pipes too, so that later changes do not matter.
//!
//! `inputs` has a record for each task that runs: how far its number is from the one before, its length, and its bytes
//! (see `task::packed`). `inputs.at` says of every 64th record where it is and which number comes before it.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use crate::cluster::folder::RunFolder;
use crate::cluster::plan::Plan;
use crate::task::Fields;
use crate::task::packed::{push_number, take_number};

/// So many records share an entry of `inputs.at`.
const STRIDE: u64 = 64;

/// The length of an entry: an offset and a number.
const ENTRY: u64 = 16;

/// Writes the inputs of a run.
pub struct SnapshotWriter {
    inputs: BufWriter<File>,
    at: BufWriter<File>,
    hash: Xxh3,
    packed: Vec<u8>,
    head: Vec<u8>,
    /// The number of the last record.
    number: u64,
    records: u64,
    offset: u64,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many records.
    pub records: u64,
    /// The hash of all inputs, also of those that have no record.
    pub hash: String,
}

impl SnapshotWriter {
    /// Begins the files.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn create(inputs: &Path, at: &Path) -> io::Result<Self> {
        Ok(Self {
            inputs: BufWriter::with_capacity(1 << 20, File::create(inputs)?),
            at: BufWriter::new(File::create(at)?),
            hash: Xxh3::new(),
            packed: Vec::new(),
            head: Vec::new(),
            number: 0,
            records: 0,
            offset: 0,
        })
    }

    /// Adds the input of the task with this number; `runs` says whether it is to run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn push(&mut self, number: u64, fields: &Fields, runs: bool) -> io::Result<()> {
        self.packed.clear();
        fields.pack(&mut self.packed)?;
        self.hash.update(&(self.packed.len() as u64).to_le_bytes());
        self.hash.update(&self.packed);
        if !runs {
            return Ok(());
        }
        if self.records.is_multiple_of(STRIDE) {
            self.at.write_all(&self.offset.to_le_bytes())?;
            self.at.write_all(&self.number.to_le_bytes())?;
        }
        self.head.clear();
        push_number(&mut self.head, number - self.number);
        push_number(&mut self.head, self.packed.len() as u64);
        self.inputs.write_all(&self.head)?;
        self.inputs.write_all(&self.packed)?;
        self.offset += (self.head.len() + self.packed.len()) as u64;
        self.records += 1;
        self.number = number;
        Ok(())
    }

    /// Ends the files, and brings them to the disk.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn finish(self) -> io::Result<Written> {
        for file in [self.inputs, self.at] {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        }
        let hash = format!("{:032x}", self.hash.digest128());
        Ok(Written { records: self.records, hash })
    }
}

/// A record of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its place among those that run, from 0.
    pub place: u64,
    /// The number of its task.
    pub number: u64,
    /// The input.
    pub fields: Fields,
}

/// Reads the records at the places in `blocks`.
pub struct SnapshotReader {
    inputs: BufReader<File>,
    at: File,
    blocks: std::vec::IntoIter<Range<u64>>,
    /// The rest of the current block.
    block: Range<u64>,
    number: u64,
    length: u64,
}

impl SnapshotReader {
    /// Opens the files.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn open(inputs: &Path, at: &Path, blocks: Vec<Range<u64>>) -> io::Result<Self> {
        let inputs = File::open(inputs)?;
        Ok(Self {
            length: inputs.metadata()?.len(),
            inputs: BufReader::with_capacity(256 << 10, inputs),
            at: File::open(at)?,
            blocks: blocks.into_iter(),
            block: 0..0,
            number: 0,
        })
    }

    fn next_record(&mut self) -> io::Result<Option<Recorded>> {
        while self.block.is_empty() {
            let Some(block) = self.blocks.next() else { return Ok(None) };
            if block.is_empty() {
                continue;
            }
            self.go_to(block.start)?;
            self.block = block;
        }
        let (packed, place) = (self.read_record()?, self.block.start);
        self.block.start += 1;
        let mut rest = &packed[..];
        let fields = Fields::unpack(&mut rest).filter(|_| rest.is_empty()).ok_or_else(damaged)?;
        Ok(Some(Recorded { place, number: self.number, fields }))
    }

    /// Goes to the record at `place`.
    fn go_to(&mut self, place: u64) -> io::Result<()> {
        let mut entry = [0; ENTRY as usize];
        self.at.read_exact_at(&mut entry, place / STRIDE * ENTRY)?;
        let (offset, number) = entry.split_first_chunk().ok_or_else(damaged)?;
        let number = number.try_into().map_err(|_| damaged())?;
        self.inputs.seek(SeekFrom::Start(u64::from_le_bytes(*offset)))?;
        self.number = u64::from_le_bytes(number);
        for _ in 0..place % STRIDE {
            self.read_record()?;
        }
        Ok(())
    }

    fn read_record(&mut self) -> io::Result<Vec<u8>> {
        self.number += self.read_number()?;
        let length = self.read_number()?;
        if length > self.length {
            return Err(damaged());
        }
        let mut packed = vec![0; length as usize];
        self.inputs.read_exact(&mut packed)?;
        Ok(packed)
    }

    fn read_number(&mut self) -> io::Result<u64> {
        let (mut bytes, mut length) = ([0; 10], 0);
        loop {
            self.inputs.read_exact(&mut bytes[length..=length])?;
            length += 1;
            if bytes[length - 1] < 0x80 || length == bytes.len() {
                return take_number(&mut &bytes[..length]).ok_or_else(damaged);
            }
        }
    }
}

/// The tasks of a shard with their inputs, as far as these can be read.
///
/// # Errors
/// If there are no inputs.
pub fn tasks_of(
    folder: &RunFolder,
    plan: &Plan,
    shard: u32,
) -> io::Result<impl Iterator<Item = (u64, Fields)> + use<>> {
    let records =
        SnapshotReader::open(&folder.inputs(), &folder.inputs_at(), plan.shares.of(shard))?;
    Ok(records.map_while(|record| record.ok().map(|record| (record.number, record.fields))))
}

impl Iterator for SnapshotReader {
    type Item = io::Result<Recorded>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the inputs of the run are damaged")
}

/// Whether both files are there.
pub fn is_there(inputs: &Path, at: &Path) -> bool {
    [inputs, at].into_iter().all(|path| fs::metadata(path).is_ok_and(|meta| meta.is_file()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::share::Shares;

    fn written(inputs: &[(u64, Fields, bool)], folder: &Path) -> Written {
        let mut writer =
            SnapshotWriter::create(&folder.join("inputs"), &folder.join("inputs.at")).unwrap();
        for (number, fields, runs) in inputs {
            writer.push(*number, fields, *runs).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(folder: &Path, blocks: Vec<Range<u64>>) -> Vec<Recorded> {
        SnapshotReader::open(&folder.join("inputs"), &folder.join("inputs.at"), blocks)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn the_hash_is_that_of_all_inputs_whether_they_run_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let one = |value: &str, runs| (1, Fields::single(value), runs);
        let all = written(&[one("a", true), one("b", true)], folder.path());
        let some = written(&[one("a", false), one("b", true)], folder.path());
        assert_eq!((all.hash.clone(), all.records, some.records), (some.hash, 2, 1));
        assert_ne!(written(&[one("ab", true)], folder.path()).hash, all.hash);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn each_shard_reads_its_inputs_back(
            inputs in prop::collection::vec((any::<Vec<u8>>(), any::<bool>(), 1..4_u64), 1..400),
            shards in 1..9_u32,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut number = 0;
            let inputs: Vec<_> = inputs
                .into_iter()
                .map(|(value, runs, gap)| {
                    number += gap;
                    (number, Fields::single(value), runs)
                })
                .collect();
            let records = written(&inputs, folder.path()).records;
            let mut found: Vec<_> = (0..Shares::new(records, shards).shards())
                .flat_map(|shard| read(folder.path(), Shares::new(records, shards).of(shard)))
                .collect();
            found.sort_by_key(|record| record.place);
            let found: Vec<_> = found.into_iter().map(|record| (record.number, record.fields)).collect();
            let run: Vec<_> =
                inputs.into_iter().filter(|(.., runs)| *runs).map(|(number, fields, _)| (number, fields)).collect();
            prop_assert_eq!(found, run);
        }
    }
}
