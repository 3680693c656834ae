"""An idle device that is restarted again and again, and one whose plug is pulled at random while it is updated.

The long form (FARGO_LONG=1) does each a thousand times (FARGO_PULLS: how often the plug is pulled) and writes
build/reliability/reboots.json.
"""

import json
import os
import random

import aiocoap
from fargo.bundle import ROOT
from sim.owned_rig import partition, stored
from sim.plug import Plug

LONG = bool(os.environ.get("FARGO_LONG"))
COUNT = 1000 if LONG else 30
PULLS = int(os.environ.get("FARGO_PULLS", "1000")) if LONG else 8


def published(**figures):
    """Add to the figures of the long form."""
    if LONG:
        path = ROOT / "build/reliability/reboots.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(known | figures, indent=2))


def state(rig):
    """Everything that a start could change."""
    return {name: partition(rig, name) for name in ("nvs", "otadata", "ota_0", "ota_1", "app_0", "app_1", "data")}


async def test_an_idle_device_is_restarted_often(fresh):
    """Not one operation of the flash, not one bit of it is other; it serves, and its owner is its owner."""
    async with fresh.client() as client:
        assert (await client.post("oc/con", {"n": "cellar"})).code == aiocoap.CHANGED
    fresh.power_cycle()  # what the first start after all that has to write
    fresh.board.power_off()
    before, records = state(fresh), stored(fresh)
    operations = 0
    for i in range(COUNT):
        if i % 10 < 9:
            fresh.start()
        else:  # a reset in place of a loss of power
            fresh.start()
            async with fresh.client() as client:
                at = len(fresh.board.lines)
                assert (await client.post("oic/mnt", {"rb": True})).code == aiocoap.CHANGED
                await fresh.log("serving", at)
                assert (await client.get("oic/d"))["n"] == "cellar"
        fresh.board.power_off()
        operations = max(operations, fresh.board.operations)
        assert operations == 0, (i, fresh.board.lines[-10:])
    assert stored(fresh) == records and state(fresh) == before
    starts = len(fresh.board.resets)
    print(f"\n{starts} starts, {operations} flash operations at most in one")
    published(idle={"starts": starts, "operations_per_start": operations})


def test_the_plug_is_pulled_at_random(tmp_path):
    """While a Client updates it again and again: what runs is a release, byte for byte, and its owner is its owner."""
    seed = int(os.environ.get("FARGO_SEED") or (random.randrange(1 << 30) if LONG else 1))
    print(f"\nFARGO_SEED={seed}")
    plug = Plug(tmp_path, seed)
    try:
        plug.run(PULLS)
    finally:
        plug.rig.stop()
    print(plug.figures())
    published(pulls={"seed": seed, **plug.figures()})
