"""How fast inputs are read: `runner check` counts them, beside what other programs need to read the same file.

    python3 benches/inputs.py [RUNNER]

Prints one row per case: seconds (best of three), MB/s of the file, peak memory, and the same for the programs beside it.
What is not installed is left out with a word.
"""

import csv
import gzip
import importlib.util
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNNER = Path(sys.argv[1] if len(sys.argv) > 1 else "target/release/runner").resolve()
ROUNDS = 3


def best(argv, cwd, stdin=None):
    """The shortest time of some runs, and the largest peak of memory in MiB, at least this program's of about 15."""
    times, peak = [], 0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with open(stdin or os.devnull, "rb") as source:
            child = subprocess.Popen(argv, cwd=cwd, stdin=source, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            errors = child.stderr.read()
            _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        times.append(time.perf_counter() - began)
        peak = max(peak, usage.ru_maxrss / 1024)
        if child.returncode != 0:
            sys.exit(f"{argv}: exit code {child.returncode}: {errors.decode(errors='replace')[-500:]}")
    return min(times), peak


def show(case, who, seconds, peak, size):
    print(f"{case:<28} {who:<28} {seconds:8.3f} s {size / seconds / 1e6:9.1f} MB/s {peak:8.0f} MiB", flush=True)


def job(folder, name, inputs, more='[workload.sleep]\nduration = "0s"\n'):
    (folder / f"{name}.toml").write_text(f"[inputs]\n{inputs}\n{more}")


def make(folder):
    """A table of 1,000,000 rows of ten columns in several encodings, a file of 500 MB, and 200,000 empty ones."""
    plain = folder / "table.csv"
    with open(plain, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"column{n}" for n in range(10)])
        for n in range(1_000_000):
            writer.writerow([n, f"name {n}", n * 0.5, "x,y" if n % 10 == 0 else "plain", n % 7, "a", "bb", "ccc", n % 13, "end"])
    text = plain.read_text()
    (folder / "semicolon.csv").write_text(text.replace(",", ";"))
    (folder / "utf16.csv").write_text(text, encoding="utf-16")
    (folder / "latin.csv").write_bytes(text.replace("plain", "größe").encode("windows-1252"))
    with gzip.open(folder / "table.csv.gz", "wb", compresslevel=6) as file:
        file.write(text.encode())
    with open(folder / "big.txt", "wb") as file:
        line = b"a line of a log as they are, of a hundred bytes or so, with a number that changes: %08d and its end\n"
        for n in range(50):
            file.write(b"".join(line % (n * 100_000 + k) for k in range(100_000)))
    many = folder / "many"
    many.mkdir()
    for n in range(200_000):
        (many / f"{n:06}").touch()


def tables(folder):
    """The table, beside Python's csv and pandas."""
    for name, inputs in [
        ("table", 'csv = "table.csv"'),
        ("semicolon", 'csv = "semicolon.csv"'),
        ("utf16", 'csv = "utf16.csv"'),
        ("latin", 'csv = { file = "latin.csv", encoding = "windows-1252" }'),
        ("gz", 'csv = "table.csv.gz"'),
        ("lines", 'lines = "table.csv"'),
    ]:
        job(folder, name, inputs)
        source = {"gz": "table.csv.gz", "lines": "table.csv"}.get(name, f"{name}.csv")
        size = (folder / source).stat().st_size
        show(name, "runner check", *best([RUNNER, "check", f"{name}.toml"], folder), size)
    size = (folder / "table.csv").stat().st_size
    read = "import csv, sys\nfor row in csv.reader(open(sys.argv[1], newline='')): pass"
    show("table", "Python's csv", *best([sys.executable, "-c", read, "table.csv"], folder), size)
    if importlib.util.find_spec("pandas"):
        read = "import pandas, sys; pandas.read_csv(sys.argv[1], dtype=str, keep_default_na=False)"
        show("table", "pandas", *best([sys.executable, "-c", read, "table.csv"], folder), size)
    else:
        print("table: pandas is not installed")
    packed = (folder / "table.csv.gz").stat().st_size
    show("gz", "gzip -dc", *best(["gzip", "-dc", "table.csv.gz"], folder), packed)


def blocks(folder):
    """A file of 500 MB in blocks of 10 MiB through `cat`."""
    size = (folder / "big.txt").stat().st_size
    more = '[workload.command]\nargv = ["cat"]\nstdout = "/dev/null"\n'
    job(folder, "blocks", 'blocks = { file = "big.txt", size = "10MiB" }', more)
    show("blocks", "runner", *best([RUNNER, "-q", "--fresh", "blocks.toml"], folder), size)
    show("blocks", "cat", *best(["sh", "-c", "cat big.txt | cat > /dev/null"], folder), size)
    if shutil.which("parallel"):
        argv = ["parallel", "--pipepart", "-a", "big.txt", "--block", "10M", "cat > /dev/null"]
        show("blocks", "parallel --pipepart", *best(argv, folder), size)
    else:
        print("blocks: GNU parallel is not installed")


def globs(folder):
    """200,000 files in one folder: until the first has run."""
    job(folder, "glob", 'glob = "many/*"\nlimit = 1', '[workload.sleep]\nduration = "0s"\n')
    show("glob, 200,000 files, first", "runner", *best([RUNNER, "-q", "--fresh", "glob.toml"], folder), 1)


def main():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        # In a process of its own: a child has at least the peak of the one that it was forked from.
        making = multiprocessing.Process(target=make, args=(folder,))
        making.start()
        making.join()
        tables(folder)
        blocks(folder)
        globs(folder)


if __name__ == "__main__":
    main()
