//! `deflate`: a stream of zlib (RFC 1950), as the standard has it, or a bare one (RFC 1951), as some servers send it.

use flate2::{Decompress, FlushDecompress, Status};

use super::Layer;

/// One stream, whose kind is seen from its first two bytes.
#[derive(Default)]
pub(super) struct Deflate {
    start: Vec<u8>,
    inflate: Option<Inflate>,
}

impl Layer for Deflate {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), String> {
        if let Some(inflate) = &mut self.inflate {
            return inflate.step(input, out);
        }
        let read = input.len().min(2 - self.start.len());
        self.start.extend_from_slice(&input[..read]);
        let &[first, second] = &self.start[..] else { return Ok((read, 0)) };
        let mut inflate = Inflate::new(is_zlib(first, second));
        let (_, written) = inflate.step(&self.start, out)?;
        self.inflate = Some(inflate);
        Ok((read, written))
    }

    fn is_whole(&self) -> bool {
        self.inflate.as_ref().is_some_and(|inflate| inflate.has_ended)
    }
}

/// Whether these two bytes start a stream of zlib. A bare one could only start with them if its first block were
/// stored, with bits between that no compressor sets.
pub(super) fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31)
}

/// One stream of deflate, to its end.
pub(super) struct Inflate {
    state: Decompress,
    pub has_ended: bool,
}

impl Inflate {
    /// With the header and checksum of zlib, or bare.
    pub fn new(zlib: bool) -> Self {
        Self { state: Decompress::new(zlib), has_ended: false }
    }

    /// Reads and writes; what comes after the end is read, too.
    pub fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), String> {
        if self.has_ended { Ok((input.len(), 0)) } else { self.inflate(input, out) }
    }

    /// Reads and writes up to the end.
    pub fn inflate(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), String> {
        let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(input, out, FlushDecompress::None);
        match status.map_err(|error| error.to_string())? {
            Status::StreamEnd => self.has_ended = true,
            Status::Ok | Status::BufError => {}
        }
        let read = (self.state.total_in() - before_in) as usize;
        Ok((read, (self.state.total_out() - before_out) as usize))
    }
}
