"""A network in memory, in simulated time (simtime.py): it loses, doubles, holds back, reorders and changes datagrams.

`Network.end(address)` is a transport for `dtls.transport.DtlsTransport`. What happens to a datagram is decided by `Way`s,
from one random generator with a seed, or by a function `fate(datagram)` of the test's.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Address = tuple[str, int]
_LARGEST = 1472  # what fits into a frame of 1500 bytes
_APART = 1e-6  # seconds between two datagrams, so that what leaves together arrives in order


@dataclass(frozen=True)
class Way:
    """What a direction does to datagrams: shares are from 0 to 1, times in seconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0  # one to three bits
    reorder: float = 0.0  # the share that is held back by up to `held`
    held: float = 3.0
    delay: float = 0.01
    jitter: float = 0.0


@dataclass
class Datagram:
    """One on its way; `number` counts all of the network's, from 0."""

    number: int
    source: Address
    to: Address
    data: bytes


Fate = Callable[[Datagram], list[tuple[float, bytes]]]


class Network:
    """Joins ends by their addresses. `counts`: sent, lost, doubled, held, changed, nowhere."""

    def __init__(self, seed: int = 1, way: Way | None = None, fate: Fate | None = None) -> None:
        self.random = random.Random(seed)
        self.way = way or Way()
        self.ways: dict[Address, Way] = {}  # for datagrams to an address, where not `way`
        self.fate: Fate = fate or self.chance
        self.cut: set[Address] = set()  # nothing comes from there or gets there
        self.counts: Counter[str] = Counter()
        self._ends: dict[Address, End] = {}
        self._free = 0.0  # when the next datagram can leave

    def end(self, address: Address) -> End:
        """An end at `address`; one that was there before is no longer reached."""
        end = self._ends[address] = End(self, address)
        return end

    def leave(self, end: End) -> None:
        """`end` is closed."""
        if self._ends.get(end.address) is end:
            del self._ends[end.address]

    def carry(self, end: End, data: bytes, to: Address) -> None:
        """Take a datagram on its way."""
        assert len(data) <= _LARGEST, "a datagram of %d bytes" % len(data)
        datagram = Datagram(self.counts["sent"], end.address, to, data)
        self.counts["sent"] += 1
        if self._ends.get(end.address) is not end or {end.address, to} & self.cut:
            self.counts["lost"] += 1
            return
        loop = asyncio.get_running_loop()
        for delay, what in self.fate(datagram):
            self._free = max(loop.time(), self._free + _APART)
            loop.call_at(self._free + delay, self._deliver, end.address, to, what)

    def _deliver(self, source: Address, to: Address, data: bytes) -> None:
        end = self._ends.get(to)
        if end is None or {source, to} & self.cut:
            self.counts["nowhere"] += 1
        else:
            end.deliver(data, source)

    def chance(self, datagram: Datagram) -> list[tuple[float, bytes]]:
        """The fate that the Way decides on."""
        way = self.ways.get(datagram.to, self.way)
        dice = self.random.random
        if dice() < way.loss:
            self.counts["lost"] += 1
            return []
        copies = 1
        if dice() < way.duplicate:
            self.counts["doubled"] += 1
            copies = 2
        arrivals = []
        for _ in range(copies):
            delay = way.delay + dice() * way.jitter
            if dice() < way.reorder:
                self.counts["held"] += 1
                delay += dice() * way.held
            data = datagram.data
            if dice() < way.corrupt:
                self.counts["changed"] += 1
                for _ in range(self.random.randint(1, 3)):
                    data = flip(data, self.random.randrange(8 * len(data)))
            arrivals.append((delay, data))
        return arrivals


def flip(data: bytes, bit: int) -> bytes:
    """`data` with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class End:
    """A transport in the clear (docs/architecture.md)."""

    secure = False

    def __init__(self, network: Network, address: Address) -> None:
        self.address = address
        self._network = network
        self._queue: list[tuple[bytes, Address]] = []
        self._ready = asyncio.Event()

    def deliver(self, data: bytes, source: Address) -> None:
        """A datagram has arrived."""
        self._queue.append((data, source))
        self._ready.set()

    async def receive(self) -> tuple[memoryview, Address, bool]:
        while not self._queue:
            self._ready.clear()
            await self._ready.wait()
        data, source = self._queue.pop(0)
        return memoryview(data), source, False

    def send(self, data: Any, to: Address) -> None:
        self._network.carry(self, bytes(data), to)

    def identity(self, _peer: Address) -> None:
        return None

    def close(self) -> None:
        self._network.leave(self)

    unplug = close  # a device whose power fails: what it sends afterwards goes nowhere
