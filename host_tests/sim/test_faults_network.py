"""The network is lost in each phase of an update, and comes back: in time, too late, or never."""

import asyncio
import socket

import aiocoap
import cbor2
import pytest
from fargo.console import Failure
from sim.owned_rig import Clear
from sim.rig import IDLE, ISAC, ISVV, PSTAT, SWU, UPGRADE, WAIT, TimeServer, timestamp

LOSS = 1.5  # seconds


@pytest.fixture
def aired(make):
    """A board on a radio, and an update for it that takes a few seconds."""
    rig = make(board={"radio": True}, settings={"retries": 4, "backoff_ms": [300, 600], "connect_s": 2, "read_s": 2})
    rig.stage.release("1.1.0", 2, firmware=True)
    rig.stage.server.delay = 0.05
    return rig


async def lose(rig, seconds=LOSS):
    """No network for a while."""
    rig.board.network = False
    await asyncio.sleep(seconds)
    rig.board.network = True


async def test_without_a_network_nothing_gets_through(aired):
    """The simulated radio itself; afterwards the same session is answered."""
    async with aired.client() as client:
        await client.get("lamp")
        aired.board.network = False
        with pytest.raises(TimeoutError):
            await client.ask(aiocoap.GET, "lamp", timeout=1)
        await aired.log("the network is lost")
        aired.board.network = True
        await aired.log("the network is joined again")
        assert (await client.get("lamp"))["value"] is False


async def test_an_empty_datagram_makes_no_socket_deaf(aired):
    """Anybody can send one, and MicroPython's socket on a chip takes it for the end of a connection."""
    rig = aired
    async with rig.client() as client, Clear(rig) as clear:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((rig.stage.address, 0))
            for _ in range(3):
                for port in (5683, 5684):
                    stranger.sendto(b"", (rig.stage.address, port))
                assert (await client.get("lamp"))["value"] is False
                assert (await clear.get("oic/d"))["di"]


async def asked(rig, part):
    """Wait until a file whose name holds `part` is asked for."""
    async with asyncio.timeout(WAIT):
        while not rig.stage.server.count(part).requests:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("where", ["begin", "table", "payload", "validated", "restart", "trial"])
async def test_lost_for_a_moment(aired, where):
    """The update goes on by itself and is done."""
    rig, server = aired, aired.stage.server
    (table, *_) = sorted(rig.stage.releases.glob("*.chunks"))
    payload = max(rig.stage.releases.glob("*.bin"), key=lambda path: path.stat().st_size)
    async with rig.client() as client:
        at = len(rig.board.lines)
        if where in ("validated", "restart", "trial"):
            assert (await client.run(rig.stage.url("1.1.0"), ISVV))["swupdatestate"] == "sva"
            if where == "validated":
                await lose(rig)
            assert (await client.tm(128)).code == aiocoap.CHANGED
            if where == "restart":
                await rig.log("restarting", at)
            if where == "trial":
                await rig.log("version 1.1.0 in", at)
        else:
            assert (await client.update(rig.stage.url("1.1.0"), UPGRADE, "now")).code == aiocoap.CHANGED
            if where != "begin":
                await asked(rig, "/" + (table if where == "table" else payload).name)
        if where != "validated":
            await lose(rig)
        await client.until(lambda v: v["swupdateresult"] == 1)
        assert await client.version() == "1.1.0"
        assert server.count("/" + payload.name).bytes < payload.stat().st_size * 1.5


async def test_lost_for_too_long(aired):
    """Result 4 with the reason; when the network is back the rest is fetched, not the whole."""
    rig = aired
    payload = max(rig.stage.releases.glob("*.bin"), key=lambda path: path.stat().st_size)
    async with rig.client() as client:
        assert (await client.update(rig.stage.url("1.1.0"), UPGRADE, "now")).code == aiocoap.CHANGED
        await asked(rig, "/" + payload.name)
        await asyncio.sleep(0.3)
        rig.board.network = False
        await asyncio.sleep(WAIT / 2)
        rig.board.network = True
        swu = await client.settled()
        assert (swu["swupdateresult"], swu["swupdatestate"]) == (4, "nsa") or swu["swupdateresult"] == 4, swu
        assert await client.reason() and await client.version() == "1.0.0"
        assert (await client.run(rig.stage.url("1.1.0"), UPGRADE))["swupdateresult"] == 1


async def test_lost_for_the_whole_trial(make):
    """It goes back; the version before joins when it can, and says why."""
    rig = make(board={"radio": True}, settings={"trial_s": 4})
    rig.stage.release("1.1.0", 2)
    async with rig.client() as client:
        assert (await client.run(rig.stage.url("1.1.0"), ISVV))["swupdatestate"] == "sva"
        at = len(rig.board.lines)
        await client.tm(128)
        await rig.log("restarting", at)
        rig.board.network = False
        await rig.log("version 1.0.0 in", at)
        rig.board.network = True
        await client.until(lambda v: v["swupdateresult"] == 8)
        assert "network" in await client.reason() and await client.version() == "1.0.0"


async def test_a_schedule_is_kept_without_a_network(make):
    """It comes due while there is none, and is done when there is one again in time."""
    with TimeServer() as server:
        rig = make(board={"radio": True, "ntp_port": server.port}, settings={"retries": 9, "backoff_ms": [500]})
        rig.stage.release("1.1.0", 2)
        url = rig.stage.url("1.1.0")
        async with rig.client() as client:
            while (await client.update(url, UPGRADE, when := timestamp(5))).code != aiocoap.CHANGED:
                await asyncio.sleep(0.1)
            rig.board.network = False
            await asyncio.sleep(7)
            rig.board.network = True
            await client.until(lambda v: v["swupdateresult"] == 1)
            assert (await client.get(SWU))["swupdateaction"] == IDLE and await client.version() == "1.1.0"
            assert when < timestamp(0)


@pytest.mark.parametrize("hours", [5, -5])
async def test_the_clock_jumps_while_a_schedule_waits(make, hours):
    """Forwards: it is due at once. Backwards: it waits, is neither lost nor done twice."""
    with TimeServer() as server:
        rig = make(board={"ntp_port": server.port})
        rig.stage.release("1.1.0", 2)
        url = rig.stage.url("1.1.0")
        async with rig.client() as client:
            while (await client.update(url, ISAC, timestamp(7200))).code != aiocoap.CHANGED:
                await asyncio.sleep(0.1)
            server.shift = hours * 3600
            asks = server.asked
            at = len(rig.board.lines)
            assert (await client.post("oic/mnt", {"rb": True})).code == aiocoap.CHANGED  # it asks for the time at once
            await rig.log("serving", at)
            async with asyncio.timeout(WAIT):
                while server.asked == asks:
                    await asyncio.sleep(0.05)
            if hours > 0:
                swu = await client.until(lambda v: v["swupdateaction"] == IDLE)
                requests = rig.stage.server.count("/fargo-1.1.0.suit").requests
                reason = await client.reason()
                assert (swu["swupdatestate"], requests) == ("nsa", 1) or "passed" in reason, (swu, reason)
            else:
                await asyncio.sleep(2)
                assert (await client.get(SWU))["swupdateaction"] == ISAC
                assert rig.stage.server.count("/fargo-1.1.0.suit").requests == 0
            assert cbor2.loads((await client.ask(aiocoap.GET, SWU)).payload)["swupdateresult"] == 0


async def test_lost_while_somebody_becomes_the_owner(make):
    """It is had all the same, or can be had again, or is this owner's already."""
    rig = make(board={"radio": True}, owned=False)
    identity = rig.stage.identity
    owning = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(rig.stage.own())))
    await asyncio.sleep(0.15)
    await lose(rig)
    try:
        await owning
    except Failure as failure:
        print(failure)
        first = list(identity.devices)
        try:
            await asyncio.to_thread(lambda: asyncio.run(rig.stage.own()))
        except Failure as again:
            assert "is yours already" in str(again)
        else:
            for uuid in first:
                identity.forget(uuid)
    async with rig.client() as client:
        assert (await client.get(PSTAT))["rowneruuid"] == identity.uuid
