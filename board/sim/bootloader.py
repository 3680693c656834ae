"""ESP-IDF's second stage bootloader: which image is started, and whether it is one."""

import binascii
import hashlib
import struct

NEW, PENDING, VALID, INVALID, ABORTED = range(5)
UNDEFINED = 0xFFFFFFFF

_TABLE = 0x8000
_ENTRY = "<2sBBLL16sL"  # magic, type, subtype, offset, size, label, flags
_SELECT = "<L20sLL"
_PIECE = 4096


def partitions(flash):
    """The partition table: a list of (type, subtype, offset, size, label)."""
    found = []
    entry = bytearray(32)
    for at in range(_TABLE, _TABLE + 0xC00, 32):
        flash.read(at, entry)
        magic, kind, subtype, offset, size, label, _ = struct.unpack(_ENTRY, entry)
        if magic != b"\xaa\x50":
            break
        found.append((kind, subtype, offset, size, str(label.split(b"\0")[0], "utf-8")))
    return found


class OtaData:
    """The two sectors that select a slot, and the states of the images (esp_ota_select_entry_t)."""

    def __init__(self, flash, table):
        self._flash = flash
        self._at = [entry[2] for entry in table if entry[:2] == (1, 0)][0]
        self.slots = [entry for entry in table if entry[0] == 0 and entry[1] & 0xF0 == 0x10]

    def entries(self):
        """[(sequence, state)] of both sectors; None for one that is not valid."""
        found = []
        for sector in (0, 1):
            entry = bytearray(32)
            self._flash.read(self._at + 4096 * sector, entry)
            seq, _, state, crc = struct.unpack(_SELECT, entry)
            good = seq != UNDEFINED and crc == binascii.crc32(entry[:4], UNDEFINED) & UNDEFINED
            found.append((seq, state) if good else None)
        return found

    def write(self, sector, seq, state):
        """Rewrite one sector."""
        data = struct.pack("<L", seq)
        data += b"\xff" * 20 + struct.pack("<LL", state, binascii.crc32(data, UNDEFINED) & UNDEFINED)
        self._flash.erase(self._at + 4096 * sector, 4096)
        self._flash.program(self._at + 4096 * sector, data)

    def active(self, states=(NEW, PENDING, VALID, UNDEFINED)):
        """The sector whose entry is in force: the highest sequence among those in `states`. None when there is none."""
        best = None
        entries = self.entries()
        for sector in (0, 1):
            entry = entries[sector]
            if entry and entry[1] in states and (best is None or entry[0] > entries[best][0]):
                best = sector
        return best

    def slot(self, sector):
        """The slot that the entry in `sector` selects."""
        return self.slots[(self.entries()[sector][0] - 1) % len(self.slots)]

    def select(self, slot):
        """esp_ota_set_boot_partition: `slot` (an entry of the table) is tried at the next start."""
        index = self.slots.index(slot)
        entries = self.entries()
        sector = self.active((NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED))
        if sector is None:
            self.write(0, index + 1, NEW)
            return
        seq = entries[sector][0]
        count = len(self.slots)
        if (seq - 1) % count == index:
            self.write(sector, seq, NEW)
            return
        while (seq - 1) % count != index or seq <= entries[sector][0]:
            seq += 1
        self.write(1 - sector, seq, NEW)


def choose(flash, log):
    """The table's entry to start, its states in `otadata` brought up to date; None when nothing can be started."""
    table = partitions(flash)
    otadata = OtaData(flash, table)
    # An image that was started and not confirmed has had its one try.
    for sector in (0, 1):
        entry = otadata.entries()[sector]
        if entry and entry[1] == PENDING:
            otadata.write(sector, entry[0], ABORTED)
    sector = otadata.active()
    if sector is None:
        chosen = otadata.slots[0]
    else:
        chosen = otadata.slot(sector)
        seq, state = otadata.entries()[sector]
        if state == NEW:
            otadata.write(sector, seq, PENDING)
    for slot in [chosen] + [slot for slot in otadata.slots if slot is not chosen]:
        why = refused(flash, slot)
        if not why:
            return slot
        log("bootloader: %s is not started: %s" % (slot[4], why))
    return None


def refused(flash, slot):
    """Why the image in `slot` is none (esp_image_verify), or None when it is one."""
    start, limit = slot[2], slot[3]
    head = bytearray(24)
    flash.read(start, head)
    if head[0] != 0xE9:
        return "no image"
    if not 0 < head[1] <= 16:
        return "wrong number of segments"
    if head[12] | head[13] << 8:
        return "made for another chip"
    at = 24
    total = 0
    checksum = 0xEF
    buf = bytearray(_PIECE)
    segment = bytearray(8)
    for _ in range(head[1]):
        flash.read(start + at, segment)
        size = struct.unpack("<LL", segment)[1]
        at += 8
        if at + size > limit:
            return "a segment is outside of the partition"
        for piece in range(0, size, _PIECE):
            view = memoryview(buf)[: min(_PIECE, size - piece)]
            flash.read(start + at + piece, view)
            total ^= (
                int.from_bytes(view, "little")
                if len(view) % 4 == 0
                else int.from_bytes(bytes(view) + b"\0" * 3, "little")
            )
        at += size
    for byte in total.to_bytes(_PIECE + 3, "little"):
        checksum ^= byte
    at = (at + 16) & ~15
    if at + 32 > limit:
        return "larger than the partition"
    flash.read(start + at - 1, segment)
    if segment[0] != checksum:
        return "wrong checksum"
    if head[23]:
        sha = hashlib.sha256()
        for piece in range(0, at, _PIECE):
            view = memoryview(buf)[: min(_PIECE, at - piece)]
            flash.read(start + piece, view)
            sha.update(view)
        digest = bytearray(32)
        flash.read(start + at, digest)
        if sha.digest() != digest:
            return "wrong SHA-256"
    return None
