"""AES-128-CCM (RFC 3610, RFC 6655) with a length field of 3 bytes, out of the ECB and CBC modes that the platform has."""

from port import aes, const

from crypto import equal

_ECB = const(1)
_CBC = const(2)
_ZERO = bytes(16)
_PIECE = const(256)  # bytes that become one number: what that takes is free again before the next


class Ccm:
    """Sealing and opening with one key of 16 bytes; `tag` is the length of the authenticator, 8 or 16."""

    def __init__(self, key, tag):
        self._key = key
        self._ecb = aes(key, _ECB)
        self._tag = tag

    def seal(self, nonce, aad, data):
        """The encrypted `data` and its authenticator. `nonce` has 12 bytes, `aad` 1 to 65279."""
        sealed = self._stream(nonce, self._mac(nonce, aad, data), data)
        return bytes(sealed[16:]) + bytes(sealed[: self._tag])

    def open(self, nonce, aad, data):
        """What was sealed, or None when it is not authentic."""
        tag = self._tag
        size = len(data) - tag
        if size < 0:
            return None
        # The authenticator comes first in the key stream.
        plain = self._stream(nonce, bytes(data[size:]) + bytes(16 - tag), data[:size])
        text = plain[16:]
        return text if equal(self._mac(nonce, aad, text)[:tag], plain[:tag]) else None

    def _mac(self, nonce, aad, data):
        """CBC-MAC over the first block, the associated data and the data, each padded to blocks."""
        begin = 18 + len(aad) + -(len(aad) + 2) % 16
        end = begin + len(data)
        blocks = memoryview(bytearray(end + -len(data) % 16))
        blocks[0] = 0x42 | (self._tag - 2) // 2 << 3
        blocks[1:13] = nonce
        blocks[13:16] = len(data).to_bytes(3, "big")
        blocks[16:18] = len(aad).to_bytes(2, "big")
        blocks[18 : 18 + len(aad)] = aad
        blocks[begin:end] = data
        aes(self._key, _CBC, _ZERO).encrypt(blocks, blocks)
        return blocks[len(blocks) - 16 :]

    def _stream(self, nonce, first, data):
        """`first` (16 bytes) and `data` under the key stream of `nonce`, counted from 0: a memoryview."""
        count = (len(data) + 31) // 16
        stream = bytearray((b"\x02" + nonce + bytes(3)) * count)
        for i in range(1, count):
            if i > 255:
                stream[16 * i + 14] = i >> 8
            stream[16 * i + 15] = i & 0xFF
        self._ecb.encrypt(stream, stream)
        stream = memoryview(stream)[: 16 + len(data)]
        _add(stream[:16], first)
        for at in range(0, len(data), _PIECE):
            _add(stream[16 + at : 16 + at + _PIECE], data[at : at + _PIECE])
        return stream


def _add(to, data):
    """Exclusive or, as one number."""
    to[:] = (int.from_bytes(to, "little") ^ int.from_bytes(data, "little")).to_bytes(len(to), "little")
