"""What survives a loss of power in every state, and what interrupts what. RESET is in test_ownership.py."""

import asyncio

import aiocoap
import pytest
from sim.rig import CM, IDLE, ISAC, ISVV, PSTAT, STATUS, SWU, UPGRADE, TimeServer, timestamp


async def power_cycle(rig):
    await asyncio.to_thread(rig.power_cycle)


async def both(client):
    return await client.get(SWU), await client.get(PSTAT)


@pytest.mark.parametrize("state", ["idle", "scheduled", "nsa", "sva", "failed"])
async def test_power_cycle_at_rest(make, state):
    """IoTivity: DumpAndLoad, Copy, EncodeAndDecodeForDevice. Everything reads as before; nothing happens by itself."""
    with TimeServer() as server:
        rig = make(board={"ntp_port": server.port})
        rig.stage.release("1.1.0", 2)
        url = rig.stage.url("1.1.0")
        async with rig.client() as client:
            await client.post("oc/con", {"n": "cellar"})
            if state == "scheduled":
                while (await client.update(url, UPGRADE, timestamp(3600))).code != aiocoap.CHANGED:
                    await asyncio.sleep(0.1)
            elif state == "failed":
                await client.run(url + ".gone", ISAC)
            elif state == "idle":
                await client.update(url, IDLE, "2030-01-09T14:30:00Z")
            else:
                await client.run(url, {"nsa": ISAC, "sva": ISVV}[state])
            before, reason = await both(client), await client.reason()
            assert before[0]["swupdatestate"] == {"scheduled": "idle", "failed": "idle"}.get(state, state)
            for _ in range(2):
                await power_cycle(rig)
                assert await both(client) == before and await client.reason() == reason
                assert (await client.get("oic/d"))["n"] == "cellar"
            if state == "sva":  # and what was downloaded can be installed
                fetched = rig.stage.server.total().bytes
                await client.tm(128)
                await client.until(lambda v: v["swupdateresult"] == 1)
                assert rig.stage.server.total().bytes - fetched < 5000
                assert await client.version() == "1.1.0"


@pytest.mark.parametrize("how", ["power", "reset"])
async def test_interrupted_download_goes_on_by_itself(make, how):
    """The power fails in svv: the action goes on after the start, with what is in the flash already."""
    rig = make()
    rig.stage.release("1.1.0", 2, firmware=True)
    total = sum(path.stat().st_size for path in rig.stage.releases.glob("*.bin"))
    rig.stage.server.delay = 0.08
    async with rig.client() as client:
        await client.update(rig.stage.url("1.1.0"), ISVV, "now")
        await client.until(lambda v: v["done"] > total // 2, path=STATUS)
        fetched = rig.stage.server.total().bytes
        rig.stage.server.delay = 1  # it is not done before it has been looked at, however long the start takes
        if how == "power":
            await power_cycle(rig)
        else:
            at = len(rig.board.lines)
            await client.post("oic/mnt", {"rb": True})
            await rig.log("serving", at)
        swu, pstat = await both(client)
        assert (swu["swupdateaction"], swu["swupdatestate"], pstat["cm"]) == (ISVV, "svv", 256)
        rig.stage.server.delay = 0
        swu = await client.settled()
        assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("sva", 0, "1.1.0")
        assert rig.stage.server.total().bytes - fetched < 0.75 * total


async def test_interrupted_for_ever(make):
    """An action that is interrupted again and again is given up in the end (result 4)."""
    rig = make()
    rig.stage.release("1.1.0", 2)
    rig.stage.server.delay = 0.5
    async with rig.client() as client:
        await client.update(rig.stage.url("1.1.0"), UPGRADE, "now")
        for _ in range(4):
            await client.until(lambda v: v["swupdatestate"] == "svv")
            await power_cycle(rig)
        swu = await client.settled()
        assert (swu["swupdateresult"], swu["swupdatestate"]) == (4, "idle")
        assert "interrupted" in await client.reason()


@pytest.mark.parametrize("when", ["restarting", "starting", "on trial"])
async def test_power_cut_while_upgrading(make, when):
    """Armed, not yet started, or on trial: the new version is tried in the end, and kept."""
    rig = make()
    rig.stage.release("1.1.0", 2, firmware=True)
    async with rig.client() as client:
        at = len(rig.board.lines)
        await client.update(rig.stage.url("1.1.0"), UPGRADE, "now")
        await rig.log({"restarting": "restarting", "starting": "starting ota_1", "on trial": "on trial"}[when], at)
        await power_cycle(rig)
        swu = await client.until(lambda v: v["swupdateresult"] == 1)
        assert (swu["swupdatestate"], swu["nv"], await client.version()) == ("idle", "", "1.1.0")


async def test_one_action_at_a_time(make):
    """While one runs: others are refused with 5.03, idle cancels a schedule and nothing else, reads go on (A17)."""
    rig = make()
    rig.stage.release("1.1.0", 2)
    url = rig.stage.url("1.1.0")
    rig.stage.server.delay = 0.5  # it lasts longer than all that is asked meanwhile
    async with rig.client() as client:
        seen = await client.observe(PSTAT)
        await client.update(url, ISVV, "now")
        before = await both(client)
        assert before[0]["swupdatestate"] == "svv" and before[1]["cm"] == CM["svv"]
        for action in (ISAC, ISVV, UPGRADE):
            reply = await client.update("https://other/", action, "now")
            assert reply.code == aiocoap.SERVICE_UNAVAILABLE and reply.payload
        for bits in (64, 128, 256, 448):
            assert (await client.tm(bits)).code == aiocoap.SERVICE_UNAVAILABLE
        reply = await client.update("no url", ISAC, "now")
        assert reply.code == aiocoap.BAD_REQUEST
        assert (await client.tm(0)).code == aiocoap.CHANGED  # PST-13: it does not stop what runs
        assert (await client.update("https://other/", IDLE, "none")).code == aiocoap.CHANGED
        assert await both(client) == before
        rig.stage.server.delay = 0
        await seen.until(lambda v: v["cm"] == 320)
        assert (await client.get(SWU))["purl"] == url


async def test_coap_update(make):
    """The same update over CoAP, secured by DTLS. LwM2M 771."""
    rig = make()
    rig.stage.release("1.1.0", 2, firmware=True)
    async with rig.client() as client:
        seen = await client.observe(SWU)
        await client.update(rig.stage.url("1.1.0", "coaps"), UPGRADE, "now")
        await seen.until(lambda v: v["swupdatestate"] == "upgrading")
        await client.until(lambda v: v["swupdateresult"] == 1)
        assert seen.distinct("swupdatestate") == ["idle", "svv", "sva", "upgrading"]
        assert await client.version() == "1.1.0" and rig.stage.server.total("https").requests == 0


@pytest.mark.parametrize("half", ["firmware", "app"])
async def test_releases_of_one_half(make, half):
    """The other half is copied from the running slot, and not fetched."""
    rig = make()
    rig.stage.release("1.1.0", 2, firmware=half == "firmware", app=half == "app", change={"extra.txt": "new"})
    (payload,) = rig.stage.releases.glob("*.bin")
    async with rig.client() as client:
        await client.update(rig.stage.url("1.1.0"), UPGRADE, "now")
        await client.until(lambda v: v["swupdateresult"] == 1)
        assert await client.version() == "1.1.0" and (await client.get("lamp")) == {"value": False}
        assert rig.stage.server.count("/" + payload.name).bytes <= payload.stat().st_size + 8192


async def test_two_of_three_signatures(make):
    """One is not enough, nor the same one twice; any two are."""
    rig = make(threshold=2)
    stage = rig.stage
    stage.release("1.1.0", 2, signers=stage.keys[:1])
    stage.release("1.2.0", 3, signers=stage.keys[1:])
    async with rig.client() as client:
        swu = await client.run(stage.url("1.1.0"), UPGRADE)
        assert (swu["swupdateresult"], swu["swupdatestate"]) == (5, "idle")
        assert "1 valid signature(s) of trusted keys, 2 needed" in await client.reason()
        await client.update(stage.url("1.2.0"), UPGRADE, "now")
        await client.until(lambda v: v["swupdateresult"] == 1)
        assert await client.version() == "1.2.0"


async def test_two_boards_at_once(make):
    """At the same time, on one machine: they do not get in each other's way."""
    first, second = make(), make()
    for rig in (first, second):
        rig.stage.release("1.1.0", 2, firmware=True)

    async def update(rig):
        async with rig.client() as client:
            await client.update(rig.stage.url("1.1.0"), UPGRADE, "now")
            await client.until(lambda v: v["swupdateresult"] == 1)
            return await client.version(), (await client.get("oic/d"))["di"]

    (one, di), (two, other) = await asyncio.gather(update(first), update(second))
    assert one == two == "1.1.0" and di != other
