"""Every flash operation of a run, and the flash as it stood at each of them, whole or torn."""

from __future__ import annotations

import hashlib
import io
import random
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from board.sim.flash import ENTRY, ERASE, Flash

CLEAN, HALF, BITS = "", "half", "bits"  # the operation was done; half of it was; some bits were left
TORN = (HALF, BITS)
_HEAD = struct.calcsize(ENTRY)


@dataclass(frozen=True)
class Cut:
    """Where the power failed: after `count` operations and, unless `torn` is CLEAN, within the one after them.

    `after`: the cut before it, when this one is in the recovery from that.
    """

    count: int
    torn: str = CLEAN
    after: Cut | None = None

    def __str__(self) -> str:
        place = f"{self.count + 1} {self.torn}" if self.torn else f"after {self.count}"
        return f"{self.after}, then {place}" if self.after else place


class _Failed(Exception):
    """The power failed, while a journal was replayed."""


def _halt(_why: str) -> None:
    raise _Failed


@dataclass
class Trace:
    """The flash at the `start` of a run, and its `operations`: (kind, where, size, data)."""

    start: bytes
    operations: list[tuple[int, int, int, bytes]] = field(default_factory=list)

    @classmethod
    def read(cls, start: bytes, journal: Path) -> Trace:
        """From the journal that the simulated flash has written."""
        trace = cls(start)
        data = journal.read_bytes() if journal.exists() else b""
        at = 0
        while at + _HEAD <= len(data):
            kind, where, size = struct.unpack_from(ENTRY, data, at)
            at += _HEAD
            taken = 0 if kind == ERASE else size
            if at + taken > len(data):  # the process was killed as it wrote this
                break
            trace.operations.append((kind, where, size, data[at : at + taken]))
            at += taken
        return trace

    def __len__(self) -> int:
        return len(self.operations)

    def states(self, cuts: Iterable[Cut]) -> Iterator[tuple[Cut, bytes]]:
        """The flash at each of `cuts`, which are in the order of time."""
        flash = io.BytesIO(self.start)
        done = 0
        for cut in cuts:
            while done < cut.count:
                self._replay(flash, done, CLEAN)
                done += 1
            if not cut.torn:
                yield cut, flash.getvalue()
                continue
            torn = io.BytesIO(flash.getvalue())
            self._replay(torn, done, cut.torn)
            yield cut, torn.getvalue()

    def _replay(self, flash: io.BytesIO, index: int, torn: str) -> None:
        kind, where, size, data = self.operations[index]
        chip = Flash(flash, {"cut_at": 1, "torn": torn} if torn else {}, _halt)
        try:
            if kind == ERASE:
                chip.erase(where, size)
            else:
                chip.program(where, data)
        except _Failed:
            pass

    def cuts(self, torn: Iterable[str] = TORN, after: Cut | None = None) -> list[Cut]:
        """All cuts of this run."""
        modes = (CLEAN, *torn)
        found = [Cut(count, mode, after) for count in range(len(self)) for mode in modes]
        return [*found, Cut(len(self), CLEAN, after)]


def sample(cuts: list[Cut], count: int, seed: int) -> list[Cut]:
    """`count` of the cuts, spread evenly over the run and chosen by `seed`; in the order of time."""
    if count >= len(cuts):
        return cuts
    choice = random.Random(seed)
    step = len(cuts) / count
    return [cuts[int((index + choice.random()) * step)] for index in range(count)]


class Distinct:
    """Remembers which states of the flash were there before: each is tested once."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def new(self, flash: bytes) -> bool:
        """Whether this is the first time."""
        digest = hashlib.sha256(flash).digest()
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True
