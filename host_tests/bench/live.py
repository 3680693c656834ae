"""The whole device on a heap with 32-bit words: the simulated board, run by a MicroPython that has them.

The chip's own modules (Partition, NVS, bootloader: C on a board) are Python here. What they hold when `boot.py` begins, and
their names' share of the pools, is not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT / "lib"),
    str(ROOT / "tools"),
    str(ROOT),
    str(ROOT / "host_tests"),
    str(Path(__file__).parent),
]

from budgets import BUDGETS  # noqa: E402
from fargo.client import DeviceClient, connect  # noqa: E402
from fargo.network import OCF_CBOR, Link  # noqa: E402
from fargo.secure import SECURE_PORT, Credentials  # noqa: E402
from fargo.stage import Stage  # noqa: E402
from heap import pools  # noqa: E402
from port.sockets import address  # noqa: E402
from time_server import TimeServer  # noqa: E402

from board.sim.simboard import SimBoard  # noqa: E402

SESSIONS, OBSERVERS = 3, 2
ROOMY = "1m"
_NAMES = r"n_qstr=(\d+)"
_SETTLED = 1.5  # seconds in which nothing happens: the least that is alive then counts
_LONGEST = 50.0  # seconds: an answer in blocks or a handshake is kept so long for a Client that is gone, at most 45
_EMPTY = b'import gc, micropython\ngc.collect()\nprint("chip", gc.mem_alloc())\nmicropython.qstr_info()\n'
# The lamp of the examples, and beside it what tells what is alive once the reserve is taken and nothing is kept for anybody:
# of an answer in blocks the last one may have been lost. What tells takes memory, too, and says how much.
_BESIDE = """
_lamp = main
async def main(device):
    import gc
    gc.collect()
    before = gc.mem_alloc()
    import probe
    asyncio.create_task(probe.watch(device))
    gc.collect()
    print("probe", gc.mem_alloc() - before)
    await _lamp(device)
"""
_PROBE = """
import asyncio, gc, micropython, sys
async def watch(device):
    main = sys.modules["main"]
    reserve = [thing for thing in main.__dict__.values() if isinstance(thing, main.Reserve)][0]
    while True:
        kept = [e for e in device.ocf.coap if e.parts or e.bodies or e._sent]
        if reserve.size and reserve.good() and not kept:
            gc.collect()
            print("heap", gc.mem_alloc())
            micropython.qstr_info()
        await asyncio.sleep_ms(100)
"""


class Rig:
    """A board with an owner, and a stage around it: each `start` is with a fresh copy of its flash.

    `app`: text of its `app.py`, and `files` are more of the app's: name -> text. `chip`: (bytes alive, names)
    of the simulated chip's own modules, before `boot.py` runs. `board`: the last one that was started.
    """

    board: SimBoard

    def __init__(
        self,
        home: Path,
        app: str,
        address: str = "127.9.2.2",
        boot: bytes = b"",
        files: Mapping[str, str] | None = None,
    ) -> None:
        lamp = ROOT / "examples/lamp"
        self.stage = Stage(home, lamp, address=address, layout="small", firmware_size=100_000)
        image = self.stage.app_image
        self.stage.app_image = lambda change=None: image({"app.py": app, **(files or {}), **(change or {})})  # type: ignore[method-assign]
        self._flashes = {}
        self._times = TimeServer()
        self._times.__enter__()
        self.stage.flash_factory(vfs_files={"boot.py": _EMPTY})
        with self.stage.board() as board:
            board.wait_log("qstr pool")
            self.chip = _number(r"chip (\d+)", board.lines), _number(_NAMES, board.lines)
        self.stage.flash_factory(vfs_files={"boot.py": boot} if boot else None)
        self._keep("fresh")
        with self._board(ROOMY) as board:
            board.wait_log("serving", 15)
            asyncio.run(self.stage.own())
        self._keep("owned")

    def close(self) -> None:
        """Stop the time server."""
        self._times.__exit__()

    def _keep(self, what: str) -> None:
        self._flashes[what] = self.stage.flash.read_bytes()

    def _board(self, heap: str) -> SimBoard:
        return self.stage.board(heap=heap, flash_ms=(0, 0), ntp_port=self._times.port)

    def start(self, heap: str = ROOMY, flash: str = "owned") -> SimBoard:
        """The board with this heap, "fresh" from the factory or "owned"; a context manager."""
        self.stage.flash.write_bytes(self._flashes[flash])
        self.board = self._board(heap)
        return self.board

    def not_the_device(self, names: int) -> int:
        """Bytes of a heap with so many names that are the simulated chip's and not the device's."""
        alive, own = self.chip
        return alive - pools(own) + pools(names) - pools(names - own)

    def settled(self, lines: list[str]) -> dict[str, int]:
        """The least that was alive among `lines` of the probe."""
        least = min(int(line.split()[1]) for line in lines if line.startswith("heap "))
        names = most_names(lines)
        least -= _number(r"probe (\d+)", self.board.lines)
        return {"live": least - self.not_the_device(names), "heap": least, "names": names - self.chip[1]}

    @contextlib.asynccontextmanager
    async def busy(self, sessions: int, href: str) -> AsyncIterator[tuple[DeviceClient, list[Any]]]:
        """The owner's client with its sessions, and OBSERVERS observations of `href` in them."""
        client = await connect(self.stage.address, self.stage.identity, "127.0.0.1")
        async with client:
            links: list[tuple[Link, Any]] = [await client._open(client.timeout)]
            for _ in range(sessions - 1):
                link = client.network.link(Credentials(self.stage.identity))
                links.append((link, await link.connect(address(self.stage.address, SECURE_PORT), 10)))
            observations = []
            for n in range(OBSERVERS):
                link, session = links[n % len(links)]
                observations.append(await link.client.observe(session, href, accept=OCF_CBOR))
            for observation in observations:
                reply = await asyncio.wait_for(anext(aiter(observation)), 10)
                assert reply.code >> 5 == 2, f"{href} cannot be observed: {reply.code:#x}"
            yield client, observations


def _number(pattern: str, lines: list[str]) -> int:
    """What the last line with `pattern` says."""
    return next(int(found.group(1)) for line in reversed(lines) if (found := re.search(pattern, line)))


def most_names(lines: list[str]) -> int:
    """How many names the heap had, by the lines of `micropython.qstr_info`."""
    return max((int(n) for line in lines for n in re.findall(_NAMES, line)), default=0)


def owned_and_idle() -> dict[str, int]:
    """Live bytes of an "owned" device, and with SESSIONS and OBSERVERS ("live"), both with the reserve; the heap as it is,
    the simulated chip's too ("heap"), and how many names the device has. After `micropython32.use()`."""
    with tempfile.TemporaryDirectory() as folder:
        app = (ROOT / "examples/lamp/app.py").read_text() + _BESIDE
        rig = Rig(Path(folder) / "stage", app, files={"probe.py": _PROBE})
        with rig.start() as board:
            owned = _least(rig, board)["live"]
            found = {"owned": owned, **asyncio.run(_with_sessions(rig, board))}
        rig.close()
        return found


def _least(rig: Rig, board: SimBoard) -> dict[str, int]:
    """What stays alive: the least that is seen, once it stays the same or what is left of a lost message is forgotten."""
    began = time.monotonic()
    last: dict[str, int] = {}
    while True:
        start = len(board.lines)
        time.sleep(_SETTLED)
        lines = board.lines[start:]
        late = time.monotonic() - began > _LONGEST
        if any(line.startswith("heap ") for line in lines):
            now = rig.settled(lines)
            if late or (now == last and now["live"] <= BUDGETS["live"].reached):
                return now
            last = now
        elif late:
            sys.exit("the device does not come to rest:\n" + "\n".join(board.lines[-20:]))


async def _with_sessions(rig: Rig, board: SimBoard) -> dict[str, int]:
    async with rig.busy(SESSIONS, "/lamp"):
        return await asyncio.to_thread(_least, rig, board)
