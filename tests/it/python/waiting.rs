//! What is awaited, and the event loop that there is one of.

use super::{MODELS, job};

/// One function for every class of what people return where a script would `await` or iterate.
const KINDS: &str = "
import asyncio, concurrent.futures, types
def note(): open('ran', 'a').write('x')
def gen(n):
    note()
    yield from range(n)
async def agen(n):
    note()
    for i in range(n): yield i
async def co(n):
    note()
    return n
class Query:
    def __init__(self, n): self.n = n
    def __await__(self):
        note()
        yield from asyncio.sleep(0).__await__()
        return self.n
class Called:
    async def __call__(self, n):
        note()
        return n
called = Called()
@types.coroutine
def old(n):
    note()
    yield
    return n
pool = concurrent.futures.ThreadPoolExecutor(1)
def submitted(n): return pool.submit(lambda: note() or n)
def query(n): return Query(n)
def wrapped(n): return co(n)
def gathered(n): return asyncio.gather(co(n), co(n))
def task(n): return asyncio.ensure_future(co(n))
def inner(n): return {'rows': gen(n), 'when': co(n), 'all': [co(1), agen(2)]}
async def late(n): return gen(n)
";

#[test]
fn whatever_can_be_awaited_or_iterated_is_run_to_its_end_under_every_model() {
    let kinds = [
        ("gen", "[0,1,2]"),
        ("agen", "[0,1,2]"),
        ("co", "3"),
        ("query", "3"),
        ("called", "3"),
        ("old", "3"),
        ("submitted", "3"),
        ("wrapped", "3"),
        ("gathered", "[3,3]"),
        ("task", "3"),
        ("inner", r#"{"rows":[0,1,2],"when":3,"all":[1,[0,1]]}"#),
        ("late", "[0,1,2]"),
    ];
    let module = format!("{KINDS}\ndef work(kind, n): return globals()[kind](n)");
    let names: Vec<_> = kinds.iter().map(|(kind, _)| format!("'{kind}'")).collect();
    let inputs = format!("[inputs]\nmatrix = {{ kind = [{}], n = [3] }}", names.join(", "));
    for model in MODELS {
        let rest = format!("model = '{model}'\n{inputs}");
        let ran = job(&module, &rest).run();
        let expected: Vec<_> = kinds.iter().map(|(_, result)| *result).collect();
        assert_eq!(ran.exit(0).report().column("result"), expected, "{model}");
        assert!(ran.path("ran").exists());
    }
    for kind in ["agen", "co", "called"] {
        let module = format!("{KINDS}\nwork = {kind}");
        let ran = job(&module, "[inputs]\nvalues = [3]").args(["--model", "processes"]).run();
        let expected = kinds.iter().find(|(name, _)| *name == kind).unwrap().1;
        ran.exit(0).rows("result", &[expected]);
    }
}

#[test]
fn one_loop_serves_from_init_to_the_last_task() {
    let module = "
import asyncio
lock = None
async def prepare():
    global lock, loop
    lock, loop = asyncio.Lock(), asyncio.get_running_loop()
    async with lock:
        pass
async def work(x):
    assert asyncio.get_running_loop() is loop
    async with lock:
        await asyncio.sleep(0.01)
    return x";
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[limits]\nconcurrency = 4\n[inputs]\nrange = {{ from = 1, to = 8 }}"
        );
        let ran = job(module, &rest).args(["--set", "workload.python.init=mine:prepare"]).run();
        ran.exit(0).rows("status", &["ok"; 8]);
        // What each awaits by itself is on that loop, too.
        let plain = module
            .replace("async def work(x):", "def work(x): return inner(x)\nasync def inner(x):");
        let ran = job(&plain, &rest).args(["--set", "workload.python.init=mine:prepare"]).run();
        ran.exit(0).rows("status", &["ok"; 8]);
    }
}

#[test]
fn a_lock_of_the_module_is_shared_by_all_who_wait_for_it() {
    let module = "
import asyncio
lock = asyncio.Lock()
async def inner(x):
    async with lock:
        await asyncio.sleep(0.01)
    return x
def work(x): return inner(x)";
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[limits]\nconcurrency = 4\n[inputs]\nrange = {{ from = 1, to = 8 }}"
        );
        job(module, &rest).run().exit(0).rows("status", &["ok"; 8]);
    }
}

#[test]
fn threads_that_need_the_loop_at_once_get_the_same_one() {
    let module = "
import threading
barrier = threading.Barrier(8)
async def inner():
    import asyncio
    await asyncio.sleep(0.01)
    return id(asyncio.get_running_loop())
def work(x):
    barrier.wait(30)
    return inner()";
    let rest = "model = 'threads'\n[limits]\nconcurrency = 8\n[inputs]\nrepeat = 8";
    let loops = job(module, rest).run().exit(0).report().column("result");
    assert!(loops.iter().all(|found| *found == loops[0]), "{loops:?}");
}

#[test]
fn a_function_may_have_loops_of_its_own() {
    let module = "
import asyncio
async def inner(x):
    await asyncio.sleep(0)
    return x
def work(x):
    if x % 2: return asyncio.run(inner(x))
    own = asyncio.new_event_loop()
    return own.create_task(inner(x))";
    for model in ["sequential", "threads", "processes", "auto"] {
        let rest = "[inputs]\nrange = { from = 1, to = 4 }";
        job(module, rest)
            .args(["--model", model])
            .run()
            .exit(0)
            .rows("result", &["1", "2", "3", "4"]);
    }
}

#[test]
fn the_rest_of_init_is_run_at_the_end() {
    let module = "
import os
def prepare():
    open(f'{os.getpid()}.begun', 'w').close()
    yield
    open(f'{os.getpid()}.ended', 'w').close()
async def prepare_later():
    open(f'{os.getpid()}.begun', 'w').close()
    yield
    open(f'{os.getpid()}.ended', 'w').close()
def work(x): return os.getpid()";
    for init in ["prepare", "prepare_later"] {
        for model in MODELS {
            let rest =
                format!("model = '{model}'\n[limits]\nconcurrency = 2\n[inputs]\nrepeat = 4");
            let set = format!("workload.python.init=mine:{init}");
            let ran = job(module, &rest).args(["--set", &set]).run();
            for pid in ran.exit(0).report().column("result") {
                for what in ["begun", "ended"] {
                    assert!(ran.path(format!("{pid}.{what}")).exists(), "{init} {model} {what}");
                }
            }
        }
    }
}

#[test]
fn an_iterator_that_raises_says_how_far_it_came() {
    let module = "
def halves(n):
    for i in range(n): yield i / 2
    raise ValueError('no more')
async def later(n):
    for i in range(n): yield i / 2
    raise ValueError('no more')
def work(n): return (halves if n % 2 else later)(n)";
    for model in MODELS {
        let rest = format!("model = '{model}'\n[inputs]\nvalues = [1, 2, 3]");
        let ran = job(module, &rest).run();
        let errors = ran.exit(3).report().column("error");
        for (count, error) in ["1 value ", "2 values ", "3 values "].iter().zip(&errors) {
            let start = format!("ValueError: no more (raised after {count}of an iterator)");
            assert!(error.starts_with(&start), "{model}: {error}");
        }
    }
}

#[test]
fn a_context_manager_as_init_is_entered_and_left() {
    for (decorator, word) in [("contextmanager", ""), ("asynccontextmanager", "async ")] {
        let module = format!(
            "
import contextlib
table = None
@contextlib.{decorator}
{word}def prepare():
    global table
    table = 'ready'
    yield
    open('left', 'w').close()
def work(x): return table"
        );
        for model in MODELS {
            let rest = format!("model = '{model}'\n[inputs]\nrepeat = 2");
            let test = job(&module, &rest).args(["--set", "workload.python.init=mine:prepare"]);
            let ran = test.run();
            ran.exit(0).rows("result", &["ready"; 2]);
            assert!(ran.path("left").exists(), "{decorator} {model}");
        }
    }
}

#[test]
fn a_preload_that_nobody_would_run_is_refused() {
    let module = "
async def later(): pass
def steps(): yield
def work(x): return x";
    for name in ["later", "steps"] {
        for model in MODELS {
            let rest = format!("model = '{model}'\n[inputs]\nrepeat = 1");
            let set = format!("workload.python.preload=mine:{name}");
            let ran = job(module, &rest).args(["--set", &set]).run();
            ran.exit(2).stderr_has("which nobody runs: `preload` is a plain function");
        }
    }
}

#[test]
fn the_tasks_of_the_loop_are_the_users_own() {
    let module = "
import asyncio
async def work(n):
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.sleep(0.01)
    return len(others)";
    for model in MODELS {
        let rest = format!("model = '{model}'\n[inputs]\nrepeat = 20\n[limits]\nconcurrency = 1");
        job(module, &rest).run().exit(0).rows("result", &["0"; 20]);
    }
    // Beside others, it finds their tasks, and nothing that would end the interpreter.
    let rest = "model = 'async'\n[inputs]\nrepeat = 60\n[limits]\nconcurrency = 6";
    let ran = job(module, rest).run();
    for status in ran.report().column("status") {
        assert!(status == "ok" || status == "failed", "{status}");
    }
    assert_eq!(ran.report().column("attempts"), ["1"; 60]);
}

#[test]
fn a_loop_that_is_stopped_says_so() {
    let module = "
import asyncio
async def work(n):
    if n == 2:
        asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return n";
    for model in ["async", "threads"] {
        let rest = format!(
            "model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 3 }}\n[limits]\nconcurrency = 1\ntimeout = '20s'"
        );
        let ran = job(module, &rest).run();
        ran.exit(3).rows("result", &["1", "", "3"]);
        let error = ran.report().column("error").remove(1);
        assert!(error.contains("stopped"), "{model}: {error}");
    }
}

#[test]
fn what_fails_after_the_yield_of_init_is_said() {
    let module = "
import contextlib
def raises():
    yield
    raise ValueError('not written')
async def raises_later():
    yield
    raise ValueError('not written')
def twice():
    yield
    yield
@contextlib.contextmanager
def managed():
    yield
    yield
def work(n): return n";
    for (init, said) in [
        ("raises", "`mine:raises` failed after its `yield`: ValueError: not written"),
        ("raises_later", "`mine:raises_later` failed after its `yield`: ValueError: not written"),
        ("twice", "`mine:twice` has a second `yield`"),
        ("managed", "`mine:managed` failed after its `yield`: RuntimeError: generator didn't stop"),
    ] {
        for model in MODELS {
            let rest =
                format!("model = '{model}'\n[limits]\nconcurrency = 2\n[inputs]\nrepeat = 4");
            let set = format!("workload.python.init=mine:{init}");
            let ran = job(module, &rest).args(["--set", &set]).run();
            let stderr = ran.exit(0).stderr();
            assert_eq!(stderr.matches(said).count(), 1, "{init} {model}: {stderr}");
        }
    }
    // Those that were renewed have an end, too.
    let renewed =
        ["--set", "workload.python.init=mine:raises", "--set", "workload.python.max_tasks=1"];
    job(module, "[inputs]\nrepeat = 3").args(renewed).run().exit(0).stderr_has("not written");
}

#[test]
fn what_the_module_and_init_have_set_in_their_context_is_so_under_every_model() {
    let module = "
import asyncio, contextlib, contextvars, decimal
decimal.getcontext().prec = 5
name = contextvars.ContextVar('name', default='unset')
def plain(): name.set('init'); decimal.getcontext().prec = 9
async def coroutine(): name.set('init'); decimal.setcontext(decimal.Context(prec=9))
async def generator():
    with decimal.localcontext() as context:
        context.prec = 9
        name.set('init')
        yield
@contextlib.asynccontextmanager
async def manager():
    with decimal.localcontext() as context:
        context.prec = 9
        name.set('init')
        yield
def work(x): return f'{decimal.Decimal(1) / decimal.Decimal(3)} {name.get()}'
async def awaited(x): return work(x)";
    for model in MODELS {
        for (init, expected) in [
            ("", "0.33333 unset"),
            ("plain", "0.333333333 init"),
            ("coroutine", "0.333333333 init"),
            ("generator", "0.333333333 init"),
            ("manager", "0.333333333 init"),
        ] {
            for function in ["work", "awaited"] {
                let rest =
                    format!("model = '{model}'\n[inputs]\nrepeat = 4\n[limits]\nconcurrency = 2");
                let mut test = job(module, &rest)
                    .args(["--set", &format!("workload.python.function=mine:{function}")]);
                if !init.is_empty() {
                    test = test.args(["--set", &format!("workload.python.init=mine:{init}")]);
                }
                let ran = test.run();
                ran.exit(0).rows("result", &[expected; 4]);
            }
        }
    }
}
