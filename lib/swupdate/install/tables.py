"""The tables of chunk digests: 16 bytes of SHA-256 for each 4 KB of a component, brought into files. A phase."""

import hashlib

from port import const

from swupdate.faults import Fault

CHUNK = const(4096)
ENTRY = const(16)
_PIECE = const(512)


async def fetch(store, source, parts, buf):
    """Have the table of each of `parts` in a file, its digest checked; `buf` has 512 bytes or more. Raises Fault.

    Returns whether there was none: each stays until what it tells of is written, so no attempt was interrupted.
    """
    buf = memoryview(buf)[:_PIECE]
    clean = not _exists(store, "chunks.fw") and not _exists(store, "chunks.app")
    for part in parts:
        name = "chunks." + part.half
        size = (part.size + CHUNK - 1) // CHUNK * ENTRY
        if _right(store, name, size, part.table, buf):
            continue
        await source.start(part.table_uri, 0, size, None)
        try:
            with store.open(name, "wb") as file:
                for at in range(0, size, _PIECE):
                    piece = buf[: min(_PIECE, size - at)]
                    await source.readinto(piece)
                    file.write(piece)
        except OSError as error:
            raise Fault("flash", "the table of chunks could not be stored: %s" % error)  # noqa: B904
        if not _right(store, name, size, part.table, buf):
            store.remove(name)
            raise Fault("invalid", "the table of chunks of %s is not the one that was signed" % part.half)
    return clean


def _exists(store, name):
    try:
        store.open(name, "rb").close()
    except OSError:
        return False
    return True


def _right(store, name, size, expected, buf):
    """Whether the file is there and the right one."""
    sha = hashlib.sha256()
    try:
        with store.open(name, "rb") as file:
            while True:
                count = file.readinto(buf)
                if not count:
                    break
                sha.update(buf[:count])
                size -= count
    except OSError:
        return False
    return size == 0 and sha.digest() == expected
