"""esptool, the command: what it finds on a port, and reading, erasing and writing a board's flash with it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fargo.console import CONNECTION, USAGE, Failure

_COMMAND = "esptool"
_AT = re.compile(r"Writing at (0x[0-9a-f]+)")
# What esptool and pyserial say, and what it means.
_MEANINGS = (
    (r"Errno 2\]|FileNotFoundError", "there is no port {port}", "plug the board in; 'mpremote devs' lists the ports"),
    (r"Permission denied", "{port} may not be opened", "add yourself to its group, often dialout, and log in again"),
    (
        r"exclusively lock|Errno 11\]|Errno 16\]|Access is denied",
        "{port} is in use",
        "close the program that has it open",
    ),
    (r"Could not open", "{port} is no serial port", "'mpremote devs' lists the ports"),
    (r"Failed to connect|No serial data", "no ESP32 answers on {port}", "hold its BOOT button while this begins"),
    (
        r"serial exception|stopped responding",
        "the connection to {port} was lost",
        "check the cable, and run this again",
    ),
)
_STAY, _RESET = "no-reset", "hard-reset"


class Esptool:
    """The board on `port`. `baud` of the transfer.

    Between two calls the chip stays in its ROM's download mode, where nothing of what is in the flash runs, until `restart`.
    All methods raise Failure.
    """

    def __init__(self, port: str, baud: int = 460_800) -> None:
        self.port = port
        self.baud = baud

    def identify(self) -> tuple[str, int]:
        """What chip it is, as "ESP32-S3", and how many bytes of flash it has."""
        said = self._run(["flash-id"])
        chip = re.search(r"Connected to (\S+) on", said)
        size = re.search(r"Detected flash size: (\d+)([KM])B", said)
        if not chip or not size:
            raise Failure(f"{_COMMAND} does not say which chip and flash {self.port} has", "its version 5 is wanted")
        return chip[1], int(size[1]) << (20 if size[2] == "M" else 10)

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from `at`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "read"
            self._run(["read-flash", "--no-progress", hex(at), hex(size), str(path)])
            data = path.read_bytes()
        if len(data) != size:
            raise Failure(f"{_COMMAND} read {len(data)} bytes of {size}", "check the cable, and try again", CONNECTION)
        return data

    def erase(self, at: int, size: int) -> None:
        """Erase whole sectors."""
        self._run(["erase-region", hex(at), hex(size)])

    def write(self, parts: Sequence[tuple[int, bytes]], progress: Callable[[int], None]) -> None:
        """Write `parts` (offset, data), in any order; esptool reads them back. `progress`: bytes of all that are done."""
        ordered = sorted(parts)
        with tempfile.TemporaryDirectory() as folder:
            arguments = []
            for at, data in ordered:
                path = Path(folder) / f"{at:x}.bin"
                path.write_bytes(data)
                arguments += [hex(at), str(path)]

            def line(text: str) -> None:
                found = _AT.search(text)
                if found:
                    here = int(found[1], 16)
                    progress(sum(min(len(data), max(0, here - at)) for at, data in ordered))

            # The headers are right as they are: no option may make esptool change them.
            keep = ["--flash-size", "keep", "--flash-mode", "keep", "--flash-freq", "keep"]
            self._run(["write-flash", *keep, *arguments], line)
        progress(sum(len(data) for _, data in ordered))

    def restart(self) -> None:
        """Let the chip start what is in its flash."""
        self._run(["read-mac"], after=_RESET)

    def let_go(self) -> None:
        """Let it go on with what it had, if it can be told."""
        with contextlib.suppress(Failure):
            self.restart()

    def _run(self, arguments: Sequence[str], line: Callable[[str], None] | None = None, after: str = _STAY) -> str:
        command = [_COMMAND, "--port", self.port, "--baud", str(self.baud), "--after", after, *arguments]
        # A file's width and no colours, whatever the terminal is.
        environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
        try:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                errors="replace", env=environment,
            )  # fmt: skip
        except FileNotFoundError:
            raise Failure(f"the command {_COMMAND} is missing", f"pip install {_COMMAND}", USAGE) from None
        said = []
        assert process.stdout is not None
        try:
            for text in process.stdout:
                said.append(text)
                if line:
                    line(text)
            code = process.wait()
        except BaseException:  # Ctrl-C: what was begun is not left running
            process.terminate()
            process.wait()
            raise
        if code:
            raise self._explained("".join(said), arguments[0])
        return "".join(said)

    def _explained(self, said: str, verb: str) -> Failure:
        """What esptool's failure means to whoever holds the cable."""
        for pattern, text, hint in _MEANINGS:
            if re.search(pattern, said, re.IGNORECASE):
                return Failure(text.format(port=self.port), hint, CONNECTION)
        last = next((text.strip() for text in reversed(said.splitlines()) if "rror" in text), "it does not say why")
        return Failure(f"{_COMMAND} {verb} failed: {last.rpartition('A fatal error occurred: ')[2]}")
