"""Windows of any payload from any base: what the tool makes the device reads, and so does the tool; nothing else fits."""

import asyncio
import random
import struct
from itertools import pairwise

import pytest
from fargo import delta
from hypothesis import given, settings
from hypothesis import strategies as st
from swupdate.faults import Fault
from swupdate.install.manifest import CHUNK, WINDOW, windows
from swupdate.install.windows import Windows

# Bytes of few kinds in pieces that repeat, and any bytes.
words = st.binary(min_size=1, max_size=40)
texts = st.lists(st.tuples(words, st.integers(1, 200)), max_size=30).map(
    lambda found: b"".join(w * n for w, n in found)
)
edits = st.lists(st.tuples(st.integers(0, 1 << 17), st.integers(0, 300), words), max_size=12)


def edited(data, changes):
    """`data`, of which parts are replaced."""
    for at, count, new in changes:
        at %= len(data) + 1
        data = data[:at] + new + data[at + count :]
    return data


class Source:
    """The windows, as they come from a server."""

    def __init__(self, data):
        self.data = data

    async def readinto(self, view):
        assert len(view) <= len(self.data)
        view[:], self.data = self.data[: len(view)], self.data[len(view) :]


class Base:
    """The running slot, of which only the payload may be read."""

    def __init__(self, data):
        self.data = data

    def readblocks(self, block, buf, offset=0):
        at = block * CHUNK + offset
        assert at + len(buf) <= len(self.data)
        buf[:] = self.data[at : at + len(buf)]


def applied(encoded, size, base):
    """What the device makes of windows."""

    async def read():
        reader = Windows(Source(b"".join(encoded)), bytearray(CHUNK), Base(base), len(base))
        out = bytearray(size)
        ends = [0, *delta._ends(size)]
        for window, (begin, end) in zip(encoded, pairwise(ends), strict=True):
            reader.begin(begin, end - begin, len(window))
            for at in range(begin, end, CHUNK):
                await reader.readinto(memoryview(out)[at : min(at + CHUNK, end)])
        return bytes(out)

    return asyncio.run(read())


@given(texts, edits, st.booleans())
@settings(max_examples=60, deadline=None)
def test_round_trip(base, changes, alone):
    new = edited(base, changes) or b"x"
    base = b"" if alone else base
    encoded = delta.encode(new, base)
    assert len(encoded) == windows(len(new))
    assert delta.decode(encoded, len(new), base) == new == applied(encoded, len(new), base)
    assert delta.split(b"".join(encoded), delta.lengths(encoded)) == encoded


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + WINDOW, CHUNK + WINDOW + 1, 3 * WINDOW])
def test_sizes_around_the_ends_of_windows(size):
    base = bytes(i * 7 & 255 for i in range(size))
    new = base[5:] + b"12345"
    new = new[:size]
    for old in (b"", base):
        encoded = delta.encode(new, old)
        assert delta.decode(encoded, size, old) == new == applied(encoded, size, old)
        assert all(len(window) < 0x10000 for window in encoded)


@given(texts.filter(lambda text: len(text) > 100), edits, st.data())
@settings(max_examples=60, deadline=None)
def test_changed_windows_are_refused_or_give_as_many_bytes(base, changes, data):
    new = edited(base, changes) or b"x"
    file = bytearray(b"".join(delta.encode(new, base)))
    table = delta.lengths(delta.encode(new, base))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= data.draw(st.integers(1, 255))
    encoded = delta.split(bytes(file), table)
    for read, refusal in ((delta.decode, delta.Malformed), (applied, Fault)):
        try:
            assert len(read(encoded, len(new), base)) == len(new)
        except refusal:
            pass


def test_files_that_do_not_fit_their_lengths():
    encoded = delta.encode(bytes(9000))
    file = b"".join(encoded)
    for wrong in (file[:-1], file + b"x", b""):
        with pytest.raises(delta.Malformed):
            delta.split(wrong, delta.lengths(encoded))
    for wrong in (encoded[:1], [*encoded, b""], []):
        with pytest.raises(delta.Malformed):
            delta.decode(wrong, 9000)


def test_what_does_not_compress_grows_by_little():
    data = random.Random(1).randbytes(200_000)
    encoded = delta.encode(data, random.Random(2).randbytes(200_000))
    assert sum(map(len, encoded)) <= len(data) + 64 * len(encoded)
    assert struct.unpack(f">{len(encoded)}H", delta.lengths(encoded)) == tuple(map(len, encoded))
