"""A flash that refuses, or does not keep what is written, while the device is updated and owned."""

import asyncio

import aiocoap
import pytest
from sim.damage_rig import Past, count, floor, some, updated
from sim.owned_rig import ACL, CRED, DOXM, provisioning, rights, shared_key
from sim.rig import IDLE, STATUS, UPGRADE

OTHER = "11111111-2222-4333-8444-555555555555"
KINDS = ("erase", "program", "silent")
# Sectors of the other slot, which is ota_0: half and sector. The last of app_0 is the label.
PLACES = [("ota_0", 0), ("ota_0", 7), ("ota_0", 14), ("app_0", 0), ("app_0", 10), ("app_0", 47)]


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    past = Past(tmp_path_factory.mktemp("past"), settings={"trial_s": 12})
    yield past
    past.end()


def bad(past, name, sector, sectors, kind, *more):
    return [past.where(name) + 4096 * sector, 4096 * sectors, kind, *more]


async def ends(past, client, **expected):
    """An update to the next version, with what is expected of its end; the old version runs and serves, and says why."""
    await client.update(past.rig.stage.url(past.next), UPGRADE, "now")
    swu = await client.until(
        lambda v: v["swupdateaction"] == IDLE and v["swupdateresult"] and v["swupdatestate"] != "upgrading"
    )
    assert {name: swu[name] for name in expected} == expected, (swu, await client.reason())
    return await client.reason()


async def goes_on(past, client, *, seq=None):
    """With a flash that works, the update does as well."""
    rig = past.rig
    assert await client.version() == past.runs
    await asyncio.to_thread(rig.board.power_off)
    assert floor(rig) == past.seq
    rig.board.bad = ()
    await asyncio.to_thread(rig.start)
    assert await client.version() == past.runs and (await client.get(STATUS))["confirmed"]
    await updated(rig, client, past.next)
    count("reached")


@pytest.mark.parametrize(
    ("kind", "name", "sector"), some([(kind, *place) for kind in KINDS for place in PLACES], 5), ids=str
)
async def test_a_bad_sector_of_the_other_slot(past, kind, name, sector):
    """Result 3, in words; the slot looks like nothing."""
    rig = past.again()
    rig.board.bad = [bad(past, name, sector, 1, kind)]
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        reason = await ends(past, client, swupdateresult=3, swupdatestate="idle")
        assert f"sector {sector} of" in reason and "is bad" in reason
        await goes_on(past, client)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_sector_that_fails_once(past, kind):
    """It is tried again, and the update is a success."""
    rig = past.again()
    rig.board.bad = [bad(past, "ota_0", 0, 32, kind, 1, 1), bad(past, "app_0", 5, 20, kind, 1, 1)]
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        await updated(rig, client, past.next)
    count("reached")


async def test_a_flash_that_fails_now_and_then(past):
    """One operation in twenty: two attempts at each sector are mostly enough, and several of the whole are."""
    rig = past.again()
    rig.board.bad = [
        bad(past, name, 0, sectors, kind, 0.02) for name, sectors in (("ota_0", 32), ("app_0", 48)) for kind in KINDS
    ]
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        for _ in range(8):
            await client.update(rig.stage.url(past.next), UPGRADE, "now")
            swu = await client.until(lambda v: v["swupdateaction"] == IDLE and v["swupdateresult"])
            if swu["swupdateresult"] == 1:
                break
            assert swu["swupdateresult"] in (3, 8)
        assert await client.version() == past.next
    count("reached")


@pytest.mark.parametrize(("name", "sector"), [("ota_0", 7), ("app_0", 10)])
async def test_the_other_slot_cannot_be_read(past, name, sector):
    rig = past.again()
    rig.board.bad = [bad(past, name, sector, 1, "read")]
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        reason = await ends(past, client, swupdateresult=3)
        assert "could not be read" in reason or "is bad" in reason
        await goes_on(past, client)


# otadata: sector 0 holds the entry of ota_0 and is the next to be written, sector 1 that of ota_1, which runs


@pytest.mark.parametrize("kind", KINDS)
async def test_arming_fails(past, kind):
    """Result 8: what was obtained is ready, the old version runs."""
    rig = past.again()
    rig.board.bad = [bad(past, "otadata", 0, 1, kind)]
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        reason = await ends(past, client, swupdateresult=8)
        assert "could not be armed" in reason or "not started" in reason
        await goes_on(past, client)


@pytest.mark.parametrize("kind", ["erase", "program"])
async def test_the_confirmation_fails_once(past, kind):
    """The sector of its entry can be written again: it is kept, and stays after a power cut."""
    rig = past.again()
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        # From the next start on: the bootloader's own note fails, and so does the first attempt to confirm.
        rig.board.bad = [bad(past, "otadata", 0, 1, kind, 1, 2)]
        await client.update(rig.stage.url(past.next), UPGRADE, "now")
        await client.until(lambda v: v["swupdateaction"] == IDLE and v["swupdateresult"])
        rig.board.bad = ()
        version, swu = await client.version(), await client.settled()
        assert (version, swu["swupdateresult"]) in ((past.next, 1), (past.runs, 8))
        await asyncio.to_thread(rig.power_cycle)
        assert await client.version() == version and (await client.get(STATUS))["confirmed"]
        await asyncio.to_thread(rig.board.power_off)
    assert floor(rig) == past.seq + (version == past.next)
    count("reached")


async def test_the_confirmation_cannot_be_written(past):
    """It is not kept, then: the old version runs in the end, and the floor is the old one."""
    rig = past.again()
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        rig.board.bad = [bad(past, "otadata", 0, 1, "program")]  # from the next start on
        await client.update(rig.stage.url(past.next), UPGRADE, "now")
        swu = await client.until(lambda v: v["swupdateaction"] == IDLE and v["swupdateresult"], timeout=120)
        assert swu["swupdateresult"] == 8 and await client.reason()
        await goes_on(past, client)


# data


@pytest.mark.parametrize("kind", ["erase", "program"])
async def test_nothing_can_be_written_to_data(past, kind):
    """It goes on with what it has: an update is result 3, an UPDATE of what is kept is refused and changes nothing."""
    rig = past.again()
    rig.board.bad = [bad(past, "data", 0, 32, kind)]
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        before = [await client.get(path) for path in (CRED, ACL, DOXM)]
        reply = await client.post("oc/con", {"n": "cellar"})
        if kind == "program":  # a short record may need no erase
            assert reply.code == aiocoap.INTERNAL_SERVER_ERROR
        name = (await client.get("oc/con"))["n"]
        assert name == ("cellar" if reply.code == aiocoap.CHANGED else "")
        reason = await ends(past, client, swupdateresult=3)
        assert "could not be" in reason
        assert [await client.get(path) for path in (CRED, ACL, DOXM)] == before
        await asyncio.to_thread(rig.power_cycle)
        assert (await client.get("oc/con"))["n"] == name
        await goes_on(past, client)


@pytest.mark.parametrize(("kind", "first"), some([(kind, first) for kind in KINDS for first in (2, 17)], 3), ids=str)
async def test_half_the_sectors_of_data_are_bad(past, kind, first):
    """LittleFS takes others: owner, credentials and updates as ever."""
    rig = past.again()
    rig.board.bad = [bad(past, "data", first, 15, kind)]
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        async with provisioning(client):
            reply = await client.post(CRED, {"creds": [shared_key(OTHER, bytes(range(16)))]})
            assert reply.code == aiocoap.CHANGED
            assert (await client.post(ACL, {"aclist2": [rights(OTHER, 2, "/lamp")]})).code == aiocoap.CHANGED
        await updated(rig, client, past.next)
        creds = (await client.get(CRED))["creds"]
        await asyncio.to_thread(rig.power_cycle)
        assert (await client.get(CRED))["creds"] == creds and await client.version() == past.next
    count("reached")


async def test_data_cannot_be_read_now_and_then(past):
    """One read in fifty fails: nobody loses anything."""
    rig = past.again()
    rig.board.bad = [bad(past, "data", 0, 32, "read", 0.02)]
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        await updated(rig, client, past.next)
    assert not past.said("RESET") and not past.said("no file system")
    count("reached")


async def test_nvs_cannot_be_written(past):
    """The floor is in data."""
    rig = past.again()
    rig.board.bad = [bad(past, "nvs", 0, 4, "program")]
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        await updated(rig, client, past.next)
    await asyncio.to_thread(rig.board.power_off)
    assert floor(rig) == past.seq + 1
    count("reached")
