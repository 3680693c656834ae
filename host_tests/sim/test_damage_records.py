"""Records of a newer version, or of nobody: what is not known is passed over, what makes no sense is as good as lost."""

import asyncio

import cbor2
import pytest
from sim.damage_rig import Past, change, count, files, floor, own, put, some, survives, updated
from sim.rig import ISVV, STATUS, SWU, UPGRADE

OWNERS = ("doxm", "pstat", "cred", "acl2")
OTHERS = ("update", "floor", "trial", "clock", "name", "chunks.fw", "chunks.app")


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    past = Past(tmp_path_factory.mktemp("past"))
    yield past
    past.end()


def edited(past, edit, *names):
    """A patch: these records are `edit(what they were)`."""
    known = files(past.rig)

    def change_all(fs):
        for name in names:
            put(fs, name, edit(known.get(name, b"")))

    return change(past, "data", change_all)


def newer(data):
    """As version n+1 of a record: its number, and members that nobody knows yet."""
    try:
        record = cbor2.loads(data)
        assert isinstance(record, dict)
    except (ValueError, AssertionError, EOFError):
        return data
    return cbor2.dumps({**record, "v": record.get("v", 1) + 1, "zone": [1, {"x": None}], "mood": "good"})


async def test_all_records_are_of_the_next_version(past):
    """A trial that was rolled back may have left them: everything is as it was."""
    past.again()
    names = [name for name in files(past.rig) if name != "room"]
    assert set(OWNERS) | {"update", "floor"} <= set(names)
    past.again(edited(past, newer, *names))
    await survives(past)


OTHER_TYPES = {
    "list": cbor2.dumps([1, 2, 3]),
    "number": cbor2.dumps(7),
    "text": cbor2.dumps("seven"),
    "members of other types": cbor2.dumps(
        {
            "v": 1,
            "state": 5,
            "running": [],
            "seq": "9",
            "seen": "x",
            "reason": 3,
            "to": None,
            "digest": "d",
            "sched": b"x",
        }
    ),
    "no members": cbor2.dumps({}),
}
BAD = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "garbage": lambda data: bytes(range(200, 250)),
    "zeros": lambda data: bytes(len(data) or 10),
    **{kind: lambda data, value=value: value for kind, value in OTHER_TYPES.items()},
}


@pytest.mark.parametrize("kind", some(list(BAD), 4))
async def test_records_of_the_update_that_make_no_sense(past, kind):
    """All of them at once: the owner is there, the floor is NVS's, and the next update works."""
    past.again()
    past.again(edited(past, BAD[kind], *OTHERS))
    await survives(past)


@pytest.mark.parametrize("kind", some(list(BAD), 2))
async def test_the_record_is_damaged_while_a_version_is_on_trial(past, kind):
    """It is kept all the same, for it proves itself."""
    rig = past.again()
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        await client.update(rig.stage.url(past.next), UPGRADE, "now")
        await client.until(lambda v: v["swupdatestate"] == "upgrading")
        at = len(rig.board.lines)
        await rig.log("starting ota_0", 0 if past.said("starting ota_0") else at)
        await asyncio.to_thread(rig.board.power_off)
        flash, past.flash = past.flash, rig.stage.flash.read_bytes()
        try:
            past.again(edited(past, BAD[kind], "update", "trial"))
        finally:
            past.flash = flash
        await asyncio.to_thread(rig.start)
        await client.until(lambda v: v["confirmed"] and v["phase"] == "", path=STATUS)
        await client.settled()
        if await client.version() != past.next:  # the power took its one try
            await updated(rig, client, past.next)
    count("reached")


@pytest.mark.parametrize(("name", "kind"), some([(name, kind) for name in OWNERS for kind in BAD], 3))
async def test_records_of_the_owner_that_make_no_sense(past, name, kind):
    """RESET, with the reason in the log; then it can be owned and updated. The floor has not gone down."""
    rig = past.again()
    past.again(edited(past, BAD[kind], name))
    rig.owned = False
    await asyncio.to_thread(rig.start)
    assert past.said("RESET: ")
    await own(past)
    async with rig.client() as client:
        assert (await client.get(SWU))["swupdatestate"] == "idle"
        value = await client.run(rig.stage.url("1.1.0"), ISVV)
        assert value["swupdateresult"] == 0 and await client.reason() == "up to date"
        await updated(rig, client, past.next)
    await asyncio.to_thread(rig.board.power_off)
    assert floor(rig) == past.seq + 1
    count("reached")
