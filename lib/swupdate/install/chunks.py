"""The way of a chunk into the slot: checked against the signed table, then written. Part of the phases of the payload."""

import hashlib

from port import const

from swupdate.faults import Fault
from swupdate.install.writer import SlotWriter

CHUNK = const(4096)
_ENTRY = const(16)


class Chunks:
    """The chunks of `part` (see swupdate.install.obtain) of `offer`, of which `part.missing` says what is not written yet.

    In a `with` block: the table of chunks, the file that swupdate.install.tables has made, is open so long.
    """

    def __init__(self, job, offer, part, progress):
        self.part, self.missing, self.count = part, part.missing, len(part.missing)
        self.writer = SlotWriter(job.slots, offer.clean)
        self._slots = job.slots
        self._offer, self._progress = offer, progress
        self._entry = bytearray(_ENTRY)
        self._file = job  # a place for it: it is opened last, for nobody would close it
        self._file = job.store.open("chunks." + part.half, "rb")

    def __enter__(self):
        return self

    def __exit__(self, _kind, _error, _trace):  # no tuple of them: there may be no memory for one
        self._file.close()

    def size(self, index):
        """Bytes of the payload in chunk `index`."""
        return min(CHUNK, self.part.size - index * CHUNK)

    def matches(self, index, chunk):
        """Whether `chunk` (4 KB) is chunk `index`; the last one is filled up with 0xFF."""
        self._file.seek(index * _ENTRY)
        self._file.readinto(self._entry)
        return hashlib.sha256(chunk).digest()[:_ENTRY] == self._entry

    async def put(self, index, chunk):
        """Write chunk `index`, which came from the network; the first one is left in `chunk`, for swupdate.install.first.

        Raises Fault, and then nothing of it was written.
        """
        for i in range(self.size(index), CHUNK):
            chunk[i] = 0xFF
        if not self.matches(index, chunk):
            raise Fault("invalid", "a part of %s is not what was signed" % self.part.half)
        if index:
            await self.writer.write(self.part.half, index, chunk)
        self.there(index)

    def there(self, index):
        """Chunk `index` is in the slot."""
        self.missing[index] = 0
        self._offer.done += self.size(index)
        self._progress(self._offer.done, self._offer.total)
