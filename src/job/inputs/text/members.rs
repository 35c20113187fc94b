//! gzip as the tools read it: one member after another, and zeros after the last one, which tapes and disks leave there.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The first byte of a member.
const MAGIC: u8 = 0x1f;

/// What the members of a gzip file hold.
pub(super) struct Members<R> {
    /// `None` after the last one.
    current: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    /// The members of `packed`, of which there is at least one.
    pub(super) fn new(packed: R) -> Self {
        Self { current: Some(GzDecoder::new(packed)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.current {
            match member.read(out)? {
                0 if !out.is_empty() => {
                    let packed = self.current.take().map(GzDecoder::into_inner);
                    self.current = packed.map(next).transpose()?.flatten();
                }
                length => return Ok(length),
            }
        }
        Ok(0)
    }
}

/// The next member of `packed`, if there is one.
fn next<R: BufRead>(mut packed: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let bytes = match packed.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        if bytes.is_empty() {
            return Ok(None);
        }
        let follows = bytes.get(zeros).copied();
        packed.consume(zeros);
        if let Some(byte) = follows {
            if byte != MAGIC {
                let message = "what follows its end is not gzip";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            return Ok(Some(GzDecoder::new(packed)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        // However few bytes come at once.
        let few = io::BufReader::with_capacity(3, bytes);
        Members::new(few).read_to_end(&mut out).ok().map(|_| out)
    }

    #[test]
    fn members_follow_each_other_and_zeros_the_last_one() {
        let (one, none, two) = (packed(b"one"), packed(b""), packed(b"two"));
        assert_eq!(unpacked(&[&one[..], &none, &two].concat()).unwrap(), b"onetwo");
        assert_eq!(unpacked(&[&one[..], &[0; 700]].concat()).unwrap(), b"one");
        assert_eq!(unpacked(&[&one[..], &[0; 9], &two].concat()).unwrap(), b"onetwo");
        for garbage in [&b"garbage that is no member"[..], b"\0junk"] {
            let packed = [&one[..], garbage].concat();
            let error = Members::new(&packed[..]).read_to_end(&mut Vec::new()).unwrap_err();
            assert!(error.to_string().contains("is not gzip"), "{error}");
        }
        assert_eq!(unpacked(&one[..one.len() - 1]), None);
    }
}
