//! What `save` must not touch, and what another attempt may take up.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::thread;

use super::raw::{Asked, Raw, ok};
use crate::support::{MODELS, TestJob, skip};

fn answer() -> Raw {
    Raw::start(|_| ok("", b"ANSWER"))
}

/// Makes a named pipe in the folder of `job`.
fn pipe(job: &TestJob) -> PathBuf {
    let path = job.folder().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    path
}

#[test]
fn a_pipe_or_a_device_gets_the_bytes_and_stays() {
    for model in MODELS {
        let server = answer();
        let job = TestJob::new(&format!(
            "inputs.repeat = 3\n[workload.http]\nurl = \"{}\"\nsave = \"pipe\"\n",
            server.url("/")
        ));
        let pipe = pipe(&job);
        // Open for both, so that neither end waits for the other and nothing ends early.
        let open = fs::File::options().read(true).write(true).open(&pipe).unwrap();
        let ran = job.args(["--model", model]).run();
        ran.exit(0).rows("status", &["ok", "ok", "ok"]);
        let mut read = vec![0; 18];
        std::io::Read::read_exact(&mut &open, &mut read).unwrap();
        assert_eq!(read, b"ANSWER".repeat(3), "{model}");
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo(), "{model}");
    }
}

#[test]
fn a_pipe_may_be_slow_or_without_a_reader() {
    let server = Raw::start(|_| ok("", &vec![b'x'; 300_000]));
    let text = format!("[workload.http]\nurl = \"{}\"\nsave = \"pipe\"\n", server.url("/"));
    let job = TestJob::new(&text);
    pipe(&job);
    let ran = job.run();
    ran.exit(3);
    assert!(ran.report().column("error")[0].contains("no program reads from it"));
    let job = TestJob::new(&text);
    let pipe = pipe(&job);
    let open = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let reader = thread::spawn(move || {
        let mut read = vec![0; 300_000];
        std::io::Read::read_exact(&mut &open, &mut read).map(|()| read)
    });
    job.run().exit(0);
    assert_eq!(reader.join().unwrap().unwrap(), vec![b'x'; 300_000]);
}

#[test]
fn nothing_is_saved_over_what_is_read() {
    const OWN: &str = "it is the task's own input";
    for model in MODELS {
        for (text, said) in [
            ("inputs.glob = \"in.*\"\n[workload.http]\nsave = \"{input}\"", OWN),
            (
                "inputs.values = [\"in.jpg\"]\n[workload.http]\nbody_file = \"{input}\"\nsave = \"{input}\"",
                OWN,
            ),
            (
                "inputs.values = [\"in.jpg\"]\n[workload.http]\nmultipart = { a = { path = \"{input}\" } }\nsave = \"./{input}\"",
                OWN,
            ),
            ("inputs.lines = \"in.list\"\n[workload.http]\nsave = \"{input}\"", "the job reads it"),
            (
                "inputs.values = [\"job.toml\"]\n[workload.http]\nsave = \"{input}\"",
                "the job reads it",
            ),
            (
                "inputs.values = [\"token\"]\nsecrets.k = { file = \"token\" }\n[workload.http]\nsave = \"{input}\"",
                "the job reads it",
            ),
        ] {
            let server = answer();
            let job = TestJob::new(&format!("{text}\nurl = \"{}\"\n", server.url("/")))
                .file("in.jpg", "precious")
                .file("in.list", "in.list\n")
                .file("token", "a-long-token")
                .args(["--model", model]);
            let before = fs::read_to_string(job.folder().join("job.toml")).unwrap();
            let ran = job.run();
            ran.exit(3);
            let errors = ran.report().column("error");
            assert!(errors.iter().all(|error| error.ends_with(said)), "{text}: {errors:?}");
            assert!(server.asked().is_empty(), "{text}");
            assert_eq!(fs::read(ran.path("in.jpg")).unwrap(), b"precious", "{text}");
            assert_eq!(fs::read_to_string(ran.path("job.toml")).unwrap(), before);
        }
    }
}

#[test]
fn a_saved_file_is_replaced_by_the_next_run() {
    let server = answer();
    let ran = TestJob::new(&format!(
        "inputs.csv = \"list.csv\"\n[fields]\nto = {{ value = \"{{name}}.txt\" }}\n\
         [workload.http]\nurl = \"{}\"\nsave = \"{{to}}\"\n",
        server.url("/")
    ))
    .file("list.csv", "name,old\na,a.txt\n")
    .file("a.txt", "of a run before")
    .run();
    ran.exit(0);
    assert_eq!(fs::read(ran.path("a.txt")).unwrap(), b"ANSWER");
}

#[test]
fn a_command_does_not_write_over_secrets_or_the_job_either() {
    let ran = TestJob::new(
        "inputs.values = [\"job.toml\", \"token\", \"new\"]\nsecrets.k = { file = \"token\" }\n\
         [workload.command]\nargv = [\"echo\", \"x\"]\nstdout = \"./{input}\"\nenv = { K = \"{secret.k}\" }\n",
    )
    .file("token", "a-long-token")
    .run();
    ran.exit(3).rows("status", &["failed", "failed", "ok"]);
    assert_eq!(fs::read(ran.path("token")).unwrap(), b"a-long-token");
}

#[test]
fn what_the_report_makes_is_not_saved_over() {
    let server = answer();
    let ran = TestJob::new(&format!(
        "inputs.values = [\"html\", \"xlsx\", \"csv\"]\n[workload.http]\nurl = \"{}\"\n\
         save = \"results/job.{{input}}\"\n[report]\nalso = [\"html\", \"xlsx\"]\n",
        server.url("/")
    ))
    .run();
    ran.exit(3).rows("status", &["failed", "failed", "failed"]);
    assert!(ran.report().column("error")[0].ends_with("it is a file of the job's report"));
}

/// The first answer is cut; a rest is sent to whoever asks for one.
fn cut(asked: &Asked) -> Vec<u8> {
    let is_first = asked.header("x") == Some("1") || asked.body == b"1";
    let body = if is_first { b"first. ".repeat(10) } else { b"second ".repeat(10) };
    let tag = "etag: \"v1\"\r\n";
    if is_first {
        let whole = ok(tag, &body);
        return whole[..whole.len() - 30].to_vec();
    }
    match asked.header("range") {
        Some(_) => super::raw::status(
            "206 Partial Content",
            &format!("{tag}content-range: bytes 40-69/70\r\n"),
            &body[40..],
        ),
        None => ok(tag, &body),
    }
}

#[test]
fn only_the_same_get_is_resumed() {
    for model in MODELS {
        for keys in [
            "headers = { X = \"{attempt}\" }",
            "method = \"POST\"\nbody = \"{attempt}\"",
            "method = \"GET\"\nbody = \"{attempt}\"",
        ] {
            let server = Raw::start(cut);
            let ran = TestJob::new(&format!(
                "[workload.http]\nurl = \"{}\"\nsave = \"o\"\n{keys}\n[retry]\nmax_attempts = 3\ndelay = \"1ms\"\n",
                server.url("/")
            ))
            .args(["--model", model])
            .run();
            ran.exit(0);
            assert_eq!(fs::read(ran.path("o")).unwrap(), b"second ".repeat(10), "{model} {keys}");
            assert!(server.asked().iter().all(|asked| asked.header("range").is_none()));
        }
    }
}

/// A body that has none by its nature takes nobody's place.
#[test]
fn what_is_as_it_was_stays() {
    for model in MODELS {
        let server =
            Raw::start(|_| super::raw::status("304 Not Modified", "etag: \"v1\"\r\n", b""));
        let job = format!(
            "[workload.http]\nurl = \"{}\"\nexpect_status = ['2xx', 304]\nsave = 'page'\n",
            server.url("/")
        );
        let ran = TestJob::new(&job).file("page", "as it was").args(["--model", model]).run();
        ran.exit(0).rows("code", &["304"]);
        assert_eq!(fs::read_to_string(ran.path("page")).unwrap(), "as it was", "{model}");
    }
    let job = "[workload.http]\nurl = 'http://127.0.0.1:1/'\nfallback = 'HEAD'\nsave = 'page'\n";
    TestJob::new(job).run().exit(2).stderr_has("`save` has nothing to save: leave `fallback` out");
}

#[test]
fn what_is_saved_is_as_private_as_what_was_there() {
    for model in MODELS {
        let server = answer();
        let job = format!("[workload.http]\nurl = \"{}\"\nsave = 'page'\n", server.url("/"));
        let job = TestJob::new(&job).file("page", "secret").args(["--model", model]);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        fs::set_permissions(job.folder().join("page"), fs::Permissions::from_mode(0o600)).unwrap();
        let ran = job.run();
        ran.exit(0);
        assert_eq!(fs::read_to_string(ran.path("page")).unwrap(), "ANSWER");
        assert_eq!(mode(ran.path("page")), 0o600, "{model}");
    }
}

/// What a write that failed has left is not the start of anything.
#[test]
fn what_a_full_disk_has_cut_is_not_resumed() {
    for model in MODELS {
        let whole = vec![b'x'; 3_000_000];
        let server = Raw::start(move |_| ok("etag: \"v1\"\r\n", &whole));
        let job = TestJob::new(&format!(
            "[workload.http]\nurl = \"{}\"\nsave = 'small/page'\n[retry]\nmax_attempts = 2\ndelay = '1ms'\n",
            server.url("/")
        ));
        let small = job.folder().join("small");
        fs::create_dir(&small).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=300k", "tmpfs"]).arg(&small);
        if !mount.output().is_ok_and(|output| output.status.success()) {
            return skip("a small file system needs root and mount(8)");
        }
        let ran = job.args(["--model", model]).run();
        let unmounted = std::process::Command::new("umount").arg(&small).status();
        assert!(unmounted.unwrap().success());
        ran.exit(3);
        assert!(ran.report().column("error")[0].contains("no space left"));
        let ranges = server.asked().iter().filter(|asked| asked.header("range").is_some()).count();
        assert_eq!((server.asked().len(), ranges), (2, 0), "{model}");
    }
}

/// Of a download that came in two answers, the headers are those of the whole.
#[test]
fn headers_are_those_of_the_whole_file() {
    let server = Raw::start(|asked| {
        if asked.header("range").is_some() {
            let headers = "etag: \"v1\"\r\ncontent-range: bytes 40-69/70\r\n";
            return super::raw::status("206 Partial Content", headers, &[b'x'; 30]);
        }
        let whole = ok("etag: \"v1\"\r\n", &[b'x'; 70]);
        whole[..whole.len() - 30].to_vec()
    });
    let ran = TestJob::new(&format!(
        "[workload.http]\nurl = \"{}\"\nsave = 'page'\n[columns.length]\nheader = 'content-length'\n\
         [retry]\nmax_attempts = 2\ndelay = '1ms'\n",
        server.url("/")
    ))
    .run();
    ran.exit(0).rows("length,output_bytes", &["70,70"]);
}

/// The file is what it is when its task is sent, also where the request is the same as the one before.
#[test]
fn a_file_that_changes_is_sent_as_it_is() {
    for model in MODELS {
        for body in ["body_file = 'log'", "multipart.log = { path = 'log' }"] {
            let job = TestJob::empty();
            let log = job.folder().join("log");
            fs::write(&log, "").unwrap();
            let server = Raw::start(move |asked| {
                let lines = asked
                    .body
                    .split(|&byte| byte == b'\n')
                    .filter(|line| line.starts_with(b"line "));
                let said = format!("sent {}", lines.count());
                let before = fs::read(&log).unwrap();
                fs::write(&log, [&before[..], b"line of the log\n"].concat()).unwrap();
                ok("", said.as_bytes())
            });
            let text = format!(
                "inputs.repeat = 3\n[workload.http]\nurl = \"{}\"\n{body}\n[columns.sent]\nregex = 'sent (.*)'\n\
                 [limits]\nconcurrency = 1\n",
                server.url("/")
            );
            let ran = job.file("job.toml", text).args(["job.toml", "--model", model]).run();
            ran.exit(0).rows("sent", &["0", "1", "2"]);
        }
    }
}
