use std::io::{Seek, Write};

use super::*;

/// A text of these bytes, as if they were a file; its name in messages is "standard input".
pub(in crate::job::inputs) fn text(bytes: &[u8], options: TextOptions) -> Result<Text, InputError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    let mut named = InputFile::stdin();
    named.regular = true;
    Text::of(&named, file, options)
}

/// All of it.
fn read(bytes: &[u8], encoding: Option<&str>) -> Result<Vec<u8>, String> {
    let encoding = encoding.map(|name| Encoding::for_label(name.as_bytes()).unwrap());
    let text = text(bytes, TextOptions { encoding, ..TextOptions::default() });
    let mut text = text.map_err(|error| error.to_string())?;
    while text.more().map_err(|error| error.to_string())? {}
    Ok(text.window().to_vec())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn utf16(text: &str, encode: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(encode).collect()
}

#[test]
fn marks_encodings_and_compression_are_seen_through() {
    let plain = "id;größe\n1;x\n";
    let (le, be) = (u16::to_le_bytes, u16::to_be_bytes);
    let marked = format!("\u{feff}{plain}");
    for (bytes, encoding) in [
        (plain.as_bytes().to_vec(), None),
        (marked.clone().into_bytes(), None),
        (utf16(&marked, le), None),
        (utf16(&marked, be), None),
        (utf16(&marked, be), Some("windows-1252")),
        (utf16(plain, le), Some("utf-16le")),
        (b"id;gr\xf6\xdfe\n1;x\n".to_vec(), Some("latin1")),
        (gzip(plain.as_bytes()), None),
        (gzip(&utf16(&marked, le)), None),
        ([gzip(b"id;gr"), gzip("öße\n1;x\n".as_bytes())].concat(), None),
        (zstd::encode_all(plain.as_bytes(), 1).unwrap(), None),
    ] {
        let read = read(&bytes, encoding).unwrap();
        assert_eq!(String::from_utf8_lossy(&read), plain, "{bytes:?}");
    }
    assert_eq!(read(b"gr\xf6\n", None).unwrap(), b"gr\xf6\n");
    assert_eq!(read(b"", None).unwrap(), b"");
}

#[test]
fn what_is_no_text_is_told() {
    let (le, be) =
        (utf16("id,name\n1,x\n", u16::to_le_bytes), utf16("id,name\n", u16::to_be_bytes));
    let greek = utf16("αβγ\nδεζ\nηθ\n", u16::to_le_bytes);
    for (bytes, said) in [
        (&le[..], "`encoding = \"utf-16le\"`"),
        (&be, "`encoding = \"utf-16be\"`"),
        (&greek, "`encoding = \"utf-16le\"`"),
        (b"BZh91AY&SY\x82", "bzip2"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"PK\x03\x04\x0a\0x.csv", "zip"),
        (b"PK\x03\x04\x14\0[Content_Types].xml", "`sheet`"),
        (b"\xff\xfe\0\0i\0\0\0", "UTF-32"),
        (b"PAR1\x15", "Parquet"),
    ] {
        let error = read(bytes, None).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    for bytes in [&b"id,note\n1,a\0b\n2,y\n"[..], b"BZhello\n", b"P", b"\xff\xff\n"] {
        assert_eq!(read(bytes, None).unwrap(), bytes);
    }
}

/// The first entry of an archive, which says that it is one.
fn tar() -> Vec<u8> {
    let mut entry = vec![0; 1024];
    entry[..5].copy_from_slice(b"x.csv");
    entry[257..265].copy_from_slice(b"ustar\x0000");
    entry
}

fn utf32(text: &str, encode: fn(u32) -> [u8; 4]) -> Vec<u8> {
    text.chars().map(u32::from).flat_map(encode).collect()
}

#[test]
fn what_was_unpacked_is_looked_at_too() {
    let lines = b"a\nb\n";
    let (gz, zst) = (gzip(lines), zstd::encode_all(&lines[..], 1).unwrap());
    let xz = b"\xfd7zXZ\0\0\x04";
    let lzma = [&[0x5d, 0, 0, 0x80, 0][..], &[0xff; 8], &[0, 0x20]].concat();
    for (bytes, said) in [
        (gzip(&gz), "gzip data in its gzip data"),
        (gzip(&zst), "zstd data in its gzip data"),
        (zstd::encode_all(&gz[..], 1).unwrap(), "gzip data in its zstd data"),
        (gzip(xz), "an xz file in its gzip data"),
        (gzip(b"BZh91AY&SY\x82"), "a bzip2 file"),
        (gzip(b"PK\x03\x04\x0a\0x.csv"), "a zip archive"),
        (gzip(&lzma), "an lzma file"),
        (gzip(&tar()), "a tar archive"),
        (tar(), "is a tar archive"),
        (lzma, "is an lzma file"),
        (utf32("ab\ncd\n", u32::to_le_bytes), "UTF-32"),
        (utf32("ab\ncd\n", u32::to_be_bytes), "UTF-32"),
        (gzip(&utf32("αβ\n", u32::to_le_bytes)), "UTF-32"),
    ] {
        let error = read(&bytes, None).unwrap_err();
        assert!(error.contains(said), "{said}: {error}");
    }
    for has_nuls in [false, true] {
        let error =
            text(&gzip(&gz), TextOptions { has_nuls, ..TextOptions::default() }).err().unwrap();
        assert!(error.to_string().contains("gzip"), "{error}");
    }
    let nuls = text(b"a\0\0\0b\0\0\0", TextOptions { has_nuls: true, ..TextOptions::default() });
    assert_eq!(nuls.unwrap().window(), b"a\0\0\0b\0\0\0");
    for bytes in [&b"]\n"[..], b"]", b"(", b"ustar", b"a\0b\n"] {
        assert_eq!(read(bytes, None).unwrap(), bytes);
    }
}

#[test]
fn what_cannot_be_decoded_is_marked() {
    let mut text = text(b"\xff\xfea\0\x00\xd8b\0\n\0", TextOptions::default()).unwrap();
    while text.more().unwrap() {}
    assert!(text.undecodable(text.window()).unwrap().contains("UTF-16LE"));
    let mut plain = self::text(b"a\xff", TextOptions::default()).unwrap();
    while plain.more().unwrap() {}
    assert_eq!(plain.undecodable(plain.window()), None);
}

#[test]
fn a_text_that_breaks_off_says_so_after_what_came_before() {
    let whole: Vec<u8> = (0..100_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let packed = gzip(&whole);
    let mut text = text(&packed[..packed.len() / 2], TextOptions::default()).unwrap();
    while text.more().unwrap() {}
    assert!(whole.starts_with(text.window()) && text.window().len() > 1000);
    assert!(text.breakage().unwrap().contains("truncated"), "{:?}", text.breakage());
}

#[test]
fn a_long_text_is_found_again_and_its_lines_are_counted() {
    let whole: Vec<u8> = (0..200_000).flat_map(|n| format!("{n:06}\n").into_bytes()).collect();
    for bytes in [whole.clone(), gzip(&whole)] {
        let mut text = text(&bytes, TextOptions::default()).unwrap();
        text.make_seekable(&Stop::default()).unwrap();
        for line in [150_000_u64, 3, 199_999, 0] {
            text.seek(line * 7).unwrap();
            while text.window().len() < 7 && text.more().unwrap() {}
            assert_eq!(&text.window()[..7], format!("{line:06}\n").as_bytes());
        }
    }
    let mut counted = text(&whole, TextOptions::default()).unwrap();
    for _ in 0..100_000 {
        while counted.window().len() < 7 && counted.more().unwrap() {}
        counted.consume(7);
    }
    assert_eq!((counted.line(0), counted.position()), (100_001, 700_000));
}

#[test]
fn a_file_that_changes_meanwhile_is_not_whole() {
    let whole: Vec<u8> = (0..100_000).flat_map(|n| format!("{n:06}\n").into_bytes()).collect();
    let read = |change: fn(&mut File), encoding| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&whole).unwrap();
        file.rewind().unwrap();
        let mut named = InputFile::stdin();
        named.regular = true;
        let mut handle = file.try_clone().unwrap();
        let options = TextOptions { encoding, ..TextOptions::default() };
        let mut text = Text::of(&named, file, options).unwrap();
        text.more().unwrap();
        let place = handle.stream_position().unwrap();
        change(&mut handle);
        handle.seek(SeekFrom::Start(place)).unwrap();
        while text.more().unwrap() {}
        text.breakage().map(str::to_owned)
    };
    for encoding in [None, Some(encoding_rs::WINDOWS_1252)] {
        assert_eq!(read(|_| (), encoding), None);
        let shorter = read(|file| file.set_len(650_003).unwrap(), encoding).unwrap();
        assert!(shorter.contains("it had 700000 bytes, and ends after 650003"), "{shorter}");
    }
    let grow = |file: &mut File| {
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"1\n2\n").unwrap();
    };
    assert_eq!(read(grow, None), None);
    let torn = |file: &mut File| {
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"1\n2").unwrap();
    };
    assert!(read(torn, None).unwrap().contains("grew"));
}

#[test]
fn a_gzip_file_that_ends_anywhere_says_so() {
    let packed = gzip(b"a,b\n1,2\n");
    for length in 1..packed.len() {
        let mut text = text(&packed[..length], TextOptions::default()).unwrap();
        while text.more().unwrap() {}
        assert!(text.breakage().is_some_and(|why| why.contains("truncated")), "{length}");
    }
    let packed = zstd::encode_all(&b"a,b\n1,2\n"[..], 1).unwrap();
    for length in 2..packed.len() {
        let mut text = text(&packed[..length], TextOptions::default()).unwrap();
        while text.more().unwrap() {}
        assert!(text.breakage().is_some_and(|why| why.contains("truncated")), "{length}");
    }
}
