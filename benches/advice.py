#!/usr/bin/env python3
"""How good the advice is: regret of `runner compare` and of `auto` over workloads of known nature.

    cargo build --release
    python3 benches/advice.py [--rounds N] [WORKLOAD ...]

Regret is the time under the model that was advised, over the time under the best one. Each workload is compared twice:
the first comparison gives the advice of `compare`, the second, independent one gives the times by which both it and
`auto` are judged, so that no advice is judged by the figures that it was made from. The machine should be idle;
all of it takes about a quarter of an hour.

A workload that this `runner` does not support is named and left out. Only the standard library is needed.
"""

import argparse
import csv
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
COMPARE_LIMIT, AUTO_LIMIT, AUTO_MEDIAN_LIMIT = 1.06, 1.25, 1.05

PYTHON = '''
import asyncio, time

def burn(seconds):
    """Computes for about so long."""
    end = time.thread_time() + float(seconds)
    while time.thread_time() < end:
        sum(range(2000))

def nap(seconds):
    time.sleep(float(seconds))

async def wait(seconds):
    await asyncio.sleep(float(seconds))

def mixed(seconds):
    burn(float(seconds) / 2)
    time.sleep(float(seconds) / 2)
'''


def repeat(count, workload, limits=""):
    """A job file that does the same so many times."""
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
        "compute-1ms-thousands": ("computes, 1 ms, 4,000 tasks", repeat(4000, compute("count_down", 1_000_000))),
        "compute-1s-few": ("computes, 1 s, 6 tasks", repeat(6, compute("count_primes", 300_000_000))),
        "compute-10ms": ("computes, 10 ms, 200 tasks", repeat(200, compute("factorial", 60_000))),
        "compute-nothing": ("computes next to nothing, 50,000 tasks", repeat(50_000, compute("count_down", 10))),
        "sleep-1ms-thousands": ("waits 1 ms, 4,000 tasks", repeat(4000, sleep("1ms"))),
        "sleep-1s-few": ("waits 1 s, 5 tasks", repeat(5, sleep("1s"))),
        "sleep-20ms-hundreds": ("waits 20 ms, 300 tasks", repeat(300, sleep("20ms"))),
        "command-short": ("commands of 1 ms, 1,000 of them", repeat(1000, '[workload.command]\nargv = ["true"]')),
        "command-computes": ("commands that compute 0.3 s, 8 of them", repeat(8, shell(burn % 15_000_000))),
        "command-waits": ("commands that wait 0.2 s, 20 of them", repeat(20, shell("sleep 0.2"))),
        "command-mixed": ("commands that compute and wait, 12 of them", repeat(12, shell(f"sleep 0.1; {burn % 5_000_000}"))),
        "http-fast": ("requests, answered at once, 1,000 of them", repeat(1000, request(port, "fast"))),
        "http-slow": ("requests, answered after 50 ms, 100 of them", repeat(100, request(port, "slow"))),
        "python-computes": ("Python computes 50 ms, 40 tasks", repeat(40, python("burn", 0.05))),
        "python-computes-1ms": ("Python computes 1 ms, 2,000 tasks", repeat(2000, python("burn", 0.001))),
        "python-naps": ("Python blocks 50 ms, 60 tasks", repeat(60, python("nap", 0.05))),
        "python-awaits": ("Python awaits 50 ms, 100 tasks", repeat(100, python("wait", 0.05))),
        "python-mixed": ("Python computes and blocks, 60 tasks", repeat(60, python("mixed", 0.04))),
        "one-task": ("computes, one task", compute("count_primes", 50_000_000)),
    }


class Server(http.server.BaseHTTPRequestHandler):
    """Answers at once, or after 50 ms."""

    protocol_version = "HTTP/1.1"

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
    """A client that goes away is no news."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass


class Bench:
    """The runner under test, and a folder for its jobs."""

    def __init__(self, runner, folder, rounds):
        self.runner, self.folder, self.rounds = Path(runner).resolve(), folder, rounds

    def run(self, *arguments):
        return subprocess.run(
            [self.runner, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    def compare(self, name):
        """The rows of one comparison, by model."""
        done = self.run("compare", f"{name}.toml", "--rounds", str(self.rounds), "--results", "out")
        if done.returncode != 0:
            sys.exit(f"{name}: exit {done.returncode}: {done.stderr[-800:]}")
        with open(self.folder / "out" / f"{name}.compare.csv", newline="") as file:
            return {row["model"]: row for row in csv.DictReader(file)}

    def auto(self, name):
        """The model that `auto` takes, from the summary of a run: it may have needed the first tasks to decide."""
        done = self.run("-q", f"{name}.toml", "--model", "auto", "--results", "auto")
        if done.returncode != 0:
            sys.exit(f"{name}: exit {done.returncode}: {done.stderr[-800:]}")
        with open(self.folder / "auto" / "summary.csv", newline="") as file:
            (row,) = [row for row in csv.DictReader(file) if row["job"] == name]
        return row["model"]

    def judge(self, name):
        """The advice of `compare` and of `auto`, each with its regret."""
        advice = next(row["model"] for row in self.compare(name).values() if row["recommended"] == "true")
        auto = self.auto(name)
        truth = {model: float(row["wall_median_s"]) for model, row in self.compare(name).items()}
        best = min(truth.values())
        return [(model, truth[model] / best) for model in (advice, auto)], min(truth, key=truth.get)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", default=ROOT / "target/release/runner", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (default: %(default)s)")
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
        bench = Bench(options.runner, folder, options.rounds)
        print(f"{'workload':24} {'best':12} {'compare':12} {'regret':>6}  {'auto':12} {'regret':>6}")
        for name in options.workloads or known:
            nature, job = known[name]
            (folder / f"{name}.toml").write_text(f'description = "{nature}"\n{job}')
            if (checked := bench.run("check", f"{name}.toml")).returncode != 0:
                print(f"{name:24} left out: {checked.stderr.strip().splitlines()[0]}")
                continue
            ((advice, compared), (auto, guessed)), best = bench.judge(name)
            regrets["compare"].append(compared)
            regrets["auto"].append(guessed)
            print(f"{name:24} {best:12} {advice:12} {compared:6.3f}  {auto:12} {guessed:6.3f}", flush=True)
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
