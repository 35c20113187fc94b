#!/usr/bin/env python3
"""What a page and a workbook of a report cost, and the status file of a running job.

    cargo build --release
    python3 benches/pages.py [--runner RUNNER] [--rounds 5] [page | workbook | status ...]

`page`: of 1,000,000 rows, beside the time in which `runner check` reads that report once as inputs; peak memory. `workbook`:
of 100,000 rows, and the peak memory of 1,000,000. `status`: the processor time of the
threads that see to the status file, the limits and the progress of 10,000,000 tiny tasks, beside that of the whole run. Medians of
interleaved rounds; the machine should be idle. Only the standard library is needed.
"""

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = 1_000_000


def timed(command, folder):
    """Seconds, and the peak memory in MiB."""
    began = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command}: exit code {child.returncode}: {errors.decode(errors='replace')[-500:]}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def run(runner, folder, name, rows):
    """A job with a report of so many rows."""
    (folder / f"{name}.toml").write_text(
        f'model = "threads"\n[inputs]\nrange = {{ from = 1, to = {rows} }}\n'
        '[workload.compute]\nfunction = "count_down"\narg = 1\n'
    )
    timed([runner, "-q", "--no-progress", f"{name}.toml"], folder)


def interleaved(rounds, **contenders):
    """The median time and the largest peak of each."""
    figures = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in random.sample(list(contenders), len(contenders)):
            figures[name].append(contenders[name]())
    return {
        name: (statistics.median(time for time, _ in values), max(peak for _, peak in values))
        for name, values in figures.items()
    }


def page(runner, folder, rounds):
    run(runner, folder, "rows", ROWS)
    (folder / "read.toml").write_text('[inputs]\ncsv = "results/rows.csv"\n[workload.sleep]\nduration = "0s"\n')
    found = interleaved(
        rounds,
        page=lambda: timed([runner, "report", "results/rows.csv"], folder),
        read=lambda: timed([runner, "check", "read.toml"], folder),
    )
    (took, peak), (read, _) = found["page"], found["read"]
    size = (folder / "results" / "rows.html").stat().st_size
    met = "met" if took <= 1.2 * read and peak <= 64 and size <= 1 << 20 else "MISSED"
    print(
        f"page of {ROWS:,} rows: {took:.2f} s, {peak:.0f} MiB, {size / 1024:.0f} KiB; read once {read:.2f} s: "
        f"{took / read:.2f}, target at most 1.2, 64 MiB and 1 MiB: {met}"
    )


def workbook(runner, folder, rounds):
    run(runner, folder, "few", ROWS // 10)
    run(runner, folder, "many", ROWS)
    make = lambda name: timed([runner, "report", f"results/{name}.csv", "--xlsx"], folder)
    few, few_peak = interleaved(rounds, few=lambda: make("few"))["few"]
    many, many_peak = make("many")
    met = "met" if few <= 3 and many_peak <= 1.5 * few_peak else "MISSED"
    print(
        f"workbook: {ROWS // 10:,} rows {few:.2f} s, {few_peak:.0f} MiB; {ROWS:,} rows {many:.1f} s, {many_peak:.0f} MiB: "
        f"targets 3 s and the same memory: {met}"
    )


def status(runner, folder, _):
    job = folder / "tiny.toml"
    job.write_text(
        'model = "threads"\n[inputs]\nrepeat = 10_000_000\n[workload.compute]\nfunction = "count_down"\narg = 1\n'
        "[limits]\nconcurrency = 2\n"
    )
    child = subprocess.Popen([runner, "-q", "tiny.toml"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    threads = Path(f"/proc/{child.pid}/task")
    spent = {}
    while child.poll() is None:
        for thread in list(threads.glob("*")):
            try:
                name = (thread / "comm").read_text().strip()
                if name in ("status", "control"):
                    spent[thread.name] = int((thread / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                pass  # it has ended
        time.sleep(0.01)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
    share = sum(spent.values()) / whole
    met = "met" if spent and share < 0.01 else "MISSED"
    print(f"status file: {sum(spent.values()) * 1000:.1f} ms of {whole:.1f} s, {share:.3%}, target under 1 %: {met}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", default=["page", "workbook", "status"])
    parser.add_argument("--runner", default=str(ROOT / "target" / "release" / "runner"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    parts = {"page": page, "workbook": workbook, "status": status}
    with tempfile.TemporaryDirectory() as folder:
        for target in options.targets:
            if target not in parts:
                sys.exit(f"no such target: {target}; there are {', '.join(parts)}")
            parts[target](options.runner, Path(folder), options.rounds)


if __name__ == "__main__":
    main()
