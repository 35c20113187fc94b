//! `[workload.worker]`: programs that speak the worker protocol, and programs that do not.

mod dying;
mod leaving;
mod speaking;

use crate::support::TestJob;

/// What a worker needs to say and hear: `say(object)`, `requests()` after being ready.
const PROTOCOL: &str = r#"
import json, os, signal, sys, time

def say(message):
    sys.stdout.write(message if isinstance(message, str) else json.dumps(message))
    sys.stdout.write("\n")
    sys.stdout.flush()

def ok(request, result=None):
    say({"id": request["id"], "ok": {"result": result}})

def requests(slots=1):
    global hello
    hello = json.loads(sys.stdin.readline())
    say({"ready": 1, "slots": slots})
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        yield json.loads(line)
"#;

/// A job of this worker in Python; `rest` is the rest of the job file, its inputs first.
fn job(worker: &str, rest: &str) -> TestJob {
    let (head, tables) = rest.split_at(rest.find('[').unwrap_or(rest.len()));
    TestJob::new(&format!("{head}\n[workload.worker]\nargv = ['python3', 'worker.py']\n{tables}"))
        .file("worker.py", format!("{PROTOCOL}\n{worker}"))
}
