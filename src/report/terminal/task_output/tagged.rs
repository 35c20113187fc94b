//! Whole lines, each with its task's tag before it.

use std::io::{self, Write};

/// Writes a tag before each line, and ends the last one.
#[derive(Debug)]
pub(super) struct Tagged<'a, W> {
    out: W,
    tag: &'a [u8],
    is_inside: bool,
}

impl<'a, W: Write> Tagged<'a, W> {
    pub(super) fn new(out: W, tag: &'a [u8]) -> Self {
        Self { out, tag, is_inside: false }
    }

    /// Ends a last line that has no line break of its own, since another task's line may follow.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.is_inside { self.out.write_all(b"\n") } else { Ok(()) }
    }
}

impl<W: Write> Write for Tagged<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if !self.is_inside {
                self.out.write_all(self.tag)?;
            }
            self.out.write_all(line)?;
            self.is_inside = !line.ends_with(b"\n");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The lines with the tag before each.
pub(super) fn tagged(tag: &[u8], lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len() + tag.len() + 1);
    let mut writer = Tagged::new(&mut out, tag);
    let written = writer.write_all(lines).and_then(|()| writer.finish());
    written.expect("writing to memory does not fail");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_tag_and_its_end() {
        assert_eq!(tagged(b"t\t", b"a\n\nb"), b"t\ta\nt\t\nt\tb\n");
        assert_eq!(tagged(b"", b"a\r\nb"), b"a\r\nb\n");
        assert_eq!(tagged(b"t", b""), b"");
    }

    #[test]
    fn pieces_do_not_make_lines() {
        let mut out = Vec::new();
        let mut writer = Tagged::new(&mut out, b"t ");
        for piece in [&b"a"[..], b"b\n", b"c"] {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(out, b"t ab\nt c\n");
    }
}
