#!/usr/bin/env python3
"""Two builds side by side: has anything become slower?

    cargo build --release
    python3 benches/builds.py --than OTHER_RUNNER [--pairs 15] [CASE ...]

Each pair runs both builds once, in random order; the ratio (this build's wall time by the other's) is taken pair by
pair. Printed are the median ratio and its 95 % bootstrap interval; a case is slower only if the whole interval lies
above the limit of 1.03. The machine should be idle. `requests` needs nginx. Only the standard library is needed.
"""

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from cost import run
from http import Bench  # benches/http.py: this folder comes before the standard library

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1.03
NOOP = "def noop(x):\n    return None\n"
# Tasks, and the job that does them.
CASES = {
    "starts": (10_000, 'model = "threads"\ninputs.repeat = 10_000\nlimits.concurrency = 2\nworkload.command.argv = ["true"]'),
    "threads": (
        1_000_000,
        'model = "threads"\ninputs.repeat = 1_000_000\nlimits.concurrency = 2\n'
        'workload.compute = { function = "count_down", arg = 1 }',
    ),
    "processes": (
        1_000_000,
        'model = "processes"\ninputs.repeat = 1_000_000\nlimits.concurrency = 2\n'
        'workload.compute = { function = "count_down", arg = 1 }',
    ),
    "requests": (
        100_000,
        'model = "async"\ninputs.repeat = 100_000\nlimits.concurrency = 64\nworkload.http.url = "URL"',
    ),
    "python": (
        100_000,
        'model = "processes"\ninputs.repeat = 100_000\nlimits.concurrency = 2\n'
        'workload.python = { function = "noop:noop", args = [1] }',
    ),
}


def interval(ratios, resamples=10_000):
    """The 95 % bootstrap interval of the median."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(resamples))
    return medians[int(0.025 * resamples)], medians[int(0.975 * resamples) - 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)} (default: all)")
    parser.add_argument("--runner", default=ROOT / "target" / "release" / "runner")
    parser.add_argument("--than", required=True, help="the other build")
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"unknown case `{unknown.pop()}`: the cases are {', '.join(CASES)}")
    cases = options.cases or list(CASES)
    builds = {"this": str(Path(options.runner).resolve()), "other": str(Path(options.than).resolve())}
    slower = False
    print(f"{'case':10} {'other':>8} {'this':>8}  ratio  95 % interval ({options.pairs} pairs)")
    for name in cases:
        if name == "requests" and shutil.which("nginx") is None:
            print(f"{name:10} skipped: nginx is not installed")
            continue
        slower |= case(name, builds, options.pairs)
    sys.exit(slower)


def case(name, builds, pairs):
    """Runs one case and prints its line; whether it has become slower."""
    tasks, job = CASES[name]
    times = {build: [] for build in builds}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        server = Bench(None, folder) if name == "requests" else None
        try:
            (folder / "noop.py").write_text(NOOP)
            (folder / "job.toml").write_text(job.replace("URL", f"{server.url}/1k" if server else ""))
            for pair in range(pairs + 1):
                for build in random.sample(list(builds), 2):
                    took = run(builds[build], folder, tasks)[1]
                    if pair > 0:  # the first pair warms up
                        times[build].append(took)
        finally:
            if server:
                server.close()
    ratios = [this / other for this, other in zip(times["this"], times["other"])]
    low, high = interval(ratios)
    median = {build: statistics.median(took) for build, took in times.items()}
    word = "slower" if low > LIMIT else ""
    print(f"{name:10} {median['other']:7.3f}s {median['this']:7.3f}s  {statistics.median(ratios):.3f}  {low:.3f} to {high:.3f} {word}", flush=True)
    return low > LIMIT


if __name__ == "__main__":
    main()
