#!/usr/bin/env python3
"""The runner beside its peers: one table for each speed target of the project.

    cargo build --release
    python3 benches/peers.py --peers DIR [TARGET ...]

Wall times of whole programs (but for Python's pool, which is timed from inside so that the interpreter's start is not
held against it): medians over several rounds in random, interleaved order, so that drift hits all alike. The machine
should be idle. Memory is taken in a round of its own. A peer that is not installed is named and left out.

DIR (or the variable PEERS) holds `tinytrue`, a static program that exits at once; `limit`, where `limit N JOBS PROGRAM`
is a bare loop of posix_spawn and wait4; and `bin/rust-parallel`. Only the standard library is needed.
"""

import argparse
import csv
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORES = len(os.sched_getaffinity(0))


class Contender:
    """A program to time: the runner on a job, or a peer."""

    def __init__(self, name, argv, *, inner=False, tasks=None, limit=None):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.inner = inner  # it prints its own time in seconds
        self.tasks = tasks  # of the runner: how many must be ok
        self.limit = limit  # of a peer: the runner takes at most this part of its time
        self.seconds = []
        self.folder = None

    def run(self):
        """Runs it once; returns the seconds."""
        start = time.perf_counter()
        done = subprocess.run(
            self.argv, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            sys.exit(f"{self.name}: exit {done.returncode}: {done.stderr.decode()[-500:]}")
        if self.tasks is not None:
            self.check()
        return float(done.stdout) if self.inner else seconds

    def check(self):
        """A fast run that did not do the work does not count."""
        with open(self.folder / "results" / "summary.csv", newline="") as file:
            (row,) = csv.DictReader(file)
        if (row["tasks"], row["ok"]) != (str(self.tasks), str(self.tasks)):
            sys.exit(f"{self.name}: {row['ok']} of {row['tasks']} tasks are ok, expected {self.tasks}")


class Bench:
    """What all targets share: the folder, the programs, and how often."""

    def __init__(self, options, folder):
        self.runner = Path(options.runner).resolve()
        self.peers = Path(options.peers).resolve() if options.peers else None
        self.rounds = options.rounds
        self.folder = folder

    def job(self, name, tasks, text):
        """The runner on a job file of its own."""
        folder = self.folder / name.replace(" ", "-")
        folder.mkdir()
        (folder / "job.toml").write_text(text)
        contender = Contender(f"runner, {name}", [self.runner, "-q", "job.toml"], tasks=tasks)
        contender.folder = folder
        return contender

    def peer(self, program, arguments=(), **options):
        """A peer from the peers' folder or the path; None if it is not there."""
        path = self.peers / program if self.peers else None
        if path is None or not path.exists():
            path = shutil.which(Path(program).name)
        if path is None:
            print(f"  skipped {Path(program).name}: not installed (looked in {self.peers} and PATH)")
            return None
        name = options.pop("name", Path(program).name)
        contender = Contender(name, [path, *arguments], **options)
        contender.folder = self.folder
        return contender

    def race(self, contenders, rounds=None):
        """Times all of them, interleaved; the first run of each is thrown away."""
        contenders = [contender for contender in contenders if contender]
        for contender in contenders:
            contender.run()
        for _ in range(rounds or self.rounds):
            for contender in random.sample(contenders, len(contenders)):
                contender.seconds.append(contender.run())
        return contenders


def show(contenders, targets=()):
    """A table of medians; ratios are the first contender's (the runner's) time over the peer's."""
    ours = statistics.median(contenders[0].seconds)
    print(f"  {'':34} {'median':>10} {'min':>10} {'max':>10}  runner/peer")
    for contender in contenders:
        median = statistics.median(contender.seconds)
        line = f"  {contender.name:34} {median:8.4f} s {min(contender.seconds):8.4f} s {max(contender.seconds):8.4f} s"
        if contender.tasks is None:
            line += f"  {ours / median:6.3f}"
        if contender.limit:
            line += verdict(ours <= contender.limit * median, f"at most {contender.limit:.3g}")
        print(line)
    for met, words in targets:
        print(f"  {verdict(met, words).strip()}")


def verdict(met, words):
    return f"  target: {words}: {'met' if met else 'MISSED'}"


def peak_memory(contender):
    """Peak resident memory in MiB: of the program itself, and the largest of its descendants.

    Read from /proc while it runs: `ru_maxrss` is that of the largest process among a child and its own children, and a
    child's starts at its spawner's.
    """
    process = subprocess.Popen(
        contender.argv, cwd=contender.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peaks = {}
    ended = threading.Event()

    def watch():
        while not ended.wait(0.01):
            for pid in [process.pid, *descendants(process.pid)]:
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                if "VmHWM:" in status:
                    peaks[pid] = int(status.split("VmHWM:")[1].split()[0]) / 1024

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    ended.set()
    watcher.join()
    own = peaks.pop(process.pid, 0.0)
    return own, max(peaks.values(), default=0.0)


def descendants(pid):
    """The processes below a process."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except OSError:
            continue
        for child in pids:
            found += [child, *descendants(child)]
    return found


def starts(bench):
    """10,000 starts of a tiny static program"""
    count = 10_000
    program = bench.peers / "tinytrue" if bench.peers else None
    if program is None or not program.exists():
        print(f"  skipped: no tinytrue in the peers' folder ({bench.peers})")
        return
    inputs = bench.folder / "inputs"
    inputs.write_text("".join(f"{number}\n" for number in range(1, count + 1)))
    job = f"""
        model = "threads"
        inputs.repeat = {count}
        workload.command.argv = ["{program}", "{{input}}"]
        limits.concurrency = {CORES}
    """
    parallel = "bin/rust-parallel"
    wide = ["-i", inputs, program]
    show(
        bench.race(
            [
                bench.job("10,000 starts", count, job),
                bench.peer("limit", [count, CORES, program], name=f"limit, {CORES} at a time", limit=0.9),
                bench.peer(parallel, ["-j", CORES, *wide], name=f"rust-parallel -j {CORES}", limit=0.8),
                bench.peer(parallel, ["-j", 8, *wide], name="rust-parallel -j 8", limit=0.8),
                bench.peer("xargs", ["-P", CORES, "-n", 1, "-a", inputs, program], name=f"xargs -P {CORES}"),
            ]
        )
    )


def tiny(bench):
    """1,000,000 computations of nothing, a row each"""
    count = 1_000_000
    jobs = {
        model: bench.job(
            f"count_down(1) {model}",
            count,
            f"""
                model = "{model}"
                inputs.repeat = {count}
                workload.compute = {{ function = "count_down", arg = 1 }}
                limits.concurrency = {CORES}
            """,
        )
        for model in ("threads", "processes")
    }
    bench.race(jobs.values())
    targets = []
    for (model, job), least in zip(jobs.items(), (800_000, 300_000)):
        rate = count / statistics.median(job.seconds)
        own, others = peak_memory(job)
        words = f"{model}: {rate:,.0f} tasks/s, at least {least:,}"
        targets.append((rate >= least, words))
        targets.append((0 < own <= 64, f"{model}: {own:.1f} MiB peak memory of the runner, at most 64"))
        if model == "processes":
            targets.append((0 < others <= 32, f"{model}: {others:.1f} MiB of the largest worker, at most 32"))
    show(list(jobs.values()), targets)


PYTHON_POOL = """
import math, multiprocessing, time
start = time.perf_counter()
with multiprocessing.Pool(2) as pool:
    pool.map(math.factorial, [10000, 20000, 30000, 40000] * 10)
print(time.perf_counter() - start)
"""


def factorials(bench):
    """factorial of 10000, 20000, 30000, 40000, ten times each"""
    job = f"""
        model = "threads"
        inputs.values = {[10_000, 20_000, 30_000, 40_000] * 10}
        workload.compute.function = "factorial"
        limits.concurrency = 2
    """
    pool = Contender("Python, Pool(2).map", [sys.executable, "-c", PYTHON_POOL], inner=True, limit=1 / 3)
    show(bench.race([bench.job("forty factorials", 40, job), pool], 2 * bench.rounds))


PYTHON_SLEEPS = """
import asyncio
async def main():
    await asyncio.gather(*(asyncio.sleep(0.1) for _ in range(10000)))
asyncio.run(main())
"""


def sleeps(bench):
    """10,000 sleeps of 100 ms at once"""
    count = 10_000
    job = f"""
        model = "async"
        inputs.repeat = {count}
        workload.sleep.duration = "100ms"
        limits.concurrency = {count}
    """
    asyncio = Contender("Python, asyncio.gather", [sys.executable, "-c", PYTHON_SLEEPS])
    contenders = bench.race([bench.job("10,000 sleeps", count, job), asyncio])
    median = statistics.median(contenders[0].seconds)
    show(contenders, [(median < 0.5, f"{median:.3f} s, under 0.5 s")])


def one(bench):
    """A job of one `true`: the whole program"""
    job = bench.job("one true", 1, 'workload.command.argv = ["true"]')
    contenders = bench.race(
        [
            job,
            bench.peer("sh", ["-c", "true; exit"], name="sh -c true"),
            bench.peer("bin/rust-parallel", ["true", ":::", "1"]),
        ],
        10 * bench.rounds,
    )
    median = statistics.median(job.seconds)
    show(contenders, [(median <= 0.015, f"{median * 1000:.1f} ms, at most 15 ms")])


TARGETS = {bench.__name__: bench for bench in (starts, tiny, factorials, sleeps, one)}


def main():
    parser = argparse.ArgumentParser(description="The runner beside its peers, for each speed target.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)} (default: all)")
    parser.add_argument("--peers", default=os.environ.get("PEERS"), help="the peers' folder (default: $PEERS)")
    parser.add_argument("--runner", default=ROOT / "target/release/runner", help="the program to measure")
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each (default 5; more where it is short)")
    options = parser.parse_args()
    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        parser.error(f"unknown target `{unknown[0]}`: the targets are {', '.join(TARGETS)}")
    if not Path(options.runner).exists():
        parser.error(f"no `{options.runner}`: build it with `cargo build --release`, or name one with --runner")
    print(f"{CORES} cores, load {os.getloadavg()[0]:.2f}, {options.rounds} rounds")
    for name in options.targets or TARGETS:
        print(f"\n{name}: {TARGETS[name].__doc__}")
        with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder:
            TARGETS[name](Bench(options, Path(folder)))


if __name__ == "__main__":
    main()
