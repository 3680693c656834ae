"""Actions at a time (Table 2, updatetime): that fire, that are past, that pass without power, with the clock unset."""

import asyncio
import time

import aiocoap
import cbor2
import pytest
from sim.rig import IDLE, ISAC, ISVV, PSTAT, SWU, UPGRADE, WAIT, TimeServer, timestamp


@pytest.fixture
def timed(make):
    """A board whose clock is set by the network, and the time server."""
    with TimeServer() as server:
        rig = make(board={"ntp_port": server.port})
        rig.time = server
        rig.stage.release("1.1.0", 2)
        yield rig


async def clock_is_set(rig, client):
    """Wait until a time of day is accepted."""
    end = time.monotonic() + WAIT
    while (await client.update(rig.stage.url("1.1.0"), ISAC, timestamp(3600))).code != aiocoap.CHANGED:
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    assert (await client.update(rig.stage.url("1.1.0"))).code == aiocoap.CHANGED


async def scheduled(client):
    swu = await client.get(SWU)
    return swu["swupdateaction"], swu["updatetime"], swu["swupdatestate"]


async def test_it_fires_at_its_time(timed):
    """IoTivity: PostRequestScheduleUpdate. Not before, and once."""
    url = timed.stage.url("1.1.0")
    async with timed.client() as client:
        await clock_is_set(timed, client)
        seen = await client.observe(SWU)
        when = timestamp(3)
        due = int(time.time()) + 3
        reply = await client.update(url, ISAC, when)
        assert reply.code == aiocoap.CHANGED
        told = cbor2.loads(reply.payload)
        assert (told["swupdateaction"], told["updatetime"], told["swupdatestate"]) == (ISAC, when, "idle")
        assert (await client.get(PSTAT))["tm"] == 0
        await seen.until(lambda v: v["swupdatestate"] == "nsa")
        assert due - 1.1 < time.time() < due + 10  # not before, and soon: a busy machine may take seconds to check
        await asyncio.sleep(1)
        assert await scheduled(client) == (IDLE, when, "nsa")
        assert (await client.get(SWU))["nv"] == "1.1.0"
        assert timed.stage.server.count("/fargo-1.1.0.suit").requests == 1
        assert seen.distinct("swupdateaction", "swupdatestate") == [(IDLE, "idle"), (ISAC, "idle"), (IDLE, "nsa")]


async def test_a_whole_update_at_its_time(timed):
    """upgrade in the future: the device updates itself, and nothing is scheduled any more."""
    async with timed.client() as client:
        await clock_is_set(timed, client)
        before = (await client.get(SWU))["lastupdate"]
        await client.update(timed.stage.url("1.1.0"), UPGRADE, timestamp(4))
        swu = await client.until(lambda v: v["swupdateresult"] == 1)
        assert await client.version() == "1.1.0"
        assert swu["swupdateaction"] == IDLE and swu["lastupdate"] > before
        assert (
            abs(time.time() - time.mktime(time.strptime(swu["lastupdate"], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 60
        )


async def test_the_past_is_refused(timed):
    """IoTivity: PostRequest_FailUpdateTimeInPast. No update happens, and nothing else of the UPDATE is taken."""
    async with timed.client() as client:
        await clock_is_set(timed, client)
        before = await client.get(SWU)
        for action in (ISAC, ISVV, UPGRADE):
            for when in (timestamp(-2), "2015-01-09T14:30:00Z", "0000-01-01T00:00:00Z"):
                reply = await client.update("https://other/", action, when)
                assert reply.code == aiocoap.BAD_REQUEST and b"past" in reply.payload
        assert await client.get(SWU) == before
        assert timed.stage.server.total().requests == 0


async def test_now_is_when_it_was(timed):
    """IoTivity: PostRequestUpdateNow."""
    async with timed.client() as client:
        await clock_is_set(timed, client)
        begin = timestamp(-3)  # the time server tells whole seconds, and the device hears of them later
        told = cbor2.loads((await client.update(timed.stage.url("1.1.0"), ISAC, "now")).payload)
        assert begin <= told["updatetime"] <= timestamp(1)
        assert (await client.settled())["swupdatestate"] == "nsa"


async def test_cancel_and_replace(timed):
    """A later UPDATE replaces what was scheduled; idle (or none) cancels it. IoTivity: PostRequestNoUpdate."""
    url = timed.stage.url("1.1.0")
    async with timed.client() as client:
        await clock_is_set(timed, client)
        soon = 8  # seconds: nothing of it comes due before it is replaced, on a busy machine either
        await client.update(url, ISAC, timestamp(soon))
        await client.update(url, ISVV, timestamp(1000))
        assert (await scheduled(client))[0] == ISVV
        await client.update(url, UPGRADE, timestamp(soon))
        await client.update(url, IDLE, timestamp(soon))
        assert (await scheduled(client))[0] == IDLE
        await client.update(url, UPGRADE, timestamp(soon))
        await client.update(url, UPGRADE, "none")
        assert (await scheduled(client))[0] == IDLE
        await asyncio.sleep(soon + 1.5)
        assert (await scheduled(client))[::2] == (IDLE, "idle")
        assert timed.stage.server.total().requests == 0


async def test_a_schedule_survives_a_restart(timed):
    """IoTivity: ScheduleUpdateOnLoad. After a reset the clock still runs; after a loss of power it is set anew."""
    url = timed.stage.url("1.1.0")
    async with timed.client() as client:
        await clock_is_set(timed, client)
        when = timestamp(800)
        await client.update(url, ISAC, when)
        at, began = len(timed.board.lines), time.monotonic()
        timed.time.silent = True  # the time is kept over a reset, and not asked for
        assert (await client.post("oic/mnt", {"rb": True})).code == aiocoap.CHANGED
        await timed.log("serving", at)
        assert await scheduled(client) == (ISAC, when, "idle")
        assert (await client.update(url, ISVV, timestamp(900))).code == aiocoap.CHANGED
        when = timestamp(3 + 3 * (time.monotonic() - began))  # by then it has started once more, and was asked
        assert (await client.update(url, ISAC, when)).code == aiocoap.CHANGED
        timed.time.silent = False
        timed.power_cycle()
        assert await scheduled(client) == (ISAC, when, "idle")
        await client.until(lambda v: v["swupdatestate"] == "nsa")
        assert timestamp(0) >= when


async def test_it_passed_while_the_power_was_off(timed):
    """Then it shall not take place: dropped with a reason once the time is known, and the result stays as it was."""
    url = timed.stage.url("1.1.0")
    async with timed.client() as client:
        await clock_is_set(timed, client)
        when = timestamp(6)  # so far ahead that the power is off by then on any machine
        await client.update(url, UPGRADE, when)
        timed.board.power_off()
        await asyncio.sleep(6.5)
        timed.time.silent = True
        timed.start()
        assert (await scheduled(client))[:2] == (UPGRADE, when)  # it cannot know yet
        seen = await client.observe(SWU)
        timed.time.silent = False
        await seen.until(lambda v: v["swupdateaction"] == IDLE)
        swu = await client.get(SWU)
        assert (swu["swupdatestate"], swu["swupdateresult"], swu["updatetime"]) == ("idle", 0, when)
        assert "dropped" in await client.reason()
        assert timed.stage.server.total().requests == 0 and await client.version() == "1.0.0"


async def test_the_clock_is_not_set(make):
    """A time of day is refused with 5.03; now, none and tm work, and once the time is known it is accepted."""
    with TimeServer(silent=True) as server:
        rig = make(board={"ntp_port": server.port})
        rig.stage.release("1.1.0", 2)
        url = rig.stage.url("1.1.0")
        async with rig.client() as client:
            before = await client.get(SWU)
            for action in (ISAC, ISVV, UPGRADE):
                reply = await client.update(url, action, timestamp(100))
                assert reply.code == aiocoap.SERVICE_UNAVAILABLE and b"clock" in reply.payload
            assert await client.get(SWU) == before
            assert (await client.update(url, IDLE, timestamp(100))).code == aiocoap.CHANGED
            assert (await client.update(url, UPGRADE, "none")).code == aiocoap.CHANGED
            assert (await scheduled(client))[::2] == (IDLE, "idle")
            assert (await client.run(url, ISAC))["swupdatestate"] == "nsa"
            assert (await client.tm(64)).code == aiocoap.CHANGED
            assert (await client.settled())["swupdatestate"] == "sva"
            server.silent = False
            await clock_is_set(rig, client)


async def test_a_time_server_in_the_past_is_not_believed(make):
    """A time before the running release was built: the clock stays unset."""
    with TimeServer(shift=-5 * 365 * 86400) as server:
        rig = make(board={"ntp_port": server.port})
        async with rig.client() as client:
            await rig.log("earlier than this release")
            reply = await client.update("https://h/", ISAC, timestamp(100))
            assert reply.code == aiocoap.SERVICE_UNAVAILABLE


async def test_it_comes_due_while_another_action_runs(timed):
    """It waits: one action at a time."""
    url = timed.stage.url("1.1.0")
    async with timed.client() as client:
        await clock_is_set(timed, client)
        seen = await client.observe(SWU)
        when = timestamp(4)
        assert (await client.update(url, UPGRADE, when)).code == aiocoap.CHANGED
        await seen.until(lambda v: v["swupdateaction"] == UPGRADE)
        timed.stage.server.delay = 1
        assert (await client.tm(64)).code == aiocoap.CHANGED
        while timestamp(-2) <= when:  # the device's clock may be behind
            await asyncio.sleep(0.1)
        assert (await client.get(SWU))["swupdatestate"] == "svv"
        timed.stage.server.delay = 0
        await seen.until(lambda v: v["swupdatestate"] == "sva")
        await client.until(lambda v: v["swupdateresult"] == 1)
        assert seen.distinct("swupdateaction", "swupdatestate")[:4] == [
            (IDLE, "idle"), (UPGRADE, "idle"), (ISVV, "svv"), (UPGRADE, "sva"),
        ]  # fmt: skip
