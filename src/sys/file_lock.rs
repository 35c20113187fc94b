//! Whether a file is locked (proc(5), `/proc/locks`): to ask flock(2) itself would take the lock for a moment, and a
//! runner that starts in this moment would give up.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

/// Whether a process of this machine holds a lock on the file; false if that cannot be told.
pub fn is_locked(file: &Metadata) -> bool {
    let Ok(locks) = fs::read_to_string("/proc/locks") else { return false };
    let inode = file.ino().to_string();
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    // `1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF`
    let place = format!("{major:02x}:{minor:02x}");
    locks.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().filter(|word| *word != "->");
        let kind = words.nth(1);
        let id = words.nth(3);
        let named = id.and_then(|id| id.rsplit_once(':'));
        // A file system without a device of its own (overlay, btrfs) names another one here.
        kind == Some("FLOCK")
            && named.is_some_and(|(device, number)| {
                number == inode && (device == place || device.starts_with("00:"))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_while_it_is_held() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let is_held = || is_locked(&file.as_file().metadata().unwrap());
        assert!(!is_held());
        file.as_file().lock().unwrap();
        if fs::read_to_string("/proc/locks").is_ok_and(|locks| locks.contains("FLOCK")) {
            assert!(is_held());
        }
        file.as_file().unlock().unwrap();
        assert!(!is_held());
    }
}
