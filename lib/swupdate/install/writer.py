"""The slot writer: the other slot's halves, sector by sector, so that half a slot can never look like a whole one."""

import hashlib

from port import const, sleep_ms

from swupdate.faults import Fault
from swupdate.install.chunks import CHUNK

_BLANK = const(0xFF)
_PIECE = const(1024)


class SlotWriter:
    """Writes the other slot of `slots`.

    Order: `begin` erases the first sector of both halves and the label, before anything else; `write` and `copy` fill
    all other sectors; then `label`, and `first` for "app" and last of all for "fw".
    """

    def __init__(self, slots):
        if not slots.confirmed:
            # Raw writes bypass ESP-IDF's own check, and the other slot is all that there is to go back to.
            raise Fault("install", "the running version is still on trial")
        self._slots = slots

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

    def read(self, half, index, buf):
        """Read sector `index` of `half` into `buf` (4 KB)."""
        try:
            self._other(half).readblocks(index, buf)
        except OSError as error:
            raise _flash(error)  # noqa: B904

    def write(self, half, index, chunk):
        """Erase and program sector `index`, which is not the first."""
        if index < 1:
            raise ValueError("the first sector is written last")
        self._program(half, index, chunk)

    def label(self, label):
        """Say what the slot will be."""
        try:
            self._slots.write_label(label)
        except OSError as error:
            raise _flash(error)  # noqa: B904

    def first(self, half, chunk):
        """Program the first sector: from now on this half looks whole."""
        self._program(half, 0, chunk)

    async def copy(self, half, size):
        """Copy `half` of the running slot, `size` bytes, without its first sector, which is returned."""
        source = self._slots.partition(self._slots.running, half)
        buf = bytearray(CHUNK)
        probe = bytearray(CHUNK)
        try:
            for index in range((size + CHUNK - 1) // CHUNK - 1, -1, -1):
                source.readblocks(index, buf)
                if index:
                    self.read(half, index, probe)
                    if probe != buf:
                        self.write(half, index, buf)
                await sleep_ms(0)
        except OSError as error:
            raise _flash(error)  # noqa: B904
        return buf

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
