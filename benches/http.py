#!/usr/bin/env python3
"""HTTP requests beside the peers: oha on one event loop, Python's requests in 64 threads.

    cargo build --release
    python3 benches/http.py --peers DIR [--rounds 5] [once | async | threads | memory | tls | files | brotli ...]

A local nginx with one worker and a configuration of its own serves a file of 1 KiB. Medians of interleaved rounds; the
machine should be idle, since two cores are about what nginx and a client need. DIR (or the variable PEERS) has
`bin/oha` and `venv/bin/python` with requests. `once` checks that the access log holds exactly the tasks of the report.
`tls` is the same beside oha over HTTPS; `files` saves 1,000 files of 1 MB, beside `curl --parallel`; `brotli` fetches pages
that the server sends coded and plain, at a rate that it is limited to (`limit_req`), and as fast as they come.
"""

import argparse
import csv
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CERTS = ROOT / "tests" / "it" / "certs"

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    log_format line "$request_uri";
    keepalive_requests 1000000000;
    limit_req_zone $server_port zone=coded:1m rate=3000r/s;
    limit_req_zone $server_port zone=plain:1m rate=3000r/s;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/www;
        location /logged {{ alias {folder}/www/1k; access_log {folder}/access.log line; }}
        location /coded/ {{ alias {folder}/www/coded/; add_header Content-Encoding br; default_type text/html; }}
        location /plain/ {{ alias {folder}/www/plain/; default_type text/html; }}
        location /slow/coded/ {{
            alias {folder}/www/coded/; add_header Content-Encoding br; default_type text/html;
            limit_req zone=coded burst=1000;
        }}
        location /slow/plain/ {{ alias {folder}/www/plain/; default_type text/html; limit_req zone=plain burst=1000; }}
    }}
    server {{
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {certs}/valid.pem;
        ssl_certificate_key {certs}/key.pem;
        root {folder}/www;
    }}
}}
"""

# Requests in threads, as people write it: a session for each thread.
PYTHON = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import requests
url, count = sys.argv[1], int(sys.argv[2])
own = threading.local()
def get(_):
    if not hasattr(own, "session"):
        own.session = requests.Session()
        own.session.trust_env = False
    response = own.session.get(url)
    return response.status_code == 200 and len(response.content) == 1024
start = time.perf_counter()
with ThreadPoolExecutor(64) as pool:
    assert all(pool.map(get, range(count)))
print(count / (time.perf_counter() - start))
"""


FILES, MEGABYTE = 1000, 1_000_000
WAIT = '[workload.sleep]\nduration = "0s"'


class Bench:
    """The server and the runner, in a folder of their own."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        folder.chmod(0o755)  # nginx started by root gives up its rights
        (folder / "www").mkdir()
        (folder / "www" / "1k").write_bytes(b"0123456789abcdef" * 64)
        with socket.socket() as probe, socket.socket() as other:
            probe.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            port, tls = probe.getsockname()[1], other.getsockname()[1]
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, tls=tls, certs=CERTS))
        self.tls = f"https://localhost:{tls}"
        self.nginx = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("nginx does not start: " + (folder / "error.log").read_text())

    def close(self):
        self.nginx.terminate()
        self.nginx.wait()

    def run(self, model, tasks, concurrency=64, path="/1k", kind=None, keys="", length=1024):
        """Runs a job; its row of the summary."""
        url = path if path.startswith("https:") else self.url + path
        http = f'[workload.http]\nurl = "{url}"\n{keys}'
        (self.folder / "job.toml").write_text(
            f'model = "{model}"\n[inputs]\nrepeat = {tasks}\n{kind or http}\n'
            f"[limits]\nconcurrency = {concurrency}\n"
        )
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        subprocess.run(
            [self.options.runner, "-q", "--no-progress", "job.toml"],
            cwd=self.folder, env=environment, check=True, stdout=subprocess.DEVNULL,
        )
        with open(self.folder / "results" / "summary.csv", newline="") as file:
            (row,) = csv.DictReader(file)
        if row["ok"] != str(tasks) or (kind is None and length and row["output_bytes"] != str(length * tasks)):
            sys.exit(f"{row['ok']} of {tasks} tasks are ok, {row['output_bytes']} bytes")
        return row

    def rate(self, model, tasks):
        """Requests per second of the whole run, start-up and report included."""
        return tasks / float(self.run(model, tasks)["wall_s"])

    def oha(self, tasks, url=None):
        program = self.peer("bin/oha")
        if program is None:
            return None
        trust = ["--cacert", str(CERTS / "authority.pem")] if url else []
        command = [program, "-n", str(tasks), "-c", "64", "--no-tui", *trust, url or self.url + "/1k"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return float(re.search(r"Requests/sec:\s*([\d.]+)", text)[1])

    def tls_rate(self, tasks):
        keys = f'tls = {{ ca = "{CERTS}/authority.pem" }}'
        return tasks / float(self.run("async", tasks, path=self.tls + "/1k", keys=keys)["wall_s"])

    def files_rate(self):
        shutil.rmtree(self.folder / "saved", ignore_errors=True)
        row = self.run("async", FILES, 16, "/big/{task}", keys='save = "saved/{task}"', length=MEGABYTE)
        return FILES / float(row["wall_s"])

    def curl_rate(self):
        if shutil.which("curl") is None:
            print("  skipped: curl is not installed")
            return None
        shutil.rmtree(self.folder / "saved", ignore_errors=True)
        lines = [f'url = "{self.url}/big/{n}"\noutput = "saved/{n}"\n' for n in range(1, FILES + 1)]
        (self.folder / "curl.txt").write_text("create-dirs\n" + "".join(lines))
        command = ["curl", "-sS", "--no-progress-meter", "--parallel", "--parallel-max", "16", "-K", "curl.txt"]
        start = time.perf_counter()
        subprocess.run(command, cwd=self.folder, check=True)
        took = time.perf_counter() - start
        if sum(path.stat().st_size for path in (self.folder / "saved").iterdir()) != FILES * MEGABYTE:
            sys.exit("curl did not save all files")
        return FILES / took

    def page_rate(self, kind, tasks):
        """Pages in which a column looks for something."""
        row = self.run("async", tasks, path=f"/{kind}/page", keys="[columns.end]\nregex = '(the end)'", length=None)
        return tasks / float(row["wall_s"])

    def python(self, tasks):
        program = self.peer("venv/bin/python")
        if program is None:
            return None
        command = [program, "-c", PYTHON, self.url + "/1k", str(tasks)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def peer(self, path):
        path = Path(self.options.peers or ".") / path
        if path.exists():
            return str(path)
        print(f"  skipped: {path} is not there")
        return None


def race(name, ours, theirs, target, rounds):
    """Interleaved rounds of two rates; the first of each is thrown away."""
    if theirs() is None:
        return
    ours()
    rates = {ours: [], theirs: []}
    for _ in range(rounds):
        for contender in random.sample([ours, theirs], 2):
            rates[contender].append(contender())
    # Of each round, since what else runs on the machine changes from one to the next.
    ratio = statistics.median(a / b for a, b in zip(rates[ours], rates[theirs]))
    for who, contender in (("runner", ours), ("peer", theirs)):
        values = rates[contender]
        print(f"  {who:8} {statistics.median(values):10,.0f}/s  ({min(values):,.0f} to {max(values):,.0f})")
    met = "met" if ratio >= target else "MISSED"
    print(f"{name}: ratio {ratio:.3f}, target at least {target}: {met}")


def once(bench):
    """Every task is in the access log, and nothing else."""
    for model in ("sequential", "threads", "processes", "async"):
        log = bench.folder / "access.log"
        before = log.read_text().splitlines() if log.exists() else []
        bench.run(model, 2000, path="/logged?{task}")
        time.sleep(0.2)
        asked = log.read_text().splitlines()[len(before):]
        right = sorted(asked) == sorted(f"/logged?{task}" for task in range(1, 2001))
        print(f"once, {model}: {'every task is in the access log, once' if right else 'WRONG'}")


def brotli(bench, rounds):
    """A page of 20 KB, coded and plain."""
    if shutil.which("brotli") is None:
        return print("brotli: skipped, the program `brotli` is not installed")
    www = bench.folder / "www"
    words = [f"<p>word {random.randrange(10_000)} of a page, with some text as pages have it</p>" for _ in range(290)]
    (www / "plain").mkdir()
    (www / "plain" / "page").write_text("\n".join(words) + "the end")
    (www / "coded").mkdir()
    subprocess.run(["brotli", "-q", "5", "-o", www / "coded" / "page", www / "plain" / "page"], check=True)
    for path in www.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for where, tasks, target in (("slow/", 10_000, 0.9), ("", 30_000, 0)):
        race(f"{where or 'unlimited '}brotli beside plain", lambda: bench.page_rate(where + "coded", tasks),
             lambda: bench.page_rate(where + "plain", tasks), target, rounds)


def files(bench, rounds):
    big = bench.folder / "www" / "big"
    big.mkdir()
    for n in range(1, FILES + 1):
        (big / str(n)).write_bytes(os.urandom(MEGABYTE))
    race(f"{FILES} files of 1 MB, beside curl --parallel", bench.files_rate, bench.curl_rate, 0.9, rounds)


def memory(bench):
    """Peak memory must not grow with the number of requests, but for the index that puts rows into input order: that is
    what the same number of rows takes without requests."""
    counts = (10_000, 1_000_000)
    few, many = (int(bench.run("async", tasks)["peak_rss_bytes"]) for tasks in counts)
    idle_few, idle_many = (int(bench.run("async", tasks, kind=WAIT)["peak_rss_bytes"]) for tasks in counts)
    index = idle_many - idle_few
    met = "met" if many - index <= 1.2 * few else "MISSED"
    print(f"  {few / 2**20:.1f} MiB at 10,000, {many / 2**20:.1f} MiB at 1,000,000, of that {index / 2**20:.1f} MiB index")
    print(f"memory: ratio {(many - index) / few:.3f} without the index, target at most 1.2: {met}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", default=["once", "async", "threads", "memory"])
    parser.add_argument("--peers", default=os.environ.get("PEERS"))
    parser.add_argument("--runner", default=str(ROOT / "target" / "release" / "runner"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if shutil.which("nginx") is None:
        sys.exit("nginx is not installed")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        try:
            for target in options.targets:
                if target == "once":
                    once(bench)
                elif target == "async":
                    race("async, 64 in flight, beside oha", lambda: bench.rate("async", 100_000),
                         lambda: bench.oha(100_000), 0.95, options.rounds)
                elif target == "threads":
                    race("64 threads, beside requests", lambda: bench.rate("threads", 20_000),
                         lambda: bench.python(5_000), 5, options.rounds)
                elif target == "tls":
                    race("tls, 64 in flight, beside oha", lambda: bench.tls_rate(100_000),
                         lambda: bench.oha(100_000, bench.tls + "/1k"), 0.95, options.rounds)
                elif target == "files":
                    files(bench, options.rounds)
                elif target == "brotli":
                    brotli(bench, options.rounds)
                elif target == "memory":
                    memory(bench)
                else:
                    sys.exit(f"no such target: {target}")
        finally:
            bench.close()


if __name__ == "__main__":
    main()
