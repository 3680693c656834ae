"""The table of chunk digests: 16 bytes of SHA-256 for each 4 KB of a component, kept in a file."""

import hashlib

from port import const

from swupdate.faults import Fault

CHUNK = const(4096)
ENTRY = const(16)
_PIECE = const(512)


class Table:
    """The chunk digests of one component. `count` chunks; the last one is filled up with 0xFF before it is hashed."""

    def __init__(self, store, component):
        self.count = (component.size + CHUNK - 1) // CHUNK
        self._component = component
        self._store = store
        self._name = "chunks." + component.half
        self._file = None
        self._entry = bytearray(ENTRY)

    async def fetch(self, source):
        """Have the table in a file, its digest checked. Raises Fault."""
        if self._open():
            return
        size = self.count * ENTRY
        await source.start(self._component.table_uri, 0, size, None)
        buf = memoryview(bytearray(_PIECE))
        try:
            with self._store.open(self._name, "wb") as file:
                for at in range(0, size, _PIECE):
                    part = buf[: min(_PIECE, size - at)]
                    await source.readinto(part)
                    file.write(part)
        except OSError as error:
            raise Fault("flash", "the table of chunks could not be stored: %s" % error)  # noqa: B904
        if not self._open():
            self.remove()
            raise Fault("invalid", "the table of chunks of %s is not the one that was signed" % self._component.half)

    def matches(self, index, chunk):
        """Whether `chunk` (4 KB) is chunk `index`."""
        self._file.seek(index * ENTRY)
        self._file.readinto(self._entry)
        return hashlib.sha256(chunk).digest()[:ENTRY] == self._entry

    def close(self):
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None

    def remove(self):
        """Close and forget the file."""
        self.close()
        self._store.remove(self._name)

    def _open(self):
        """Open the file when it is there and the right one."""
        sha = hashlib.sha256()
        buf = bytearray(_PIECE)
        size = 0
        try:
            self._file = self._store.open(self._name, "rb")
            while True:
                count = self._file.readinto(buf)
                if not count:
                    break
                sha.update(memoryview(buf)[:count])
                size += count
        except OSError:
            size = -1
        if size == self.count * ENTRY and sha.digest() == self._component.table:
            return True
        self.close()
        return False
