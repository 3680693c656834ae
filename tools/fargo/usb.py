"""A board on a USB cable: code run in its REPL by the command mpremote, and what it prints when it is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fargo.console import CONNECTION, Failure

_MARK = "FARGO "
_STDIN = "/dev/stdin"
_TRIES = 3  # Ctrl-C is lost on a board that is just starting
_LOCKED = "it may be locked, without MicroPython, or starting: try again, or flash it anew"


def check(port: str) -> None:
    """Raises Failure when there is no serial port of that name, or it may not be used."""
    if os.name != "posix":
        return
    if not Path(port).exists():
        raise Failure(f"there is no port {port}", "mpremote connect list: shows those that there are", CONNECTION)
    if not Path(port).is_char_device():
        raise Failure(f"{port} is no serial port", "mpremote connect list: shows those that there are", CONNECTION)
    if not os.access(port, os.R_OK | os.W_OK):
        raise Failure(f"{port} may not be used", "join the group that owns it (dialout or uucp)", CONNECTION)


def run(port: str, code: str, restart: bool = False, patience: float = 60) -> dict[str, Any]:
    """Interrupt the board at `port`, run `code` in its REPL, and have it restart; what it printed as JSON after FARGO.

    The code goes to mpremote by its standard input, where there is one to be read by name: nobody sees it in a list of
    processes, or finds it in a file. Raises Failure.
    """
    check(port)
    for attempt in range(1, _TRIES + 1):
        done = _mpremote(port, code, restart, patience)
        said = done.stdout + done.stderr
        if done.returncode == 0 or "could not enter raw repl" not in said or attempt == _TRIES:
            break
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            value: dict[str, Any] = json.loads(line[len(_MARK) :])
            return value
    if "could not enter raw repl" in said:
        raise Failure(f"the board at {port} does not answer", _LOCKED, CONNECTION)
    if "failed to access" in said:
        raise Failure(f"{port} cannot be opened", "close what else is using it, such as a monitor", CONNECTION)
    last = said.strip().splitlines()[-1:] or [f"mpremote ended with {done.returncode}"]
    raise Failure(f"the board at {port}: {last[0]}", code=CONNECTION)


def restart(port: str) -> None:
    """Have the board, which is in its REPL, restart; no error when it does not."""
    try:
        _call(["mpremote", "connect", port, "resume", "reset"], None, 30)
    except Failure:
        pass


def _mpremote(port: str, code: str, restart: bool, patience: float) -> subprocess.CompletedProcess[str]:
    # `resume`: without it mpremote resets the board first, whose boot.py then runs and does not come back.
    end = ["+", "reset"] if restart else []
    if os.path.exists(_STDIN):
        return _call(["mpremote", "connect", port, "resume", "run", _STDIN, *end], code, patience)
    with tempfile.TemporaryDirectory() as folder:  # of this user alone
        path = Path(folder) / "code.py"
        path.write_text(code)
        return _call(["mpremote", "connect", port, "resume", "run", str(path), *end], None, patience)


def _call(command: list[str], text: str | None, patience: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, input=text or "", capture_output=True, text=True, errors="replace", check=False, timeout=patience
        )
    except FileNotFoundError:
        raise Failure("the command mpremote is missing", "pip install mpremote") from None
    except subprocess.TimeoutExpired:
        raise Failure("the board does not finish", "restart it, and try again", CONNECTION) from None


def lines(port: str, patience: float) -> Iterator[str]:
    """What the board prints from now on, line by line; it is not interrupted. Ends after `patience` seconds."""
    import serial  # pyserial, which comes with mpremote

    check(port)
    end = time.monotonic() + patience
    try:
        with serial.Serial(port, 115200, timeout=0.1, exclusive=os.name == "posix" or None) as device:
            text = b""
            while time.monotonic() < end:
                text += device.read(max(1, device.in_waiting))
                *whole, text = text.split(b"\n")
                for line in whole:
                    yield line.decode(errors="replace").rstrip("\r")
    except OSError as error:  # also SerialException
        raise Failure(f"{port}: {error}", "close what else is using it, such as a monitor", CONNECTION) from None
