//! A file that other programs write to, by way of a pipe in which secrets are replaced.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Stream;
use crate::base::lock;
use crate::sys;

/// How often the thread looks whether it is still needed.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// What is read at a time, in bytes.
const PIECE: usize = 64 << 10;

/// Copies what is written to a pipe into a file, without the secrets. It ends when it is dropped, after all that has been
/// written by then.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    writer: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    reader: PipeReader,
    /// Held while something is on its way from the pipe to the file.
    ends: Mutex<Ends>,
    is_over: AtomicBool,
}

#[derive(Debug)]
struct Ends {
    file: File,
    stream: Stream,
}

impl Relay {
    /// Starts copying into `file`.
    ///
    /// # Errors
    /// If there is no pipe or no thread to be had.
    pub fn start(file: File) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let ends = Mutex::new(Ends { file, stream: Stream::default() });
        let shared = Arc::new(Shared { reader, ends, is_over: AtomicBool::new(false) });
        let copied = Arc::clone(&shared);
        let thread = thread::Builder::new().name("log".into()).spawn(move || copied.run())?;
        Ok(Self { shared, writer: Some(writer), thread: Some(thread) })
    }

    /// Where to write.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.writer.as_ref().map(AsFd::as_fd)
    }

    /// The same, for programs that open it themselves.
    pub fn path(&self) -> PathBuf {
        self.fd().map(sys::fd_path_for_others).unwrap_or_default().into()
    }

    /// Sees to it that what has been written so far is in the file.
    pub fn settle(&self) {
        while self.shared.copy() {}
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let is_over = self.is_over.load(Ordering::Acquire);
            let mut ready = [PollFd::new(&self.reader, PollFlags::IN)];
            let found = poll(&mut ready, Some(&TICK));
            let has_closed = ready[0].revents().contains(PollFlags::HUP);
            if !self.copy()
                && (is_over
                    || has_closed
                    || found.is_err_and(|error| error != rustix::io::Errno::INTR))
            {
                break;
            }
        }
        let mut ends = lock(&self.ends);
        let Ends { file, stream } = &mut *ends;
        let mut out = Vec::new();
        stream.finish(&mut out);
        let _ = file.write_all(&out);
    }

    /// Copies what is in the pipe; whether there was something.
    fn copy(&self) -> bool {
        let mut ends = lock(&self.ends);
        let waiting = rustix::io::ioctl_fionread(&self.reader).unwrap_or(0) as usize;
        if waiting == 0 {
            return false;
        }
        let mut piece = vec![0; waiting.min(PIECE)];
        let Ok(read) = (&self.reader).read(&mut piece) else { return false };
        let Ends { file, stream } = &mut *ends;
        let mut out = Vec::with_capacity(read);
        stream.push(&piece[..read], &mut out);
        let _ = file.write_all(&out); // a log that cannot be written is no reason to stop those that write it
        read > 0
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.writer = None;
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::mask;

    #[test]
    fn what_is_relayed_has_no_secrets() {
        mask::add(b"r3layed-secret");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let read = || std::fs::read_to_string(&path).unwrap();
        let relay = Relay::start(File::create(&path).unwrap()).unwrap();
        let mut writer = File::options().append(true).open(relay.path()).unwrap();
        writer.write_all(b"one r3layed-").unwrap();
        relay.settle();
        assert_eq!(read(), "one ");
        writer.write_all(b"secret two\n").unwrap();
        relay.settle();
        assert_eq!(read(), "one *** two\n");
        writer.write_all(b"r3layed").unwrap();
        drop(relay); // although somebody still holds the other end
        assert_eq!(read(), "one *** two\nr3layed");
    }
}
