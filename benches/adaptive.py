#!/usr/bin/env python3
"""The concurrency that finds itself, on servers that refuse, beside a fixed 16 and aiohttp with a semaphore.

    cargo build --release
    python3 benches/adaptive.py [--seconds 20] [--only NAME ...] [--peers DIR]

The server answers after 50 ms and keeps what it was asked: how many requests ran at once and how many it refused, in
each tenth of a second. Targets, each of which ends as `ok` or `MISSED`:

    above     refuses above 40 at once: settles within 28 to 40, with under 2 % refusals
    follows   the bound halves and doubles: within its band again after 5 s
    bucket    a token bucket of 200 a second: at least 0.9 of that
    free      no bound: at least 0.9 of the best fixed level
    short     short jobs: never below 0.9 of the default, a fixed 16

DIR (or the variable PEERS) may have `venv/bin/python` with aiohttp. The exit code is 1 if a target was missed.
"""

import argparse
import asyncio
import csv
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ANSWER_S = 0.05
TICK_S = 0.1

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

AIOHTTP = """
import asyncio, sys, aiohttp
async def main(url, count, level):
    slots = asyncio.Semaphore(level)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        async def get():
            async with slots:
                for _ in range(10):
                    async with session.get(url) as answer:
                        await answer.read()
                        if answer.status == 200:
                            return
                    await asyncio.sleep(0.25)
        await asyncio.gather(*(get() for _ in range(count)))
asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


class Server:
    """Answers after 50 ms; `bound` says how many at once, `rate` how many a second; None: any number."""

    def __init__(self, bound=None, rate=None):
        self.bound, self.rate = bound, rate
        self.running = self.answered = self.refused = 0
        self.tokens, self.filled = rate or 0, time.monotonic()
        self.history = []
        self.peak = 0
        ready = threading.Event()
        threading.Thread(target=self._serve, args=(ready,), daemon=True).start()
        ready.wait()

    def _serve(self, ready):
        asyncio.run(self._main(ready))

    async def _main(self, ready):
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, backlog=1024)
        self.url = "http://127.0.0.1:%d/" % server.sockets[0].getsockname()[1]
        ready.set()
        while True:
            await asyncio.sleep(TICK_S)
            self.history.append((time.monotonic(), self.peak, self.answered, self.refused))
            self.peak = self.running

    def _is_busy(self):
        if self.bound is not None and self.running >= self.bound:
            return True
        if self.rate is not None:
            now = time.monotonic()
            self.tokens = min(self.rate / 10, self.tokens + (now - self.filled) * self.rate)
            self.filled = now
            if self.tokens < 1:
                return True
            self.tokens -= 1
        return False

    async def _talk(self, reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                if self._is_busy():
                    self.refused += 1
                    writer.write(BUSY)
                    continue
                self.running += 1
                self.peak = max(self.peak, self.running)
                await asyncio.sleep(ANSWER_S)
                self.running -= 1
                self.answered += 1
                writer.write(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    def since(self, start, end=None):
        """The ticks from `start` to `end`, in seconds of the monotonic clock."""
        return [tick for tick in self.history if tick[0] >= start and (end is None or tick[0] <= end)]


def job(url, count, concurrency):
    return (f"[inputs]\nrepeat = {count}\n[workload.http]\nurl = \"{url}\"\n"
            f"[limits]\nconcurrency = {concurrency!r}\n".replace("'", '"'))


def run(runner, url, count, concurrency, beside=None):
    """Runs `count` requests; returns the wall time in seconds and the summary's row. `beside` runs meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.toml").write_text(job(url, count, concurrency))
        began = time.monotonic()
        child = subprocess.Popen([runner, "-q", "--no-progress", "--model", "async", "a.toml"], cwd=folder,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if beside:
            beside(began)
        child.wait()
        took = time.monotonic() - began
        with open(Path(folder, "results", "summary.csv"), newline="") as file:
            return took, next(csv.DictReader(file))


def peer(python, url, count, level):
    if not python:
        return None
    began = time.monotonic()
    subprocess.run([python, "-c", AIOHTTP, url, str(count), str(level)], check=True)
    return time.monotonic() - began


class Bench:
    def __init__(self, runner, python, seconds):
        self.runner, self.python, self.seconds = runner, python, seconds
        self.missed = 0

    def target(self, name, is_met, words):
        self.missed += not is_met
        print(f"{name:8} {'ok' if is_met else 'MISSED':6} {words}", flush=True)

    def aside(self, name, words):
        print(f"{name:8} {'':6} {words}", flush=True)

    def beside(self, name, make, count):
        """The same for a fixed 16 and for aiohttp."""
        server = make()
        took, row = run(self.runner, server.url, count, 16)
        self.aside(name, f"fixed 16: {count / took:.0f}/s, {server.refused} refused, {row['ok']} of {count} ok")
        server = make()
        took = peer(self.python, server.url, count, 100)
        if took:
            self.aside(name, f"aiohttp, 100 at once: {count / took:.0f}/s, {server.refused} refused")

    def above(self):
        bound = 40
        count = int(self.seconds * bound / ANSWER_S)
        server = Server(bound=bound)
        began = time.monotonic()
        took, _ = run(self.runner, server.url, count, "4..200")
        settled = sorted(tick[1] for tick in server.since(began + took / 3, began + took * 0.95))
        middle = settled[len(settled) // 2]
        share = server.refused / (server.refused + server.answered)
        self.target("above", 0.7 * bound <= middle <= bound and share < 0.02,
                    f"{middle} at once of {bound}, {100 * share:.2f} % refused, {count / took:.0f}/s")
        self.beside("above", lambda: Server(bound=bound), count // 4)

    def follows(self):
        server = Server(bound=40)
        count = int(self.seconds * 40 / ANSWER_S)
        phases = []

        def change(began):
            for bound in (20, 40):
                time.sleep(self.seconds / 3)
                server.bound = bound
                phases.append((bound, time.monotonic()))

        run(self.runner, server.url, count, "4..200", change)
        for bound, at in phases:
            ticks = server.since(at + 5, at + self.seconds / 3)
            levels = sorted(tick[1] for tick in ticks)
            middle = levels[len(levels) // 2] if levels else 0
            self.target("follows", 0.7 * bound <= middle <= bound, f"{middle} at once, 5 s after the bound is {bound}")

    def bucket(self):
        rate = 200
        count = int(self.seconds * rate)
        server = Server(rate=rate)
        took, row = run(self.runner, server.url, count, "4..200")
        self.target("bucket", count / took >= 0.9 * rate,
                    f"{count / took:.0f}/s of {rate}, {server.refused} refused, {row['ok']} of {count} ok")
        self.beside("bucket", lambda: Server(rate=rate), count // 4)

    def free(self):
        # Long enough that the start, which is the affair of `short`, is a small part: the best takes some 4,000 a second.
        count = int(self.seconds * 2000)
        rates = {}
        for level in (16, 50, 100, 200):
            tasks = min(count, int(self.seconds * level * 10))  # a level answers at most 20 a second for each of its slots
            rates[level] = tasks / run(self.runner, Server().url, tasks, level)[0]
        best = max(rates, key=rates.get)
        own = count / run(self.runner, Server().url, count, "4..200")[0]
        self.target("free", own >= 0.9 * rates[best], f"{own:.0f}/s, best fixed level {best}: {rates[best]:.0f}/s")

    def short(self):
        for count in (20, 100, 500):
            fixed = min(run(self.runner, Server().url, count, 16)[0] for _ in range(3))
            own = min(run(self.runner, Server().url, count, "4..200")[0] for _ in range(3))
            self.target("short", own <= fixed / 0.9, f"{count} requests: {own:.2f} s, fixed 16: {fixed:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", default=str(ROOT / "target/release/runner"))
    parser.add_argument("--peers", default=os.environ.get("PEERS"))
    parser.add_argument("--seconds", type=float, default=20, help="about how long each run takes")
    parser.add_argument("--only", nargs="*", default=["above", "follows", "bucket", "free", "short"])
    args = parser.parse_args()
    python = Path(args.peers, "venv/bin/python") if args.peers else Path(sys.executable)
    has_aiohttp = python.exists() and subprocess.run([python, "-c", "import aiohttp"], capture_output=True).returncode == 0
    if not has_aiohttp:
        print("aiohttp is not installed: left out")
    bench = Bench(args.runner, str(python) if has_aiohttp else None, args.seconds)
    for name in args.only:
        getattr(bench, name)()
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
