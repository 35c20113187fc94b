//! What curl and browsers read is read, equally; what they refuse is a failed row. Never a wrong text with `ok`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::MODELS;
use super::raw::{Raw, ok, status};
use crate::support::{Ran, TestJob};

const PAGE: &[u8] = b"<title>hello</title> some text, some text, some text, some text";

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

/// A page in this coding; `encoding` is the header.
fn coded(encoding: &str, body: &[u8]) -> Vec<u8> {
    ok(&format!("content-type: text/html\r\ncontent-encoding: {encoding}\r\n"), body)
}

/// Answers that are right, or wrong, in the way that their path says.
fn hostile(path: &str) -> Vec<u8> {
    let page = |headers: &str| ok(&format!("content-type: text/html\r\n{headers}"), PAGE);
    let two = [gzip(PAGE), gzip(b"more")].concat();
    match path {
        "/gzip" => coded("gzip", &gzip(PAGE)),
        "/upper" => coded("GZIP", &gzip(PAGE)),
        "/x-gzip" => coded("x-gzip", &gzip(PAGE)),
        "/zlib" => coded("deflate", &zlib(PAGE)),
        "/raw" => coded("deflate", &bare(PAGE)),
        "/two" => coded("deflate, gzip", &gzip(&zlib(PAGE))),
        "/members" => coded("gzip", &two),
        "/trailing" => coded("gzip", &[&gzip(PAGE)[..], b"\n\n<!-- cached -->"].concat()),
        "/zstd" => coded("zstd", &zstd::bulk::compress(PAGE, 3).unwrap()),
        "/none" => coded("none", PAGE),
        "/nothing-gzip" => coded("gzip", b""),
        "/cut" => coded("gzip", &gzip(PAGE)[..30]),
        "/cut-trailer" => coded("gzip", &gzip(PAGE)[..gzip(PAGE).len() - 3]),
        "/plain-as-gzip" => coded("gzip", PAGE),
        "/compress" => coded("compress", PAGE),
        "/utf-8" => coded("utf-8", PAGE),
        "/spaces" => page("x : y\r\nx-long: a\r\n b\r\n"),
        "/latin-header" => page("x-name: Gr\u{e9}\r\n"),
        "/no-colon" => page("this is not a header\r\n"),
        "/bare-lf" => [&b"HTTP/1.1 200 OK\ncontent-type: text/html\n\n"[..], PAGE].concat(),
        "/http10" => [&b"HTTP/1.0 200 OK\r\n\r\n"[..], PAGE].concat(),
        "/no-reason" => [&b"HTTP/1.1 200\r\n\r\n"[..], PAGE].concat(),
        "/many" => page(&"x-many: 1\r\n".repeat(900)),
        "/te-gzip" => {
            let body = gzip(PAGE);
            let head = format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n{:x}\r\n",
                body.len()
            );
            [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
        }
        _ => status("404 Not Found", "", b""),
    }
}

fn run(server: &Raw, paths: &[&str], keys: &str, args: &[&str]) -> Ran {
    let paths: Vec<_> = paths.iter().map(|path| format!("{path:?}")).collect();
    let text = format!(
        "[inputs]\nvalues = [{}]\n[workload.http]\nurl = \"{}{{input}}\"\n{keys}",
        paths.join(", "),
        server.url("")
    );
    TestJob::new(&text).args(args.iter().copied()).run()
}

#[test]
fn codings_are_undone_under_every_model() {
    let right = [
        "/gzip",
        "/upper",
        "/x-gzip",
        "/zlib",
        "/raw",
        "/two",
        "/members",
        "/trailing",
        "/zstd",
        "/none",
        "/te-gzip",
    ];
    let wrong = ["/cut", "/cut-trailer", "/plain-as-gzip", "/compress", "/utf-8"];
    let paths = [&right[..], &wrong, &["/nothing-gzip"]].concat();
    for model in MODELS {
        let server = Raw::start(|asked| hostile(asked.path()));
        let keys = "save = \"d/{task}\"\n[columns.title]\nregex = '<title>([^<]*)'";
        let ran = run(&server, &paths, keys, &["--model", model]);
        ran.exit(3);
        let rows = ran.report().select("status,title");
        for (task, path) in paths.iter().enumerate() {
            let file = ran.path(format!("d/{}", task + 1));
            if right.contains(path) {
                assert_eq!(rows[task], "ok,hello", "{model} {path}");
                let body = fs::read(file).unwrap();
                assert!(body.starts_with(PAGE), "{model} {path}");
                assert_eq!(body.len() > PAGE.len(), *path == "/members", "{model} {path}");
            } else if *path == "/nothing-gzip" {
                assert_eq!(rows[task], "ok,", "{model} {path}");
            } else {
                assert_eq!(rows[task], "failed,", "{model} {path}");
                assert!(!file.exists(), "{model} {path}");
            }
        }
    }
}

#[test]
fn loose_heads_are_read_and_what_is_left_out_is_said() {
    let server = Raw::start(|asked| hostile(asked.path()));
    let paths =
        ["/spaces", "/latin-header", "/bare-lf", "/http10", "/no-reason", "/many", "/no-colon"];
    let keys = "[columns.title]\nregex = '<title>([^<]*)'\n[columns.x]\nheader = \"x\"\n[columns.long]\nheader = \"x-long\"";
    let ran = run(&server, &paths, keys, &[]);
    ran.exit(0).rows(
        "status,title,x,error",
        &[
            "ok,hello,y,",
            "ok,hello,,",
            "ok,hello,,",
            "ok,hello,,",
            "ok,hello,,",
            "ok,hello,,",
            "ok,hello,,left out a line of the answer's head that is not a header: `this is not a header`",
        ],
    );
}

/// Well-behaved servers are read strictly after a while. One that then stops to behave is asked once more, not failed.
#[test]
fn a_server_that_was_long_in_order_may_still_send_odd_heads() {
    for model in MODELS {
        let server = Raw::start(|asked| match asked.path() {
            "/odd" => ok("this is not a header\r\nx : y\r\nz: a\r\n b\r\n", b"<title>odd</title>"),
            _ => ok("x: y\r\n", b"<title>even</title>"),
        });
        let (even, odd) = (vec!["/even"; 150], vec!["/odd"; 20]);
        let paths: Vec<_> = even.iter().chain(&odd).chain(&even).copied().collect();
        let keys = "[columns.title]\nregex = '<title>([^<]*)'\n[columns.x]\nheader = \"x\"\n[limits]\nconcurrency = 1";
        let ran = run(&server, &paths, keys, &["--model", model]);
        let rows = ran.exit(0).report().select("status,title,x");
        let right = |path: &str| if path == "/odd" { "ok,odd,y" } else { "ok,even,y" };
        assert_eq!(rows, paths.iter().map(|path| right(path)).collect::<Vec<_>>(), "{model}");
        let errors = ran.report().column("error");
        assert!(errors[150..170].iter().all(|error| error.contains("not a header")), "{model}");
        assert!(server.asked().len() <= paths.len() + 1, "{model}: {}", server.asked().len());
    }
}

/// curl beside ours: where curl reads a body, we read the same one.
#[test]
fn what_curl_reads_we_read() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: there is no curl on this machine");
        return;
    }
    let server = Raw::start(|asked| hostile(asked.path()));
    let paths = [
        "/gzip",
        "/upper",
        "/x-gzip",
        "/zlib",
        "/raw",
        "/two",
        "/none",
        "/nothing-gzip",
        "/compress",
        "/plain-as-gzip",
        "/utf-8",
        "/spaces",
        "/latin-header",
        "/bare-lf",
        "/http10",
        "/many",
    ];
    let ran = run(&server, &paths, "save = \"d/{task}\"", &[]);
    let status = ran.report().column("status");
    for (task, path) in paths.iter().enumerate() {
        let curl = Command::new("curl")
            .args(["-s", "--compressed", "--max-time", "20", "--noproxy", "*", &server.url(path)])
            .output()
            .unwrap();
        assert_eq!(curl.status.success(), status[task] == "ok", "{path}");
        if curl.status.success() {
            let body = fs::read(ran.path(format!("d/{}", task + 1))).unwrap();
            assert_eq!(body, curl.stdout, "{path}");
        }
    }
}

/// A page in a charset: where it says so, and how its title is written.
fn in_charset(path: &str) -> Vec<u8> {
    let html =
        |charset: &str, body: &[u8]| ok(&format!("content-type: text/html{charset}\r\n"), body);
    match path {
        "/sjis" => html("; charset=Shift_JIS", b"<title>\x93\xfa\x96{</title>"),
        "/cp1251" => html("", b"<meta charset=\"windows-1251\"><title>\xcf\xf0\xe8</title>"),
        "/latin1" => html("; charset=iso-8859-1", b"<title>Gr\xf6\xdfe</title>"),
        "/silent" => html("", b"<title>Gr\xf6\xdfe</title>"),
        "/utf16" => html("", b"\xff\xfe<\0t\0i\0t\0l\0e\0>\0G\0r\0\xf6\0<\0/\0t\0i\0t\0l\0e\0>\0"),
        "/entities" => html("", b"<title>\n A &amp; B &#8211; C\n</title>"),
        "/attribute" => html("", b"<TITLE data-x='1'>With attribute</TITLE>"),
        "/late" => html("", &[&vec![b'x'; 2 << 20][..], b"<title>late</title>"].concat()),
        "/json" => ok("content-type: application/json; charset=latin1\r\n", b"{\"n\":\"Gr\xf6\"}"),
        "/json-bom" => ok("content-type: application/json\r\n", b"\xef\xbb\xbf{\"n\":\"Bom\"}"),
        _ => ok("x-note: Gr\u{f6}\r\n", b""),
    }
}

#[test]
fn texts_are_read_in_their_own_charset() {
    let paths = [
        "/sjis",
        "/cp1251",
        "/latin1",
        "/silent",
        "/utf16",
        "/entities",
        "/attribute",
        "/late",
        "/json",
        "/json-bom",
    ];
    let keys = "
        [columns.title]
        html = 'title'
        [columns.found]
        regex = '<title>([^<]*)'
        [columns.n]
        json = '/n'";
    for model in MODELS {
        let server = Raw::start(|asked| in_charset(asked.path()));
        let ran = run(&server, &paths, keys, &["--model", model]);
        ran.exit(3).rows(
            "status,title,found,n",
            &[
                "ok,日本,日本,",
                "ok,При,При,",
                "ok,Größe,Größe,",
                "ok,Größe,Größe,",
                "ok,Grö,Grö,",
                "ok,A & B – C,'\n A &amp; B &#8211; C\n,",
                "ok,With attribute,,",
                "failed,,,",
                "ok,,,Grö",
                "ok,,,Bom",
            ],
        );
        let error = &ran.report().column("error")[7];
        assert!(error.contains("raise `max_body` above 1MiB"), "{error}");
    }
}

#[test]
fn a_compressed_file_is_kept_as_it_is() {
    let archive = gzip(b"a,b\n1,2\n");
    let sent = archive.clone();
    let server = Raw::start(move |asked| {
        let body = if asked.path() == "/twice.gz" { gzip(&sent) } else { sent.clone() };
        ok("content-encoding: gzip\r\n", &body)
    });
    let ran = run(&server, &["/once.gz", "/twice.gz", "/table"], "save = \"d{input}\"", &[]);
    ran.exit(0);
    assert_eq!(fs::read(ran.path("d/once.gz")).unwrap(), archive);
    assert_eq!(fs::read(ran.path("d/twice.gz")).unwrap(), archive);
    assert_eq!(fs::read(ran.path("d/table")).unwrap(), b"a,b\n1,2\n");
    let ran = run(&server, &["/table"], "save = \"d{input}\"\ndecode = false", &[]);
    assert_eq!(fs::read(ran.exit(0).path("d/table")).unwrap(), archive);
    assert_eq!(server.asked().last().unwrap().header("accept-encoding"), None);
}

#[test]
fn a_name_that_cannot_be_is_found_before_the_transfer() {
    let server = Raw::start(|_| ok("", b"hello"));
    let long = "x".repeat(300);
    let paths = [&format!("/{long}")[..], "/folder", "/file/x", "/good"];
    let job = format!(
        "[inputs]\nvalues = {paths:?}\n[workload.http]\nurl = \"{}{{input}}\"\nsave = \"d{{input}}\"",
        server.url("")
    );
    let ran = TestJob::new(&job).file("d/folder/x", "").file("d/file", "").run();
    ran.exit(3).rows("status", &["failed", "failed", "failed", "ok"]);
    let errors = ran.report().column("error");
    assert!(errors[0].contains("a name in it has 300 bytes"), "{}", errors[0]);
    assert!(errors[1].contains("it is a folder"), "{}", errors[1]);
    assert!(errors[2].contains("not a directory"), "{}", errors[2]);
    assert_eq!(server.asked().len(), 1, "nothing is transferred for a name that cannot be");
}

#[test]
fn locations_are_bytes_and_cookies_stay_with_their_chain() {
    let server = Raw::start(|asked| {
        let seen = asked.header("cookie").unwrap_or_default().contains("seen=1");
        let to = |path: &str, more: &str| {
            status("302 Found", &format!("location: {path}\r\n{more}"), b"")
        };
        match asked.path() {
            "/self" | "/gate" if seen => ok("", b"hello"),
            "/self" => to("/self", "set-cookie: seen=1; path=/\r\n"),
            "/gate" => to("/wall", "set-cookie: seen=1; path=/\r\n"),
            "/wall" if seen => to("/gate", ""),
            "/latin" => {
                let mut answer = to("/gr#", "");
                let at = answer.iter().position(|&byte| byte == b'#').unwrap();
                answer[at] = 0xfc;
                answer
            }
            "/gr%FC" => ok("", b"hello"),
            _ => ok("", b"the wall"),
        }
    });
    let ran = run(&server, &["/self", "/gate", "/latin"], "", &[]);
    ran.exit(0).rows("status,output_bytes", &["ok,5", "ok,5", "ok,5"]);
    let ran = run(&server, &["/gate"], "cookies = false", &[]);
    ran.exit(0).rows("output_bytes", &["8"]);
    let keys = "cookies = \"job\"";
    let ran = run(&server, &["/gate", "/gate"], keys, &["-j", "1", "--model", "threads"]);
    ran.exit(0).rows("output_bytes", &["5", "5"]);
    assert_eq!(server.asked().iter().rev().take_while(|asked| asked.path() == "/gate").count(), 2);
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let whole: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    // A server may also say itself that it sends less than the rest.
    for (model, sends_parts) in MODELS.into_iter().flat_map(|model| [(model, false), (model, true)])
    {
        let body = whole.clone();
        let server = Raw::start(move |asked| {
            let head = |status: &str, more: &str, length: usize| {
                format!(
                    "HTTP/1.1 {status}\r\netag: \"v1\"\r\n{more}content-length: {length}\r\n\r\n"
                )
            };
            let start = asked.header("range").map_or(0, |range| {
                range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()
            });
            let end = body.len().min(start + 90_000);
            let said = if sends_parts { end } else { body.len() };
            let more = format!("content-range: bytes {start}-{}/{}\r\n", said - 1, body.len());
            let head = if start == 0 {
                head("200 OK", "", body.len())
            } else {
                head("206 Partial Content", &more, said - start)
            };
            [head.as_bytes(), &body[start..end]].concat()
        });
        let keys = "save = \"d/file\"\nexpect_status = [200]\n[columns.start]\nregex = '(?s-u)^\\x00(.)'\n[retry]\nmax_attempts = 3\ndelay = \"1ms\"";
        let ran = run(&server, &["/file"], keys, &["--model", model, "-j", "1"]);
        ran.exit(0).rows("status,attempts,output_bytes", &["ok,3,200000"]);
        assert_eq!(fs::read(ran.path("d/file")).unwrap(), whole, "{model}");
        let ranges: Vec<_> =
            server.asked().iter().map(|asked| asked.header("range").map(str::to_owned)).collect();
        let range = |start: &str| Some(format!("bytes={start}-"));
        assert_eq!(ranges, [None, range("90000"), range("180000")], "{model}");
        assert_eq!(server.asked()[1].header("if-range"), Some("\"v1\""));
    }
}

#[test]
fn a_server_that_refuses_a_rest_is_asked_for_the_whole() {
    for (refusal, requests) in [
        ("400 Bad Request", 3),
        ("403 Forbidden", 3),
        ("412 Precondition Failed", 3),
        ("501 Not Implemented", 3),
        ("500 Oops", 4), // it may be about the server, the first time
    ] {
        let body = b"0123456789";
        let is_broken = Arc::new(AtomicBool::new(true));
        let server = Raw::start(move |asked| match asked.header("range") {
            Some(_) => status(refusal, "", b"no"),
            None if is_broken.swap(false, Ordering::SeqCst) => {
                b"HTTP/1.1 200 OK\r\netag: \"v\"\r\ncontent-length: 10\r\n\r\n01234".to_vec()
            }
            None => ok("etag: \"v\"\r\n", body),
        });
        let keys = "save = \"file\"\n[retry]\nmax_attempts = 4\ndelay = \"1ms\"";
        let ran = run(&server, &["/file"], keys, &["-j", "1", "--model", "async"]);
        ran.exit(0).rows("status", &["ok"]);
        assert_eq!(fs::read(ran.path("file")).unwrap(), body, "{refusal}");
        assert_eq!(server.asked().len(), requests, "{refusal}");
    }
}

#[test]
fn a_file_that_has_changed_is_fetched_anew() {
    let server = Raw::start(|asked| match asked.header("if-range") {
        None => b"HTTP/1.1 200 OK\r\netag: \"v1\"\r\ncontent-length: 10\r\n\r\n01234".to_vec(),
        Some(_) => ok("etag: \"v2\"\r\n", b"abcdefghij"),
    });
    let keys = "save = \"d/file\"\n[retry]\nmax_attempts = 2\ndelay = \"1ms\"";
    let ran = run(&server, &["/file"], keys, &[]);
    ran.exit(0).rows("status,attempts", &["ok,2"]);
    assert_eq!(fs::read(ran.path("d/file")).unwrap(), b"abcdefghij");
}

#[test]
fn head_falls_back_and_no_body_is_read_where_none_is_wanted() {
    let server = Raw::start(|asked| match (asked.head.starts_with("HEAD"), asked.path()) {
        (true, "/405") => status("405 Method Not Allowed", "", b""),
        (true, "/503") => status("503 Busy", "", b""),
        (false, "/endless") => b"HTTP/1.1 200 OK\r\n\r\nthe start of something endless".to_vec(),
        _ => ok("", b"hello"),
    });
    let keys = "method = \"HEAD\"\nfallback = \"GET\"";
    let ran = run(&server, &["/405", "/ok", "/503"], keys, &[]);
    ran.exit(3).rows("status,code", &["ok,200", "ok,200", "failed,503"]);
    let ran = run(&server, &["/endless"], "max_body = \"0B\"", &[]);
    ran.exit(0).rows("status,code,output_bytes", &["ok,200,"]);
    for keys in ["max_body = \"0B\"\nsave = \"x\"", "max_body = \"0B\"\n[columns.x]\nregex = 'x'"] {
        run(&server, &["/ok"], keys, &[]).exit(2).stderr_has("reads no body");
    }
}

#[test]
fn what_sends_nothing_is_ended() {
    let server = super::Server::start();
    for ((path, doing), model) in
        [("/stall", "waiting for the response"), ("/stall-body", "reading the body")]
            .into_iter()
            .flat_map(|kind| MODELS.map(|model| (kind, model)))
    {
        let ran = super::job(&server, &[path], "stall = \"200ms\"").args(["--model", model]).run();
        ran.exit(3).rows(
            "status,error",
            &[&format!("timeout,stalled: nothing came for 200ms while {doing}")],
        );
    }
}

#[test]
fn folders_are_made_for_what_is_saved() {
    let server = Raw::start(|_| ok("", b"hello"));
    let ran = run(&server, &["/a/b/c"], "save = \"d{input}\"", &[]);
    ran.exit(0);
    assert!(Path::new(&ran.path("d/a/b/c")).is_file());
}

#[test]
fn two_tasks_do_not_save_one_file() {
    for model in MODELS {
        let server = Raw::start(|asked| ok("", asked.path().as_bytes()));
        let keys = "save = \"d/{input.base}\"";
        let ran = run(&server, &["/a.x", "/a.y", "/b.x"], keys, &["--model", model, "-j", "1"]);
        ran.exit(3).rows("status", &["ok", "failed", "ok"]);
        let error = &ran.report().column("error")[1];
        assert!(
            error.contains("cannot save `") && error.ends_with("d/a`: task 1 writes it already"),
            "{error}"
        );
        assert_eq!(fs::read(ran.path("d/a")).unwrap(), b"/a.x", "{model}");
        assert_eq!(server.asked().len(), 2, "{model}");
        // An attempt after another is the same task's.
        let server = Raw::start(|asked| {
            if asked.path() == "/bad" { status("500 No", "", b"") } else { ok("", b"x") }
        });
        let keys = "save = \"d/x\"\n[retry]\nmax_attempts = 2\ndelay = \"1ms\"";
        let ran = run(&server, &["/bad"], keys, &["--model", model]);
        ran.exit(3).rows("attempts,error", &["2,status 500 not expected (expected 2xx)"]);
        let ran = run(&server, &["/x"], "save = \"results/job.csv\"", &["--model", model]);
        ran.exit(3);
        let error = &ran.report().column("error")[0];
        assert!(error.ends_with("it is a file of the job's report"), "{error}");
    }
}

#[test]
fn a_jar_for_all_is_not_for_processes() {
    let server = Raw::start(|_| ok("", b""));
    let ran = run(&server, &["/"], "cookies = \"job\"", &["--model", "processes"]);
    ran.exit(2).stderr_has("each process has a client of its own");
    run(&server, &["/"], "cookies = \"job\"", &["--model", "sequential"]).exit(0);
}
