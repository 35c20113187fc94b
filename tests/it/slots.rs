//! `[limits] slots`: names of the slots, such as graphics cards or ports.

use crate::support::{MODELS, TestJob};

const LIMITS: &str = "[limits]\nslots = ['a', 'b']\n";
const INPUTS: &str = "[inputs]\nrepeat = 6\n";
const COMMAND: &str = r#"
    [workload.command]
    argv = ["sh", "-c", "sleep 0.01; echo {slot.name} $NAME $RUNNER_SLOT_NAME $RUNNER_SLOT"]
    env = { NAME = "{slot.name}" }
"#;
const FUNCTION: &str = "
import os, time
def f(name, slot):
    time.sleep(0.005)
    own = os.environ.get('RUNNER_SLOT_NAME', name)
    return f\"{name} {os.environ.get('NAME', name)} {own} {slot}\"
";
const PYTHON: &str = "[workload.python]\nfunction = 'm:f'\nargs = ['{slot.name}', '{slot}']\n";
const WORKER: &str = "[workload.worker]\nargs = ['{slot.name}', '{slot}']\n";
const ENV: &str = "env = { NAME = '{slot.name}' }\n";
const PROGRAM: &str = r#"
import json, os, sys
sys.stdin.readline()
print(json.dumps({"ready": 1}), flush=True)
for line in sys.stdin:
    call = json.loads(line)
    name, slot = call["args"]
    own = [name if len(sys.argv) == 1 else sys.argv[1], os.environ.get("NAME", name)]
    text = f"{own[0]} {own[1]} {os.environ.get('RUNNER_SLOT_NAME', name)} {slot}"
    print(json.dumps({"id": call["id"], "ok": {"result": text}}), flush=True)
"#;

/// Runs it, with or without a model, and looks whether each task was told the name of the slot that it ran in.
fn names_fit(job: &str, model: Option<&str>) {
    let test = TestJob::new(job).file("m.py", FUNCTION).file("w.py", PROGRAM);
    let ran = match model {
        Some(model) => test.args(["--model", model]).run(),
        None => test.run(),
    };
    let report = ran.exit(0).report();
    for (result, slot) in report.column("result").iter().zip(report.column("slot")) {
        let name = if slot == "1" { "a" } else { "b" };
        assert_eq!(result.trim(), format!("{name} {name} {name} {slot}"), "{model:?}: {job}");
    }
}

#[test]
fn commands_know_the_name_of_their_slot_under_every_model() {
    let job = format!("{INPUTS}{COMMAND}{LIMITS}");
    for model in MODELS {
        names_fit(&job, Some(model));
    }
    names_fit(&job, None);
}

#[test]
fn functions_know_the_name_of_their_slot_under_every_model() {
    for model in MODELS {
        let env = if matches!(model, "sequential" | "processes") { ENV } else { "" };
        names_fit(&format!("{INPUTS}{PYTHON}{env}{LIMITS}"), Some(model));
    }
    names_fit(&format!("{INPUTS}{PYTHON}{ENV}{LIMITS}"), None);
}

#[test]
fn workers_know_the_name_of_their_slot_under_every_model() {
    for model in MODELS {
        let is_own = matches!(model, "sequential" | "processes");
        let own = if is_own { ", '{slot.name}'" } else { "" };
        let env = if is_own { ENV } else { "" };
        let argv = format!("argv = ['python3', 'w.py'{own}]\n");
        names_fit(&format!("{INPUTS}{WORKER}{argv}{env}{LIMITS}"), Some(model));
    }
    let argv = "argv = ['python3', 'w.py', '{slot.name}']\n";
    names_fit(&format!("{INPUTS}{WORKER}{argv}{ENV}{LIMITS}"), None);
}

#[test]
fn computations_and_stages_know_it_too() {
    let compute = "[inputs]\nrepeat = 9\n[workload.compute]\nfunction = 'factorial'\narg = '{slot.name}'\n[limits]\nslots = ['3', '13']\n";
    let stages = r#"
        [inputs]
        repeat = 9
        [[stages]]
        name = "one"
        workload.command.argv = ["printf", "%s", "{slot.name}"]
        columns.first = { regex = "." }
        limits.slots = ["a", "b"]
        [[stages]]
        name = "two"
        workload.command.argv = ["printf", "%s", "{first}{slot.name}"]
        limits.slots = ["c"]
    "#;
    for model in MODELS {
        let ran = TestJob::new(compute).args(["--model", model]).run();
        let report = ran.exit(0).report();
        for (result, slot) in report.column("result").iter().zip(report.column("slot")) {
            let digits = if slot == "1" { "{\"digits\":1," } else { "{\"digits\":10," };
            assert!(result.starts_with(digits), "{model}: {slot} {result}");
        }
        let set = ["--set", &format!("stages.one.model={model}")].map(str::to_owned);
        let more = ["--set", &format!("stages.two.model={model}")].map(str::to_owned);
        let args = set.iter().chain(&more).map(String::as_str);
        let ran = TestJob::new(stages).args(args).run();
        for result in ran.exit(0).report().column("result") {
            assert!(["ac", "bc"].contains(&&*result), "{model}: {result}");
        }
    }
}

#[test]
fn the_number_of_slots_is_that_of_their_names() {
    let sleep = "[workload.sleep]\nduration = '0s'\n";
    let all = format!("[inputs]\nrepeat = 6\n{sleep}[limits]\nslots = ['a', 'b', 'c']\n");
    let ran = TestJob::new(&all).args(["--model", "threads"]).run();
    assert_eq!(ran.exit(0).summary("job")["concurrency"], "3");
    let ran = TestJob::new(&format!("{all}concurrency = 2\n")).args(["--model", "async"]).run();
    assert_eq!(ran.exit(0).summary("job")["concurrency"], "2");
    let folder = "[defaults.limits]\nconcurrency = 50\n";
    let ran = TestJob::new(&all).file("runner.toml", folder).args(["--model", "threads"]).run();
    assert_eq!(ran.exit(0).summary("job")["concurrency"], "3");
}

#[test]
fn names_of_slots_that_cannot_be_are_told() {
    let job =
        |lines: &str| format!("[workload.command]\nargv = ['echo', '{{slot.name}}']\n{lines}");
    let too_few = job("[limits]\nslots = ['a']\nconcurrency = 2\n");
    TestJob::new(&too_few).run().exit(2).stderr_has("`slots` has 1 name, and `concurrency` is 2");
    TestJob::new(&job("[limits]\nslots = []\n")).run().exit(2).stderr_has("names no slot");
    TestJob::new(&job("")).run().exit(2).stderr_has("the slots have no names");
    let made = "creates = 'out/{slot.name}'\n".to_owned() + &job("[limits]\nslots = ['a']\n");
    TestJob::new(&made).run().exit(2).stderr_has("`{slot.name}` has no value here");
    let shared = "model = 'threads'\n[workload.python]\nfunction = 'math:sqrt'\nenv = { A = '{slot.name}' }\n[limits]\nslots = ['a']\n";
    TestJob::new(shared).run().exit(2).stderr_has("under `threads` slots share it");
}
