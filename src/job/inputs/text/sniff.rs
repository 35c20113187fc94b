//! What the first bytes of a file say it is.

use std::io::{self, BufReader, Read};

use super::members::Members;

/// How a file is compressed, if we read through that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const ZIP: &[u8] = b"PK\x03\x04";
/// Office files before 2007, and new ones that have a password.
const OLE: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];

/// What we do not read, and how it is unpacked, or what else can be done.
const FOREIGN: [(&[u8], &str, &str); 9] = [
    (b"BZh", "a bzip2 file", "unpack it first: `bzip2 -dc FILE | runner …` with \"-\" as the file"),
    (
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
        "an xz file",
        "unpack it first: `xz -dc FILE | runner …` with \"-\" as the file",
    ),
    (
        &[0x04, 0x22, 0x4d, 0x18],
        "an lz4 file",
        "unpack it first: `lz4 -dc FILE | runner …` with \"-\" as the file",
    ),
    (
        &[0x1f, 0x9d],
        "a compress file",
        "unpack it first: `zcat FILE | runner …` with \"-\" as the file",
    ),
    (&[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c], "a 7z archive", "unpack it first"),
    (OLE, "a workbook", "`sheet` reads workbooks"),
    (b"PAR1", "a Parquet file", "write it as CSV first"),
    (b"SQLite format 3\0", "an SQLite database", "write the table as CSV first"),
    (b"%PDF-", "a PDF file", "it has no records"),
];

/// Whether more bytes are needed to tell what a file is that starts with these.
pub(super) fn is_undecided(first: &[u8]) -> bool {
    const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    let magics = FOREIGN.iter().map(|(magic, ..)| *magic);
    let magics = magics.chain([GZIP, ZSTD, ZIP]).chain(MARKS);
    first.is_empty()
        || magics.into_iter().any(|magic| first.len() < magic.len() && magic.starts_with(first))
}

/// How a file that starts with `first` is compressed; or what it is that we do not read.
pub(super) fn packing(first: &[u8]) -> Result<Packing, String> {
    if first.starts_with(GZIP) {
        return Ok(Packing::Gzip);
    }
    // Zstandard allows frames before the first one that say something else.
    let is_skippable =
        first.len() >= 4 && first[0] & 0xf0 == 0x50 && first[1..4] == [0x2a, 0x4d, 0x18];
    if first.starts_with(ZSTD) || is_skippable {
        return Ok(Packing::Zstd);
    }
    if first.starts_with(ZIP) {
        return Err(if workbook(first) {
            "is a workbook, not a text: `sheet` reads workbooks".into()
        } else {
            "is a zip archive, not a text: unpack it first (`unzip -p FILE | runner …` with \"-\" as the file)".into()
        });
    }
    if first.starts_with(b"\xff\xfe\0\0") || first.starts_with(b"\0\0\xfe\xff") {
        return Err("is UTF-32, which no encoding of the web is: convert it first, for example by `iconv -f UTF-32 -t UTF-8`".into());
    }
    for (magic, what, help) in FOREIGN {
        let is_bzip2 = magic != b"BZh" || first.get(4..10) == Some(b"1AY&SY");
        if first.starts_with(magic) && is_bzip2 {
            return Err(format!("is {what}, not a text: {help}"));
        }
    }
    Ok(Packing::None)
}

/// Whether a file that starts with `first` is a workbook.
pub(in crate::job::inputs) fn workbook(first: &[u8]) -> bool {
    let has = |name: &[u8]| memchr::memmem::find(first, name).is_some();
    first.starts_with(OLE)
        || first.starts_with(ZIP)
            && (has(b"[Content_Types].xml") || has(b"xl/") || has(b"opendocument.spreadsheet"))
}

/// Refuses what is not text in UTF-8 or an encoding that extends ASCII, although nothing was said of its encoding.
pub(super) fn refuse_binary(first: &[u8]) -> Result<(), String> {
    let first = &first[..first.len().min(4096)];
    match utf16_without_mark(first) {
        Some(name) => Err(format!(
            "looks like UTF-16 without a byte order mark: set `encoding = \"{name}\"` in the source's table"
        )),
        None => Ok(()),
    }
}

/// The name of the UTF-16 that bytes look like: no other text has NULs, and all of them at odd or all at even places.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static str> {
    let zeros: Vec<usize> = memchr::memchr_iter(0, bytes).collect();
    let odd = zeros.first()? % 2;
    if zeros.len() < 2 || zeros.iter().any(|zero| zero % 2 != odd) {
        return None;
    }
    let (encoding, name) = match odd {
        1 => (encoding_rs::UTF_16LE, "utf-16le"),
        _ => (encoding_rs::UTF_16BE, "utf-16be"),
    };
    let is_latin = zeros.len() * 10 >= bytes.len() / 2 * 4;
    // Of other scripts, only the line breaks, blanks and delimiters have a zero.
    let partner = |zero: usize| bytes.get(zero ^ 1).copied().unwrap_or(b' ');
    let is_other = std::str::from_utf8(bytes).is_err()
        && zeros.iter().all(|&zero| partner(zero).is_ascii())
        && encoding
            .decode_without_bom_handling_and_without_replacement(&bytes[..bytes.len() & !1])
            .is_some();
    (is_latin || is_other).then_some(name)
}

impl Packing {
    /// In words; `None` if it is none.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// What is in it.
    pub(super) fn unpack(self, packed: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        let buffered = BufReader::with_capacity(1 << 16, packed);
        Ok(match self {
            Self::None => Box::new(buffered),
            Self::Gzip => Box::new(Members::new(buffered)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?),
        })
    }

    /// Why it cannot be unpacked any further.
    pub(super) fn breakage(self, error: &io::Error) -> String {
        let name = self.name().unwrap_or("compressed");
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return format!("the {name} data ends before its end: the file is truncated");
        }
        format!("the {name} data is damaged: {error}")
    }
}
