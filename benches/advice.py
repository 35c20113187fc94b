#!/usr/bin/env python3
"""How good the advice is: regret of `runner compare` and of `auto` over workloads of known nature.

    cargo build --release
    python3 benches/advice.py [--lengths 0.2,1,5] [--minutes N] [--only auto|compare] [WORKLOAD ...]

Regret is the time under what was advised, over the time under the best model that gives the same results. A comparison
gives the advice of `compare`; rounds of their own, in which the models and `auto` run once in random order, give the
times by which the advice is judged, so that none is judged by the figures that it was made from. What is advised is set
against the best one round by round; the median of these ratios is the regret, with its 95 % interval (bootstrap), so
that drift hits both alike. `auto` is judged by what it took itself: what it costs to find out counts, and where it takes
more slots than a model's default, its regret may be below 1. A model that takes twice the time of the best is measured
twice only. A limit is missed if the whole interval lies beyond it.

The workloads of `held_out.py`, which nobody tuned the advice for, are measured at each length; all of it takes at most
the given minutes. `--known` measures those that the advice was tuned for. A workload that this machine or this `runner`
does not support is named and left out. The machine should be idle. Only the standard library is needed.
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

import held_out

sys.path.pop(0)  # this folder has an `http.py` of its own
import http.server  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("sequential", "threads", "processes", "async")
# Worst and median regret, and the worst of jobs that take less than `SHORT` seconds.
COMPARE_LIMIT, AUTO_LIMIT, AUTO_MEDIAN_LIMIT, SHORT_LIMIT, SHORT = 1.05, 1.15, 1.02, 1.25, 0.3
LENGTHS = (0.2, 1.0, 5.0)
LEAST_ROUNDS, MOST_ROUNDS = 3, 25
HOPELESS = 2.0

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

    def __init__(self, runner, folder, only):
        self.runner, self.folder, self.only = Path(runner).resolve(), folder, only

    def run(self, *arguments):
        return subprocess.run(
            [self.runner, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    def checked(self, name, *arguments):
        """What a run of this job was given has to be right."""
        done = self.run(*arguments)
        if done.returncode != 0:
            sys.exit(f"{name}: exit {done.returncode}: {done.stderr[-800:]}")

    def advice(self, name, seconds):
        """The model that `compare` recommends, and how long it took to say so."""
        began = time.monotonic()
        self.checked(name, "compare", f"{name}.toml", "--budget", f"{seconds:.1f}s", "--results", "out")
        took = time.monotonic() - began
        with open(self.folder / "out" / f"{name}.compare.csv", newline="") as file:
            return next(row["model"] for row in csv.DictReader(file) if row["recommended"] == "true"), took

    def once(self, name, model):
        """The summary's row of one run under this model, and its results."""
        self.checked(name, "-q", f"{name}.toml", "--model", model, "--results", model, "--fresh")
        with open(self.folder / model / "summary.csv", newline="") as file:
            row = next(row for row in csv.DictReader(file) if row["job"] == name)
        with open(self.folder / model / f"{name}.csv", newline="") as file:
            results = sorted((int(row["task"]), row["status"], row.get("result")) for row in csv.DictReader(file))
        return row, results

    def judge(self, name, advised, seconds, end):
        """The times in seconds of `auto` and of the models that are worth it, round by round, and `auto`'s last row. There are
        fewer rounds than it takes where `end` has come."""
        live = [*MODELS, *(["auto"] if self.only != "compare" else [])]
        walls, results, auto = {model: [] for model in live}, {}, None
        until = time.monotonic() + seconds
        rounds = 0
        while rounds < 1 or (rounds < LEAST_ROUNDS and time.monotonic() < end) or (time.monotonic() < until and rounds < MOST_ROUNDS):
            for model in random.sample(live, len(live)):
                row, results[model] = self.once(name, model)
                walls[model].append(float(row["wall_s"]))
                if model == "auto":
                    auto = row
            rounds += 1
            if rounds >= 2 or max(min(each) for each in walls.values()) > 2:
                best = min(min(walls[model]) for model in live)
                live = [model for model in live if model in ("auto", advised) or min(walls[model]) < HOPELESS * best]
        # `auto` may not change an answer; neither may what it is compared with.
        same = {model: walls[model] for model in MODELS if results[model] == results.get("auto", results["sequential"])}
        best = min(same, key=lambda model: statistics.median(same[model]))
        return walls, best, auto


def regret(taken, best):
    """How many times the best one's time was taken, round by round: the median, and the ends of its 95 % interval."""
    ratios = [mine / its for mine, its in zip(taken, best, strict=False)]
    draws = sorted(statistics.median(random.choices(ratios, k=len(ratios))) for _ in range(1000))
    return statistics.median(ratios), draws[25], draws[974]


def jobs(options, module, port):
    """Each job's name, its nature in words, its file, and its length if it has one."""
    if options.known:
        return [(name, nature, text, None) for name, (nature, text) in workloads(port).items()]
    return [
        (f"{name}-{length * 1000:.0f}ms", nature, text, length)
        for length in options.lengths
        for name, (nature, text) in held_out.workloads(module, port, length).items()
    ]


def chosen(known, words):
    """The jobs that these words name, with or without a length; all if there are no words."""
    unknown = [word for word in words if not any(is_named(name, word) for name, *_ in known)]
    if unknown:
        sys.exit(f"no workload called {', '.join(unknown)}; there are {', '.join(name for name, *_ in known)}")
    return [job for job in known if not words or any(is_named(job[0], word) for word in words)]


def is_named(name, word):
    return word in (name, name.rpartition("-")[0])


def verdicts(regrets):
    """Whether each limit is met, and the words for it."""
    for who, limit in (("compare", COMPARE_LIMIT), ("auto", AUTO_LIMIT)):
        for is_short, limit in ((False, limit), (True, SHORT_LIMIT)):
            of_these = [(low, middle, name) for name, best, (middle, low, _) in regrets[who] if (best < SHORT) == is_short]
            if of_these:
                low, _, _ = max(of_these)
                _, middle, name = max(of_these, key=lambda each: each[1])
                which = f"jobs of less than {SHORT} s" if is_short else f"jobs of {SHORT} s and more"
                yield low <= limit, f"{who}, {which}: regret at most {middle:.3f} ({name}; limit {limit})"
    if regrets["auto"]:
        middle = statistics.median(middle for _, _, (middle, _, _) in regrets["auto"])
        yield middle <= AUTO_MEDIAN_LIMIT, f"auto: median regret {middle:.3f} (limit {AUTO_MEDIAN_LIMIT})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", default=ROOT / "target/release/runner", help="default: %(default)s")
    parser.add_argument("--lengths", type=lambda text: [float(each) for each in text.split(",")], default=LENGTHS, help="in seconds (default: 0.2,1,5)")
    parser.add_argument("--minutes", type=float, default=20, help="how long all of it takes at most (default: %(default)s)")
    parser.add_argument("--only", choices=["auto", "compare"], help="judge only one of the two")
    parser.add_argument("--known", action="store_true", help="the workloads that the advice was tuned for")
    parser.add_argument("--python", help="the interpreter of the jobs: one that has NumPy, for example")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="with or without its length; default: all")
    options = parser.parse_args()

    until = time.monotonic() + options.minutes * 60
    server = Quiet(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    regrets = {"compare": [], "auto": []}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "work.py").write_text(PYTHON)
        known = chosen(jobs(options, held_out.prepare(folder), server.server_port), options.workloads)
        bench = Bench(options.runner, folder, options.only)
        print(f"{'workload':22} {'best':>7} {'under':11} {'compare':11} {'regret':>6} {'interval':>13} {'took':>6}  {'auto':14} {'regret':>6} {'interval':>13}")
        weights = [length or 1 for _, _, _, length in known]
        for index, (name, nature, job, length) in enumerate(known):
            # A longer job gets more of the time that is left, as few rounds of it take longer.
            left = (until - time.monotonic()) * (length or 1) ** 0.7 / sum(weight**0.7 for weight in weights[index:])
            if options.python and "workload.python" in job:
                job = f'{job}\ninterpreter = "{options.python}"'
            (folder / f"{name}.toml").write_text(f'description = "{nature}"\n{job}')
            if "numpy" in name and subprocess.run([options.python or "python3", "-c", "import numpy"], capture_output=True, check=False).returncode:
                print(f"{name:22} left out: the interpreter has no NumPy")
                continue
            if (checked := bench.run("check", f"{name}.toml")).returncode != 0:
                print(f"{name:22} left out: {checked.stderr.strip().splitlines()[0]}")
                continue
            advised, took = bench.advice(name, max(1, left * 0.5)) if options.only != "auto" else (None, 0)
            walls, best, auto = bench.judge(name, advised, left * (0.4 if advised else 0.9), until)
            least = statistics.median(walls[best])
            line = f"{name:22} {least:6.3f}s {best:11}"
            if advised:
                regrets["compare"].append((name, least, regret(walls[advised], walls[best])))
                middle, low, high = regrets["compare"][-1][2]
                line += f" {advised:11} {middle:6.3f} {low:6.3f}-{high:6.3f} {took:5.1f}s"
            if auto:
                regrets["auto"].append((name, least, regret(walls["auto"], walls[best])))
                middle, low, high = regrets["auto"][-1][2]
                line += f"  {auto['model'] + ' ' + auto['concurrency']:14} {middle:6.3f} {low:6.3f}-{high:6.3f}  {auto['reason']}"
            print(line, flush=True)
    if not any(regrets.values()):
        sys.exit("nothing was measured")
    checks = list(verdicts(regrets))
    for is_met, words in checks:
        print("met   " if is_met else "MISSED", words)
    sys.exit(0 if all(is_met for is_met, _ in checks) else 1)


if __name__ == "__main__":
    main()
