//! How functions, modules and interpreters are found, and what is said if they are not.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{MODELS, job};
use crate::support::{Report, TestJob};

fn calling(function: &str) -> TestJob {
    TestJob::new(&format!("[inputs]\nvalues = [1, 2]\n[workload.python]\nfunction = '{function}'"))
}

#[test]
fn a_function_is_named_by_file_or_by_any_name_that_importlib_takes() {
    let module = "import helper\ndef main(x): return [helper.A, __name__, x]";
    for (function, name) in [
        ("scripts/01_clean.py:main", "01_clean"),
        ("./scripts/01_clean.py:main", "01_clean"),
        ("my-mod:main", "my-mod"),
        ("3d.deep:main", "3d.deep"),
    ] {
        let test = calling(function)
            .file("scripts/01_clean.py", module)
            .file("scripts/helper.py", "A = 'beside the script'")
            .file("helper.py", "A = 'beside the job'")
            .file("my-mod.py", module)
            .file("3d/__init__.py", "")
            .file("3d/deep.py", module);
        let here = if name == "01_clean" { "script" } else { "job" };
        let result = |x| format!(r#"["beside the {here}","{name}",{x}]"#);
        test.run().exit(0).rows("result", &[&result(1), &result(2)]);
    }
    let ran = calling("scripts/none.py:main").run();
    ran.exit(2).stderr_has("there is no file `scripts/none.py`");
}

#[test]
fn files_that_are_called_like_standard_modules_break_nothing() {
    let module = "
import asyncio, inspect, json, logging
async def later(x):
    await asyncio.sleep(0)
    return json.dumps({'x': x})
def work(x, *, y=0): return later(x)";
    let names =
        ["json", "types", "socket", "selectors", "random", "inspect", "traceback", "enum", "queue"];
    for model in MODELS {
        let rest = format!("model = '{model}'\n[inputs]\nvalues = [1]");
        // The module itself sees its neighbours as a script would: it has none of these.
        let mut test = job(module, &rest);
        for name in names.iter().filter(|name| !["json", "inspect"].contains(name)) {
            test = test.file(format!("{name}.py"), "raise RuntimeError('not this one')");
        }
        test.run().exit(0).rows("result", &[r#"{"x": 1}"#]);
    }
    // One that is named is the one beside the job.
    let own = "def work(x): return ['own', x]";
    calling("statistics:work")
        .file("statistics.py", own)
        .run()
        .exit(0)
        .rows("result", &[r#"["own",1]"#, r#"["own",2]"#]);
    calling("json:work")
        .file("json.py", own)
        .run()
        .exit(0)
        .rows("result", &[r#"["own",1]"#, r#"["own",2]"#]);
    // One that the module imports is the module's own affair.
    for name in ["asyncio", "sqlite3"] {
        for model in MODELS {
            let module = format!(
                "import {name}\nclass C: pass\ndef work(x): return [{name}.own(x), type(C()).__name__]"
            );
            let rest = format!("model = '{model}'\n[inputs]\nvalues = [1, 2]");
            let ran = job(&module, &rest).file(format!("{name}.py"), "def own(x): return -x").run();
            if ran.output.status.code() == Some(2) {
                // The model itself needs the standard one.
                ran.stderr_has("Python's own modules cannot be used any more");
            } else {
                ran.exit(0).rows("result", &[r#"[-1,"C"]"#, r#"[-2,"C"]"#]);
            }
        }
    }
    // And whoever needs the standard one has that.
    let own = "
from concurrent.futures import ThreadPoolExecutor
def work(x):
    with ThreadPoolExecutor(1) as pool: return pool.submit(abs, x).result()";
    for function in ["queue:work", "queue.py:work"] {
        calling(function).file("queue.py", own).run().exit(0).rows("result", &["1", "2"]);
    }
}

/// What interpreters are forked from has compiled the module, and has run nothing of it.
#[test]
fn a_module_is_what_an_import_makes_of_it_wherever_its_interpreter_comes_from() {
    let module = "
import os, sys, threading
seen = []
def look():
    started.set()
    import mine
    seen.append(mine.late)
started = threading.Event()
thread = threading.Thread(target=look)
thread.start()
started.wait()
for _ in range(100_000): pass
late = 'at its end'
class Instead:
    def work(self, x):
        thread.join()
        spec = own.__spec__
        facts = [own.__name__, spec.name, spec._initializing, type(own.__loader__).__name__, own.__package__]
        return [seen, facts, os.path.basename(own.__file__), os.path.basename(own.__cached__)[:4], 'mine' in sys.modules]
own = sys.modules[__name__]
Instead.late, Instead.own = late, own
sys.modules[__name__] = Instead()";
    let facts = r#"["mine","mine",false,"SourceFileLoader",""]"#;
    let result = format!(r#"[["at its end"],{facts},"mine.py","mine",true]"#);
    for rest in ["model = 'sequential'\n", "model = 'processes'\n[limits]\nconcurrency = 9\n", ""] {
        let ran = job(module, &format!("{rest}[inputs]\nrepeat = 9")).run();
        ran.exit(0).rows("result", &[&*result; 9]);
    }
}

#[test]
fn a_file_that_changes_while_its_job_runs_is_read_again_by_who_comes_later() {
    let module = "
import os
VERSION = 1
def work(x):
    if x == 4:
        with open('mine.py') as file: text = file.read()
        with open('new.py', 'w') as file: file.write(text.replace('VERSION = 1', 'VERSION = 20'))
        os.replace('new.py', 'mine.py')
    return VERSION";
    let rest = "model = 'processes'\n[inputs]\nrepeat = 8\n[limits]\nconcurrency = 1";
    let ran = job(module, rest).args(["--set", "workload.python.max_tasks=1"]).run();
    ran.exit(0).rows("result", &["1", "1", "1", "1", "20", "20", "20", "20"]);
}

#[test]
fn a_script_that_leaves_while_it_is_imported_is_explained() {
    for model in ["sequential", "processes", "threads", "auto"] {
        let module = "import sys\nprint('all done')\nsys.exit(2)\ndef work(x): return x";
        let ran = job(module, "[inputs]\nrepeat = 2").args(["--model", model]).run();
        ran.exit(2).stderr_has("`mine` ended Python while it was imported (SystemExit: 2)");
        ran.stderr_has("`if __name__ == \"__main__\":`").stderr_has("mine.py\", line 3");
        let log = std::fs::read_to_string(ran.path("results/job.log")).unwrap();
        assert!(log.contains("all done"), "{log}");
    }
}

/// A wrapper in the job's folder, with this line before Python.
fn wrapped(interpreter: &str, script: &str) -> TestJob {
    let module =
        "import os, sys\ndef work(x): return [os.environ.get('WRAPPED'), sys.flags.optimize]";
    let toml = format!(
        "[inputs]\nrepeat = 4\n[workload.python]\nfunction = 'mine:work'\ninterpreter = {interpreter}"
    );
    let test =
        TestJob::new(&toml).file("mine.py", module).file("a tool", script).file("tool", script);
    for name in ["a tool", "tool"] {
        let path = test.folder().join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    test
}

#[test]
fn a_wrapper_is_used_as_it_is() {
    let script =
        "#!/bin/sh\n[ \"$1\" = run ] && shift\nexport WRAPPED=yes\nexec 3>&- 4>&-\n\"$@\"\n";
    let flags = "#!/bin/sh\nexport WRAPPED=yes\nexec python3 -O \"$@\"\n";
    for (interpreter, script, result) in [
        ("'./tool run python3'", script, r#"["yes",0]"#),
        ("['./tool', 'run', 'python3', '-O']", script, r#"["yes",1]"#),
        ("'./tool'", flags, r#"["yes",1]"#),
        ("'./a tool'", flags, r#"["yes",1]"#),
        ("'python3 -O'", flags, "[null,1]"),
    ] {
        for model in ["sequential", "processes"] {
            let ran = wrapped(interpreter, script).args(["--model", model]).run();
            ran.exit(0).rows("result", &[result; 4]);
        }
    }
}

#[test]
fn a_wrapper_that_does_not_do_is_said_in_words() {
    let deaf = "#!/bin/sh\nexec python3 \"$@\" < /dev/null\n";
    wrapped("'./tool'", deaf).run().exit(2).stderr_has("does not pass it on");
    let broken = "#!/nowhere/sh\n";
    let ran = wrapped("'./tool'", broken).run();
    ran.exit(2).stderr_has("failed to run").stderr_has("no such file or directory");
    assert!(!ran.stderr().contains("(Execute)"), "{}", ran.stderr());
    wrapped("'no-such-tool run python3'", deaf)
        .run()
        .exit(2)
        .stderr_has("there is no program `no-such-tool`");
    wrapped("[]", deaf).run().exit(2).stderr_has("`interpreter` is empty");
    let slow = "import time\ntime.sleep(300)\ndef work(x): return x";
    for model in ["sequential", "processes"] {
        let test = job(slow, "[inputs]\nrepeat = 2").args(["--model", model]);
        let ran = test.args(["--set", "workload.python.ready_timeout=1s"]).run();
        ran.exit(2).stderr_has("was not ready within 1s");
    }
}

#[test]
fn a_file_of_a_package_is_told_how_it_is_named() {
    for (file, dotted) in [("pkg/deep/mod.py", "pkg.deep.mod"), ("pkg/__init__.py", "pkg")] {
        let ran = calling(&format!("{file}:work"))
            .file("pkg/__init__.py", "")
            .file("pkg/deep/__init__.py", "")
            .file(file, "from . import other\ndef work(x): return x")
            .run();
        ran.exit(2).stderr_has(&format!("for a module of a package write `{dotted}:…`"));
    }
}

#[test]
fn a_standard_module_that_is_taken_away_is_said_in_words() {
    let module = "import token\ndef work(x): return x";
    let test = job(module, "model = 'async'\n[inputs]\nrepeat = 1").file("token.py", "");
    test.run().exit(2).stderr_has("Python's own modules cannot be used any more: ImportError");
}

#[test]
fn a_function_in_a_file_with_dots_in_its_name_can_be_pickled() {
    let module = "
import pickle
class Point:
    def __init__(self, x): self.x = x
def work(x): return pickle.loads(pickle.dumps(Point(x))).x + pickle.loads(pickle.dumps(helper))(x)
def helper(x): return 10 * x";
    for model in MODELS {
        let text = format!(
            "model = '{model}'\n[inputs]\nvalues = [1, 2]\n[workload.python]\nfunction = 'my script.v2.py:work'"
        );
        TestJob::new(&text)
            .file("my script.v2.py", module)
            .run()
            .exit(0)
            .rows("result", &["11", "22"]);
    }
}

#[test]
fn the_folder_of_a_job_need_not_be_utf_8() {
    let module = "
import helper
def work(x): return [helper.A, x]";
    let folder = Path::new(OsStr::from_bytes(b"caf\xe9"));
    for function in ["mine:work", "mine.py:work", "sub/mine.py:work"] {
        for model in MODELS {
            let sub = if function.starts_with("sub") { "sub/mine.py" } else { "mine.py" };
            let helper = Path::new(sub).with_file_name("helper.py");
            let job_file = format!(
                "model = '{model}'\n[inputs]\nvalues = [1]\n[workload.python]\nfunction = '{function}'\npath = '.'"
            );
            let test = TestJob::new("")
                .file(folder.join("job.toml"), job_file)
                .file(folder.join(sub), module)
                .file(folder.join(helper), "A = 'beside'");
            let ran = test.under(&["bash", "-c", "cd caf* && exec \"$0\" \"$@\""]).run();
            let report = Report::read(&ran.exit(0).path(folder.join("results/job.csv")));
            assert_eq!(report.column("result"), [r#"["beside",1]"#], "{model} {function}");
        }
        let job_file =
            format!("[inputs]\nvalues = [1]\n[workload.python]\nfunction = '{function}'");
        let sub = if function.starts_with("sub") { "sub/mine.py" } else { "mine.py" };
        let test = TestJob::new("")
            .file(folder.join("job.toml"), job_file)
            .file(folder.join(sub), "raise ValueError(__file__)");
        let ran = test.under(&["bash", "-c", "cd caf* && exec \"$0\" \"$@\""]).run();
        ran.exit(2).stderr_has("failed to import");
    }
}
