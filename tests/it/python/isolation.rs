//! What one task does, and the runner itself, is nothing to the next task.

use super::{MODELS, job};

#[test]
fn what_a_coroutine_sets_in_its_context_is_its_own_under_every_model() {
    let module = "
import asyncio, contextvars, decimal
name = contextvars.ContextVar('name', default='unset')
def init(): name.set('init')
def change(x):
    before = f'{name.get()} {decimal.getcontext().prec}'
    name.set(x)
    decimal.getcontext().prec = 5
    return before
async def at_once(x): return change(x)
async def waits(x):
    await asyncio.sleep(0)
    before = change(x)
    await asyncio.sleep(0.001)
    assert name.get() == x and decimal.getcontext().prec == 5
    await asyncio.create_task(asyncio.sleep(0))
    return [before, name.get() == x]
async def iterates(x):
    yield change(x)
    await asyncio.sleep(0)
    yield name.get() == x
async def fails(x):
    raise ValueError(change(x))
def plain(x): return change(x)";
    for model in MODELS {
        for (function, expected) in [
            ("at_once", "init 28"),
            ("waits", "[\"init 28\",true]"),
            ("iterates", "[\"init 28\",true]"),
            ("plain", "init 28"),
        ] {
            if function == "plain" && model != "async" {
                continue; // a loop over calls, or a thread of a pool
            }
            let rest =
                format!("model = '{model}'\n[inputs]\nrepeat = 40\n[limits]\nconcurrency = 2");
            let test = job(module, &rest).args(["--set", "workload.python.init=mine:init"]);
            let ran =
                test.args(["--set", &format!("workload.python.function=mine:{function}")]).run();
            let results = ran.exit(0).report().column("result");
            assert_eq!(results, [expected; 40], "{model} {function}");
        }
        let rest = format!("model = '{model}'\n[inputs]\nrepeat = 9\n[limits]\nconcurrency = 1");
        let test = job(module, &rest).args(["--set", "workload.python.function=mine:fails"]);
        for error in test.run().exit(3).report().column("error") {
            assert!(error.starts_with("ValueError: unset 28"), "{model}: {error}");
        }
    }
}

#[test]
fn only_an_interpreter_that_one_slot_has_knows_its_slot() {
    let module = "
import os
def work(x): return os.environ.get('RUNNER_SLOT', 'none') + os.popen('echo $RUNNER_SLOT').read().strip()";
    for renews in [false, true] {
        for model in MODELS {
            let rest =
                format!("model = '{model}'\n[inputs]\nrepeat = 3\n[limits]\nconcurrency = 1");
            for outer in ["", "7"] {
                let mut test = job(module, &rest);
                if renews {
                    test = test.args(["--set", "workload.python.max_tasks=1"]);
                }
                if !outer.is_empty() {
                    test = test.env("RUNNER_SLOT", outer);
                }
                // What an outer runner says of the task that this one is concerns no task of it.
                let expected = match model {
                    "sequential" | "processes" => "11",
                    _ => "none",
                };
                test.run().exit(0).rows("result", &[expected; 3]);
            }
        }
    }
}

#[test]
fn many_slots_of_one_interpreter_have_room_for_their_pipes() {
    // Three descriptors each, and programs are started with the limit that the runner was started with.
    let module = "
import os, asyncio, time
def work(x): time.sleep(0.01); return 1
async def later(x): await asyncio.sleep(0.01); return 1";
    let rest = "[inputs]\nrepeat = 90\n[limits]\nconcurrency = 45\n";
    for (model, function) in [("threads", "work"), ("async", "later"), ("threads", "later")] {
        let run = |limit: &'static [&'static str]| {
            let job_file = format!("model = '{model}'\n{rest}");
            let test = job(module, &job_file).under(limit);
            test.args(["--set", &format!("workload.python.function=mine:{function}")]).run()
        };
        let ran = run(&["bash", "-c", "ulimit -Sn 100; exec \"$0\" \"$@\""]);
        ran.exit(0).rows("result", &["1"; 90]);
    }
}

#[test]
fn a_function_that_has_closed_what_it_did_not_open_has_its_result() {
    let module = "
import os, time
def work(x):
    for name in os.listdir('/proc/self/fd'):
        try:
            if os.readlink(f'/proc/self/fd/{name}').endswith('/statm'): os.close(int(name))
        except OSError: pass
    time.sleep(0.002)
    return x";
    for model in MODELS {
        let rest = format!("model = '{model}'\n[inputs]\nvalues = [1, 2, 3]");
        job(module, &rest).run().exit(0).rows("result", &["1", "2", "3"]);
    }
}
