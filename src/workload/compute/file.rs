//! The digest of a file.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Halt, Poll, check, number, unreadable};

/// Bytes that are read at once, and between two polls.
const BLOCK: usize = 64 << 10;

/// The SHA-256 of the file at `path`, read in blocks.
pub(super) fn sha256(path: &Path, folder: &Path, poll: Poll<'_>) -> Result<Vec<u8>, Halt> {
    let failed = |error| Halt::Failed(unreadable(path, &error));
    // Without O_NONBLOCK, opening a named pipe would wait for a writer, where no poll can end it.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(folder.join(path))
        .map_err(failed)?;
    if file.metadata().map_err(failed)?.file_type().is_fifo() {
        return Err(Halt::Failed(format!("failed to read `{}`: it is a pipe", path.display())));
    }
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(count) => hasher.update(&block[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
        check(poll)?;
    }
    Ok(number::hex(&hasher.finalize()).into_bytes())
}

/// The SHA-256 of these bytes.
pub(super) fn sha256_of(bytes: &[u8], poll: Poll<'_>) -> Result<Vec<u8>, Halt> {
    let mut hasher = Sha256::new();
    for block in bytes.chunks(BLOCK) {
        hasher.update(block);
        if bytes.len() > BLOCK {
            check(poll)?;
        }
    }
    Ok(number::hex(&hasher.finalize()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(path: &str, folder: &Path) -> Result<String, String> {
        match sha256(Path::new(path), folder, &|| None) {
            Ok(digest) => Ok(String::from_utf8(digest).unwrap()),
            Err(Halt::Failed(message)) => Err(message),
            Err(Halt::Stopped(_)) => unreachable!("nobody stops it"),
        }
    }

    #[test]
    fn digests_are_those_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), "").unwrap();
        std::fs::write(folder.path().join("abc"), "abc").unwrap();
        std::fs::write(folder.path().join("long"), vec![b'a'; 1_000_000]).unwrap();
        // FIPS 180-2, appendix B.
        for (name, expected) in [
            ("empty", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("long", "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ] {
            assert_eq!(digest(name, folder.path()).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_cannot_be_read_fails_in_the_systems_words() {
        let folder = tempfile::tempdir().unwrap();
        for (path, expected) in [
            ("missing", "failed to read `missing`: no such file or directory"),
            (".", "failed to read `.`: is a directory"),
        ] {
            assert_eq!(digest(path, folder.path()), Err(expected.into()));
        }
    }
}
