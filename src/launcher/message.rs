//! The messages between the runner and its launcher: encoding and decoding, no I/O.
//!
//! Both ends are the same program, so there is no version, and numbers are in native byte order. A message is one
//! packet: a [`Request`] to the launcher, with descriptors; an [`Answer`] back.

use std::ffi::CStr;
use std::io;

use crate::sys::{CpuTime, Reaped, Step};
use crate::task::Moment;

/// Longer requests are sent in a file in memory, since the system chooses the size of the socket's buffer.
pub const MAX_INLINE: usize = 64 << 10;

/// The upper limit of descriptors in a message: three standard ones, an extra one, and a request in memory.
pub const MAX_DESCRIPTORS: usize = 5;

/// NUL-terminated strings, one after another in one buffer, which is reused from start to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    bytes: Vec<u8>,
    count: u32,
}

/// A string that cannot be passed to a program because it contains a NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HasNul;

impl Strings {
    /// Removes all strings, but keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Appends a string.
    ///
    /// # Errors
    /// If it contains a NUL; then it is not appended.
    pub fn push(&mut self, string: impl AsRef<[u8]>) -> Result<(), HasNul> {
        self.push_with(|bytes| bytes.extend_from_slice(string.as_ref()))
    }

    /// Appends the string that `write` appends to the buffer.
    ///
    /// # Errors
    /// As [`Strings::push`].
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), HasNul> {
        let start = self.bytes.len();
        write(&mut self.bytes);
        if memchr::memchr(0, &self.bytes[start..]).is_some() {
            self.bytes.truncate(start);
            return Err(HasNul);
        }
        self.bytes.push(0);
        self.count += 1;
        Ok(())
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        StringsIn(&self.bytes)
    }
}

/// The NUL-terminated strings in a buffer.
#[derive(Clone, Debug)]
pub struct StringsIn<'a>(&'a [u8]);

impl<'a> Iterator for StringsIn<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        let string = CStr::from_bytes_until_nul(self.0).ok()?;
        self.0 = &self.0[string.count_bytes() + 1..];
        Some(string)
    }
}

/// A request of the runner to the launcher, on a port.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// Start a program; answered when the program has ended.
    Start(StartRequest<'a>),
    /// The same; the request is in the file of the last descriptor.
    StartInMemory,
    /// Send this signal to the group of the running child; not answered.
    Signal(i32),
    /// The same with TERM, after which the group has time up to KILL: the child's end is that of the last of it.
    Terminate,
    /// Answer when the running child was started; not answered if there is none any more.
    When,
    /// When the running child ends, kill what is left of its group; not answered.
    OwnGroup,
    /// A process that the launcher has inherited is this port's running child from now on; answered as a start is.
    Adopt(i32),
}

/// A program to start.
#[derive(Clone, Debug)]
pub struct StartRequest<'a> {
    /// Which descriptors come with it; the others are the null device.
    pub ends: Ends,
    /// The path of the program.
    pub program: &'a CStr,
    /// Its working folder.
    pub folder: Option<&'a CStr>,
    counts: [u32; 3],
    strings: StringsIn<'a>,
}

/// Which descriptors come with a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends(u32);

impl Ends {
    /// `present` for standard input, output, error and the extra descriptor.
    pub fn new(present: [bool; 4]) -> Self {
        Self((0..4).filter(|&end| present[end]).map(|end| 1 << end).sum())
    }

    /// Whether the descriptor with this number comes.
    pub fn has(self, number: u32) -> bool {
        self.0 & 1 << number != 0
    }

    /// How many come.
    pub fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

const START: u32 = 1;
const START_IN_MEMORY: u32 = 2;
const SIGNAL: u32 = 3;
const WHEN: u32 = 4;
const OWN_GROUP: u32 = 5;
const ADOPT: u32 = 6;
const TERMINATE: u32 = 7;

/// The kind, the ends, whether there is a folder, and the numbers of arguments and of changes to the environment.
const START_HEADER: usize = 6 * 4;

impl<'a> Request<'a> {
    /// Reads a message of the runner.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(message: &'a [u8]) -> io::Result<Self> {
        match number(message, 0)? {
            START => StartRequest::decode(message).map(Self::Start),
            START_IN_MEMORY => Ok(Self::StartInMemory),
            SIGNAL => Ok(Self::Signal(number(message, 1)? as i32)),
            TERMINATE => Ok(Self::Terminate),
            WHEN => Ok(Self::When),
            OWN_GROUP => Ok(Self::OwnGroup),
            ADOPT => Ok(Self::Adopt(number(message, 1)? as i32)),
            _ => Err(malformed()),
        }
    }
}

impl<'a> StartRequest<'a> {
    /// Writes the request for a start to `out`.
    pub fn encode(
        out: &mut Vec<u8>,
        ends: Ends,
        [program, folder]: [Option<&CStr>; 2],
        [argv, set, unset]: [&Strings; 3],
    ) {
        out.clear();
        for word in [START, ends.0, u32::from(folder.is_some()), argv.count, set.count, unset.count]
        {
            out.extend_from_slice(&word.to_ne_bytes());
        }
        for string in program.into_iter().chain(folder) {
            out.extend_from_slice(string.to_bytes_with_nul());
        }
        for strings in [argv, set, unset] {
            out.extend_from_slice(&strings.bytes);
        }
    }

    fn decode(message: &'a [u8]) -> io::Result<Self> {
        let counts = [number(message, 3)?, number(message, 4)?, number(message, 5)?];
        let mut strings = StringsIn(&message[START_HEADER..]);
        let program = strings.next().ok_or_else(malformed)?;
        let folder = if number(message, 2)? == 0 { None } else { strings.next() };
        Ok(Self { ends: Ends(number(message, 1)?), program, folder, counts, strings })
    }

    /// The program's arguments, the first being its own name.
    pub fn argv(&self) -> impl Iterator<Item = &'a CStr> + use<'a> {
        self.strings.clone().take(self.counts[0] as usize)
    }

    /// Variables to set, `NAME=value` each.
    pub fn set(&self) -> impl Iterator<Item = &'a CStr> + Clone + use<'a> {
        let [before, count, _] = self.counts;
        self.strings.clone().skip(before as usize).take(count as usize)
    }

    /// Names of variables to remove.
    pub fn unset(&self) -> impl Iterator<Item = &'a CStr> + use<'a> {
        let [argv, set, count] = self.counts;
        self.strings.clone().skip((argv + set) as usize).take(count as usize)
    }
}

/// The message for a start whose request is in memory.
pub fn start_in_memory() -> [u8; 4] {
    START_IN_MEMORY.to_ne_bytes()
}

/// The message for a signal.
pub fn signal(signal: i32) -> [u8; 8] {
    let mut message = [0; 8];
    message[..4].copy_from_slice(&SIGNAL.to_ne_bytes());
    message[4..].copy_from_slice(&signal.to_ne_bytes());
    message
}

/// The message for TERM, with time up to KILL.
pub fn terminate() -> [u8; 4] {
    TERMINATE.to_ne_bytes()
}

/// The message that has the launcher take this process for the port's child.
pub fn adopt(pid: i32) -> [u8; 8] {
    let mut message = [0; 8];
    message[..4].copy_from_slice(&ADOPT.to_ne_bytes());
    message[4..].copy_from_slice(&pid.to_ne_bytes());
    message
}

/// The message that asks when the child was started.
pub fn when() -> [u8; 4] {
    WHEN.to_ne_bytes()
}

/// The message for killing what is left of the child's group at its end.
pub fn own_group() -> [u8; 4] {
    OWN_GROUP.to_ne_bytes()
}

/// A message on the control socket: one byte. Only the first packet is different: it has the limit of open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// A new port comes with this packet.
    Port = 0,
    /// Stop every group of a running child, and of those that are started from now on.
    Pause = 1,
    /// Continue them.
    Resume = 2,
}

impl Control {
    /// Its bytes.
    pub fn encode(self) -> [u8; 1] {
        [self as u8]
    }

    /// Reads a packet. An invalid one counts as a port that comes without a descriptor, which has no effect.
    pub fn decode(packet: &[u8]) -> Self {
        match packet {
            [1] => Self::Pause,
            [2] => Self::Resume,
            _ => Self::Port,
        }
    }
}

fn number(message: &[u8], index: usize) -> io::Result<u32> {
    let bytes = message.get(index * 4..index * 4 + 4).ok_or_else(malformed)?;
    Ok(u32::from_ne_bytes(bytes.try_into().expect("four bytes")))
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a malformed message between the runner and its launcher",
    )
}

/// The launcher's answer to a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The child is running since, and this is its process.
    Running(Moment, i32),
    /// The child has been started and has ended.
    Ended { started: Moment, ended: Moment, reaped: Reaped, fate: Fate },
    /// There was no child: what failed, and the system's error number.
    NotStarted { at: Moment, step: Step, errno: i32 },
    /// The child could not be sent a signal: it runs as another user.
    Denied,
}

/// What has happened to a child besides its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// It was stopped by this signal, stayed so, and was ended for it.
    pub stopped: Option<i32>,
    /// Something of its group is left, which could not be sent a signal.
    pub left_behind: bool,
}

impl Fate {
    fn encode(self) -> u64 {
        self.stopped.unwrap_or(0) as u64 | u64::from(self.left_behind) << 32
    }

    fn decode(word: u64) -> Self {
        let stopped = Some(word as u32 as i32).filter(|&signal| signal != 0);
        Self { stopped, left_behind: word >> 32 != 0 }
    }
}

/// The size of an encoded answer.
pub const ANSWER_BYTES: usize = 8 * 8;

impl Answer {
    /// Its bytes.
    pub fn encode(self) -> [u8; ANSWER_BYTES] {
        let words = match self {
            Self::Running(since, pid) => [0, since.as_nanos(), pid as u64, 0, 0, 0, 0, 0],
            Self::Ended { started, ended, reaped, fate } => [
                1,
                started.as_nanos(),
                ended.as_nanos(),
                reaped.status as u64,
                reaped.cpu.user.as_nanos() as u64,
                reaped.cpu.system.as_nanos() as u64,
                reaped.peak_rss,
                fate.encode(),
            ],
            Self::Denied => [3, 0, 0, 0, 0, 0, 0, 0],
            Self::NotStarted { at, step, errno } => {
                [2, at.as_nanos(), step as u64, errno as u64, 0, 0, 0, 0]
            }
        };
        let mut bytes = [0; ANSWER_BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Reads a message of the launcher.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        if bytes.len() != ANSWER_BYTES {
            return Err(malformed());
        }
        let word = |index: usize| {
            u64::from_ne_bytes(bytes[index * 8..index * 8 + 8].try_into().expect("eight bytes"))
        };
        let moment = |index| Moment::from_nanos(word(index));
        let time = |index| std::time::Duration::from_nanos(word(index));
        match word(0) {
            0 => Ok(Self::Running(moment(1), word(2) as i32)),
            1 => {
                let cpu = CpuTime { user: time(4), system: time(5) };
                let reaped = Reaped { status: word(3) as i32, cpu, peak_rss: word(6) };
                let fate = Fate::decode(word(7));
                Ok(Self::Ended { started: moment(1), ended: moment(2), reaped, fate })
            }
            2 => {
                let steps = [Step::Clone, Step::Prepare, Step::Folder, Step::Execute];
                let step =
                    steps.into_iter().find(|&step| step as u64 == word(2)).ok_or_else(malformed)?;
                Ok(Self::NotStarted { at: moment(1), step, errno: word(3) as i32 })
            }
            3 => Ok(Self::Denied),
            _ => Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests;
