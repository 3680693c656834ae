"""An app that has `stop()` leaves memory for an update that would not fit beside it; what its Clients see meanwhile."""

import asyncio
import warnings

import aiocoap
import cbor2
import pytest
from sim.rig import ISVV, WAIT

pytestmark = pytest.mark.alone

HEAP = "320k"  # the device alone is updated in it, and beside HELD and a little more it is not
HELD = 116  # KB
APP = f"""
import asyncio
from ocf import Property, Resource

held = [bytearray(1024) for _ in range({HELD})]


class Lamp(Resource):
    href = "/lamp"
    rt = ("oic.r.switch.binary",)
    properties = (Property("value", bool, "rw"),)


def kept(device):
    return device.data + "/value"


async def main(device):
    global lamp
    lamp = device.add(Lamp(value=False))
    lamp.path = device.data + "/value"
    try:
        open(lamp.path).close()
        lamp.value = True
    except OSError:
        pass
    print("the app runs, and holds", len(held))
    await asyncio.gather(beat(), beat())


async def beat():
    while True:
        await asyncio.sleep(1)


STOP
"""
STOP = """
async def stop():
    if lamp.value:
        open(lamp.path, "w").close()
    print("the app is stopped")
"""


def rig_with(make, tmp_path, stop):
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text(APP.replace("STOP", stop))
    rig = make(app=app, board={"heap": HEAP})
    rig.stage.release("1.1.0", 2, firmware=True)
    return rig


async def test_an_app_leaves_memory_for_an_update_and_comes_back(make, tmp_path):
    rig = rig_with(make, tmp_path, STOP)
    at = len(rig.board.lines)
    async with rig.client() as client:
        assert (await client.post("lamp", {"value": True})).code == aiocoap.CHANGED
        message = aiocoap.Message(code=aiocoap.GET, uri=f"coap://{client.host}/lamp", observe=0)
        request = client.context.request(message)
        ended = asyncio.Event()
        told = []
        with warnings.catch_warnings():  # as in sim.rig
            warnings.simplefilter("ignore", DeprecationWarning)
            request.observation.register_callback(told.append)
            request.observation.register_errback(lambda error: ended.set())
        assert cbor2.loads((await asyncio.wait_for(request.response, WAIT)).payload) == {"value": True}

        rig.stage.server.delay = 0.005
        assert (await client.update(rig.stage.url("1.1.0"), ISVV, "now")).code == aiocoap.CHANGED
        await rig.log("the app has left memory", at)
        await asyncio.wait_for(ended.wait(), WAIT)  # the last notification, and the end of the observation
        assert told[-1].code == aiocoap.SERVICE_UNAVAILABLE and told[-1].opt.observe is None
        for reply in (
            await client.ask(aiocoap.GET, "lamp"),
            await client.post("lamp", {"value": False}),
        ):
            assert reply.code == aiocoap.SERVICE_UNAVAILABLE and reply.opt.max_age in (None, 60), reply
        links = await client.get("oic/res")
        (link,) = [link for link in links if link["href"] == "/lamp"]
        assert link["rt"] == ["oic.r.switch.binary"] and link["p"] == {"bm": 3}
        value = await client.settled()
        assert value["swupdatestate"] == "sva" and value["swupdateresult"] == 0, await client.reason()
        assert await client.until(lambda v: v["value"] is True, "lamp")
        said = [line for line in rig.board.lines[at:] if "the app" in line]
        assert [line.rpartition(", ")[0] or line for line in said] == [
            "the app is stopped", "info: the app has left memory", "the app runs",
        ]  # fmt: skip

        # And the version that is tried proves, beside such an app, that it can be updated again.
        await client.tm(128)
        await client.until(lambda v: v["swupdateresult"] == 1)
        assert await client.version() == "1.1.0"
        assert rig.board.resets == ["power", "reset"], rig.board.lines[at:]


async def test_beside_an_app_that_stays_it_fails(make, tmp_path):
    """And the device, with the app, goes on."""
    rig = rig_with(make, tmp_path, "more = bytearray(10_000)")
    async with rig.client() as client:
        value = await client.run(rig.stage.url("1.1.0"), ISVV)
        assert (value["swupdatestate"], value["swupdateresult"]) == ("idle", 2), value
        assert (await client.get("lamp")) == {"value": False}
        assert rig.board.resets == ["power"]


async def test_the_power_fails_while_it_is_away(make, tmp_path):
    """The app runs again with what it had saved, the update goes on beside it as before, and in the end both are there."""
    rig = rig_with(make, tmp_path, STOP)
    async with rig.client() as client:
        assert (await client.post("lamp", {"value": True})).code == aiocoap.CHANGED
        rig.stage.server.delay = 0.02
        at = len(rig.board.lines)
        assert (await client.update(rig.stage.url("1.1.0"), ISVV, "now")).code == aiocoap.CHANGED
        await rig.log("the app has left memory", at)
        written = rig.board.operations
        async with asyncio.timeout(WAIT):
            while rig.board.operations < written + 8:  # of the flash
                await asyncio.sleep(0.01)
        assert not [line for line in rig.board.lines[at:] if "update: sva" in line]
        at = len(rig.board.lines)
        rig.stage.server.delay = 0
        await asyncio.to_thread(rig.power_cycle)
        await rig.log("the app runs", at)
        await rig.log("the app has left memory", at)
        value = await client.settled()
        assert value["swupdatestate"] == "sva" and value["swupdateresult"] == 0, await client.reason()
        assert await client.until(lambda v: v["value"] is True, "lamp")
        assert rig.board.resets == ["power", "power"]
