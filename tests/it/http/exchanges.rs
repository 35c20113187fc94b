//! What goes and comes around the request itself: lengths, cookies, hosts that refuse, answers that come early.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::MODELS;
use super::raw::{Raw, ok, status};
use crate::support::TestJob;

#[test]
fn a_length_that_the_job_file_says_gives_way_to_the_real_one() {
    let text = "a name that is longer than the one that was copied";
    for model in MODELS {
        let server = Raw::start(|asked| ok("", &asked.body));
        for body in ["body = \"{input}\"", "json = \"{input}\"", "body_file = \"f.txt\""] {
            for length in ["24", "400"] {
                let job = format!(
                    "[inputs]\nvalues = [\"{text}\"]\n[workload.http]\nurl = \"{}\"\nmethod = \"POST\"\n{body}\n\
                     headers = {{ Content-Length = \"{length}\" }}\n[columns.got]\nregex = '\"?([^\"]*)'",
                    server.url("/")
                );
                let job = TestJob::new(&job).file("f.txt", text).args(["--model", model]);
                job.run().exit(0).rows("got", &[text]);
            }
        }
    }
}

#[test]
fn a_jar_for_all_is_for_all_stages() {
    for model in ["sequential", "threads", "async"] {
        let server = Raw::start(|asked| match asked.path() {
            "/login" => ok("set-cookie: sid=1; path=/\r\n", b"in"),
            _ => ok("", asked.header("cookie").unwrap_or("none").as_bytes()),
        });
        let stage = |name: &str| {
            format!(
                "[[stages]]\nname = \"{name}\"\nmodel = \"{model}\"\n[stages.workload.http]\nurl = \"{}\"\ncookies = \"job\"\n",
                server.url(&format!("/{name}"))
            )
        };
        let column = "[stages.columns.got]\nregex = '.+'";
        let job = format!("{}{}{column}", stage("login"), stage("page"));
        TestJob::new(&job).run().exit(0).rows("got", &["sid=1"]);
    }
}

#[test]
fn cookies_end_at_dates_of_all_kinds() {
    let server = Raw::start(|asked| match asked.path() {
        "/echo" => ok("", asked.header("cookie").unwrap_or("none").as_bytes()),
        _ => status(
            "302 Found",
            "location: /echo\r\nset-cookie: s=old; path=/\r\n\
             set-cookie: s=new; path=/; expires=Wed Jan 01 2020 00:00:00 GMT+0000 (UTC)\r\n",
            b"",
        ),
    });
    let job = format!(
        "[workload.http]\nurl = \"{}\"\n[columns.got]\nregex = '.+'",
        server.url("/logout")
    );
    TestJob::new(&job).run().exit(0).rows("got", &["none"]);
}

/// Answers every request at once, and closes without having read its body.
fn impatient() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::with_capacity(1024, stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if stream.read_line(&mut head).is_ok_and(|read| read == 0) {
                    break;
                }
            }
            let answer = status("413 Too Large", "", b"too long");
            let _ = stream.into_inner().write_all(&answer);
        }
    });
    url
}

#[test]
fn an_answer_that_comes_before_the_body_was_sent_is_read() {
    for model in MODELS {
        let job = format!(
            "[inputs]\nrepeat = 6\n[workload.http]\nurl = \"{}\"\nmethod = \"POST\"\nbody_file = \"big\"\n\
             expect_status = [413]\n[columns.said]\nregex = '.+'\n[limits]\nconcurrency = 2",
            impatient()
        );
        let job = TestJob::new(&job).file("big", vec![b'x'; 6_000_000]).args(["--model", model]);
        job.run().exit(0).rows("code,said", &["413,too long"; 6]);
    }
}

#[test]
fn a_host_that_refuses_after_a_redirect_is_left_alone_too() {
    for model in MODELS {
        let times = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&times);
        let files = Raw::start(move |_| {
            let mut seen = seen.lock().unwrap();
            seen.push(Instant::now());
            match seen.len() {
                1 => status("429 Slow", "retry-after: 1\r\n", b""),
                _ => ok("", b"file"),
            }
        });
        let file = files.url("/file");
        let there = file.clone();
        let front =
            Raw::start(move |_| status("302 Found", &format!("location: {there}\r\n"), b""));
        let job = format!(
            "[inputs]\nvalues = [\"{}\", \"{file}\", \"{file}\"]\n[workload.http]\nurl = \"{{input}}\"\n\
             [limits]\nconcurrency = 1\n[retry]\nmax_attempts = 2\ndelay = \"1ms\"",
            front.url("/download")
        );
        let ran = TestJob::new(&job).args(["--model", model]).run();
        ran.exit(0).rows("attempts", &["2", "1", "1"]);
        let times = times.lock().unwrap();
        for later in &times[1..] {
            let pause = later.duration_since(times[0]);
            assert!(pause >= Duration::from_millis(990), "{model}: asked again after {pause:?}");
        }
    }
}

#[test]
fn what_is_never_tried_again_is_not_while_concurrency_finds_itself() {
    let refusal = "{\"error\":{\"code\":\"no_money\"}}";
    for never in ["json:/error/code=no_money", "http:429"] {
        for attempts in ["", "max_attempts = 1\n", "max_attempts = 3\n"] {
            let server = Raw::start(|_| status("429 No", "retry-after: 0\r\n", refusal.as_bytes()));
            let job = format!(
                "[inputs]\nrepeat = 4\n[workload.http]\nurl = \"{}\"\n[limits]\nconcurrency = \"1..2\"\n\
                 [retry]\n{attempts}never = [\"{never}\"]",
                server.url("/")
            );
            let ran = TestJob::new(&job).run();
            ran.exit(3).rows("attempts", &["1"; 4]);
            assert_eq!(server.asked().len(), 4, "{never} {attempts}");
            let has_attempts = ran.path("results/job.attempts.csv").exists();
            assert_eq!(has_attempts, attempts.contains('3'), "{attempts}");
        }
    }
}

#[test]
fn rules_read_the_answer_to_a_second_method() {
    for model in MODELS {
        let server = Raw::start(|asked| {
            if asked.head.starts_with("HEAD") {
                return status("405 No", "", b"");
            }
            status("403 No", "", b"{\"error\":{\"code\":\"no_money\"}}")
        });
        let job = format!(
            "[workload.http]\nurl = \"{}\"\nmethod = \"HEAD\"\nfallback = \"GET\"\n\
             [retry]\nmax_attempts = 3\ndelay = \"1ms\"\nnever = [\"json:/error/code=no_money\"]",
            server.url("/")
        );
        let ran = TestJob::new(&job).args(["--model", model]).run();
        ran.exit(3).rows("code,attempts", &["403,1"]);
    }
}

#[test]
fn json_that_is_no_text_is_not_sent() {
    for model in MODELS {
        let server = Raw::start(|asked| match asked.path() {
            "/page" => ok("content-type: text/plain; charset=iso-8859-1\r\n", b"Gr\xf6\xdfe"),
            _ => ok("", &asked.body),
        });
        let (page, api) = (server.url("/page"), server.url("/api"));
        let stages = |value: &str| {
            format!(
                "[[stages]]\nname = \"page\"\nmodel = \"{model}\"\n[stages.workload.http]\nurl = \"{page}\"\n\
                 [stages.columns.seen]\nregex = '.+'\n[[stages]]\nname = \"post\"\nmodel = \"{model}\"\n\
                 [stages.workload.http]\nurl = \"{api}\"\njson = \"{value}\"\n[stages.columns.got]\nregex = '.+'"
            )
        };
        let ran = TestJob::new(&stages("{payload}")).run();
        assert!(
            ran.exit(3).report().column("error")[0].contains("is not UTF-8, which JSON has to be")
        );
        TestJob::new(&stages("{seen}")).run().exit(0).rows("got", &["\"Größe\""]);
    }
}

#[test]
fn what_cannot_be_meant_is_said() {
    let server = Raw::start(|_| ok("", b""));
    let job = |keys: &str| {
        TestJob::new(&format!("[workload.http]\nurl = \"{}\"\n{keys}", server.url("/"))).run()
    };
    let twice = "auth = { bearer = \"new\" }\nheaders = { authorization = \"Bearer old\" }";
    job(twice).exit(2).stderr_has("`auth` beside the header `authorization`");
    let ran = job("http2 = true");
    ran.exit(3).rows("error", &["the server does not speak HTTP/2: leave `http2` out"]);
}
