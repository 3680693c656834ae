"""The slot writer: the other slot's halves, sector by sector, so that half a slot can never look like a whole one."""

from port import const

from swupdate.faults import Fault

_CHUNK = const(4096)
_PIECE = const(512)  # is read back at a time
_TRIES = const(2)


class SlotWriter:
    """Writes the other slot of `slots`. `buffers`: two of 4 KB, to be used between calls by whoever gave them.

    Order: `begin` erases the first sector of both halves and the label, before anything else; `write` fills all other
    sectors; then `label`, and `first` for "app" and last of all for "fw". Each sector is read back at once: a flash
    that does not take it is tried once more. All raise Fault "flash".

    `clean`: no attempt was interrupted here. Then a sector that reads as blank is not erased; else the power may have
    failed in the middle of erasing it, and what reads as blank need not stay so.
    """

    def __init__(self, slots, buffers, clean=False):
        if not slots.confirmed:
            # Raw writes bypass ESP-IDF's own check, and the other slot is all that there is to go back to.
            raise Fault("install", "the running version is still on trial")
        self._slots = slots
        self._buf = buffers[0]
        self._clean = clean
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
        self._slots.pack_label(label, self._buf)
        self._put("app", self._other("app").ioctl(4, 0) - 1, self._buf)

    def first(self, half, chunk):
        """Program the first sector: from now on this half looks whole."""
        try:
            self._put(half, 0, chunk)
        except BaseException:
            self.begin()
            raise

    def _erase(self, half, index):
        other = self._other(half)

        def erase():
            other.ioctl(6, index)
            return self._blank(other, index)

        if not self._blank(other, index):
            self._twice(erase, half, index)

    def _blank(self, other, index):
        for at in range(0, _CHUNK, _PIECE):
            other.readblocks(index, self._piece, at)
            if self._piece.count(b"\xff") != _PIECE:
                return False
        return True

    def _put(self, half, index, chunk):
        other = self._other(half)
        view = memoryview(chunk)
        sparing = self._clean

        def put():
            nonlocal sparing
            if not sparing or not self._blank(other, index):
                other.ioctl(6, index)
            end = _CHUNK
            while sparing and end:  # an end that stays blank is not programmed
                self._piece[:] = view[end - _PIECE : end]
                if self._piece.count(b"\xff") != _PIECE:
                    break
                end -= _PIECE
            sparing = False
            if end:
                other.writeblocks(index, view[:end], 0)
            for at in range(0, _CHUNK, _PIECE):
                other.readblocks(index, self._piece, at)
                if self._piece != view[at : at + _PIECE]:
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
