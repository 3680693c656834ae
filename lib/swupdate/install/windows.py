"""A payload in windows (docs/release-format.md), compressed or against what runs, inflated as its bytes come. A phase.

Buffers: one of 4 KB for the chunk, one of 1.75 KB to receive and for what stands in the base, 1.5 KB of what is not
inflated yet, and the 1 KB of deflate. Nothing that comes is believed: a chunk that is not what the table says is not
written.
"""

from io import BytesIO

from port import const, sleep_ms
from port.inflate import stream

from swupdate.faults import Fault
from swupdate.install.chunks import CHUNK, Chunks

_RUN = const(8)  # chunks of a window; the first has one
_STOCK = const(1536)  # deflated bytes that are held
_PIECE = const(256)  # bytes that are inflated at a time, and added as one number
# What these and three numbers need at most: 15 bits a byte, 48 a match of three, the head of a block.
_AHEAD = const(896)
_SECTOR = const(4096)


async def bring(job, source, offer, part, begin, end, progress):
    """Fetch what is missing of `part` in the windows `begin` to `end` (not included) of its first way.

    `source` was asked for them. Raises Fault ("invalid" for windows that do not give what was signed) or OSError.
    """
    _uri, lengths, size = part.ways[0]
    with Chunks(job, offer, part, progress) as chunks:
        windows = Windows(source, job.buffers[1], job.slots.partition(job.slots.running, part.half), size)
        view = memoryview(job.buffers[0])
        index = begin * _RUN - _RUN + 1 if begin else 0  # of the chunk
        for window in range(begin, end):
            to = min(window * _RUN + 1, chunks.count)
            length = lengths[2 * window] << 8 | lengths[2 * window + 1]
            windows.begin(index * CHUNK, min(to * CHUNK, part.size) - index * CHUNK, length)
            while index < to:
                await windows.readinto(view[: chunks.size(index)])
                if chunks.missing[index]:
                    await chunks.put(index, job.buffers[0])
                index += 1
                await sleep_ms(0)


class Windows:
    """Reads windows from `source`, one after the other; `buf`: 1,792 bytes for it alone.

    `base`: the partition whose first `size` bytes are what the windows differ from, 0 for none. Raises Fault "invalid".
    """

    def __init__(self, source, buf, base, size):
        self._source = source
        buf = memoryview(buf)
        self._new = buf[:_STOCK]
        self._piece = buf[_STOCK : _STOCK + _PIECE]
        self._raw = BytesIO()  # what is not inflated yet stands at its end
        self._raw.write(self._new)
        self._base, self._size = base, size
        self._low = int.from_bytes(b"\x7f" * _PIECE, "little")
        self._high = int.from_bytes(b"\x80" * _PIECE, "little")
        self._byte = memoryview(bytearray(1))
        self._left = 0

    def begin(self, at, size, length):
        """The next `length` bytes of the source are the window of the `size` bytes at `at` of the payload."""
        if self._left:
            raise _bad("it is too long")
        self._raw.seek(_STOCK)
        self._stream = stream(self._raw)
        self._left = length  # bytes that the source still has of it
        self._room = size  # bytes that no operation was read for yet
        self._place = at  # in the base
        self._diff = self._extra = 0  # what is left of an operation

    async def readinto(self, view):
        """Fill `view` with the next bytes of the payload."""
        while len(view):
            await self._more()
            if not self._diff and not self._extra:
                self._operation()
            part = view[: min(self._diff or self._extra, len(view), _PIECE)]
            self._inflate(part)
            if self._diff:
                self._add(part)
                self._diff -= len(part)
            else:
                self._extra -= len(part)
            view = view[len(part) :]

    async def _more(self):
        """Have what the next step needs, or all that there is."""
        unread = _STOCK - self._raw.tell()
        new = min(self._left, _STOCK - unread)
        if new and unread < _AHEAD:
            held = self._new[: unread + new]
            self._raw.readinto(held[:unread])
            self._left -= new
            await self._source.readinto(held[unread:])
            self._raw.seek(_STOCK - len(held))
            self._raw.write(held)
            self._raw.seek(_STOCK - len(held))

    def _operation(self):
        diff = self._number()
        if diff:
            move = self._number()
            self._place += -(move + 1 >> 1) if move & 1 else move >> 1
        extra = self._number()
        if not 0 < diff + extra <= self._room or (diff and not 0 <= self._place <= self._size - diff):
            raise _bad("it leads outside")
        self._room -= diff + extra
        self._diff, self._extra = diff, extra

    def _number(self):
        """Seven bits a byte, the lowest first, four bytes at most."""
        value = 0
        for shift in (0, 7, 14, 21):
            self._inflate(self._byte)
            value |= (self._byte[0] & 0x7F) << shift
            if self._byte[0] < 0x80:
                return value
        raise _bad("a number does not end")

    def _inflate(self, view):
        try:
            count = self._stream.readinto(view)
        except (OSError, EOFError):
            count = 0
        if count != len(view):
            raise _bad("it cannot be inflated")

    def _add(self, part):
        """Add what stands in the base: all bytes at once, as numbers, for a loop would be slower than the flash."""
        base = self._piece[: len(part)]
        self._base.readblocks(self._place // _SECTOR, base, self._place % _SECTOR)
        self._place += len(part)
        a = int.from_bytes(part, "little")
        if a:
            b = int.from_bytes(base, "little")
            a = ((a & self._low) + (b & self._low)) ^ ((a ^ b) & self._high)
            part[:] = a.to_bytes(len(part), "little")
        else:
            part[:] = base


def _bad(text):
    return Fault("invalid", "a window is wrong: " + text)
