"""All budgets: what `make size` and `make bench` compare with. The numbers stand nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

KB = 1024


class Budget(NamedTuple):
    """`most` bytes of `what`, as the design has it. Past it the command says so, and fails with CHECK=1.

    `reached`: where a budget is not met yet, what was: past that it always fails. To be lowered, never raised without a
    paragraph in docs/decisions.md.
    """

    what: str
    most: int
    reached: int = 0


BUDGETS = {
    "all": Budget(".mpy, everything", 80_000, 152_000),
    "resident": Budget(".mpy, resident", 34_000),
    "largest phase": Budget(".mpy, largest phase", 14_000),
    "left behind": Budget("heap that a phase keeps when it was left", 0),
    "live": Budget("live heap, owned and idle, 3 sessions, 2 observers", 60 * KB, 70 * KB),
    "heap": Budget("Python heap in all, at the worst moment, with an app of 20 KB .mpy", 112 * KB, 172 * KB),
    "fitting": Budget("Python heap in all, at the worst moment, with an app of 20 KB heap", 112 * KB, 122 * KB),
    "lamp": Budget("Python heap in all, at the worst moment, with the lamp of the examples", 112 * KB, 126 * KB),
}


class Mark(NamedTuple):
    """`limit` (in `unit`) that `what` may not pass, or with `least` has to reach. It is shown, and nothing fails by it."""

    what: str
    limit: float
    unit: str = ""
    least: bool = False

    def kept(self, value: float) -> bool:
        """Whether `value` is good."""
        return value >= self.limit if self.least else value <= self.limit


MARKS = {
    "app": Mark("of 112 KB left at the worst moment of an update, the app of 20 KB .mpy aboard", 0, "B", least=True),
    "fitting app": Mark(
        "of 112 KB left at the worst moment of an update, the app of 20 KB heap stopped", 0, "B", least=True
    ),
    "radio": Mark("heap that grows as a stock ESP32's: times that it takes what the radio needs,", 0),
    "session": Mark("heap per open DTLS session", 2 * KB, "B"),
    "update": Mark("a whole update on the 64-bit unix port, heap", 256, "KB"),
    "pipeline": Mark("the flash's own time / download by", 0.9, least=True),
    "coaps": Mark("CoAPs at 20 ms, flash model off, 6 outstanding at most", 250, "KB/s", least=True),
    "handshake": Mark("DTLS handshake, in P-256 multiplications,", 2.5),
    "pair": Mark("delta of MicroPython for ESP8266, 1.9.4 to 1.10", 13.0, "%"),
    "line": Mark("one line of the demo's app changed, payload:", 4 * KB, "B"),
    "envelope": Mark("envelope verified, heap beside the code", 8 * KB, "B"),
    "request": Mark("secured GET of /oc/swu, a whole device,", 2000, "/s", least=True),
    "notification": Mark("heap growth per notification", 0, "B"),
}


def past(figures: Mapping[str, int]) -> tuple[list[str], bool]:
    """(what is past its budget, in words; whether that is a failure)."""
    over = [key for key, value in figures.items() if key in BUDGETS and value > BUDGETS[key].most]
    failed = any(figures[key] > BUDGETS[key].reached for key in over) or bool(over and os.environ.get("CHECK"))
    return [BUDGETS[key].what for key in over], failed
