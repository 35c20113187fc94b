//! Decoding to UTF-8 while reading. A sequence that cannot be decoded comes out as a byte that no UTF-8 has, so that the
//! record that it is a part of can say so: nothing is replaced in silence.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding};

/// Stands for a sequence that cannot be decoded.
const UNDECODABLE: u8 = 0xff;

/// Encoded text, read as UTF-8.
pub(super) struct Decoding<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    start: usize,
    end: usize,
    /// `inner` has ended.
    ended: bool,
    /// All has been decoded.
    done: bool,
}

impl<R: Read> Decoding<R> {
    /// What `inner` has, which is in `encoding` and has no byte order mark.
    pub(super) fn new(encoding: &'static Encoding, inner: R) -> Self {
        let decoder = encoding.new_decoder_without_bom_handling();
        Self { inner, decoder, raw: vec![0; 1 << 16], start: 0, end: 0, ended: false, done: false }
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // A character takes up to four bytes, and one is for the mark.
        debug_assert!(out.len() >= 8, "the caller has a block of space");
        let room = out.len() - 1;
        let mut length = 0;
        while !self.done {
            if self.start == self.end && !self.ended {
                if length > 0 {
                    break;
                }
                self.start = 0;
                self.end = self.inner.read(&mut self.raw)?;
                self.ended = self.end == 0;
            }
            let raw = &self.raw[self.start..self.end];
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
                raw,
                &mut out[length..room],
                self.ended,
            );
            self.start += read;
            length += written;
            match result {
                DecoderResult::InputEmpty => self.done = self.ended,
                DecoderResult::OutputFull => break,
                DecoderResult::Malformed(..) => {
                    out[length] = UNDECODABLE;
                    length += 1;
                    if room - length.min(room) < 8 {
                        break;
                    }
                }
            }
        }
        Ok(length)
    }
}
