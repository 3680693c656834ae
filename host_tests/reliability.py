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
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("lib", "tools", "host_tests", ".")]

from powercut.bugs import bugs  # noqa: E402

BUILD = ROOT / "build/reliability"
DOCUMENT = ROOT / "docs/reliability.md"

_PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
# name: command, in the order of the document
PROOFS: dict[str, list[str]] = {
    "powercut": ["host_tests/powercut/run.py", "--json", str(BUILD / "powercut.json")],
    "bugs": [*_PYTEST, "host_tests/powercut/test_bugs.py"],
    "damage": [
        *_PYTEST,
        *(f"host_tests/sim/test_damage_{what}.py" for what in ("slots", "data", "vfs", "records", "errors")),
    ],
    "memory": [*_PYTEST, "host_tests/sim/test_faults_memory.py"],
    "reboots": [*_PYTEST, "host_tests/sim/test_faults_reboots.py"],
    "fuzz": ["host_tests/fuzz/guided.py", "--minutes", "30"],
    "fire": [*_PYTEST, "host_tests/sim/test_under_fire.py"],
    "amplification": [*_PYTEST, "host_tests/sim/test_amplification.py"],
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
        (BUILD / f"{name}.json").unlink(missing_ok=True)  # some add to it
        code = subprocess.call([sys.executable, *command], cwd=ROOT, env={**os.environ, "FARGO_LONG": "1"})
        print(f"-- {name}: {'passed' if not code else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
        failed += [name] if code else []
        _ran(name)
        if name == "bugs" and not code:
            found = [{"name": bug.name, "what": bug.what, "check": " ".join(bug.check)} for bug in bugs()]
            (BUILD / "bugs.json").write_text(json.dumps(found, indent=1))
    if "write" in arguments.only:
        DOCUMENT.write_text(document())
        print(DOCUMENT.relative_to(ROOT))
    return 1 if failed else 0


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _commits() -> dict[str, str]:
    """What each proof was run on."""
    path = BUILD / "commits.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _ran(name: str) -> None:
    (BUILD / "commits.json").write_text(json.dumps(_commits() | {name: _commit()}, indent=1))


def document() -> str:
    """The text of docs/reliability.md."""
    commits = _commits()
    sections = [
        "# Reliability",
        "This page is written by `make reliability` from what the runs counted. "
        f"{datetime.date.today()}, commit {_commit()}, Python {platform.python_version()}, {os.cpu_count()} cores.",
    ]
    for name, write in SECTIONS.items():
        path = BUILD / f"{name}.json"
        found = json.loads(path.read_text()) if path.exists() else None
        sections.append(write(found) if found else f"## {name.capitalize()}\n\nWas not run for this page.")
        if found and commits.get(name, _commit()) != _commit():
            sections.append(f"This part was run on commit {commits[name]}.")
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
    commits: dict[str, list[str]] = {}
    for t in tallies:
        commits.setdefault(t.get("commit") or "unknown", []).append(f"{t['scenario']} on {t['geometry']}")
    told = "; ".join(f"{commit}: {', '.join(what)}" for commit, what in commits.items())
    where = f"\n\nThey were not all run on one commit. {told}." if len(commits) > 1 else ""
    return f"""## Power cuts

Each scenario was run once on the simulated board, whose flash wrote a journal: *N* operations (sectors erased, and
what was programmed: slots, `otadata`, LittleFS, NVS). Then the flash was put together as it stood after each of them,
and as it stood within each: the first half done, or all of it but for some bits. States that had been there before
were left out. Each was *looked at* from outside: what the bootloader would start is a released pair byte for byte,
nothing looks whole that is not, nothing is armed, and the sequence floor is not raised, before its time. And each was
booted in a fresh process: after a whole operation (*cuts*) or a *torn* one. The device went on by itself until it was
at rest; then the flash file was read once more: what runs, what the record says of it, the floor, and the owner's
records byte for byte. Either it *ended* as it would have, or nothing had begun yet and its Client *repeated* it. Then
it was started again. *Second* cuts are in the recovery from a first one.

{_table("scenario | flash | N | looked at | cuts | torn | second | ended | repeated | failures", rows)}

Flashes: `frozen` has slots of 16 + 16 sectors and Fargo in the firmware, `small` of 32 + 48 sectors; in `odd` the
second slot comes before the first and no size is a power of two; `4MB` is the real one with a firmware of 1.6 MB.
Where there are fewer first cuts than three for each operation (less those states that had been there before) they are
a sample, spread over the run; so are second cuts. `make powercut` without a limit does all first cuts, and in
`update` on `frozen` cuts again after every operation of every recovery.

`make powercut` repeats it. `host_tests/powercut/run.py --scenario update --geometry odd --second 2` tries others.{where}"""


def _bugs(found: list[dict[str, str]]) -> str:
    rows = []
    for bug in found:
        scenario = re.search(r"--scenario (\w[\w-]*)", bug["check"])
        by = f"power cuts in `{scenario[1]}`" if scenario else f"`{bug['check'][bug['check'].index('host_tests/') :]}`"
        rows.append([f"`{bug['name']}`", " ".join(bug["what"].split()), by])
    return f"""## Known-bad builds

So that it is known that the tests find what they are for: {len(rows)} patches to the product, in `host_tests/powercut/bugs`,
each a mistake that one can make, some of which others have made. Each of them was found, in a copy of the tree.

{_table("build | mistake | found by", rows)}"""


def _counted(title: str, text: str, *names: str) -> Callable[[dict[str, Any]], str]:
    def write(found: dict[str, Any]) -> str:
        rows = [[name.replace("_", " "), _plain(found[name])] for name in names or found if name in found]
        return f"## {title}\n\n{text}\n\n{_table('what | figure', rows)}"

    return write


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(value[name])}" for name in value)
    return value


def _fire(found: dict[str, Any]) -> str:
    names = ("answered", "lost", "median_ms", "p99_ms")
    rows = [[rate, *(figures[name] for name in names)] for rate, figures in found["rates"].items()]
    return f"""## Under fire

Random and mutated datagrams, from many ports, at each of the device's two ports, on the unix port with the chip's
queue of six datagrams; meanwhile its owner asks, one request after the other, for a minute. Above about 1,000 a
second to each port he is no longer served while it lasts, and is again as soon as it ends.

{_table("datagrams a second to each port | answered | timed out | median, ms | 99 of 100 within, ms", rows)}"""


def _amplification(found: dict[str, Any]) -> str:
    factors = found["clear"]["factors"]
    rows = [[f"`{what}`", factor] for what, factor in factors.items() if factor >= 2]
    more = [[name.replace("_", " "), _plain(value)] for name, value in found.items() if not isinstance(value, dict)]
    return f"""## Amplification

Bytes answered for each byte asked in the clear, of an owned device; what is not in the table is below 2. OCF makes discovery
large. So what goes out in the clear is limited: three times what came, and 4 KB a second with 24 KB saved up. On the secured
port less goes out than came until a cookie has come back.

{_table("asked | factor", rows + more)}"""


SECTIONS: dict[str, Callable[[Any], str]] = {
    "powercut": _powercut,
    "bugs": _bugs,
    "damage": _counted(
        "Damage at rest",
        "Slots, `otadata`, file systems and records damaged while the board was off, and flash that fails when written: "
        "reached and updated afterwards over the network, or repaired by USB as [recovery.md](recovery.md) says.",
    ),
    "memory": _counted("Memory", "An update at every size of the heap, from the least with which an owner is answered."),
    "reboots": _counted("Reboots", "Of an idle device, and of one whose plug is pulled at random while it is updated."),
    "fuzz": _counted(
        "Hostile input", "Fuzzing that is led by coverage, of everything that reads what strangers send.",
        "inputs", "targets", "minutes", "seed", "failures",
    ),
    "fire": _fire,
    "amplification": _amplification,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
