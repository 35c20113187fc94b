//! Functions that hang, and interpreters that die.

use super::{MODELS, job};
use crate::support::{is_alive, wait_until};

const DEATHS: &str = "
import ctypes, os, time
def work(x):
    if x == 3: os._exit(9)
    if x == 5: ctypes.string_at(0)
    if x == 7: os.closerange(3, 256)
    if x == 7: time.sleep(30)
    return x";

#[test]
fn a_death_costs_the_task_that_ran() {
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 8 }}\n[limits]\nconcurrency = 1"
        );
        let ran = job(DEATHS, &rest).run();
        ran.exit(3).rows(
            "status,attempts",
            &["ok,1", "ok,1", "crashed,1", "ok,1", "crashed,1", "ok,1", "crashed,1", "ok,1"],
        );
        let errors = ran.report().column("error");
        assert_eq!(errors[2], "the worker process died: exit code 9");
        // Either its end is seen first or that of its pipes: a thread of it may have wanted to read from one.
        let without_pipes = ["it closed its pipes", "exit code 1"];
        let is_said = |why| errors[6].starts_with(&format!("the worker process died: {why}"));
        assert!(without_pipes.into_iter().any(is_said), "{}", errors[6]);
        assert!(
            errors[4].contains("SIGSEGV: Fatal Python error: Segmentation fault"),
            "{}",
            errors[4]
        );
        assert!(errors[4].contains("mine.py\", line 5 in work"), "{}", errors[4]);
    }
}

#[test]
fn where_guilt_cannot_be_told_each_runs_again_alone() {
    let module = "
import os, threading, time
def work(x):
    time.sleep(0.1)
    if x == 3:
        os._exit(1)
    return x";
    let rest =
        "model = 'threads'\n[inputs]\nrange = { from = 1, to = 8 }\n[limits]\nconcurrency = 8";
    job(module, rest).run().exit(3).rows(
        "status,attempts,result",
        &["ok,1,1", "ok,1,2", "crashed,1,", "ok,1,4", "ok,1,5", "ok,1,6", "ok,1,7", "ok,1,8"],
    );
}

#[test]
fn a_timeout_costs_the_task_that_is_stuck() {
    let module = "
import time
def work(x):
    time.sleep(120 if x == 2 else 0.01)
    return x";
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[limits]\nconcurrency = 4\ntimeout = '2s'\n[inputs]\nrange = {{ from = 1, to = 6 }}"
        );
        job(module, &rest).run().exit(3).rows(
            "status,attempts,error",
            &["ok,1,", "timeout,1,timed out after 2s", "ok,1,", "ok,1,", "ok,1,", "ok,1,"],
        );
    }
}

#[test]
fn a_coroutine_that_takes_too_long_is_cancelled_and_the_others_go_on() {
    let module = "
import asyncio, os
async def work(x):
    try:
        await asyncio.sleep(120 if x % 2 else 4)
    finally:
        open(f'{x}.ended', 'w').close()
    return os.getpid()";
    let rest = "model = 'async'\n[limits]\nconcurrency = 8\ntimeout = '2s'\n[inputs]\nrange = { from = 1, to = 4 }";
    // The even ones take longer than the limit, too, if the limit of the job is not lifted for them.
    let ran = job(module, rest).run();
    ran.exit(3).rows("status,error", &["timeout,timed out after 2s"; 4]);
    for task in 1..=4 {
        assert!(ran.path(format!("{task}.ended")).exists(), "its `finally` ran");
    }
    let stubborn = "
import asyncio
async def work(x):
    while x == 2:
        try:
            await asyncio.sleep(120)
        except asyncio.CancelledError:
            pass
    return x";
    let rest = rest.replace("'2s'", "'1s'");
    job(stubborn, &rest).run().exit(3).rows("status", &["ok", "timeout", "ok", "ok"]);
}

/// What it returns or raises once its time is over is not what it was asked for.
#[test]
fn a_coroutine_that_makes_something_of_its_cancellation_has_timed_out() {
    let module = "
import asyncio
async def work(x):
    done = []
    try:
        for step in range(100):
            await asyncio.sleep(0.5)
            done.append(step)
    except asyncio.CancelledError as error:
        if x == 2: return None
        if x == 3: raise ValueError('connection lost')
        if x == 4: await asyncio.sleep(0.1)
        if x == 5: raise SystemExit(0)
    return done";
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 5 }}\n             [limits]\nconcurrency = 5\ntimeout = '1200ms'\n             [retry]\nmax_attempts = 2\non = ['timeout']\ndelay = '1ms'"
        );
        let rest = match model {
            "sequential" => rest.replace("concurrency = 5", "concurrency = 1"),
            _ => rest,
        };
        let ran = job(module, &rest).run();
        let row = "timeout,2,timed out after 1s 200ms,";
        ran.exit(3).rows("status,attempts,error,result", &[row; 5]);
    }
}

#[test]
fn nothing_is_left_of_a_runner_that_is_killed() {
    let module = "
import os, subprocess, time
def work(x):
    child = subprocess.Popen(['sleep', '300'], start_new_session=True)
    os.write(1, f'{os.getpid()} {child.pid}\\n'.encode())
    time.sleep(300)";
    for model in ["processes", "threads"] {
        let rest = format!("model = '{model}'\n[inputs]\nrepeat = 2\n[limits]\nconcurrency = 2");
        let running = job(module, &rest).spawn();
        let log = running.wait_for_file("results/job.log", |log| log.lines().count() == 2);
        running.signal(9);
        let pids = log.split_ascii_whitespace().map(|pid| pid.parse::<i32>().unwrap());
        let pids: Vec<_> = pids.collect();
        wait_until("all are gone", || pids.iter().all(|&pid| !is_alive(pid)).then_some(()));
        drop(running);
    }
}

#[test]
fn interpreters_that_are_killed_cost_what_they_ran_and_all_ends_well() {
    let module = "
import os, time
def work(x):
    time.sleep(0.02)
    if x % 10 == 0 and not os.path.exists(f'{x}.tried'):
        open(f'{x}.tried', 'w').close()
        os.kill(os.getpid(), 9)
    return x";
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 40 }}\n[limits]\nconcurrency = 4\n\
             [retry]\nmax_attempts = 3\ndelay = '1ms'"
        );
        let ran = job(module, &rest).run();
        assert_eq!(ran.exit(0).report().column("result").len(), 40);
    }
}
