//! What the first bytes of a file say it is.

use std::io::{self, BufReader, Read};

use encoding_rs::Encoding;

use super::members::Members;
use super::utf16;

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
/// `lzma` without a container: its usual properties, and sizes of dictionaries that end in two zeros.
const LZMA: &[u8] = &[0x5d, 0, 0];
/// What a tar archive says of itself, and where.
const TAR: [&[u8]; 2] = [b"ustar\0", b"ustar  \0"];
const TAR_AT: usize = 257;
/// Office files before 2007, and new ones that have a password.
const OLE: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];

const PARQUET: &[u8] = b"PAR1";

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
    (PARQUET, "a Parquet file", "write it as CSV first"),
    (b"SQLite format 3\0", "an SQLite database", "write the table as CSV first"),
    (b"%PDF-", "a PDF file", "it has no records"),
];

/// What we do not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// With its article.
    what: &'static str,
    help: &'static str,
}

impl Foreign {
    /// Why it cannot be read.
    pub(super) fn words(&self) -> String {
        format!("is {}, not a text: {}", self.what, self.help)
    }

    /// Likewise, if it is what was unpacked.
    pub(super) fn words_inside(&self, packing: Packing) -> String {
        let name = packing.name().unwrap_or("compressed");
        format!(
            "has {} in its {name} data, not a text: unpack both first, with \"-\" as the file for standard input",
            self.what
        )
    }
}

/// Whether more bytes are needed to tell what a file is that starts with these.
pub(super) fn is_undecided(first: &[u8]) -> bool {
    const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    let magics = FOREIGN.iter().map(|(magic, ..)| *magic);
    let magics = magics.chain([GZIP, ZSTD, ZIP, LZMA]).chain(MARKS);
    first.is_empty()
        || magics.into_iter().any(|magic| first.len() < magic.len() && magic.starts_with(first))
        || first.starts_with(LZMA) && first.len() < 13
        || first == PARQUET
}

/// Likewise, of what has NULs only if it is no text: an archive has them in its first entry, and its name after that.
pub(super) fn is_undecided_text(first: &[u8]) -> bool {
    is_undecided(first)
        || first.len() < TAR_AT + 8
            && memchr::memchr(0, first).is_some()
            && Encoding::for_bom(first).is_none()
}

/// How a file that starts with `first` is compressed; or what it is that we do not read.
pub(super) fn packing(first: &[u8]) -> Result<Packing, Foreign> {
    // Of a file that has no more bytes than these, the rest was cut off.
    if first.starts_with(GZIP) || first == &GZIP[..1] {
        return Ok(Packing::Gzip);
    }
    // Zstandard allows frames before the first one that say something else.
    let is_skippable =
        first.len() >= 4 && first[0] & 0xf0 == 0x50 && first[1..4] == [0x2a, 0x4d, 0x18];
    let is_cut = first.len() > 1 && first.len() < ZSTD.len() && ZSTD.starts_with(first);
    if first.starts_with(ZSTD) || is_skippable || is_cut {
        return Ok(Packing::Zstd);
    }
    let foreign = |what, help| Err(Foreign { what, help });
    if first.starts_with(ZIP) {
        return if workbook(first) {
            foreign("a workbook", "`sheet` reads workbooks")
        } else {
            foreign(
                "a zip archive",
                "unpack it first (`unzip -p FILE | runner …` with \"-\" as the file)",
            )
        };
    }
    if first.starts_with(b"\xff\xfe\0\0") || first.starts_with(b"\0\0\xfe\xff") {
        return foreign("UTF-32", CONVERT);
    }
    if is_tar(first) {
        return foreign(
            "a tar archive",
            "unpack it first (`tar -xOf FILE | runner …` with \"-\" as the file)",
        );
    }
    if is_lzma(first) {
        return foreign(
            "an lzma file",
            "unpack it first: `xz -dc FILE | runner …` with \"-\" as the file",
        );
    }
    for (magic, what, help) in FOREIGN {
        if first.starts_with(magic) && goes_on_so(magic, first) {
            return foreign(what, help);
        }
    }
    Ok(Packing::None)
}

/// Whether what follows `magic` is what follows it in such a file: letters alone may be those of a text.
fn goes_on_so(magic: &[u8], first: &[u8]) -> bool {
    match magic {
        b"BZh" => first.get(4..10) == Some(b"1AY&SY"),
        // The head of a page, or of the footer: a field of 32 bits.
        PARQUET => first.get(4) == Some(&0x15),
        b"%PDF-" => first.get(5).is_some_and(u8::is_ascii_digit),
        _ => true,
    }
}

/// What to do with UTF-32.
const CONVERT: &str = "convert it first, for example by `iconv -f UTF-32 -t UTF-8`";

fn is_tar(first: &[u8]) -> bool {
    first.get(TAR_AT..).is_some_and(|rest| TAR.iter().any(|magic| rest.starts_with(magic)))
}

/// Whether these are the properties of lzma data, the size of their dictionary, which has one or two bits, and the size
/// of what they unpack to, which is not known or below 256 GiB: other programs tell them by that, too.
fn is_lzma(first: &[u8]) -> bool {
    let (Some(dictionary), Some(size)) = (first.get(1..5), first.get(5..13)) else { return false };
    let bits: u32 = dictionary.iter().map(|byte| byte.count_ones()).sum();
    let is_size = size.iter().all(|byte| *byte == 0xff) || size[5..] == [0; 3];
    first.starts_with(LZMA) && (1..=2).contains(&bits) && is_size
}

/// Why a file cannot be read that is compressed twice.
pub(super) fn twice(outer: Packing, inner: Packing) -> String {
    let name = |packing: Packing| packing.name().unwrap_or("compressed");
    format!(
        "has {} data in its {} data, not a text: unpack it once, with \"-\" as the file for standard input",
        name(inner),
        name(outer)
    )
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
    if is_utf32_without_mark(first) {
        return Err(format!("looks like UTF-32 without a byte order mark: {CONVERT}"));
    }
    match utf16::without_mark(first) {
        Some(name) => Err(format!(
            "looks like UTF-16 without a byte order mark: set `encoding = \"{name}\"` in the source's table"
        )),
        None => Ok(()),
    }
}

/// Whether all groups of four bytes are characters of the planes that have any. UTF-16 with a line break in every second
/// unit would be one of another plane.
fn is_utf32_without_mark(bytes: &[u8]) -> bool {
    let (units, _) = bytes.as_chunks::<4>();
    let are = |read: fn([u8; 4]) -> u32| {
        let is = |unit: &[u8; 4]| {
            char::from_u32(read(*unit)).is_some_and(|it| matches!(it, '\u{1}'..='\u{3ffff}'))
        };
        units.len() > 1 && units.iter().all(is)
    };
    are(u32::from_le_bytes) || are(u32::from_be_bytes)
}

/// How far back, as a power of two, zstd data may refer: as far as `zstd --long=31` writes it, which others have to be told.
/// The memory for it is taken as the data fills it.
const WIDEST: u32 = 31;

/// What zstd says if that does not do.
const TOO_WIDE: [&str; 2] = ["too much memory", "not enough memory"];

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
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
                decoder.window_log_max(WIDEST)?;
                Box::new(decoder)
            }
        })
    }

    /// Why it cannot be unpacked any further.
    pub(super) fn breakage(self, error: &io::Error) -> String {
        let name = self.name().unwrap_or("compressed");
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return format!("the {name} data ends before its end: the file is truncated");
        }
        let message = error.to_string();
        if TOO_WIDE.iter().any(|words| message.contains(words)) {
            return format!(
                "the {name} data needs more memory to be unpacked than there is for it, as after `zstd --long`: {message}"
            );
        }
        format!("the {name} data is damaged: {message}")
    }
}
