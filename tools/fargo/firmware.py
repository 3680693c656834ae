"""`make firmware`: MicroPython's own build for the ESP32, with Fargo frozen in (board/README.md).

Never compiled where Fargo is written: there is no ESP-IDF. What is done here is to say what is missing, and to run
MicroPython's Makefile with our board.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from fargo import image
from fargo.bundle import ROOT
from fargo.console import USAGE, Failure, Output, run

SINCE = "1.29"  # the first MicroPython whose board definitions have the shared parts that ours include


def boards() -> dict[str, list[str]]:
    """Names of the boards, each with its variants."""
    found = {}
    for file in sorted((ROOT / "board").glob("*/mpconfigboard.cmake")):
        variants = file.parent.glob("mpconfigvariant_*.cmake")
        found[file.parent.name] = sorted(path.stem.removeprefix("mpconfigvariant_") for path in variants)
    return found


def check(board: str, variant: str, micropython: str) -> Path:
    """The folder of MicroPython's ESP32 port, when a build can begin. Raises Failure that says what is missing."""
    known = boards()
    if board not in known:
        raise Failure(f"there is no board {board or '(BOARD= is empty)'}", f"BOARD= one of {', '.join(known)}", USAGE)
    if variant and variant not in known[board]:
        names = ", ".join(known[board]) or "none"
        raise Failure(f"{board} has no variant {variant}", f"it has: {names}", USAGE)
    if not micropython:
        hint = f"MICROPYTHON=path of its source, {SINCE} or later (github.com/micropython/micropython)"
        raise Failure("it is not said where MicroPython is", hint, USAGE)
    port = Path(micropython).expanduser().resolve() / "ports/esp32"
    if not (port / "Makefile").is_file() or not (port.parents[1] / "py/mpconfig.h").is_file():
        raise Failure(f"{micropython} is not MicroPython's source", "it has the folders py and ports/esp32", USAGE)
    text = (ROOT / "board" / board / "mpconfigboard.cmake").read_text()
    for name in re.findall(r"boards/[\w.]+", text):
        if not (port / name).is_file():
            raise Failure(f"{micropython} has no ports/esp32/{name}", f"MicroPython {SINCE} or later is needed", USAGE)
    if not os.environ.get("IDF_PATH") or not shutil.which("idf.py"):
        raise Failure("ESP-IDF's environment is not set", "in this shell, first: . path/to/esp-idf/export.sh", USAGE)
    return port


def build(board: str, variant: str, micropython: str) -> Path:
    """Build the firmware; the image that a release carries. Raises Failure."""
    port = check(board, variant, micropython)
    folder = ROOT / "build" / (f"{board}-{variant}" if variant else board)
    command = ["make", "-C", str(port), f"BOARD_DIR={ROOT / 'board' / board}", f"BUILD={folder}"]
    if variant:
        command.append(f"BOARD_VARIANT={variant}")
    if (port.parents[1] / ".git").exists():  # a released archive has its submodules
        _run([*command, "submodules"])
    _run(command)
    made = folder / "micropython.bin"
    data = made.read_bytes() if made.is_file() else b""
    if not image.has_fargo(data):
        raise Failure(f"{made} has no Fargo in it", "look at what MicroPython's build printed, though it ended well")
    return made


def _run(command: list[str]) -> None:
    # The variables of the `make` that we are run by are no business of this one.
    hidden = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command)} ended with {done.returncode}", "its own output is above")


def main(arguments: list[str] | None = None) -> int:
    """The command line of `make firmware`; the exit code."""
    parser = argparse.ArgumentParser(prog="fargo.firmware", description=__doc__)
    parser.add_argument("--board", default="")
    parser.add_argument("--variant", default="")
    parser.add_argument("--micropython", default="", metavar="PATH")
    options = parser.parse_args(arguments)

    def command() -> None:
        made = build(options.board, options.variant, options.micropython)
        Output().result(
            {"firmware": str(made)}, f"{made}: for a release, with 'fargo release build --frozen --firmware'"
        )

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
