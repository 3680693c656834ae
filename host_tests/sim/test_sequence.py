"""What observers see of updates, and what is true after the restart (OCF Core 11.5.4, Figures 1 and 2)."""

import asyncio

import aiocoap
from sim.rig import CM, IDLE, ISAC, ISVV, PSTAT, SWU, UPGRADE

ROW = ("swupdateaction", "swupdatestate", "swupdateresult")


async def observers(client):
    return await client.observe(SWU), await client.observe(PSTAT)


async def told_of_the_upgrade(swu, pstat):
    """What the board said last before it restarted has come to the observers: its log is another wire."""
    await swu.until(lambda v: v["swupdatestate"] == "upgrading")
    await pstat.until(lambda v: v["cm"] == CM["upgrading"])


async def after_update(client, version, url):
    """What must be true once `version` was kept."""
    swu = await client.until(lambda v: v["swupdateresult"] == 1)
    assert [swu[name] for name in ROW] == [IDLE, "idle", 1]
    assert swu["nv"] == "" and swu["purl"] == url and swu["signed"] == "vendor"
    pstat = await client.get(PSTAT)
    assert (pstat["cm"], pstat["tm"], pstat["isop"], pstat["dos"]) == (0, 0, True, {"s": 3, "p": False})
    assert (await client.get("oic/d"))["sv"] == (await client.get("oic/p"))["mnfv"] == version
    return swu


async def test_the_typical_update(fresh):
    """Figure 2: purl, observe, tm 256, 64, 128, each followed through cm. LwM2M 751, 756, 760, 770."""
    fresh.stage.release("1.1.0", 2, firmware=True)
    url = fresh.stage.url("1.1.0")
    async with fresh.client() as client:
        before = await client.get(SWU)
        assert before["lastupdate"] == "2026-01-09T14:30:00Z"
        assert (await client.update(url)).code == aiocoap.CHANGED
        swu, pstat = await observers(client)
        for bits, cm in ((256, 256), (64, 320), (128, 448)):
            assert (await client.tm(bits)).code == aiocoap.CHANGED
            await pstat.until(lambda v, cm=cm: v["cm"] == cm and (v["tm"] == 0 or cm == 448))
        await told_of_the_upgrade(swu, pstat)
        await fresh.log("1.1.0 is on trial")
        assert swu.distinct(*ROW) == [
            (IDLE, "idle", 0),
            (ISAC, "idle", 0),
            (IDLE, "nsa", 0),
            (ISVV, "svv", 0),
            (IDLE, "sva", 0),
            (UPGRADE, "upgrading", 0),
        ]
        assert pstat.distinct("cm", "tm") == [(0, 0), (0, 256), (256, 0), (256, 64), (320, 0), (448, 128)]
        assert [v["nv"] for v in swu.values] == ["" if v["swupdatestate"] == "idle" else "1.1.0" for v in swu.values]
        after = await after_update(client, "1.1.0", url)
        assert after["lastupdate"] > before["lastupdate"]
        assert fresh.board.resets == ["power", "reset"]


async def test_upgrade_now_from_idle(fresh):
    """Table 4, upgrade with nothing validated: first obtain and validate, then install; no other request is needed."""
    fresh.stage.release("1.1.0", 2, firmware=True)
    url = fresh.stage.url("1.1.0")
    async with fresh.client() as client:
        swu, pstat = await observers(client)
        reply = await client.update(url, UPGRADE, "now")
        assert reply.code == aiocoap.CHANGED
        await told_of_the_upgrade(swu, pstat)
        await fresh.log("1.1.0 is on trial")
        assert swu.distinct(*ROW) == [
            (IDLE, "idle", 0),
            (UPGRADE, "svv", 0),
            (UPGRADE, "sva", 0),
            (UPGRADE, "upgrading", 0),
        ]
        assert pstat.distinct("cm") == [0, 256, 320, 448]
        # while it is on trial the record goes on saying upgrading
        during = await client.get(SWU)
        if not (await client.get("fargo/update"))["confirmed"]:
            assert [during[name] for name in ROW] == [UPGRADE, "upgrading", 0]
        await after_update(client, "1.1.0", url)


async def test_isvv_alone_and_then_upgrade_uses_what_is_there(fresh):
    """isvv ends in sva and waits; upgrade then fetches nothing any more (Table 4)."""
    fresh.stage.release("1.1.0", 2)
    url = fresh.stage.url("1.1.0")
    async with fresh.client() as client:
        swu, pstat = await observers(client)
        ready = await client.run(url, ISVV)
        assert (ready["swupdatestate"], ready["swupdateresult"], ready["nv"]) == ("sva", 0, "1.1.0")
        asked = fresh.stage.server.total().requests
        assert (await client.tm(128)).code == aiocoap.CHANGED
        await told_of_the_upgrade(swu, pstat)
        await fresh.log("1.1.0 is on trial")
        fetched = fresh.stage.server.total().requests - asked
        assert swu.distinct("swupdatestate") == ["idle", "svv", "sva", "upgrading"]
        assert pstat.distinct("cm") == [0, 256, 320, 448]
        assert fetched <= 1  # the trial's proof asks for the envelope
        await after_update(client, "1.1.0", url)


async def test_states_and_modes_agree(fresh):
    """Table 3: cm is that of the state in every notification of either Resource, in whatever order they come."""
    fresh.stage.release("1.1.0", 2)
    async with fresh.client() as client:
        swu, pstat = await observers(client)
        await client.run(fresh.stage.url("1.1.0"), ISAC)
        await client.run(fresh.stage.url("1.1.0"), ISVV)
        await swu.until(lambda v: v["swupdatestate"] == "sva")
        await pstat.until(lambda v: v["cm"] == CM["sva"])
        assert [CM[state] for state in swu.distinct("swupdatestate")] == [0, 256, 256, 320]
        assert pstat.distinct("cm") == [0, 256, 320]
        assert (await client.get(PSTAT))["cm"] == CM[(await client.get(SWU))["swupdatestate"]]


async def test_nothing_newer(fresh):
    """An offer of what runs already: idle, result 0, "up to date"; nothing is downloaded."""
    url = fresh.stage.url("1.0.1")
    fresh.stage.release("1.0.1", 2)
    async with fresh.client() as client:
        await client.run(url, UPGRADE)
        await after_update(client, "1.0.1", url)
        requests = fresh.stage.server.total().requests
        for bits in (256, 64, 128):
            assert (await client.tm(bits)).code == aiocoap.CHANGED
            swu = await client.settled()
            assert [swu[name] for name in ROW] == [IDLE, "idle", 0] and swu["nv"] == ""
            assert await client.reason() == "up to date"
        assert fresh.stage.server.total().requests - requests == 3  # the envelope, each time
        assert fresh.board.resets == ["power", "reset"]


async def test_two_observers_and_a_silent_one(fresh):
    """Several observers are told the same; one that went away without a word does no harm."""
    fresh.stage.release("1.1.0", 2)
    async with fresh.client() as one, fresh.client() as two:
        async with fresh.client() as gone:
            await gone.observe(SWU)
            gone._observations.clear()  # it forgets to deregister
        first, second = await one.observe(SWU), await two.observe(SWU)
        await one.run(fresh.stage.url("1.1.0"), ISVV)
        await asyncio.gather(*(s.until(lambda v: v["swupdatestate"] == "sva") for s in (first, second)))
        assert first.values == second.values


async def test_the_device_is_as_it_was_after_an_update(fresh):
    """The name, the purl and the identity survive the update (SEC-01)."""
    fresh.stage.release("1.1.0", 2, firmware=True)
    url = fresh.stage.url("1.1.0")
    async with fresh.client() as client:
        assert (await client.post("oc/con", {"n": "cellar"})).code == aiocoap.CHANGED
        before = await client.get("oic/d")
        assert before["n"] == "cellar"
        await client.run(url, UPGRADE)
        await after_update(client, "1.1.0", url)
        assert await client.get("oic/d") == {**before, "sv": "1.1.0"}
