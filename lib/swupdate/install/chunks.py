"""The way of a chunk into the slot: checked against the signed table, then written. Part of the phases of the payload."""

import hashlib

from port import const

from swupdate.faults import Fault
from swupdate.install.writer import SlotWriter

CHUNK = const(4096)
_ENTRY = const(16)
_HEAD = const(
    36
)  # of an image: header and first segment's header, then the application's description (esp_app_desc_t)
_DESCRIPTION_MAGIC = b"\x32\x54\xcd\xab"
_ROMFS_MAGIC = b"\xd2\xcd\x31"


class Chunks:
    """The chunks of `part` (see swupdate.install.obtain) of `offer`, of which `part.missing` says what is not written yet.

    In a `with` block: the table of chunks, the file that swupdate.install.tables has made, is open so long.
    """

    def __init__(self, job, offer, part, progress):
        self.part, self.missing, self.count = part, part.missing, len(part.missing)
        self.writer = SlotWriter(job.slots, job.buffers, offer.clean)
        self._slots = job.slots
        self._offer, self._progress = offer, progress
        self._file = job.store.open("chunks." + part.half, "rb")
        self._entry = bytearray(_ENTRY)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self._file.close()

    def size(self, index):
        """Bytes of the payload in chunk `index`."""
        return min(CHUNK, self.part.size - index * CHUNK)

    def matches(self, index, chunk):
        """Whether `chunk` (4 KB) is chunk `index`; the last one is filled up with 0xFF."""
        self._file.seek(index * _ENTRY)
        self._file.readinto(self._entry)
        return hashlib.sha256(chunk).digest()[:_ENTRY] == self._entry

    def put(self, index, chunk):
        """Write chunk `index`, which came from the network. Raises Fault, and then nothing of it was written."""
        half = self.part.half
        for i in range(self.size(index), CHUNK):
            chunk[i] = 0xFF
        if not self.matches(index, chunk):
            raise Fault("invalid", "a part of %s is not what was signed" % half)
        if index:
            self.writer.write(half, index, chunk)
        else:
            self._look_at(chunk)
            self.writer.first(half, chunk)
        self.there(index)

    def there(self, index):
        """Chunk `index` is in the slot."""
        self.missing[index] = 0
        self._offer.done += self.size(index)
        self._progress(self._offer.done, self._offer.total)

    def _look_at(self, chunk):
        """Refuse an image that is none, or is for another chip, with words rather than with the bootloader's number."""
        if self.part.half == "app":
            if bytes(chunk[:3]) != _ROMFS_MAGIC:
                raise Fault("invalid", "the app is no ROMFS image")
            return
        running = bytearray(16)
        self._slots.partition(self._slots.running, "fw").readblocks(0, running, 0)
        if chunk[0] != 0xE9 or bytes(chunk[32:_HEAD]) != _DESCRIPTION_MAGIC:
            raise Fault("invalid", "the firmware is no application image")
        if chunk[12:14] != running[12:14]:
            raise Fault("invalid", "the firmware is for another chip")
