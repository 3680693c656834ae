"""The simulated chip's bootloader: every content of `otadata`, and images that are none."""

import binascii
import hashlib
import struct

from board.sim import bootloader
from board.sim.bootloader import ABORTED, INVALID, NEW, PENDING, UNDEFINED, VALID

OTADATA, SLOT_0, SLOT_1, SIZE = 0xD000, 0x10000, 0x20000, 0x2000
BLANK = b"\xff" * 32


class Flash:
    """The few sectors that the bootloader looks at."""

    def __init__(self):
        self.bytes = bytearray(b"\xff" * (SLOT_1 + SIZE))
        rows = ((1, 0, OTADATA, 0x2000, b"otadata"), (0, 16, SLOT_0, SIZE, b"ota_0"), (0, 17, SLOT_1, SIZE, b"ota_1"))
        for i in range(len(rows)):
            kind, subtype, at, size, label = rows[i]
            row = struct.pack("<2sBBLL16sL", b"\xaa\x50", kind, subtype, at, size, label, 0)
            self.bytes[0x8000 + 32 * i : 0x8020 + 32 * i] = row

    def read(self, at, buf):
        buf[:] = self.bytes[at : at + len(buf)]

    def erase(self, at, size):
        assert at % 4096 == 0 and size == 4096
        self.bytes[at : at + size] = b"\xff" * size

    def program(self, at, data):
        assert bytes(self.bytes[at : at + len(data)]) == b"\xff" * len(data)
        self.bytes[at : at + len(data)] = data

    def put(self, sector, entry):
        """Put an entry (sequence, state, whether its CRC is right), or None for an erased one."""
        data = BLANK
        if entry:
            seq = struct.pack("<L", entry[0])
            crc = binascii.crc32(seq, 0xFFFFFFFF) & 0xFFFFFFFF
            data = seq + b"\xff" * 20 + struct.pack("<LL", entry[1], crc if entry[2] else crc ^ 1)
        self.bytes[OTADATA + 4096 * sector : OTADATA + 4096 * sector + 32] = data

    def get(self, sector):
        data = bytes(self.bytes[OTADATA + 4096 * sector : OTADATA + 4096 * sector + 32])
        if data == BLANK:
            return None
        seq, _, state, crc = struct.unpack("<L20sLL", data)
        return (seq, state, crc == binascii.crc32(data[:4], 0xFFFFFFFF) & 0xFFFFFFFF)


def image(segments=((0x3F400020, b"\1\2\3\4" * 64), (0x40080000, b"code" * 700)), chip=0, count=None, appended=1):
    """An image, made by hand."""
    head = bytearray(24)
    head[0] = 0xE9
    head[1] = len(segments) if count is None else count
    head[12] = chip
    head[23] = appended
    data = bytes(head)
    check = 0xEF
    for address, content in segments:
        data += struct.pack("<LL", address, len(content)) + content
        for byte in content:
            check ^= byte
    while len(data) % 16 != 15:
        data += b"\0"
    data += bytes((check,))
    return data + hashlib.sha256(data).digest() if appended else data


def board(first=None, second=None, good=(True, True)):
    flash = Flash()
    flash.put(0, first)
    flash.put(1, second)
    for at, whole in ((SLOT_0, good[0]), (SLOT_1, good[1])):
        if whole:
            data = image()
            flash.bytes[at : at + len(data)] = data
    return flash


def start(flash):
    """The index of the slot that is started, or None."""
    slot = bootloader.choose(flash, lambda line: None)
    return None if slot is None else int(slot[4][-1])


def test_crc_is_the_rom_s():
    # What esptool reads of a board whose ota_0, ota_1 was selected by the first update.
    assert bootloader.crc(1) == 0x4743989A
    assert bootloader.crc(2) == 0x55F63774


def test_every_pair_of_entries():
    states = (NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED)
    contents = [None] + [(seq, state, whole) for seq in (1, 2, 3, 8) for state in states for whole in (True, False)]
    tried = 0
    for first in contents:
        for second in contents:
            flash = board(first, second)
            chosen = start(flash)
            # A try that was not confirmed is over, whatever the CRC says.
            entries = []
            for entry in (first, second):
                entries.append((entry[0], ABORTED, entry[2]) if entry and entry[1] == PENDING else entry)
            out = [entry is None or entry[1] in (INVALID, ABORTED) for entry in entries]
            if out == [True, True]:
                assert chosen == 0
                if (not entries[0] or not entries[0][2]) and (not entries[1] or not entries[1][2]):
                    entries[0] = (1, VALID, True)  # a blank otadata is filled in
            else:
                usable = [i for i in (0, 1) if not out[i] and entries[i][2]]
                best = None
                if usable:
                    best = usable[0]
                    if len(usable) == 2 and entries[1][0] > entries[0][0]:
                        best = 1
                    if entries[best][1] == NEW:
                        entries[best] = (entries[best][0], PENDING, True)
                assert chosen == (0 if best is None else (entries[best][0] + 1) % 2), (first, second)
            assert [flash.get(0), flash.get(1)] == entries, (first, second)
            tried += 1
    assert tried == 49 * 49


def test_a_blank_otadata_says_afterwards_what_runs():
    flash = board()
    assert start(flash) == 0
    assert flash.get(0) == (1, VALID, True) and flash.get(1) is None
    flash = board(good=(False, True))
    assert start(flash) == 1
    assert flash.get(0) == (2, VALID, True)


def test_one_try_and_back():
    flash = board((1, VALID, True))
    table = bootloader.partitions(flash)
    bootloader.OtaData(flash, table).select(table[2])
    assert flash.get(1) == (2, NEW, True)
    assert start(flash) == 1 and flash.get(1) == (2, PENDING, True)
    assert start(flash) == 0 and flash.get(1) == (2, ABORTED, True)
    assert start(flash) == 0 and flash.get(0) == (1, VALID, True)
    # Once more: the same number, in the same sector.
    bootloader.OtaData(flash, table).select(table[2])
    assert flash.get(1) == (2, NEW, True)
    assert start(flash) == 1


def test_confirmed_stays():
    flash = board((1, VALID, True), (2, NEW, True))
    table = bootloader.partitions(flash)
    assert start(flash) == 1
    assert bootloader.OtaData(flash, table).keep()
    assert start(flash) == 1 and flash.get(1) == (2, VALID, True)
    bootloader.OtaData(flash, table).select(table[1])
    assert flash.get(0) == (3, NEW, True) and flash.get(1) == (2, VALID, True)
    assert start(flash) == 0 and flash.get(0) == (3, PENDING, True)


def test_confirming_marks_the_entry_in_force_even_of_the_other_slot():
    flash = board((1, VALID, True), (2, NEW, True))  # ota_0 runs, ota_1 is armed
    bootloader.OtaData(flash, bootloader.partitions(flash)).keep()
    assert flash.get(1) == (2, VALID, True)


def test_nothing_in_force_cannot_be_confirmed():
    flash = board((1, ABORTED, True), (2, ABORTED, True))
    otadata = bootloader.OtaData(flash, bootloader.partitions(flash))
    assert not otadata.keep()
    assert start(flash) == 0
    assert flash.get(0) == (1, ABORTED, True), "an otadata that is not blank is left as it is"
    otadata.select(otadata.slots[1])
    assert flash.get(0) == (2, NEW, True)


def test_selecting_the_selected_slot_takes_the_other_sector():
    flash = board((1, VALID, True), (2, VALID, True))  # ota_1 runs
    otadata = bootloader.OtaData(flash, bootloader.partitions(flash))
    otadata.select(otadata.slots[1])
    assert flash.get(0) == (2, NEW, True)
    assert start(flash) == 1
    assert flash.get(0) == (2, PENDING, True), "of two equal numbers the first sector counts"


def test_an_image_that_is_bad_is_passed_over():
    flash = board((1, VALID, True), (2, VALID, True), good=(True, False))
    assert start(flash) == 0
    assert flash.get(1) == (2, VALID, True)
    flash = board((1, VALID, True), (2, NEW, True), good=(True, False))
    assert start(flash) == 0
    assert flash.get(1) == (2, PENDING, True)
    assert start(flash) == 0
    assert flash.get(1) == (2, ABORTED, True)
    assert start(board((1, VALID, True), good=(False, True))) == 1
    assert start(board((1, VALID, True), good=(False, False))) is None


def test_power_cut_while_a_state_is_written():
    flash = board((1, VALID, True), (2, PENDING, True))
    flash.erase(OTADATA + 4096, 4096)  # and here it was cut
    assert start(flash) == 0
    assert flash.get(0) == (1, VALID, True)


def why(data):
    flash = Flash()
    flash.bytes[SLOT_0 : SLOT_0 + len(data)] = data
    return bootloader.refused(flash, bootloader.partitions(flash)[1])


def test_images_that_are_none():
    good = image()
    assert why(good) is None
    assert why(image(appended=0)) is None
    assert why(b"") == "no image"
    assert why(b"\xe8" + good[1:]) == "no image"
    assert why(image(chip=9)) == "made for another chip"
    assert why(image(count=17)) == "too many segments"
    assert why(image(((0x40080000, bytes(SIZE)),))) == "a segment has a wrong length"
    assert why(image(((0x40080000, b"abc"),))) == "a segment has a wrong length"
    assert why(image(((0x40080000, bytes(SIZE - 80)),))) is None
    assert why(image(((0x40080000, bytes(SIZE - 64)),))) == "larger than the partition"
    assert why(image(((0x3F400024, b"abcd"),))) == "a segment is at a wrong place"
    assert why(image(((0x400D0024, b"abcd"),))) == "a segment is at a wrong place"
    assert why(image(((0x400D0020, b"abcd"),))) is None


def test_every_byte_of_an_image_counts():
    good = image(((0x40080000, b"abcdefgh"), (0x3FFB0000, b"12345678" * 9)))
    assert why(good) is None
    for i in range(len(good)):
        for bit in (1, 0x80):
            bad = bytearray(good)
            bad[i] ^= bit
            # Without its flag the image has no SHA-256 to be compared with. That is how ESP-IDF has it.
            assert why(bad) or (i == 23 and bad[i] == 0), "byte %d" % i
    for size in range(len(good)):
        assert why(good[:size]), "cut at %d" % size


def test_the_table_ends_where_its_checksum_is():
    flash = Flash()
    flash.bytes[0x8060:0x8080] = b"\xeb\xeb" + b"\xff" * 14 + bytes(16)
    assert [row[4] for row in bootloader.partitions(flash)] == ["otadata", "ota_0", "ota_1"]
    assert bootloader.partitions(flash)[1] == (0, 16, SLOT_0, SIZE, "ota_0")
