"""Fuzzing led by coverage: it finds what chance does not, keeps it, says how to repeat it, and ends with 1."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris", reason="there are builds of atheris for Linux on x86_64 alone")

SCRIPT = str(Path(__file__).with_name("guided.py"))


def guided(home: Path, *arguments: str) -> tuple[int, str, dict]:
    """Exit code, output and figures of a run."""
    run = subprocess.run(
        [sys.executable, SCRIPT, "--seed", "1", *arguments],
        env={**os.environ, "FUZZ_BUILD": str(home / "fuzz")}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    figures = home / "reliability/fuzz.json"
    return run.returncode, run.stdout + run.stderr, json.loads(figures.read_text()) if figures.exists() else {}


def test_a_planted_error_is_found_kept_and_repeated(tmp_path):
    code, output, figures = guided(tmp_path, "--minutes", "1", "planted:bug")
    assert code == 1 and figures["failures"] == 1 and "IndexError: planted" in output, output
    (command,) = re.findall(r"FAILED: python \S+guided.py (.*)", output)
    (kept,) = (tmp_path / "fuzz/failed").iterdir()
    assert kept.read_bytes()[:5] == b"fargo" and str(kept) in command
    assert guided(tmp_path, *shlex.split(command))[0] == 1


def test_a_good_reader_is_all_right(tmp_path):
    code, output, figures = guided(tmp_path, "--minutes", "0.05", "rfc3339")
    assert code == 0 and figures["failures"] == 0, output
    row = figures["per_target"]["rfc3339"]
    assert row["inputs"] == figures["inputs"] > 1000 and row["coverage"] >= row["coverage_before"] > 20
    assert guided(tmp_path, "nothing-like-that")[0] == 2
