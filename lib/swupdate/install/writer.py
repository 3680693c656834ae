"""The slot writer: the other slot's halves, sector by sector, so that half a slot can never look like a whole one."""

import hashlib

import cbor
from port import const, sleep_ms

from swupdate.faults import Fault

_CHUNK = const(4096)
_PIECE = const(512)  # is read back at a time
_TRIES = const(2)
_LABEL_SIZE = const(256)  # as much of it is read by swupdate.label


def pack_label(label, sector):
    """Make the sector that says what a slot is; `sector` is a buffer of 4 KB. Raises Fault."""
    size = cbor.encode_into(sector, label)
    if size > _LABEL_SIZE:
        raise Fault("invalid", "the label is too long")
    for i in range(size, _CHUNK):
        sector[i] = 0xFF


class SlotWriter:
    """Writes the other slot of `slots`. `buffers`: two of 4 KB, to be used between calls by whoever gave them.

    Order: `begin` erases the first sector of both halves and the label, before anything else; `write` and `copy` fill
    all other sectors; then `label`, and `first` for "app" and last of all for "fw". Each sector is read back at once: a
    flash that does not take it is tried once more. All raise Fault "flash".
    """

    def __init__(self, slots, buffers):
        if not slots.confirmed:
            # Raw writes bypass ESP-IDF's own check, and the other slot is all that there is to go back to.
            raise Fault("install", "the running version is still on trial")
        self._slots = slots
        self._buf, self._probe = buffers
        self._piece = bytearray(_PIECE)

    def begin(self):
        """Make sure that the other slot cannot be taken for a whole one. Costs no erase where it already cannot."""
        for half in ("fw", "app"):
            self._erase(half, 0)
        self._erase("app", self._other("app").ioctl(4, 0) - 1)  # the label

    def read(self, half, index, buf):
        """Read sector `index` of `half` into `buf` (4 KB)."""
        self._other(half).readblocks(index, buf)

    def write(self, half, index, chunk):
        """Erase and program sector `index`, which is not the first."""
        if index < 1:
            raise ValueError("the first sector is written last")
        self._put(half, index, chunk)

    def label(self, label):
        """Say what the slot will be."""
        pack_label(label, self._buf)
        self._put("app", self._other("app").ioctl(4, 0) - 1, self._buf)

    def first(self, half, chunk):
        """Program the first sector: from now on this half looks whole."""
        self._put(half, 0, chunk)

    async def copy(self, half, size):
        """Copy `half` of the running slot, `size` bytes, without its first sector. The SHA-256 of all of it."""
        source = self._slots.partition(self._slots.running, half)
        sha = hashlib.sha256()
        for index in range((size + _CHUNK - 1) // _CHUNK):
            source.readblocks(index, self._buf)
            sha.update(memoryview(self._buf)[: min(_CHUNK, size - index * _CHUNK)])
            if index:
                self.read(half, index, self._probe)
                if self._probe != self._buf:
                    self.write(half, index, self._buf)
            await sleep_ms(0)
        return sha.digest()

    def copy_first(self, half):
        """Copy the first sector of `half` of the running slot."""
        self._slots.partition(self._slots.running, half).readblocks(0, self._buf)
        self.first(half, self._buf)

    def _erase(self, half, index):
        other = self._other(half)

        def erased():
            other.readblocks(index, self._probe)
            return self._probe.count(b"\xff") == _CHUNK

        def erase():
            other.ioctl(6, index)
            return erased()

        if not erased():
            self._twice(erase, half, index)

    def _put(self, half, index, chunk):
        other = self._other(half)

        def put():
            other.writeblocks(index, chunk)
            for at in range(0, _CHUNK, _PIECE):
                other.readblocks(index, self._piece, at)
                if self._piece != memoryview(chunk)[at : at + _PIECE]:
                    return False
            return True

        self._twice(put, half, index)

    def _twice(self, do, half, index):
        why = "it does not keep what is written"
        for _ in range(_TRIES):
            try:
                if do():
                    return
            except OSError as error:
                why = error.args[-1]
        raise Fault("flash", "sector %d of %s in %s is bad: %s" % (index, half, self._slots.other, why))

    def _other(self, half):
        return self._slots.partition(self._slots.other, half)
