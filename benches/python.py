#!/usr/bin/env python3
"""Python functions beside Python's own pools: same function, same interpreter, two workers, a row for each task.

    cargo build --release
    python3 benches/python.py [--rounds 5] [processes | threads | async | long | factorials ...]

Medians of interleaved rounds; the machine should be idle. A peer's time is that of its pool from its start to its end,
with the rows written to a CSV file; the runner's is its whole wall time, interpreters' start included, and once more
without that (`startup_s`).
"""

import argparse
import asyncio
import csv
import math
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


def runner(folder, function, model, concurrency, inputs=f"range = {{ from = 0, to = {COUNT - 1} }}"):
    """Wall time and start-up in seconds."""
    (folder / "bench_functions.py").write_text(MODULE)
    job = folder / "bench.toml"
    job.write_text(
        f"model = '{model}'\n[inputs]\n{inputs}\n[limits]\nconcurrency = {concurrency}\n"
        f"[workload.python]\nfunction = '{function}'\ninterpreter = '{sys.executable}'\n"
    )
    command = [RUNNER, "-q", "--results", folder / "results", job]
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


if __name__ == "__main__":
    main()
