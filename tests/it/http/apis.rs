//! APIs: secrets, bodies of every kind, rules that look into answers.

use std::fs;

use super::MODELS;
use super::raw::{Raw, ok, status};
use crate::support::{Ran, TestJob};

const KEY: &str = "sk-s3cr3t/+key";

/// A job that posts to an API that says what it was sent, with a secret in its head.
fn job(server: &Raw, keys: &str) -> TestJob {
    let text = format!(
        "[secrets]\nkey = {{ env = \"TEST_API_KEY\" }}\n[inputs]\nvalues = [\"a \\\"b\\\"\\nc\"]\n\
         [workload.http]\nurl = \"{}\"\n{keys}",
        server.url("/v1")
    );
    TestJob::new(&text).env("TEST_API_KEY", KEY)
}

/// Everything that a run has left and said.
pub(super) fn traces(ran: &Ran) -> String {
    let mut all = ran.stdout() + &ran.stderr();
    for entry in walkdir::WalkDir::new(ran.path("results")) {
        let Ok(entry) = entry else { continue }; // a plan leaves no results
        if entry.file_type().is_file() {
            all += &String::from_utf8_lossy(&fs::read(entry.path()).unwrap());
        }
    }
    all
}

#[test]
fn a_secret_is_sent_and_never_written_down() {
    for model in MODELS {
        // The API is as indiscreet as can be.
        let server = Raw::start(|asked| {
            let said = format!("{} {KEY} c2stczNjcjN0Lytr", asked.head);
            status("401 No", &format!("x-key: {KEY}\r\n"), said.as_bytes())
        });
        let keys = "auth = { bearer = \"{secret.key}\" }\nquery = { k = \"{secret.key}\" }\nexpect_status = [401]\n\
                    [columns.all]\nregex = '(?s)^(.*)$'\n[columns.key]\nheader = \"x-key\"";
        let ran = job(&server, keys).args(["--model", model]).run();
        ran.exit(0).rows("status,key", &["ok,***"]);
        let asked = &server.asked()[0];
        assert_eq!(asked.header("authorization"), Some(&format!("Bearer {KEY}")[..]));
        assert_eq!(asked.path(), "/v1?k=sk-s3cr3t%2F%2Bkey");
        let traces = traces(&ran);
        for form in [KEY, "s3cr3t", "c2stczNjcjN0"] {
            assert!(!traces.contains(form), "{model}: {form} in {traces}");
        }
    }
}

#[test]
fn a_plan_shows_the_request_and_masks_the_secret() {
    let server = Raw::start(|_| ok("", b""));
    let keys =
        "headers = { X-Key = \"{secret.key}\" }\njson = { model = \"m\", prompt = \"{input}\" }";
    let ran = job(&server, keys).arg("--dry-run").run();
    ran.exit(0)
        .stdout_has("POST http://")
        .stdout_has("X-Key: ***")
        .stdout_has(r#"{"model":"m","prompt":"a \"b\"\nc"}"#);
    assert!(!traces(&ran).contains(KEY));
    assert!(server.asked().is_empty());
    let ran =
        job(&server, "auth = { user = \"u\", password = \"{secret.key}\" }").arg("--dry-run").run();
    ran.exit(0).stdout_has("Authorization: Basic ***");
}

#[test]
fn secrets_are_looked_for_before_anything_runs() {
    let server = Raw::start(|_| ok("", b""));
    let base = |secrets: &str, workload: &str| {
        TestJob::new(&format!("[secrets]\n{secrets}\n{workload}")).run()
    };
    let http = format!("[workload.http]\nurl = \"{}?{{secret.key}}\"", server.url("/"));
    base("key = { env = \"TEST_NO_SUCH_KEY\" }", &http)
        .exit(2)
        .stderr_has("`TEST_NO_SUCH_KEY` is not set");
    base("key = { file = \"no-such-file\" }", &http).exit(2).stderr_has("no-such-file");
    base("key = { command = [\"no-such-program\"] }", &http)
        .exit(2)
        .stderr_has("program not found");
    base("key = { command = [\"printf\", \"abc\"] }", &http).exit(2).stderr_has("has 3 bytes");
    base("key = {}", &http).exit(2).stderr_has("has no source");
    base("kye = { command = [\"printf\", \"abcdef\"] }", &http)
        .exit(2)
        .stderr_has("unknown secret `key`");
    base("key = { command = [\"printf\", \"abcdef\\n\"] }", &http).exit(0);
    assert_eq!(server.asked()[0].path(), "/?abcdef");
    let argv = "[workload.command]\nargv = [\"echo\", \"{secret.key}\"]";
    base("key = { command = [\"printf\", \"abcdef\"] }", argv)
        .exit(2)
        .stderr_has("a secret cannot stand in `argv`");
    let env = "[workload.command]\nshell = \"echo $KEY; test $KEY = abcdef\"\nenv = { KEY = \"{secret.key}\" }";
    let ran = base("key = { command = [\"printf\", \"abcdef\"] }", env);
    ran.exit(0).rows("status,result", &["ok,***"]);
}

#[test]
fn variables_of_the_environment_are_values() {
    let server = Raw::start(|_| ok("", b""));
    let text = format!("[workload.http]\nurl = \"{}?{{env.TEST_WHERE}}\"", server.url("/"));
    TestJob::new(&text).env("TEST_WHERE", "here").run().exit(0);
    assert_eq!(server.asked()[0].path(), "/?here");
    TestJob::new(&text)
        .run()
        .exit(2)
        .stderr_has("the environment variable `TEST_WHERE` is not set");
}

#[test]
fn bodies_of_every_kind() {
    for model in MODELS {
        let server = Raw::start(|_| ok("", b"ok"));
        let last = |keys: &str| {
            let job = job(&server, keys).file("up/x.txt", "the file").args(["--model", model]);
            job.run().exit(0);
            server.asked().pop().unwrap()
        };
        let text = |body: Vec<u8>| String::from_utf8(body).unwrap();
        let asked = last("json = { text = \"{input}\", n = 1, list = [\"{task}\"] }");
        assert_eq!(text(asked.body.clone()), r#"{"text":"a \"b\"\nc","n":1,"list":[1]}"#);
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert!(asked.head.starts_with("POST "));
        let asked = last("form = { a = \"{input}\", b = \"ü&\" }");
        assert_eq!(text(asked.body.clone()), "a=a+%22b%22%0Ac&b=%C3%BC%26");
        assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
        let asked = last(
            "body_file = \"up/x.txt\"\nmethod = \"PUT\"\nheaders = { content-type = \"text/x\" }",
        );
        assert_eq!(
            (text(asked.body.clone()), asked.header("content-type")),
            ("the file".into(), Some("text/x"))
        );
        let asked = last("multipart = { doc = { path = \"up/x.txt\" }, note = \"{task}\" }");
        let body = text(asked.body.clone());
        let boundary = asked.header("content-type").unwrap().rsplit('=').next().unwrap();
        assert_eq!(
            body,
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"doc\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\nthe file\r\n\
                 --{boundary}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n1\r\n--{boundary}--\r\n"
            )
        );
        let asked = last("auth = { user = \"u\", password = \"p\" }\nquery = { q = \"a b\" }");
        assert_eq!(asked.header("authorization"), Some("Basic dTpw"));
        assert_eq!(asked.path(), "/v1?q=a+b");
        let ran = job(&server, "multipart = { doc = { path = \"missing\" } }")
            .args(["--model", model])
            .run();
        ran.exit(3);
        assert!(ran.report().column("error")[0].ends_with("missing`: no such file or directory"));
    }
}

#[test]
fn infinity_goes_into_json_as_a_text() {
    let server = Raw::start(|_| ok("", b""));
    let text = format!(
        "inputs.values = [1]\n[[stages]]\nname = \"a\"\nworkload.python = {{ function = \"mine:work\", args = [\"{{input}}\"] }}\n\
         [[stages]]\nname = \"b\"\n[stages.workload.http]\nurl = \"{}\"\njson = {{ a = \"{{payload}}\", b = \"x{{payload}}\" }}\n",
        server.url("/")
    );
    let module = "def work(x): return float('inf')";
    TestJob::new(&text).file("mine.py", module).run().exit(0);
    assert_eq!(server.asked().pop().unwrap().body, br#"{"a":"inf","b":"xinf"}"#);
}

#[test]
fn a_file_of_an_earlier_stage_has_its_own_name_in_a_form() {
    for model in MODELS {
        let server = Raw::start(|_| ok("", b""));
        let text = format!(
            "creates = \"made/{{input}}.txt\"\ninputs.values = [\"a\"]\n\
             [[stages]]\nname = \"make\"\nworkload.command.shell = 'echo x > \"$creates\"'\n\
             [[stages]]\nname = \"send\"\n[stages.workload.http]\nurl = \"{}\"\nmultipart = {{ doc = {{ path = \"{{creates}}\" }} }}\n",
            server.url("/")
        );
        let model = format!("stages.send.model=\"{model}\"");
        TestJob::new(&text).args(["--set", &model]).run().exit(0);
        let body = String::from_utf8(server.asked().pop().unwrap().body).unwrap();
        assert!(body.contains("filename=\"a.txt\""), "{model}: {body}");
    }
}

#[test]
fn a_file_that_does_not_say_how_long_it_is_is_sent_whole() {
    let version = fs::read("/proc/version").unwrap();
    let server = Raw::start(|_| ok("", b""));
    job(&server, "body_file = \"/proc/version\"").run().exit(0);
    assert_eq!(server.asked().pop().unwrap().body, version);
    job(&server, "multipart = { a = { path = \"/proc/version\" } }").run().exit(0);
    let body = server.asked().pop().unwrap().body;
    assert!(memchr::memmem::find(&body, &version).is_some());
}

#[test]
fn mistakes_of_requests_are_found_before_anything_runs() {
    let server = Raw::start(|_| ok("", b""));
    for (keys, said) in [
        ("json = {}\nbody = \"x\"", "a request has one body"),
        ("auth = { user = \"u\", bearer = \"b\" }", "`auth` needs either"),
        ("tls = { ca = \"none.pem\" }", "none.pem"),
        ("tls = { ca = \"text.pem\" }", "no certificate in PEM form"),
        ("tls = { key = \"key.pem\" }", "`key` needs `cert`"),
        ("cookies = \"jar\"", "must be `true`, `false` or"),
        ("fallback = \"GET\"", "is the same as `method`"),
        ("[columns.x]\nhtml = \"a[\"", "is not a CSS selector"),
        ("[retry]\nmax_attempts = 2\nnever = [\"json:error=1\"]", "is not a JSON pointer"),
    ] {
        let ran = job(&server, keys).file("text.pem", "no certificate").run();
        ran.exit(2).stderr_has(said);
    }
}

#[test]
fn an_answer_can_say_that_trying_again_is_no_use() {
    let server = Raw::start(|asked| match asked.path() {
        "/v1?quota" => status("429 No", "", br#"{"error":{"code":"insufficient_quota"}}"#),
        _ => status("429 No", "retry-after-ms: 5\r\n", br#"{"error":{"code":"rate_limit"}}"#),
    });
    for model in MODELS {
        let text = format!(
            "[inputs]\nvalues = [\"quota\", \"rate\"]\n[workload.http]\nurl = \"{}?{{input}}\"\n[retry]\nmax_attempts = 3\ndelay = \"1ms\"\n\
             never = [\"json:/error/code=insufficient_quota\"]",
            server.url("/v1")
        );
        TestJob::new(&text).args(["--model", model]).run().exit(3).rows("attempts", &["1", "3"]);
    }
}

#[test]
fn rules_read_an_answer_as_columns_do() {
    let wide: Vec<u8> = "{\"e\":\"used up\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let server = Raw::start(move |asked| {
        let json = "Content-Type: application/json\r\n";
        let latin = "Content-Type: application/json; charset=iso-8859-1\r\n";
        match asked.path() {
            "/v1?mark" => status("429 No", json, b"\xef\xbb\xbf{\"e\":\"used up\"}"),
            "/v1?wide" => status("429 No", json, &wide),
            "/v1?latin" => status("429 No", latin, b"{\"e\":\"used up\",\"m\":\"\xfc\"}"),
            "/v1?half" => status("429 No", json, br#"{"e":"used up","m":"\ud83d"}"#),
            _ => status("429 No", json, format!("{{\"m\":\"{:3000}\"}}", 1).as_bytes()),
        }
    });
    let text = format!(
        "[inputs]\nvalues = [\"mark\", \"wide\", \"latin\", \"half\", \"long\"]\n[workload.http]\nurl = \"{}?{{input}}\"\n\
         max_body = \"1KiB\"\n[retry]\nmax_attempts = 2\ndelay = \"1ms\"\nnever = [\"json:/e=used up\"]",
        server.url("/v1")
    );
    for model in MODELS {
        let ran = TestJob::new(&text).args(["--model", model]).run();
        ran.exit(3).rows("attempts", &["1", "1", "1", "1", "2"]);
        let error = ran.report().column("error")[4].clone();
        assert!(error.contains("a `json:` rule needs all of it"), "{error}");
    }
}

#[test]
fn no_part_of_a_secret_is_cut_out() {
    let server = Raw::start(|asked| ok("", asked.head.as_bytes()));
    let keys = "auth = { bearer = \"{secret.key}\" }\n[columns.part]\nregex = 'Bearer ([^*]{4})'\n\
                [columns.all]\nregex = 'Bearer (\\S+)'";
    job(&server, keys).run().exit(0).rows("part,all", &["***,***"]);
}

#[test]
fn another_host_is_not_told_a_secret() {
    let other = Raw::start(|_| ok("", b""));
    let to = other.url("/");
    let server = Raw::start(move |_| status("307 There", &format!("location: {to}\r\n"), b""));
    let keys = "headers = { X-Key = \"{secret.key}\", X-Open = \"1\" }";
    job(&server, keys).run().exit(0);
    assert_eq!(other.asked()[0].header("x-key"), None);
    assert_eq!(other.asked()[0].header("x-open"), Some("1"));
    let ran = job(&server, "json = { key = \"{secret.key}\" }").run();
    ran.exit(3);
    assert!(ran.report().column("error")[0].contains("not sent the secrets of the body"));
}

#[test]
fn a_host_that_refuses_is_left_alone_by_all() {
    // After the first refusal nothing comes for as long as was asked, though others want the same host.
    let started = std::time::Instant::now();
    let times = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&times);
    let server = Raw::start(move |_| {
        let mut times = log.lock().unwrap();
        times.push(started.elapsed());
        if times.len() == 1 { status("429 No", "retry-after: 0.6\r\n", b"") } else { ok("", b"") }
    });
    let text = format!(
        "[inputs]\nrepeat = 5\n[workload.http]\nurl = \"{}\"\n[limits]\nconcurrency = 1\n[retry]\nmax_attempts = 2\ndelay = \"1ms\"",
        server.url("/")
    );
    let ran = TestJob::new(&text).args(["--model", "async"]).run();
    ran.exit(0).stderr_has("1 request was refused");
    let attempts = ran.report().column("attempts");
    assert_eq!(
        attempts.iter().filter(|count| *count == "2").count(),
        1,
        "those that wait are not charged"
    );
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 6);
    assert!(times[1] >= times[0] + std::time::Duration::from_millis(590), "{times:?}");
}

#[test]
fn concurrency_finds_itself_and_refusals_are_not_charged() {
    let running = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Raw::start(move |_| {
        let order = std::sync::atomic::Ordering::SeqCst;
        let now = running.fetch_add(1, order);
        let answer = if now >= 6 {
            status("503 Busy", "", b"")
        } else {
            std::thread::sleep(std::time::Duration::from_millis(5));
            ok("", b"")
        };
        running.fetch_sub(1, order);
        answer
    });
    let text = format!(
        "[inputs]\nrepeat = 300\n[workload.http]\nurl = \"{}\"\n[limits]\nconcurrency = \"2..40\"",
        server.url("/")
    );
    let ran = TestJob::new(&text).args(["--model", "async"]).run();
    ran.exit(0);
    assert!(ran.report().column("attempts").iter().all(|count| count == "1"));
    assert!(
        ran.summary("job")["reason"].contains("concurrency settled at"),
        "{:?}",
        ran.summary("job")
    );
    let history = fs::read_to_string(ran.path("results/job.limit.csv")).unwrap();
    assert!(history.starts_with("time_s,host,limit,running,refusals\n"), "{history}");
    for (range, said) in
        [("200..4", "goes down"), ("x..4", "is not a range"), ("0..4", "is not a range")]
    {
        let text = text.replace("2..40", range);
        TestJob::new(&text).run().exit(2).stderr_has(said);
    }
    TestJob::new("[workload.command]\nargv = [\"true\"]\n[limits]\nconcurrency = \"2..4\"")
        .run()
        .exit(2)
        .stderr_has("a range of `concurrency` is for `http`");
}
