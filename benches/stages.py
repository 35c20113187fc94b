#!/usr/bin/env python3
"""Fetch and compute: a job of two stages beside the same in Python, and what a stage costs.

    python3 benches/stages.py [--runner target/release/runner] [--tasks 4000] [--rounds 5]

- mixed: GET a page from a server on the loopback, then about 1 ms of computation, on all cores. The peer is asyncio
  (16 requests at once, over kept-alive connections) with run_in_executor(ProcessPoolExecutor()). Its computation is
  Python's own 1 ms, so both sides compute for as long: what is compared is what comes on top, and how well waiting and
  computing overlap.
- pipeline: a stage of waits before a slower one; throughput as a share of the slower stage's alone.
- memory: 1,000,000 tasks through two computing stages; peak memory of the runner.
"""
import argparse
import asyncio
import concurrent.futures
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Server(asyncio.Protocol):
    """Answers every request with the same body, as fast as Python can."""

    body = b"1000"

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(self.body)
        self.transport.write((head + self.body) * data.count(b"\r\n\r\n"))


def serve():
    """A server in a process of its own; its port."""
    child = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    return child, int(child.stdout.readline())


async def serve_forever():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def spin(_):
    """About 1 ms of processor time."""
    end = time.process_time() + 0.001
    while time.process_time() < end:
        pass
    return 0


async def python_mixed(port, tasks):
    """asyncio and a pool of processes."""
    loop = asyncio.get_running_loop()
    pool = concurrent.futures.ProcessPoolExecutor()
    queue = iter(range(tasks))

    async def slot():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in queue:
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(len(Server.body))
            await loop.run_in_executor(pool, spin, body)
        writer.close()

    await asyncio.gather(*(slot() for _ in range(16)))
    pool.shutdown()


def run(runner, text, *args):
    """Wall seconds, and the peak memory of the runner in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "job.toml").write_text(text)
        command = [runner, "job.toml", "-q", "--no-progress", *args]
        begun = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
        if status:
            sys.exit(f"the runner failed: {status}")
        return wall, usage.ru_maxrss * 1024


def stage(name, model, concurrency, workload):
    return (
        f'[[stages]]\nname = "{name}"\nmodel = "{model}"\n{workload}\n[stages.limits]\nconcurrency = {concurrency}\n'
    )


def calibrated(runner):
    """The n for which `count_down(n)` takes about 1 ms."""
    n = 200_000
    for _ in range(8):
        text = f'[inputs]\nrepeat = 400\n[workload.compute]\nfunction = "count_down"\narg = {n}\n'
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "job.toml").write_text(text)
            subprocess.run([runner, "job.toml", "-q", "--model", "sequential"], cwd=folder, check=True)
            header, row = Path(folder, "results/summary.csv").read_text().splitlines()[:2]
            cells = dict(zip(header.split(","), row.split(",")))
            took = float(cells["run_min_s"])  # what others take of the machine is none of it
        if abs(took - 0.001) < 0.00003:
            break
        n = int(n * 0.001 / took)
    return n


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", default=str(ROOT / "target/release/runner"))
    parser.add_argument("--tasks", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return asyncio.run(serve_forever())
    runner, cores = os.path.abspath(args.runner), os.cpu_count()
    inputs = f"[inputs]\nrepeat = {args.tasks}\n"

    server, port = serve()
    n = calibrated(runner)
    fetch = f'[stages.workload.http]\nurl = "http://127.0.0.1:{port}/"'
    compute = f'[stages.workload.compute]\nfunction = "count_down"\narg = {n}'
    mixed = inputs + stage("fetch", "async", 16, fetch) + stage("compute", "processes", cores, compute)
    ours, theirs = [], []
    for _ in range(args.rounds):
        ours.append(run(runner, mixed)[0])
        begun = time.perf_counter()
        asyncio.run(python_mixed(port, args.tasks))
        theirs.append(time.perf_counter() - begun)
    server.kill()
    us, them = statistics.median(ours), statistics.median(theirs)
    print(f"mixed, {args.tasks} tasks of 1 ms: runner {us:.2f} s, asyncio + processes {them:.2f} s: {them / us:.2f} times")

    slow = '[stages.workload.sleep]\nduration = "10ms"'
    quick = '[stages.workload.sleep]\nduration = "5ms"'
    shares = []
    for _ in range(args.rounds):
        both = run(runner, inputs + stage("quick", "async", 64, quick) + stage("slow", "async", 64, slow))[0]
        alone = run(runner, inputs + stage("slow", "async", 64, slow))[0]
        shares.append(alone / both)
    print(f"pipeline: {statistics.median(shares):.2f} of the slower stage alone")

    trivial = '[stages.workload.compute]\nfunction = "count_down"\narg = 1'
    many = "[inputs]\nrepeat = 1000000\n" + "".join(stage(name, "threads", cores, trivial) for name in ("one", "two"))
    wall, peak = run(runner, many)
    print(f"memory: 1,000,000 tasks through two computing stages in {wall:.2f} s, {peak / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
