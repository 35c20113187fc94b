//! Requests over HTTP/2, and servers that leave them where they are.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{MODELS, TestJob};

/// How much a client may send unasked, in bytes.
const WINDOW: usize = 65_535;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

const ACKNOWLEDGED: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame as it came.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn read(from: &mut TcpStream) -> Option<Self> {
        let mut head = [0; 9];
        from.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        from.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Self { kind: head[3], flags: head[4], stream, payload })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

fn write(to: &mut TcpStream, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    let _ = to.write_all(&[&head[..], payload].concat()); // a client may leave as it likes
}

/// `200 OK`, and `hello`.
fn answer(to: &mut TcpStream, stream: u32) {
    write(to, HEADERS, END_HEADERS, stream, &[0x88]);
    write(to, DATA, END_STREAM, stream, b"hello");
}

/// A server that hands each frame to `take`, with the number of its connection, from 1.
fn serve(take: impl Fn(usize, &Frame, &mut TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let take = take.clone();
            thread::spawn(move || {
                let mut preface = [0; 24];
                if stream.read_exact(&mut preface).is_err() {
                    return;
                }
                write(&mut stream, SETTINGS, 0, 0, &[]);
                while let Some(frame) = Frame::read(&mut stream) {
                    if frame.kind == SETTINGS && !frame.has(ACKNOWLEDGED) {
                        write(&mut stream, SETTINGS, ACKNOWLEDGED, 0, &[]);
                    }
                    take(number + 1, &frame, &mut stream);
                }
            });
        }
    });
    format!("http://{address}/")
}

#[test]
fn an_upload_that_the_server_takes_slowly_is_not_stalled() {
    let url = serve(|_, frame, stream| {
        if frame.kind == DATA && frame.has(END_STREAM) {
            return answer(stream, frame.stream);
        }
        if frame.kind == DATA {
            thread::sleep(Duration::from_millis(150)); // that is what is tested
            let taken = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
            write(stream, WINDOW_UPDATE, 0, 0, &taken);
            write(stream, WINDOW_UPDATE, 0, frame.stream, &taken);
        }
    });
    for model in ["async", "processes"] {
        let text = format!(
            "[workload.http]\nurl = \"{url}\"\nhttp2 = true\nbody_file = \"big\"\nstall = \"1500ms\"\n[limits]\ntimeout = \"100s\""
        );
        let job = TestJob::new(&text).file("big", vec![b'x'; 5 * WINDOW]);
        job.args(["--model", model]).run().exit(0).rows("status,code", &["ok,200"]);
    }
}

#[test]
fn an_upload_that_the_server_does_not_take_is_stalled() {
    let url = serve(|_, frame, stream| {
        if frame.kind == HEADERS && frame.has(END_STREAM) {
            answer(stream, frame.stream); // no body
        }
    });
    for model in MODELS {
        let text = format!(
            "inputs.values = [\"\", \"{}\", \"\"]\n[workload.http]\nurl = \"{url}\"\nhttp2 = true\nbody = \"{{input}}\"\n\
             stall = \"500ms\"\n[limits]\ntimeout = \"100s\"",
            "x".repeat(2 * WINDOW)
        );
        let stalled = "timeout,stalled: nothing came for 500ms while waiting for the response";
        let ran = TestJob::new(&text).args(["--model", model]).run();
        ran.exit(3).rows("status,error", &["ok,", stalled, "ok,"]);
    }
}

#[test]
fn a_connection_that_has_gone_silent_is_not_used_again() {
    for limit in ["stall = \"500ms\"", "[limits]\ntimeout = \"500ms\""] {
        let silent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&silent);
        // The first connection answers once.
        let url = serve(move |connection, frame, stream| {
            if frame.kind != HEADERS {
                return;
            }
            if connection > 1 || frame.stream == 1 {
                answer(stream, frame.stream);
            } else {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let text = format!(
            "inputs.repeat = 4\n[workload.http]\nurl = \"{url}\"\nhttp2 = true\n{limit}\n[retry]\nmax_attempts = 2"
        );
        let ran = TestJob::new(&text).args(["--model", "async", "--concurrency", "1"]).run();
        ran.exit(0).rows("status,attempts", &["ok,1", "ok,2", "ok,1", "ok,1"]);
        assert_eq!(silent.load(Ordering::Relaxed), 1);
    }
}
