"""The tester finds bugs: known-bad builds, each a patch to product source, and the check that has to find it.

`bugs/NAME.patch` is a small diff with a head of text: what is wrong, and lines

    Seen in: a real system that had it, when one is known
    Check: powercut ARGUMENTS        (of run.py, with --stop), or: pytest NODE ...
    Words: what the check has to say of it

For each, the tree is copied to a temporary folder and patched there, and the check runs in the copy, on the copy's code:
it has to fail, with these words. The same check on a copy that was not patched has to pass. With `--units` the tests of
the libraries run on each patched copy, under both interpreters: a bug that they find is no proof of the tester.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
_PARTS = ("lib", "firmware", "board", "tools", "host_tests", "examples", "boot.py", "pyproject.toml")
_PRODUCT = re.compile(r"^\+\+\+ b/(lib/|firmware/|boot\.py|board/vfs/|board/esp32/)")
_SEARCHED = ("lib", "tools", "host_tests", ".")
_TIMEOUT = 900  # seconds of a check, on a busy machine
# What tests device code without a board, but for what no bug touches: formats, cryptography and transports.
UNITS = (
    "host_tests/unit/both", "host_tests/micropython", "host_tests/unit/test_store.py", "host_tests/unit/test_phase.py",
    "host_tests/unit/test_imports.py", "host_tests/unit/test_machine_properties.py",
    "host_tests/unit/test_security_sockets.py", "-k",
    "not (test_port or cbor or coap or dtls or test_ccm or cose or csr or test_der or test_dns or download or https or p256"
    " or prf or x509)",
)  # fmt: skip


@dataclass(frozen=True)
class Bug:
    """One known-bad build. `check`: the command, in a copy of the tree; `words`: what its output then holds."""

    name: str
    what: str
    check: tuple[str, ...]
    words: str

    @property
    def patch(self) -> Path:
        """The diff."""
        return HERE / "bugs" / f"{self.name}.patch"


def read(path: Path) -> Bug:
    """The bug that a patch describes. Raises ValueError when its head is not as it should be."""
    text = path.read_text()
    head, _, diff = text.partition("\ndiff --git ")
    if not diff:
        raise ValueError(f"{path.name} has no diff")
    touched = [line for line in text.splitlines() if line.startswith("+++ ")]
    if not all(_PRODUCT.match(line) for line in touched):
        raise ValueError(f"{path.name} changes what is no product source: {touched}")
    fields = dict(re.findall(r"^(Check|Words): (.+)$", head, re.MULTILINE))
    if set(fields) != {"Check", "Words"}:
        raise ValueError(f"{path.name} does not say what has to find it")
    kind, *arguments = re.findall(r"(?:[^\s\[]|\[[^\]]*\])+", fields["Check"])  # in brackets may be spaces
    commands = {
        # Few boards at a time: what is tried beside the cut that shows it is tried for nothing.
        "powercut": ("host_tests/powercut/run.py", *arguments, "--stop", "--workers", "2"),
        "pytest": ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=short", *arguments),
    }
    return Bug(path.stem, head.split("\n\n")[0], commands[kind], fields["Words"])


def bugs() -> list[Bug]:
    """All of them."""
    return [read(path) for path in sorted((HERE / "bugs").glob("*.patch"))]


@contextmanager
def tree(bug: Bug | None) -> Iterator[Path]:
    """A copy of the tree with `bug` in it. Raises ValueError when its patch does not apply."""
    with tempfile.TemporaryDirectory(prefix="bug-") as folder:
        home = Path(folder)
        for part in _PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                shutil.copy(ROOT / part, home / part)
        if bug:
            done = _run(home, ("git", "apply", "-p1", "-C1", "--recount", str(bug.patch)))
            if done.returncode:
                raise ValueError(f"{bug.patch.name} does not apply any more: {done.stdout}")
        yield home


def _run(home: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(home / part) for part in _SEARCHED),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CEILING_DIRECTORIES": str(home.parent),  # a copy is in no repository, wherever it is
    }
    return subprocess.run(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=_TIMEOUT, check=False,
    )  # fmt: skip


def check(home: Path, command: Sequence[str]) -> tuple[int, str]:
    """Run a check in a copy of the tree: exit code and output; -1 when it does not end."""
    try:
        done = _run(home, (sys.executable, *command))
    except subprocess.TimeoutExpired:
        return -1, f"no end within {_TIMEOUT} s"
    return done.returncode, done.stdout


def caught(bug: Bug) -> str:
    """Why the check of `bug` did not find it, or "" when it did. Raises ValueError when its patch does not apply."""
    with tree(bug) as home:
        code, output = check(home, bug.check)
    if code == 1 and bug.words in output:
        return ""
    return f"{bug.name} was not found (exit code {code}, expected {bug.words!r}):\n{output[-3000:]}"


def units(bug: Bug) -> str:
    """What the tests of the libraries say of a build with `bug`: "" when they pass."""
    with tree(bug) as home:
        code, output = check(home, ("-m", "pytest", "-q", "-p", "no:cacheprovider", *UNITS))
    return "" if code == 0 else output[-3000:]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help="of bugs; all when none is named")
    parser.add_argument("--units", action="store_true", help="only: whether the tests of the libraries pass with it")
    parser.add_argument("--clean", action="store_true", help="only: whether its check passes without it")
    parser.add_argument("--show", action="store_true", help="all output of the check")
    arguments = parser.parse_args()
    wrong = 0
    for bug in bugs():
        if arguments.name and bug.name not in arguments.name:
            continue
        began = time.monotonic()
        if arguments.units:
            problem = units(bug)
        elif arguments.clean or arguments.show:
            with tree(None if arguments.clean else bug) as home:
                code, problem = check(home, bug.check)
                problem = "" if arguments.clean and code == 0 else problem
        else:
            problem = caught(bug)
        wrong += bool(problem)
        seconds = time.monotonic() - began
        print(f"{bug.name:22} {'WRONG' if problem else 'ok'}, {seconds:.0f} s {problem}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
