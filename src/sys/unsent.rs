//! What a connection has been given and the other side has not acknowledged yet.

use std::os::fd::{AsFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How many bytes that are; `None` if `descriptor` is not a connection, or not any more.
pub fn unsent(descriptor: RawFd) -> Option<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: TIOCOUTQ writes one integer, to which the pointer leads; another descriptor of that number answers as well,
    // or with an error.
    let answer = unsafe { libc::ioctl(descriptor, libc::TIOCOUTQ, &raw mut count) };
    if answer == 0 { usize::try_from(count).ok() } else { None }
}

/// Whether the other end of a connection has closed it, whatever it has sent before: known here before anybody has read so
/// far.
pub fn has_hung_up(descriptor: &impl AsFd) -> bool {
    let ends = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut asked = [PollFd::new(descriptor, PollFlags::RDHUP)];
    poll(&mut asked, Some(&Timespec::default())).is_ok() && asked[0].revents().intersects(ends)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_the_other_side_has_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut theirs = listener.accept().unwrap().0;
        ours.write_all(b"x").unwrap();
        theirs.read_exact(&mut [0]).unwrap();
        assert!(unsent(ours.as_raw_fd()).is_some_and(|count| count <= 1));
        assert_eq!(unsent(-1), None);
    }

    #[test]
    fn it_is_known_that_the_other_end_has_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut theirs = listener.accept().unwrap().0;
        theirs.write_all(b"x").unwrap();
        assert!(!has_hung_up(&ours));
        drop(theirs);
        while !has_hung_up(&ours) {
            std::thread::yield_now();
        }
    }
}
