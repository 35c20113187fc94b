#!/usr/bin/env python3
"""How fast a job is resumed, and how much memory that takes.

    cargo build --release
    python3 benches/resume.py [--tasks 1000000] [--rounds 3]

A job of trivial tasks is killed with `kill -9` when most of its rows are in the partial. What is measured: from the
start of `runner --resume` to the first new row in the partial (up to 100 ms of that is the row waiting to be written),
the runner's own `started_utc` of that row against the start, and the peak memory until then. A run of one task is
measured beside it, since its memory and start-up are not the resuming's. Only the standard library is needed.
"""

import argparse
import csv
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOB = """
model = "threads"
[inputs]
{inputs}
[workload.compute]
function = "count_down"
arg = {arg}
[limits]
concurrency = 2
"""


def peak_kib(pid):
    """VmHWM of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    return 0


def begin(runner, folder, *flags):
    return subprocess.Popen(
        [runner, "-q", *flags, "job.toml"], cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def kill(child):
    child.send_signal(signal.SIGKILL)
    child.wait()


def leave_partial(runner, folder, tasks):
    """Runs until there are enough rows, and kills the runner. Returns the number of entries."""
    state = folder / "results" / ".job.state"
    child = begin(runner, folder, "--fresh")
    while not state.exists() or (state.stat().st_size - 96) // 32 < tasks:
        if child.poll() is not None:
            raise SystemExit(child.stderr.read().decode())
        time.sleep(0.001)
    kill(child)
    with (folder / "results" / "job.csv.partial").open("r+b") as file:
        start = max(file.seek(0, os.SEEK_END) - 4096, 0)
        file.seek(start)
        file.truncate(start + file.read().rindex(b"\n") + 1)  # the new row starts where the file ends
    return (state.stat().st_size - 96) // 32


def resume(runner, folder):
    """Seconds to the first new row, and to its start as it says; the peak of memory in KiB."""
    partial = folder / "results" / "job.csv.partial"
    before = partial.stat().st_size
    wall, start = time.time(), time.perf_counter()
    child = begin(runner, folder, "--resume")
    while partial.stat().st_size <= before:
        if child.poll() is not None:
            raise SystemExit(child.stderr.read().decode())
        time.sleep(0.0005)
    seconds = time.perf_counter() - start
    peak = peak_kib(child.pid)
    with partial.open("rb") as file:
        file.seek(before)
        row = file.readline().decode()
    kill(child)
    started = next(csv.reader([row]))[4]
    started = datetime.strptime(started, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc)
    return seconds, started.timestamp() - wall, peak


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runner", default=ROOT / "target" / "release" / "runner")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    runner = Path(options.runner).resolve()
    folder = Path(tempfile.mkdtemp(prefix="resume-"))
    try:
        # The tasks after the finished ones take long, so that memory is looked at before there are many.
        slow = "{{ from = 1, to = {} }}"
        (folder / "job.toml").write_text(
            JOB.format(inputs=f"range = {slow.format(options.tasks * 2)}", arg=1)
        )
        kept = leave_partial(runner, folder, options.tasks)
        results = folder / "results"
        saved = folder / "saved"
        shutil.copytree(results, saved)
        print(f"{kept} finished rows, {(results / 'job.csv.partial').stat().st_size / 1e6:.0f} MB, {os.cpu_count()} cores")
        for name in ("as they were", "in reverse order, new ones first"):
            if name == "in reverse order, new ones first":
                text = f"range = {{ from = {options.tasks * 2}, to = 1, step = -1 }}\nskip = {options.tasks * 2 - kept - 1000}"
                (folder / "job.toml").write_text(JOB.format(inputs=text, arg=1))
            figures = []
            for _ in range(options.rounds):
                shutil.rmtree(results)
                shutil.copytree(saved, results)
                figures.append(resume(runner, folder))
            rows, starts, peaks = zip(*figures)
            print(
                f"inputs {name}: first new row after {statistics.median(rows):.3f} s (task started after "
                f"{statistics.median(starts):.3f} s), peak {max(peaks) / 1024:.1f} MiB: "
                f"{(max(peaks) * 1024 - (32 << 20)) / kept:.1f} bytes a row beyond 32 MiB, "
                f"{max(peaks) * 1024 / kept:.1f} in all"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
