"""`make reliability`: runs the long proofs and writes docs/reliability.md from what they counted.

Every proof leaves a JSON file in build/reliability; a section whose file is missing says that it was not run. With `--only
write` nothing is run.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/reliability"
DOCUMENT = ROOT / "docs/reliability.md"

# name: command, in the order of the document
PROOFS: dict[str, list[str]] = {
    "powercut": ["host_tests/powercut/run.py", "--json", str(BUILD / "powercut.json")],
    "bugs": ["host_tests/powercut/bugs.py", "--json", str(BUILD / "bugs.json")],
    "damage": ["-m", "pytest", "-q", "host_tests/sim/test_damage_slots.py"],
    "memory": ["-m", "pytest", "-q", "host_tests/sim/test_faults_memory.py"],
    "reboots": ["-m", "pytest", "-q", "host_tests/sim/test_faults_reboots.py"],
    "fuzz": ["host_tests/fuzz/guided.py"],
    "fire": ["-m", "pytest", "-q", "host_tests/sim/test_under_fire.py"],
}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=[*PROOFS, "write"], default=[*PROOFS, "write"])
    arguments = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    failed = []
    for name, command in PROOFS.items():
        if name not in arguments.only:
            continue
        print(f"-- {name}", flush=True)
        began = time.monotonic()
        code = subprocess.call([sys.executable, *command], cwd=ROOT, env={**os.environ, "FARGO_LONG": "1"})
        print(f"-- {name}: {'passed' if not code else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
        failed += [name] if code else []
    if "write" in arguments.only:
        DOCUMENT.write_text(document())
        print(DOCUMENT.relative_to(ROOT))
    return 1 if failed else 0


def document() -> str:
    """The text of docs/reliability.md."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    sections = [
        "# Reliability",
        "This page is written by `make reliability` from what the runs counted. "
        f"{datetime.date.today()}, commit {commit.stdout.strip() or 'unknown'}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores.",
    ]
    for name, write in SECTIONS.items():
        path = BUILD / f"{name}.json"
        found = json.loads(path.read_text()) if path.exists() else None
        sections.append(write(found) if found else f"## {name.capitalize()}\n\nNot run.")
    return "\n\n".join(sections) + "\n"


def _table(head: str, rows: list[list[Any]]) -> str:
    titles = [title.strip() for title in head.split("|")]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += [
        "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines)


def _powercut(tallies: list[dict[str, Any]]) -> str:
    names = ("operations", "looked", "cuts", "torn", "second", "ended", "repeated")
    rows = [[t["scenario"], t["geometry"], *(t[name] for name in names), len(t["problems"])] for t in tallies]
    sums = [sum(t[name] for t in tallies) for name in names]
    rows.append(["**all**", "", *sums, sum(len(t["problems"]) for t in tallies)])
    return f"""## Power cuts

Each scenario was run once on the simulated board, whose flash wrote a journal: *N* operations (sectors erased, pages and
parts of them programmed: slots, `otadata`, LittleFS, NVS). Then the flash was put together as it stood after each of them,
and as it stood within each: the first half done, or done but for some bits. States that had been there before were left out.
Every one was *looked* at from outside (what the bootloader would start is a released pair byte for byte; nothing looks whole
that is not; nothing is armed or has raised the sequence floor before its time) and booted in a fresh process: after a whole
operation (*cuts*) or a *torn* one. The device went on by itself until it was at rest; then the flash file was read again: what
runs, what the record says of it, the owner's records byte for byte, the floor. It *ended* as it would have, or nothing had
begun yet and it was *repeated* by its Client. Then it was started once more. *Second* cuts are in the recovery from a first.

{_table("scenario | flash | N | looked at | cuts | torn | second | ended | repeated | failures", rows)}

Flashes: `frozen` has slots of 16 + 16 sectors and Fargo in the firmware, `small` 32 + 48 sectors, `odd` the second slot before
the first and sizes that are no powers of two, `4MB` the real one with a firmware of 1.6 MB. In `update` on `frozen` the second
cut was after every operation of every recovery; elsewhere they are a sample with a seed.

`make powercut` repeats it; `host_tests/powercut/run.py --scenario update --geometry odd --second 2 --seed 7` does other ones."""


def _bugs(found: dict[str, Any]) -> str:
    rows = [[bug["name"], bug["what"], bug["caught"]] for bug in found["bugs"]]
    return f"""## Known-bad builds

So that it is known that the tests above find anything: {len(rows)} patches to the product, each with a mistake that somebody
made somewhere. All of them pass the unit tests.

{_table("build | mistake | caught by", rows)}"""


def _counted(title: str, text: str) -> Callable[[dict[str, Any]], str]:
    def write(found: dict[str, Any]) -> str:
        rows = [[name.replace("_", " "), value] for name, value in found.items() if not isinstance(value, dict | list)]
        return f"## {title}\n\n{text}\n\n{_table('what | figure', rows)}"

    return write


SECTIONS: dict[str, Callable[[Any], str]] = {
    "powercut": _powercut,
    "bugs": _bugs,
    "damage": _counted(
        "Damage at rest", "Slots, `otadata`, file systems and records damaged while the board was off."
    ),
    "memory": _counted("Memory", "Updates at every size of the heap, from the least in which the device serves."),
    "reboots": _counted(
        "Reboots", "Of an idle device, and of one whose plug is pulled at random while it is updated."
    ),
    "fuzz": _counted(
        "Hostile input", "Coverage-guided and mutational fuzzing of everything that reads what strangers send."
    ),
    "fire": _counted("Under fire", "A whole device, shot at on both ports while its owner uses and updates it."),
    "amplification": _counted("Amplification", "Bytes answered for a byte asked in the clear."),
}


if __name__ == "__main__":
    sys.exit(main())
