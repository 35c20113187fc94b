//! Each coding whole, cut, damaged, and in pieces of every size.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

const TEXT: &[u8] = b"<title>hello</title> some text, some text, some text, some text";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bare(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(text: &[u8]) -> Vec<u8> {
    ::zstd::bulk::compress(text, 3).unwrap()
}

/// `hello` in one stored block.
const BROTLI: &[u8] = b"\x0b\x02\x80hello\x03";

/// What `body` comes to, handed over in pieces of `size` bytes.
fn decoded(codings: &str, body: &[u8], size: usize) -> Result<Vec<u8>, Broken> {
    let codings = Coding::list([codings.as_bytes()].into_iter()).unwrap();
    let (mut decoder, mut out) = (Decoder::new(&codings), Vec::new());
    for piece in body.chunks(size) {
        decoder.push(piece, &mut |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        })?;
    }
    decoder.finish().map(|()| out)
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn what_curl_reads_is_read() {
    let long = fastrand::Rng::with_seed(1);
    let random: Vec<u8> =
        std::iter::repeat_with(move || long.clone().u8(..)).take(100_000).collect();
    let named = join(&[
        &[0x1f, 0x8b, 8, 0x1c, 0, 0, 0, 0, 0, 3, 2, 0, 7, 7],
        b"name\0note\0",
        &gzip(TEXT)[10..],
    ]);
    for (codings, body, expected) in [
        ("gzip", gzip(TEXT), TEXT),
        ("GZip", gzip(TEXT), TEXT),
        ("x-gzip", gzip(TEXT), TEXT),
        ("gzip", named, TEXT),
        ("gzip", zlib(TEXT), TEXT), // as curl does
        ("gzip", join(&[&gzip(b"one"), &gzip(b""), &gzip(b"two")]), b"onetwo"),
        ("gzip", join(&[&gzip(TEXT), b"\n\n"]), TEXT),
        ("gzip", join(&[&gzip(TEXT), &[0; 100]]), TEXT),
        ("gzip", join(&[&gzip(TEXT), b"<!-- from the cache -->"]), TEXT),
        ("gzip", Vec::new(), b""),
        ("gzip", gzip(&random), &random),
        ("deflate", zlib(TEXT), TEXT),
        ("Deflate", bare(TEXT), TEXT),
        ("deflate", bare(b""), b""),
        ("deflate", join(&[&zlib(TEXT), b"\n\n"]), TEXT),
        ("deflate, gzip", gzip(&zlib(TEXT)), TEXT),
        ("gzip, identity,gzip", gzip(&gzip(TEXT)), TEXT),
        ("br", BROTLI.to_vec(), b"hello"),
        ("br", join(&[BROTLI, b"rest"]), b"hello"),
        ("zstd", zstandard(TEXT), TEXT),
        ("zstd", join(&[&zstandard(TEXT), b"(\xb5", b"x"]), TEXT),
        (
            "zstd",
            join(&[&zstandard(b"one"), b"\x50\x2a\x4d\x18\x01\0\0\0x", &zstandard(b"two")]),
            b"onetwo",
        ),
        ("identity", TEXT.to_vec(), TEXT),
        ("none", TEXT.to_vec(), TEXT),
        ("", TEXT.to_vec(), TEXT),
    ] {
        for size in [1, 2, 3, 7, 16, 1 << 20] {
            let found = decoded(codings, &body, size);
            assert!(found.as_deref() == Ok(expected), "{codings} in pieces of {size}: {found:?}");
        }
    }
}

#[test]
fn what_is_cut_is_never_taken_for_whole() {
    let bodies = [
        ("gzip", gzip(TEXT)),
        ("gzip", zlib(TEXT)),
        ("deflate", zlib(TEXT)),
        ("deflate", bare(TEXT)),
        ("br", BROTLI.to_vec()),
        ("zstd", zstandard(TEXT)),
        ("gzip, zstd", zstandard(&gzip(TEXT))),
    ];
    for (codings, body) in &bodies {
        for length in 1..body.len() {
            for size in [1, 5, 1 << 20] {
                let found = decoded(codings, &body[..length], size);
                assert!(matches!(found, Err(Broken::Cut(_))), "{codings} {length}: {found:?}");
            }
        }
    }
    // In the middle of a further member, too.
    let two = join(&[&gzip(b"one"), &gzip(b"two")]);
    let first = gzip(b"one").len();
    for length in first + 1..two.len() {
        assert_eq!(decoded("gzip", &two[..length], 4), Err(Broken::Cut(Coding::Gzip)), "{length}");
    }
}

#[test]
fn what_is_something_else_is_refused() {
    let mut wrong_sum = gzip(TEXT);
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    let mut wrong_length = gzip(TEXT);
    *wrong_length.last_mut().unwrap() ^= 1;
    let mut wrong_zlib = zlib(TEXT);
    *wrong_zlib.last_mut().unwrap() ^= 1;
    for (codings, body) in [
        ("gzip", TEXT.to_vec()),
        ("gzip", wrong_sum),
        ("gzip", wrong_length),
        ("deflate", wrong_zlib),
        ("deflate", gzip(TEXT)), // curl refuses it, too
        ("deflate", TEXT.to_vec()),
        ("br", TEXT.to_vec()),
        ("zstd", TEXT.to_vec()),
        ("gzip, br", gzip(TEXT)),
    ] {
        for size in [1, 1 << 20] {
            let found = decoded(codings, &body, size);
            assert!(matches!(found, Err(Broken::Not(..))), "{codings}: {found:?}");
        }
    }
}

#[test]
fn a_bomb_comes_in_small_pieces() {
    let bomb = gzip(&vec![0; 64 << 20]);
    let bomb = zstandard(&bomb);
    let codings = Coding::list([&b"gzip"[..], b"zstd"].into_iter()).unwrap();
    let (mut decoder, mut total) = (Decoder::new(&codings), 0);
    let mut count = |piece: &[u8]| {
        assert!(piece.len() <= PIECE);
        total += piece.len();
        if total > 1 << 20 { Err("enough".to_owned()) } else { Ok(()) }
    };
    assert_eq!(decoder.push(&bomb, &mut count), Err(Broken::Sink("enough".into())));
}

#[test]
fn lists_are_read_and_what_is_unknown_is_refused() {
    let list = |values: &[&str]| Coding::list(values.iter().map(|value| value.as_bytes()));
    assert_eq!(list(&["gzip , BR", "zstd"]), Ok(vec![Coding::Gzip, Coding::Brotli, Coding::Zstd]));
    for word in ["compress", "utf-8", "aws-chunked", "gzip;q=1"] {
        let error = format!("the body is encoded as `{word}`, which cannot be undone");
        assert_eq!(list(&[word]), Err(error));
    }
    assert!(list(&["gzip,gzip,gzip,gzip,gzip,gzip"]).is_err());
}
