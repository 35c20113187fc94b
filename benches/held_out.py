"""Workloads that nobody tuned the advice for, each at a length of one's choice: for `advice.py`.

A length is about what the job takes one task at a time, in seconds. How many tasks that makes is measured here, where
a task's time depends on the machine.
"""

import importlib.util
import os
import time

PYTHON = '''
import gzip, hashlib, json, os, re, sqlite3, subprocess, time, urllib.request

BASE = os.path.dirname(os.path.abspath(__file__))
FILES = [os.path.join(BASE, "small", f"{n}.txt") for n in range(200)]

def burn(seconds):
    """Computes for about this long."""
    end = time.thread_time() + float(seconds)
    while time.thread_time() < end:
        sum(range(200))

def small_files(n):
    size = 0
    for path in FILES[: 60]:
        with open(path) as file:
            size += len(file.read())
    return size

def sha256(n):
    with open(os.path.join(BASE, "large.bin"), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:12]

def sqlite(n):
    with sqlite3.connect(os.path.join(BASE, "data.db")) as base:
        base.execute("pragma query_only = 1")
        return base.execute("select sum(n * w) from t where w > ?", (int(n) % 7,)).fetchone()[0]

TEXT = " ".join(f"word{n} {n * n} user{n}@example{n % 50}.org" for n in range(4000))

def compress(n):
    return len(gzip.compress((TEXT + str(n)).encode(), 6))

def regex(n):
    return len(re.findall(r"[\\w.]+@[\\w.]+\\.org|\\b\\d{3,6}\\b", TEXT))

DOCUMENT = json.dumps([{"id": n, "name": f"item {n}", "tags": ["a", "b"], "price": n / 7} for n in range(1500)])

def parse_json(n):
    return len(json.loads(DOCUMENT))

def fetch(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()

def child(n):
    return subprocess.run(["sh", "-c", f"echo {n}"], capture_output=True, text=True).stdout.strip()

def waits_then_computes(seconds):
    time.sleep(float(seconds) / 2)
    burn(float(seconds) / 2)

def turns(n):
    """Long and short ones in turn."""
    burn(0.02 if int(n) % 2 else 0.001)
'''

NUMPY = '''
import numpy

A = numpy.random.default_rng(1).random((400, 400))

def multiply(n):
    return float((A @ A)[0, 0]) > 0
'''


def prepare(folder):
    """Writes the modules and the files that the tasks read; returns the module."""
    (folder / "held.py").write_text(PYTHON)
    (folder / "numbers_held.py").write_text(NUMPY)
    (folder / "small").mkdir()
    for number in range(200):
        (folder / "small" / f"{number}.txt").write_text(f"line {number}\n" * 100)
    (folder / "large.bin").write_bytes(os.urandom(2_000_000))
    spec = importlib.util.spec_from_file_location("held", folder / "held.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.sqlite3.connect(folder / "data.db") as base:
        base.execute("create table t (n integer, w integer)")
        base.executemany("insert into t values (?, ?)", ((n, n % 11) for n in range(20_000)))
    return module


def measured(function, arg):
    """How long a call takes, in seconds: the least of five."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        function(arg)
        times.append(time.perf_counter() - began)
    return min(times)


def calls(module, function, length):
    """A job that calls this function for about `length` seconds in all."""
    count = max(2, round(length / measured(getattr(module, function), "1")))
    return python(f"range = {{ from = 1, to = {count} }}", function)


def python(inputs, function, args='"{input}"', file="held"):
    return f'[inputs]\n{inputs}\n[workload.python]\nfunction = "{file}:{function}"\nargs = [{args}]\n'


def values(seconds):
    return "values = [" + ", ".join(f"{each:.7f}" for each in seconds) + "]"


def of_all_sizes(length):
    """From a microsecond to half of the length, the large ones last: the sum is about the length."""
    sizes = [length / 2]
    while sizes[-1] > 1e-6:
        sizes.append(sizes[-1] / 2)
    small = [size for size in sizes if size < 1e-4]
    return small * 20 + sizes[::-1]


def workloads(module, port, length):
    """Name, nature in words, and job file, at this length."""
    burn = 'python3 -c "import time\nwhile time.process_time() < %s: sum(range(2000))"'
    times = lambda task: max(2, round(length / task))  # noqa: E731
    wait = f"sleep 0.06; {burn % 0.08}"
    slow = f'[workload.python]\nfunction = "held:fetch"\nargs = ["http://127.0.0.1:{port}/slow"]'
    return {
        "small-files": ("Python reads small files", calls(module, "small_files", length)),
        "sha256": ("Python hashes files", calls(module, "sha256", length)),
        "sqlite": ("Python asks a database", calls(module, "sqlite", length)),
        "gzip": ("Python compresses", calls(module, "compress", length)),
        "regex": ("Python searches text", calls(module, "regex", length)),
        "json": ("Python parses JSON", calls(module, "parse_json", length)),
        "numpy": ("NumPy with its own threads", python(f"range = {{ from = 1, to = {times(0.003)} }}", "multiply", file="numbers_held")),
        "slow-server": ("Python asks a slow server", f"[inputs]\nrepeat = {times(0.052 / 16)}\n{slow}"),  # 32 at once: half the length, as of what two processors compute
        "subprocess": ("Python starts processes", calls(module, "child", length)),
        "wait-compute": ("commands that wait, then compute", f"[inputs]\nrepeat = {times(0.16)}\n[workload.command]\nshell = '''{wait}'''"),
        "python-wait-compute": ("Python that waits, then computes", python(f"repeat = {times(0.06)}", "waits_then_computes", "0.06")),
        "long-short": ("Python: long and short in turn", python(f"range = {{ from = 1, to = {times(0.0105)} }}", "turns")),
        "all-sizes": ("Python: from 1 us to half of it all", python(values(of_all_sizes(length)), "burn")),
        "one": ("Python: one task", python("repeat = 1", "burn", f"{length}")),
        "two": ("Python: two tasks", python("repeat = 2", "burn", f"{length / 2}")),
    }
