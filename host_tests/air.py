"""The air between a simulated board and the rest: two namespaces joined by packets that are delayed, lost, and not heard.

Whole IP packets, so TCP, its windows and what it does about losses are the kernel's. While the board's flash is busy
nothing runs on the chip: what comes then waits in the ring of the radio, which holds 10 frames, and the rest is lost.
Each queue behind that (6 datagrams, a TCP window of 5,760 bytes) is the board's own (board/sim/peripherals.py).
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import threading
import time
from collections.abc import Sequence
from typing import Any

from netns import Host, Netns, NoNamespaces

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_MTU = 1500
_RING = 10  # frames: ESP-IDF's static receive buffers


class Air(Netns):
    """`rtt_ms`: of a round trip. `loss`: of packets, 0 to 1, each way. `busy`: the board's (SimBoard), when there is one.

    `packets`, `lost` and `deaf` (lost because the ring was full) count. After `seed(n)` the same ones are lost again.
    """

    def __init__(self, rtt_ms: float = 20, loss: float = 0.0) -> None:
        super().__init__()
        self.rtt_ms = rtt_ms
        self.loss = loss
        self.busy: Sequence[tuple[float, float, int]] = ()
        self.packets = self.lost = self.deaf = 0
        self._random = random.Random(1)
        self._ends: list[int] = []
        self._stop = os.pipe()
        self._thread = threading.Thread(target=self._carry, name="air", daemon=True)

    def seed(self, number: int) -> None:
        """Begin another row of chances."""
        self._random.seed(number)

    def join(self) -> None:
        """Open both ends."""
        self._ends = [_tun(self.client), _tun(self.device)]
        self._thread.start()

    def __exit__(self, *exc: Any) -> None:
        if self._thread.is_alive():
            os.write(self._stop[1], b"x")
            self._thread.join()
        for descriptor in (*self._ends, *self._stop):
            os.close(descriptor)
        super().__exit__(*exc)

    def _carry(self) -> None:
        client, device = self._ends
        under_way: list[tuple[float, int, int, bytes]] = []
        ring: list[float] = []
        while True:
            now = time.monotonic()
            while under_way and under_way[0][0] <= now:
                due, number, end, data = heapq.heappop(under_way)
                wakes = self._wakes(due)
                if end == device and wakes > due:  # the chip takes it when the flash is done
                    ring = [when for when in ring if when == wakes]
                    if len(ring) >= _RING:
                        self.deaf += 1
                        continue
                    ring.append(wakes)
                    if wakes > now:
                        self._later(under_way, wakes, number, -end, data)
                        continue
                _write(abs(end), data)
            wait = max(under_way[0][0] - time.monotonic(), 0) if under_way else None
            for ready in select.select([client, device, self._stop[0]], [], [], wait)[0]:
                if ready == self._stop[0]:
                    return
                data = os.read(ready, _MTU + 100)
                self.packets += 1
                if self._random.random() < self.loss:
                    self.lost += 1
                else:
                    due = time.monotonic() + self.rtt_ms / 2000
                    self._later(under_way, due, self.packets, device if ready == client else client, data)

    @staticmethod
    def _later(queue: list[tuple[float, int, int, bytes]], due: float, number: int, end: int, data: bytes) -> None:
        heapq.heappush(queue, (due, number, end, data))

    def _wakes(self, when: float) -> float:
        """When the chip, at `when`, runs again."""
        for began, seconds, _ in reversed(self.busy[-4:]):
            if began <= when:
                return max(when, began + seconds)
        return when


def _tun(host: Host) -> int:
    """The descriptor of an interface of `host` whose packets are read and written there."""
    with host.entered():
        try:
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH14x", host.interface.encode(), _IFF_TUN | _IFF_NO_PI))
        except OSError as error:
            raise NoNamespaces(f"/dev/net/tun: {error}") from None
    return descriptor


def _write(end: int, data: bytes) -> None:
    try:
        os.write(end, data)
    except OSError:  # the interface is not up any more
        pass
