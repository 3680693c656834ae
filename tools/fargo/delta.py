"""Payloads in windows (docs/release-format.md): compressed, or as what differs from an earlier payload, its base.

The matching is bsdiff's (Colin Percival, "Naive differences of executable code", 2003), by `bsdiff4`; the container is
ours: every window can be inflated and written by itself, in the memory that a device has.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise

import bsdiff4.core
from swupdate.install.manifest import CHUNK, WINDOW, windows

_LONGEST = 0xFFFF  # bytes of a window, in two bytes of the manifest
_WBITS = 10  # a window of 1 KB: what DeflateIO allocates on the device


class Malformed(ValueError):
    """Windows that do not give what they should."""


def encode(data: bytes, base: bytes = b"") -> list[bytes]:
    """The windows of `data`; with a `base`, a device needs just that to read them."""
    operations = _Operations(_matches(base, data) if base else iter([(0, b"", data)]))
    return [_window(operations, begin, end, data) for begin, end in pairwise([0, *_ends(len(data))])]


def lengths(encoded: list[bytes]) -> bytes:
    """The length of each window, as the manifest carries them."""
    return struct.pack(f">{len(encoded)}H", *map(len, encoded))


def split(file: bytes, table: bytes) -> list[bytes]:
    """The windows of a file, by their lengths. Raises Malformed."""
    at = 0
    found = []
    for (length,) in struct.iter_unpack(">H", table):
        found.append(file[at : at + length])
        at += length
    if at != len(file):
        raise Malformed(f"the file has {len(file)} bytes, its windows {at}")
    return found


def decode(encoded: list[bytes], size: int, base: bytes = b"") -> bytes:
    """What the windows stand for: `size` bytes. Raises Malformed. Not the device's code: one proves the other."""
    if len(encoded) != windows(size):
        raise Malformed(f"{len(encoded)} windows for {size} bytes")
    return b"".join(
        _undone(window, begin, end - begin, base)
        for window, (begin, end) in zip(encoded, pairwise([0, *_ends(size)]), strict=True)
    )


def _ends(size: int) -> Iterator[int]:
    """Where windows end: the first is the first chunk, which a device writes last."""
    yield min(CHUNK, size)
    yield from (min(end, size) for end in range(CHUNK + WINDOW, size + WINDOW, WINDOW) if size > CHUNK)


class _Operations:
    """bsdiff's operations, (place in the base, differences, new bytes), of which windows take what they need."""

    def __init__(self, found: Iterator[tuple[int, bytes, bytes]]) -> None:
        self._found = found
        self._place, self._diff, self._extra = 0, b"", b""

    def take(self, room: int) -> tuple[int, bytes, bytes]:
        """The next operation, of `room` bytes at most."""
        while not self._diff and not self._extra:
            self._place, self._diff, self._extra = next(self._found)
        place, diff = self._place, self._diff[:room]
        extra = self._extra[: room - len(diff)] if len(diff) == len(self._diff) else b""
        self._place += len(diff)
        self._diff, self._extra = self._diff[len(diff) :], self._extra[len(extra) :]
        return place, diff, extra


def _matches(base: bytes, data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    control, diff, extra = bsdiff4.core.diff(base, data)
    numbers = [bsdiff4.core.decode_int64(control[at : at + 8]) for at in range(0, len(control), 8)]
    place = d = e = 0
    for same, new, seek in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
        yield place, diff[d : d + same], extra[e : e + new]
        d, e, place = d + same, e + new, place + same + seek


def _window(operations: _Operations, begin: int, end: int, data: bytes) -> bytes:
    plain = bytearray()
    at = expected = begin  # most of an image stands where it stood, or near it
    while at < end:
        place, diff, extra = operations.take(end - at)
        plain += _number(len(diff))
        if diff:
            plain += _number((place - expected) << 1 if place >= expected else (expected - place << 1) - 1)
            expected = place + len(diff)
        plain += _number(len(extra)) + diff + extra
        at += len(diff) + len(extra)
    window = _deflated(bytes(plain))
    if len(window) >= end - begin:  # nothing is gained: as it is
        window = min(window, _deflated(_number(0) + _number(end - begin) + data[begin:end]), key=len)
    assert len(window) <= _LONGEST
    return window


def _deflated(plain: bytes) -> bytes:
    found = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED):
        packer = zlib.compressobj(9, zlib.DEFLATED, -_WBITS, 9, strategy)
        found.append(packer.compress(plain) + packer.flush())
    return min(found, key=len)


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _undone(window: bytes, begin: int, size: int, base: bytes) -> bytes:
    try:
        plain = zlib.decompressobj(-_WBITS).decompress(window, 16 * size)
    except zlib.error as error:
        raise Malformed(str(error)) from None
    out = bytearray()
    at = 0
    place = begin

    def number() -> int:
        nonlocal at
        value = 0
        for shift in range(0, 28, 7):
            if at >= len(plain):
                break
            byte = plain[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Malformed("a number does not end")

    while len(out) < size:
        same = number()
        if same:
            move = number()
            place += -(move + 1 >> 1) if move & 1 else move >> 1
        new = number()
        if not 0 < same + new <= size - len(out) or (same and not 0 <= place <= len(base) - same):
            raise Malformed("an operation leads outside")
        if at + same + new > len(plain):
            raise Malformed("a window ends too early")
        out += bytes(a + b & 0xFF for a, b in zip(plain[at : at + same], base[place : place + same], strict=True))
        at += same
        place += same
        out += plain[at : at + new]
        at += new
    return bytes(out)
