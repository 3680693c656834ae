"""The cable between a desk and a simulated board: a pseudo-terminal that any program opens as a serial port."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import threading
import tty
from collections.abc import Callable, Iterator


class Usb:
    """A serial port whose path is `port`. `typed(byte)` gives what the chip's interpreter is to read of each byte."""

    def __init__(self, typed: Callable[[int], bytes]) -> None:
        self._typed = typed
        self._ours, self._theirs = pty.openpty()  # theirs stays open: a port that nobody has opened is still there
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.port = os.ttyname(self._theirs)

    def plugged(self, process: subprocess.Popen[str]) -> Iterator[str]:
        """Carry bytes both ways until `process` ends; all lines that it prints, as they come."""
        assert process.stdin and process.stdout
        stop, stopped = os.pipe()
        reader = threading.Thread(target=self._read, args=(process.stdin.fileno(), stop), daemon=True)
        reader.start()
        text = b""
        try:
            while data := os.read(process.stdout.fileno(), 4096):
                # What nobody takes is lost, as on a real cable.
                with contextlib.suppress(BlockingIOError):
                    os.write(self._ours, data.replace(b"\n", b"\r\n"))
                *lines, text = (text + data).split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace") + "\n"
            if text:
                yield text.decode(errors="replace")
        finally:
            os.close(stopped)
            reader.join()
            os.close(stop)
            process.stdin.close()

    def _read(self, chip: int, stop: int) -> None:
        while True:
            ready, _, _ = select.select([self._ours, stop], [], [])
            if stop in ready:
                return
            for byte in os.read(self._ours, 256):
                with contextlib.suppress(BrokenPipeError):
                    os.write(chip, self._typed(byte))
