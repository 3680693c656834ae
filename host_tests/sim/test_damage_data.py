"""Damage at rest to `data`, `vfs` and NVS: who owns the device afterwards, and how it is reached."""

import asyncio

import aiocoap
import pytest
from sim.damage_rig import (
    Past,
    count,
    files,
    noise,
    own,
    some,
    survives,
    taken_again,
    updated,
)
from sim.owned_rig import CRED, provisioning, shared_key
from sim.rig import IDLE, ISVV, STATUS

OTHER = "11111111-2222-4333-8444-555555555555"
DATA, VFS = 0x20000, 0x10000

# An app that takes all the space of its folder when it is told to.
GREEDY = """
import asyncio
import os
from ocf import Property, Resource


class Greed(Resource):
    href, rt = "/greed", ("x.test.greed",)
    properties = (Property("value", bool, "rw"),)
    value = False

    def __init__(self, folder):
        super().__init__()
        self.path = folder + "/much"

    def update(self, values):
        super().update(values)
        if not self.value:
            os.remove(self.path)
            return
        try:
            with open(self.path, "wb") as file:
                while True:
                    file.write(bytes(1024))
                    file.flush()
        except OSError:
            pass


async def main(device):
    device.add(Greed(device.data))
    await asyncio.sleep(100000)
"""


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    past = Past(tmp_path_factory.mktemp("past"))
    yield past
    past.end()


@pytest.fixture(scope="module")
def greedy(tmp_path_factory):
    app = tmp_path_factory.mktemp("app")
    (app / "app.py").write_text(GREEDY)
    past = Past(tmp_path_factory.mktemp("greedy"), app=app)
    yield past
    past.end()


# data


@pytest.mark.parametrize(
    ("what", "content"),
    some(
        [("zeros", bytes(DATA)), ("blank", b"\xff" * DATA), ("garbage", noise(DATA)), ("superblock", noise(8192))], 2
    ),
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_data_is_lost(past, what, content):
    """It is formatted, and says so; there is no owner; the floor comes from NVS."""
    past.again((past.where("data"), content))
    await taken_again(past)
    assert past.said("data holds no file system")


BLOCKS = [(block, seed) for block in range(DATA // 4096) for seed in (1, 2)]


@pytest.mark.parametrize(("block", "seed"), some(BLOCKS, 3), ids=str)
async def test_a_block_of_data_is_lost(past, block, seed):
    """Whatever was in it: the device serves, with its owner or without one, has its floor, and can be updated."""
    content = noise(4096, seed) if seed == 1 else past.flash[past.where("data") + 4096 * block :][:2048] + bytes(2048)
    past.again((past.where("data") + 4096 * block, content))
    rig = past.rig
    await asyncio.to_thread(rig.start)
    if past.said("RESET") or past.said("no file system"):
        await asyncio.to_thread(rig.board.power_off)
        past.again((past.where("data") + 4096 * block, content))
        await taken_again(past)
    else:
        await asyncio.to_thread(rig.board.power_off)
        past.again((past.where("data") + 4096 * block, content))
        await survives(past)


async def test_an_app_takes_all_the_space(greedy):
    """An update has room all the same, and so has RESET; what has none is refused and changes nothing."""
    rig = greedy.again()
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        await client.post("greed", {"value": True})
        await updated(rig, client, greedy.next)
        status = await client.get(STATUS)
        assert status["confirmed"]
        await client.post("greed", {"value": True})
        before = await client.get(CRED)
        reply = await client.post("oc/con", {"n": "x" * 60})
        async with provisioning(client):
            replies = [await client.post(CRED, {"creds": [shared_key(OTHER, bytes(16))]}) for _ in range(30)]
        assert {reply.code for reply in replies} <= {aiocoap.CHANGED, aiocoap.INTERNAL_SERVER_ERROR}
        after = await client.get(CRED)
        if replies[0].code != aiocoap.CHANGED:
            assert after == before
        await client.post("greed", {"value": False})
        reply = await client.post("oc/con", {"n": "cellar"})
        assert reply.code == aiocoap.CHANGED
        at = len(rig.board.lines)
        await client.post("oic/mnt", {"rb": True})
        await rig.log("serving", at)
        assert (await client.get("oic/d"))["n"] == "cellar" and (await client.get(CRED)) == after
    await asyncio.to_thread(rig.board.power_off)
    assert "room" in files(rig)
    count("reached")


async def test_an_app_takes_all_the_space_again_and_again(greedy):
    """Even the room that was kept: result 3 in words, the device serves; after there is space all goes well."""
    rig = greedy.again()
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        for _ in range(2):
            await client.post("greed", {"value": True})
            await client.update(rig.stage.url(greedy.next), IDLE)  # a record of its own block: from what was kept
        swu = await client.run(rig.stage.url(greedy.next), ISVV)
        if swu["swupdateresult"]:
            assert swu["swupdateresult"] == 3 and "could not be stored" in await client.reason()
        await client.post("greed", {"value": False})
        await updated(rig, client, greedy.next)
    count("reached")


async def test_reset_when_all_space_is_taken(greedy):
    """RESET gives the app's space back, and ends in a device that can be owned."""
    rig = greedy.again()
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        await client.post("greed", {"value": True})
        await client.update(rig.stage.url(greedy.next), IDLE)
        await client.post("greed", {"value": True})
        assert (await client.post("oic/mnt", {"fr": True})).code == aiocoap.CHANGED
    await own(greedy)
    async with rig.client() as client:
        assert (await client.get("oc/con"))["n"] == ""
        await updated(rig, client, greedy.next)
    count("reached")
