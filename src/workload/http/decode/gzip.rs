//! `gzip`: a series of members (RFC 1952), each with its checksum; where a stream of zlib stands in its place, that is
//! read, as curl reads it.

use flate2::Crc;

use super::Layer;
use super::deflate::{Inflate, is_zlib};

/// No header is longer: 64 KiB of extra fields, and a name and a comment.
const LONGEST_HEADER: usize = 256 << 10;

/// All members of a body.
#[derive(Default)]
pub(super) struct Gzip {
    state: State,
    /// What has come of a header or trailer.
    held: Vec<u8>,
    /// How many members have ended.
    members: u64,
}

#[derive(Default)]
enum State {
    /// Before a header, or within it.
    #[default]
    Header,
    Body(Box<(Inflate, Crc)>),
    Trailer(Crc),
    Zlib(Inflate),
    /// What still comes is not a member.
    Ended,
}

impl Layer for Gzip {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), String> {
        match &mut self.state {
            State::Header => self.read_header(input, out),
            State::Body(body) => {
                let (inflate, crc) = &mut **body;
                let (read, written) = inflate.inflate(input, out)?;
                crc.update(&out[..written]);
                if inflate.has_ended {
                    let crc = std::mem::take(crc);
                    self.state = State::Trailer(crc);
                }
                Ok((read, written))
            }
            State::Trailer(_) => self.read_trailer(input),
            State::Zlib(inflate) => inflate.step(input, out),
            State::Ended => Ok((input.len(), 0)),
        }
    }

    fn is_whole(&self) -> bool {
        match &self.state {
            State::Header => self.members > 0 && self.held.is_empty(),
            State::Body(_) | State::Trailer(_) => false,
            State::Zlib(inflate) => inflate.has_ended,
            State::Ended => true,
        }
    }
}

impl Gzip {
    fn read_header(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), String> {
        let before = self.held.len();
        self.held.extend_from_slice(input);
        let magic = [0x1f, 0x8b, 8];
        let start = &self.held[..self.held.len().min(magic.len())];
        if !magic.starts_with(start) {
            if self.members > 0 {
                self.state = State::Ended;
                return Ok((input.len(), 0));
            }
            return self.read_zlib(before, input.len(), out);
        }
        let Some(length) = header_length(&self.held)? else {
            if self.held.len() > LONGEST_HEADER {
                return Err("its header has no end".into());
            }
            return Ok((input.len(), 0));
        };
        self.held.clear();
        self.state = State::Body(Box::new((Inflate::new(false), Crc::new())));
        Ok((length - before, 0)) // it ended with what has just come
    }

    /// What does not start like gzip may be zlib.
    fn read_zlib(
        &mut self,
        before: usize,
        read: usize,
        out: &mut [u8],
    ) -> Result<(usize, usize), String> {
        match self.held[..] {
            [_] => return Ok((read, 0)),
            [first, second, ..] if is_zlib(first, second) => {}
            _ => return Err("it does not start like it".into()),
        }
        let start = std::mem::take(&mut self.held);
        let mut inflate = Inflate::new(true);
        let (took, written) = inflate.step(&start, out)?;
        self.state = State::Zlib(inflate);
        // What had come before is at most a byte, which is read at once.
        Ok((took.saturating_sub(before), written))
    }

    fn read_trailer(&mut self, input: &[u8]) -> Result<(usize, usize), String> {
        let State::Trailer(crc) = &self.state else { return Ok((0, 0)) };
        let read = input.len().min(8 - self.held.len());
        self.held.extend_from_slice(&input[..read]);
        if let &[a, b, c, d, e, f, g, h] = &self.held[..] {
            let sum = u32::from_le_bytes([a, b, c, d]);
            if sum != crc.sum() || u32::from_le_bytes([e, f, g, h]) != crc.amount() {
                return Err("its checksum is wrong".into());
            }
            self.held.clear();
            self.members += 1;
            self.state = State::Header;
        }
        Ok((read, 0))
    }
}

/// The length of the header that `bytes` start with; `None` if it goes on.
fn header_length(bytes: &[u8]) -> Result<Option<usize>, String> {
    let [_, _, _, flags, _, _, _, _, _, _, ..] = bytes else { return Ok(None) };
    let has = |flag: u8| flags & flag != 0;
    if has(0xe0) {
        return Err("its header has flags that nobody knows".into());
    }
    let mut end = 10;
    if has(4) {
        let Some(&[low, high]) = bytes.get(end..end + 2) else { return Ok(None) };
        end += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for text in [8, 16] {
        if has(text) {
            let rest = bytes.get(end..).unwrap_or_default();
            let Some(nul) = memchr::memchr(0, rest) else { return Ok(None) };
            end += nul + 1;
        }
    }
    if has(2) {
        let Some(&[low, high]) = bytes.get(end..end + 2) else { return Ok(None) };
        let mut crc = Crc::new();
        crc.update(&bytes[..end]);
        if crc.sum() & 0xffff != u32::from(u16::from_le_bytes([low, high])) {
            return Err("the checksum of its header is wrong".into());
        }
        end += 2;
    }
    Ok((bytes.len() >= end).then_some(end))
}
