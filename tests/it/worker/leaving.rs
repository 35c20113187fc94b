//! How programs end, and what they say before they are asked.

use std::fs;

use super::job;
use crate::support::MODELS;

#[test]
fn a_program_that_does_not_end_well_is_told() {
    let worker = "
for request in requests(2):
    ok(request)
sys.exit('cannot write my results')";
    for model in MODELS {
        for renews in [false, true] {
            let rest =
                format!("model = '{model}'\n[inputs]\nrepeat = 4\n[limits]\nconcurrency = 2");
            let mut test = job(worker, &rest);
            if renews {
                test = test.args(["--set", "workload.worker.max_tasks=1"]);
            }
            let ran = test.run();
            ran.exit(0).rows("status,attempts", &["ok,1"; 4]);
            ran.stderr_has("`python3 worker.py` did not end well, and what it had to write may not be whole: exit code 1")
                .stderr_has("cannot write my results");
        }
    }
    let worker = "
for request in requests():
    ok(request)";
    let ran = job(worker, "[inputs]\nrepeat = 4").run();
    assert!(!ran.exit(0).stderr().contains("did not end well"), "{}", ran.stderr());
}

#[test]
fn a_program_that_is_renewed_has_its_grace_after_its_last_answer() {
    // Another slot waits for its end while the last answer is still to come.
    let worker = "
for request in requests(2):
    time.sleep(1.2)
    ok(request)
time.sleep(1.2)
with open('ended', 'a') as file: file.write('x')";
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[inputs]\nrepeat = 2\n[limits]\nconcurrency = 2\ngrace = '2s'"
        );
        let ran = job(worker, &rest).args(["--set", "workload.worker.max_tasks=1"]).run();
        ran.exit(0).rows("status,attempts", &["ok,1"; 2]);
        assert_eq!(fs::read_to_string(ran.path("ended")).unwrap(), "xx", "{model}");
    }
}

#[test]
fn an_answer_to_what_was_not_asked_yet_is_none() {
    let worker = "
sys.stdin.readline()
say('{\"ready\":1}\\n{\"id\":1,\"ok\":{\"result\":\"never asked\"}}')
for line in sys.stdin: ok(json.loads(line), 'asked')";
    for model in MODELS {
        let ran = job(worker, &format!("model = '{model}'\n[inputs]\nrepeat = 2")).run();
        ran.exit(2).stderr_has("it was ready, and said `{\"id\":1,");
    }
}
