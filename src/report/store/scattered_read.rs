//! Reads scattered pieces of a file in few large reads and arranges them in another order.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Pieces that are no further apart than this are read at once, together with what is between them.
const GAP: u64 = 16 << 10;

/// The upper limit of bytes that are read at once, unless a single piece is longer.
const READ: u64 = 1 << 20;

/// A piece of a file, and its offset in the output.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Move {
    pub(in crate::report) from: u64,
    pub(in crate::report) length: u32,
    pub(in crate::report) to: u32,
}

/// Reads scattered pieces; reuses its buffer.
#[derive(Debug, Default)]
pub(in crate::report) struct Gather {
    moves: Vec<Move>,
    source: Vec<u8>,
}

impl Gather {
    /// Reads pieces of `file`, each given by its offset and length, into `out`, one after another.
    pub(in crate::report) fn read(
        &mut self,
        file: &File,
        pieces: impl Iterator<Item = (u64, u32)>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.moves.clear();
        let (mut to, mut start, mut end) = (0, u64::MAX, 0);
        for (from, length) in pieces {
            self.moves.push(Move { from, length, to });
            to += length;
            start = start.min(from);
            end = end.max(from + u64::from(length));
        }
        out.clear();
        if end.saturating_sub(start) <= 2 * u64::from(to) {
            return self.pick(file, start..end, out);
        }
        out.resize(to as usize, 0);
        self.moves.sort_by_key(|piece| piece.from); // stable sort: fast if there are sorted runs already, as there are here
        self.fill(file, out)
    }

    /// Copies pieces that are close together out of the whole range, without sorting.
    fn pick(&mut self, file: &File, range: Range<u64>, out: &mut Vec<u8>) -> io::Result<()> {
        let length = range.end.saturating_sub(range.start) as usize;
        if self.source.len() < length {
            self.source.resize(length, 0);
        }
        file.read_exact_at(&mut self.source[..length], range.start)?;
        for piece in &self.moves {
            let from = (piece.from - range.start) as usize;
            out.extend_from_slice(&self.source[from..from + piece.length as usize]);
        }
        Ok(())
    }

    fn fill(&mut self, file: &File, out: &mut [u8]) -> io::Result<()> {
        let mut rest = &self.moves[..];
        while let Some(first) = rest.first() {
            let mut end = first.from + u64::from(first.length);
            let near = rest.iter().skip(1).take_while(|piece| {
                let piece_end = piece.from + u64::from(piece.length);
                let near = piece.from <= end + GAP && piece_end - first.from <= READ;
                if near {
                    end = piece_end;
                }
                near
            });
            let (together, others) = rest.split_at(1 + near.count());
            self.source.resize((end - first.from) as usize, 0);
            file.read_exact_at(&mut self.source, first.from)?;
            for piece in together {
                let from = (piece.from - first.from) as usize;
                let (to, length) = (piece.to as usize, piece.length as usize);
                out[to..to + length].copy_from_slice(&self.source[from..from + length]);
            }
            rest = others;
        }
        Ok(())
    }
}
