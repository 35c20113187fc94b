//! Hosts that are slow or have refused: they are left alone, and the others are not held up.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::raw::{Raw, ok, status};
use super::server::Server;
use crate::support::{MODELS, TestJob};

/// Many of a host that is busy, or that has refused, come before those of another one, as in a table that is sorted.
#[test]
fn many_tasks_of_a_slow_host_do_not_hold_up_those_of_another() {
    for (limits, refuses) in [("concurrency = 2\nper_host = 1", false), ("concurrency = 1", true)] {
        let fast = Server::start();
        let slow = Raw::start_by(move |_, stream| {
            if refuses {
                let _ = stream.write_all(&status("503 Busy", "retry-after: 600\r\n", b""));
            } else {
                while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
            }
        });
        let slow = vec![slow.url("/"); 400];
        let urls = slow.into_iter().chain(vec![fast.url("/hello"); 5]).collect::<Vec<_>>();
        let text = format!(
            "[inputs]\nlines = 'urls'\n[workload.http]\nurl = '{{input}}'\n[limits]\n{limits}\n"
        );
        for model in MODELS {
            if model == "sequential" && !refuses {
                continue; // its only slot is busy
            }
            let job = TestJob::new(&text).file("urls", urls.join("\n"));
            let running = job.args(["--model", model]).spawn();
            running
                .wait_for_file("results/job.csv.partial", |text| text.matches(",ok,").count() == 5);
            if refuses {
                running.signal(2); // nothing runs
            } else {
                running.stop(2);
            }
            let ran = running.wait();
            let statuses = ran.exit(130).report().column("status");
            assert!(statuses[400..].iter().all(|status| status == "ok"), "{model}: {statuses:?}");
            assert_eq!(statuses.len(), 405, "{model}");
        }
    }
}

/// What was taken before a host has refused, and waits for its turn at a rate, a place in a group or room in a budget,
/// waits for the host as well.
#[test]
fn a_busy_server_is_left_alone_by_tasks_that_wait_for_something_else() {
    let limits = [
        "rate = '2/s'",
        "group = 'db'",
        "budget.n = [{ per = '700ms', max = 1, estimate = 1 }]",
        "group = 'db'\nrate = '2/s'",
    ];
    let jobs = limits.iter().flat_map(|limits| MODELS.map(|model| (*limits, model)));
    thread::scope(|scope| {
        for (limits, model) in jobs {
            scope.spawn(move || {
                let ends = Arc::new(OnceLock::new());
                let server = Raw::start(move |_| {
                    let end = ends.get_or_init(|| Instant::now() + Duration::from_secs(2));
                    if Instant::now() < *end {
                        return status("429 Busy", "retry-after: 2\r\n", b"");
                    }
                    ok("", b"1")
                });
                let text = format!(
                    "[inputs]\nrepeat = 4\n[workload.http]\nurl = '{}'\n[columns.n]\nregex = '.'\n\
                     [limits]\nconcurrency = 4\n{limits}\n",
                    server.url("/")
                );
                let text = match model {
                    "sequential" => text.replace("concurrency = 4", "concurrency = 1"),
                    _ => text,
                };
                let args = ["--model", model, "--group", "db=1"];
                let args = if limits.contains("group") { &args[..] } else { &args[..2] };
                let ran = TestJob::new(&text).args(args.iter().copied()).run();
                let mut rows = ran.exit(3).report().select("status,attempts,code");
                rows.sort();
                let wanted = ["failed,1,429", "ok,1,200", "ok,1,200", "ok,1,200"];
                assert_eq!(rows, wanted, "{model}, {limits}");
            });
        }
    });
}

/// A turn at the rate that a task of a host that is left alone does not use is for a task of another one.
#[test]
fn tasks_of_others_take_the_turns_of_those_that_wait_for_their_host() {
    let busy = Raw::start(|_| status("503 Busy", "retry-after: 600\r\n", b""));
    let fast = Server::start();
    let urls = [vec![busy.url("/"); 60], vec![fast.url("/hello"); 6]].concat().join("\n");
    let text = "[inputs]\nlines = 'urls'\n[workload.http]\nurl = '{input}'\n\
                [limits]\nconcurrency = 60\nrate = '2/s'\n";
    let running = TestJob::new(text).file("urls", urls).spawn();
    let began = Instant::now();
    running.wait_for_file("results/job.csv.partial", |text| text.matches(",ok,").count() >= 3);
    let took = began.elapsed();
    running.signal(2);
    running.wait().exit(130);
    assert!(took < Duration::from_secs(15), "{took:?}: they have the turns after the first one");
}

#[test]
fn a_rate_that_waited_for_a_host_that_is_left_alone_was_not_missed() {
    for model in MODELS {
        let asked = Arc::new(AtomicUsize::new(0));
        let server = Raw::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            4 => status("503 Busy", "retry-after: 2\r\n", b""),
            _ => ok("", b"hello"),
        });
        let text = format!(
            "inputs.repeat = 12\n[workload.http]\nurl = \"{}\"\n[limits]\nrate = \"10/s\"\nconcurrency = 1\n\
             [retry]\nmax_attempts = 3\n",
            server.url("/")
        );
        let ran = TestJob::new(&text).args(["--model", model]).run();
        ran.exit(0).stderr_has("its host left alone for a while");
        assert!(!ran.stderr().contains("every slot was busy"), "{model}: {}", ran.stderr());
    }
}
