"""What the device's code takes of a heap with 32-bit words: each module, each phase, and what a phase leaves behind."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

TARGET = Path(__file__).with_name("heap_target.py")
ENTRY = 7  # bytes of a name in a pool: its address, two bytes of hash, its length
_FIRST = 10  # names; each pool holds twice as many as the one before it


class Heap(NamedTuple):
    """Bytes. `code`: of each module, without its names; `names`: (how many, their bytes) that nothing before it had, if all
    are loaded in order; `resident`: code together; `phases`: what each adds, without names; `left`: what it keeps."""

    code: dict[str, int]
    names: dict[str, tuple[int, int]]
    resident: int
    phases: dict[str, int]
    left: dict[str, int]


def pools(names: int) -> int:
    """Bytes of the pools that so many names are kept in, beside their letters."""
    size, held, taken = _FIRST, 0, 0
    while held < names:
        size *= 2
        held += size
        taken += 24 + size * ENTRY + 15 & ~15
    return taken


def smallest(passes: Callable[[int], bool], low: int, high: int, step: int) -> int:
    """The smallest multiple of `step` that passes, between `low` and `high`.

    Ends the program when that is one of these: what is beyond was not tried, so it would be no measurement.
    """
    first, last = low, high
    while high - low > step:
        middle = (low + high) // 2 // step * step
        if passes(middle):
            high = middle
        else:
            low = middle
    if low == first or high == last:
        sys.exit(f"the smallest heap is not between {first} and {last} KB: look elsewhere")
    return high


def measure(
    command: str,
    folder: Path,
    resident: Collection[str],
    rest: Collection[str],
    phases: Mapping[str, Iterable[str]],
) -> Heap:
    """Of the `.mpy` files in `folder`, by the MicroPython `command`: modules by their names there, each after what it
    imports. Ends the program when that fails.
    """
    lines = [" ".join(resident), " ".join(rest)]
    titles = list(phases)
    lines += [f"{n}={' '.join(phases[title])}" for n, title in enumerate(titles)]
    plan = folder / "plan"
    plan.write_text("\n".join(lines))
    done = subprocess.run(
        [command, "-X", "heapsize=1m", str(TARGET), str(folder), str(plan)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the heap was not measured:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    heap = Heap({}, {}, 0, {}, {})
    module, count, letters = "", 0, 0
    for line in done.stdout.splitlines():
        what, *words = line.split()
        if what == "names":
            module = words[0].strip("-")
        elif what == "heap":
            heap.code[words[0]] = int(words[1])
        elif what == "resident":
            heap = heap._replace(resident=int(words[1]))
        elif what == "phase":
            title = titles[int(words[0])]
            heap.phases[title], heap.left[title] = int(words[1]), int(words[2])
        elif line.startswith("qstr pool:"):
            now = {key: int(value) for key, value in re.findall(r"(n_\w+)=(\d+)", line)}
            if module:
                new = now["n_qstr"] - count
                heap.names[module] = new, new * ENTRY + now["n_str_data_bytes"] - letters
            module, count, letters = "", now["n_qstr"], now["n_str_data_bytes"]
    return heap
