"""Records: how they are protected (RFC 6347 section 4.1), and the Session that they belong to."""

from crypto import equal, hashed, padded
from port import aes, const, ticks_ms, urandom

_CBC = const(2)
_MAC = const(32)
_HEADER = const(13)
_PLAIN = const(29)  # where what CBC encrypts begins, after the header and the IV
_WINDOW = const(64)


class Cbc:
    """AES-128-CBC with HMAC-SHA256, in the order MAC-then-encrypt (RFC 5246 section 6.2.3.2)."""

    def __init__(self, mac, key):
        # As bytearrays: bytes have one more than they say, which here would be a block of the heap.
        self._mac = bytearray(padded(mac))
        self._key = bytearray(key)

    def seal(self, number, content, data):
        """A record of `data`, but for the header, which has its place; `number`: epoch and sequence number (8 bytes)."""
        size = len(data)
        end = _PLAIN + size
        # In one piece and encrypted there: this is done for every answer.
        record = bytearray(_PLAIN + (size + _MAC) // 16 * 16 + 16)
        record[_PLAIN:end] = data
        about = bytes((content, 0xFE, 0xFD, size >> 8, size & 0xFF))
        record[end : end + _MAC] = hashed(self._mac, number, about, data)
        end += _MAC
        pad = len(record) - end - 1
        for i in range(end, len(record)):
            record[i] = pad
        record[_HEADER:_PLAIN] = iv = urandom(16)
        plain = memoryview(record)[_PLAIN:]
        aes(self._key, _CBC, iv).encrypt(plain, plain)
        return record

    def open(self, record):
        """The content, or None. Bad padding and a bad MAC take the same way (RFC 5246 section 6.2.3.2, note)."""
        size = len(record) - _PLAIN
        if size < _MAC + 16 or size % 16:
            return None
        plain = memoryview(bytearray(record[_PLAIN:]))
        aes(self._key, _CBC, record[_HEADER:_PLAIN]).decrypt(plain, plain)
        pad = plain[size - 1]
        good = pad <= size - _MAC - 1
        if not good:
            pad = 0
        end = size - 1 - pad
        wrong = 0
        for i in range(end, size):
            wrong |= plain[i] ^ pad
        mac = plain[end - _MAC : end]
        end -= _MAC
        data = plain[:end]
        good &= equal(hashed(self._mac, record[3:11], record[:3], end.to_bytes(2, "big"), data), mac)
        return data if good and not wrong else None


class Session:
    """The association with one peer; for `coap` it is the peer.

    `address` is where the peer is; `uuid` its authenticated name as text, None when it is anonymous; `roles` its roles;
    `suite` the number of the cipher suite; `psk` the pre-shared key, if it has one; `master` secret, `randoms` (server's,
    client's) and `block` (the length of the key block in bytes) are what keys can be derived from, until the credentials
    forget all but the client's random. `open` from the end of the handshake on, until `close`; `kept`: not to be given up
    for another; `used`: when it was last heard of.
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
        self._missed = 0  # bit i: number `top - i` was not received; mostly 0, which takes no memory

    def close(self):
        """Forget the keys: whoever remembers the peer, as `coap` does for minutes, need not hold them in memory."""
        self.open = False
        self.master = self.psk = self.last = self.read = self.write = None

    def seal(self, content, data, epoch=1):
        """A record of `data`."""
        number = self.next[epoch]
        self.next[epoch] = number + 1
        number = (epoch << 48 | number).to_bytes(8, "big")
        record = self.write.seal(number, content, data) if epoch else bytearray(_HEADER) + data
        record[0] = content
        record[1] = 0xFE
        record[2] = 0xFD
        record[3:11] = number
        record[11] = len(record) - _HEADER >> 8
        record[12] = len(record) - _HEADER & 0xFF
        return record

    def unseal(self, record):
        """The content of a protected record, given with its header; None when it is not authentic or not new."""
        number = int.from_bytes(record[5:11], "big")
        age = self.top - number
        if self.read is None or age >= _WINDOW or age >= 0 and not self._missed >> age & 1:
            return None
        data = self.read.open(record)
        if data is None:
            return None
        if age >= 0:
            self._missed ^= 1 << age
        else:
            self.top = number
            if age < -1 or self._missed:
                self._missed = ((self._missed + 1 << min(-age, _WINDOW)) - 2) & 0xFFFFFFFFFFFFFFFF
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
