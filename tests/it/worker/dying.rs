//! Workers that die, hang, or write what they should not.

use super::job;
use crate::support::{MODELS, TestJob, is_alive, wait_until};

#[test]
fn a_death_costs_the_task_that_ran() {
    for (act, error) in [
        (
            "print('last words', file=sys.stderr, flush=True); os._exit(3)",
            "the worker died: exit code 3: last words",
        ),
        ("os.kill(os.getpid(), 11)", "the worker died: killed by signal 11 (SIGSEGV)"),
        ("os.close(1); time.sleep(60)", "the worker closed its standard output"),
        (
            "say('hello')",
            "the worker wrote `hello`, which is not an answer; other output belongs on standard error",
        ),
        ("say({'id': 99, 'ok': {}})", "the worker answered unknown request 99"),
        (
            "say([request['id'], {'result': 5}, None])",
            "which is not an answer: it is not an object",
        ),
        (
            "say({'id': request['id'], 'ok': [5, 1, 2, 3]})",
            "which is not an answer: its `ok` is not an object",
        ),
        ("say({'id': request['id']})", "an answer with neither `ok` nor `error`"),
    ] {
        let worker = format!(
            "
for request in requests():
    if request['args'] == [2]:
        {act}
    ok(request, request['args'][0])"
        );
        for model in ["sequential", "processes"] {
            let ran = job(
                &worker,
                &format!(
                    "model = '{model}'\n[inputs]\nvalues = [1, 2, 3]\n[limits]\nconcurrency = 1"
                ),
            )
            .run();
            ran.exit(3).rows("status,result", &["ok,1", "crashed,", "ok,3"]);
            assert!(ran.report().column("error")[1].contains(error), "{act}: {:?}", ran.report());
        }
    }
}

#[test]
fn where_guilt_cannot_be_told_each_runs_again_alone() {
    let worker = "
import threading
def work(request):
    time.sleep(0.05)
    if request['args'] == [3]:
        os._exit(1)
    ok(request, request['args'][0])
for request in requests(slots=8):
    threading.Thread(target=work, args=(request,)).start()";
    let rest = "model = 'threads'\n[limits]\nconcurrency = 8\n[inputs]\nrange = { from = 1, to = 8 }\n[retry]\nmax_attempts = 2\ndelay = '1ms'";
    let ran = job(worker, rest).run();
    ran.exit(3).rows(
        "status,attempts,result",
        &["ok,1,1", "ok,1,2", "crashed,2,", "ok,1,4", "ok,1,5", "ok,1,6", "ok,1,7", "ok,1,8"],
    );
}

#[test]
fn a_timeout_costs_the_task_that_is_stuck() {
    let worker = "
import threading
def work(request):
    time.sleep(120 if request['args'] == [2] else 0.01)
    ok(request, request['args'][0])
for request in requests(slots=hello['slots']):
    threading.Thread(target=work, args=(request,)).start()"
        .replace("hello['slots']", "4");
    for model in ["sequential", "processes", "threads", "async"] {
        let rest = format!(
            "model = '{model}'\n[limits]\nconcurrency = 4\ntimeout = '2s'\n[inputs]\nrange = {{ from = 1, to = 6 }}"
        );
        job(&worker, &rest).run().exit(3).rows(
            "status,attempts,error",
            &["ok,1,", "timeout,1,timed out after 2s", "ok,1,", "ok,1,", "ok,1,", "ok,1,"],
        );
    }
}

#[test]
fn two_answers_are_told_and_cost_no_other_task() {
    let worker = "
for request in requests():
    ok(request)
    ok(request)";
    for model in MODELS {
        let rest = format!("model = '{model}'\n[limits]\nconcurrency = 1\n[inputs]\nrepeat = 20");
        let ran = job(worker, &rest).run();
        ran.exit(2).stderr_has("the worker cannot be used: 3 times, the worker answered request");
        for status in ran.report().column("status") {
            assert!(["ok", "cancelled"].contains(&&*status), "{model}: {status}");
        }
    }
    // Once is no reason to stop.
    let worker = "
for request in requests():
    ok(request, request['args'][0])
    if request['args'][0] == 2: ok(request, 'again')";
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[limits]\nconcurrency = 1\n[inputs]\nvalues = [1, 2, 3, 4]"
        );
        let ran = job(worker, &rest).run();
        ran.exit(0).rows("result,attempts", &["1,1", "2,1", "3,1", "4,1"]);
    }
}

#[test]
fn a_task_whose_program_leaves_without_an_answer_runs_once() {
    let worker = "
for request in requests():
    with open('effects', 'a') as file: file.write(str(request['args'][0]))
    if request['args'][0] == 2: os._exit(int(os.environ['CODE']))
    ok(request)";
    for model in MODELS {
        for code in ["0", "3"] {
            let rest = format!(
                "model = '{model}'\n[limits]\nconcurrency = 1\n[inputs]\nvalues = [1, 2, 3]"
            );
            let ran = job(worker, &rest).env("CODE", code).run();
            ran.exit(3).rows("status,attempts", &["ok,1", "crashed,1", "ok,1"]);
            assert_eq!(std::fs::read_to_string(ran.path("effects")).unwrap(), "123", "{model}");
            let error = format!("the worker died: exit code {code}");
            assert_eq!(ran.report().column("error")[1], error);
        }
    }
}

#[test]
fn no_program_is_started_for_tasks_that_are_done() {
    // All but the first wait to be ready until the job has ended.
    let worker = "
import fcntl
lock = open('lock', 'w')
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    time.sleep(120)
for request in requests():
    ok(request)";
    for model in ["threads", "async"] {
        let rest = format!("model = '{model}'\n[limits]\nconcurrency = 8\n[inputs]\nrepeat = 5");
        job(worker, &rest).run().exit(0).rows("status", &["ok"; 5]);
    }
}

#[test]
fn a_program_that_never_gets_ready_fails_the_job() {
    for (program, error) in [
        (
            "sys.exit('no module named x')",
            "the worker `python3 worker.py` cannot be used: 3 times in a row, it ended before it was ready: exit code 1: no module named x",
        ),
        ("print('Welcome!')\ntime.sleep(60)", "said `Welcome!` instead of `{\"ready\":1}`"),
        ("time.sleep(60)", "it was not ready within 1s"),
        ("say({'ready': 7})", "it speaks version 7 of the protocol, the runner 1"),
    ] {
        let rest = "[inputs]\nrepeat = 3\n[limits]\nconcurrency = 2";
        let test = job(&program.replace("print('Welcome!')", "say('Welcome!')"), rest);
        let ran = test.args(["--set", "workload.worker.ready_timeout=1s"]).run();
        let stderr = ran.exit(2).stderr();
        // A busy machine may take a second to get to it.
        assert!(stderr.contains(error) || stderr.contains("was not ready within 1s"), "{stderr}");
        ran.rows("status", &["cancelled", "cancelled", "cancelled"]);
    }
}

#[test]
fn what_is_no_program_is_said() {
    TestJob::new("[inputs]\nrepeat = 1\n[workload.worker]\nargv = ['./text']")
        .file("text", "not a program")
        .run()
        .exit(2)
        .stderr_has("`./text` is not executable");
    TestJob::new("[inputs]\nrepeat = 1\n[workload.worker]\nargv = ['cat']")
        .run()
        .exit(2)
        .stderr_has("instead of `{\"ready\":1}`");
}

#[test]
fn one_that_does_not_leave_is_killed_after_its_grace() {
    let worker = "
for request in requests():
    open('pid', 'w').write(str(os.getpid()))
    ok(request)
time.sleep(120)";
    let rest = "model = 'sequential'\n[inputs]\nrepeat = 1\n[limits]\ngrace = '100ms'";
    let ran = job(worker, rest).run();
    ran.exit(0);
    let pid = std::fs::read_to_string(ran.path("pid")).unwrap().parse().unwrap();
    wait_until("the worker is gone", || (!is_alive(pid)).then_some(()));
}

#[test]
fn a_kill_ends_what_runs() {
    let worker = "
for request in requests():
    open('started', 'w').close()
    time.sleep(120)";
    let rest = "model = 'processes'\n[inputs]\nrepeat = 3\n[limits]\nconcurrency = 1";
    let running = job(worker, rest).spawn();
    running.wait_for_file("started", |_| true);
    running.stop(2);
    running.wait().exit(130).rows("status", &["cancelled", "cancelled", "cancelled"]);
}

#[test]
fn one_that_leaves_between_tasks_is_started_again() {
    let worker = "
for request in requests():
    ok(request, os.getpid())
    break";
    // It may leave while the next request is on its way to it, which costs that nothing.
    for end in ["", "\nos._exit(3)", "\nos.kill(os.getpid(), 9)"] {
        let rest = "model = 'sequential'\n[inputs]\nrepeat = 12";
        let ran = job(&format!("{worker}{end}"), rest).run();
        ran.exit(0).rows("status,attempts", &["ok,1"; 12]);
    }
}

#[test]
fn a_task_that_its_program_never_read_is_not_charged() {
    // Each gets two requests at a time, answers one and dies: it has never seen the other.
    let worker = "
sys.stdin = open(0, buffering=1)
def line():
    read = b''
    while not read.endswith(b'\\n'):
        read += os.read(0, 1)
    return json.loads(read)
line()
say({'ready': 1, 'slots': 2})
ok(line(), os.getpid())
os._exit(5)";
    for model in ["threads", "async"] {
        let rest = format!("model = '{model}'\n[inputs]\nrepeat = 10\n[limits]\nconcurrency = 2");
        job(worker, &rest).run().exit(0).rows("status,attempts", &["ok,1"; 10]);
    }
    // One that never reads anything does not go on for ever.
    let worker = "
sys.stdin.readline()
say({'ready': 1})
os._exit(5)";
    let ran = job(worker, "model = 'sequential'\n[inputs]\nrepeat = 3").run();
    ran.exit(3).rows("status", &["crashed"; 3]);
    assert!(ran.report().column("error")[0].contains("the worker died: exit code 5"));
}
