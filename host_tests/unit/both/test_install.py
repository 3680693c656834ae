"""Obtaining a release: what is fetched, what is written and when, and what is left after everything that can go wrong."""

import asyncio

from check import COARSER, raises
from install_rig import APP_SIZE, FW_SIZE, Rig, apply
from port import collect, sleep_ms
from recipe import SECTOR, Recipe, dumps, payload, sha
from swupdate import arming
from swupdate.faults import Fault
from swupdate.install import obtain

APP = payload("app", 3 * SECTOR + 7, 5)
FW = payload("fw", 4 * SECTOR + 1000, 6)
LABEL = APP_SIZE // SECTOR - 1


def full():
    return Recipe([("fw", FW), ("app", APP)])


def app_only():
    return Recipe([("app", APP)])


async def fails(rig, text, result):
    with raises(Fault, text) as caught:
        await obtain.obtain(rig, rig.progress)
    assert caught.value.result() == result
    assert rig.server.open == 0 and rig.untouched() and not rig.store.opened
    return caught.value


async def test_whole_release():
    rig = Rig(full())
    offer = await obtain.obtain(rig, rig.progress)
    assert (offer.version, offer.seq) == ("1.1.0", 2)
    assert rig.holds(FW, APP) and rig.untouched()
    assert rig.slots.label("ota_1") == {
        "v": 1, "seq": 2, "version": "1.1.0", "manifest": sha(dumps(full().manifest())), "built": 1_700_000_000,
        "fw": [len(FW), sha(FW)], "app": [len(APP), sha(APP)],
    }  # fmt: skip
    assert bytes(rig.flash.data["ota_1"][len(FW) :]) == b"\xff" * (FW_SIZE - len(FW))
    await obtain.verify(rig)
    assert rig.store.files == {} and rig.server.open == 0
    assert rig.fetched(".bin") == len(FW) + len(APP) and rig.fetched(".chunks") == 16 * 9
    done = [entry[0] for entry in rig.told]
    assert done == sorted(done) and rig.told[-1] == (len(FW) + len(APP), len(FW) + len(APP))


async def test_order_of_what_is_written():
    """Whatever was there stops looking like a version before anything is written, and the new one does so last."""
    rig = Rig(full())
    rig.fill("ota_1", "app_1", payload("fw", FW_SIZE, 8), payload("app", LABEL * SECTOR, 8), rig.running)
    assert arming.valid(rig.slots, "ota_1")
    await obtain.obtain(rig, rig.progress)
    order = [(label, sector, data is not None) for label, sector, data, _ in rig.flash.log]
    first = [("ota_1", 0, False), ("app_1", 0, False), ("app_1", LABEL, False)]
    assert order[:3] == first
    assert order[-3:] == [("app_1", LABEL, True), ("app_1", 0, True), ("ota_1", 0, True)]  # erased in the beginning
    between = order[3:-3]
    assert between == [("app_1", s, w) for s in (1, 2, 3) for w in (False, True)] + [
        ("ota_1", s, w) for s in (1, 2, 3, 4) for w in (False, True)
    ]


async def test_the_network_works_before_each_operation_of_the_flash():
    """Not only between two chunks: what has come is taken between erasing and programming as well."""
    rig = Rig(Recipe([("fw", FW)]))
    rig.fill("ota_1", "app_1", payload("fw", FW_SIZE, 8), payload("app", APP_SIZE, 8), rig.running)
    came = []
    operate = rig.flash.operate

    def seen(label, sector, data, at):
        if label == "ota_1" and sector in (1, 2, 3):
            came.append(rig.fetched(".bin"))
        operate(label, sector, data, at)

    rig.flash.operate = seen
    rig.server.turn = 400
    await obtain.obtain(rig, rig.progress)
    erased, programmed = came[0::2], came[1::2]
    assert len(erased) == 3
    for i in range(3):
        early = min((i + 1) * SECTOR + len(rig.buffers[1]), len(FW) - SECTOR)  # this one and some of the next
        assert erased[i] > (i + 1) * SECTOR and programmed[i] > erased[i] or programmed[i] == early


async def test_requests_are_few():
    """A table and two ranges a half, when nothing is there yet."""
    rig = Rig(full())
    await obtain.obtain(rig, rig.progress)
    asked = [(name.rpartition(".")[2], offset, length) for name, offset, length in rig.server.log]
    assert asked == [
        ("suit", 0, len(rig.server.files["new.suit"])),
        ("chunks", 0, 5 * 16),
        ("chunks", 0, 4 * 16),
        ("bin", SECTOR, len(APP) - SECTOR),
        ("bin", SECTOR, len(FW) - SECTOR),
        ("bin", 0, SECTOR),
        ("bin", 0, SECTOR),
    ]


async def test_app_alone():
    rig = Rig(app_only())
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(rig.fw, APP) and rig.untouched()
    label = rig.slots.label("ota_1")
    assert label["fw"] == [len(rig.fw), sha(rig.fw)] and label["app"] == [len(APP), sha(APP)]
    assert rig.flash.log[-1][:2] == ("ota_1", 0)
    await obtain.verify(rig)


async def test_firmware_alone():
    rig = Rig(Recipe([("fw", FW)]))
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(FW, rig.app) and rig.untouched()
    await obtain.verify(rig)


async def test_what_is_carried_over_is_not_written_again():
    """An app after an app: the firmware in the other slot is the right one already, but for its first sector."""
    rig = Rig(app_only())
    rig.fill("ota_1", "app_1", rig.fw, payload("app", 2 * SECTOR, 9), rig.running)
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(rig.fw, APP)
    assert [entry[1] for entry in rig.flash.log if entry[0] == "ota_1"] == [0, 0]  # erased, and written


async def test_smallest_payloads():
    tiny = payload("app", 3, 1), payload("fw", 36, 1)
    rig = Rig(Recipe([("app", tiny[0]), ("fw", tiny[1])]))
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(tiny[1], tiny[0])
    exact = payload("app", 2 * SECTOR, 1)
    rig = Rig(Recipe([("app", exact)]))
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(rig.fw, exact)


async def test_twice_costs_only_the_envelope():
    rig = Rig(full())
    await obtain.obtain(rig, rig.progress)
    rig.flash.log.clear()
    rig.server.log.clear()
    assert (await obtain.obtain(rig, rig.progress)).seq == 2
    assert [entry[0] for entry in rig.server.log] == ["new.suit"] and not rig.flash.log


async def test_the_network_fills_a_buffer_while_the_flash_takes_the_other():
    """The next chunk is asked for before the flash stops everything with the one before."""
    rig = Rig(app_only())
    seen = []
    rig.server.during = lambda name: seen.append((name.rpartition(".")[2], len(rig.flash.log)))
    await obtain.obtain(rig, rig.progress)
    reads = [count for kind, count in seen if kind == "bin"]
    # Flash operations before each read of chunks 1, 2 and 3 (nothing had to be erased, three sectors were copied): the
    # second is being read before the first is written, the third before the second.
    assert reads[:3] == [3, 3, 4], seen


async def longest_steps(rig):
    """The most flash operations, and bytes read from the flash, that `obtain` does without letting others run."""
    most = [0, 0]

    async def other():
        last = len(rig.flash.log), rig.flash.read
        while True:
            await sleep_ms(0)
            now = len(rig.flash.log), rig.flash.read
            for kind in (0, 1):
                most[kind] = max(most[kind], now[kind] - last[kind])
            last = now

    collect()
    task = asyncio.create_task(other())
    await obtain.obtain(rig, rig.progress)
    task.cancel()
    return most


async def test_the_loop_goes_on():
    """No step is longer than a few sectors: also when all is there already and only looked at."""
    rig = Rig(full())
    rig.fill("ota_1", "app_1", payload("fw", FW_SIZE, 8), payload("app", LABEL * SECTOR, 8), rig.running)
    operations, read = await longest_steps(rig)
    # Three sectors are erased in the beginning; at the end, the label and a first sector, two operations each,
    # and what is written is read back.
    assert operations <= 4 and read <= 8 * SECTOR, (operations, read)
    rig.flash.data["ota_1"][:SECTOR] = bytes(SECTOR)
    operations, read = await longest_steps(rig)
    assert operations <= 4 and read <= 8 * SECTOR, (operations, read)
    rig = Rig(app_only())
    operations, read = await longest_steps(rig)
    assert operations <= 4 and read <= 8 * SECTOR, (operations, read)


# Interrupted and resumed


async def test_a_lost_connection_is_resumed():
    rig = Rig(full())
    rig.server.lose_after = 9 * 16 + 2 * SECTOR + 100
    await fails(rig, "connection was lost", 4)
    assert not arming.valid(rig.slots, "ota_1")
    assert rig.fetched(".bin") >= 2 * SECTOR
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(FW, APP)
    assert rig.fetched(".bin") == len(FW) + len(APP) and rig.fetched(".chunks") == 9 * 16  # nothing came twice


async def test_lost_at_every_point():
    size = 9 * 16 + len(FW) + len(APP)
    for after in range(0, size, 700 * COARSER):
        rig = Rig(full())
        rig.server.lose_after = after
        await fails(rig, "connection was lost", 4)
        assert not arming.valid(rig.slots, "ota_1"), after
        await obtain.obtain(rig, rig.progress)
        assert rig.holds(FW, APP) and rig.untouched(), after
        # A chunk on its way, the one that was written, and the first of each half may come again.
        assert rig.fetched(".bin") <= len(FW) + len(APP) + 4 * SECTOR, after


async def test_only_what_is_missing_is_fetched():
    """Two holes: two ranges."""
    rig = Rig(full())
    await obtain.obtain(rig, rig.progress)
    rig.flash.data["ota_1"][SECTOR : 2 * SECTOR] = bytes(SECTOR)
    rig.flash.data["ota_1"][3 * SECTOR + 5] ^= 1
    rig.server.log.clear()
    rig.server.sent.clear()
    await obtain.obtain(rig, rig.progress)
    asked = [entry[1:] for entry in rig.server.log if entry[0].endswith(".bin")]
    assert asked == [(SECTOR, SECTOR), (3 * SECTOR, SECTOR), (0, SECTOR), (0, SECTOR)]
    assert rig.holds(FW, APP)


async def test_another_release_half_way():
    """What the first left behind serves the second where it is the same, and harms it nowhere."""
    rig = Rig(full())
    rig.server.lose_after = 9 * 16 + 4 * SECTOR
    await fails(rig, "connection was lost", 4)
    newer = bytearray(APP)
    newer[SECTOR + 5] ^= 1
    second = Recipe([("fw", FW), ("app", bytes(newer))], seq=3, version="1.2.0")
    rig.offer(second)
    rig.server.sent.clear()
    assert (await obtain.obtain(rig, rig.progress)).version == "1.2.0"
    assert rig.holds(FW, bytes(newer)) and rig.slots.label("ota_1")["seq"] == 3
    assert rig.fetched(".bin") < len(FW) + len(APP)


async def test_a_release_of_what_is_there_already():
    """The same payload under another number: nothing but first sectors is written, and the label is the new one."""
    rig = Rig(app_only())
    await obtain.obtain(rig, rig.progress)
    rig.offer(Recipe([("app", APP)], seq=3, version="1.1.1"))
    rig.server.sent.clear()
    await obtain.obtain(rig, rig.progress)
    label = rig.slots.label("ota_1")
    assert (label["seq"], label["version"]) == (3, "1.1.1") and rig.holds(rig.fw, APP)
    assert rig.fetched(".bin") == SECTOR


def states(before, log, data):
    """Put into `data` what the flash was after each operation of `log`, whole and torn, beginning from `before`.

    Yields (count of whole operations, torn).
    """
    for count in range(len(log)):
        label, sector, content, at = log[count]
        for torn in (False, True):
            for name in before:
                data[name][:] = before[name]
            if torn:
                apply(data[label], sector, content, at, True)
            yield count, torn
        apply(before[label], sector, content, at)


async def power_cuts(recipe, firmware):
    rig = Rig(recipe)
    rig.fill("ota_1", "app_1", payload("fw", 3 * SECTOR, 8), payload("app", 2 * SECTOR, 8), rig.running)
    before = {label: bytearray(rig.flash.data[label]) for label in ("ota_1", "app_1")}
    await obtain.obtain(rig, rig.progress)
    log, rig.flash.log = rig.flash.log, []
    last = len(log) - 1
    for number, (count, torn) in enumerate(states(before, log, rig.flash.data)):
        if number % COARSER:
            continue
        collect()
        rig.store.files.clear()
        rig.flash.log.clear()
        if arming.valid(rig.slots, "ota_1") and (count, torn) != (0, False):
            # The program of the firmware's first sector was torn: it is found out before the slot is armed.
            assert (count, torn) == (last, True)
        if (count, torn) != (0, False):
            with raises(Fault) as caught:
                await obtain.verify(rig)
            assert caught.value.result() == 5
        await obtain.obtain(rig, rig.progress)
        assert rig.holds(firmware, APP) and rig.untouched(), (count, torn)
        await obtain.verify(rig)


async def test_power_cut_at_every_operation():
    """The slot never passes for a version that is not wholly there, and the next attempt always succeeds."""
    await power_cuts(full(), FW)


async def test_power_cut_at_every_operation_while_a_half_is_carried_over():
    await power_cuts(app_only(), payload("fw", 3 * SECTOR + 100, 1))


async def test_cancelled_at_every_point():
    """An owner's RESET: everything ends, the source is closed, nothing goes on in the background."""
    turns = 0
    while True:
        rig = Rig(full())
        task = asyncio.create_task(obtain.obtain(rig, rig.progress))
        for _ in range(turns):
            await sleep_ms(0)
        if task.done():
            break
        task.cancel()
        with raises(asyncio.CancelledError):
            await task
        asked, written = len(rig.server.log), len(rig.flash.log)
        for _ in range(5):
            await sleep_ms(0)
        assert (len(rig.server.log), len(rig.flash.log)) == (asked, written) and rig.server.open == 0
        if not rig.holds(FW, APP):
            assert not arming.valid(rig.slots, "ota_1")
        assert rig.untouched()
        turns += 7
    assert turns > 50
    assert await task
