//! Memory that two processes share.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The inherited descriptor with this number. To be called once for each.
pub fn inherited(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller knows from how this process was started that the descriptor is there, and takes it once. If it
    // is not there, its use fails with EBADF.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Shared memory: words at its start, which both sides read and write as atomics, followed by bytes, each of which is
/// written by one side only.
#[derive(Debug)]
pub struct SharedMapping {
    address: NonNull<u8>,
    length: usize,
}

// SAFETY: it is plain memory, which belongs to no thread; its owner may use it from any thread.
unsafe impl Send for SharedMapping {}

impl SharedMapping {
    /// Maps the first `length` bytes of `memory`, which has at least that size.
    ///
    /// # Errors
    /// If the system cannot map it.
    pub fn new(memory: &OwnedFd, length: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address, so no memory of ours is replaced.
        let address =
            unsafe { mmap(ptr::null_mut(), length, access, MapFlags::SHARED, memory, 0)? };
        let address = NonNull::new(address.cast()).expect("a mapping is not at address 0");
        Ok(Self { address, length })
    }

    /// The word at this index, which starts at 8 times the index.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!((index + 1) * size_of::<AtomicU64>() <= self.length, "the word is in the mapping");
        // SAFETY: it is inside the mapping, which is page-aligned and lives as long as `self`; any bytes are a valid
        // value, and atomics may be shared with another process.
        unsafe { self.address.cast::<AtomicU64>().add(index).as_ref() }
    }

    /// Appends a copy of `length` bytes from `start` on. Bytes that the other side overwrites meanwhile are garbage,
    /// which the caller detects by one of the words.
    pub fn copy_out(&self, start: usize, length: usize, into: &mut Vec<u8>) {
        self.check(start, length);
        into.reserve(length);
        let before = into.len();
        // SAFETY: the bytes are inside the mapping, and as many were reserved. The writer is another process, so no
        // reference of this one is violated.
        unsafe {
            let from = self.address.as_ptr().add(start);
            ptr::copy_nonoverlapping(from, into.as_mut_ptr().add(before), length);
            into.set_len(before + length);
        }
    }

    /// Writes `bytes` from `start` on.
    pub fn copy_in(&mut self, start: usize, bytes: &[u8]) {
        self.check(start, bytes.len());
        // SAFETY: they fit, and `bytes` is not in the mapping, since that is only lent out while `self` is borrowed.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.address.as_ptr().add(start), bytes.len());
        };
    }

    /// `length` bytes from `start` on, which only this side writes.
    pub fn own_bytes(&self, start: usize, length: usize) -> &[u8] {
        self.check(start, length);
        // SAFETY: the bytes are inside the mapping and valid whatever they are; this side writes them only through
        // `&mut self`, and the other side does not.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr().add(start), length) }
    }

    fn check(&self, start: usize, length: usize) {
        let end = start.checked_add(length);
        assert!(end.is_some_and(|end| end <= self.length), "the bytes are in the mapping");
    }
}

impl Drop for SharedMapping {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and no reference into it outlives `self`.
        let _ = unsafe { munmap(self.address.as_ptr().cast(), self.length) };
    }
}
