"""Damage at rest to `otadata` and to the slots: what runs, what it says, and that it can be updated."""

import asyncio

import pytest
from fargo import image
from sim.damage_rig import ABORTED, INVALID, NEW, PENDING, VALID, Past, count, entry, noise, some, survives, updated
from sim.rig import ISAC, STATUS, UPGRADE, WAIT

# What a sector of otadata is found with.
SECTORS = {
    "blank": b"\xff" * 4096,
    "zeros": bytes(4096),
    "garbage": noise(4096),
    "torn": entry(2, VALID)[:16] + b"\xff" * 4080,
    "no CRC": entry(9, VALID, 0),
    "sequence 0": entry(0, VALID),
    "sequence of all ones": entry(0xFFFFFFFF, VALID),
    "invalid": entry(5, INVALID),
    "aborted": entry(5, ABORTED),
}
BOTH = [(a, a) for a in SECTORS] + [("garbage", "torn"), ("zeros", "blank"), ("aborted", "garbage")]
ONE = [(place, kind) for place in (0, 1) for kind in SECTORS]
LATER = [(place, seq, state) for place in (0, 1) for seq in (9, 10, 100_001) for state in (7, 0x10000, 0xFFFFFFFF)]


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    past = Past(tmp_path_factory.mktemp("past"))
    yield past
    past.end()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    past = Past(tmp_path_factory.mktemp("first"), slot0=True)
    yield past
    past.end()


# otadata


@pytest.mark.parametrize(("one", "two"), some(BOTH, 3), ids=str)
async def test_both_sectors_of_otadata_while_the_second_slot_runs(past, one, two):
    """The first slot is started, an older version: it says so, and the newer one can be installed again."""
    at = past.where("otadata")
    past.again((at, SECTORS[one]), (at + 4096, SECTORS[two]))
    if one == "sequence 0":  # which selects the second slot
        await survives(past)
    else:
        await survives(past, past.before, "ota_0 runs instead of ota_1: that or otadata is damaged")


@pytest.mark.parametrize(("one", "two"), some(BOTH, 2), ids=str)
async def test_both_sectors_of_otadata_while_the_first_slot_runs(first, one, two):
    """It goes on, and nothing has to be said."""
    at = first.where("otadata")
    first.again((at, SECTORS[one]), (at + 4096, SECTORS[two]))
    await survives(first, *((first.before, "ota_1 runs instead of ota_0") if one == "sequence 0" else ()))


@pytest.mark.parametrize(("place", "kind"), some(ONE, 3), ids=str)
async def test_one_sector_of_otadata(past, place, kind):
    """The other one decides: when the newer entry is lost, the older version runs."""
    past.again((past.where("otadata") + 4096 * place, SECTORS[kind]))
    await survives(past, *(() if place == 0 else (past.before, "ota_0 runs instead of ota_1")))


@pytest.mark.parametrize(("place", "seq", "state"), some(LATER, 2), ids=str)
async def test_entries_with_sequences_and_states_that_nobody_wrote(past, place, seq, state):
    past.again((past.where("otadata") + 4096 * place, entry(seq, state)))
    await survives(past, *(() if seq % 2 == 0 else (past.before, "ota_0 runs instead of ota_1")))


@pytest.mark.parametrize("kind", some(["blank", "zeros", "garbage"], 1))
async def test_otadata_is_lost_while_a_version_is_on_trial(past, kind):
    """It was not kept yet: the old version has it started again, and it is kept then."""
    rig = past.again()
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        at = len(rig.board.lines)
        await client.update(rig.stage.url(past.next), UPGRADE, "now")
        await rig.log("is on trial", at)
        await asyncio.to_thread(rig.board.power_off)
        with rig.stage.flash.open("r+b") as file:
            file.seek(past.where("otadata"))
            file.write(SECTORS[kind] * 2)
        await asyncio.to_thread(rig.start)
        await client.until(lambda v: v["swupdateaction"] == "idle" and v["swupdateresult"])
        assert await client.version() in (past.next, past.before)
        status = await client.get(STATUS)
        assert status["confirmed"] and (status["running"] == past.next or status["reason"])
        if status["running"] != past.next:
            await updated(rig, client, past.next)
    count("reached")


# A half of a slot


def sizes(past, slot):
    """Where the halves of `slot` begin, and how long they are."""
    at = {"fw": past.where(slot), "app": past.where("app" + slot[3:])}
    firmware = past.flash[at["fw"] : at["fw"] + 60_000]
    return at, {"fw": len(firmware), "app": 0x2F000}


def flipped(past, slot, half, place):
    """A patch: one bit of `half` (first, middle, last of its content; or the label) is another."""
    at, size = sizes(past, slot)
    start = at[half]
    content = past.flash[start : start + size[half]].rstrip(b"\xff")
    where = {"first": 1 if half == "app" else 0, "middle": len(content) // 2, "last": len(content) - 1}
    if place == "label":
        spot = at["app"] + 0x2F000
    else:
        spot = start + where[place]
    return spot, bytes((past.flash[spot] ^ 4,))


HALVES = [(half, place) for half in ("fw", "app") for place in ("first", "middle", "last")]


@pytest.mark.parametrize(("half", "place"), some([h for h in HALVES if h[0] == "fw"], 1), ids=str)
async def test_the_running_firmware(past, half, place):
    """The bootloader refuses it and starts the other slot."""
    past.again(flipped(past, "ota_1", half, place))
    await survives(past, past.before, "ota_0 runs instead of ota_1")
    assert past.said("ota_1 is not started")


@pytest.mark.parametrize(("half", "place"), some([h for h in HALVES if h[0] == "app"], 2), ids=str)
async def test_the_running_app(past, half, place):
    """boot.py finds it, in code or data, before anything of it is run, and has the other slot tried and kept."""
    past.again(flipped(past, "ota_1", half, place))
    await survives(past, past.before, "ota_0 runs, and no update asked for it: ota_1 is damaged")
    assert past.said("boot: the app in ota_1 is damaged") and past.said("rescue: trying ota_0")


async def test_the_label_of_the_running_slot(past):
    """It goes on and does not know its version any more, until an update brings one."""
    past.again(flipped(past, "ota_1", "app", "label"))
    await survives(past, "")
    assert past.said("version unknown in ota_1")


@pytest.mark.parametrize(("half", "place"), some([*HALVES, ("app", "label")], 2), ids=str)
async def test_the_other_slot(past, half, place):
    """Nothing is noticed, and the next update repairs it."""
    past.again(flipped(past, "ota_0", half, place))
    await survives(past)


async def test_the_app_of_both_slots_is_damaged_and_runs_all_the_same(past):
    """There is nothing better. The running version is offered again by its own release, and so repaired."""
    rig = past.again(flipped(past, "ota_0", "app", "last"), flipped(past, "ota_1", "app", "last"))
    await asyncio.to_thread(rig.start)
    assert past.said("rescue: nothing else to start") and past.said("boot: it is started all the same")
    async with rig.client() as client:
        assert await client.version() == past.runs
        swu = await client.run(rig.stage.url(past.runs), ISAC)
        assert (swu["swupdatestate"], swu["nv"]) == ("nsa", past.runs)
        await updated(rig, client, past.runs)
        swu = await client.run(rig.stage.url(past.runs), ISAC)
        assert swu["swupdatestate"] == "idle" and await client.reason() == "up to date"
        at = len(rig.board.lines)
        await asyncio.to_thread(rig.power_cycle)
        assert not any("damaged" in line for line in rig.board.lines[at:])
    count("reached")


async def test_nothing_can_be_run(past):
    """The app of neither slot begins as one: a REPL by USB, for an hour; a pair that is flashed there is all it takes."""
    rig = past.again(flipped(past, "ota_0", "app", "first"), flipped(past, "ota_1", "app", "first"))
    rig.board.power_on()
    await rig.log("the REPL would be here", past.at)
    assert past.said("boot: nothing to start; connect by USB")
    async with asyncio.timeout(WAIT):
        while rig.board._watchdog != 3600:  # the board tells of it on another wire than its log
            await asyncio.sleep(0.02)
    await flashed_by_usb(past)


async def test_no_firmware_can_be_started(past):
    rig = past.again(flipped(past, "ota_0", "fw", "middle"), flipped(past, "ota_1", "fw", "middle"))
    rig.board.power_on()
    await rig.log("no bootable app partition", past.at)
    await asyncio.to_thread(rig.board.wait_off)
    assert rig.board.dead
    await flashed_by_usb(past)


async def flashed_by_usb(past):
    """Flash the pair of the factory into ota_0 and blank otadata: the owner is there, and the floor."""
    rig = past.rig
    rig.board.power_off()
    factory = past.rig.stage.home / "usb.flash"
    stage, kept = rig.stage, rig.stage.flash
    stage.flash = factory
    try:
        stage.flash_factory()
    finally:
        stage.flash = kept
    new = factory.read_bytes()
    with kept.open("r+b") as file:
        for name, size in (("ota_0", 0x20000), ("app_0", 0x30000), ("otadata", 0x2000)):
            file.seek(past.where(name))
            file.write(new[past.where(name) :][:size])
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        assert await client.version() == "1.0.0"
        assert "ota_0 runs instead of ota_1" in await client.reason()
        await updated(rig, client, past.next)
    count("by_usb")


def test_the_layout_is_the_one_that_is_damaged(past):
    """What `flipped` hits is in the image."""
    firmware = past.flash[past.where("ota_1") :][:60_000]
    assert image.check_image(firmware) and NEW < PENDING
