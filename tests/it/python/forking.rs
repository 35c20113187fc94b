//! Processes that a function forks, and threads that the interpreter loses.

use super::{MODELS, job};

#[test]
fn a_forked_process_ends_where_the_call_ends_as_in_a_script() {
    let module = "
import os, sys
def child(x):
    if x == 1: return 'child'
    if x == 2: sys.exit(5)
    if x == 3: raise ValueError('of the child')
    if x == 4: sys.exit()
    os._exit(9)
def work(x):
    pid = os.fork()
    if pid == 0:
        return child(x)
    return ['parent', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]";
    for model in MODELS {
        let rest = format!("model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 5 }}");
        let ran = job(module, &rest).run();
        let codes = [0, 5, 1, 0, 9].map(|code| format!(r#"["parent",{code}]"#));
        ran.exit(0).rows("result", &codes.each_ref().map(String::as_str));
        let log = std::fs::read_to_string(ran.path("results/job.log")).unwrap();
        assert_eq!(log.matches("ValueError: of the child").count(), 1, "{model}: {log}");
        assert!(!log.contains("Errno"), "{model}: {log}");
    }
}

#[test]
fn a_forked_process_that_outlives_the_call_changes_no_answer() {
    // The child comes back while its parent's later answers wait to be written.
    let module = "
import os
def work(x):
    if x == 1:
        reads, writes = os.pipe()
        if os.fork() == 0:
            os.close(writes)
            os.read(reads, 1)
            return 'x' * 100
        os.close(reads)
    return f'answer {x}'";
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[limits]\nconcurrency = 1\n[inputs]\nrange = {{ from = 1, to = 2000 }}"
        );
        let results = job(module, &rest).run().exit(0).report().column("result");
        let expected: Vec<_> = (1..=2000).map(|x| format!("answer {x}")).collect();
        assert_eq!(results, expected, "{model}");
    }
}

#[test]
fn an_interrupt_of_the_main_thread_hangs_nobody() {
    let module = "
import _thread, threading
def work(x):
    if x == 2:
        _thread.interrupt_main()
        threading.Event().wait(30)
    return x";
    for model in MODELS {
        let rest = format!("model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 3 }}");
        let ran = job(module, &rest).run();
        let statuses = ran.report().column("status");
        assert_eq!((statuses[0].as_str(), statuses[2].as_str()), ("ok", "ok"), "{model}");
        // A main thread that waits for the next request, which may have come before, sees no interrupt.
        let is_seen = statuses[1] != "ok";
        assert!(is_seen || model == "threads", "{model}");
        ran.exit(if is_seen { 3 } else { 0 });
    }
}
