//! Hostile answers, each asked for by the runner and by `curl --compressed`: where ours is ok, the bytes are those of
//! curl, but for what stands in the tables below. Nothing that is cut, twisted or unknown is ok, however it comes in.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::MODELS;
use super::raw::{Asked, Raw};
use crate::support::{Ran, TestJob};

/// The page, and one more member.
const BOTH: &[u8] = b"<title>hello</title> some text, some text, some text, some text more";
const PAGE: &[u8] = b"<title>hello</title> some text, some text, some text, some text";

/// What has to come of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    /// Ok, with what curl has.
    AsCurl,
    /// Ok with these bytes; curl gives up, or its versions differ.
    Ours(&'static [u8]),
    /// The row says that it failed, in words that have this in them; curl may think otherwise.
    Fails(&'static str),
}
use Right::{AsCurl, Fails, Ours};

struct Case {
    name: &'static str,
    answer: Vec<u8>,
    right: Right,
}

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
    zstd::bulk::compress(text, 3).unwrap()
}

/// `hello` in brotli.
const BROTLI: &[u8] = b"\x0b\x02\x80hello\x03";

fn cut(mut bytes: Vec<u8>, by: usize) -> Vec<u8> {
    bytes.truncate(bytes.len() - by);
    bytes
}

fn head_and(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), body].concat()
}

/// A body with this encoding, its length said.
fn coded(name: &'static str, encoding: &str, body: &[u8], right: Right) -> Case {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: {encoding}\r\nContent-Length: {length}\r\n\r\n"
    );
    Case { name, answer: head_and(&head, body), right }
}

fn codings() -> Vec<Case> {
    let page = gzip(PAGE);
    let members = [gzip(PAGE), gzip(b" more")].concat();
    let garbage = [&page[..], b"\n<!-- cached -->"].concat();
    let zeros = [&page[..], &[0; 512]].concat();
    vec![
        coded("gzip", "gzip", &page, AsCurl),
        coded("gzip-odd-case", "GZip", &page, AsCurl),
        coded("x-gzip", "x-gzip", &page, AsCurl),
        coded("gzip-members", "gzip", &members, Ours(BOTH)),
        coded("gzip-trailing-garbage", "gzip", &garbage, Ours(PAGE)),
        coded("gzip-trailing-zeros", "gzip", &zeros, Ours(PAGE)),
        coded("gzip-cut", "gzip", &cut(page.clone(), 20), Fails("gzip data has no end")),
        coded("gzip-cut-trailer", "gzip", &cut(page.clone(), 3), Fails("gzip data has no end")),
        coded("gzip-cut-member", "gzip", &cut(members, 9), Fails("gzip data has no end")),
        coded("gzip-checksum", "gzip", &flipped(&page, page.len() - 6), Fails("checksum")),
        coded("gzip-damaged", "gzip", &flipped(&page, 14), Fails("not gzip")),
        coded("gzip-is-text", "gzip", PAGE, Fails("not gzip")),
        coded("gzip-is-zlib", "gzip", &zlib(PAGE), Ours(PAGE)),
        coded("gzip-empty", "gzip", b"", AsCurl),
        coded("gzip-of-nothing", "gzip", &gzip(b""), AsCurl),
        coded("deflate-zlib", "deflate", &zlib(PAGE), AsCurl),
        coded("deflate-raw", "deflate", &bare(PAGE), AsCurl),
        coded("deflate-cut", "deflate", &cut(zlib(PAGE), 8), Fails("deflate data has no end")),
        coded("deflate-raw-cut", "deflate", &cut(bare(PAGE), 8), Fails("deflate data has no end")),
        coded("deflate-is-text", "deflate", PAGE, Fails("deflate")),
        coded("deflate-is-gzip", "deflate", &page, Fails("deflate")),
        coded("deflate-empty", "deflate", b"", AsCurl),
        coded("br", "br", BROTLI, Ours(b"hello")),
        coded("br-odd-case", "Br", BROTLI, Ours(b"hello")),
        coded("br-cut", "br", &cut(BROTLI.to_vec(), 1), Fails("br data has no end")),
        coded("br-is-text", "br", PAGE, Fails("br")),
        coded("br-empty", "br", b"", AsCurl),
        coded("zstd", "zstd", &zstandard(PAGE), Ours(PAGE)),
        coded("zstd-cut", "zstd", &cut(zstandard(PAGE), 5), Fails("zstd data has no end")),
        coded("zstd-is-text", "zstd", PAGE, Fails("zstd")),
        coded("zstd-empty", "zstd", b"", AsCurl),
        coded("list", "deflate, gzip", &gzip(&zlib(PAGE)), AsCurl),
        coded("list-without-space", "gzip,gzip", &gzip(&page), AsCurl),
        coded("list-with-identity", "identity, gzip", &page, AsCurl),
        coded("list-with-blanks", " gzip ,", &page, Ours(PAGE)),
        coded("list-inner-cut", "gzip, gzip", &gzip(&cut(page.clone(), 4)), Fails("no end")),
        coded("list-outer-text", "gzip, br", &page, Fails("br")),
        coded("two-lines", "deflate\r\nContent-Encoding: gzip", &gzip(&zlib(PAGE)), Ours(PAGE)),
        coded("identity", "identity", PAGE, AsCurl),
        coded("identity-odd-case", "Identity", PAGE, AsCurl),
        coded("no-value", "", PAGE, Ours(PAGE)),
        coded("unknown", "sdch", PAGE, Fails("encoded as `sdch`")),
        coded("charset-as-encoding", "utf-8", PAGE, Fails("encoded as `utf-8`")),
        coded("compress", "compress", PAGE, Fails("encoded as `compress`")),
        coded("known-and-unknown", "gzip, aes128gcm", &page, Fails("encoded as `aes128gcm`")),
        coded("unknown-empty", "sdch", b"", Ours(b"")),
        coded("nul-in-encoding", "gz\0ip", &page, Fails("not HTTP")),
        coded(
            "control-in-encoding",
            "gz\x07ip",
            &page,
            Fails("cannot be read: `Content-Encoding: gz"),
        ),
    ]
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x55;
    bytes
}

/// A head with these lines, which say everything, and the page.
fn lines(name: &'static str, head: &str, right: Right) -> Case {
    Case { name, answer: head_and(&format!("{head}\r\n\r\n"), PAGE), right }
}

/// A usual head with these further lines, and the page.
fn more(name: &'static str, more: &str, right: Right) -> Case {
    let length = PAGE.len();
    lines(name, &format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{more}"), right)
}

fn heads() -> Vec<Case> {
    let with = |start: &str| format!("{start}\r\nContent-Length: {}", PAGE.len());
    let many = |count: usize| vec!["X-Many: 1"; count].join("\r\n");
    let long = format!("X-Long: {}", "x".repeat(60_000));
    vec![
        lines("no-reason", &with("HTTP/1.1 200"), AsCurl),
        lines("empty-reason", &with("HTTP/1.1 200 "), AsCurl),
        lines("latin-reason", &with("HTTP/1.1 200 Gr\u{fc}n"), AsCurl),
        lines("lower-case-http", &with("http/1.1 200 OK"), Fails("not HTTP")),
        lines("http-9", &with("HTTP/9.9 200 OK"), Fails("not HTTP")),
        lines("http-0.9", "<html>", Fails("not HTTP")),
        lines("status-2000", &with("HTTP/1.1 2000 OK"), Fails("not HTTP")),
        lines("status-20", &with("HTTP/1.1 20 OK"), Fails("not HTTP")),
        lines("no-status", &with("HTTP/1.1"), Fails("not HTTP")),
        lines("icy", &with("ICY 200 OK"), Fails("not HTTP")),
        lines("http-1.0", "HTTP/1.0 200 OK", AsCurl),
        chunks_of_old(),
        lines("http-1.0-length", &with("HTTP/1.0 200 OK"), AsCurl),
        lines("no-length", "HTTP/1.1 200 OK\r\nConnection: close", AsCurl),
        lines("blank-lines-first", &with("\r\n\r\nHTTP/1.1 200 OK"), Ours(PAGE)),
        Case {
            name: "bare-lf",
            answer: head_and(&format!("HTTP/1.1 200 OK\nContent-Length: {}\n\n", PAGE.len()), PAGE),
            right: AsCurl,
        },
        Case {
            name: "mixed-lf",
            answer: head_and(
                &format!("HTTP/1.1 200 OK\r\nA: b\nContent-Length: {}\r\n\n", PAGE.len()),
                PAGE,
            ),
            right: AsCurl,
        },
        more("obs-fold", "X-Folded: a\r\n b\r\n\tc", AsCurl),
        more("space-before-colon", "X-Spaced : a", AsCurl),
        more("no-space-after-colon", "X-Tight:a", AsCurl),
        more("empty-value", "X-Empty:", AsCurl),
        more("no-colon", "this is not a header", Ours(PAGE)),
        more("empty-name", ": value", Ours(PAGE)),
        more("space-in-name", "X Y: z", Ours(PAGE)),
        more("latin-value", "X-Name: Gr\u{e9}", AsCurl),
        more("control-in-value", "X-Bell: a\x07b", Ours(PAGE)),
        more("nul-in-value", "X-Nul: a\0b", Fails("not HTTP")),
        more("nul-in-name", "X-\0Nul: ab", Fails("not HTTP")),
        more("cr-in-value", "X-Cr: a\rb", Fails("not HTTP")),
        more(
            "encoding-without-colon",
            "Content-Encoding gzip",
            Fails("cannot be read: `Content-Encoding gzip`"),
        ),
        lines(
            "103-no-colon",
            &with("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nno header"),
            Ours(PAGE),
        ),
        more("100-headers", &many(98), AsCurl),
        more("999-headers", &many(997), AsCurl),
        more("2000-headers", &many(1998), Fails("")),
        more("long-header", &long, AsCurl),
        more("equal-lengths", &format!("Content-Length: {}", PAGE.len()), AsCurl),
        more("unequal-lengths", "Content-Length: 5", Fails("")),
        lines(
            "length-list",
            &format!("HTTP/1.1 200 OK\r\nContent-Length: {0}, {0}", PAGE.len()),
            Ours(PAGE),
        ),
        lines("length-negative", "HTTP/1.1 200 OK\r\nContent-Length: -5", Fails("")),
        lines(
            "length-plus",
            &format!("HTTP/1.1 200 OK\r\nContent-Length: +{}", PAGE.len()),
            Fails(""),
        ),
        lines("length-hex", "HTTP/1.1 200 OK\r\nContent-Length: 0x3f", Fails("")),
        lines("length-text", "HTTP/1.1 200 OK\r\nContent-Length: many", Fails("")),
        lines("length-empty", "HTTP/1.1 200 OK\r\nContent-Length:", Fails("")),
        lines(
            "length-huge",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999",
            Fails(""),
        ),
        lines("length-too-long", "HTTP/1.1 200 OK\r\nContent-Length: 640", Fails("cut short")),
        lines("length-too-short", "HTTP/1.1 200 OK\r\nContent-Length: 6", AsCurl),
        lines(
            "length-spaced",
            &format!("HTTP/1.1 200 OK\r\nContent-Length : {}", PAGE.len()),
            AsCurl,
        ),
        lines("100-continue", &with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), AsCurl),
        lines(
            "103-hints",
            &with("HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\nHTTP/1.1 200 OK"),
            AsCurl,
        ),
        lines(
            "103-nul",
            &with("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX: a\0b"),
            Fails("not HTTP"),
        ),
        lines("204-with-body", &with("HTTP/1.1 204 No Content"), AsCurl),
        lines("205-with-body", &with("HTTP/1.1 205 Reset"), AsCurl),
    ]
}

/// Chunks of HTTP/1.0, which has none.
fn chunks_of_old() -> Case {
    let head = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    Case {
        name: "http-1.0-chunked",
        answer: head_and(head, b"5\r\nhello\r\n0\r\n\r\n"),
        right: Fails("HTTP/1.0, which has no transfer-encoding"),
    }
}

/// A body in chunks, which are given as they stand.
fn chunks(name: &'static str, more: &str, body: &[u8], right: Right) -> Case {
    let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{more}\r\n");
    Case { name, answer: head_and(&head, body), right }
}

fn transfers() -> Vec<Case> {
    let page = gzip(PAGE);
    let in_one =
        |body: &[u8]| [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
    let te = |name, value: &str, body: &[u8], right| Case {
        name,
        answer: head_and(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {value}\r\n\r\n"), body),
        right,
    };
    vec![
        chunks("chunked", "", b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", AsCurl),
        chunks("chunk-extension", "", b"5;a=b\r\nhello\r\n0\r\n\r\n", AsCurl),
        chunks("chunk-trailer", "", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", AsCurl),
        chunks("chunk-zeros", "", b"0005\r\nhello\r\n000\r\n\r\n", AsCurl),
        chunks("chunk-upper", "", b"A\r\nhellohello\r\n0\r\n\r\n", AsCurl),
        chunks("chunk-cut", "", b"5\r\nhel", Fails("cut short")),
        chunks("chunk-no-end", "", b"5\r\nhello\r\n", Fails("cut short")),
        chunks("chunk-bad-size", "", b"5\r\nhello\r\nxyz\r\n", Fails("")),
        chunks("chunk-negative", "", b"-5\r\nhello\r\n0\r\n\r\n", Fails("")),
        chunks("chunk-huge", "", b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", Fails("")),
        chunks("chunk-too-long", "", b"3\r\nhello\r\n0\r\n\r\n", Fails("")),
        // curl takes these for line ends; where a chunk ends is too much to guess.
        chunks("chunk-line-feeds", "", b"5\nhello\n0\n\n", Fails("not as HTTP has them")),
        chunks(
            "chunk-line-feed-first",
            "",
            b"5\nhello\r\n0\r\n\r\n",
            Fails("not as HTTP has them"),
        ),
        chunks(
            "chunk-line-feed-after",
            "",
            b"5\r\nhello\n0\r\n\r\n",
            Fails("not as HTTP has them"),
        ),
        chunks("chunk-line-feed-last", "", b"5\r\nhello\r\n0\n\n", Fails("not as HTTP has them")),
        chunks(
            "chunked-and-length",
            "Content-Length: 3\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
            Ours(b"hello"),
        ),
        chunks("chunked-gzip", "Content-Encoding: gzip\r\n", &in_one(&page), AsCurl),
        chunks(
            "chunked-gzip-cut",
            "Content-Encoding: gzip\r\n",
            &in_one(&page[..30]),
            Fails("gzip data has no end"),
        ),
        te("te-odd-case", "Chunked", &in_one(b"hello"), AsCurl),
        te("te-gzip", "gzip, chunked", &in_one(&page), Ours(PAGE)),
        te("te-gzip-alone", "gzip", &page, Ours(PAGE)),
        te("te-identity", "identity", PAGE, AsCurl),
        te("te-unknown", "rot13", PAGE, Fails("")),
        te("te-then-identity", "chunked, identity", &in_one(b"hello"), Fails("must come last")),
        te("te-then-none", "chunked, none", &in_one(b"hello"), Fails("must come last")),
        te("te-then-comma", "chunked,", &in_one(b"hello"), Fails("must come last")),
        te("te-then-gzip", "chunked, gzip", &in_one(&page), Fails("must come last")),
        te(
            "te-then-line",
            "chunked\r\nTransfer-Encoding: identity",
            &in_one(b"hello"),
            Fails("must come last"),
        ),
        te("te-gzip-and-length", "gzip\r\nContent-Length: 3", &page, Ours(PAGE)),
        te(
            "te-gzip-chunked-and-length",
            "gzip, chunked\r\nContent-Length: 3",
            &in_one(&page),
            Ours(PAGE),
        ),
        te("te-identity-short", "identity\r\nContent-Length: 640", PAGE, Fails("cut short")),
        Case {
            name: "length-beyond-all",
            answer: head_and(
                "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
                b"hello",
            ),
            right: Fails("`Content-Length`"),
        },
        te("te-twice", "chunked\r\nTransfer-Encoding: chunked", &in_one(b"hello"), Ours(b"hello")),
        te("te-nul", "chun\0ked", &in_one(b"hello"), Fails("")),
        Case {
            name: "te-http-1.0",
            answer: head_and(
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                &in_one(b"hello"),
            ),
            right: Fails("transfer-encoding"),
        },
        Case {
            name: "nothing",
            answer: Vec::new(),
            right: Fails("closed the connection before it answered"),
        },
    ]
}

/// The bytes that curl has, or its exit status if it gives up; `None` if there is no curl.
fn curl(url: &str) -> Option<Result<Vec<u8>, ExitStatus>> {
    let args = ["-q", "-s", "--compressed", "--max-time", "20", "--noproxy", "*", url];
    let output = Command::new("curl").args(args).output().ok()?;
    Some(if output.status.success() { Ok(output.stdout) } else { Err(output.status) })
}

/// A job that asks for these, and says all that it has of each answer.
fn ask(server: &Raw, names: &[String], model: &str) -> Ran {
    let text = format!(
        "[inputs]\nvalues = {names:?}\n[workload.http]\nurl = \"{}{{input}}\"\nsave = \"d/{{input}}\"\n\
         [columns.all]\nregex = '(?s)^(.*)$'\n[limits]\ntimeout = \"20s\"",
        server.url("/")
    );
    TestJob::new(&text).args(["--model", model]).run()
}

fn all_cases() -> Vec<Case> {
    [codings(), heads(), transfers()].into_iter().flatten().collect()
}

/// The answers by the path that asks for them.
fn by_path(cases: &[Case]) -> BTreeMap<String, Vec<u8>> {
    let answers = cases.iter().map(|case| (format!("/{}", case.name), case.answer.clone()));
    let answers: BTreeMap<_, _> = answers.collect();
    assert_eq!(answers.len(), cases.len(), "a name stands twice");
    answers
}

/// What is not right about this row, if anything.
fn complaint(case: &Case, row: &Row, curl: Option<&Result<Vec<u8>, ExitStatus>>) -> Option<String> {
    let is_whole = |body: &[u8]| row.saved.as_deref() == Some(body) && row.all.as_bytes() == body;
    let is_right = match case.right {
        Fails(words) => {
            row.status == "failed"
                && row.saved.is_none()
                && row.all.is_empty()
                && row.error.contains(words)
                && !row.error.is_empty()
        }
        Ours(body) => row.status == "ok" && is_whole(body),
        AsCurl => {
            let is_curls = |body: &Result<Vec<u8>, _>| body.as_deref().is_ok_and(is_whole);
            row.status == "ok" && curl.is_none_or(is_curls)
        }
    };
    let text = |body: &Vec<u8>| String::from_utf8_lossy(body).into_owned();
    let curl = curl.map(|body| body.as_ref().map(text));
    (!is_right).then(|| format!("{}: {row:?}; expected {:?}, curl {curl:?}", case.name, case.right))
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    status: String,
    error: String,
    all: String,
    saved: Option<Vec<u8>>,
}

fn rows(ran: &Ran, names: &[String]) -> Vec<Row> {
    let report = ran.report();
    let [mut status, mut error, mut all] =
        ["status", "error", "all"].map(|column| report.column(column).into_iter());
    let row = |name| Row {
        status: status.next().unwrap(),
        error: error.next().unwrap(),
        all: all.next().unwrap(),
        saved: fs::read(ran.path(format!("d/{name}"))).ok(),
    };
    names.iter().map(row).collect()
}

#[test]
fn hostile_answers_are_what_curl_makes_of_them_or_failed() {
    let cases = all_cases();
    let answers = by_path(&cases);
    let server = Raw::start(move |asked| answers[asked.path()].clone());
    let names: Vec<_> = cases.iter().map(|case| case.name.to_owned()).collect();
    let theirs: Option<Vec<_>> =
        names.iter().map(|name| curl(&server.url(&format!("/{name}")))).collect();
    if theirs.is_none() {
        eprintln!("skipped in part: there is no curl on this machine to compare with");
    }
    for model in MODELS {
        let ran = ask(&server, &names, model);
        let rows = rows(&ran, &names);
        let wrong = cases.iter().zip(&rows).enumerate().filter_map(|(at, (case, row))| {
            complaint(case, row, theirs.as_ref().map(|theirs| &theirs[at]))
        });
        let wrong: Vec<_> = wrong.collect();
        assert!(wrong.is_empty(), "{model}: {} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// How an answer is cut into pieces changes nothing, nor what is said about it.
#[test]
fn answers_that_drip_are_read_like_whole_ones() {
    let cases = all_cases();
    let answers = by_path(&cases);
    let drip = move |asked: &Asked, stream: &mut TcpStream| {
        let answer = &answers[asked.path().trim_end_matches("-dripping")];
        if !asked.path().ends_with("-dripping") {
            let _ = stream.write_all(answer);
            return;
        }
        stream.set_nodelay(true).unwrap();
        for piece in answer.chunks(answer.len().div_ceil(300).max(1)) {
            if stream.write_all(piece).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_micros(50)); // so that it does drip
        }
    };
    let server = Raw::start_by(drip);
    let names: Vec<_> = cases.iter().map(|case| case.name.to_owned()).collect();
    let dripping: Vec<_> = names.iter().map(|name| format!("{name}-dripping")).collect();
    let whole = rows(&ask(&server, &names, "async"), &names);
    let ran = ask(&server, &dripping, "async");
    for ((name, row), other) in names.iter().zip(&whole).zip(rows(&ran, &dripping)) {
        if row.status == "ok" {
            assert_eq!(*row, other, "{name}");
        } else {
            // Where exactly it broke may be another place.
            assert_eq!(
                (&*row.status, row.saved.as_ref()),
                (&*other.status, other.saved.as_ref()),
                "{name}"
            );
            assert!(other.all.is_empty() && !other.error.is_empty(), "{name}: {other:?}");
        }
    }
}

/// A connection may end at any byte, politely or not.
#[test]
fn what_is_cut_anywhere_is_never_ok() {
    let page = gzip(PAGE);
    let length = page.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n";
    let chunk = [format!("{:x}\r\n", 20).as_bytes(), &page[..20]].concat();
    let last =
        [format!("\r\n{:x}\r\n", length - 20).as_bytes(), &page[20..], b"\r\n0\r\n\r\n"].concat();
    let chunks = [chunk, last].concat();
    let answers = [
        head_and(&format!("{head}Connection: close\r\n\r\n"), &page),
        head_and(&format!("{head}Content-Length: {length}\r\n\r\n"), &page),
        head_and(&format!("{head}Transfer-Encoding: chunked\r\n\r\n"), &chunks),
    ];
    let names: Vec<_> = (0..answers.len())
        .flat_map(|kind| (0..=answers[kind].len()).map(move |at| (kind, at)))
        .flat_map(|(kind, at)| ["close", "reset"].map(|how| format!("{kind}-{at}-{how}")))
        .collect();
    let sent = answers.clone();
    let server = Raw::start_by(move |asked, stream| {
        let [kind, at, how]: [&str; 3] =
            asked.path()[1..].split('-').collect::<Vec<_>>().try_into().unwrap();
        let answer = &sent[kind.parse::<usize>().unwrap()][..at.parse().unwrap()];
        let _ = stream.write_all(answer);
        if how == "reset" {
            // With nothing to linger for, closing resets.
            rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO)).unwrap();
        }
    });
    for (name, row) in names.iter().zip(rows(&ask(&server, &names, "async"), &names)) {
        let mut parts = name.split('-');
        let kind: usize = parts.next().unwrap().parse().unwrap();
        let at: usize = parts.next().unwrap().parse().unwrap();
        let is_whole = at == answers[kind].len();
        if row.status == "ok" {
            // A body without a length that ends before it begins is empty, for curl as well.
            let is_empty = kind == 0 && answers[0][..at].ends_with(b"\r\n\r\n");
            let body = if is_empty { b"" } else { PAGE };
            assert_eq!(row.saved.as_deref(), Some(body), "{name}");
            assert_eq!(row.all.as_bytes(), body, "{name}");
            // Of the last chunk, nothing but the line breaks may be missing.
            let spare = if kind == 2 { 4 } else { 0 };
            assert!(is_empty || at + spare >= answers[kind].len(), "{name}");
        } else {
            assert_eq!((row.status, row.saved), ("failed".to_owned(), None), "{name}");
            assert!(row.all.is_empty() && !row.error.is_empty(), "{name}");
            assert!(!is_whole || name.ends_with("reset"), "{name}: {}", row.error);
        }
    }
}
