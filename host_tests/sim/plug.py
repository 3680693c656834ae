"""Pulls the plug at random while a Client updates a simulated board again and again.

    python host_tests/sim/plug.py --seed 1 --count 1000

After every pull an oracle reads the flash from outside: the slot that ran is the release that it said it was, byte for byte,
and the owner's records are what they were. Then the board has to start, and in the end the new release has to run.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(root / part) for part in ("lib", "tools", "host_tests", ".")]

import aiocoap
import cbor2
from fargo import release
from sim.owned_rig import partition, stored
from sim.rig import UPGRADE, Rig

OWNERS = ("/doxm", "/cred", "/acl2", "/name")
BUSY = 3.0  # seconds: the longest that is waited before a pull
PATIENCE = 120.0
ANSWER = 1.0  # seconds, until it is taken to be off: much longer than any answer takes on a busy machine


class Plug:
    """A board of which the plug is pulled; `home` is an empty folder, `seed` decides when."""

    def __init__(self, home: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.rig = Rig(home, settings={"trial_s": 20})
        self.images = {"1.0.0": (self.rig.stage.firmware("1.0.0"), self.rig.stage.app_image())}
        self.sequence = 1
        self.pulls = self.updates = 0
        self.phases: dict[str, int] = {}

    def _release(self) -> str:
        """The next release; one number higher than all before."""
        self.sequence += 1
        version = f"1.{self.sequence}.0"
        change = {"extra.txt": version * self.random.randrange(1, 400)}
        both = self.random.random() < 0.5
        carried = release.payloads(self.rig.stage.release(version, self.sequence, firmware=both, change=change))
        self.images[version] = carried.get("fw", b""), carried["app"]
        return version

    def run(self, count: int) -> None:
        """Pull it `count` times. Raises AssertionError when the oracle finds anything."""
        rig = self.rig
        rig.start()
        asyncio.run(self._name())
        rig.board.power_off()
        self.owner = {path: data for path, data in stored(rig).items() if path in OWNERS}
        while self.pulls < count:
            asyncio.run(self._update(self._release(), count))
            self.updates += 1

    async def _name(self) -> None:
        async with self.rig.client() as client:
            assert (await client.post("oc/con", {"n": "cellar"})).code == aiocoap.CHANGED

    async def _update(self, version: str, count: int) -> None:
        """Have the board at `version`, with the plug pulled on the way, until it is there."""
        rig = self.rig
        end = time.monotonic() + PATIENCE
        rig.board.power_on()
        asked = False
        async with rig.client() as client:
            pull = time.monotonic() + self.random.random() * BUSY
            while True:
                assert time.monotonic() < end, (version, rig.board.lines[-20:])
                if time.monotonic() > pull and self.pulls < count:
                    rig.board.power_off()
                    self.pulls += 1
                    self._judge()
                    rig.board.power_on()
                    pull = time.monotonic() + self.random.random() * BUSY
                    end = time.monotonic() + PATIENCE
                swu = await self._ask(client)
                if not swu:
                    continue
                self.phases[swu["swupdatestate"]] = self.phases.get(swu["swupdatestate"], 0) + 1
                if asked and swu["swupdateaction"] == "idle" and await self._runs(client) == version:
                    break
                if swu["swupdateaction"] == "idle" and swu["swupdatestate"] not in ("svv", "upgrading"):
                    asked = await self._begin(client, version) or asked
        rig.board.power_off()
        self._judge(version)

    async def _ask(self, client: Any) -> Any:
        try:
            reply = await client.ask(aiocoap.GET, "oc/swu", timeout=ANSWER)
        except (TimeoutError, OSError, aiocoap.error.Error):
            return None
        await asyncio.sleep(0.03)
        return cbor2.loads(reply.payload) if reply.code == aiocoap.CONTENT else None

    async def _runs(self, client: Any) -> Any:
        try:
            reply = await client.ask(aiocoap.GET, "oic/d", timeout=2 * ANSWER)
        except (TimeoutError, OSError, aiocoap.error.Error):
            return None
        return cbor2.loads(reply.payload)["sv"] if reply.code == aiocoap.CONTENT else None

    async def _begin(self, client: Any, version: str) -> bool:
        body = {"purl": self.rig.stage.url(version), "swupdateaction": UPGRADE, "updatetime": "now"}
        try:
            reply = await client.ask(aiocoap.POST, "oc/swu", cbor2.dumps(body), 10000, timeout=2 * ANSWER)
        except (TimeoutError, OSError, aiocoap.error.Error):
            return False
        return bool(reply.code == aiocoap.CHANGED)

    def _judge(self, version: str = "") -> None:
        """The oracle. `version`: what has to run, when that is known."""
        whole = [found for found in (self._slot("0"), self._slot("1")) if found]
        assert whole, "no slot holds a release"
        said = [line.split() for line in self.rig.board.lines if "info: Fargo, version" in line]
        if said:  # the slot that ran last is never written, whatever was armed since
            assert self._slot(said[-1][-1][-1]) == said[-1][3], said[-1]
        assert not version or version in whole, (version, whole)
        records = {path: data for path, data in stored(self.rig).items() if path in OWNERS}
        assert records == self.owner, [path for path in OWNERS if records.get(path) != self.owner.get(path)]

    def _slot(self, number: str) -> str:
        """The release in a slot, byte for byte, or ""."""
        firmware, app = partition(self.rig, "ota_" + number), partition(self.rig, "app_" + number)
        for version in reversed(self.images):
            whole, part = self.images[version]
            if app.startswith(part) and (firmware.startswith(whole) if whole else self._known(firmware)):
                return version
        return ""

    def _known(self, firmware: bytes) -> bool:
        return any(whole and firmware.startswith(whole) for whole, _ in self.images.values())

    def figures(self) -> dict[str, Any]:
        """What was done."""
        return {
            "pulls": self.pulls,
            "updates": self.updates,
            "starts": len(self.rig.board.resets),
            "phases": self.phases,
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        plug = Plug(Path(folder), options.seed)
        try:
            plug.run(options.count)
        finally:
            plug.rig.stop()
    print(plug.figures())
