#!/usr/bin/env python3
"""Measures the figures that the documentation shows again, and writes them into it: the chapter "Threads, processes or
async?" of docs/models.md, and what the README has of it.

    cargo build --release
    python3 benches/chapter.py [WORD ...]

Each block of a page that is marked

    <!-- measured: COMMAND -->
    ```console
    ...
    ```

is replaced by COMMAND and what it prints: its warnings, then its standard output. WORDs choose
the commands that have one of them. A command that several pages show is measured once. The commands run in a copy of `jobs/`, so that nothing of yours is touched. The
machine should be idle: the runner says in the block if it is not.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNNER = ROOT / "target/release/runner"
BLOCK = re.compile(r"<!-- measured: (?P<command>.+?) -->\n```console\n.*?^```$", re.DOTALL | re.MULTILINE)
# A comparison takes up to 20 s; one that hangs is to be seen.
PATIENCE = 120


def output(command, folder):
    program, *args = shlex.split(command)
    if program != "runner":
        sys.exit(f"`{command}` is not a runner command")
    began = time.monotonic()
    done = subprocess.run(
        [RUNNER, *args],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode != 0:
        sys.exit(f"`{command}` ended with exit code {done.returncode}:\n{done.stderr}{done.stdout}")
    print(f"{time.monotonic() - began:5.1f} s  {command}")
    return (done.stderr + done.stdout).rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only the commands that have one of these in them")
    words = parser.parse_args().words
    if not RUNNER.exists():
        sys.exit("there is no target/release/runner: cargo build --release")

    count = 0
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "jobs", Path(folder) / "jobs", ignore=shutil.ignore_patterns("__pycache__", "results"))
        texts = {}

        def measured(block):
            command = block["command"]
            if words and not any(word in command for word in words):
                return block[0]
            if command not in texts:
                texts[command] = output(command, folder)
            return f"<!-- measured: {command} -->\n```console\n$ {command}\n{texts[command]}\n```"

        for page in PAGES:
            text, blocks = BLOCK.subn(measured, page.read_text())
            count += blocks
            if blocks:
                page.write_text(text)
    if count == 0:
        sys.exit("no page has a marked block")


if __name__ == "__main__":
    main()
