"""The slot writer: the other slot's halves, sector by sector, so that half a slot can never look like a whole one."""

from port import const, sleep_ms

from swupdate.faults import Fault

_CHUNK = const(4096)
_PIECE = const(512)  # is read back at a time
_TRIES = const(2)
_TURNS = const(3)  # of the loop: what has come is taken, whoever waits for it has it, and more is asked for


async def turn():
    """Let the network work: while the flash does, nothing else can."""
    for _ in range(_TURNS):
        await sleep_ms(0)


def _blank(piece):
    """Whether there is nothing but 0xFF: the first is, and each is what the one before is. Comparing is one call."""
    view = memoryview(piece)
    return piece[0] == 0xFF and view[1:] == view[:-1]


class SlotWriter:
    """Writes the other slot of `slots`: all but what makes it look whole (swupdate.install.first).

    Each sector is read back at once: a flash that does not take it is tried once more. All raise Fault "flash".

    `clean`: no attempt was interrupted here. Then a sector that reads as blank is not erased; else the power may have
    failed in the middle of erasing it, and what reads as blank need not stay so.
    """

    def __init__(self, slots, clean=False):
        if not slots.confirmed:
            # Raw writes bypass ESP-IDF's own check, and the other slot is all that there is to go back to.
            raise Fault("install", "the running version is still on trial")
        self._slots = slots
        self._clean = clean
        self._piece = bytearray(_PIECE)

    def read(self, half, index, buf):
        """Read sector `index` of `half` into `buf` (4 KB)."""
        self.other(half).readblocks(index, buf)

    async def write(self, half, index, chunk):
        """Erase and program sector `index`, which is not the first; between the two the network gets its turn."""
        if index < 1:
            raise ValueError("the first sector is written last")
        other = self.other(half)
        blank = True

        def erase():
            nonlocal blank
            blank = self._clean and self.blank(other, index)
            return blank or other.ioctl(6, index) == 0

        self.twice(erase, half, index)
        if not blank:
            await turn()
        self.put(half, index, chunk, True)

    def blank(self, other, index):
        """Whether a sector of the partition `other` reads as erased."""
        for at in range(0, _CHUNK, _PIECE):
            other.readblocks(index, self._piece, at)
            if not _blank(self._piece):
                return False
        return True

    def put(self, half, index, chunk, blank=False):
        """Erase and program a sector, as far as that is needed: not what is known to be `blank`."""
        other = self.other(half)
        view = memoryview(chunk)
        sparing = blank or self._clean

        def put():
            nonlocal blank, sparing
            if not blank and not (sparing and self.blank(other, index)):
                other.ioctl(6, index)
            end = _CHUNK
            while sparing and end:  # an end that stays blank is not programmed
                self._piece[:] = view[end - _PIECE : end]
                if not _blank(self._piece):
                    break
                end -= _PIECE
            blank = sparing = False
            if end:
                other.writeblocks(index, view[:end], 0)
            return self.holds(half, index, view)

        self.twice(put, half, index)

    def holds(self, half, index, view):
        """Whether sector `index` of `half` reads as the memoryview `view`."""
        other = self.other(half)
        for at in range(0, _CHUNK, _PIECE):
            other.readblocks(index, self._piece, at)
            if self._piece != view[at : at + _PIECE]:
                return False
        return True

    def twice(self, do, half, index):
        """Have `do` done to a sector, which says whether that was good."""
        why = "it does not keep what is written"
        for _ in range(_TRIES):
            try:
                if do():
                    return
            except OSError as error:
                why = error.args[-1]
        raise Fault("flash", "sector %d of %s in %s is bad: %s" % (index, half, self._slots.other, why))

    def other(self, half):
        """The partition of `half` that is written."""
        return self._slots.partition(self._slots.other, half)
