"""ESP-IDF's second stage bootloader: which image is started, and whether it is one."""

import binascii
import hashlib
import struct

NEW, PENDING, VALID, INVALID, ABORTED = range(5)
UNDEFINED = 0xFFFFFFFF

_TABLE = 0x8000
_ENTRY = "<2sBBLL16sL"  # magic, type, subtype, offset, size, label, flags
_SELECT = "<L20sLL"
_PIECE = 1024
_PAGE = 0x10000  # of the memory management unit


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
    """The two sectors that select a slot, and the states of the images (esp_ota_select_entry_t).

    What ESP-IDF does with odd contents is kept, also where it surprises: the rules are those of its bootloader
    (bootloader_utility.c, bootloader_common.c) and of its API (esp_ota_ops.c), versions 5.0 to 5.5.
    """

    def __init__(self, flash, table):
        self._flash = flash
        self._at = [entry[2] for entry in table if entry[:2] == (1, 0)][0]
        # By their subtypes, wherever they are in the table.
        self.slots = sorted([entry for entry in table if entry[0] == 0 and entry[1] & 0xF0 == 0x10], key=_subtype)

    def entries(self):
        """[(sequence, state, CRC)] of both sectors, valid or not."""
        found = []
        for sector in (0, 1):
            entry = bytearray(32)
            self._flash.read(self._at + 4096 * sector, entry)
            seq, _, state, check = struct.unpack(_SELECT, entry)
            found.append((seq, state, check))
        return found

    def write(self, sector, seq, state, check=None):
        """Rewrite one sector."""
        data = struct.pack("<L20sLL", seq, b"\xff" * 20, state, crc(seq) if check is None else check)
        self._flash.erase(self._at + 4096 * sector, 4096)
        self._flash.program(self._at + 4096 * sector, data)

    def active(self):
        """The sector in force: of the highest sequence, the first of two equal ones. None when neither can be."""
        best = None
        entries = self.entries()
        for sector in (0, 1):
            entry = entries[sector]
            if not _invalid(entry) and _whole(entry) and (best is None or entry[0] > entries[best][0]):
                best = sector
        return best

    def slot(self, sector):
        """The slot that the entry in `sector` selects."""
        return self.slots[(self.entries()[sector][0] - 1) % len(self.slots)]

    def select(self, slot):
        """esp_ota_set_boot_partition: `slot` (an entry of the table) is tried at the next start."""
        index = self.slots.index(slot)
        sector = self.active()
        if sector is None:
            self.write(0, index + 1, NEW)
            return
        # The next sequence that means this slot; the same one again, in the other sector, when it is selected already.
        count = len(self.slots)
        seq = (index + 1) % count
        while self.entries()[sector][0] > seq:
            seq += count
        self.write(1 - sector, seq, NEW)

    def keep(self):
        """esp_ota_mark_app_valid_cancel_rollback: False when there is no entry in force.

        It marks the entry *in force*, whatever runs: once another slot is armed, that one.
        """
        sector = self.active()
        if sector is None:
            return False
        seq, state, _ = self.entries()[sector]
        if state != VALID:
            self.write(sector, seq, VALID)
        return True


def crc(seq):
    """The CRC of an entry covers its sequence alone, and begins with all ones (esp_rom_crc32_le)."""
    return binascii.crc32(struct.pack("<L", seq), UNDEFINED) & UNDEFINED


def _subtype(entry):
    return entry[1]


def _whole(entry):
    return entry[2] == crc(entry[0])


def _invalid(entry):
    return entry[0] == UNDEFINED or entry[1] in (INVALID, ABORTED)


def selected(otadata, start=True):
    """(index of the slot to begin with, -1: none is selected; whether `otadata` is to be filled in).

    With `start` the states are brought up to date, as at every start of the chip.
    """
    if start:
        for sector in (0, 1):
            seq, state, check = otadata.entries()[sector]
            if state == PENDING:  # it was started and not confirmed: it has had its one try
                _note(otadata, sector, seq, ABORTED, check)
    entries = otadata.entries()
    if _invalid(entries[0]) and _invalid(entries[1]):
        blank = [entry[0] == UNDEFINED or not _whole(entry) for entry in entries]
        return 0, blank[0] and blank[1]
    sector = otadata.active()
    if sector is None:
        return -1, False
    seq, state, check = entries[sector]
    if start and state == NEW:
        _note(otadata, sector, seq, PENDING, check)
    return (seq - 1) % len(otadata.slots), False


def _note(otadata, *entry):
    """Rewrite a sector. When the flash refuses, the start goes on all the same."""
    try:
        otadata.write(*entry)
    except OSError:
        pass


def choose(flash, log):
    """The table's entry to start, its states in `otadata` brought up to date; None when nothing can be started."""
    otadata = OtaData(flash, partitions(flash))
    first, fill_in = selected(otadata)
    # Backwards from the selected slot, then forwards.
    for index in list(range(first, -1, -1)) + list(range(first + 1, len(otadata.slots))):
        slot = otadata.slots[index]
        why = refused(flash, slot)
        if not why:
            if fill_in:  # a fresh board, or one whose otadata is lost: from now on it says what runs
                _note(otadata, 0, index + 1, VALID)
            return slot
        log("bootloader: %s is not started: %s" % (slot[4], why))
    return None


def refused(flash, slot):
    """Why the image in `slot` is none (esp_image_format.c), or None when it is one."""
    start, limit = slot[2], slot[3]
    head = bytearray(24)
    segment = bytearray(8)
    flash.read(start, head)
    if head[0] != 0xE9:
        return "no image"
    if head[12] | head[13] << 8:
        return "made for another chip"
    if head[1] > 16:
        return "too many segments"
    sha = hashlib.sha256(head)
    at = 24
    folded = 0  # all data, exclusive-or of pieces
    buf = memoryview(bytearray(_PIECE))
    for _ in range(head[1]):
        flash.read(start + at, segment)
        sha.update(segment)
        at += 8
        address, size = struct.unpack("<LL", segment)
        if size % 4 or at + size > limit:
            return "a segment has a wrong length"
        if _mapped(address) and (address - at) % _PAGE:
            return "a segment is at a wrong place"
        for piece in range(0, size, _PIECE):
            view = buf[: min(_PIECE, size - piece)]
            flash.read(start + at + piece, view)
            sha.update(view)
            folded ^= int.from_bytes(view, "little")
        at += size
    check = 0xEF
    for byte in folded.to_bytes(_PIECE, "little"):
        check ^= byte
    # The checksum is the last byte of a block of 16.
    tail = buf[: 16 - at % 16]
    at += len(tail)
    if at + 32 > limit:
        return "larger than the partition"
    flash.read(start + at - len(tail), tail)
    if tail[-1] != check:
        return "wrong checksum"
    if head[23]:
        sha.update(tail)
        digest = bytearray(32)
        flash.read(start + at, digest)
        if sha.digest() != digest:
            return "wrong SHA-256"
    return None


def _mapped(address):
    """Whether the ESP32 maps this address to its flash, page by page, rather than copying to memory."""
    return 0x3F400000 <= address < 0x3F800000 or 0x400D0000 <= address < 0x40400000
