"""`make bench`: every figure in one table, build/bench.json with all of them, and docs/performance.md from that.

Memory and size are measured first, several beside each other; then, one after the other and with nothing beside them,
what takes time: RUNS times each, of which the median counts. A bench that cannot run fails all. With CHECK=1 (or
--check) only what does not depend on the machine: gate.py. --renew writes the numbers that it compares with. --only
names benches, whose figures replace the ones in build/bench.json, or says `write`: docs/performance.md from what is
there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import gate
import machine
import peers
import performance
import table
from budgets import past

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FIGURES = ROOT / "build/bench.json"
RUNS = 5
ABREAST = 4
SIZE = "300000"  # bytes of a download


class Bench(NamedTuple):
    """`timed`: its figures depend on what else runs."""

    command: list[str]
    timed: bool = True


def _python(script: str, *arguments: str, timed: bool = True) -> Bench:
    return Bench([sys.executable, str(HERE / script), *arguments], timed)


def _micropython(script: str) -> Bench:
    return Bench(["micropython", "-X", "heapsize=1m", str(HERE / script)])


# The longest first of those that run beside each other.
BENCHES = {
    "memory of updates by coaps": _python("bench_memory.py", "3", "update by coaps", timed=False),
    "memory of updates by https": _python("bench_memory.py", "4", "update by https", timed=False),
    "memory at rest": _python("bench_memory.py", "5", "at rest", "check", timed=False),
    "memory of sessions": _python("bench_memory.py", "6", "another session", "ownership", timed=False),
    "memory with the lamp": _python("bench_memory.py", "7", "lamp", timed=False),
    "memory with an app that fits": _python("bench_memory.py", "8", "fitting", timed=False),
    "chip's heap": _python("chipheap.py", "--measure", timed=False),
    "update": _python("bench_update.py", timed=False),
    "size": _python("size.py", timed=False),
    "delta": _python("bench_delta.py", timed=False),
    "gate": _python("gate.py", timed=False),
    "envelope": _python("bench_envelope.py", timed=False),
    "codec, crypto": _micropython("bench_cbor.py"),
    "codec, CPython": _python("bench_cbor.py"),
    "records": _micropython("bench_records.py"),
    "CoAP": _python("bench_coap.py"),
    "DTLS": _python("bench_dtls.py"),
    "requests": _python("bench_update.py", "--rates"),
    "pipeline": _python("bench_pipeline.py", "--size", SIZE),
    "installer": _python("bench_installer.py", "--size", SIZE, "--runs", "1"),
}


def once(name: str) -> list[dict[str, Any]]:
    """The JSON lines that a bench prints. Ends the program when it fails."""
    folders = ("lib", "tools", "host_tests", ".")
    environment = {**os.environ, "PYTHONPATH": ":".join(str(ROOT / folder) for folder in folders)}
    environment["PYTHONHASHSEED"] = "0"
    done = subprocess.run(
        BENCHES[name].command, capture_output=True, text=True, env=environment, check=False, timeout=900
    )
    if done.returncode:
        sys.exit(f"the bench {name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if name == "size":
        found = [{"bench": "size", **json.loads((ROOT / "build/size.json").read_text())["figures"]}]
    if not found:
        sys.exit(f"the bench {name} printed no figure")
    return found


def merged(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One result of several: the median of each figure that differs, and under "spread" its least and its most."""
    result: dict[str, Any] = {}
    spread: dict[str, list[float]] = {}
    for key, value in runs[0].items():
        values = [run[key] for run in runs]
        if isinstance(value, (int, float)) and not isinstance(value, bool) and len(set(values)) > 1:
            result[key] = statistics.median(values)
            spread[key] = [min(values), max(values)]
        else:
            result[key] = value
    if len(runs) > 1:
        result["runs"], result["spread"] = len(runs), spread
    return result


def measure(names: list[str], runs: int) -> dict[str, list[dict[str, Any]]]:
    """The results of these benches."""
    began = time.monotonic()

    def say(name: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s  {name}", file=sys.stderr)

    def untimed(name: str) -> list[dict[str, Any]]:
        found = once(name)
        say(name)
        return found

    found = {}
    quiet = [name for name in names if not BENCHES[name].timed]
    with ThreadPoolExecutor(ABREAST) as pool:
        found = dict(zip(quiet, pool.map(untimed, quiet), strict=True))
    for name in names:
        if BENCHES[name].timed:
            each = [once(name) for _ in range(runs)]
            found[name] = [merged(list(lines)) for lines in zip(*each, strict=True)]
            say(name)
    return found


def save(names: list[str], runs: int) -> None:
    """Measure these; what a part of them replaces in build/bench.json is said there, with its own machine."""
    here = {**machine.describe(), "runs": runs}
    began = time.monotonic()
    try:
        peers.fetch()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"The peers were not fetched: {getattr(error, 'stderr', '') or error}", file=sys.stderr)
    found = measure(names, runs)
    here["minutes"] = round((time.monotonic() - began) / 60, 1)
    figures = {"machine": here, "results": found}
    if len(names) < len(BENCHES) and FIGURES.exists():
        figures = json.loads(FIGURES.read_text())
        figures["results"].update(found)
        later = figures["machine"].setdefault("later", {})
        later.update(dict.fromkeys(names, {key: here[key] for key in ("date", "commit", "runs", "load")}))
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", default=bool(os.environ.get("CHECK")))
    parser.add_argument("--renew", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[*BENCHES, "write"], metavar="BENCH", default=list(BENCHES))
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    if options.renew:
        gate.renew()
        return 0
    if options.check:
        return gate.check()
    names = [name for name in options.only if name != "write"]
    if names:
        save(names, options.runs)
    if not FIGURES.exists():
        sys.exit("There are no figures yet: make bench")
    figures = json.loads(FIGURES.read_text())
    sections = table.sections([result for some in figures["results"].values() for result in some])
    if names:
        table.show(sections)
    performance.write(figures["machine"], sections)
    print(
        f"{FIGURES.relative_to(ROOT)} has all figures, {performance.DOCUMENT.relative_to(ROOT)} is written from them."
    )
    results = [r for some in figures["results"].values() for r in some]
    over, failed = past(
        {"heap": table.worst(results), **{a: table.worst(results, bench="memory32 " + a) for a in ("lamp", "fitting")}}
    )
    if failed:
        sys.exit(f"past the budget: {'; '.join(over)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
