//! `zstd`: a series of frames (RFC 8878), of which some may be skipped.

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::Layer;

/// All frames of a body.
#[derive(Default)]
pub(super) struct Frames {
    /// The first bytes of the next frame, if it is one.
    magic: Vec<u8>,
    frame: Option<Decoder<'static>>,
    /// How many have ended.
    ended: u64,
    has_ended: bool,
}

impl Layer for Frames {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), String> {
        if self.has_ended {
            return Ok((input.len(), 0));
        }
        if self.frame.is_some() {
            return self.read_frame(input, out);
        }
        let read = input.len().min(4 - self.magic.len());
        self.magic.extend_from_slice(&input[..read]);
        if !starts_a_frame(&self.magic) {
            if self.ended == 0 {
                return Err("it does not start like one".into());
            }
            self.has_ended = true;
        } else if self.magic.len() == 4 {
            self.frame = Some(Decoder::new().map_err(|error| error.to_string())?);
            let magic = std::mem::take(&mut self.magic);
            return self.read_frame(&magic, out).map(|(_, written)| (read, written));
        }
        Ok((read, 0))
    }

    fn is_whole(&self) -> bool {
        self.has_ended || (self.frame.is_none() && self.ended > 0 && self.magic.is_empty())
    }
}

impl Frames {
    fn read_frame(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), String> {
        let Some(frame) = &mut self.frame else { return Ok((0, 0)) };
        let (mut source, mut target) = (InBuffer::around(input), OutBuffer::around(out));
        let left = frame.run(&mut source, &mut target).map_err(|error| error.to_string())?;
        let moved = (source.pos(), target.pos());
        if left == 0 {
            self.frame = None;
            self.ended += 1;
        }
        Ok(moved)
    }
}

/// Whether a frame may start with these bytes, of which there are at most four.
fn starts_a_frame(bytes: &[u8]) -> bool {
    const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let is_skipped = |bytes: &[u8]| {
        let rest = [0x2a, 0x4d, 0x18];
        bytes.first().is_none_or(|first| first & 0xf0 == 0x50)
            && rest.starts_with(bytes.get(1..).unwrap_or_default())
    };
    FRAME.starts_with(bytes) || is_skipped(bytes)
}
