#!/usr/bin/env python3
"""How good the advice is: regret of `runner compare` and of `auto` over workloads of known nature.

    cargo build --release
    python3 benches/advice.py [--rounds N] [WORKLOAD ...]

Regret is the time under the model that was advised, over the time under the best one of the four. A comparison gives
the advice of `compare`; rounds of their own, in which each model and `auto` run once in random order, give the times by
which the advice is judged, so that none is judged by the figures that it was made from. A model is set against the best
one round by round, and the median of these ratios is its regret, so that drift hits both alike. `auto` is judged by what
it took itself: what it costs to find out counts, and where it takes more slots than a model's default, its regret may be
below 1. The machine should be idle; all of it takes about half an hour.

A workload that this `runner` does not support is named and left out. Only the standard library is needed.
"""

import argparse
import csv
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.pop(0)  # this folder has an `http.py` of its own
import http.server  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("sequential", "threads", "processes", "async")
COMPARE_LIMIT, AUTO_LIMIT, AUTO_MEDIAN_LIMIT = 1.06, 1.25, 1.05
MOST_ROUNDS = 31

PYTHON = '''
import asyncio, time

def burn(seconds):
    """Computes for about this long."""
    end = time.thread_time() + float(seconds)
    while time.thread_time() < end:
        sum(range(2000))

def nap(seconds):
    time.sleep(float(seconds))

async def wait(seconds):
    await asyncio.sleep(float(seconds))

async def hold(seconds):
    burn(seconds)

def mixed(seconds):
    burn(float(seconds) / 2)
    time.sleep(float(seconds) / 2)

def nothing(_):
    pass
'''


def repeat(count, workload, limits=""):
    """A job file that does the same `count` times."""
    return f"[inputs]\nrepeat = {count}\n{workload}\n{limits}"


def compute(function, arg):
    return f'[workload.compute]\nfunction = "{function}"\narg = {arg}'


def sleep(duration):
    return f'[workload.sleep]\nduration = "{duration}"'


def shell(text):
    return f"[workload.command]\nshell = '{text}'"


def python(function, seconds):
    return f'[workload.python]\nfunction = "work:{function}"\nargs = [{seconds}]'


def request(port, path):
    return f'[workload.http]\nurl = "http://127.0.0.1:{port}/{path}"'


def workloads(port):
    """Name, nature in words, and job file."""
    burn = 'python3 -c "sum(range(%d))"'
    return {
        "compute-1ms-thousands": ("computes, 1 ms, 2,000 tasks", repeat(2000, compute("count_down", 3_500_000))),
        "compute-1s-few": ("computes, 1 s, 4 tasks", repeat(4, compute("count_primes", 3_500_000_000))),
        "compute-10ms": ("computes, 10 ms, 100 tasks", repeat(100, compute("factorial", 60_000))),
        "compute-nothing": ("computes next to nothing, 50,000 tasks", repeat(50_000, compute("count_down", 10))),
        "sleep-1ms-thousands": ("waits 1 ms, 2,000 tasks", repeat(2000, sleep("1ms"))),
        "sleep-1s-few": ("waits 1 s, 4 tasks", repeat(4, sleep("1s"))),
        "sleep-20ms-hundred": ("waits 20 ms, 100 tasks", repeat(100, sleep("20ms"))),
        "command-short": ("commands of 1 ms, 1,000 of them", repeat(1000, '[workload.command]\nargv = ["true"]')),
        "command-computes": ("commands that compute 0.3 s, 6 of them", repeat(6, shell(burn % 15_000_000))),
        "command-waits": ("commands that wait 0.2 s, 12 of them", repeat(12, shell("sleep 0.2"))),
        "command-mixed": ("commands that wait and compute, 10 of them", repeat(10, shell(f"sleep 0.1; {burn % 5_000_000}"))),
        "http-fast": ("requests, answered at once, 1,000 of them", repeat(1000, request(port, "fast"))),
        "http-slow": ("requests, answered after 50 ms, 60 of them", repeat(60, request(port, "slow"))),
        "python-computes": ("Python computes 50 ms, 30 tasks", repeat(30, python("burn", 0.05))),
        "python-computes-1ms": ("Python computes 1 ms, 1,000 tasks", repeat(1000, python("burn", 0.001))),
        "python-computes-1s": ("Python computes 1 s, 3 tasks", repeat(3, python("burn", 1))),
        "python-naps": ("Python blocks 50 ms, 40 tasks", repeat(40, python("nap", 0.05))),
        "python-awaits": ("Python awaits 50 ms, 60 tasks", repeat(60, python("wait", 0.05))),
        "python-holds": ("a coroutine that computes 20 ms, 60 tasks", repeat(60, python("hold", 0.02))),
        "python-mixed": ("Python computes and blocks, 40 tasks", repeat(40, python("mixed", 0.04))),
        "python-nothing": ("Python does nothing, 2,000 tasks", repeat(2000, python("nothing", 0))),
        "one-task": ("computes, one task", compute("count_primes", 1_000_000_000)),
    }


class Server(http.server.BaseHTTPRequestHandler):
    """Answers at once, or after 50 ms."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits 40 ms for the header to be acknowledged

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(0.05)
        body = b"hello\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    """A client that hangs up is not worth a message."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass


class Bench:
    """The runner under test, and a folder for its jobs."""

    def __init__(self, runner, folder, rounds, seconds):
        self.runner, self.folder, self.rounds, self.seconds = Path(runner).resolve(), folder, rounds, seconds

    def run(self, *arguments):
        return subprocess.run(
            [self.runner, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    def checked(self, name, *arguments):
        """What a run of this job was given has to be right."""
        done = self.run(*arguments)
        if done.returncode != 0:
            sys.exit(f"{name}: exit {done.returncode}: {done.stderr[-800:]}")

    def advice(self, name):
        """The model that `compare` recommends."""
        self.checked(name, "compare", f"{name}.toml", "--rounds", str(self.rounds), "--results", "out")
        with open(self.folder / "out" / f"{name}.compare.csv", newline="") as file:
            return next(row["model"] for row in csv.DictReader(file) if row["recommended"] == "true")

    def summary(self, name, model):
        """The summary's row of one run under this model."""
        self.checked(name, "-q", f"{name}.toml", "--model", model, "--results", model, "--fresh")
        with open(self.folder / model / "summary.csv", newline="") as file:
            return next(row for row in csv.DictReader(file) if row["job"] == name)

    def judge(self, name):
        """The times in seconds of each model and of `auto`, round by round, and the last row of `auto`."""
        walls = {model: [] for model in (*MODELS, "auto")}
        auto = None
        until = time.monotonic() + self.seconds
        while len(walls["auto"]) < self.rounds or (time.monotonic() < until and len(walls["auto"]) < MOST_ROUNDS):
            for model in random.sample(list(walls), len(walls)):
                row = self.summary(name, model)
                walls[model].append(float(row["wall_s"]))
                if model == "auto":
                    auto = row
        return walls, auto


def regret(taken, best):
    """How many times the best one's time was taken, round by round."""
    return statistics.median(mine / its for mine, its in zip(taken, best, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", default=ROOT / "target/release/runner", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each comparison, and at least of what judges it (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="how long the rounds that judge last (default: %(default)s)")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="default: all")
    options = parser.parse_args()

    server = Quiet(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    known = workloads(server.server_port)
    unknown = set(options.workloads) - set(known)
    if unknown:
        sys.exit(f"no workload called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    regrets = {"compare": [], "auto": []}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "work.py").write_text(PYTHON)
        bench = Bench(options.runner, folder, options.rounds, options.seconds)
        print(f"{'workload':22} {'best':>7} {'under':11} {'compare':11} {'regret':>6}  {'auto':15} {'regret':>6}")
        for name in options.workloads or known:
            nature, job = known[name]
            (folder / f"{name}.toml").write_text(f'description = "{nature}"\n{job}')
            if (checked := bench.run("check", f"{name}.toml")).returncode != 0:
                print(f"{name:22} left out: {checked.stderr.strip().splitlines()[0]}")
                continue
            advice = bench.advice(name)
            walls, auto = bench.judge(name)
            best = min(MODELS, key=lambda model: statistics.median(walls[model]))
            compared, guessed = regret(walls[advice], walls[best]), regret(walls["auto"], walls[best])
            regrets["compare"].append(compared)
            regrets["auto"].append(guessed)
            took = f"{auto['model']} {auto['concurrency']}"
            print(
                f"{name:22} {statistics.median(walls[best]):6.3f}s {best:11} {advice:11} {compared:6.3f}  {took:15} {guessed:6.3f}  {auto['reason']}",
                flush=True,
            )
    if not regrets["compare"]:
        sys.exit("nothing was measured")
    worst, guessed = max(regrets["compare"]), max(regrets["auto"])
    middle = statistics.median(regrets["auto"])
    checks = [
        (worst <= COMPARE_LIMIT, f"compare: regret at most {worst:.3f} (limit {COMPARE_LIMIT})"),
        (guessed <= AUTO_LIMIT, f"auto: regret at most {guessed:.3f} (limit {AUTO_LIMIT})"),
        (middle <= AUTO_MEDIAN_LIMIT, f"auto: median regret {middle:.3f} (limit {AUTO_MEDIAN_LIMIT})"),
    ]
    for is_met, words in checks:
        print("met   " if is_met else "MISSED", words)
    sys.exit(0 if all(is_met for is_met, _ in checks) else 1)


if __name__ == "__main__":
    main()
