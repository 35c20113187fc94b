//! Services: started before the first task, there for all of them, gone after the last.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::{TestJob, free_port, is_alive, wait_until};

/// A server on `port` for the folder of the job, and tasks that ask it.
fn web(port: u16, ready: &str) -> TestJob {
    TestJob::new(&format!(
        r#"
        [inputs]
        values = ["a.txt", "b.txt"]
        [services.web]
        argv = ["python3", "-u", "-m", "http.server", "{port}", "--bind", "127.0.0.1"]
        cwd = "site"
        ready = {ready}
        [workload.command]
        argv = ["python3", "-c", "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())", "http://127.0.0.1:{port}/{{input}}"]
        "#
    ))
    .file("site/a.txt", "from a")
    .file("site/b.txt", "from b")
}

#[test]
fn a_service_is_there_for_every_task() {
    for ready in [
        "{ url = 'http://127.0.0.1:PORT/' }",
        "{ tcp = '127.0.0.1:PORT' }",
        "{ line = 'Serving HTTP on .* port (?-u:\\d+)' }",
        "'http://127.0.0.1:PORT/none'",
        "'127.0.0.1:PORT'",
    ] {
        let port = free_port();
        let ran = web(port, &ready.replace("PORT", &port.to_string())).run();
        ran.exit(0).rows("input,status,result", &["a.txt,ok,from a", "b.txt,ok,from b"]);
        let log = fs::read_to_string(ran.path("results/job.web.log")).unwrap();
        assert!(log.contains("\"GET /a.txt HTTP/1.1\" 200"), "{log}");
        let startup: f64 = ran.summary("job")["startup_s"].parse().unwrap();
        assert!(startup > 0.02, "Python does not start faster than that: {startup}");
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "it is gone");
    }
}

#[test]
fn services_start_in_order_and_end_in_reverse() {
    let service = |name: &str| {
        format!(
            "[services.{name}]\nargv = ['sh', '-c', 'echo {name} up >> order; trap \"echo {name} down >> order; exit\" TERM; echo ready $JOB; while :; do sleep 0.01; done']\nready = {{ line = '^ready job$' }}\nenv = {{ JOB = '{{job}}' }}\n"
        )
    };
    let job = format!(
        "[workload.command]\nshell = 'echo task >> order'\n{}{}",
        service("z"),
        service("a")
    );
    let ran = TestJob::new(&job).run();
    ran.exit(0).rows("status", &["ok"]);
    let order = fs::read_to_string(ran.path("order")).unwrap();
    assert_eq!(order, "z up\na up\ntask\na down\nz down\n");
}

#[test]
fn a_service_is_ended_with_its_whole_group() {
    let job = r#"
        [workload.command]
        shell = "true"
        [services.stubborn]
        argv = ["sh", "-c", "trap '' TERM; (trap '' TERM; exec sleep 300) & echo $$ $!; while :; do sleep 300; done"]
        ready = { line = "[0-9]+" }
        [limits]
        grace = "100ms"
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(0);
    let log = fs::read_to_string(ran.path("results/job.stubborn.log")).unwrap();
    for pid in log.split_whitespace() {
        assert!(!is_alive(pid.parse().unwrap()), "{pid}");
    }
}

#[test]
fn one_that_dies_before_it_is_ready_fails_the_job() {
    let job = r#"
        [inputs]
        repeat = 3
        [workload.command]
        shell = "true"
        [services.db]
        argv = ["sh", "-c", "sleep 300 & echo no disk >&2; exit 7"]
        ready = { tcp = "127.0.0.1:1" }
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(2)
        .stderr_has("service `db` ended before it was ready: exit code 7")
        .stderr_has("job.db.log")
        .stderr_has("no disk")
        .rows("status,attempts", &["cancelled,0"; 3]);
}

#[test]
fn one_that_is_not_ready_in_time_fails_the_job() {
    let job = r#"
        [workload.command]
        shell = "true"
        [services.slow]
        argv = ["sh", "-c", "echo almost; exec sleep 300"]
        ready = { line = "^ready" }
        timeout = "200ms"
    "#;
    let start = Instant::now();
    let ran = TestJob::new(job).run();
    ran.exit(2).stderr_has("service `slow` was not ready after 200ms").stderr_has("almost");
    assert!(start.elapsed() < Duration::from_mins(1));
}

#[test]
fn one_that_dies_while_the_job_runs_stops_it() {
    let job = r#"
        [inputs]
        repeat = 3
        [workload.command]
        shell = "kill -9 $(cat pid); sleep 0.3; echo done"
        [services.db]
        argv = ["sh", "-c", "echo $$ > pid; echo last words; while :; do sleep 0.01; done"]
        ready = { line = "last" }
        [limits]
        concurrency = 1
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(3)
        .stderr_has("service `db` ended while the job was running: killed by signal 9 (SIGKILL)")
        .stderr_has("last words")
        .rows("status,result", &["ok,done", "cancelled,", "cancelled,"]);
}

#[test]
fn somebody_else_at_the_address_is_not_taken_for_the_service() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    web(port, &format!("'http://127.0.0.1:{port}/'"))
        .run()
        .exit(2)
        .stderr_has(&format!("a program that accepts connections at 127.0.0.1:{port} already"));
}

#[test]
fn a_signal_ends_services_too() {
    for phase in ["starting", "running"] {
        let ready = if phase == "starting" { "never" } else { "up" };
        let job = format!(
            "[workload.command]\nshell = 'touch running; sleep 0.2'\n[services.s]\nargv = ['sh', '-c', 'echo up; echo $$ > pid; exec sleep 300']\nready = {{ line = '{ready}' }}\n"
        );
        let running = TestJob::new(&job).spawn();
        running.wait_for_file(if phase == "starting" { "pid" } else { "running" }, |_| true);
        let pid: i32 =
            running.wait_for_file("pid", |text| text.ends_with('\n')).trim().parse().unwrap();
        running.signal(libc::SIGINT);
        let ran = running.wait();
        let status = if phase == "starting" { "cancelled" } else { "ok" };
        ran.exit(130).rows("status", &[status]);
        wait_until("the service is gone", || (!is_alive(pid)).then_some(()));
    }
}

#[test]
fn mistakes_are_told_at_their_places() {
    let job = r#"
        [workload.command]
        shell = "true"
        [services."a b"]
        argv = ["true"]
        [services.one]
        argv = ["no-such-program-at-all", "{input}"]
        [services.two]
        argv = ["true"]
        ready = { url = "https://127.0.0.1/", tcp = "127.0.0.1:1" }
        [services.three]
        argv = ["true", "{task}"]
        ready = "listening"
        [services.four]
        argv = ["true"]
        ready = { line = "(" }
        redy = 1
        [services.five]
        cwd = "nowhere"
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(2);
    for text in [
        "invalid service name `a b`",
        "input",
        "exactly one of `url`, `tcp` and `line`, not 2",
        "not to a task",
        "invalid address `listening`",
        "regex does not compile",
        "did you mean `ready`?",
        "has no `argv`",
        "there is no folder `nowhere`",
    ] {
        ran.stderr_has(text);
    }
    let missing =
        "[workload.command]\nshell = 'true'\n[services.x]\nargv = ['no-such-program-at-all']\n";
    TestJob::new(missing).run().exit(2).stderr_has("there is no program `no-such-program-at-all`");
}
