#!/usr/bin/env python3
"""What a cluster costs: shards against one machine, a round of the driver, collecting, and how busy 1,000 nodes are.

    benches/cluster.py RUNNER [PART ...] [--slurm BASE] [--rows N] [--shards N]

Parts: `overhead` (real Slurm: `tests/slurm-cluster.sh get BASE`), `round`, `collect`, `nodes`; all of them by default.
"""

import argparse
import heapq
import os
import random
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "tests/slurm-cluster.sh"


def timed(command, **more):
    """The seconds that a command takes, and its peak memory in MiB."""
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command} ended with {status}: {said.decode()}")
    return time.monotonic() - started, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def free_ports(count):
    """The first of some ports in a row that nobody uses."""
    while True:
        first = random.randrange(20_000, 60_000)
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + offset))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()


def overhead(arguments):
    """3,000 tasks of 50 ms on three nodes of one core in 12 shards, against three slots here."""
    if not arguments.slurm:
        print("overhead: skipped, --slurm does not say where Slurm is")
        return
    cluster = tempfile.mkdtemp(prefix="slurm-bench-")
    subprocess.run([SCRIPT, "up", cluster, arguments.slurm, str(free_ports(4)), "3"], check=True)
    try:
        said = subprocess.run([SCRIPT, "env", cluster, arguments.slurm], check=True, capture_output=True, text=True)
        env = dict(os.environ)
        for name, value in re.findall(r"(\w+)=(\S+)", said.stdout):
            env[name] = value.replace("$PATH", os.environ["PATH"])
        folder = tempfile.mkdtemp(prefix="bench-")
        Path(folder, "job.toml").write_text(
            "inputs.range = { from = 1, to = 3000 }\nworkload.command.argv = ['sleep', '0.05']\n"
            "limits.concurrency = 1\ncluster = { nodes = 3, shards = 12 }\n"
        )
        here, there = [], []
        for _ in range(arguments.rounds):
            here.append(timed([arguments.runner, "job.toml", "-j", "3", "--no-progress"], cwd=folder, env=env)[0])
            there.append(timed([arguments.runner, "job.toml", "--on", "slurm", "--no-progress"], cwd=folder, env=env)[0])
        here, there = min(here), min(there)
        print(f"overhead: 3,000 x 50 ms: {here:.1f} s here with -j 3, {there:.1f} s in 12 shards: {there / here:.3f}")
        shutil.rmtree(folder)
    finally:
        subprocess.run([SCRIPT, "down", cluster], check=False)
        shutil.rmtree(cluster, ignore_errors=True)


CLIENT = """#!/bin/sh
case "$0" in
*/sbatch) echo 100 ;;
*/scontrol) echo "MaxArraySize = 100001" ;;
*/squeue) echo x >>"$FAKE/asked"; cat "$FAKE/queue" ;;
esac
"""


def round_(arguments):
    """A look at 50,000 elements, of which 1,000 run: the processor time of the driver."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    (folder / "bin").mkdir()
    for client in ["sbatch", "squeue", "scancel", "scontrol", "sinfo"]:
        program = folder / "bin" / client
        program.write_text(CLIENT)
        program.chmod(0o755)
    (folder / "queue").write_text("")
    (folder / "job.toml").write_text(
        "inputs.range = { from = 1, to = 500000 }\nworkload.command.argv = ['true']\n"
        "cluster = { nodes = 1000, shards = 50000 }\n"
    )
    env = dict(os.environ, PATH=f"{folder}/bin:{os.environ['PATH']}", FAKE=str(folder))
    command = [arguments.runner, "job.toml", "--on", "slurm", "--no-progress"]
    subprocess.run(command + ["--detach"], cwd=folder, env=env, check=True)
    plan = (folder / "results/.job.run/plan.json").read_text()
    name = re.search(r'"run":"([^"]*)"', plan).group(1) + ".1"
    rows = [f"{name}|100|{index}|R|None|0|n{index}|" for index in range(1000)]
    rows.append(f"{name}|100|1000-49999|PD|JobArrayTaskLimit|0||")
    (folder / "queue").write_text("\n".join(rows) + "\n")
    for index in range(1000):
        start = folder / f"results/.job.run/work/{index:05}.1.0"
        start.mkdir()
        (start / ".job.state").write_bytes(bytes(96 + 32 * 5))
    driver = subprocess.Popen(command + ["--resume"], cwd=folder, env=env, stderr=subprocess.DEVNULL)

    def used():
        fields = Path(f"/proc/{driver.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def asked():
        return len((folder / "asked").read_text().splitlines()) if (folder / "asked").exists() else 0

    while asked() < 2:
        time.sleep(0.1)
    time.sleep(1)
    before, rounds = used(), asked()
    while asked() < rounds + 8:
        time.sleep(0.1)
    time.sleep(1)
    spent, rounds = used() - before, asked() - rounds
    driver.kill()
    driver.wait()
    print(f"round: 50,000 elements, 1,000 of them running: {spent / rounds * 1000:.0f} ms of the driver's time each")
    shutil.rmtree(folder)


def collect(arguments):
    """Many rows from many shards that are done: from the start of a driver to the report."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=arguments.folder))
    (folder / "job.toml").write_text(
        f"inputs.range = {{ from = 1, to = {arguments.rows} }}\nmodel = 'sequential'\n"
        "workload.compute = { function = 'factorial', arg = '1' }\n"
        # An array has 1,000 elements at most, and one of them runs.
        f"cluster = {{ nodes = {max(os.cpu_count(), arguments.shards // 1000)}, shards = {arguments.shards} }}\n"
    )
    command = [arguments.runner, "job.toml", "--on", "processes", "--no-progress"]
    subprocess.run(command + ["--detach"], cwd=folder, check=True)
    done = folder / "results/.job.run/done"
    while len(os.listdir(done)) < arguments.shards:
        time.sleep(1)
    seconds, memory, cpu = timed(command + ["--resume"], cwd=folder)
    with open(folder / "results/job.csv", "rb") as report:
        rows = sum(1 for _ in report) - 1
    if rows != arguments.rows:
        sys.exit(f"{rows} rows instead of {arguments.rows} in {folder}")
    print(
        f"collect: {rows:,} rows of {arguments.shards:,} shards: {seconds:.1f} s ({cpu:.1f} s of processor time), "
        f"{memory:.0f} MiB"
    )
    shutil.rmtree(folder)


ROUNDS = 16


def dealt(tasks, shards):
    """The tasks of each shard, as `src/cluster/share.rs` deals them."""
    rounds = max(1, min(ROUNDS, tasks // shards))
    blocks = rounds * shards
    of = [[] for _ in range(shards)]
    for at in range(rounds):
        for shard in range(shards):
            block = at * shards + (shard if at % 2 == 0 else shards - 1 - shard)
            of[shard].extend(range(block * tasks // blocks, (block + 1) * tasks // blocks))
    return of


def nodes(_):
    """How busy 1,000 nodes of one core are: 200 lognormal tasks each, 20 s for the start of a shard, which the scheduler
    starts wherever one has ended."""
    count, each, start = 1000, 200, 20
    rng = random.Random(1)
    times = [rng.lognormvariate(3, 1) for _ in range(count * each)]
    for name, tasks in [("sorted", sorted(times)), ("shuffled", times)]:
        free = [0.0] * count
        for shard in dealt(len(tasks), 4 * count):
            heapq.heappush(free, heapq.heappop(free) + start + sum(tasks[task] for task in shard))
        print(f"nodes: {name} inputs: {sum(tasks) / (max(free) * count):.0%} of 1,000 nodes used")


def main():
    parts = {"overhead": overhead, "round": round_, "collect": collect, "nodes": nodes}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runner", type=os.path.abspath)
    parser.add_argument("part", nargs="*", default=list(parts), help=", ".join(parts))
    parser.add_argument("--slurm", help="where the packages of Slurm are unpacked")
    parser.add_argument("--folder", help="where the folder of `collect` is made")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    for part in arguments.part:
        parts[part](arguments)


if __name__ == "__main__":
    main()
