//! What an interpreter leaves when it ends: files, finalizers, random numbers, threads.

use std::fs;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::{MODELS, job};
use crate::support::Ran;

/// The contents of the files in the job's folder whose names begin so.
fn files(ran: &Ran, start: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(ran.folder()).unwrap().map(|entry| entry.unwrap().path());
    let named =
        |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(start);
    entries.filter(named).map(|path| fs::read(path).unwrap()).collect()
}

fn numbers(texts: impl IntoIterator<Item = String>) -> Vec<u32> {
    let lines: Vec<String> = texts
        .into_iter()
        .flat_map(|text| text.lines().map(String::from).collect::<Vec<_>>())
        .collect();
    let mut numbers: Vec<u32> = lines.iter().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn what_the_module_has_open_is_whole_in_the_end() {
    let module = "
import gzip, os, tempfile
PID = os.getpid()
text = open(f'text.{PID}.txt', 'w')
packed = gzip.open(f'packed.{PID}.gz', 'wt')
temporary = tempfile.NamedTemporaryFile(prefix=f'left.{PID}.', dir='.')
class Told:
    def __init__(self): self.file = os.open(f'told.{PID}.txt', os.O_WRONLY | os.O_CREAT)
    def __del__(self, write=os.write): write(self.file, b'1\\n')
told = Told()
def work(x):
    text.write(f'{x}\\n')
    packed.write(f'{x}\\n')
    return PID";
    let expected: Vec<u32> = (1..=60).collect();
    for model in MODELS {
        for keys in ["", "max_tasks = 20\n", "preload = 'random'\n"] {
            let rest = format!(
                "model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 60 }}\n[limits]\nconcurrency = 2"
            );
            let rest = format!("{rest}\n");
            let args = keys.trim().replace(" = ", "=").replace('\'', "\"");
            let mut test = job(module, &rest);
            if !args.is_empty() {
                test = test.args(["--set", &format!("workload.python.{args}")]);
            }
            let ran = test.run();
            // An interpreter for which no task was left is ended while it still starts.
            let mut pids = ran.exit(0).report().column("result");
            pids.sort_unstable();
            pids.dedup();
            let of_pids = |start: &str| {
                pids.iter()
                    .flat_map(|pid| files(&ran, &format!("{start}.{pid}.")))
                    .collect::<Vec<_>>()
            };
            let texts = of_pids("text").into_iter().map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(numbers(texts), expected, "{model} {keys}");
            let packed = of_pids("packed").into_iter().map(|packed| {
                let mut content = String::new();
                MultiGzDecoder::new(&packed[..]).read_to_string(&mut content).unwrap();
                content
            });
            assert_eq!(numbers(packed), expected, "{model} {keys}");
            assert_eq!(of_pids("left"), Vec::<Vec<u8>>::new(), "{model} {keys}");
            let told = of_pids("told");
            assert!(
                told.len() == pids.len() && told.iter().all(|told| told == b"1\n"),
                "{model} {keys}"
            );
        }
    }
}

#[test]
fn an_interpreter_that_does_not_end_well_is_told() {
    let module = "
import atexit, os
atexit.register(lambda: os.kill(os.getpid(), 9))
def work(x): return x";
    let said = "an interpreter did not end well, and files that its functions had open may not be whole: SIGKILL";
    for model in MODELS {
        for renews in [false, true] {
            let rest = format!("model = '{model}'\n[inputs]\nrepeat = 2\n");
            let mut test = job(module, &rest);
            if renews {
                test = test.args(["--set", "workload.python.max_tasks=1"]);
            }
            let ran = test.run();
            ran.exit(0).stderr_has(said).rows("status,attempts", &["ok,1"; 2]);
        }
    }
}

#[test]
fn what_preload_has_written_is_written_once() {
    let shared = "
out = open('shared.txt', 'a')
out.write('begin\\n')";
    let module = "
import shared
def work(x):
    shared.out.write(f'{x}\\n')
    return x";
    let rest = "model = 'processes'\n[inputs]\nrepeat = 12\n[limits]\nconcurrency = 3";
    let ran = job(module, rest)
        .file("shared.py", shared)
        .args(["--set", "workload.python.preload='shared'"])
        .run();
    ran.exit(0);
    let text = fs::read_to_string(ran.path("shared.txt")).unwrap();
    assert_eq!((text.matches("begin").count(), text.lines().count()), (1, 13), "{text}");
}

#[test]
fn each_interpreter_has_random_numbers_of_its_own() {
    let random = "
import os
state = 'shared'
def seed():
    global state
    state = os.urandom(8).hex()";
    let module = "
import numpy.random
def work(x): return numpy.random.state";
    let rest = "model = 'processes'\n[inputs]\nrepeat = 20\n[limits]\nconcurrency = 3";
    let ran = job(module, rest)
        .file("numpy/__init__.py", "")
        .file("numpy/random.py", random)
        .args(["--set", "workload.python.preload='numpy.random'"])
        .run();
    let states = ran.exit(0).report().column("result");
    assert!(states.iter().all(|state| state != "shared"), "{states:?}");
}

#[test]
fn threads_are_waited_for_and_that_is_said() {
    let module = "
import threading, time
def late():
    while 'such as threads' not in open('.stderr').read():
        time.sleep(0.02)
    open('done', 'w').write('done')
def work(x):
    threading.Thread(target=late, name='straggler').start()
    return x";
    for model in ["processes", "async"] {
        let ran = job(module, &format!("model = '{model}'\n[inputs]\nrepeat = 1")).run();
        ran.exit(0).stderr_has("job: waiting for what functions have left running");
        assert_eq!(fs::read_to_string(ran.path("done")).unwrap(), "done", "{model}");
        let log = fs::read_to_string(ran.path("results/job.log")).unwrap();
        assert!(log.contains("waits for its threads to end: straggler"), "{model}: {log}");
    }
}

#[test]
fn an_interpreter_that_is_renewed_waits_for_its_threads() {
    let module = "
import threading, time
def late(x):
    while 'waits for its threads' not in open('results/job.log').read():
        time.sleep(0.02)
    open(f'done.{x}', 'w').write('done')
def work(x):
    threading.Thread(target=late, args=(x,)).start()
    return x";
    let rest = "model = 'sequential'\n[inputs]\nrepeat = 2";
    let ran = job(module, rest).args(["--set", "workload.python.max_tasks=1"]).run();
    ran.exit(0);
    assert_eq!(files(&ran, "done."), [b"done", b"done"]);
}
