"""The budgets of size and memory. `make size` and `make bench` compare with these; the numbers stand nowhere else."""

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
    "all": Budget(".mpy, everything", 80_000, 146_000),
    "resident": Budget(".mpy, resident", 34_000),
    "largest phase": Budget(".mpy, largest phase", 14_000, 25_500),
    "left behind": Budget("heap that a phase keeps when it was left", 0),
    "live": Budget("live heap, owned and idle, 3 sessions, 2 observers", 60 * KB, 95 * KB),
    "heap": Budget("Python heap in all, at the worst moment, with an app of 20 KB .mpy", 112 * KB, 240 * KB),
}


def past(figures: Mapping[str, int]) -> tuple[list[str], bool]:
    """(what is past its budget, in words; whether that is a failure)."""
    over = [key for key, value in figures.items() if key in BUDGETS and value > BUDGETS[key].most]
    failed = any(figures[key] > BUDGETS[key].reached for key in over) or bool(over and os.environ.get("CHECK"))
    return [BUDGETS[key].what for key in over], failed
