//! Several texts in one buffer: what the templates of a request were rendered to, on its way to whoever sends it.

/// Texts, one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextBuffer {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl TextBuffer {
    /// Starts anew, in the same buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Appends the text that `write` appends to its buffer.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Appends a text.
    pub fn push(&mut self, text: impl AsRef<[u8]>) {
        self.push_with(|bytes| bytes.extend_from_slice(text.as_ref()));
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// Appends all texts to `out` as one: the lengths in a line, then the texts.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for text in self.iter() {
            out.extend_from_slice(itoa::Buffer::new().format(text.len()).as_bytes());
            out.push(b' ');
        }
        out.push(b'\n');
        out.extend_from_slice(&self.bytes);
    }

    /// What [`TextBuffer::encode`] has written; `None` if it is not that.
    pub fn decode(encoded: &[u8]) -> Option<Self> {
        let line = memchr::memchr(b'\n', encoded)?;
        let bytes = encoded[line + 1..].to_vec();
        let mut end = 0_usize;
        let mut ends = Vec::new();
        for length in std::str::from_utf8(&encoded[..line]).ok()?.split_ascii_whitespace() {
            end = end.checked_add(length.parse().ok()?)?;
            ends.push(end);
        }
        (end == bytes.len()).then_some(Self { bytes, ends })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for texts in [&[][..], &[&b""[..]], &[b"a\n\xff", b"", b"12 "]] {
            let mut packed = TextBuffer::default();
            for text in texts {
                packed.push(text);
            }
            let mut encoded = Vec::new();
            packed.encode(&mut encoded);
            let read = TextBuffer::decode(&encoded).unwrap();
            assert_eq!(read, packed);
            assert_eq!(read.iter().collect::<Vec<_>>(), texts);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for encoded in [&b""[..], b"1", b"2 \na", b"x \na", b"18446744073709551615 1 \na"] {
            assert_eq!(TextBuffer::decode(encoded), None);
        }
    }
}
