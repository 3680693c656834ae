"""A whole update on the simulated board: the smallest `-X heapsize` with which it passes, and what the heap holds
when.

With `--rates` instead: secured requests that a whole device at rest answers in a second. Prints JSON lines. The chip's
own modules (bootloader, Partition, NVS) are Python here and take about 29 KB of that heap; words are twice as wide as
the chip's.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lib"), str(ROOT / "tools"), str(ROOT), str(Path(__file__).parent)]

import heap  # noqa: E402
from fargo import watch  # noqa: E402
from fargo.client import connect  # noqa: E402
from fargo.console import Failure  # noqa: E402
from fargo.follow import Quiet  # noqa: E402
from fargo.identity import Identity  # noqa: E402
from fargo.network import Link, Network  # noqa: E402
from fargo.secure import SECURE_PORT, Credentials  # noqa: E402
from fargo.stage import Stage  # noqa: E402
from port.sockets import address  # noqa: E402

STEP = 8  # KB
LOW, HIGH = 96, 480
SECONDS = 1.5  # of requests
SESSIONS = 3  # open while the update runs
PROBE = """
import asyncio, gc
from port import heap_used
async def main(device):
    while True:
        print("heap", heap_used(), device.updater.doing or "idle")
        await asyncio.sleep(0.05)
"""


class Trials:
    """Runs the same update again and again, each time on a fresh board."""

    def __init__(self, home: Path) -> None:
        self.stage = Stage(home, ROOT / "examples/lamp", layout="small", firmware_size=100_000)
        self.addresses = iter(range(2, 250))

    def passes(self, heap_kb: int, probe: bool = False) -> tuple[bool, list[str]]:
        """Whether an update of both halves ends with result 1; what the device printed."""
        stage = self.stage
        stage.address = f"127.9.0.{next(self.addresses)}"
        stage.identity = Identity(stage.home / "identity-rates.json")
        image = stage.app_image
        if probe:
            stage.app_image = lambda change=None: image({**(change or {}), "app.py": PROBE})  # type: ignore[method-assign]
        try:
            stage.flash_factory()
        finally:
            stage.app_image = image  # type: ignore[method-assign]
        board = stage.board(heap=f"{heap_kb}k", flash_ms=(1, 0))
        with board:
            try:
                board.wait_log("serving", 15)
                return asyncio.run(self._update()), board.lines
            except (TimeoutError, Failure):
                return False, board.lines

    async def _update(self) -> bool:
        await self.stage.own()
        client = await connect(self.stage.address, self.stage.identity, "127.0.0.1")
        async with client:
            for _ in range(SESSIONS - 1):  # the client's own is the last
                await session(self.stage, client.network)
            outcome = await watch.update(client, Quiet(), self.stage.url("1.1.0"), 60)
        return outcome.result == 1 and outcome.after == "1.1.0"


async def session(stage: Stage, network: Network) -> tuple[Link, Any]:
    """Another session of the owner's with the board."""
    link = network.link(Credentials(stage.identity))
    return link, await link.connect(address(stage.address, SECURE_PORT), 10)


async def rates(stage: Stage) -> dict[str, object]:
    """GET of /oc/swu over DTLS, answered by a whole device at rest."""
    await stage.own()
    network = Network("127.0.0.1")
    link, peer = await session(stage, network)
    result: dict[str, object] = {"bench": "swu_get"}
    for outstanding in (1, 16):
        times: list[float] = []
        end = time.perf_counter() + SECONDS

        async def ask(times: list[float] = times, end: float = end) -> None:
            while time.perf_counter() < end:
                began = time.perf_counter()
                reply = await link.request(peer, 1, "/oc/swu", None, 5)
                assert reply.code == 0x45 and len(reply.payload) > 120
                times.append(time.perf_counter() - began)

        await asyncio.gather(*[ask() for _ in range(outstanding)])
        result[f"per_s_{outstanding}"] = round(len(times) / SECONDS)
        result[f"p99_ms_{outstanding}"] = round(sorted(times)[int(len(times) * 0.99)] * 1000, 2)
    await network.close()
    return result


def requests_per_second(stage: Stage) -> dict[str, object]:
    """The rates of a board of its own."""
    stage.address = "127.9.1.1"
    stage.identity = Identity(stage.home / "identity-rates.json")
    stage.flash_factory()
    with stage.board(flash_ms=(0, 0)) as board:
        board.wait_log("serving", 15)
        return asyncio.run(rates(stage))


def smallest(home: Path) -> dict[str, object]:
    """The heap that an update takes."""
    trials = Trials(home)
    with trials.stage.server:
        trials.stage.release("1.1.0", 2, firmware=True)
        passed, lines = trials.passes(1024, probe=True)
        assert passed, "\n".join(lines[-20:])
        held: dict[str, int] = {}
        for line in lines:
            if line.startswith("heap "):
                _, size, phase = line.split()
                held[phase] = max(held.get(phase, 0), int(size))
        found = heap.smallest(lambda size: trials.passes(size)[0], LOW, HIGH, STEP)
    return {"bench": "update", "smallest_heap_kb": found, "live_bytes": held}


def main() -> None:
    """The command."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "stage"
        if "--rates" in sys.argv:
            print(json.dumps(requests_per_second(Trials(home).stage)))
        else:
            print(json.dumps(smallest(home)))


if __name__ == "__main__":
    main()
