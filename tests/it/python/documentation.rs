//! The examples of Python's own documentation as job files, each with the documentation's answer: what a pool, a process or
//! `asyncio.run` does there, the runner does here, under each model that the example allows.

use std::collections::HashSet;

use super::{MODELS, job};
use crate::http::server::Server;
use crate::support::{TestJob, free_port};

/// Every model, and what is picked where none is named.
const ALL: [&str; 5] = [MODELS[0], MODELS[1], MODELS[2], MODELS[3], "auto"];

/// A job that has this answer under every model.
fn answers(module: &str, inputs: &str, results: &[&str]) {
    for model in ALL {
        let ran = job(module, &format!("model = '{model}'\n[inputs]\n{inputs}")).run();
        ran.exit(0).rows("result", results);
    }
}

#[test]
fn concurrent_futures_pow() {
    // with ThreadPoolExecutor(max_workers=1) as executor:
    //     future = executor.submit(pow, 323, 1235)
    for model in ALL {
        let text = format!(
            "model = '{model}'\n[inputs]\nrepeat = 1\n[workload.python]\nfunction = 'builtins:pow'\nargs = [323, 1235]"
        );
        let result = TestJob::new(&text).run().exit(0).report().column("result").remove(0);
        assert!(result.len() == 3099 && result.starts_with("73301"), "{model}: {result}");
    }
}

#[test]
fn concurrent_futures_load_url() {
    let server = Server::start();
    let module = "
import urllib.request
def work(url, timeout=60):
    with urllib.request.urlopen(url, timeout=timeout) as conn:
        return f'{url!r} page is {len(conn.read())} bytes'";
    let (good, bad) = (server.url("/hello"), format!("http://127.0.0.1:{}/", free_port()));
    for model in ALL {
        let inputs = format!("model = '{model}'\n[inputs]\nvalues = ['{good}', '{bad}']");
        let ran = job(module, &inputs).run();
        let report = ran.exit(3).report();
        assert_eq!(report.column("result")[0], format!("'{good}' page is 5 bytes"), "{model}");
        // print('%r generated an exception: %s' % (url, exc))
        assert!(report.column("error")[1].contains("URLError: <urlopen error"), "{model}");
    }
}

#[test]
fn concurrent_futures_primes() {
    let module = "
import math
def work(n):
    if n < 2:
        return False
    if n == 2:
        return True
    if n % 2 == 0:
        return False
    sqrt_n = int(math.floor(math.sqrt(n)))
    for i in range(3, sqrt_n + 1, 2):
        if n % i == 0:
            return False
    return True";
    // Two of the documentation's six, which take half a minute in a busy interpreter; the others have the same answer.
    let ran = job(module, "[inputs]\nvalues = [112272535095293, 1099726899285419]").run();
    ran.exit(0).rows("result", &["true", "false"]);
}

#[test]
fn multiprocessing_pool_map() {
    answers("def work(x): return x * x", "values = [1, 2, 3]", &["1", "4", "9"]);
    let squares = ["0", "1", "4", "9", "16", "25", "36", "49", "64", "81"];
    answers("def work(x): return x * x", "range = { from = 0, to = 9 }", &squares);
    answers("def work(x): return x * x", "values = [20]", &["400"]);
}

#[test]
fn multiprocessing_processes_have_a_pid_each() {
    // multiple_results = [pool.apply_async(os.getpid, ()) for i in range(4)]
    let module = "
import os
def work(x):
    open(f'{os.getpid()}.here', 'w').close()
    while len([name for name in os.listdir() if name.endswith('.here')]) < 4:
        pass
    return os.getpid()";
    let rest = "model = 'processes'\n[inputs]\nrepeat = 4\n[limits]\nconcurrency = 4";
    let pids = job(module, rest).run().exit(0).report().column("result");
    assert_eq!(pids.iter().collect::<HashSet<_>>().len(), 4, "{pids:?}");
}

#[test]
fn multiprocessing_we_lacked_patience() {
    // res = pool.apply_async(time.sleep, (10,)); res.get(timeout=1): a multiprocessing.TimeoutError
    for model in ALL {
        let text = format!(
            "model = '{model}'\n[inputs]\nvalues = [10]\n[limits]\ntimeout = '300ms'\n[workload.python]\nfunction = 'time:sleep'"
        );
        TestJob::new(&text).run().exit(3).rows("status", &["timeout"]);
    }
}

#[test]
fn multiprocessing_a_process_prints_for_itself() {
    let module = "
from multiprocessing import Process
def f(name):
    print('hello', name)
def work(name):
    p = Process(target=f, args=(name,))
    p.start()
    p.join()
    return p.exitcode";
    for model in ALL {
        let ran = job(module, &format!("model = '{model}'\n[inputs]\nvalues = ['bob']")).run();
        ran.exit(0).rows("result", &["0"]);
        let log = std::fs::read_to_string(ran.path("results/job.log")).unwrap();
        assert!(log.contains("hello bob"), "{model}: {log}");
    }
}

#[test]
fn multiprocessing_exchanges_objects_and_shares_state() {
    let queue = "
from multiprocessing import Process, Queue, Pipe
def f(q):
    q.put([42, None, 'hello'])
def g(conn):
    conn.send([42, None, 'hello'])
    conn.close()
def work(kind):
    if kind == 'queue':
        q = Queue()
        p = Process(target=f, args=(q,))
        p.start()
        got = q.get()
    else:
        parent_conn, child_conn = Pipe()
        p = Process(target=g, args=(child_conn,))
        p.start()
        got = parent_conn.recv()
    p.join()
    return got";
    let got = r#"[42,null,"hello"]"#;
    answers(queue, "values = ['queue', 'pipe']", &[got, got]);
    let memory = "
from multiprocessing import Process, Value, Array
def f(n, a):
    n.value = 3.1415927
    for i in range(len(a)):
        a[i] = -a[i]
def work(x):
    num = Value('d', 0.0)
    arr = Array('i', range(10))
    p = Process(target=f, args=(num, arr))
    p.start()
    p.join()
    return [num.value, arr[:]]";
    answers(memory, "repeat = 1", &["[3.1415927,[0,-1,-2,-3,-4,-5,-6,-7,-8,-9]]"]);
    let manager = "
from multiprocessing import Process, Manager
def f(d, l):
    d[1] = '1'
    d['2'] = 2
    d[0.25] = None
    l.reverse()
def work(x):
    with Manager() as manager:
        d = manager.dict()
        l = manager.list(range(10))
        p = Process(target=f, args=(d, l))
        p.start()
        p.join()
        return [dict(d), list(l)]";
    let result = r#"[{"1":"1","2":2,"0.25":null},[9,8,7,6,5,4,3,2,1,0]]"#;
    answers(manager, "repeat = 1", &[result]);
}

#[test]
fn multiprocessing_error_handling() {
    let module = "def work(x): return 1.0 / (x - 5.0)";
    for model in ALL {
        let rest = format!("model = '{model}'\n[inputs]\nrange = {{ from = 3, to = 6 }}");
        let ran = job(module, &rest).run();
        ran.exit(3).rows("result", &["-0.5", "-1.0", "", "1.0"]);
        assert!(ran.report().column("error")[2].starts_with("ZeroDivisionError: "), "{model}");
    }
}

#[test]
fn asyncio_factorials() {
    let module = "
import asyncio
async def work(name, number):
    f = 1
    for i in range(2, number + 1):
        print(f'Task {name}: Compute factorial({number}), currently i={i}...')
        await asyncio.sleep(0.01)
        f *= i
    print(f'Task {name}: factorial({number}) = {f}')
    return f";
    let inputs = "zip = { name = ['A', 'B', 'C'], number = [2, 3, 4] }";
    answers(module, inputs, &["2", "6", "24"]);
}

#[test]
fn asyncio_say_after_in_tasks_and_groups() {
    let module = "
import asyncio
said = []
async def say_after(delay, what):
    await asyncio.sleep(delay)
    said.append(what)
async def nested():
    return 42
async def work(way):
    said.clear()
    if way == 'tasks':
        tasks = [asyncio.create_task(say_after(.02, 'world')), asyncio.create_task(say_after(.01, 'hello'))]
        for task in tasks: await task
    elif way == 'gather':
        await asyncio.gather(say_after(.02, 'world'), say_after(.01, 'hello'))
    else:
        await say_after(.01, 'hello')
        await say_after(.01, 'world')
    return [list(said), await nested()]";
    for model in ALL {
        let rest = format!(
            "model = '{model}'\n[limits]\nconcurrency = 1\n[inputs]\nvalues = ['await', 'tasks', 'gather']"
        );
        job(module, &rest).run().exit(0).rows("result", &[r#"[["hello","world"],42]"#; 3]);
    }
}

#[test]
fn asyncio_wait_for_eternity() {
    let module = "
import asyncio
async def eternity():
    await asyncio.sleep(3600)
    print('yay!')
async def work(x):
    try:
        await asyncio.wait_for(eternity(), timeout=0.05)
    except (TimeoutError, asyncio.TimeoutError):
        return 'timeout!'";
    answers(module, "repeat = 2", &["timeout!"; 2]);
}

#[test]
fn asyncio_blocking_calls_beside_the_loop() {
    let module = "
import asyncio, concurrent.futures
def blocking_io():
    with open('/dev/urandom', 'rb') as f:
        return len(f.read(100))
def cpu_bound():
    return sum(i * i for i in range(10 ** 5))
async def work(kind):
    loop = asyncio.get_running_loop()
    if kind == 'default':
        return await loop.run_in_executor(None, blocking_io)
    if kind == 'threads':
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return await loop.run_in_executor(pool, blocking_io)
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        return await loop.run_in_executor(pool, cpu_bound)";
    let inputs = "values = ['default', 'threads', 'processes']";
    answers(module, inputs, &["100", "100", "333328333350000"]);
}

#[test]
fn asyncio_a_queue_spreads_work() {
    let module = "
import asyncio
async def worker(queue, done):
    while True:
        sleep_for = await queue.get()
        await asyncio.sleep(sleep_for)
        queue.task_done()
        done.append(sleep_for)
async def work(x):
    queue, done = asyncio.Queue(), []
    for _ in range(20):
        queue.put_nowait(0.001)
    tasks = [asyncio.create_task(worker(queue, done)) for i in range(3)]
    await queue.join()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return len(done)";
    answers(module, "repeat = 2", &["20"; 2]);
}
