"""The slot writer: the other slot's halves, sector by sector, so that half a slot can never look like a whole one."""

from port import const, sleep_ms

from swupdate.faults import Fault
from swupdate.install.chunks import CHUNK

_BLANK = const(0xFF)


class SlotWriter:
    """Writes the other slot of `slots`. `buffers`: two of 4 KB, to be used between calls by whoever gave them.

    Order: `begin` erases the first sector of both halves and the label, before anything else; `write` and `copy` fill
    all other sectors; then `label`, and `first` for "app" and last of all for "fw".
    """

    def __init__(self, slots, buffers):
        if not slots.confirmed:
            # Raw writes bypass ESP-IDF's own check, and the other slot is all that there is to go back to.
            raise Fault("install", "the running version is still on trial")
        self._slots = slots
        self._buf, self._probe = buffers

    def begin(self):
        """Make sure that the other slot cannot be taken for a whole one. Costs no erase when it already cannot."""
        probe = self._probe
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
        self._load(self._other(half), index, buf)

    def write(self, half, index, chunk):
        """Erase and program sector `index`, which is not the first."""
        if index < 1:
            raise ValueError("the first sector is written last")
        self._program(half, index, chunk)

    def label(self, label):
        """Say what the slot will be."""
        try:
            self._slots.write_label(label, self._buf)
        except OSError as error:
            raise _flash(error)  # noqa: B904

    def first(self, half, chunk):
        """Program the first sector: from now on this half looks whole."""
        self._program(half, 0, chunk)

    async def copy(self, half, size):
        """Copy `half` of the running slot, `size` bytes, without its first sector."""
        source = self._slots.partition(self._slots.running, half)
        buf, probe = self._buf, self._probe
        for index in range(1, (size + CHUNK - 1) // CHUNK):
            self._load(source, index, buf)
            self.read(half, index, probe)
            if probe != buf:
                self.write(half, index, buf)
            await sleep_ms(0)

    def copy_first(self, half):
        """Copy the first sector of `half` of the running slot."""
        self._load(self._slots.partition(self._slots.running, half), 0, self._buf)
        self.first(half, self._buf)

    def _load(self, source, index, buf):
        try:
            source.readblocks(index, buf)
        except OSError as error:
            raise _flash(error)  # noqa: B904

    def _program(self, half, index, chunk):
        try:
            self._other(half).writeblocks(index, chunk)
        except OSError as error:
            raise _flash(error)  # noqa: B904

    def _other(self, half):
        return self._slots.partition(self._slots.other, half)


def _is_blank(buf):
    return buf.count(b"\xff") == len(buf)


def _flash(error):
    return Fault("flash", "the flash could not be read or written: %s" % error)
