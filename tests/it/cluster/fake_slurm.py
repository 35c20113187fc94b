#!/usr/bin/env python3
"""Slurm's clients without a Slurm: what they say is told by files in the folder FAKE.

`sbatch.2` is the answer of the second call of sbatch, `sbatch` that of every call: its exit code, perhaps the word `does`
if it does what it was told to all the same, and on the lines below what it complains of. Elements run as processes, some
at once, unless `hold` is there; `code` is what they exit with without having run at all.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

SIGNALS = {"HUP": 1, "TERM": 15, "KILL": 9}
FAKE = Path(os.environ["FAKE"])
NAME = Path(sys.argv[0]).name


def said(name, default=""):
    try:
        return (FAKE / name).read_text()
    except OSError:
        return default


def answer():
    """Whether this call does anything; does not return if not."""
    calls = FAKE / f"{NAME}.calls"
    with open(calls, "a") as file:
        file.write(" ".join(sys.argv[1:]) + "\n")
    number = len(calls.read_text().splitlines())
    text = said(f"{NAME}.{number}") or said(NAME)
    if not text:
        return 0
    first, _, complaint = text.partition("\n")
    sys.stderr.write(complaint)
    if "hangs" in first:
        time.sleep(600)
    code = int(first.split()[0])
    if "does" not in first:
        sys.exit(code)
    return code


def option(name):
    found = [arg.split("=", 1)[1] for arg in sys.argv if arg.startswith(f"{name}=")]
    return found[0] if found else None


def arrays():
    return sorted((FAKE / "arrays").iterdir(), key=lambda folder: int(folder.name))


def count(array):
    return int((array / "count").read_text())


def live():
    return sum(1 for array in arrays() for index in range(count(array)) if not (array / f"{index}.end").exists())


def sbatch():
    if "--test-only" in sys.argv:
        sys.stderr.write("sbatch: Job 4 to start at 4748-12-13T18:46:12 using 1 processors on nodes n3\n")
        return
    code = answer()
    elements, at_once = re.fullmatch(r"0-(\d+)%(\d+)", option("--array")).groups()
    elements = int(elements) + 1
    limit = said("limit")
    if limit and live() + elements > int(limit):
        sys.exit("sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: "
                 "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)")
    number = 100 + len(arrays())
    array = FAKE / "arrays" / str(number)
    array.mkdir()
    for name, value in [("name", option("--job-name")), ("logs", option("--output")), ("script", sys.argv[-1])]:
        (array / name).write_text(value)
    (array / "count").write_text(str(elements))
    lanes = min(int(at_once), elements)
    if not (FAKE / "hold").exists():
        for lane in range(lanes):
            command = [sys.executable, __file__, "lane", array, str(lane), str(lanes)]
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             start_new_session=True)
    if code:
        sys.exit(code)
    print(said("greeting") + str(number))


def lane(array, first, lanes):
    array = Path(array)
    for index in range(int(first), count(array), int(lanes)):
        try:
            (array / f"{index}.begun").touch(exist_ok=False)
        except FileExistsError:
            continue
        log = (array / "logs").read_text().replace("%a", str(index)).replace("%%", "%")
        env = dict(os.environ, SLURM_ARRAY_TASK_ID=str(index), SLURMD_NODENAME="n1")
        code = said("code")
        if not code:
            with open(log, "wb") as out:
                command = ["bash", (array / "script").read_text()]
                run = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
                (array / f"{index}.pid").write_text(str(run.pid))
                code = run.wait()
        code = int(code)
        status = -code if code < 0 else code << 8
        end(array, index, "F" if status else "CD", status)


def end(array, index, state, status=0):
    beside = array / f"{index}.tmp"
    beside.write_text(f"{state} {status}")
    beside.rename(array / f"{index}.end")


def squeue():
    answer()
    known = {array.name: array for array in arrays()}
    wanted = list(known)
    if "-j" in sys.argv:
        wanted = sys.argv[sys.argv.index("-j") + 1].split(",")
    if len(wanted) == 1 and (wanted[0] not in known or said("forgets").split()[:1] == [wanted[0]]):
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    if os.environ.get("SQUEUE_PARTITION", "batch") != "batch":
        return
    told = 0
    for array in [known[number] for number in wanted if number in known]:
        name = (array / "name").read_text()
        if option("--name") not in (None, name):
            continue
        name = said("other_name", name)
        waiting = []
        for index in range(count(array)):
            if (array / f"{index}.gone").exists():
                continue
            ended = (array / f"{index}.end").exists()
            if ended:
                state, status = (array / f"{index}.end").read_text().split()
                told += 1
                print(f"{name}|{array.name}|{index}|{state}|None|{status}|n1|")
            elif (array / f"{index}.begun").exists():
                told += 1
                print(f"{name}|{array.name}|{index}|R|None|0|n1|")
            else:
                waiting.append(index)
        if waiting:
            listed = ",".join(map(str, waiting)) if len(waiting) < 100 else f"{waiting[0]}-{waiting[-1]}"
            told += 1
            print(f"{name}|{array.name}|{listed}|PD|{said('reason', 'Priority')}|0||")
    if "-j" in sys.argv and len(wanted) == 1 and not told:
        sys.exit("slurm_load_jobs error: Invalid job id specified")  # it has purged the last of them


def named():
    """The elements in `12_[0-3,7]`."""
    for array, listed in re.findall(r"\b(\d+)_\[([\d,-]+)\]", " ".join(sys.argv[1:])):
        for part in listed.split(","):
            first, _, last = part.partition("-")
            for index in range(int(first), int(last or first) + 1):
                yield FAKE / "arrays" / array, index


def scancel():
    code = answer()
    for name in os.environ:
        if name.startswith("SCANCEL_"):
            sys.exit("scancel: error: it would ask")
    signal = SIGNALS[sys.argv[sys.argv.index("-s") + 1]] if "-s" in sys.argv else 15
    only_waiting = "--state=PENDING" in sys.argv
    for array, index in named():
        if (array / f"{index}.end").exists():
            continue
        try:
            (array / f"{index}.begun").touch(exist_ok=False)
            (array / f"{index}.gone").touch()  # one that waits vanishes
            end(array, index, "CA")
        except FileExistsError:
            if only_waiting:
                continue
            try:
                os.kill(int((array / f"{index}.pid").read_text()), signal)
            except (OSError, ValueError):
                pass
    if code:
        sys.exit(code)


def scontrol():
    answer()
    if "config" in sys.argv:
        print(f"MaxArraySize            = {said('most', '1001')}\nMaxJobCount             = 10000")


def sinfo():
    print("batch\nshort")


if sys.argv[1:2] == ["lane"]:
    lane(*sys.argv[2:])
else:
    {"sbatch": sbatch, "squeue": squeue, "scancel": scancel, "scontrol": scontrol, "sinfo": sinfo}[NAME]()
