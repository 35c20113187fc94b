//! What a zip archive says of its parts, before any of them is unpacked.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// A part that unpacks to more times its size than this holds no table: those of sheets come to 10 to 50.
const RATIO: u64 = 100;

/// Parts up to this size do no harm, whatever they unpack from.
const HARMLESS: u64 = 32 << 20;

const END: &[u8] = b"PK\x05\x06";
const ENTRY: &[u8] = b"PK\x01\x02";

/// Refuses an archive with a part that would fill the memory. One that cannot be read is left to its reader.
pub(super) fn refuse_bomb(archive: &File) -> Result<(), String> {
    let directory = directory(archive).unwrap_or_default();
    match sizes(&directory).find(|(packed, size)| *size > HARMLESS && size / RATIO > *packed) {
        None => Ok(()),
        Some((packed, size)) => Err(format!(
            "a part of it unpacks to {} MiB, {} times its size: that is a zip bomb and not a table",
            size >> 20,
            size / packed.max(1)
        )),
    }
}

/// The bytes of the list of parts, which is at the end.
fn directory(archive: &File) -> Option<Vec<u8>> {
    let length = archive.metadata().ok()?.len();
    let mut tail = vec![0; length.min(1 << 16) as usize];
    let start = length - tail.len() as u64;
    archive.read_exact_at(&mut tail, start).ok()?;
    let end = memchr::memmem::rfind(&tail, END)?;
    let size = u64::from(number(&tail, end + 12)?);
    let start = u64::from(number(&tail, end + 16)?);
    let mut directory = vec![0; size.min(length.checked_sub(start)?) as usize];
    archive.read_exact_at(&mut directory, start).ok()?;
    Some(directory)
}

/// The packed and the whole size of each part. One above 4 GiB says 4 GiB here.
fn sizes(directory: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        directory.get(at..)?.strip_prefix(ENTRY)?;
        let (packed, size) = (number(directory, at + 20)?, number(directory, at + 24)?);
        let lengths = [28, 30, 32].map(|place| {
            let bytes = directory.get(at + place..at + place + 2).unwrap_or(&[0, 0]);
            usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))
        });
        at += 46 + lengths.iter().sum::<usize>();
        Some((u64::from(packed), u64::from(size)))
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An archive whose list has these packed and whole sizes, and nothing else.
    fn archive(parts: &[(u32, u32)]) -> File {
        let mut bytes = b"PK\x03\x04".to_vec();
        for (packed, size) in parts {
            let mut entry = [0; 46];
            entry[..4].copy_from_slice(ENTRY);
            entry[20..24].copy_from_slice(&packed.to_le_bytes());
            entry[24..28].copy_from_slice(&size.to_le_bytes());
            entry[28] = 3;
            bytes.extend_from_slice(&entry);
            bytes.extend_from_slice(b"a.b");
        }
        let length = (bytes.len() - 4) as u32;
        bytes.extend_from_slice(END);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&4_u32.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file
    }

    #[test]
    fn bombs_are_told_from_tables() {
        let mib = |count: u32| count << 20;
        assert_eq!(refuse_bomb(&archive(&[(10, 100), (mib(20), mib(900))])), Ok(()));
        assert_eq!(refuse_bomb(&archive(&[(10, mib(1))])), Ok(()), "small");
        let message = refuse_bomb(&archive(&[(10, 100), (mib(3), mib(3000))])).unwrap_err();
        assert!(message.contains("unpacks to 3000 MiB, 1000 times its size"), "{message}");
        assert!(refuse_bomb(&archive(&[(9, u32::MAX)])).is_err());
        assert_eq!(
            refuse_bomb(&tempfile::tempfile().unwrap()),
            Ok(()),
            "the reader says what it is"
        );
    }
}
