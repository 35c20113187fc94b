#!/usr/bin/env python3
"""Whether `runner compare` and hyperfine agree on how long a command takes.

    cargo build --release
    python3 benches/agreement.py [--rounds 9] [SECONDS ...]

The command is `sleep SECONDS`, which takes as long on a busy machine, and `python3 -c` of a computation. Both programs
measure it in turns, some runs each, and the median of the ratios of their medians is judged, so that drift hits both
alike. hyperfine runs it without a shell (`-N`), as the runner does.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = 5
LIMIT = 0.03


def of_runner(runner, folder):
    """The median wall time in seconds, as `compare` reports it."""
    argv = [runner, "compare", "job.toml", "--models", "sequential", "--rounds", str(RUNS), "--warmup", "1"]
    subprocess.run(argv, cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    with open(folder / "results" / "job.compare.csv", newline="") as file:
        return float(next(csv.DictReader(file))["wall_median_s"])


def of_hyperfine(words, folder):
    """The median wall time in seconds, as hyperfine reports it."""
    quoted = " ".join("'" + word + "'" for word in words)
    argv = ["hyperfine", "-N", "--warmup", "1", "--runs", str(RUNS), "--export-json", "h.json", quoted]
    subprocess.run(argv, cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return json.loads((folder / "h.json").read_text())["results"][0]["median"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", default=ROOT / "target" / "release" / "runner", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("seconds", nargs="*", type=float, default=[0.05, 0.1, 0.3], help="default: %(default)s")
    options = parser.parse_args()
    runner = Path(options.runner).resolve()
    commands = [["sleep", str(seconds)] for seconds in options.seconds]
    commands.append([sys.executable, "-c", "sum(range(15_000_000))"])
    is_met = True
    for words in commands:
        with tempfile.TemporaryDirectory(prefix="runner-agreement-") as folder:
            folder = Path(folder)
            (folder / "job.toml").write_text(f"workload.command.argv = {json.dumps(words)}\n")
            ours, theirs = [], []
            for _ in range(options.rounds):
                ours.append(of_runner(runner, folder))
                theirs.append(of_hyperfine(words, folder))
        ratio = statistics.median(one / other for one, other in zip(ours, theirs))
        is_met &= abs(ratio - 1) <= LIMIT
        print(
            f"{' '.join(words[-2:]):28} runner {statistics.median(ours):.4f} s, hyperfine {statistics.median(theirs):.4f} s: "
            f"{ratio:.3f} (target: within {LIMIT:.0%}: {'met' if abs(ratio - 1) <= LIMIT else 'MISSED'})",
            flush=True,
        )
    sys.exit(0 if is_met else 1)


if __name__ == "__main__":
    main()
