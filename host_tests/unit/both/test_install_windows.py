"""Payloads in windows: deltas against what runs and compressed ones, honest and hostile, whole and interrupted."""

import asyncio

from check import raises
from port import collect, sleep_ms
from recipe import SECTOR, payload
from swupdate import arming
from swupdate.faults import Fault
from swupdate.install import obtain
from windowed import (
    NEW,
    OLD,
    PLAIN,
    deflated,
    delta,
    device,
    lengths,
    offered,
    only_what_was_signed,
    operation,
    packed,
    plain_windows,
)

DELTA = delta()
COST = sum([len(window) for window in DELTA])


async def obtained(rig, new=NEW):
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(rig.fw, new) and rig.untouched() and rig.server.open == 0 and not rig.store.opened
    assert rig.told[-1] == (len(new), len(new))
    only_what_was_signed(rig, new)
    await obtain.verify(rig)
    assert not rig.store.files


async def fails(rig, text, result):
    with raises(Fault, text) as caught:
        await obtain.obtain(rig, rig.progress)
    assert caught.value.result() == result and not arming.valid(rig.slots, "ota_1")
    assert rig.server.open == 0 and rig.untouched() and not rig.store.opened
    only_what_was_signed(rig)


def sent(rig, name):
    return rig.server.sent.get(name, 0)


async def test_a_delta_is_taken_by_who_runs_its_base():
    assert COST < 4000 < len(NEW)
    rig = device(("d.delta", DELTA, OLD))
    await obtained(rig)
    assert sent(rig, "d.delta") == COST and not sent(rig, PLAIN)
    # All windows but the first in one range, and that at the very end.
    asked = [entry[1:] for entry in rig.server.log if entry[0] == "d.delta"]
    assert asked == [(len(DELTA[0]), COST - len(DELTA[0])), (0, len(DELTA[0]))]


async def test_who_runs_something_else_takes_the_payload():
    other = payload("app", len(OLD), 9)
    rig = device(("d.delta", DELTA, OLD), app=other)
    await obtained(rig)
    assert not sent(rig, "d.delta") and sent(rig, PLAIN) == len(NEW)


async def test_several_bases():
    other = payload("app", len(OLD), 9)
    rig = device(("other.delta", DELTA, other), ("d.delta", DELTA, OLD))
    await obtained(rig)
    assert sent(rig, "d.delta") == COST and not sent(rig, "other.delta") and not sent(rig, PLAIN)


async def test_a_label_that_names_the_base_wrongly():
    """The running slot is not what it says: what comes of the delta is not what was signed, and not written."""
    rig = device(("d.delta", DELTA, OLD))
    rig.flash.data["app_0"][5 * SECTOR + 3] ^= 1
    await obtained(rig)
    assert 0 < sent(rig, "d.delta") <= COST and SECTOR * 5 < sent(rig, PLAIN) < len(NEW)


async def test_compressed():
    new = payload("app", 300, 3) + b"\x07" * 40_000 + payload("app", 500, 4)
    found = packed(new)
    rig = device(("c.packed", found, b""), new=new)
    await obtained(rig, new)
    assert sent(rig, "c.packed") == sum([len(window) for window in found]) < 3000
    assert not [name for name in rig.server.sent if name.endswith(".bin")]


async def test_the_cheapest_way_is_taken():
    """Of a delta, what is missing counts: one chunk of a window that costs more is fetched as it is."""
    new = bytearray(OLD)
    new[3 * SECTOR + 5] ^= 1
    new = bytes(new)
    dear = packed(new)  # random bytes: no window is smaller than what it stands for
    rig = device(("c.packed", dear, b""), new=new)
    await obtained(rig, new)
    assert not sent(rig, "c.packed") and rig.fetched(".bin") == SECTOR


async def test_a_short_last_chunk_counts_as_its_bytes():
    """Not as 4 KB: the window for the ten bytes that are missing is larger than they are."""
    new = OLD[: 9 * SECTOR] + b"0123456789"
    found = packed(new)
    assert 10 < len(found[-1]) < SECTOR
    rig = device(("c.packed", found, b""), new=new)
    await obtained(rig, new)
    assert not sent(rig, "c.packed") and rig.fetched(".bin") == 10


async def test_what_the_running_slot_has_at_the_same_place_is_not_fetched():
    new = OLD[: 2 * SECTOR] + payload("app", SECTOR, 5) + OLD[3 * SECTOR :] + b"more"
    rig = device(new=new)
    await obtained(rig, new)
    assert rig.fetched(".bin") == SECTOR + len(new) % SECTOR  # the third, and the last
    assert rig.told[0][0] > 0


async def test_the_same_app_again_costs_nothing():
    rig = device(new=OLD)
    await obtained(rig, OLD)
    assert not rig.fetched(".bin") and not rig.fetched(".delta")


# Hostile


def changed(index, plain):
    """The delta with other operations in one window."""
    found = list(DELTA)
    found[index] = deflated(plain)
    return found


def raw(index, window):
    found = list(DELTA)
    found[index] = window
    return found


def hostile():
    """(what is wrong, windows). Nothing of it is kept: MicroPython's heap is small."""
    plain = plain_windows()
    size = 8 * SECTOR
    yield "leads outside", changed(1, operation(bytes(size), 1 << 26))
    yield "leads outside", changed(1, operation(bytes(size), -SECTOR - 1))
    yield "leads outside", changed(1, operation(bytes(size), len(OLD) - size - SECTOR + 1))
    yield "leads outside", changed(0, operation(bytes(SECTOR), -1))
    yield "leads outside", changed(1, operation(b"", 0, b"", 0) + plain[1])  # nothing at all, and so for ever
    yield "leads outside", changed(1, operation(b"", 0, bytes(size + 1)))
    yield "leads outside", changed(1, operation(bytes(size), 0, b"x"))
    yield "leads outside", changed(1, operation(b"", 0, NEW[SECTOR : 2 * SECTOR]) + operation(bytes(size)))
    yield "leads outside", changed(1, operation(bytes(300), 0, b"", (1 << 28) - 1))
    yield "does not end", changed(1, b"\xff" * 9)
    yield "does not end", changed(1, b"\x80\x80\x80\x80\x01" + plain[1])
    yield "inflated", changed(1, plain[1][:-1])  # too short
    yield "inflated", changed(1, b"")
    yield "inflated", raw(1, DELTA[1][:-9])
    yield "inflated", raw(1, b"\x07" + DELTA[1][1:])  # a block of a kind that there is not
    yield "inflated", raw(1, b"\x00\x00\x00\xff\xff" * 2000)  # blocks without end that give nothing
    yield "inflated", raw(1, b"\x01\x05\x00\x00\x00hello")  # a length that does not agree with itself
    yield "inflated", raw(2, b"\x00")
    yield "not what was signed", changed(1, operation(bytes(size)))
    yield "not what was signed", changed(0, operation(bytes(SECTOR)))
    yield "not what was signed", changed(2, operation(b"\x01" * (len(NEW) - 9 * SECTOR), -4000))


async def test_hostile_windows_reach_no_flash_and_the_payload_is_tried_next():
    rig = device()
    for why, found in hostile():
        collect()
        offered(rig, ("d.delta", found, OLD))
        await obtained(rig)
        assert sent(rig, "d.delta") and sent(rig, PLAIN), why
        collect()
        offered(rig, ("d.delta", found, OLD))
        rig.server.files[PLAIN] = bytes(len(NEW))  # and that is wrong too
        await fails(rig, "a part of app is not what was signed", 5)


async def test_hostile_windows_are_refused_for_what_is_wrong():
    """By the reader itself: it says what is wrong, and never gives a byte more than it was asked for."""
    from swupdate.install.windows import Windows
    from windowed import spans

    rig = device()
    for why, found in hostile():
        collect()
        offered(rig, ("d.delta", found, OLD))
        source = rig.server.source()
        reader = Windows(source, bytearray(SECTOR), rig.slots.partition("ota_0", "app"), len(OLD))
        made = b""
        try:
            await source.start("d.delta", 0, sum([len(window) for window in found]))
            for window, (begin, end) in zip(found, spans(len(NEW))):  # noqa: B905 - no `strict` there
                reader.begin(begin, end - begin, len(window))
                buf = bytearray(end - begin)
                await reader.readinto(memoryview(buf))
                made += bytes(buf)
            assert why == "not what was signed" and len(made) == len(NEW) and made != NEW, why
        except Fault as fault:
            assert why in fault.text and fault.result() == 5, (why, fault.text)


async def test_a_bomb_gives_no_more_than_its_window():
    """A window that goes on behind its end: no byte of that is inflated."""
    plain = plain_windows()
    rig = device(("d.delta", changed(1, plain[1] + bytes(9000)), OLD))
    await obtained(rig)
    assert not sent(rig, PLAIN)  # it is short, so all of it has come
    collect()
    offered(rig, ("d.delta", changed(1, plain[1] + OLD[:2000]), OLD))
    await obtained(rig)
    assert 0 < sent(rig, PLAIN) < 3 * SECTOR  # what comes behind it


async def test_a_delta_that_is_missing_or_short():
    for data in (None, b"", b"".join(DELTA)[:-1], b"".join(DELTA)[: len(DELTA[0])]):
        rig = device(("d.delta", DELTA, OLD))
        if data is None:
            del rig.server.files["d.delta"]
        else:
            rig.server.files["d.delta"] = data
        await obtained(rig)
        assert sent(rig, PLAIN)


async def test_every_byte_of_a_delta_that_is_changed():
    whole = b"".join(DELTA)
    rig = device()
    for at in range(0, len(whole), 197):
        collect()
        offered(rig, ("d.delta", DELTA, OLD))
        rig.server.files["d.delta"] = whole[:at] + bytes((whole[at] ^ 0x10,)) + whole[at + 1 :]
        await obtained(rig)


# Interrupted


async def test_a_lost_connection_is_no_bad_delta():
    """It is resumed at the window that is not there yet: the payload is not fetched because a connection was lost."""
    rig = device()
    for after in range(16 * 10, 16 * 10 + COST, 397):
        collect()
        offered(rig, ("d.delta", DELTA, OLD))
        rig.server.lose_after = after
        await fails(rig, "connection was lost", 4)
        await obtained(rig)
        assert not sent(rig, PLAIN), after
        assert sent(rig, "d.delta") <= COST + max([len(window) for window in DELTA]) + 1000, after


async def test_a_power_cut_costs_one_window():
    rig = device(("d.delta", DELTA, OLD))
    await obtain.obtain(rig, rig.progress)
    sector = 9
    for label in ("app_1", "ota_1"):
        rig.flash.data[label][:SECTOR] = b"\xff" * SECTOR
    rig.flash.data["app_1"][sector * SECTOR : (sector + 1) * SECTOR] = b"\x55" * SECTOR
    rig.server.sent.clear()
    rig.server.log.clear()
    rig.flash.log.clear()
    await obtained(rig)
    assert sent(rig, "d.delta") == len(DELTA[2]) + len(DELTA[0]) and not sent(rig, PLAIN)
    written = [entry[1] for entry in rig.flash.log if entry[0] == "app_1" and entry[2]]
    assert written == [sector, 10, 0]


async def test_cancelled_at_every_point():
    turns = 0
    while True:
        rig = task = None
        collect()
        rig = device(("d.delta", DELTA, OLD))
        task = asyncio.create_task(obtain.obtain(rig, rig.progress))
        for _ in range(turns):
            await sleep_ms(0)
        if task.done():
            break
        task.cancel()
        with raises(asyncio.CancelledError):
            await task
        assert rig.server.open == 0 and rig.untouched()
        assert rig.holds(rig.fw, NEW) or not arming.valid(rig.slots, "ota_1")
        turns += 19
    assert turns > 50 and (await task).seq == 2


async def test_the_loop_goes_on():
    """No step is longer than a few sectors."""
    rig = device(("d.delta", DELTA, OLD))
    most = [0]

    async def other():
        last = len(rig.flash.log)
        while True:
            await sleep_ms(0)
            most[0] = max(most[0], len(rig.flash.log) - last)
            last = len(rig.flash.log)

    task = asyncio.create_task(other())
    await obtain.obtain(rig, rig.progress)
    task.cancel()
    assert most[0] <= 4, most


# Flash work avoided


async def test_blank_sectors_are_not_erased_unless_an_attempt_was_interrupted():
    rig = device(("d.delta", DELTA, OLD))
    await obtained(rig)
    assert not [entry for entry in rig.flash.log if entry[2] is None]
    rig = device(("d.delta", DELTA, OLD))
    rig.server.lose_after = 16 * 10 + len(DELTA[0]) + len(DELTA[1])
    await fails(rig, "connection was lost", 4)
    before = len(rig.flash.log)
    await obtained(rig)
    later = rig.flash.log[before:]
    programmed = [entry[:2] for entry in later if entry[2] is not None]
    assert [entry[:2] for entry in later if entry[2] is None] == programmed and programmed


async def test_what_stays_blank_is_not_programmed():
    new = OLD[: 4 * SECTOR] + payload("app", 100, 3) + b"\xff" * (2 * SECTOR) + payload("app", 700, 4)
    rig = device(new=new)
    rig.flash.data["app_1"][5 * SECTOR : 6 * SECTOR] = b"\x55" * SECTOR
    await obtained(rig, new)
    sizes = {entry[1]: len(entry[2]) for entry in rig.flash.log if entry[0] == "app_1" and entry[2] is not None}
    assert sizes[4] == 512 and 5 not in sizes and sizes[6] == 1024, sizes


def test_lengths():
    assert lengths([bytes(300), b"x"]) == b"\x01\x2c\x00\x01"
