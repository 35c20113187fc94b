#!/usr/bin/env python3
"""Kills nodes, shards, the driver and the controller of a real Slurm at random, and counts lost and doubled rows.

    slurm-cluster.sh get BASE && slurm-campaign.py RUNNER BASE PORT [KILLS] [SEED]

Each round is a job of TASKS tasks on three nodes of one processor, driven to its end with `--resume` whenever the driver
has died. At the end every task must have one row with the right result.
"""

import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TASKS = 240
JOB = """
inputs.range = { from = 1, to = %d }
workload.command.shell = 'echo "$input" >> ran; sleep 0.1; echo "$((input * input))"'
limits.concurrency = 1
cluster = { nodes = 3, shards = 9 }
""" % TASKS

SCRIPT = Path(__file__).parent / "slurm-cluster.sh"


def environment(folder, base):
    root = Path(base, "root").resolve()
    lib = root / f"usr/lib/{os.uname().machine}-linux-gnu"
    env = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    env["PATH"] = f"{root}/usr/bin:{root}/usr/sbin:{env['PATH']}"
    env["SLURM_CONF"] = f"{folder}/slurm.conf"
    env["LD_LIBRARY_PATH"] = f"{lib}:{lib}/slurm-wlm"
    return env


def processes():
    """Each process of this machine: its number, its command line, its environment."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                env = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            yield int(entry.name), line, env


def parent(pid):
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[1])
        return parent if "slurmstepd" in Path(f"/proc/{parent}/comm").read_text() else None
    except (OSError, ValueError):
        return None


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


class Campaign:
    def __init__(self, runner, base, port, seed):
        self.runner, self.base = runner, base
        self.random = random.Random(seed)
        self.cluster = tempfile.mkdtemp(prefix="slurm-campaign-")
        self.env = environment(self.cluster, base)
        self.kills = Counter()
        subprocess.run([SCRIPT, "up", self.cluster, base, port, "3"], check=True)

    def shards(self, folder):
        return [pid for pid, line, _ in processes() if " shard " in line and folder in line]

    def pid(self, name):
        try:
            return int(Path(self.cluster, f"run/{name}.pid").read_text())
        except (OSError, ValueError):
            return None

    def kill_node(self):
        node = self.random.randrange(1, 4)
        pid = self.pid(f"slurmd-n{node}")
        of_node = [
            pid
            for pid, _, env in processes()
            if f"SLURMD_NODENAME=n{node}" in env and f"SLURM_CONF={self.cluster}/slurm.conf" in env
        ]
        # What watches over them goes first, half of the time: then nobody tells the controller how they have ended.
        steps = {parent(one) for one in of_node} - {None, 1, *of_node} if self.random.random() < 0.5 else set()
        for one in ([pid] if pid else []) + sorted(steps) + of_node:
            kill(one)
        time.sleep(self.random.uniform(0, 3))
        subprocess.run([SCRIPT, "node", self.cluster, self.base, str(node)], env=self.env, check=False)

    def kill_controller(self):
        pid = self.pid("slurmctld")
        if pid:
            kill(pid)
        time.sleep(self.random.uniform(0, 3))
        subprocess.run(["slurmctld-wlm"], env=self.env, check=False)
        # One that is back may give numbers twice, and drains nodes for that; somebody has to resume them.
        self.drained = True

    def resume_nodes(self):
        if getattr(self, "drained", False):
            resume = ["scontrol", "update", "nodename=n[1-3]", "state=resume"]
            subprocess.run(resume, env=self.env, check=False, stderr=subprocess.DEVNULL)

    def only_cancelled(self, folder):
        with open(Path(folder, "results/job.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        ok = [row for row in rows if row["status"] == "ok"]
        rest = [row for row in rows if row["status"] == "cancelled" and row["error"].startswith("its element was cancelled")]
        return len(rows) == len(ok) + len(rest) == TASKS

    def round(self, kills):
        folder = tempfile.mkdtemp(prefix="slurm-round-")
        Path(folder, "job.toml").write_text(JOB)
        command = [self.runner, "job.toml", "--on", "slurm", "--no-progress"]
        log = open(Path(folder, "said"), "ab")
        driver = subprocess.Popen(command, cwd=folder, env=self.env, stdout=log, stderr=log)
        command.append("--resume")
        left = kills
        started = time.monotonic()
        while True:
            try:
                code = driver.wait(self.random.uniform(0.5, 4) if left else 5)
            except subprocess.TimeoutExpired:
                self.resume_nodes()
                if not left and time.monotonic() - started < 900:
                    continue
                if not left:
                    return f"no end in {folder}"
                left -= 1
                what = self.random.choices(["driver", "shard", "node", "controller"], [4, 5, 1, 1])[0]
                self.kills[what] += 1
                if what == "driver":
                    kill(driver.pid)
                elif what == "shard":
                    shards = self.shards(folder)
                    if shards:
                        kill(self.random.choice(shards))
                elif what == "node":
                    self.kill_node()
                else:
                    self.kill_controller()
                continue
            if code == 0:
                break
            if code == 3 and self.only_cancelled(folder):
                # A controller that is back after a crash has given a number twice, a node has complained of that, and
                # Slurm itself has cancelled the array: the report says so, and the rest is run by `--resume`.
                self.cancelled = getattr(self, "cancelled", 0) + 1
            elif code not in (-9, 2):
                return f"exit code {code} in {folder}"
            if time.monotonic() - started > 900:
                return f"no end in {folder}"
            # 2: the scheduler gave no answer just now, or the driver died before there was a plan.
            time.sleep(self.random.uniform(0, 2))
            if code == 2:
                self.refused = getattr(self, "refused", 0) + 1
            driver = subprocess.Popen(command, cwd=folder, env=self.env, stdout=log, stderr=log)
        with open(Path(folder, "results/job.csv"), newline="") as file:
            rows = [(row["task"], row["status"], row["result"]) for row in csv.DictReader(file)]
        right = [(str(n), "ok", str(n * n)) for n in range(1, TASKS + 1)]
        lost = len(set(right) - set(rows))
        doubled = len(rows) - len({task for task, *_ in rows})
        ran = Counter(Path(folder, "ran").read_text().split())
        again = sum(ran.values()) - len(ran)
        if rows != right:
            return f"{lost} lost, {doubled} doubled in {folder}"
        print(f"{TASKS} rows, 0 lost, 0 doubled, {again} tasks ran again, {kills - left} kills", flush=True)
        return None


def main():
    runner, base, port = sys.argv[1:4]
    kills = int(sys.argv[4]) if len(sys.argv) > 4 else 200
    seed = int(sys.argv[5]) if len(sys.argv) > 5 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    campaign = Campaign(os.path.abspath(runner), os.path.abspath(base), port, seed)
    problems, rounds = [], 0
    try:
        while sum(campaign.kills.values()) < kills:
            rounds += 1
            problem = campaign.round(campaign.random.randrange(3, 16))
            if problem:
                print(problem, flush=True)
                problems.append(problem)
    finally:
        subprocess.run([SCRIPT, "down", campaign.cluster], check=False)
    cancelled = getattr(campaign, "cancelled", 0)
    print(
        f"{rounds} rounds, {sum(campaign.kills.values())} kills ({dict(campaign.kills)}), {cancelled} times cancelled by "
        f"Slurm, {len(problems)} problems"
    )
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
