//! What comes and goes over a connection, for whoever waits for it.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;

use super::stream::Language;
use crate::sys::unsent;
use crate::task::Moment;

/// What came and went over a connection: it comes with what is known of the connection.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    counts: Arc<Counts>,
    descriptor: RawFd,
    is_shared: bool,
}

#[derive(Debug, Default)]
struct Counts {
    /// When something last came or went.
    last: AtomicU64,
    /// All that was written, in bytes.
    written: AtomicU64,
}

impl Traffic {
    /// Of the connection `tcp`, over which `language` is spoken.
    pub fn of(tcp: &TcpStream, language: Language) -> Self {
        let is_shared = language == Language::Http2;
        Self { counts: Arc::default(), descriptor: tcp.as_raw_fd(), is_shared }
    }

    /// Whether several requests are under way at once, so that what comes and goes may be of others.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// When something last came or went; the clock's start if nothing has yet.
    pub fn last(&self) -> Moment {
        Moment::from_nanos(self.counts.last.load(Ordering::Relaxed))
    }

    /// How much has been written so far, in bytes.
    pub fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// How many bytes of a request are still on their way: the system takes them long before the server does.
    pub fn unsent(&self) -> usize {
        unsent(self.descriptor).unwrap_or(0)
    }

    /// Something has come or gone.
    pub fn note(&self) {
        self.counts.last.store(Moment::now().as_nanos(), Ordering::Relaxed);
    }

    /// So many bytes were written.
    pub fn wrote(&self, bytes: usize) {
        self.counts.written.fetch_add(bytes as u64, Ordering::Relaxed);
        self.note();
    }
}
