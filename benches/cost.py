#!/usr/bin/env python3
"""What retries, limits and the report's safety cost: processor time of 1,000,000 tasks that do nothing.

    cargo build --release
    python3 benches/cost.py [--than OTHER_RUNNER] [--rounds 9] [CASE ...]

Processor time (user + system) of the whole program, since wall time hangs on the disk; each round runs every case once,
in random order, and a case is set against the plain job of its own round: medians of these ratios, so that drift hits
all alike. `--than` adds another build, such as one of an earlier commit, under the plain job. Only the standard library
is needed.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOB = """
model = "{model}"
inputs.repeat = {tasks}
workload.compute = {{ function = "count_down", arg = 1 }}
limits.concurrency = 2
{more}
"""
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
    """Runs the job; returns its processor time in seconds."""
    argv = [runner, "-q", "--fresh", "job.toml"]
    process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{runner}: exit {process.returncode}: {said[-500:]}")
    with (folder / "results" / "job.csv").open("rb") as report:
        rows = sum(1 for _ in report) - 1
    if rows != tasks:
        sys.exit(f"{runner}: {rows} rows of {tasks}")
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)} (default: all)")
    parser.add_argument("--runner", default=ROOT / "target" / "release" / "runner")
    parser.add_argument("--than", help="another build to set against")
    parser.add_argument("--model", default="threads")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"unknown case `{unknown.pop()}`: the cases are {', '.join(CASES)}")
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
            text = JOB.format(model=options.model, tasks=options.tasks, more=more)
            (folders[name] / "job.toml").write_text(text)
        seconds = {name: [] for name in cases}
        for round in range(options.rounds + 1):  # the first one is thrown away
            for name in random.sample(list(cases), len(cases)):
                taken = run(cases[name][0], folders[name], options.tasks)
                if round > 0:
                    seconds[name].append(taken)
    print(f"{'':8} {'median':>9} {'min':>9}  of the plain job's")
    for name, taken in seconds.items():
        ratio = statistics.median(one / plain for one, plain in zip(taken, seconds[PLAIN]))
        line = f"{name:8} {statistics.median(taken):7.3f} s {min(taken):7.3f} s  {ratio:6.3f}"
        if name in ("limits", "memory"):
            line += f"  target: at most {LIMIT}: {'met' if ratio <= LIMIT else 'MISSED'}"
        if name == "than":
            line += f"  target: at least {1 / LIMIT:.3f}: {'met' if ratio >= 1 / LIMIT else 'MISSED'}"
        print(line)


if __name__ == "__main__":
    main()
