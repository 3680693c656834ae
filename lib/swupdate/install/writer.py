"""The slot writer: the other slot's halves, sector by sector, so that half a slot can never look like a whole one."""

import hashlib

from port import const, sleep_ms

from swupdate.faults import Fault
from swupdate.install.chunks import CHUNK

_BLANK = const(0xFF)
_PIECE = const(1024)


class SlotWriter:
    """Writes the other slot of `slots`.

    Order: `begin` erases the first sector of both halves and the label, before anything else; `write` takes any sector
    but a first one; `finish` writes the label, and then the first sectors, the firmware's last of all.
    """

    def __init__(self, slots):
        if not slots.confirmed:
            # Raw writes bypass ESP-IDF's own check, and the other slot is all that there is to go back to.
            raise Fault("install", "the running version is still on trial")
        self._slots = slots
        self._first = {}

    def begin(self):
        """Make sure that the other slot cannot be taken for a whole one. Costs no erase when it already cannot."""
        probe = bytearray(CHUNK)
        try:
            for half in ("fw", "app"):
                partition = self._other(half)
                partition.readblocks(0, probe)
                if not _is_blank(probe):
                    partition.ioctl(6, 0)
            self._slots.erase_label()
        except OSError as error:
            raise _flash(error)  # noqa: B904

    def same(self, half, index, buf):
        """Read sector `index` of `half` into `buf` (4 KB)."""
        try:
            self._other(half).readblocks(index, buf)
        except OSError as error:
            raise _flash(error)  # noqa: B904

    def write(self, half, index, chunk):
        """Erase and program one sector; the first one is only kept until `finish`."""
        if index == 0:
            self._first[half] = bytes(chunk)
            return
        self._program(half, index, chunk)

    def finish(self, label):
        """Write the label and the first sectors."""
        try:
            self._slots.write_label(label)
        except OSError as error:
            raise _flash(error)  # noqa: B904
        for half in ("app", "fw"):
            self._program(half, 0, self._first.pop(half))

    async def copy(self, half, size):
        """Copy `half` of the running slot, `size` bytes; its first sector is kept as `write` does. Its SHA-256."""
        source = self._slots.partition(self._slots.running, half)
        sha = hashlib.sha256()
        buf = bytearray(CHUNK)
        probe = bytearray(CHUNK)
        for index in range((size + CHUNK - 1) // CHUNK):
            source.readblocks(index, buf)
            sha.update(memoryview(buf)[: min(CHUNK, size - index * CHUNK)])
            if index:
                self.same(half, index, probe)
            if index == 0 or probe != buf:
                self.write(half, index, buf)
            await sleep_ms(0)
        return sha.digest()

    def _program(self, half, index, chunk):
        try:
            self._other(half).writeblocks(index, chunk)
        except OSError as error:
            raise _flash(error)  # noqa: B904

    def _other(self, half):
        return self._slots.partition(self._slots.other, half)


async def digest(slots, half, size):
    """SHA-256 of the first `size` bytes of `half` of the other slot, as they are in the flash."""
    partition = slots.partition(slots.other, half)
    sha = hashlib.sha256()
    buf = memoryview(bytearray(_PIECE))
    for at in range(0, size, _PIECE):
        part = buf[: min(_PIECE, size - at)]
        partition.readblocks(at // CHUNK, part, at % CHUNK)
        sha.update(part)
        if at % (16 * _PIECE) == 0:
            await sleep_ms(0)
    return sha.digest()


def _is_blank(buf):
    return buf.count(b"\xff") == len(buf)


def _flash(error):
    return Fault("flash", "the flash could not be read or written: %s" % error)
