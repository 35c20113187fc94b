#!/usr/bin/env python3
"""Python functions beside Python's own pools: same function, same interpreter, two workers, a row for each task.

    cargo build --release
    python3 benches/python.py [--rounds 5] [processes | threads | async | long | factorials ...]
    python3 benches/python.py [--rounds 5] [ready | memory | preload | waits | reads ...]

Medians of interleaved rounds; the machine should be idle. A peer's time is that of its pool from its start to its end,
with the rows written to a CSV file; the runner's is its whole wall time, interpreters' start included, and once more
without that (`startup_s`).

`ready`: how much longer the wall time of N tasks in N interpreters is than that of one in one. `memory`: the PSS of all
interpreters, the one that they are forked from included, while each sleeps. `preload`: the same with a table of 300 MB.
`waits` and `reads`: plain functions under `auto`, beside the best of the four models at any number of slots.
"""

import argparse
import asyncio
import csv
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import Pool
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT / "target/release/runner"
COUNT = 100_000

MODULE = """
import time
def noop(x):
    return x
async def anoop(x):
    return x
def nap(x):
    time.sleep(0.3)
def sleep(x):
    time.sleep(2)
table = None
def load():
    global table
    table = bytearray(range(250)) * (300_000_000 // 250)
def use(x):
    table or load()
    time.sleep(2)
    return table[x]
def wait(x):
    time.sleep(0.05)
def read(path):
    with open(path, "rb") as file:
        return len(file.read())
def some_are_long(x):
    if x % 25_000 == 10_000:
        time.sleep(1)
    return x
"""


def noop(x):
    return x


async def anoop(x):
    return x


def write_rows(values):
    with tempfile.TemporaryFile("w", newline="") as file:
        csv.writer(file).writerows(enumerate(values, 1))


def executor_map():
    with ProcessPoolExecutor(2) as pool:
        write_rows(pool.map(noop, range(COUNT)))


def pool_imap():
    with Pool(2) as pool:
        write_rows(pool.imap(noop, range(COUNT)))


def threads_map():
    with ThreadPoolExecutor(2) as pool:
        write_rows(pool.map(noop, range(COUNT)))


def gather():
    async def all_of_them():
        turns = asyncio.Semaphore(100)

        async def one(x):
            async with turns:
                return await anoop(x)

        return await asyncio.gather(*map(one, range(COUNT)))

    write_rows(asyncio.run(all_of_them()))


FACTORIALS = [n for n in range(10_000, 50_000, 1000)]


def factorials():
    sys.set_int_max_str_digits(0) if hasattr(sys, "set_int_max_str_digits") else None
    with Pool(2) as pool:
        write_rows(map(str, pool.map(math.factorial, FACTORIALS)))


def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def command_of(folder, function, model, concurrency, inputs, keys=""):
    """The job in a file, and the command that runs it. No `concurrency`: the runner picks one."""
    (folder / "bench_functions.py").write_text(MODULE)
    job = folder / "bench.toml"
    limits = f"[limits]\nconcurrency = {concurrency}\n" if concurrency else ""
    job.write_text(
        f"model = '{model}'\n[inputs]\n{inputs}\n{limits}"
        f"[workload.python]\nfunction = '{function}'\ninterpreter = '{sys.executable}'\n{keys}"
    )
    return [RUNNER, "-q", "--results", folder / "results", job]


def runner(folder, function, model, concurrency, inputs=f"range = {{ from = 0, to = {COUNT - 1} }}"):
    """Wall time and start-up in seconds."""
    command = command_of(folder, function, model, concurrency, inputs)
    wall = timed(lambda: subprocess.run(command, check=True))
    with open(folder / "results/summary.csv") as file:
        row = next(row for row in csv.DictReader(file) if row["job"] == "bench")
    assert row["ok"] == row["tasks"], row
    return wall, float(row["startup_s"])


def beside(name, folder, rounds, peer, target, *args):
    peers, walls, ratios, without = [], [], [], []
    for _ in range(rounds):
        theirs = timed(peer)
        wall, startup = runner(folder, *args)
        peers.append(theirs)
        walls.append(wall)
        ratios.append(theirs / wall)
        without.append(theirs / (wall - startup))
    median = statistics.median
    print(
        f"{name:34} peer {median(peers):7.3f} s  runner {median(walls):6.3f} s  ratio {median(ratios):5.2f} "
        f"({median(without):5.2f} without start-up; target {target})",
        flush=True,
    )


def ready(folder, rounds):
    """Pairs of runs: N tasks in N interpreters, one task in one."""
    for count, most in ((8, 15), (32, 60)):
        more = []
        for _ in range(rounds):
            walls = [runner(folder, "bench_functions:nap", "processes", n, f"repeat = {n}")[0] for n in (1, count)]
            more.append((walls[1] - walls[0]) * 1000)
        print(f"{count} interpreters ready: {statistics.median(more):.0f} ms more than one (target {most})", flush=True)


def pss_of(pid):
    """The PSS in bytes of the Python processes below this one."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            total += pss_of(child)
            if "python" in Path(f"/proc/{child}/exe").resolve().name:
                rollup = Path(f"/proc/{child}/smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    return total


def memory_of(folder, function, count, keys=""):
    """What `count` interpreters take together once they all run."""
    command = command_of(folder, function, "processes", count, f"repeat = {count}", keys)
    running = subprocess.Popen(command)
    highest = 0
    while running.poll() is None:
        try:
            highest = max(highest, pss_of(running.pid))
        except OSError:
            pass  # one of them has just ended
        time.sleep(0.05)
    assert running.returncode == 0
    return highest


BARE = """
import os, sys, time
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        break
time.sleep(60)
"""


def bare_forks(count):
    """The PSS of a Python that only forks, and of its children, which sleep: what no interpreter that is forked can beat."""
    parent = subprocess.Popen([sys.executable, "-c", BARE, str(count)])
    try:
        time.sleep(1)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(children) == count
        total = pss_of(os.getpid())
    finally:
        for pid in [*children, parent.pid]:
            os.kill(int(pid), signal.SIGKILL)
        parent.wait()
    return total


def memory(folder, rounds):
    one, many = (statistics.median(memory_of(folder, "bench_functions:sleep", n) for _ in range(rounds)) for n in (1, 32))
    print(f"32 idle interpreters: {many / 1e6:.1f} MB PSS, one {one / 1e6:.1f}: {many / one:.2f} times (target 3)")
    alone, forks = (statistics.median(bare_forks(n) for _ in range(rounds)) for n in (0, 32))
    print(f"a Python that has only forked 32 that sleep: {forks / 1e6:.1f} MB, alone {alone / 1e6:.1f}: {forks / alone:.2f} times")


def preload(folder, rounds):
    one = statistics.median(memory_of(folder, "bench_functions:use", 1) for _ in range(rounds))
    keys = "preload = 'bench_functions:load'\n"
    four = statistics.median(memory_of(folder, "bench_functions:use", 4, keys) for _ in range(rounds))
    print(f"300 MB preloaded, 4 interpreters: {four / 1e6:.0f} MB PSS, one {one / 1e6:.0f}: {four / one:.2f} times (target 1.4)")


def regret(name, folder, rounds, function, inputs):
    """`auto` beside the best of the models, in interleaved rounds."""
    settings = [(model, n) for model in ("sequential", "threads", "processes", "async") for n in (1, 4, 16, 60)]
    settings = [(model, n) for model, n in settings if n == 1 or model in ("threads", "processes")]
    once = {setting: runner(folder, function, *setting, inputs)[0] for setting in settings}
    best = sorted(once, key=once.get)[:3]
    walls = {setting: [] for setting in [("auto", None), *best]}
    for _ in range(rounds):
        for setting, seen in walls.items():
            seen.append(runner(folder, function, *setting, inputs)[0])
    medians = {setting: statistics.median(seen) for setting, seen in walls.items()}
    auto = medians.pop(("auto", None))
    model, n = min(medians, key=medians.get)
    fastest = medians[model, n]
    print(f"{name}: auto {auto:.3f} s, best {fastest:.3f} s ({model}, {n}): {auto / fastest:.2f} times (target 1.25)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("what", nargs="*", default=["processes", "threads", "async", "long", "factorials"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rounds = options.rounds
        if "processes" in options.what:
            call = ("bench_functions:noop", "processes", 2)
            beside("no-op, ProcessPoolExecutor.map", folder, rounds, executor_map, 25, *call)
            beside("no-op, Pool.imap", folder, rounds, pool_imap, 5, *call)
        if "threads" in options.what:
            call = ("bench_functions:noop", "threads", 2)
            beside("no-op, ThreadPoolExecutor(2).map", folder, rounds, threads_map, 3, *call)
        if "async" in options.what:
            call = ("bench_functions:anoop", "async", 100)
            beside("no-op coroutine, gather", folder, rounds, gather, 1.5, *call)
        if "long" in options.what:
            walls = [runner(folder, "bench_functions:some_are_long", "processes", 2) for _ in range(rounds)]
            wall = statistics.median(wall for wall, _ in walls)
            print(f"4 tasks of 1 s among 100,000: {wall:.3f} s (target 2.2)", flush=True)
        if "factorials" in options.what:
            inputs = "range = { from = 10000, to = 49000, step = 1000 }"
            beside(
                "factorials, Pool.map", folder, rounds, factorials, 0.95, "math:factorial", "processes", 2, inputs
            )
        for measure in (ready, memory, preload):
            if measure.__name__ in options.what:
                measure(folder, rounds)
        if "waits" in options.what:
            regret("60 waits of 50 ms", folder, rounds, "bench_functions:wait", "repeat = 60")
        if "reads" in options.what:
            (folder / "small").mkdir()
            for n in range(2000):
                (folder / "small" / f"{n}.txt").write_text("line\n" * 50)
            regret("2,000 small files", folder, rounds, "bench_functions:read", "glob = 'small/*.txt'")


if __name__ == "__main__":
    main()
