"""`make test` and `make again`: what CI tries once more, and what it does not."""

import os
import shutil
import subprocess
import sys

import pytest
from modules import ROOT

NAMES = ["one", "two", "three", "four"]
TESTS = """
import os
import pytest
@pytest.mark.parametrize("name", %r)
def test_any(name):
    assert name not in os.environ.get("FAILING", "").split()
@pytest.mark.alone
def test_alone():
    assert "alone" not in os.environ.get("FAILING", "").split()
"""


@pytest.fixture
def project(tmp_path):
    """A few tests in the place of this project's, and its Makefile; `run(target, what fails)`."""
    tests = tmp_path / "host_tests"
    for name in ("powercut", "fuzz", "interop"):
        (tests / name).mkdir(parents=True)
    shutil.copy(ROOT / "host_tests/again.py", tests)
    (tests / "test_few.py").write_text(TESTS % NAMES)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['alone']\n")
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/ready").touch()

    def run(target, *failing):
        told = ["make", "-f", str(ROOT / "Makefile"), "-o", "packages", target, "VENV=venv", "ABREAST=1"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "MAKE"))}
        environment["PATH"] = f"{os.path.dirname(sys.executable)}{os.pathsep}{environment['PATH']}"
        environment["FAILING"] = " ".join(failing)
        done = subprocess.run(told, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        return done.returncode == 0, done.stdout + done.stderr

    run.file = tests / "test_few.py"
    return run


def test_what_passes_alone_is_named_and_what_fails_again_is_a_fault(project):
    assert not project("test", "two", "alone")[0]
    good, said = project("again", "two")
    assert not good and "1 failed, 1 passed" in said, said
    good, said = project("again")
    assert good and said.rstrip().endswith("to be mended:\n  host_tests/test_few.py::test_any[two]"), said


def test_what_failed_in_this_run_alone_and_not_many(project):
    """A test that has another name since would never pass, and so stay known for ever."""
    assert not project("test", *NAMES)[0]
    good, said = project("again")
    assert not good and "4 tests" in said and "passed" not in said
    project.file.write_text(TESTS % ["one", "three"])
    assert not project("test", "three")[0]
    good, said = project("again")
    assert good and "1 passed" in said, said


def test_what_could_not_even_be_run_is_not_tried_again(project):
    text = project.file.read_text()
    project.file.write_text(text + "import not_there\n")
    assert not project("test")[0]
    project.file.write_text(text)
    assert not project("again")[0]
