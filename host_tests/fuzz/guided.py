"""Fuzzing led by coverage (atheris, which is libFuzzer): what reaches new code of ours is kept and changed further.

    python host_tests/fuzz/guided.py [--minutes N] [TARGET ...]      all targets, or these, for N minutes in all
    python host_tests/fuzz/guided.py --input FILE TARGET             one input again
    python host_tests/fuzz/guided.py --keep [TARGET ...]             what the last runs found, into the corpus

A run begins with the examples, the corpus in the repository (corpus/TARGET.txt) and what earlier runs have found
(build/fuzz/TARGET). It prints a line for each target and writes build/reliability/fuzz.json. It ends with 1 when an input
failed: that is kept in build/fuzz/failed, and the command that repeats it is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = Path(os.environ.get("FUZZ_BUILD", ROOT / "build/fuzz"))
FIGURES = BUILD.parent / "reliability/fuzz.json"
sys.path[:0] = [str(ROOT / f) for f in ("lib", "", "host_tests", "host_tests/fuzz", "host_tests/unit/both")]

LIBRARIES = ["cbor", "coap", "crypto", "dtls", "ocf", "swupdate"]
OURS = [*LIBRARIES, "firmware", "board", "planted"]
SECONDS = 10  # for one input
MEGABYTES = 700
LARGEST_CORPUS = 12_000  # bytes of a target's corpus in the repository


def find(name: str) -> Any:
    """The target with this name; "module:" before it is where it is, if not in `targets`."""
    module, _, attribute = name.rpartition(":")
    if module:
        return getattr(__import__(module), attribute)
    from targets import TARGETS

    return next(target for target in TARGETS if target.name == name)


def runner(target: Any) -> Callable[[bytes], Any]:
    """Runs one input; what the target may not raise comes out."""
    from fuzzing import once

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return lambda data: loop.run_until_complete(once(target, data, 0))


def load() -> None:
    """Import all that phases would load for a moment: its coverage must not begin anew each time."""
    for package in LIBRARIES:
        for file in sorted((ROOT / "lib" / package).rglob("*.py")):
            __import__(".".join(file.relative_to(ROOT / "lib").with_suffix("").parts).removesuffix(".__init__"))


def work(name: str, arguments: list[str]) -> None:
    """The process that fuzzes `name`; `arguments` are libFuzzer's. It does not return."""
    import atheris

    with atheris.instrument_imports(include=OURS):
        load()
        target = find(name)
    run = runner(target)

    def test(data: bytes) -> None:
        run(data[: target.limit])

    run(target.examples[0])  # what is made once is made now
    atheris.Setup([sys.argv[0], *arguments], test)
    atheris.Fuzz()


def seeds(target: Any) -> Iterable[bytes]:
    """Examples, and the corpus in the repository."""
    from seeds import inputs

    yield from target.examples
    yield from inputs(target.name)


def fuzz(target: Any, seconds: float, seed: int) -> dict[str, Any]:
    """Fuzz for so long; the figures of it."""
    folder, failed = BUILD / target.name, BUILD / "failed"
    folder.mkdir(parents=True, exist_ok=True)
    failed.mkdir(exist_ok=True)
    for data in seeds(target):
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    before = set(failed.iterdir())
    arguments = [
        f"-max_total_time={max(round(seconds), 1)}", f"-max_len={target.limit}", f"-timeout={SECONDS}", f"-seed={seed}",
        f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={failed}/{target.name}-", "-print_final_stats=1", str(folder),
    ]  # fmt: skip
    command = [sys.executable, __file__, "--worker", target.name, "--", *arguments]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    spent = time.monotonic() - began
    covered = [int(number) for number in re.findall(r" cov: (\d+)", done.stderr)]
    ran = re.findall(r"stat::number_of_executed_units: *(\d+)", done.stderr)
    new = re.findall(r"stat::new_units_added: *(\d+)", done.stderr)
    figures = {
        "inputs": int(ran[-1]) if ran else 0, "seconds": round(spent, 1), "failures": int(done.returncode != 0),
        "coverage_before": covered[0] if covered else 0, "coverage": covered[-1] if covered else 0,
        "found": int(new[-1]) if new else 0,
    }  # fmt: skip
    print(
        f"{target.name:14} {figures['inputs']:9,} inputs in {spent:5.0f} s   coverage {figures['coverage_before']:5} ->"
        f" {figures['coverage']:5}   {figures['found']:4} kept",
        flush=True,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
        print(done.stdout[-3000:] + "\n".join(said)[-3000:])
        for file in sorted(set(failed.iterdir()) - before):
            print(f"FAILED: python host_tests/fuzz/guided.py --input {file} {target.name}", flush=True)
    return figures


def keep(target: Any) -> None:
    """Choose what of all inputs known goes into the repository: the shortest that reach something new, line by line."""
    from seeds import lines, write

    known = lines(target.name)
    found = [(why, data) for why, data in known if why]
    candidates = {data for why, data in known} | {file.read_bytes() for file in (BUILD / target.name).glob("*")}
    candidates -= {data for _, data in found} | set(target.examples)
    run = runner(target)
    reached: set[tuple[Any, int, int]] = set()
    for data in [*target.examples, *(data for _, data in found)]:
        reached |= trace(run, data)
    size = sum(len(data) for _, data in found)
    for data in sorted(candidates, key=lambda data: (len(data), data)):
        new = trace(run, data) - reached if size + len(data) <= LARGEST_CORPUS else set()
        if new:
            reached |= new
            size += len(data)
            found.append((None, data))
    if found:
        write(target.name, found)
    print(f"{target.name:14} {len(found):3} inputs, {size:6,} bytes")


def trace(run: Callable[[bytes], Any], data: bytes) -> set[tuple[Any, int, int]]:
    """The steps from line to line that one input makes in code of ours."""
    found: set[tuple[Any, int, int]] = set()
    last: dict[Any, int] = {}

    def step(frame: Any, event: str, _argument: Any) -> Any:
        code = frame.f_code
        if event == "call":
            if not code.co_filename.startswith((f"{ROOT}/lib/", f"{ROOT}/board/", f"{ROOT}/firmware/")):
                return None
            last[frame] = 0
        elif event == "line":
            found.add((code, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return step

    sys.settrace(step)
    try:
        run(data)
    finally:
        sys.settrace(None)
    return found


def repeat(name: str, file: str) -> int:
    """Run the input in `file` once more, without atheris."""
    try:
        print("accepted" if runner(find(name))(Path(file).read_bytes()) else "refused")
        return 0
    except BaseException:  # noqa: BLE001 - that is what it is about
        traceback.print_exc()
        return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("FUZZ_SEED", time.time())))
    parser.add_argument("--input", metavar="FILE")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    from targets import TARGETS

    try:
        chosen = [find(name) for name in options.targets] or TARGETS
    except (StopIteration, ImportError, AttributeError):
        parser.error("targets are " + ", ".join(target.name for target in TARGETS))
    if options.input:
        return repeat(options.targets[0], options.input)
    if options.keep:
        for target in chosen:
            keep(target)
        return 0
    if find_spec("atheris") is None:
        print("atheris is missing: pip install atheris (there are builds for Linux on x86_64 alone)")
        return 1
    print(f"FUZZ_SEED={options.seed}")
    share = options.minutes * 60 / len(chosen)
    found = {target.name: fuzz(target, share, options.seed & 0xFFFFFFFF) for target in chosen}
    figures = {
        "inputs": sum(row["inputs"] for row in found.values()), "targets": len(found), "minutes": options.minutes,
        "seed": options.seed, "failures": sum(row["failures"] for row in found.values()), "per_target": found,
    }  # fmt: skip
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{figures['inputs']:,} inputs for {len(found)} targets, {figures['failures']} failures; {FIGURES}")
    return 1 if figures["failures"] else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], sys.argv[4:])
    sys.exit(main())
