//! Packets with descriptors: thin functions over a `SOCK_SEQPACKET` pair.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use crate::launcher::message::MAX_DESCRIPTORS;

/// How long to keep trying to send to a busy receiver.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(1);

/// A pair of sockets that keep packet boundaries and report when the other end has gone.
///
/// # Errors
/// If there are no descriptors left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one packet together with copies of these descriptors. Never blocks.
///
/// # Errors
/// `EPIPE` if the other end has gone; see [`is_crowded`] for the rest.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(
            control.push(SendAncillaryMessage::ScmRights(descriptors)),
            "room for all descriptors"
        );
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_on_intr(|| sendmsg(socket.as_fd(), &[IoSlice::new(bytes)], &mut control, flags))?;
    Ok(())
}

/// Like [`send`], but waits while more packets or descriptors are queued than the other end takes.
///
/// # Errors
/// As [`send`]; `EAGAIN` if that lasts for ten seconds.
pub fn send_patiently(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match send(socket.as_fd(), bytes, descriptors) {
            Err(error) if is_crowded(&error) && start.elapsed() < PATIENCE => thread::sleep(PAUSE),
            sent => return sent,
        }
    }
}

/// Repeats `attempt` while it fails because more packets or descriptors are queued than the other end takes: others
/// send to it as well.
///
/// # Errors
/// As `attempt`; `EAGAIN` or the like if that lasts for ten seconds.
pub async fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(error) if is_crowded(&error) && start.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Whether sending failed only because too much is queued.
fn is_crowded(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AGAIN | Errno::TOOMANYREFS | Errno::NOBUFS))
}

/// Receives one packet into `buffer` and its descriptors into `descriptors`; returns its length, or `None` if the other
/// end has gone. Never blocks.
///
/// # Errors
/// `EAGAIN` if there is none. `EMFILE` if it came with more descriptors than this process may have open.
pub fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<Option<usize>> {
    descriptors.clear();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let packet = &mut [IoSliceMut::new(buffer)];
    let mut attempt = || retry_on_intr(|| recvmsg(socket.as_fd(), packet, &mut control, flags));
    let message = match attempt() {
        // It closed without reading what was sent. That is said once, and what it had sent itself is still there.
        Err(Errno::CONNRESET) => attempt()?,
        received => received?,
    };
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Errno::MFILE.into());
    }
    Ok((message.bytes > 0).then_some(message.bytes))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, Write};

    use super::*;

    #[test]
    fn packets_are_kept_apart_and_carry_descriptors() {
        let (ours, theirs) = pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"text").unwrap();
        file.rewind().unwrap();
        send(&ours, b"one", &[file.as_fd()]).unwrap();
        send(&ours, b"three", &[]).unwrap();
        let (mut buffer, mut descriptors) = ([0; 16], Vec::new());
        assert_eq!(receive(&theirs, &mut buffer, &mut descriptors).unwrap(), Some(3));
        let mut text = String::new();
        File::from(descriptors.pop().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        assert_eq!(receive(&theirs, &mut buffer, &mut descriptors).unwrap(), Some(5));
        assert!(descriptors.is_empty());
        let nothing = receive(&theirs, &mut buffer, &mut descriptors).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(ours);
        // Another test may be about to execute a program, with a copy of our end until it has.
        let received = loop {
            match receive(&theirs, &mut buffer, &mut descriptors) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
                received => break received.unwrap(),
            }
        };
        assert_eq!(received, None);
    }

    #[test]
    fn the_last_words_of_one_who_does_not_read_are_heard() {
        let (ours, theirs) = pair().unwrap();
        send(&ours, b"never read", &[]).unwrap();
        send(&theirs, b"last words", &[]).unwrap();
        // Another test may be about to execute a program, with a copy of that end.
        rustix::net::shutdown(&theirs, rustix::net::Shutdown::Both).unwrap();
        drop(theirs);
        let (mut buffer, mut descriptors) = ([0; 16], Vec::new());
        assert_eq!(receive(&ours, &mut buffer, &mut descriptors).unwrap(), Some(10));
        assert_eq!(receive(&ours, &mut buffer, &mut descriptors).unwrap(), None);
    }
}
