//! `[workload.http]`, against a server of the tests' own that does what servers should not.

mod answers;
mod apis;
mod charsets;
mod exchanges;
mod hostile;
mod hosts;
mod http2;
mod lengths;
mod openai;
pub mod raw;
mod requests;
mod saves;
mod secrets;
pub mod server;
mod tls;

use std::fs;

use crate::support::{MODELS, Ran, STDERR, TestJob};
use server::Server;

/// A job that asks `server` for each of `paths`.
fn job(server: &Server, paths: &[&str], keys: &str) -> TestJob {
    let urls: Vec<_> = paths.iter().map(|path| format!("\"{}\"", server.url(path))).collect();
    TestJob::new(&format!(
        "[inputs]\nvalues = [{}]\n[workload.http]\nurl = \"{{input}}\"\n{keys}",
        urls.join(", ")
    ))
}

/// Runs a single request whose server does something wrong, with a timeout; the row's status, code and error.
fn fault(path: &str) -> String {
    let server = Server::start();
    let ran = job(&server, &[path], "[limits]\ntimeout = \"400ms\"").run();
    ran.exit(3);
    ran.report().select("status,code,error").remove(0)
}

#[test]
fn a_request_becomes_a_row() {
    let server = Server::start();
    let ran = job(&server, &["/hello", "/missing"], "").run();
    ran.exit(3).rows(
        "task,status,code,result,output_bytes,cpu_user_s,error",
        &["1,ok,200,,5,,", "2,failed,404,,9,,status 404 not expected (expected 2xx)"],
    );
}

#[test]
fn a_request_may_have_the_name_of_its_slot_under_every_model() {
    for model in MODELS {
        let server = Server::start();
        let more = "headers = { X-Slot = \"{slot.name}\" }\n[columns.name]\nregex = \"(?i)x-slot: (\\\\w+)\"\n[limits]\nslots = [\"a\", \"b\"]";
        let ran = job(&server, &["/echo"; 6], more).args(["--model", model]).run();
        let report = ran.exit(0).report();
        for (name, slot) in report.column("name").iter().zip(report.column("slot")) {
            assert_eq!(name, if slot == "1" { "a" } else { "b" }, "{model}");
        }
    }
}

#[test]
fn all_models_come_to_the_same() {
    let paths = ["/hello", "/missing", "/redirect", "/gzip", "/short", "/close", "/garbage"];
    let mut all = Vec::new();
    for model in MODELS {
        let server = Server::start();
        let columns = "[columns.first]\nregex = \"^(.)\"\n[columns.server]\nheader = \"Server\"";
        let ran = job(&server, &paths, columns).args(["--model", model]).run();
        ran.exit(3);
        all.push(ran.report().select("task,status,code,output_bytes,first,server,error"));
        assert_eq!(server.asked("/hello"), 2, "{model}: once itself, once by the redirect");
    }
    assert_eq!(
        all[0][..4],
        [
            "1,ok,200,5,h,hand-made,",
            "2,failed,404,9,n,hand-made,status 404 not expected (expected 2xx)",
            "3,ok,200,5,h,hand-made,",
            "4,ok,200,120,h,hand-made,",
        ]
    );
    for other in &all[1..] {
        assert_eq!(other, &all[0]);
    }
}

#[test]
fn expected_statuses_are_codes_and_classes() {
    let server = Server::start();
    let keys = "expect_status = [404, \"5xx\"]";
    let ran = job(&server, &["/missing", "/broken", "/hello"], keys).run();
    ran.exit(3).rows(
        "status,code,error",
        &["ok,404,", "ok,500,", "failed,200,status 200 not expected (expected 404, 5xx)"],
    );
}

#[test]
fn method_headers_and_body_are_sent_as_rendered() {
    let server = Server::start();
    let text = format!(
        r#"
        [inputs]
        matrix = {{ id = [7], name = ["a b"] }}
        [workload.http]
        url = "{}?name={{name.url}}"
        method = "post"
        body = "{{{{\"id\": {{id}}}}}}"
        [workload.http.headers]
        Content-Type = "application/json"
        X-Task = "{{task}}"
        [columns.request]
        regex = "^(.*)\r\n"
        [columns.kind]
        regex = "content-type: (.*)\r\n"
        [columns.mark]
        regex = "x-task: (.*)\r\n"
        [columns.agent]
        regex = "user-agent: (runner)/"
        [columns.body]
        regex = "\r\n\r\n(.*)$"
        "#,
        server.url("/echo")
    );
    TestJob::new(&text).run().exit(0).rows(
        "request,kind,mark,agent,body",
        &["POST /echo?name=a%20b HTTP/1.1,application/json,1,runner,{\"id\": 7}"],
    );
}

#[test]
fn columns_are_read_from_body_and_headers() {
    let server = Server::start();
    let columns = "
        [columns.loss]
        json = \"/loss\"
        [columns.server]
        header = \"SERVER\"
        [columns.other]
        header = \"x-other\"";
    let ran = job(&server, &["/json"], columns).run();
    ran.exit(0).rows("loss,server,other", &["0.25,hand-made,"]);
}

#[test]
fn bodies_are_decompressed() {
    let server = Server::start();
    let columns = "[columns.text]\nregex = \"^(hello hello)\"";
    let ran = job(&server, &["/gzip", "/deflate", "/not-gzip", "/gzip-cut"], columns).run();
    ran.exit(3);
    let rows = ran.report().select("status,output_bytes,text,error");
    assert_eq!(rows[..2], ["ok,120,hello hello,", "ok,120,hello hello,"]);
    assert!(rows[2].contains("the body is not gzip"), "{}", rows[2]);
    assert!(rows[3].contains("body cut short after"), "{}", rows[3]);
}

#[test]
fn redirects_are_followed_up_to_the_limit() {
    let server = Server::start();
    let ran = job(&server, &["/redirect", "/loop"], "redirects = 3").run();
    ran.exit(3).rows("status,code,error", &["ok,200,", "failed,302,too many redirects (3)"]);
    assert_eq!(server.asked("/loop"), 4);
    let ran = job(&server, &["/redirect"], "redirects = 0").run();
    ran.exit(3).rows("status,code", &["failed,302"]);
    let ran = job(&server, &["/loop"], "").run();
    ran.exit(3).rows("code,error", &["302,too many redirects (10)"]);
}

#[test]
fn secrets_stay_with_the_host_that_they_are_for() {
    let (server, other) = (Server::start(), Server::start());
    let path = format!("/to?{}", other.url("/echo"));
    let keys = "headers = { Authorization = \"secret\" }\n[columns.seen]\nregex = \"(authorization)\"\n[columns.host]\nregex = \"host: (.*)\r\n\"";
    let ran = job(&server, &[&path], &keys.replace('\r', "\\r").replace("\\r\n", "\\r\\n")).run();
    let expected = format!(",{}", other.url("").trim_start_matches("http://"));
    ran.exit(0).rows("seen,host", &[&expected]);
}

#[test]
fn servers_that_do_not_answer_are_told_apart() {
    assert_eq!(fault("/stall"), "timeout,,timed out while waiting for the response after 400ms");
    assert_eq!(
        fault("/stall-headers"),
        "timeout,,timed out while waiting for the response after 400ms"
    );
    assert_eq!(fault("/stall-body"), "timeout,200,timed out while reading the body after 400ms");
    assert_eq!(fault("/close"), "failed,,the server closed the connection before it answered");
    assert_eq!(
        fault("/close-headers"),
        "failed,,the server closed the connection before it answered"
    );
    assert_eq!(fault("/short"), "failed,200,body cut short after 50 of 100 bytes");
    assert_eq!(fault("/chunks-cut"), "failed,200,body cut short after 5 bytes");
    assert!(
        fault("/garbage").starts_with("failed,,the answer is not HTTP: "),
        "{}",
        fault("/garbage")
    );
}

#[test]
fn more_than_was_announced_is_not_read() {
    let server = Server::start();
    let ran = job(&server, &["/long", "/hello"], "").args(["--model", "sequential"]).run();
    ran.exit(0).rows("status,output_bytes", &["ok,5", "ok,5"]);
}

#[test]
fn no_connection_is_said_in_words() {
    // A port that was free a moment ago; nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = TestJob::new(&format!(
        "[inputs]\nvalues = [\"http://{closed}/\", \"http://nosuch.invalid/\"]\n[workload.http]\nurl = \"{{input}}\""
    ))
    .run();
    ran.exit(3);
    let rows = ran.report().select("status,code,error");
    assert_eq!(rows[0], format!("failed,,connection refused by {closed}"));
    assert!(rows[1].starts_with("failed,,host name not found: nosuch.invalid"), "{}", rows[1]);
}

#[test]
fn connecting_can_take_too_long() {
    // A listener that accepts nothing: once its queue is full, further connections get no answer.
    let listener = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let local: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    rustix::net::bind(&listener, &local).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let listener = std::net::TcpListener::from(listener);
    let address = listener.local_addr().unwrap();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let stream = rustix::net::socket_with(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::STREAM,
                rustix::net::SocketFlags::NONBLOCK,
                None,
            )
            .unwrap();
            let _ = rustix::net::connect(&stream, &address);
            stream
        })
        .collect();
    let text =
        format!("[workload.http]\nurl = \"http://{address}/\"\n[limits]\ntimeout = \"300ms\"");
    let ran = TestJob::new(&text).run();
    drop(waiting);
    ran.exit(3).rows("status,code,error", &["timeout,,timed out while connecting after 300ms"]);
}

#[test]
fn a_task_whose_request_is_none_fails_and_the_others_run() {
    let server = Server::start();
    let text = format!(
        "[inputs]\nzip = {{ url = [\"{0}\", \"nonsense\", \"{0}\", \"\"], mark = [\"a\", \"b\", \"c\\nd\", \"e\"] }}\n\
         [workload.http]\nurl = \"{{url}}\"\nheaders = {{ x-mark = \"{{mark}}\" }}",
        server.url("/hello")
    );
    let ran = TestJob::new(&text).run();
    ran.exit(3).rows(
        "status,error",
        &[
            "ok,",
            "failed,`nonsense` is not a URL: it has to start with http:// or https://",
            "failed,header `x-mark`: `c\\nd` has a character that a header cannot have",
            "failed,`` is not a URL: it has to start with http:// or https://",
        ],
    );
}

#[test]
fn a_kept_alive_connection_that_is_reset_costs_no_task() {
    for model in ["sequential", "processes"] {
        let server = Server::start();
        let ran = job(&server, &["/hello", "/late", "/hello"], "")
            .args(["--model", model, "-j", "1"])
            .run();
        ran.exit(0).rows("status,code,output_bytes", &["ok,200,5", "ok,200,5", "ok,200,5"]);
        assert_eq!(server.asked("/late"), 2, "{model}: reset once, then answered");
    }
}

#[test]
fn a_request_that_does_something_is_not_sent_twice() {
    let server = Server::start();
    let ran = job(&server, &["/hello", "/late"], "method = \"POST\"")
        .args(["--model", "sequential"])
        .run();
    ran.exit(3).rows(
        "status,error",
        &["ok,", "failed,the server closed the connection before it answered"],
    );
    assert_eq!(server.asked("/late"), 1);
}

#[test]
fn a_hundred_mebibytes_take_no_memory() {
    let server = Server::start();
    let ran = job(&server, &["/huge"], "save = \"big\"\nmax_body = \"1KiB\"").run();
    let huge = (100_u64 << 20).to_string();
    ran.exit(0).rows("status,output_bytes", &[&format!("ok,{huge}")]);
    assert_eq!(fs::metadata(ran.path("big")).unwrap().len(), 100 << 20);
    let peak: u64 = ran.summary("job")["peak_rss_bytes"].parse().unwrap();
    assert!(peak < 64 << 20, "{peak}");
}

/// The files below the job's folder but for the job, its results and what it said.
fn files(ran: &Ran) -> Vec<String> {
    let walk = walkdir::WalkDir::new(ran.folder()).sort_by_file_name();
    walk.into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(ran.folder()).unwrap().display().to_string())
        .filter(|path| path != "job.toml" && path != STDERR && !path.starts_with("results"))
        .collect()
}

#[test]
fn bodies_are_saved_whole_or_not_at_all() {
    for model in MODELS {
        let server = Server::start();
        let paths = ["/hello", "/missing", "/short", "/stall-body"];
        let keys = "save = \"pages/{task}/{input.name}.txt\"\n[limits]\ntimeout = \"500ms\"";
        let ran = job(&server, &paths, keys).args(["--model", model]).run();
        ran.exit(3).rows("status", &["ok", "failed", "failed", "timeout"]);
        assert_eq!(files(&ran), ["pages/1/hello.txt"], "{model}");
        assert_eq!(fs::read(ran.path("pages/1/hello.txt")).unwrap(), b"hello");
    }
}

/// The same for what was saved by a run that is resumed.
#[test]
fn a_saved_body_of_a_kept_row_stays() {
    for model in MODELS {
        let server = Server::start();
        let keys = "save = \"page\"\n[limits]\nconcurrency = 1";
        let ran = job(&server, &["/hello", "/gzip"], keys).args(["--model", model]).run();
        ran.exit(3).rows("status", &["ok", "failed"]);
        let turned = job(&server, &["/gzip", "/hello"], keys);
        fs::copy(turned.folder().join("job.toml"), ran.path("job.toml")).unwrap();
        let args = ["job.toml", "--resume=failed", "--model", model];
        let again = TestJob::again(ran).args(args).run();
        again.exit(3).rows("status", &["failed", "ok"]).stderr_has("writes it already");
        assert_eq!(fs::read(again.path("page")).unwrap(), b"hello", "{model}");
    }
}

#[test]
fn an_input_cannot_climb_out_of_the_folder() {
    let server = Server::start();
    let outside = tempfile::tempdir().unwrap();
    let text = format!(
        "[inputs]\nvalues = [\"a/b\", \"../evil\", \"a/../../../evil\", \"{}/evil\", \"..\", \"link/evil\"]\n\
         [workload.http]\nurl = \"{}\"\nsave = \"{{input}}\"",
        outside.path().display(),
        server.url("/hello")
    );
    for model in ["threads", "processes"] {
        let job = TestJob::new(&text).args(["--model", model]);
        std::os::unix::fs::symlink(outside.path(), job.folder().join("link")).unwrap();
        let ran = job.run();
        ran.exit(3).rows("status", &["ok", "failed", "failed", "failed", "failed", "failed"]);
        assert_eq!(files(&ran), ["a/b"]);
        assert!(!ran.folder().parent().unwrap().join("evil").exists());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
    let text = text.replace("{input}", &format!("{}/{{input}}", outside.path().display()));
    let ran = TestJob::new(&text).run();
    let rows = ran.report().column("status");
    // Its own absolute path, below the folder that the file names, is below that folder.
    assert_eq!(rows, ["ok", "failed", "failed", "ok", "failed", "ok"]);
}

#[test]
fn a_killed_job_ends_its_requests() {
    let server = Server::start();
    let running = job(&server, &["/stall", "/stall"], "").spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.starts_with("task"));
    crate::support::wait_until("both were asked", || (server.asked("/stall") == 2).then_some(()));
    let mut running = running;
    crate::support::wait_until("it ends", || {
        running.signal(2); // two that come at once are one to the kernel
        std::thread::sleep(std::time::Duration::from_millis(100));
        running.child.try_wait().unwrap()
    });
    let ran = running.wait();
    ran.exit(130).rows("status,error", &["cancelled,cancelled", "cancelled,cancelled"]);
}

#[test]
fn proxies_come_from_the_environment() {
    let proxy = Server::start();
    let url = "http://nosuch.invalid/echo";
    let text = format!(
        "[workload.http]\nurl = \"{url}\"\n[columns.request]\nregex = \"^(.*) HTTP\"\n[columns.auth]\nregex = \"proxy-authorization: (\\\\S+)\""
    );
    let address = proxy.url("").replace("http://", "http://me:pw@");
    let ran = TestJob::new(&text).env("http_proxy", &address).run();
    ran.exit(0).rows("status,request,auth", &["ok,GET http://nosuch.invalid/echo,Basic"]);
    let ran = TestJob::new(&text).env("http_proxy", &address).env("no_proxy", "invalid").run();
    ran.exit(3);
    assert!(ran.report().column("error")[0].starts_with("host name not found"));
}

#[test]
fn a_proxy_that_will_not_do_is_not_gone_around() {
    let server = Server::start();
    let job = || job(&server, &["/hello"], "");
    for (value, why) in [
        ("socks://127.0.0.1:1", "`socks` is not supported"),
        ("http://127.0.0.1:99999", "invalid port number"),
        ("http://[bad", "invalid IPv6 address"),
        ("http://pro xy:1", "a blank"),
    ] {
        let ran = job().env("http_proxy", value).run();
        ran.exit(3);
        let error = &ran.report().column("error")[0];
        assert!(error.starts_with("the proxy in `http_proxy` cannot be used: "), "{error}");
        assert!(error.contains(why), "{error}");
        job().env("http_proxy", value).env("no_proxy", "127.0.0.1").run().exit(0);
    }
    assert_eq!(server.asked("/hello"), 4);
}

#[test]
fn a_proxy_that_refuses_says_with_which_status() {
    let proxy = raw::Raw::start(|_| raw::status("404 Not Found", "", b""));
    let text = "[workload.http]\nurl = \"https://nosuch.invalid/\"";
    let ran = TestJob::new(text).env("https_proxy", &proxy.url("")).run();
    ran.exit(3);
    let error = &ran.report().column("error")[0];
    assert!(error.ends_with("answered `CONNECT` with status 404 Not Found"), "{error}");
    assert!(proxy.asked()[0].head.starts_with("CONNECT nosuch.invalid:443 HTTP/1.1\r\n"));
}

#[test]
fn a_url_with_a_line_break_in_it_is_none() {
    let server = Server::start();
    let text = format!(
        "inputs.values = [\"a\\r\\nb\", \"c/../hello\"]\n[workload.http]\nurl = \"{}{{input}}\"",
        server.url("/")
    );
    let ran = TestJob::new(&text).run();
    ran.exit(3).rows("status", &["failed", "ok"]);
    let error = &ran.report().column("error")[0];
    assert!(error.contains("it has a control character (`\\r`)"), "{error}");
    assert_eq!((server.asked("/ab"), server.asked("/hello")), (0, 1));
}

#[test]
fn certificates_are_verified_with_the_systems_roots() {
    let roots = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/certs/authority.pem");
    for (certificate, roots, host, expected) in [
        ("valid", roots, "localhost", "ok,200,"),
        ("expired", roots, "localhost", "failed,,TLS: certificate has expired"),
        ("valid", roots, "127.0.0.1", "failed,,TLS: certificate is not for `127.0.0.1`"),
        ("valid", "", "localhost", "failed,,TLS: certificate is signed by an unknown authority"),
    ] {
        let server = Server::start_tls(certificate);
        let url = server.url("/hello").replace("127.0.0.1", host).replace("http:", "https:");
        let roots = if roots.is_empty() {
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/certs/other.pem")
        } else {
            roots
        };
        let ran = TestJob::new(&format!("[workload.http]\nurl = \"{url}\""))
            .env("SSL_CERT_FILE", roots)
            .run();
        assert_eq!(ran.report().select("status,code,error"), [expected], "{certificate} {host}");
    }
    let server = Server::start();
    let url = server.url("/hello").replace("http:", "https:");
    let ran =
        TestJob::new(&format!("[workload.http]\nurl = \"{url}\"\n[limits]\ntimeout = \"5s\""))
            .env("SSL_CERT_FILE", roots)
            .run();
    assert!(
        ran.report().column("error")[0].starts_with("TLS: "),
        "{:?}",
        ran.report().column("error")
    );
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let ran = TestJob::new(
        r#"
        [workload.http]
        url = "example.com"
        method = "GE T"
        headers = { "a b" = "x", ok = "a\nb" }
        expect_status = ["2x"]
        save = "../x"
        redirects = -1
        urll = "x"
        "#,
    )
    .run();
    ran.exit(2);
    for words in [
        "`example.com` is not a URL: it has to start with http:// or https://",
        "`GE T` is not an HTTP method",
        "`a b` is not a header name",
        "has a character that a header cannot have",
        "`2x` is neither a status such as 404 nor a class such as \"2xx\"",
        "`save` leads out of the job's folder",
        "unknown key `urll`",
    ] {
        ran.stderr_has(words);
    }
}

#[test]
fn only_http_has_headers() {
    let text = "[workload.sleep]\nduration = \"0s\"\n[columns.x]\nheader = \"server\"";
    TestJob::new(text).run().exit(2).stderr_has("`sleep` has no headers, only `http` has");
}

#[test]
fn bodies_are_printed_whole() {
    let server = Server::start();
    for model in MODELS {
        let ran =
            job(&server, &["/hello", "/huge"], "max_body = \"10B\"\n[limits]\nconcurrency = 1")
                .args(["--output", "--model", model, "--no-progress", "-q"])
                .env("TMPDIR", "temporary")
                .file("temporary/.keep", "")
                .run();
        ran.exit(0);
        let out = &ran.output.stdout;
        assert!(out.starts_with(b"hello000"), "{model}");
        assert_eq!(out.len(), 5 + (100 << 20), "{model}: byte by byte");
        let left = fs::read_dir(ran.path("temporary")).unwrap().count();
        assert_eq!(left, 1, "{model}: what was printed is not left in a file");
    }
}

#[test]
fn http2_is_spoken_where_it_is_asked_for() {
    let server = Server::start_http2();
    for model in ["threads", "processes", "async"] {
        let keys = "http2 = true\n[columns.said]\nregex = \"(.*)\"";
        let ran = job(&server, &["/a", "/b", "/c"], keys).args(["--model", model]).run();
        let said = ["ok,HTTP/2.0 /a false", "ok,HTTP/2.0 /b false", "ok,HTTP/2.0 /c false"];
        ran.exit(0).rows("status,said", &said);
    }
}

#[test]
fn a_host_has_no_more_requests_than_it_is_allowed() {
    for model in MODELS {
        let server = Server::start();
        let text = format!(
            "[inputs]\nrepeat = 30\n[workload.http]\nurl = \"{}\"\n[limits]\nconcurrency = 8\nper_host = 2\n[columns.now]\nregex = \"(.+)\"",
            server.url("/crowd")
        );
        let ran = TestJob::new(&text).args(["--model", model]).run();
        let now: Vec<u32> =
            ran.exit(0).report().column("now").iter().map(|now| now.parse().unwrap()).collect();
        assert!(now.len() == 30 && now.iter().all(|&now| now <= 2), "{model}: {now:?}");
    }
}

#[test]
fn a_slow_host_does_not_hold_up_the_others() {
    let (slow, fast) = (Server::start(), Server::start());
    let urls: Vec<_> = (0..10)
        .map(|_| slow.url("/stall"))
        .chain((0..20).map(|_| fast.url("/hello")))
        .map(|url| format!("{url:?}"))
        .collect();
    let text = format!(
        "[inputs]\nvalues = [{}]\n[workload.http]\nurl = \"{{input}}\"\n[limits]\nconcurrency = 4\nper_host = 2\n",
        urls.join(", ")
    );
    let running = TestJob::new(&text).args(["--model", "async"]).spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.matches(",ok,").count() == 20);
    running.stop(2);
    let ran = running.wait();
    let statuses = ran.exit(130).report().select("status,attempts");
    assert_eq!(statuses[10..], vec!["ok,1"; 20]);
    assert_eq!(statuses[..10].iter().filter(|row| *row == "cancelled,1").count(), 2);
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    for model in MODELS {
        let server = Server::start();
        let retry = "[retry]\nmax_attempts = 2\ndelay = \"1ms\"\non = [\"http:503\"]";
        let ran = job(&server, &["/busy", "/broken"], retry).args(["--model", model]).run();
        ran.exit(3).rows("status,attempts,code", &["ok,2,200", "failed,1,500"]);
        let wall: f64 = ran.summary("job")["wall_s"].parse().unwrap();
        assert!(wall > 0.99, "{model}: {wall}");
    }
}
