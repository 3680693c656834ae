"""The budgets of size and memory. `make size` and `make bench` compare with these; the numbers stand nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

KB = 1024


class Budget(NamedTuple):
    """`most` bytes of `what`. `firm`: past it the command fails; otherwise it says so, and fails with CHECK=1."""

    what: str
    most: int
    firm: bool


# To make a budget fail the build, make it firm.
BUDGETS = {
    "all": Budget(".mpy, everything", 80_000, False),
    "resident": Budget(".mpy, resident", 34_000, False),
    "largest phase": Budget(".mpy, largest phase", 14_000, False),
    "left behind": Budget("heap that a phase keeps when it was left", 0, True),
    "live": Budget("live heap, owned and idle, 3 sessions, 2 observers", 60 * KB, False),
    "heap": Budget("Python heap in all, at the worst moment, with an app of 20 KB .mpy", 112 * KB, False),
}


def past(figures: Mapping[str, int]) -> tuple[list[str], bool]:
    """(what is past its budget, in words; whether that is a failure)."""
    over = [key for key, value in figures.items() if key in BUDGETS and value > BUDGETS[key].most]
    failed = any(BUDGETS[key].firm for key in over) or bool(over and os.environ.get("CHECK"))
    return [BUDGETS[key].what for key in over], failed
