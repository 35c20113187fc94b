//! How busy the machine is (proc(5)).

use std::fs;
use std::path::PathBuf;

/// Where the load is read from.
#[derive(Debug)]
pub struct LoadSource(PathBuf);

impl LoadSource {
    /// The system's load.
    pub fn system() -> Self {
        Self("/proc/loadavg".into())
    }

    /// A file instead of `/proc/loadavg`.
    pub fn file(path: PathBuf) -> Self {
        Self(path)
    }

    /// How many threads run or wait for a core at this moment, but for the one that asks; `None` if the system does not
    /// tell.
    pub fn running(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.0).ok()?;
        let running = text.split_ascii_whitespace().nth(3)?.split('/').next()?;
        Some(running.parse::<u64>().ok()?.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_how_many_threads_run() {
        assert!(LoadSource::system().running().is_some());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loadavg");
        for (text, expected) in [("0.20 0.18 0.12 4/80 11206\n", Some(3)), ("", None)] {
            fs::write(&path, text).unwrap();
            assert_eq!(LoadSource::file(path.clone()).running(), expected);
        }
    }
}
