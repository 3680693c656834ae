"""The whole device with 32-bit words: the smallest heap for what it has to do. (What is alive at rest: `make size`.)

The app is of about 20 KB `.mpy` (reference_app.py), and may be stopped for an update; beside what is measured an owner
has a session and two observers see the app's Resource. Each heap is tried on a fresh board, until it is known to STEP.
Prints JSON lines. What the simulated chip's own Python takes of a heap is not counted.

Most of the time is waiting for boards that do not come: `bench_memory.py 3 check` on 127.9.2.3, several beside each
other. With "lamp" before the actions the app is the small one of the examples.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import heap  # noqa: E402
import live  # noqa: E402
import micropython32  # noqa: E402
import reference_app  # noqa: E402
from fargo import watch  # noqa: E402
from fargo.client import DeviceClient  # noqa: E402
from fargo.console import Failure  # noqa: E402
from fargo.follow import Quiet  # noqa: E402

# How many names there are: for what of the pools is the chip's.
_NAMES = """
import micropython
_lamp = main
async def main(device):
    asyncio.create_task(_lamp(device))
    while True:
        micropython.qstr_info()
        await asyncio.sleep(1)
"""
STEP = 1  # KB
LOW, HIGH = 96, 384
LAMP, FITTING = "lamp", "fitting"
_PATIENCE = 20.0  # seconds
Action = Callable[[DeviceClient], Awaitable[bool]]


class Trials:
    """`actions`: name -> (what is asked of a busy device, how often it may have started when that is done). `href`: of the
    app's Resource."""

    def __init__(self, rig: live.Rig, href: str) -> None:
        self.rig = rig
        self.href = href
        self.actions: dict[str, tuple[Action, int]] = {
            "at rest": (self._read, 1),
            "another session": (self._session, 1),
            "check": (self._check, 1),
            "update by https": (self._update("https"), 2),
            "update by coaps": (self._update("coaps"), 2),
        }

    async def _read(self, client: DeviceClient) -> bool:
        return bool(await client.read_swu()) and len(await client.links()) > 10

    async def _session(self, client: DeviceClient) -> bool:
        link = client.network.link(live.Credentials(self.rig.stage.identity))
        await link.connect(live.address(self.rig.stage.address, live.SECURE_PORT), 10)
        return bool(await client.read_swu())

    async def _check(self, client: DeviceClient) -> bool:
        await watch.set_url(client, self.rig.stage.url("1.1.0"))
        return (await watch.check(client, Quiet(), _PATIENCE)).ok

    def _update(self, scheme: str) -> Action:
        async def action(client: DeviceClient) -> bool:
            outcome = await watch.update(client, Quiet(), self.rig.stage.url("1.1.0", scheme), 2 * _PATIENCE)
            return outcome.result == 1 and outcome.after == "1.1.0"

        return action

    def passes(self, name: str, kilobytes: int) -> tuple[bool, int]:
        """Whether an action passes with so large a heap, without a restart that was not asked for; the names there were."""
        with self.rig.start(f"{kilobytes}k", "fresh" if name == "ownership" else "owned") as board:
            try:
                board.wait_log("serving", 8)
                done = asyncio.run(self._ask(name))
                starts = self.actions[name][1] if name in self.actions else 1
                return done and len(board.resets) == starts, live.most_names(board.lines)
            except (OSError, Failure, AssertionError):  # no answer
                return False, 0

    async def _ask(self, name: str) -> bool:
        if name == "ownership":
            return bool(await self.rig.stage.own())
        async with self.rig.busy(1, self.href) as (client, _):
            return await self.actions[name][0](client)

    def smallest(self, name: str) -> int:
        """Bytes of the smallest heap, without what the simulated chip's own modules take of it."""
        passed, names = self.passes(name, HIGH)
        if not passed:
            sys.exit(f"{name}: not even with {HIGH} KB of heap")
        found = heap.smallest(lambda size: self.passes(name, size)[0], LOW, HIGH, STEP)
        return found * 1024 - self.rig.not_the_device(names)


def apps(kind: str) -> tuple[str, str]:
    """(text of the `app.py`, an href of its) of LAMP, FITTING, or the one of 20 KB `.mpy`."""
    if kind == LAMP:
        return (live.ROOT / "examples/lamp/app.py").read_text() + _NAMES, "/lamp"
    return reference_app.source(*([reference_app.FITTING] if kind == FITTING else [])), "/temperature"


def main() -> None:
    """The command: the last number of the board's address, and what is measured (everything)."""
    number, *wanted = sys.argv[1:] or ["2"]
    kind = wanted.pop(0) if wanted[:1] in ([LAMP], [FITTING]) else ""
    bench, (app, href) = f"memory32 {kind}".strip(), apps(kind)
    if not micropython32.use():
        print(json.dumps({"bench": bench, "missing": micropython32.HOW}))
        return
    with tempfile.TemporaryDirectory() as folder:
        rig = live.Rig(Path(folder) / "stage", app, f"127.9.2.{number}")
        rig.stage.release("1.1.0", 2, firmware=True)
        trials = Trials(rig, href)
        smallest = {}
        with rig.stage.server:
            for name in wanted or ("ownership", *trials.actions):
                smallest[name] = trials.smallest(name)
                print(f"{name}: {smallest[name]:,}", file=sys.stderr)
        rig.close()
    print(json.dumps({"bench": bench, "smallest": smallest}))


if __name__ == "__main__":
    main()
