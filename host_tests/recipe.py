"""Releases made by tests, on both interpreters: any manifest, right or wrong, with real ES256 signatures."""

import hashlib

import cbor
from cbor import Pairs
from cbor.decoder import Tag

SECTOR = 4096
VENDOR, KIND = b"v" * 16, b"c" * 16
MAGIC = {"fw": b"\xe9", "app": b"\xd2\xcd\x31"}

# P-256. The tests' private keys are 1, 2 and 3: secrets of nobody. A fixed nonce of 1 gives real signatures that need
# no multiplication of points here.
_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
_GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5


def _add(a, b):
    (x, y), (u, v) = a, b
    slope = 3 * (x * x - 1) * pow(2 * y, _P - 2, _P) if a == b else (v - y) * pow(u - x, _P - 2, _P)
    s = (slope * slope - x - u) % _P
    return s, (slope * (x - s) - y) % _P


def _public(secret):
    point = _GX, _GY
    for _ in range(secret - 1):
        point = _add(point, (_GX, _GY)) if point != (_GX, _GY) else _add(point, point)
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


PUBLIC = [_public(secret) for secret in (1, 2, 3)]
KIDS = [hashlib.sha256(public).digest()[:8] for public in PUBLIC]


def key(secret):
    """(kid, public key) of a private key."""
    if secret not in _keys:
        public = _public(secret)
        _keys[secret] = hashlib.sha256(public).digest()[:8], public
    return _keys[secret]


_keys = {}


def es256(secret, data):
    """The signature of `data` by the private key `secret`: r and s."""
    z = int.from_bytes(hashlib.sha256(data).digest(), "big")
    return _GX.to_bytes(32, "big") + ((z + _GX * secret) % _N).to_bytes(32, "big")


def sha(data):
    return hashlib.sha256(data).digest()


def dumps(value):
    """CBOR of a value that may be larger than a record."""
    buf = bytearray(9000)
    return bytes(memoryview(buf)[: cbor.encode_into(buf, value)])


# Releases


def payload(half, size, seed):
    """`size` bytes that look like an image of `half` and differ with `seed`: for "fw", of the chip with the number 0."""
    out = bytearray()
    block = sha(b"%s %d" % (half.encode(), seed))
    while len(out) < size:
        block = sha(block)
        out += block
    out = out[:size]
    if half == "fw" and size >= 36:
        out[:36] = b"\xe9" + bytes(31) + b"\x32\x54\xcd\xab"
    elif half == "app" and size >= 3:
        out[:3] = MAGIC["app"]
    return bytes(out)


def table(data):
    """The chunk table of `data`."""
    out = b""
    for at in range(0, len(data), SECTOR):
        chunk = data[at : at + SECTOR]
        out += sha(chunk + b"\xff" * (SECTOR - len(chunk)))[:16]
    return out


class Recipe:
    """A manifest's content as plain values: a test changes what it is about and calls `manifest()`."""

    def __init__(self, parts, seq=2, version="1.1.0"):
        """`parts`: list of (half, payload)."""
        self.parts = parts
        self.outer = [(1, 1), (2, seq)]
        self.names = [[half.encode()] for half, _ in parts]
        self.parameters = []
        self.shared, self.install, self.validate = [], [], []
        for i in range(len(parts)):
            half, data = parts[i]
            name = sha(data)[:16]
            parameters = [
                (1, VENDOR),
                (2, KIND),
                (3, dumps([-16, sha(data)])),
                (14, len(data)),
                (-1, sha(table(data))),
                (-2, "".join("%02x" % b for b in name) + ".chunks"),
            ]
            if i == 0:
                parameters += [(-3, version), (-4, 1_700_000_000)]
            self.parameters.append(parameters)
            self.install += [12, i, 20, {21: "".join("%02x" % b for b in name) + ".bin"}, 21, 2, 3, 15]
            self.validate += [12, i, 3, 15]
        self.common = None
        self.last = []

    def set(self, key, value, part=0):
        """Give parameter `key` another value; None leaves it out."""
        kept = [pair for pair in self.parameters[part] if pair[0] != key]
        self.parameters[part] = kept if value is None else kept + [(key, value)]
        return self

    def manifest(self):
        shared = list(self.shared)
        for i in range(len(self.parameters)):
            shared += [12, i, 20, Pairs(self.parameters[i]), 1, 15, 2, 15]
        common = self.common or [(2, self.names), (4, dumps(shared))]
        return dumps(
            Pairs(
                self.outer
                + [(3, dumps(Pairs(common))), (7, dumps(self.validate)), (20, dumps(self.install))]
                + self.last
            )
        )

    def envelope(self, *secrets):
        return envelope(self.manifest(), *secrets)

    def files(self):
        """What lies beside the envelope."""
        found = {}
        for _, data in self.parts:
            name = "".join("%02x" % b for b in sha(data)[:16])
            found[name + ".bin"] = data
            found[name + ".chunks"] = table(data)
        return found


def suit_digest(manifest):
    return dumps([-16, sha(dumps(manifest))])


def sign1(secret, digest, kid=None):
    """An encoded COSE_Sign1 over the SUIT_Digest `digest`."""
    protected = b"\xa1\x01\x26"
    signature = es256(secret, dumps(["Signature1", protected, b"", digest]))
    return dumps(Tag(18, [protected, {4: kid or key(secret)[0]}, None, signature]))


def envelope(manifest, *secrets):
    """A signed envelope; every item of `secrets` is a private key (1, 2, ...) or an encoded COSE_Sign1."""
    digest = suit_digest(manifest)
    blocks = [digest] + [s if isinstance(s, bytes) else sign1(s, digest) for s in secrets or (1,)]
    return dumps(Tag(107, Pairs([(2, dumps(blocks)), (3, manifest)])))
