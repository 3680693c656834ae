"""Three sessions with two observers while an update is fetched, on a small heap: all of them stay alive."""

import os
import time

import aiocoap
import pytest
from sim.owned_rig import ACL, CRED, provisioning, rights, shared_key, write
from sim.rig import ISVV, STATUS, SWU, Foreign

pytestmark = pytest.mark.alone

HEAP = "448k"  # the simulated board's default: what the demo runs on
OTHERS = ("11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa")
SLOW = 5.0  # seconds: an answer that takes longer is as good as none

# Says what is live, as often as the app gets its turn.
PROBE = """
import asyncio
from port import heap_used


async def main(device):
    while True:
        print("heap", heap_used(), len(device.dtls.sessions), device.updater.doing or "idle")
        await asyncio.sleep(0.2)
"""


async def test_three_sessions_and_two_observers_are_answered_all_through_a_download(make, tmp_path):
    """Nobody is put out, nobody waits long, observers miss nothing, and in the end the new version runs."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text(PROBE)
    rig = make(app=app, board={"heap": HEAP, "flash_ms": (2, 1)})
    rig.stage.release("1.1.0", 2, firmware=True)
    keys = {uuid: os.urandom(16) for uuid in OTHERS}
    async with rig.client() as owner:
        async with provisioning(owner):
            for uuid, key in keys.items():
                await write(owner, CRED, "creds", shared_key(uuid, key))
                await write(owner, ACL, "aclist2", rights(uuid, 2, "/oc/swu", "/fargo/update"))
        one, two = (Foreign(rig.stage.address, uuid, key, rig._starts) for uuid, key in keys.items())
        async with one, two:
            swu, status = await one.observe(SWU), await two.observe(STATUS)
            rig.stage.server.delay = 0.01
            at = len(rig.board.lines)
            assert (await owner.update(rig.stage.url("1.1.0"), ISVV, "now")).code == aiocoap.CHANGED
            slowest, answers = 0.0, 0
            while (await owner.get(SWU))["swupdatestate"] == "svv":
                for client in (owner, one, two):
                    began = time.monotonic()
                    await client.get(SWU)
                    slowest = max(slowest, time.monotonic() - began)
                    answers += 1
            assert (await owner.get(SWU))["swupdatestate"] == "sva"
            await swu.until(lambda v: v["swupdatestate"] == "sva")
            assert swu.distinct("swupdatestate") == ["idle", "svv", "sva"]
            done = status.distinct("done")
            assert len(done) > 5 and sorted(done[:-1]) == done[:-1]
            assert answers > 10 and slowest < SLOW, (answers, slowest)
            assert [client._tunnel.begun for client in (owner, one, two)] == [1, 1, 1]
            lines = [line.split() for line in rig.board.lines[at:] if line.startswith("heap ")]
            during = [(int(live), int(sessions)) for _, live, sessions, phase in lines if phase == "obtain"]
            assert during and {sessions for _, sessions in during} == {3}
            print(
                f"live heap: at most {max(live for live, _ in during):,} bytes; {answers} answers, slowest {slowest:.2f} s"
            )
            await owner.tm(128)
            await owner.until(lambda v: v["swupdateresult"] == 1)
            assert await owner.version() == "1.1.0"
