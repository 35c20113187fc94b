//! How much of a body has to come, and what a part of it belongs to: what is short, or spliced of two, is never ok.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::MODELS;
use super::raw::{Asked, Raw, ok, status};
use crate::support::{Ran, TestJob};

const OLD: &str =
    "last-modified: Wed, 21 Oct 2015 07:28:00 GMT\r\ndate: Sat, 28 Nov 2026 09:00:00 GMT\r\n";
const NEW: &str =
    "last-modified: Fri, 27 Nov 2026 07:28:00 GMT\r\ndate: Sat, 28 Nov 2026 09:00:00 GMT\r\n";
const RETRY: &str = "[retry]\nmax_attempts = 3\ndelay = \"1ms\"";

fn run(server: &Raw, path: &str, keys: &str, model: &str) -> Ran {
    let text = format!("[workload.http]\nurl = \"{}\"\n{keys}", server.url(path));
    TestJob::new(&text).args(["--model", model]).run()
}

/// 10 of 20 bytes of an old version.
fn cut(headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: 20\r\n\r\naaaaaaaaaa").into_bytes()
}

/// The rest of a new version for whoever asks for a rest, else all of it.
fn new(asked: &Asked, headers: &str) -> Vec<u8> {
    match asked.header("range") {
        Some(_) => {
            let headers = format!("{headers}content-range: bytes 10-19/20\r\n");
            status("206 Partial Content", &headers, b"bbbbbbbbbb")
        }
        None => ok(headers, b"bbbbbbbbbbbbbbbbbbbb"),
    }
}

#[test]
fn no_file_is_spliced_of_two_versions() {
    let tag = |tag: &str, more: &str| format!("etag: \"{tag}\"\r\n{more}");
    let cases = [
        (OLD.to_owned(), NEW.to_owned()),
        (OLD.to_owned(), String::new()),
        (tag("v1", OLD), tag("v1", NEW)),
        (tag("v1", ""), tag("v2", "")),
        (tag("v1", ""), String::new()),
        (OLD.to_owned(), tag("v2", NEW)),
    ];
    for model in MODELS {
        for (first, then) in cases.clone() {
            let asked_before = Arc::<AtomicUsize>::default();
            let server = {
                let (first, then) = (first.clone(), then.clone());
                Raw::start(move |asked| match asked_before.fetch_add(1, Ordering::SeqCst) {
                    0 => cut(&first),
                    _ => new(asked, &then),
                })
            };
            let ran = run(&server, "/x", &format!("save = \"x\"\n{RETRY}"), model);
            ran.exit(0).rows("status,attempts", &["ok,2"]);
            let saved = fs::read_to_string(ran.path("x")).unwrap();
            assert_eq!(saved, "b".repeat(20), "{model} {first:?} {then:?}");
            assert_eq!(server.asked().len(), 3, "{model} {first:?} {then:?}");
        }
    }
}

#[test]
fn another_place_has_no_rest_of_a_file() {
    let asked_before = Arc::<AtomicUsize>::default();
    let server = Raw::start(move |asked| match asked.path() {
        "/x" if asked_before.fetch_add(1, Ordering::SeqCst) == 0 => {
            status("302 Found", "location: /v1\r\n", b"")
        }
        "/x" => status("302 Found", "location: /v2\r\n", b""),
        "/v1" => cut(OLD),
        _ => new(asked, OLD),
    });
    let ran = run(&server, "/x", &format!("save = \"x\"\n{RETRY}"), "async");
    ran.exit(0).rows("status,attempts", &["ok,2"]);
    assert_eq!(fs::read_to_string(ran.path("x")).unwrap(), "b".repeat(20));
}

#[test]
fn a_part_of_what_nobody_knows_the_length_of_is_no_rest() {
    let server = Raw::start(|asked| {
        match asked.header("range") {
        None => b"HTTP/1.1 200 OK\r\netag: \"v\"\r\ntransfer-encoding: chunked\r\n\r\na\r\naaaaaaaaaa\r\n".to_vec(),
        Some(_) => {
            status("206 P", "etag: \"v\"\r\ncontent-range: bytes 10-19/*\r\n", b"bbbbb")
        }
    }
    });
    let ran = run(&server, "/x", &format!("save = \"x\"\n{RETRY}"), "async");
    ran.exit(3).rows("status", &["failed"]);
    assert!(!ran.path("x").exists());
}

#[test]
fn a_resumed_file_has_the_name_of_its_last_attempt() {
    for model in MODELS {
        let asked_before = Arc::<AtomicUsize>::default();
        let server = Raw::start(move |asked| match asked_before.fetch_add(1, Ordering::SeqCst) {
            0 => cut("etag: \"v\"\r\n"),
            _ => new(asked, "etag: \"v\"\r\n"),
        });
        let ran = run(&server, "/x", &format!("save = \"f-{{attempt}}\"\n{RETRY}"), model);
        ran.exit(0).rows("status,attempts", &["ok,2"]);
        assert!(!ran.path("f-1").exists(), "{model}");
        assert_eq!(fs::read(ran.path("f-2")).unwrap().len(), 20, "{model}");
    }
}

#[test]
fn parts_that_are_not_what_was_asked_for_are_not_ok() {
    let parts = "content-type: multipart/byteranges; boundary=X\r\n";
    for (asked, headers) in [
        ("", "content-range: Bytes 0-9/20\r\n"),
        ("", parts),
        ("", ""),
        ("", "content-range: bytes 0-19/20\r\n"),
        ("", "content-range: bytes 0-9/10\r\ncontent-range: bytes 0-9/20\r\n"),
        ("bytes=0-4", "content-range: bytes 5-9/20\r\n"),
        ("bytes=0-19", "content-range: bytes 0-19/*\r\n"),
        ("bytes=0-9", ""),
    ] {
        let server = Raw::start(move |_| status("206 Partial Content", headers, b"0123456789"));
        let keys = match asked {
            "" => String::new(),
            asked => format!("headers = {{ Range = \"{asked}\" }}\n"),
        };
        let ran = run(&server, "/x", &format!("{keys}save = \"x\""), "async");
        ran.exit(3).rows("status", &["failed"]);
        assert!(!ran.report().column("error")[0].is_empty(), "{asked} {headers}");
        assert!(!ran.path("x").exists(), "{asked} {headers}");
    }
    let whole = "content-range: bytes 0-9/10\r\n";
    let server = Raw::start(move |_| status("206 Partial Content", whole, b"0123456789"));
    run(&server, "/x", "", "async").exit(0);
    run(&server, "/x", "headers = { Range = \"bytes=0-99\" }", "async").exit(0);
}

#[test]
fn head_has_nothing_to_save() {
    let server = Raw::start(|_| ok("", b""));
    for keys in ["", "fallback = \"GET\"\n"] {
        let keys = format!("method = \"head\"\nsave = \"x\"\n{keys}");
        run(&server, "/x", &keys, "async").exit(2).stderr_has("`save` has nothing to save");
    }
    let text = format!(
        "inputs.values = [\"HEAD\", \"GET\"]\n[workload.http]\nmethod = \"{{input}}\"\nurl = \"{}\"\nsave = \"{{input}}\"",
        server.url("/")
    );
    let ran = TestJob::new(&text).run();
    ran.exit(3).rows("status,attempts", &["failed,1", "ok,1"]);
}

/// A server of HTTP/2 that answers the one request of each connection with these frames.
fn http2(frames: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A connection that is dropped with bytes unread is reset, and its answer lost.
    let kept = Arc::<Mutex<Vec<TcpStream>>>::default();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let acknowledged = [0, 0, 0, 4, 1, 0, 0, 0, 0];
            if stream.write_all(&settings).is_err() || !read_request(&mut stream) {
                continue;
            }
            let _ = stream.write_all(&[&acknowledged[..], &frames].concat()); // as it likes
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        }
    });
    format!("http://{address}/")
}

/// Reads the preface and frames up to the headers of a request.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut head = [0; 9];
    let mut rest = vec![0; 24];
    while stream.read_exact(&mut rest).is_ok() {
        if head[3] == 1 {
            return true;
        }
        if stream.read_exact(&mut head).is_err() {
            return false;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        rest = vec![0; usize::try_from(length).unwrap()];
    }
    false
}

/// A frame of the first stream.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
}

#[test]
fn a_stream_that_is_reset_is_cut_short_though_there_was_no_error() {
    // `:status: 200`, alone and with `content-length: 20`
    let (plain, sized) = (&[0x88][..], &[0x88, 0x0f, 0x0d, 2, b'2', b'0'][..]);
    let ten = frame(0, 0, b"0123456789");
    let last = frame(0, 1, b"0123456789");
    let reset = frame(3, 0, &[0, 0, 0, 0]);
    for (headers, frames, right) in [
        (plain, [&last[..], b""], "ok,10"),
        (plain, [&last, &reset], "ok,10"),
        (plain, [&ten, &reset], "failed,10"),
        (sized, [&ten, &reset], "failed,10"),
        (sized, [&ten, &last], "ok,20"),
        (sized, [&[&ten[..], &ten].concat(), &reset], "ok,20"),
    ] {
        let url = http2([&frame(1, 4, headers), frames[0], frames[1]].concat());
        for model in ["threads", "processes", "async"] {
            let text = format!(
                "[workload.http]\nurl = \"{url}\"\nhttp2 = true\nsave = \"x\"\n[limits]\ntimeout = \"60s\""
            );
            let ran = TestJob::new(&text).args(["--model", model]).run();
            ran.rows("status,output_bytes", &[right]);
            assert_eq!(ran.path("x").exists(), right.starts_with("ok"), "{model} {headers:?}");
        }
    }
}
