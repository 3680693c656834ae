"""The slot writer: the other slot's halves, sector by sector, so that half a slot can never look like a whole one."""

from port import const, sleep_ms

from swupdate.faults import Fault

_CHUNK = const(4096)


class SlotWriter:
    """Writes the other slot of `slots`. `buffers`: two of 4 KB, to be used between calls by whoever gave them.

    Order: `begin` erases the first sector of both halves and the label, before anything else; `write` and `copy` fill
    all other sectors; then `label`, and `first` for "app" and last of all for "fw". All raise OSError.
    """

    def __init__(self, slots, buffers):
        if not slots.confirmed:
            # Raw writes bypass ESP-IDF's own check, and the other slot is all that there is to go back to.
            raise Fault("install", "the running version is still on trial")
        self._slots = slots
        self._buf, self._probe = buffers

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
        self._other(half).writeblocks(index, chunk)

    def label(self, label):
        """Say what the slot will be."""
        self._slots.write_label(label, self._buf)

    def first(self, half, chunk):
        """Program the first sector: from now on this half looks whole."""
        self._other(half).writeblocks(0, chunk)

    async def copy(self, half, size):
        """Copy `half` of the running slot, `size` bytes, without its first sector."""
        source = self._slots.partition(self._slots.running, half)
        for index in range(1, (size + _CHUNK - 1) // _CHUNK):
            source.readblocks(index, self._buf)
            self.read(half, index, self._probe)
            if self._probe != self._buf:
                self.write(half, index, self._buf)
            await sleep_ms(0)

    def copy_first(self, half):
        """Copy the first sector of `half` of the running slot."""
        self._slots.partition(self._slots.running, half).readblocks(0, self._buf)
        self.first(half, self._buf)

    def _erase(self, half, index):
        self.read(half, index, self._probe)
        if self._probe.count(b"\xff") != _CHUNK:
            self._other(half).ioctl(6, index)

    def _other(self, half):
        return self._slots.partition(self._slots.other, half)
