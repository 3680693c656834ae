"""Obtaining a release from a server, into a flash or on a device with which something is wrong."""

import cbor
from check import raises
from install_rig import APP_SIZE, Rig
from recipe import SECTOR, Recipe, payload, sha
from swupdate import arming
from swupdate.faults import Fault
from swupdate.install import obtain
from swupdate.install.chunks import Chunks
from swupdate.install.first import pack_label
from swupdate.install.writer import SlotWriter

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


# What the server does


async def test_tampered_chunk_is_never_written():
    for half, data in (("app", APP), ("fw", FW)):
        for at in (0, 10, SECTOR, 2 * SECTOR + 9, len(data) - 1):
            rig = Rig(full())
            bad = bytearray(data)
            bad[at] ^= 1
            name = [name for name in rig.server.files if rig.server.files[name] == data][0]
            rig.server.files[name] = bytes(bad)
            await fails(rig, "a part of %s is not what was signed" % half, 5)
            assert not arming.valid(rig.slots, "ota_1")
            written = [entry[2] for entry in rig.flash.log if entry[2]]
            begin = at // SECTOR * SECTOR
            chunk = bytes(bad[begin : begin + SECTOR])
            assert not [data for data in written if data[: len(chunk)] == chunk]
            if half == "app" and at == SECTOR:
                assert rig.fetched(".bin") < 2 * SECTOR  # what comes after it is not waited for
            rig.server.files[name] = data  # it is right again
            await obtain.obtain(rig, rig.progress)
            assert rig.holds(FW, APP)


def test_a_table_is_closed_also_where_there_is_no_memory():
    rig = Rig(full())
    rig.store.files["chunks.app"] = bytes(64)
    offer, part = obtain.Offer(), obtain.Part()
    offer.clean, part.half, part.size, part.missing = True, "app", len(APP), bytearray(4)
    try:
        from micropython import heap_lock, heap_unlock
    except ImportError:
        heap_lock = heap_unlock = int
    error = MemoryError()
    with raises(MemoryError):
        try:
            with Chunks(rig, offer, part, None):
                heap_lock()
                raise error
        finally:
            heap_unlock()
    assert not rig.store.opened


async def test_tampered_table():
    rig = Rig(full())
    for name in list(rig.server.files):
        if name.endswith(".chunks"):
            good = rig.server.files[name]
            rig.server.files[name] = good[:-1] + bytes((good[-1] ^ 1,))
            await fails(rig, "the table of chunks of", 5)
            rig.server.files[name] = good
    assert not rig.flash.log and rig.fetched(".bin") == 0
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(FW, APP)


async def test_files_that_are_missing_or_short():
    for suffix in (".chunks", ".bin"):
        rig = Rig(full())
        files = dict(rig.server.files)
        for name in files:
            if name.endswith(suffix):
                del rig.server.files[name]
        await fails(rig, "404", 404)
        for name in files:
            if name.endswith(suffix):
                rig.server.files[name] = files[name][:-1]
        await fails(rig, "bytes only", 4)
        rig.server.files.update(files)
        await obtain.obtain(rig, rig.progress)
        assert rig.holds(FW, APP)


async def test_another_file_under_way():
    """The server's file is replaced between two ranges: its entity tag tells, and the next attempt starts from it."""
    rig = Rig(full())

    def replace(name):
        if name.endswith(".bin") and rig.fetched(".bin") > 3 * SECTOR:
            rig.server.generation = 1

    rig.server.during = replace
    await fails(rig, "another file", 4)
    assert not arming.valid(rig.slots, "ota_1")
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(FW, APP)


async def test_a_table_that_was_damaged_is_fetched_again():
    rig = Rig(full())
    rig.server.lose_after = 9 * 16 + SECTOR
    await fails(rig, "connection was lost", 4)
    assert set(rig.store.files) == {"chunks.fw", "chunks.app"}
    rig.store.files["chunks.fw"] = rig.store.files["chunks.fw"][:-16] + bytes(16)
    rig.store.files["chunks.app"] += bytes(16)
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(FW, APP) and rig.fetched(".chunks") == 2 * 9 * 16


# What the payload is


async def test_signed_nonsense_is_told_in_words():
    for parts, text in (
        ([("fw", APP)], "the firmware is no application image"),
        ([("fw", b"\xe9" * 5000)], "the firmware is no application image"),
        ([("app", FW)], "the app is no ROMFS image"),
        ([("fw", FW[:12] + b"\x05\x00" + FW[14:])], "the firmware is for another chip"),
    ):
        rig = Rig(Recipe(parts))
        await fails(rig, text, 5)
        assert not arming.valid(rig.slots, "ota_1")


async def test_a_part_needs_a_running_slot_that_says_what_it_is():
    rig = Rig(app_only())
    rig.flash.data["app_0"][-SECTOR:] = b"\xff" * SECTOR
    await fails(rig, "the running slot does not say what it is", 5)
    rig = Rig(app_only())
    rig.flash.data["ota_0"][2 * SECTOR + 1] ^= 1  # the running firmware is not what its label says
    await fails(rig, "the running fw is damaged", 3)
    assert not arming.valid(rig.slots, "ota_1")


# What the flash does


async def test_an_operation_that_fails_once_is_tried_again():
    rig = Rig(full())
    await obtain.obtain(rig, rig.progress)
    for at in range(len(rig.flash.log)):
        rig = Rig(full())
        rig.flash.fail_at = at
        await obtain.obtain(rig, rig.progress)
        assert rig.holds(FW, APP) and rig.flash.fail_at is None and rig.untouched(), at
        assert rig.fetched(".bin") == len(FW) + len(APP), at


async def test_a_look_at_a_sector_that_fails_once_is_taken_again():
    for half in ("fw", "app"):
        for clean in (True, False):
            for at in range(24):
                rig = Rig(full())
                other = rig.slots.partition("ota_1", half)
                other.writeblocks(1, b"old " * 1024, 0)
                writer = SlotWriter(rig.slots, clean)
                look = Reluctant(other, at)
                writer.other = lambda half, look=look: look
                await writer.write(half, 1, APP[:SECTOR])
                buf = bytearray(SECTOR)
                other.readblocks(1, buf)
                assert buf == APP[:SECTOR], (half, clean, at)


class Reluctant:
    """A partition of which a look, the `at`th from now on, fails."""

    def __init__(self, partition, at):
        self.left = at
        self.ioctl, self.writeblocks, self.read = partition.ioctl, partition.writeblocks, partition.readblocks

    def readblocks(self, block, buf, offset=0):
        self.left -= 1
        if self.left == -1:
            raise OSError(-0x6001, "ESP_ERR_FLASH_OP_FAIL")
        self.read(block, buf, offset)


async def bad_sectors(what, why):
    """A sector that is `what` ("refuses" or "weak"), each of them: result 3, and no slot that looks valid."""
    places = [("app", "app_1", sector) for sector in (0, 1, 2, 3, LABEL)]
    for half, label, sector in places + [("fw", "ota_1", sector) for sector in range(5)]:
        rig = Rig(full())
        await obtain.obtain(rig, rig.progress)
        rig.flash.data[label][sector * SECTOR : sector * SECTOR + 9] = b"old stuff"  # has to be erased
        rig.store.files.clear()
        setattr(rig.flash, what, (label, sector))
        fault = await fails(rig, "sector %d of %s in ota_1 is bad: %s" % (sector, half, why), 3)
        assert fault.cause == "flash" and not arming.valid(rig.slots, "ota_1")
        setattr(rig.flash, what, None)
        await obtain.obtain(rig, rig.progress)
        assert rig.holds(FW, APP)


async def test_a_sector_that_can_neither_be_erased_nor_programmed():
    await bad_sectors("refuses", "ESP_ERR_FLASH_OP_FAIL")


async def test_a_sector_that_does_not_keep_what_is_written():
    await bad_sectors("weak", "it does not keep what is written")
    rig = Rig(app_only())
    rig.flash.weak = ("ota_1", 2)  # of what is carried over
    await fails(rig, "sector 2 of fw in ota_1 is bad", 3)


async def test_what_is_damaged_under_way_is_not_ready():
    """The signed table and the signed digest disagree, or a sector changed after it was found to be right: result 5."""
    rig = Rig(full())
    done = []

    def damage(name):
        if rig.fetched(".bin") > len(APP) + 2 * SECTOR and not done:
            rig.flash.data["app_1"][SECTOR] ^= 1
            done.append(name)

    rig.server.during = damage
    await fails(rig, "what was written is not what was signed", 5)
    assert not arming.valid(rig.slots, "ota_1")


async def test_the_running_version_is_up_to_date_when_it_is_what_its_label_says_and_repaired_by_its_release_when_not():
    for label, at in ((None, 0), ("ota_0", 2 * SECTOR), ("app_0", SECTOR + 5), ("app_0", 0), ("ota_0", 0)):
        rig = Rig(full(), fw=FW, app=APP)
        offer = await obtain.check(rig)
        rig.running.update({"seq": offer.seq, "version": offer.version, "manifest": offer.manifest})
        rig.fill("ota_0", "app_0", FW, APP, rig.running)
        if label:
            rig.flash.data[label][at] ^= 1
        assert bool(await obtain.check(rig)) is bool(label), at
        found = await obtain.obtain(rig, rig.progress)
        assert bool(found) is bool(label), at
        if label:
            assert rig.holds(FW, APP) and rig.untouched()
            await obtain.verify(rig)
        else:
            assert not rig.flash.log


async def test_no_room_for_the_tables():
    rig = Rig(full())
    rig.store.broken = True
    await fails(rig, "could not be stored", 3)
    assert not rig.flash.log


async def test_verify_before_arming():
    rig = Rig(full())
    with raises(Fault, "not what was validated"):
        await obtain.verify(rig)
    await obtain.obtain(rig, rig.progress)
    in_label = bytes(rig.flash.data["app_1"]).index(sha(APP), LABEL * SECTOR)
    for label, at in (("ota_1", 5), ("ota_1", len(FW) - 1), ("app_1", SECTOR), ("app_1", in_label)):
        rig.flash.data[label][at] ^= 1
        with raises(Fault, "not what was validated") as caught:
            await obtain.verify(rig)
        assert caught.value.result() == 5
        rig.flash.data[label][at] ^= 1
    await obtain.verify(rig)


async def test_a_label_that_lies_is_not_believed():
    """Its manifest is the offer's, its digests are those of what is there: but not of what was signed."""
    rig = Rig(full())
    await obtain.obtain(rig, rig.progress)
    other = payload("app", 2 * SECTOR, 77)
    label = rig.slots.label("ota_1")
    label["app"] = [len(other), sha(other)]
    rig.fill("ota_1", "app_1", FW, other, label)
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(FW, APP)
    await obtain.verify(rig)


# On trial


async def test_nothing_is_written_while_the_running_version_is_on_trial():
    rig = Rig(full())
    entry = b"\x01\x00\x00\x00" + b"\xff" * 20 + b"\x01\x00\x00\x00" + b"\x9a\x98\x43\x47"  # pending; CRC of 1
    rig.flash.data["otadata"][: len(entry)] = entry
    assert not rig.slots.confirmed
    await fails(rig, "still on trial", 8)
    assert not rig.server.log and not rig.flash.log
    with raises(Fault, "still on trial"):
        SlotWriter(rig.slots)


async def test_the_first_sector_is_written_by_first_alone():
    rig = Rig(full())
    writer = SlotWriter(rig.slots)
    with raises(ValueError):
        await writer.write("fw", 0, bytearray(SECTOR))
    assert not rig.flash.log


def test_the_longest_label_fits():
    """Every label that a manifest can lead to fits what is read of the label's sector."""
    rig = Rig()
    label = dict(rig.running)
    label.update({"seq": (1 << 64) - 1, "version": "ä" * 32, "built": (1 << 64) - 1})
    label.update({"trust": (1 << 64) - 1, "expires": (1 << 64) - 1})
    label.update({"fw": [(1 << 32) - 1, bytes(32)], "app": [(1 << 32) - 1, bytes(32)]})
    assert len(cbor.dumps(label)) <= 288
    sector = bytearray(SECTOR)
    pack_label(label, sector)
    rig.slots.partition("ota_1", "app").writeblocks(APP_SIZE // SECTOR - 1, sector)
    assert rig.slots.label("ota_1") == label
