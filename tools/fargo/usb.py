"""A board on a USB cable: code run in its REPL by the command mpremote, and what it prints when it is left alone."""

from __future__ import annotations

import contextlib
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
_REPL_S = 12  # longer than a start takes
_RUN_S = 30
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


def interrupt(port: str) -> None:
    """Have the board stop what it does and wait in its REPL. Raises Failure when it does not.

    Again and again, where mpremote does it once: a board that restarts all the time does not hear every Ctrl-C.
    """
    check(port)
    end = time.monotonic() + _REPL_S
    said = b""
    with _opened(port) as device:
        while b">>> " not in said:
            if time.monotonic() > end:
                raise Failure(f"the board at {port} does not answer", _LOCKED, CONNECTION)
            device.write(b"\r\x03\x02")  # Ctrl-C ends what runs, Ctrl-B the raw REPL
            said = said[-8:] + device.read(4096)


def run(port: str, code: str, restart: bool = False) -> dict[str, Any]:
    """Interrupt the board at `port`, run `code` in its REPL, and have it restart; what it printed as JSON after FARGO.

    The code goes to mpremote by its standard input, where there is one to be read by name: nobody sees it in a list of
    processes, or finds it in a file. Raises Failure.
    """
    interrupt(port)
    # `resume`: without it mpremote resets the board first, whose boot.py then runs and does not come back.
    command, end = ["mpremote", "connect", port, "resume", "run"], ["+", "reset"] if restart else []
    if os.path.exists(_STDIN):
        done = _call([*command, _STDIN, *end], code)
    else:
        with tempfile.TemporaryDirectory() as folder:  # of this user alone
            path = Path(folder) / "code.py"
            path.write_text(code)
            done = _call([*command, str(path), *end])
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            try:
                value: dict[str, Any] = json.loads(line[len(_MARK) :])
            except ValueError:
                raise damaged(port) from None
            return value
    last = (done.stdout + done.stderr).strip().splitlines()[-1:] or [f"mpremote ended with {done.returncode}"]
    raise Failure(f"the board at {port}: {last[0]}", code=CONNECTION)


def damaged(port: str) -> Failure:
    """To be raised."""
    hint = "try again, with another cable if there is one"
    return Failure(f"what the board at {port} answered came damaged", hint, CONNECTION)


def restart(port: str) -> None:
    """Have the board, which is in its REPL, restart; no error when it does not."""
    try:
        _call(["mpremote", "connect", port, "resume", "reset"])
    except Failure:
        pass


def _call(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, errors="replace", check=False, timeout=_RUN_S
        )
    except FileNotFoundError:
        raise Failure("the command mpremote is missing", "pip install mpremote") from None
    except subprocess.TimeoutExpired:
        raise Failure("the board does not finish", "restart it, and try again", CONNECTION) from None


@contextlib.contextmanager
def _opened(port: str) -> Iterator[Any]:
    import serial  # pyserial, which mpremote brings; not needed by any other command

    try:
        with serial.Serial(port, 115200, timeout=0.2, exclusive=True if os.name == "posix" else None) as device:
            yield device
    except OSError:  # also SerialException
        raise Failure(
            f"{port} cannot be used", "is the cable in, and nothing else on it, such as a monitor?", 4
        ) from None


def lines(port: str, patience: float) -> Iterator[str]:
    """What the board prints from now on, line by line; it is not interrupted. Ends after `patience` seconds."""
    check(port)
    end = time.monotonic() + patience
    with _opened(port) as device:
        text = b""
        while time.monotonic() < end:
            text += device.read(max(1, device.in_waiting))
            *whole, text = text.split(b"\n")
            for line in whole:
                yield line.decode(errors="replace").rstrip("\r")
