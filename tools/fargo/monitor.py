"""What a device prints: from a serial port or from an emulator, line by line, until it has said what is waited for."""

from __future__ import annotations

import re
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import serial

from fargo import official
from fargo.console import CONNECTION, USAGE, Failure, Output

BAUD = 115_200
_POLL = 0.2  # seconds
_GONE = 5.0  # seconds that a port may be away: a chip with its own USB takes it along in a reset
_OURS = re.compile(r"(?:(debug|info|warning|error)|(boot|rescue)): (.*)")
_MACHINES = {
    "esp32": ("qemu-system-xtensa", "esp32"),
    "esp32s3": ("qemu-system-xtensa", "esp32s3"),
    "esp32c3": ("qemu-system-riscv32", "esp32c3"),
}
_STARTED, _JOINED = "Fargo, version ", "the network is joined"


class Source(Protocol):
    """Where lines come from."""

    def read(self) -> bytes:
        """What has come, b"" after a while without anything. Raises Failure when there will be no more."""


class Port:
    """A serial port, opened for nobody else. Raises Failure."""

    def __init__(self, name: str, baud: int = BAUD) -> None:
        self._name = name
        try:
            self._port = serial.serial_for_url(name, baudrate=baud, timeout=_POLL, exclusive=True, do_not_open=True)
            self._port.open()
        except (serial.SerialException, OSError, ValueError) as error:
            raise _opening(name, error) from None

    def reset(self) -> None:
        """Restart the board by its control lines, as esptool does: RTS holds EN, DTR must not hold BOOT. Raises Failure."""
        try:
            self._port.dtr = False
            self._port.rts = True
            time.sleep(0.1)
            self._port.rts = False
        except (serial.SerialException, OSError):
            raise Failure(f"{self._name} has no line that resets a board", "press its RESET button") from None

    def read(self) -> bytes:
        """What has come. Raises Failure when the port is gone for more than a few seconds."""
        try:
            return bytes(self._port.read(max(1, self._port.in_waiting)))
        except (serial.SerialException, OSError):
            self._again()
            return b""

    def _again(self) -> None:
        end = time.monotonic() + _GONE
        self.close()
        while True:
            try:
                return self._port.open()
            except (serial.SerialException, OSError):
                if time.monotonic() > end:
                    raise Failure(f"the connection to {self._name} was lost", "check the cable", CONNECTION) from None
                time.sleep(_POLL)

    def close(self) -> None:
        """Let go of the port."""
        self._port.close()


def _opening(name: str, error: Exception) -> Failure:
    text = str(error)
    if "Errno 2]" in text or "FileNotFound" in text:
        return Failure(f"there is no port {name}", "plug the board in; 'mpremote devs' lists the ports", CONNECTION)
    if "Permission" in text:
        return Failure(
            f"{name} may not be opened", "add yourself to its group, often dialout, and log in again", CONNECTION
        )
    if "lock" in text or "Errno 16]" in text or "Access is denied" in text:
        return Failure(f"{name} is in use", "close the program that has it open", CONNECTION)
    return Failure(f"{name} is no serial port", "'mpremote devs' lists the ports", CONNECTION)


class Emulator:
    """QEMU with a copy of an image's flash, so that the image stays what will be flashed. Raises Failure.

    `command`: the program, or "" for the one that emulates `chip`; `options` are added to its arguments.
    """

    def __init__(self, image: Path, chip: str, command: str, options: list[str]) -> None:
        program, machine = _MACHINES[chip]
        program = command or program
        self._folder = tempfile.TemporaryDirectory()
        flash = Path(self._folder.name) / "flash.bin"
        flash.write_bytes(image.read_bytes())
        arguments = ["-nographic", "-machine", machine, "-drive", f"file={flash},if=mtd,format=raw", *options]
        try:
            self._process = subprocess.Popen(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
            )
        except OSError as error:
            self._folder.cleanup()
            name = official.CHIPS[chip].name
            hint = f"the {name} is emulated by Espressif's QEMU, {_MACHINES[chip][0]}; say where it is with --qemu"
            raise Failure(f"{program} cannot be started: {error.strerror}", hint, USAGE) from None
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def read(self) -> bytes:
        """What the emulated chip has printed. Raises Failure when the emulator ended."""
        if not self._selector.select(_POLL):
            return b""
        assert self._process.stdout is not None
        data: bytes = self._process.stdout.read(4096)  # type: ignore[assignment]
        if not data:
            raise Failure(f"the emulator ended with exit code {self._process.wait()}", "its last lines say why")
        return data

    def close(self) -> None:
        """Stop it, and remove the copy."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


def lines(source: Source) -> Iterator[str | None]:
    """The lines of `source`, and None whenever there was a pause."""
    rest = b""
    while True:
        data = source.read()
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip("\r")
        if not data:
            yield None


def ours(line: str) -> tuple[str, str] | None:
    """(level, text) of a line that Fargo's device side printed, else None. What boot.py says is "boot"."""
    found = _OURS.fullmatch(line)
    return (found[1] or found[2], found[3]) if found else None


def follow(source: Source, out: Output, until: str = "", timeout: float | None = None) -> str:
    """Show what comes until a line of Fargo has the words `until` in it; that line, or "" after `timeout` without `until`.

    Raises Failure when it does not come in `timeout` seconds.
    """
    end = None if timeout is None else time.monotonic() + timeout
    wanted = re.compile(rf"(?<!\w){re.escape(until)}(?!\w)")
    last = ""
    started = joined = False
    for line in lines(source):
        if line is not None:
            found = ours(line)
            out.event(line, event="line", level=found[0] if found else "")
            if found:
                last = line
                started = started or found[1].startswith(_STARTED)
                joined = joined or _JOINED in line
                if until and wanted.search(found[1]):
                    return line
        if end is not None and time.monotonic() > end:
            break
    if not until:
        return ""
    if not last:
        hint = "no line of Fargo has come: try --reset; is an image flashed, and is it the right port?"
    elif not started:
        hint = f"it may have said so before: --reset shows it from its start; its last line was: {last}"
    elif not joined:
        hint = "it has not joined a network: fargo board provision gives it the WiFi's name and key"
    else:
        hint = f"its last line was: {last}"
    raise Failure(f"the device did not say {until!r} in {timeout:g} seconds", hint, CONNECTION)
