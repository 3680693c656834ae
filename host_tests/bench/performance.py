"""docs/performance.md, written by `make bench` from what it measured."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from table import NOT_HERE, Section

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/performance.md"
_LOUD = ("MISSED", NOT_HERE)
_WORDS = {
    "Budgets": "What the design asks for. A budget that is missed says so; none is kept because it is near. Memory "
    "is that of a MicroPython with words of 32 bits, as the chip has, and with an app of 20 KB of `.mpy`, unless it "
    "says otherwise. Such heaps, found by trying sizes, are the device's alone: what the simulated chip's own Python "
    "takes of them, some 25 KB, is taken off. Each size is tried once, so another search may find some KB more or less: "
    "of five for the lamp's update by coaps four found 109,168 to 112,240 B, and one beside other work 115,312 B "
    "(2026-11-26). A heap of the 64-bit unix port is as it is, with all that. The heap of `make chipheap` grows as that "
    "of a stock ESP32: by a second area of 56 KB, and by a third that takes what WiFi needs, after which no packet "
    "arrives until it is given back. The flash model blocks the interpreter for 57 ms with each 4 KB, and TCP has the "
    "chip's window of 5,760 bytes.",
    "Beside others, in the same run": "Each line is the same work on the same interpreter and machine, ours and then "
    "what is named behind the semicolon. Requests: more is better; microseconds and bytes: less is. Mbed TLS opens CBC "
    "records in constant time, which lib/dtls does not claim to ([security.md](security.md)).",
    "Work of the device, unix port": "Counted by valgrind's callgrind and by the heap itself, so nearly the same on "
    "every machine. `make bench CHECK=1` fails when one grows by more than a tenth over `host_tests/bench/gate.json`; "
    "`python host_tests/bench/run.py --renew` writes that file anew.",
    "More": "",
}


def write(machine: dict[str, Any], sections: Iterable[Section]) -> None:
    """The page."""
    DOCUMENT.write_text("\n\n".join(_parts(machine, list(sections))) + "\n")


def _parts(machine: dict[str, Any], sections: list[Section]) -> list[str]:
    parts = [
        "# Performance",
        f"This page is written by `make bench`. {machine['date']}, commit {machine['commit']}; {machine['processor']}, "
        f"{machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']}, {machine['micropython']}; "
        f"load {machine['load']} at the start. No figure is from a chip: an ESP32 is estimated to take about a "
        "hundred times as long for the same bytecode.",
        f"What takes time was measured {machine['runs']} times: the median, and the least and the most of the runs. "
        f"`make bench` repeats everything (here in {machine['minutes']} minutes). It wants a machine with nothing else to "
        "do, `make heap32 chipheap` before it for memory with words of 32 bits, `apt-get install valgrind` for "
        f"instructions, and a network the first time, for what others have made ({machine['peers']}). `build/bench.json` "
        "has all figures.",
    ]
    if "later" in machine:
        told = [f"{name} ({at['date']}, commit {at['commit']})" for name, at in machine["later"].items()]
        parts.append(f"Measured again later: {', '.join(told)}.")
    for section in sections:
        parts += [f"## {section.title}", *filter(None, [_WORDS[section.title]]), _table(section)]
    return parts


def _table(section: Section) -> str:
    """In Markdown, without the columns that are empty."""
    kept = section.kept()
    lines = [
        "| " + " | ".join(section.columns[at] for at in kept) + " |",
        "|" + "".join("---|" if at in (0, 4) else "---:|" for at in kept),
    ]
    for row in section.rows:
        cells = [f"**{row[at]}**" if row[at].startswith(_LOUD) else row[at] for at in kept]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
