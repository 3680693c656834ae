"""Records: how they are protected (RFC 6347 section 4.1), and the Session that they belong to."""

from crypto import equal, hmac
from port import aes, const, ticks_ms, urandom

_CBC = const(2)
_MAC = const(32)
_HEADER = const(13)
_WINDOW = const(64)


class Cbc:
    """AES-128-CBC with HMAC-SHA256, in the order MAC-then-encrypt (RFC 5246 section 6.2.3.2)."""

    def __init__(self, mac, key):
        self._mac = mac  # what HMAC makes of it would be four times as large
        self._key = key

    def seal(self, pseudo, data):
        """The protected fragment; `pseudo` is epoch, sequence number, type and version (11 bytes)."""
        size = len(data)
        pad = 15 - (size + _MAC) % 16
        iv = urandom(16)
        # Put together in one piece and encrypted there: this is done for every answer.
        sealed = bytearray(16 + size + _MAC + pad + 1)
        sealed[:16] = iv
        plain = memoryview(sealed)[16:]
        plain[:size] = data
        plain[size : size + _MAC] = hmac(self._mac, pseudo, size.to_bytes(2, "big"), data)
        for i in range(size + _MAC, len(plain)):
            plain[i] = pad
        aes(self._key, _CBC, iv).encrypt(plain, plain)
        return sealed

    def open(self, pseudo, data):
        """The content, or None. Bad padding and a bad MAC take the same way (RFC 5246 section 6.2.3.2, note)."""
        size = len(data) - 16
        if size < _MAC + 16 or size % 16:
            return None
        plain = memoryview(bytearray(data[16:]))
        aes(self._key, _CBC, bytes(data[:16])).decrypt(plain, plain)
        pad = plain[size - 1]
        good = pad <= size - _MAC - 1
        if not good:
            pad = 0
        end = size - 1 - pad
        good &= equal(plain[end:], bytes((pad,)) * (pad + 1))
        end -= _MAC
        mac = hmac(self._mac, pseudo, end.to_bytes(2, "big"), plain[:end])
        good &= equal(mac, plain[end : end + _MAC])
        return plain[:end] if good else None


class Session:
    """The association with one peer; for `coap` it is the peer.

    `address` is where the peer is; `uuid` its authenticated name as text, None when it is anonymous; `roles` its roles;
    `suite` the number of the cipher suite; `psk` the pre-shared key, if it has one; `master` secret, `randoms` (server's,
    client's) and `block` (the length of the key block in bytes) are what keys can be derived from. `open` from the end of
    the handshake on, until `close`; `kept`: not to be given up for another; `used`: when it was last heard of.
    """

    uuid = None
    roles = ()
    suite = block = 0
    master = randoms = b""
    psk = None
    open = kept = False
    last = None  # the last flight of a handshake that this side ended, until the peer is known to have it
    proof: object  # ocf.security's: what the peer proved who it is with

    def __init__(self, address):
        self.address = address
        self.used = ticks_ms()
        self.write = self.read = None  # what protects the records of epoch 1, either way
        self.next = [0, 0]  # number of the next record, by epoch
        self.top = -1  # the highest number that was received in epoch 1, of an authentic record
        self._seen = 0  # bit i: number `_top - i` was received

    def close(self):
        """Forget the keys: whoever remembers the peer, as `coap` does for minutes, need not hold them in memory."""
        self.open = False
        self.master = self.psk = self.last = self.read = self.write = None

    def seal(self, content, data, epoch=1):
        """A record of `data`."""
        number = self.next[epoch]
        self.next[epoch] = number + 1
        pseudo = bytes((0, epoch)) + number.to_bytes(6, "big") + bytes((content, 0xFE, 0xFD))
        if epoch:
            data = self.write.seal(pseudo, data)
        return b"".join((pseudo[8:], pseudo[:8], len(data).to_bytes(2, "big"), data))

    def unseal(self, record):
        """The content of a protected record, given with its header; None when it is not authentic or not new."""
        number = int.from_bytes(bytes(record[5:11]), "big")
        age = self.top - number
        if self.read is None or age >= _WINDOW or age >= 0 and self._seen >> age & 1:
            return None
        data = self.read.open(bytes(record[3:11]) + bytes(record[:3]), record[_HEADER:])
        if data is None:
            return None
        if age < 0:
            self._seen = self._seen << -age if age > -_WINDOW else 0
            self.top = number
            age = 0
        self._seen = (self._seen | 1 << age) & 0xFFFFFFFFFFFFFFFF
        return data


def records(datagram):
    """The records of a datagram, each as a memoryview with its header; what is malformed ends them."""
    at = 0
    while len(datagram) >= at + _HEADER:
        end = at + _HEADER + (datagram[at + 11] << 8 | datagram[at + 12])
        # The first ClientHello may bear the version 1.0.
        if end > len(datagram) or datagram[at + 1] != 0xFE or datagram[at + 2] not in (0xFD, 0xFF):
            return
        yield datagram[at:end]
        at = end
