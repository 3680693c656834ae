"""The tables of chunk digests: 16 bytes of SHA-256 for each 4 KB of a component, brought into files. A phase."""

import hashlib

from port import const

from swupdate.faults import Fault

CHUNK = const(4096)
ENTRY = const(16)
_PIECE = const(512)


def lacking(store, parts, buf):
    """(whether there was no table, those of `parts` whose table is not in its file); `buf` has 512 bytes or more.

    Each stays until what it tells of is written: where there was none, no attempt was interrupted.
    """
    buf = memoryview(buf)[:_PIECE]
    clean = not _exists(store, "chunks.fw") and not _exists(store, "chunks.app")
    return clean, [part for part in parts if not _right(store, part, buf)]


async def fetch(store, source, part, buf):
    """Have the table of `part`, for which `source` was asked, in a file, its digest checked. Raises Fault."""
    buf = memoryview(buf)[:_PIECE]
    name = "chunks." + part.half
    size = _size(part)
    try:
        with store.open(name, "wb") as file:
            for at in range(0, size, _PIECE):
                piece = buf[: min(_PIECE, size - at)]
                await source.readinto(piece)
                file.write(piece)
    except OSError as error:
        raise Fault("flash", "the table of chunks could not be stored: %s" % error)  # noqa: B904
    if not _right(store, part, buf):
        store.remove(name)
        raise Fault("invalid", "the table of chunks of %s is not the one that was signed" % part.half)


def _size(part):
    return (part.size + CHUNK - 1) // CHUNK * ENTRY


def _exists(store, name):
    try:
        store.open(name, "rb").close()
    except OSError:
        return False
    return True


def _right(store, part, buf):
    """Whether the file is there and the right one."""
    size = _size(part)
    sha = hashlib.sha256()
    try:
        with store.open("chunks." + part.half, "rb") as file:
            while True:
                count = file.readinto(buf)
                if not count:
                    break
                sha.update(buf[:count])
                size -= count
    except OSError:
        return False
    return size == 0 and sha.digest() == part.table
