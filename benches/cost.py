#!/usr/bin/env python3
"""What retries, limits and the report's safety cost on the benchmarks of the foundation (see peers.py).

    cargo build --release
    python3 benches/cost.py [--than OTHER_RUNNER] [--work WORK] [--rounds 9] [CASE ...]

Wall time, which is judged, and processor time (user + system) of the whole program; each round runs every case once, in random order, and a
case is set against the plain job of its own round: medians of these ratios, so that drift hits all alike. `--than` adds
another build, such as one of an earlier commit, under the plain job. Only the standard library is needed.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOB = """
model = "{model}"
{work}
limits.concurrency = {slots}
{more}
"""
# Slots, tasks, and what they do.
WORKS = {
    "nothing": (2, 1_000_000, 'inputs.repeat = 1_000_000\nworkload.compute = { function = "count_down", arg = 1 }'),
    "starts": (2, 10_000, 'inputs.repeat = 10_000\nworkload.command.argv = ["true"]'),
    "factorials": (
        2,
        40,
        "inputs.values = [" + "10000, 20000, 30000, 40000, " * 10 + ']\nworkload.compute.function = "factorial"',
    ),
    "sleeps": (10_000, 10_000, 'inputs.repeat = 10_000\nworkload.sleep.duration = "100ms"'),
}
PLAIN = "plain"
CASES = {
    PLAIN: "",
    "limits": 'limits.timeout = "1m"\nlimits.deadline = "1h"\nlimits.stop_after_failures = 10',
    "memory": 'limits.min_free_memory = "1MiB"',
    # Every attempt has a row of its own: half as much again is encoded and written.
    "retry": "retry.max_attempts = 3",
}
LIMIT = 1.03


def run(runner, folder, tasks):
    """Runs the job; returns its processor time and wall time in seconds."""
    began = time.monotonic()
    argv = [runner, "-q", "--fresh", "job.toml"]
    process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{runner}: exit {process.returncode}: {said[-500:]}")
    with (folder / "results" / "job.csv").open("rb") as report:
        rows = sum(1 for _ in report) - 1
    if rows != tasks:
        sys.exit(f"{runner}: {rows} rows of {tasks}")
    return usage.ru_utime + usage.ru_stime, took


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)} (default: all)")
    parser.add_argument("--runner", default=ROOT / "target" / "release" / "runner")
    parser.add_argument("--than", help="another build to set against")
    parser.add_argument("--work", choices=WORKS, default="nothing")
    parser.add_argument("--model", help="default: threads; async for sleeps")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"unknown case `{unknown.pop()}`: the cases are {', '.join(CASES)}")
    slots, tasks, work = WORKS[options.work]
    model = options.model or ("async" if options.work == "sleeps" else "threads")
    runner = Path(options.runner).resolve()
    cases = {name: (runner, CASES[name]) for name in dict.fromkeys([PLAIN, *(options.cases or CASES)])}
    if options.than:
        cases["than"] = (Path(options.than).resolve(), CASES[PLAIN])
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.2f}, {options.rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="runner-cost-") as top:
        folders = {}
        for name, (_, more) in cases.items():
            folders[name] = Path(top) / name
            folders[name].mkdir()
            text = JOB.format(model=model, work=work, slots=slots, more=more)
            (folders[name] / "job.toml").write_text(text)
        taken = {name: [] for name in cases}
        for round in range(options.rounds + 1):  # the first one is thrown away
            for name in random.sample(list(cases), len(cases)):
                times = run(cases[name][0], folders[name], tasks)
                if round > 0:
                    taken[name].append(times)
    print(f"{'':8} {'processor':>11} {'of plain':>8} {'wall':>9} {'of plain':>8}")
    for name, times in taken.items():
        line, ratios = f"{name:8}", []
        for of_case, of_plain in zip(zip(*times), zip(*taken[PLAIN])):
            ratios.append(statistics.median(one / plain for one, plain in zip(of_case, of_plain)))
            line += f" {statistics.median(of_case):9.3f} s {ratios[-1]:6.3f}"
        if name == "than":
            line += f"  target: at least {1 / LIMIT:.3f}: {'met' if ratios[-1] >= 1 / LIMIT else 'MISSED'}"
        elif name != PLAIN:
            line += f"  target: at most {LIMIT}: {'met' if ratios[-1] <= LIMIT else 'MISSED'}"
        print(line)


if __name__ == "__main__":
    main()
