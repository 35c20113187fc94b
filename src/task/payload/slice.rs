//! A piece of a file that is to be handed on.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

/// What is read at once: it stays in the processor's cache.
const PIECE: usize = 128 << 10;

/// A piece of a file, with what comes before each of its pieces.
#[derive(Clone)]
pub struct Slice {
    /// The file, which may have been replaced under its name.
    pub file: Arc<File>,
    /// What comes first.
    pub head: Arc<[u8]>,
    /// The first byte.
    pub from: u64,
    /// How many bytes there are.
    pub length: u64,
    /// The XXH3 of head and bytes, as they were when the piece was found.
    pub hash: u128,
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({} + {})", self.from, self.length)
    }
}

impl Slice {
    /// The length of all that is handed on, in bytes.
    pub fn total(&self) -> u64 {
        self.head.len() as u64 + self.length
    }

    /// A file in memory with these bytes, and no others.
    ///
    /// # Errors
    /// If they cannot be read or kept, or are other ones now.
    pub(super) fn copy(&self) -> io::Result<File> {
        let mut copy = super::memory()?;
        let mut hash = Xxh3::new();
        let mut piece = vec![0; PIECE];
        hash.update(&self.head);
        copy.write_all(&self.head)?;
        let (mut at, end) = (self.from, self.from + self.length);
        while at < end {
            let wanted = PIECE.min(usize::try_from(end - at).unwrap_or(PIECE));
            match self.file.read_at(&mut piece[..wanted], at) {
                Ok(0) => break,
                Ok(read) => {
                    hash.update(&piece[..read]);
                    copy.write_all(&piece[..read])?;
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if at < end || hash.digest128() != self.hash {
            return Err(io::Error::other(
                "the file has changed since it was cut into blocks: run the job again",
            ));
        }
        Ok(copy)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::{Payload, PayloadKind};
    use super::*;

    #[test]
    fn a_piece_is_what_it_was_or_nothing() {
        let mut file = tempfile::tempfile().unwrap();
        let text: Vec<u8> = (0..400_000_u32).flat_map(u32::to_le_bytes).collect();
        file.write_all(&text).unwrap();
        let (from, length) = (1001, 1_200_000);
        let mut hash = Xxh3::new();
        hash.update(b"head");
        hash.update(&text[from..from + length]);
        let slice = Slice {
            file: Arc::new(file.try_clone().unwrap()),
            head: Arc::from(&b"head"[..]),
            from: from as u64,
            length: length as u64,
            hash: hash.digest128(),
        };
        let payload = Payload::of_slice(PayloadKind::Bytes, slice.clone());
        assert_eq!((payload.len(), payload.bytes()), (length as u64 + 4, &b""[..]));
        let mut whole = Vec::new();
        payload.open().unwrap().unwrap().read_to_end(&mut whole).unwrap();
        assert!(whole.starts_with(b"head") && whole[4..] == text[from..from + length]);
        // What has been copied stays.
        file.write_all_at(b"!", 5000).unwrap();
        payload.load().unwrap();
        assert_eq!(payload.bytes(), whole);
        assert!(Payload::of_slice(PayloadKind::Bytes, slice.clone()).keep().is_err());
        file.write_all_at(&text[5000..5001], 5000).unwrap();
        assert!(Payload::of_slice(PayloadKind::Bytes, slice.clone()).keep().is_ok());
        file.set_len(70_000).unwrap();
        assert!(Payload::of_slice(PayloadKind::Bytes, slice).keep().is_err());
    }
}
