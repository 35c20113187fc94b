//! Requests and connections as curl has them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use super::raw::{Raw, ok};
use crate::support::{MODELS, TestJob, python};

#[test]
fn a_request_without_a_body_says_so_where_one_is_usual() {
    let server = Raw::start(|_| ok("", b""));
    for (keys, expected) in [
        ("method = \"POST\"", Some("0")),
        ("method = \"put\"", Some("0")),
        ("method = \"PATCH\"\nbody = \"\"", Some("0")),
        ("form = {}", Some("0")),
        ("body_file = \"empty\"", Some("0")),
        ("method = \"HEAD\"\nfallback = \"POST\"\nexpect_status = [201]", Some("0")),
        ("form = { a = \"b\" }", Some("3")),
        ("method = \"GET\"", None),
        ("method = \"DELETE\"", None),
    ] {
        let text = format!("[workload.http]\nurl = \"{}\"\n{keys}\n", server.url("/"));
        TestJob::new(&text).file("empty", "").run();
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.header("content-length"), expected, "{keys}");
    }
}

#[test]
fn the_boundary_is_in_the_content_type_of_multipart() {
    let server = Raw::start(|_| ok("", b""));
    let job = |kind: &str| {
        TestJob::new(&format!(
            "inputs.values = [\"{kind}\"]\n[workload.http]\nurl = \"{}\"\nmultipart = {{ a = \"1\" }}\n\
             headers = {{ content-type = \"{{input}}\" }}\n",
            server.url("/")
        ))
    };
    for (kind, start) in [
        ("multipart/form-data", "multipart/form-data; boundary="),
        ("Multipart/mixed; boundary=XX; a=b", "Multipart/mixed; a=b; boundary="),
    ] {
        job(kind).run().exit(0);
        let asked = server.asked().pop().unwrap();
        let boundary = asked.header("content-type").unwrap().strip_prefix(start).unwrap();
        assert!(asked.body.starts_with(format!("--{boundary}\r\n").as_bytes()), "{kind}");
    }
    let ran = job("text/plain").run();
    ran.exit(3);
    assert!(ran.report().column("error")[0].contains("leave that out, or write `multipart/…`"));
    TestJob::new(
        "[workload.http]\nurl = \"http://a.example/\"\nmultipart = { a = \"1\" }\n\
         headers = { Content-Type = \"text/plain\" }\n",
    )
    .run()
    .exit(2)
    .stderr_has("`multipart` beside the Content-Type `text/plain`");
}

#[test]
fn an_indented_line_without_a_header_before_it_is_told() {
    let server = Raw::start(|asked| {
        let line = if asked.path() == "/vital" { "Content-Encoding: gzip" } else { "X-Other: y" };
        format!("HTTP/1.1 200 OK\r\n {line}\r\nContent-Length: 5\r\n\r\nhello").into_bytes()
    });
    for model in MODELS {
        let ran = TestJob::new(&format!(
            "inputs.values = [\"vital\", \"other\"]\n[workload.http]\nurl = \"{}{{input}}\"\nsave = \"{{input}}\"\n",
            server.url("/")
        ))
        .args(["--model", model])
        .run();
        ran.exit(3).rows("status", &["failed", "ok"]);
        let errors = ran.report().column("error");
        assert!(errors[0].contains("cannot be read: `Content-Encoding: gzip`"), "{errors:?}");
        assert!(errors[1].starts_with("left out a line"), "{errors:?}");
    }
}

/// A server that answers one request of a connection, and closes it when the next one comes.
fn forgetful() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                for has_answer in [true, false] {
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        if stream.read_line(&mut line).is_ok_and(|read| read == 0) {
                            return;
                        }
                    }
                    if has_answer {
                        thread::sleep(Duration::from_millis(5)); // so that several connections are in use
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        let _ = stream.get_mut().write_all(answer);
                    }
                }
            });
        }
    });
    format!("http://{address}/")
}

#[test]
fn a_request_that_was_too_late_goes_to_a_new_connection() {
    for model in MODELS {
        let text = format!("inputs.repeat = 150\n[workload.http]\nurl = \"{}\"\n", forgetful());
        let ran = TestJob::new(&text).args(["--model", model]).run();
        assert_eq!(ran.report().column("status"), ["ok"; 150], "{model}");
    }
}

#[test]
fn what_drips_does_not_stall() {
    let server = Raw::start_by(|asked, stream| {
        let mut send = |bytes: &[u8]| {
            thread::sleep(Duration::from_millis(100));
            let _ = stream.write_all(bytes);
        };
        match asked.path() {
            "/hints" => (0..15).for_each(|_| send(b"HTTP/1.1 102 Processing\r\n\r\n")),
            "/head" => b"HTTP/1.1 200 OK\r\nX: ".iter().for_each(|byte| send(&[*byte])),
            _ => return thread::sleep(Duration::from_secs(3)),
        }
        let start = if asked.path() == "/hints" { "HTTP/1.1 200 OK" } else { "y" };
        send(format!("{start}\r\nContent-Length: 2\r\n\r\nok").as_bytes());
    });
    let ran = TestJob::new(&format!(
        "inputs.values = [\"hints\", \"head\", \"nothing\"]\n[workload.http]\nurl = \"{}{{input}}\"\nstall = \"1s\"\n",
        server.url("/")
    ))
    .run();
    ran.exit(3).rows("status", &["ok", "ok", "timeout"]);
}

#[test]
fn what_waits_for_its_next_attempt_when_a_job_is_stopped_runs_when_it_is_resumed() {
    let server = Raw::start(|_| super::raw::status("500 Oh", "", b""));
    let request = format!("[workload.http]\nurl = \"{}\"\n", server.url("/"));
    let command = "[workload.command]\nargv = [\"false\"]\n".to_owned();
    for work in [request, command] {
        for model in MODELS {
            let text = format!(
                "inputs.values = [\"a\", \"b\"]\n{work}[retry]\nmax_attempts = 5\ndelay = \"1h\"\n"
            );
            let job = TestJob::new(&text).args(["--model", model]);
            let running = job.spawn();
            let attempts = "results/job.attempts.csv";
            running.wait_for_file(attempts, |text| text.lines().count() == 3);
            running.signal(libc::SIGINT);
            let ran = running.wait();
            ran.exit(130).rows("status,attempts", &["cancelled,1", "cancelled,1"]);
            let error = ran.report().column("error").remove(0);
            assert!(error.ends_with("the job was stopped before the next attempt"), "{error}");
            let again =
                TestJob::again(ran).args(["job.toml", "--resume", "--model", model]).spawn();
            again.wait_for_file(attempts, |text| text.lines().count() == 5);
            again.signal(libc::SIGINT);
            again.wait().exit(130);
        }
    }
}

#[test]
fn a_host_that_is_left_alone_for_long_is_named() {
    let busy = "retry-after: 3000\r\n";
    let server = Raw::start(move |_| super::raw::status("429 Busy", busy, b""));
    for model in MODELS {
        let url = server.url("/");
        let text = format!("[workload.http]\nurl = \"{url}\"\n[retry]\nmax_attempts = 3\n");
        let running = TestJob::new(&text).args(["--model", model]).spawn();
        running.wait_for_file("results/job.attempts.csv", |text| text.lines().count() == 2);
        running.signal(libc::SIGINT);
        running.wait().exit(130).stderr_has("has refused (status 429): it is left alone for ");
    }
}

#[test]
fn a_secret_in_wrapped_base64_is_masked() {
    let secret = "tok_".to_owned() + &"x1y2z3".repeat(20);
    let wrapped = python(
        "import base64, sys\nsys.stdout.write(base64.encodebytes(sys.argv[1].encode()).decode())",
        [&secret],
    );
    let server = {
        let wrapped = wrapped.clone();
        Raw::start(move |_| ok("", wrapped.as_bytes()))
    };
    let ran = TestJob::new(&format!(
        "secrets.k = {{ env = \"SK\" }}\ncolumns.t.regex = \"(?s).*\"\n[workload.http]\nurl = \"{}\"\n\
         auth = {{ bearer = \"{{secret.k}}\" }}\n",
        server.url("/")
    ))
    .env("SK", &secret)
    .run();
    let shown = ran.exit(0).report().column("t").remove(0);
    assert!(shown.contains("***") && shown.len() < 20, "{shown}");
}

#[test]
fn mistakes_are_told_in_words() {
    let url = "[workload.http]\nurl = \"http://a.example/\"\n";
    for (text, said) in [
        (format!("columns.t.html = \"a::attr(href)\"\n{url}"), "is not a CSS selector of elements"),
        (format!("columns.t.html = \"\"\n{url}"), "the CSS selector is empty"),
        (format!("{url}tls = {{ ca = \"cut.pem\" }}\n"), "a section has no `-----END …-----`"),
        (format!("{url}stall = \"0s\"\n"), "`stall` must be above 0"),
        (format!("{url}save = \"job.toml\"\n"), "cannot write `job.toml`: the job reads it"),
        (
            format!(
                "columns.n.json = \"/n\"\n{url}[limits]\nbudget.n = [{{ per = \"0s\", max = 5 }}]\n"
            ),
            "the budget of `n` has a `per` of 0",
        ),
        (
            format!("columns.n.json = \"/n\"\n{url}[limits]\nbudget.n = [{{ max = -5 }}]\n"),
            "the budget of `n` has `max = -5`",
        ),
        (
            format!("{url}max_body = \"0B\"\n[limits]\nstop_on = [\"json:/a=b\"]\n"),
            "so a `json:` rule would never hold",
        ),
        (
            format!(
                "secrets.k = {{ file = \"nope\" }}\n{url}auth = {{ bearer = \"{{secret.k}}\" }}\n"
            ),
            "no such file or directory",
        ),
    ] {
        let job = TestJob::new(&text).file("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
        job.run().exit(2).stderr_has(said);
    }
}
