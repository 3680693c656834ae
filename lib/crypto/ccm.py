"""AES-128-CCM (RFC 3610, RFC 6655) with a length field of 3 bytes, out of the ECB and CBC modes that the platform has."""

from port import aes, const

from crypto import equal

_ECB = const(1)
_CBC = const(2)
_ZERO = bytes(16)


class Ccm:
    """Sealing and opening with one key of 16 bytes; `tag` is the length of the authenticator, 8 or 16."""

    def __init__(self, key, tag):
        self._key = key
        self._ecb = aes(key, _ECB)
        self._tag = tag

    def seal(self, nonce, aad, data):
        """The encrypted `data` and its authenticator. `nonce` has 12 bytes, `aad` 1 to 65279."""
        sealed = self._stream(nonce, self._mac(nonce, aad, data), data)
        return sealed[16:] + sealed[: self._tag]

    def open(self, nonce, aad, data):
        """What was sealed, or None when it is not authentic."""
        tag = self._tag
        size = len(data) - tag
        if size < 0:
            return None
        # The authenticator comes first in the key stream.
        plain = self._stream(nonce, bytes(data[size:]) + bytes(16 - tag), data[:size])
        mac = self._mac(nonce, aad, plain[16:])
        return plain[16:] if equal(mac[:tag], plain[:tag]) else None

    def _mac(self, nonce, aad, data):
        """CBC-MAC over the first block, the associated data and the data, each padded to blocks."""
        size = len(data)
        blocks = b"".join(
            (
                bytes((0x42 | (self._tag - 2) // 2 << 3,)), nonce, size.to_bytes(3, "big"),
                len(aad).to_bytes(2, "big"), aad, bytes(-(len(aad) + 2) % 16),
                data, bytes(-size % 16),
            )
        )  # fmt: skip
        return aes(self._key, _CBC, _ZERO).encrypt(blocks)[-16:]

    def _stream(self, nonce, first, data):
        """`first` (16 bytes) and `data` under the key stream of `nonce`, counted from 0."""
        size = 16 + len(data)
        count = (size + 15) // 16
        blocks = bytearray((b"\x02" + nonce + bytes(3)) * count)
        for i in range(1, count):
            if i > 255:
                blocks[16 * i + 14] = i >> 8
            blocks[16 * i + 15] = i & 0xFF
        stream = self._ecb.encrypt(blocks)
        text = int.from_bytes(first + bytes(data), "big") ^ int.from_bytes(stream[:size], "big")
        return text.to_bytes(size, "big")
