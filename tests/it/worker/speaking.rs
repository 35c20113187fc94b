//! Workers that keep to the protocol.

use super::job;
use crate::support::TestJob;

#[test]
fn values_keep_their_types_both_ways() {
    let worker = "
for request in requests():
    args, kwargs = request['args'], request['kwargs']
    ok(request, args[0] if args else kwargs)";
    job(worker, "[inputs]\nvalues = [1, 'a', 0.10, true, '\u{e9}\"\\n', 0x10, inf]")
        .run()
        .exit(0)
        .rows(
            "input,result",
            &["1,1", "a,a", "0.10,0.1", "true,true", r#"é"\n,é"\n"#, "0x10,16", "inf,inf"],
        );
    let test = job(worker, "[inputs]\njsonl = 'in.jsonl'\n[workload.worker.kwargs]\na = '{a}'\nt = '{task}'\ns = 'x{a}'")
        .file("in.jsonl", "{\"a\": {\"b\": [1, null]}}\n{\"a\": null}\n{\"a\": 123456789012345678901234567890}\n");
    let ran = test.run();
    let expected = [
        r#"{"a": {"b": [1, null]}, "t": 1, "s": "x{\"b\": [1, null]}"}"#,
        r#"{"a": null, "t": 2, "s": "x"}"#,
        r#"{"a": 123456789012345678901234567890, "t": 3, "s": "x123456789012345678901234567890"}"#,
    ];
    assert_eq!(ran.exit(0).report().column("result"), expected);
}

#[test]
fn bytes_that_are_not_text_arrive_and_come_back() {
    let worker = r"
for request in requests():
    name = request['args'][0]
    ok(request, name + ' ' + str(len(os.fsencode(name))))";
    let test = job(worker, "[inputs]\nlines = 'names'").file("names", b"a\xffb\n");
    let ran = test.run();
    // The report is UTF-8, whatever the name is.
    ran.exit(0).rows("input,result", &["a\u{fffd}b,a\u{fffd}b 3"]);
}

#[test]
fn what_a_report_cannot_hold_of_a_result_is_said() {
    let worker = r#"
texts = {'half': r'"a\ud800b"', 'nul': r'"a\u0000b"', 'byte': r'"a\udc80b"', 'plain': r'"\ud83d\ude00"'}
for request in requests():
    say('{"id":%d,"ok":{"result":%s}}' % (request['id'], texts[request['args'][0]]))"#;
    let ran = job(worker, "[inputs]\nvalues = ['half', 'nul', 'byte', 'plain']").run();
    ran.exit(3)
        .rows("status,result", &["failed,", "ok,a\u{fffd}b", "ok,a\u{fffd}b", "ok,\u{1f600}"]);
    let errors = ran.report().column("error");
    assert!(errors[0].contains("half of a surrogate pair"), "{errors:?}");
    assert!(errors[1].contains("`result`") && errors[2].contains("`result`"), "{errors:?}");
    assert_eq!(errors[3], "");
}

#[test]
fn answers_in_any_order_find_their_tasks() {
    let worker = "
waiting = []
for request in requests(slots=4):
    waiting.append(request)
    if len(waiting) == 4:
        for one in reversed(waiting):
            ok(one, one['args'][0] * 10)
        waiting = []";
    for model in ["threads", "async"] {
        let rest = format!(
            "model = '{model}'\n[limits]\nconcurrency = 4\n[inputs]\nrange = {{ from = 1, to = 8 }}"
        );
        let rows: Vec<_> = (1..=8).map(|n| format!("{n},{}", n * 10)).collect();
        let rows: Vec<_> = rows.iter().map(String::as_str).collect();
        job(worker, &rest).run().exit(0).rows("input,result", &rows);
    }
}

#[test]
fn as_many_programs_run_as_the_slots_need() {
    let worker = "
for request in requests(slots=2):
    ok(request, [os.getpid(), hello['mode'], hello['slots'], os.environ['RUNNER_SLOT']])";
    let programs = |model: &str| {
        let rest = format!(
            "model = '{model}'\n[limits]\nconcurrency = 4\n[inputs]\nrepeat = 40\n[columns.pid]\njson = '/0'\n[columns.mode]\njson = '/1'\n[columns.slots]\njson = '/2'"
        );
        let ran = job(worker, &rest).run();
        let report = ran.exit(0).report();
        assert!(report.column("mode").iter().all(|mode| mode == model));
        let mut slots = report.column("slots");
        slots.sort();
        slots.dedup();
        let mut pids = report.column("pid");
        pids.sort();
        pids.dedup();
        (pids.len(), slots)
    };
    assert_eq!(programs("sequential"), (1, vec!["1".to_owned()]));
    let (pids, slots) = programs("processes");
    assert!((1..=4).contains(&pids) && slots == ["1"], "{pids} {slots:?}");
    // Each takes two of the four.
    let (pids, slots) = programs("async");
    assert!(
        pids <= 2 && slots.iter().all(|slots| slots == "4" || slots == "2"),
        "{pids} {slots:?}"
    );
}

#[test]
fn long_lines_pass() {
    let worker = "
for request in requests():
    ok(request, len(request['args'][0]) and 'y' * 1000000)";
    let test = job(worker, "[inputs]\nlines = 'long'\n[columns.tail]\nregex = 'y{5}$'");
    let ran = test.file("long", "x".repeat(1_000_000)).run();
    assert_eq!(ran.exit(0).report().column("tail"), ["yyyyy"]);
}

#[test]
fn a_column_without_a_rule_is_the_member_of_its_name() {
    let worker = "
for request in requests():
    ok(request, {'square': request['args'][0] ** 2, 'a/b': None})";
    job(worker, "[inputs]\nvalues = [3, 12345678901]\n[columns.square]\n[columns.'a/b']")
        .run()
        .exit(0)
        .rows("square,a/b", &["9,", "152415787526596567801,"]);
}

#[test]
fn failures_and_measures_are_reported() {
    let worker = "
for request in requests():
    if request['args'] == [1]:
        say({'id': request['id'], 'error': {'type': 'ValueError', 'message': 'no', 'traceback': 'File x\\nline 2'}, 'z': 1})
    else:
        say({'id': request['id'], 'ok': {'cpu_user_s': 0.5, 'cpu_sys_s': 0.25, 'peak_rss_bytes': 1000, 'run_s': 99}})";
    job(worker, "[inputs]\nvalues = [1, 2]").run().exit(3).rows(
        "status,result,cpu_user_s,cpu_sys_s,peak_rss_bytes,error",
        &[r"failed,,,,,ValueError: no: File x\nline 2", "ok,,0.5,0.25,1000,"],
    );
}

#[test]
fn attempts_are_told_and_charged() {
    let worker = "
for request in requests():
    if request['attempt'] < 3:
        say({'id': request['id'], 'error': 'not yet'})
    else:
        ok(request)";
    job(worker, "[inputs]\nrepeat = 2\n[retry]\nmax_attempts = 3\ndelay = '1ms'")
        .run()
        .exit(0)
        .rows("attempts,status", &["3,ok", "3,ok"]);
}

#[test]
fn what_it_writes_to_standard_error_is_in_the_log() {
    let worker = "
for request in requests():
    print('doing', request['args'][0], file=sys.stderr, flush=True)
    ok(request)";
    let ran = job(worker, "model = 'sequential'\n[inputs]\nrepeat = 2").run();
    ran.exit(0).stderr_has("the output of the workers is in results/job.log");
    let log = |ran: &crate::support::Ran| std::fs::read_to_string(ran.path("results/job.log"));
    assert_eq!(log(&ran).unwrap(), "doing 1\ndoing 2\n");
    // A fresh start empties it; what says nothing has none.
    let ran = TestJob::again(ran).args(["job.toml", "--limit", "1"]).run();
    assert_eq!(log(ran.exit(0)).unwrap(), "doing 1\n");
    let quiet = super::PROTOCOL.to_owned() + "for request in requests(): ok(request)";
    let ran = TestJob::again(ran).file("worker.py", quiet).arg("job.toml").run();
    assert!(log(ran.exit(0)).is_err());
}

#[test]
fn a_task_is_shown_as_a_call() {
    let rest =
        "[inputs]\nvalues = [20000, 'a']\n[workload.worker.kwargs]\nn = '{input}'\ns = '{input}!'";
    job("", rest)
        .arg("--dry-run")
        .run()
        .exit(0)
        .stdout_has(r#"python3 worker.py (n=20000, s="20000!")"#)
        .stdout_has(r#"python3 worker.py (n="a", s="a!")"#);
}

#[test]
fn mistakes_in_the_table_are_explained() {
    for (table, expected) in [
        ("", "`[workload.worker]` has no `argv`"),
        ("argv = []", "`argv` is empty"),
        ("argv = ['no-such-program']", "there is no program `no-such-program` in the PATH"),
        ("argv = ['sh', '{input}']", "starts a program that does many tasks, and cannot name one"),
        ("argv = ['sh']\nenv = { A = '{task}' }", "goes into `args` or `kwargs`"),
        ("argv = ['sh']\nargs = ['{inptu}']", "did you mean `{input}`?"),
        ("argv = ['sh']\ncwd = 'nowhere'", "there is no folder `nowhere`"),
    ] {
        TestJob::new(&format!("[inputs]\nrepeat = 1\n[workload.worker]\n{table}"))
            .run()
            .exit(2)
            .stderr_has(expected);
    }
}

#[test]
fn a_request_is_one_line_whatever_its_values_are_written_like() {
    let worker = "
for request in requests():
    ok(request, json.dumps(request['args']))";
    let json =
        "[\n  {\"tags\": [\n    1,\r\n    2\n  ]},\n  {\"tags\": {\n    \"a\": \"\\n\"\n  }}\n]\n";
    for (batch, results) in [
        ("", &["[[1, 2]]", r#"[{"a": "\n"}]"#][..]),
        ("\nbatch = 2", &[r#"[[[1, 2], {"a": "\n"}]]"#]),
    ] {
        let rest = format!("args = ['{{tags}}']\n[inputs]\njson = 'p.json'{batch}");
        let toml = format!("[workload.worker]\nargv = ['python3', 'worker.py']\n{rest}");
        let test = job(worker, "").file("job.toml", toml).file("p.json", json);
        assert_eq!(test.run().exit(0).report().column("result"), results);
    }
}
