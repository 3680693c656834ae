"""What reads input that anybody may have made, each with good examples and the exceptions that it may raise.

Runs on both interpreters. A target's `run` gets bytes; what it returns or asserts is checked there.
"""

from hashlib import sha256

import cbor
import coap.transfer  # noqa: F401 - loaded for a moment elsewhere
import dtls.inbox  # noqa: F401 - the same
import dtls.record
from cbor.decoder import DecodeError, Tag, decode, decode_prefix
from coap import block
from coap import message as coap
from coap_request import options_of
from crypto import certificate, der, pem, x509
from crypto.cose import verify_sign1
from crypto.ecdsa import sign
from crypto.p256 import key_pair
from device import EXAMPLES, run_device
from dtls.alert import Alert
from dtls.certificates import unpack
from dtls.cookie import Cookies, Opening
from dtls.handshake import SUITES, Handshake
from dtls.handshake import verify as verify_signed
from dtls.hello import ClientHello
from dtls.keys import derive
from dtls.record import Session, records
from dtls.wire import Reader, extensions
from port import ticks_ms
from recipe import Recipe
from swupdate import rfc3339, url
from swupdate.faults import Fault
from swupdate.install import dns
from swupdate.install.envelope import split
from swupdate.install.head import Head
from swupdate.install.manifest import Manifest
from swupdate.install.reference import locate
from swupdate.install.windows import Windows
from target import DATAGRAM, Target
from targets_whole import DEVICE
from test_dns import NAME, QUERY, A, cname, packet
from test_x509 import INTERMEDIATE, LEAF, ROLE, ROOT
from windowed import deflated, operation

# CBOR

VALUE = {
    "creds": [{"credid": 1, "credtype": 8, "publicdata": {"data": b"\x01" * 40, "encoding": "oic.sec.encoding.der"}}],
    "aclist2": [{"subject": {"uuid": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"}, "permission": 14, "resources": [{"wc": "*"}]}],
    "n": [0, -1, 23, 24, 255, 65536, -(1 << 63), True, False, None, 1.5], "t": Tag(107, [b"", "\u20ac"]),
}  # fmt: skip
LIARS = [
    b"\x98\xff" + bytes(255),
    b"\x9b\0\0\0\0\xff\xff\xff\xff",
    b"\xba\x7f\xff\xff\xff\1",
    b"\x5b" + b"\x7f" * 8,
    b"\x81" * 20,
    b"\x9f" + bytes(300) + b"\xff",
]
INDEFINITE = b"\xbf\x61a\x9f\x01\xff\x61b\x7f\x61x\x61y\xff\x61c\x5f\x41\x00\xff\xff"


def run_cbor(data):
    try:
        strict = decode(data, strict=True, copy=False)
    except DecodeError as error:
        assert 0 <= error.offset <= len(data)
        loose = decode(data)
        assert items(loose, 8) <= 256
        cbor.dumps(loose)
        return
    # What is strict is good for the other, and means the same, but for NULs at the end of text.
    assert cbor.dumps(strict) == cbor.dumps(decode(data)) or b"\0" in data
    assert items(strict, 8) <= 256


def items(value, depth):
    """How many items `value` has, none of them deeper than `depth`."""
    assert depth >= 0
    if isinstance(value, Tag):
        return 1 + items(value.value, depth - 1)
    if isinstance(value, dict):
        return 1 + sum([items(k, depth - 1) + items(value[k], depth - 1) for k in value])
    return 1 + sum([items(v, depth - 1) for v in value]) if isinstance(value, list) else 1


def run_cbor_prefix(data):
    at = count = 0
    while at < len(data):
        _, after = decode_prefix(data, at, max_depth=6, max_items=80)
        assert after > at
        at = after
        count += 1


# CoAP

GET = b"\x48\x01\x52\x9c\xb0\x1c\x6f\x18\x83\xac\x1a\xf8\xb3oic\x03sec\x04doxmKowned=FALSE\x22\x27\x10\xe2\x06\xe3\x08\x00"
POST = b"\x44\x02\x12\x34abcd\xb2oc\x03swu\x12\x27\x10\x52\x27\x10\xa1\x08\xff0123456789abcdef"
# The first block, of 16 bytes, of several bodies.
POSTS = [POST.replace(b"swu", name) for name in (b"swu", b"con", b"mnt", b"abc")]


def run_coap(data):
    found = coap.parse(data)
    if found is None:
        return
    view = memoryview(bytearray(2 * DATAGRAM))
    size = coap.pack(view, found.type, found.code, found.mid, found.token, options_of(data), found.payload)
    again = coap.parse(view[:size])
    for name in ("type", "code", "mid", "token", "path", "query", "payload", "bad") + coap._NAMES:
        assert getattr(found, name, None) == getattr(again, name, None), name


class Kept:
    """As much of an endpoint as blocks need."""

    parts = bodies = ()
    out = memoryview(bytearray(1360))
    max_body, transfer_timeout = 4096, 30000

    def after(self, *_):
        return self

    def cancel(self, _):
        pass


BLOCKS = Kept()


def run_blocks(data):
    """Requests in blocks: they may only ever hold two bodies."""
    found = coap.parse(data)
    if found is not None and 0 < found.code < 32:
        answer = block.take(BLOCKS, found)
        if answer is None:
            block.cut(BLOCKS, found, coap.Response(0x45, bytes(3000)))
    assert len(BLOCKS.parts) <= 2 and len(BLOCKS.bodies) <= 2
    assert all(len(part[2]) <= 4096 for part in BLOCKS.parts)


# DTLS


def session(suite, server):
    found = Session("peer")
    found.suite = suite
    found.randoms = bytes(64)
    derive(found, bytes(32), bytes(32), server)
    return found


SENDERS = [session(suite, False) for suite in (0xC037, 0xC0A8, 0xC0AC)]
RECEIVERS = [session(suite, True) for suite in (0xC037, 0xC0A8, 0xC0AC)]
# The same in every process: inputs are kept.
urandom, dtls.record.urandom = dtls.record.urandom, lambda n: bytes(range(n))
GOOD = [sender.seal(23, GET) for sender in SENDERS] + [SENDERS[0].seal(21, b"\1\0")]
RECORDS = GOOD[:3] + [SENDERS[0].seal(22, bytes(40), 0) + GOOD[3]]
dtls.record.urandom = urandom


def run_records(data):
    """Nothing that was changed is taken; a session that sees garbage goes on as it was."""
    count = taken = 0
    for record in records(memoryview(data)):
        count += len(record)
        for receiver in RECEIVERS:
            receiver.top, receiver._missed = -1, 0  # as if it had heard nothing yet
            if receiver.unseal(record) is None:
                assert receiver.top == -1 and not receiver._missed
            else:
                taken += 1
                assert bytes(record) in GOOD
    assert count <= len(data)
    return taken


# Fragments of handshake messages, seven bytes for each: number, length and offset and size (two bytes each)


def said(number, begin, end):
    """What the message with this number has from `begin` to `end`."""
    return bytes([(number * 31 + i) & 255 for i in range(begin, end)])


async def run_fragments(data):
    """What is put together is what was said, whatever the fragments are; what waits is little."""
    handshake = Handshake(Session("peer"), None)
    handshake._sent = ticks_ms()
    taken = 0
    sizes = set()
    for at in range(0, len(data) - 6, 7):
        number = data[at] & 7
        length, offset, size = [data[at + i] << 8 | data[at + i + 1] for i in (1, 3, 5)]
        size %= 1200
        sizes.add(length)
        body = said(number, offset, offset + size)
        head = (
            b"\x0b"
            + length.to_bytes(3, "big")
            + bytes((0, number))
            + offset.to_bytes(3, "big")
            + size.to_bytes(3, "big")
        )
        message = head + body[: len(body) - (data[at] >> 7)]  # or one byte is missing
        handshake.take(b"\x16\xfe\xfd" + bytes(8) + len(message).to_bytes(2, "big") + message)
        await handshake._take_record(False)
        assert len(handshake._part) <= 6144 and len(handshake._early) <= 4
        assert sum([len(entry[2]) for entry in handshake._early if entry[0] != handshake._in]) <= 2048
        for entry in handshake._early:
            assert entry[2] == said(entry[0], 0, len(entry[2])) and len(entry[2]) in sizes, "another message"
        while any(entry[0] == handshake._in for entry in handshake._early):
            await handshake.expect(11)
            taken += 1
    return taken


def fragment(number, length, offset, size):
    return bytes((number, length >> 8, length & 255, offset >> 8, offset & 255, size >> 8, size & 255))


WHOLE = b"".join([fragment(n, 2500, at, min(1000, 2500 - at)) for n in (0, 1) for at in (0, 1000, 2000)])
AHEAD = b"".join([fragment(n, 700, 0, 700) for n in (1, 2, 3, 4, 5, 0)])
ENDLESS = b"".join([fragment(0, 20000, at, 1000) for at in range(0, 20000, 1000)])
SHORT = (
    fragment(0x80, 300, 0, 300) + fragment(0, 300, 100, 200) + fragment(0, 300, 0, 150) + fragment(0, 300, 149, 151)
)

HELLO = (
    b"\xfe\xfd" + bytes(range(32)) + b"\0\0\0\x08\xc0\x37\xc0\xa8\xc0\xae\0\xff\1\0\0\x22"
    b"\0\x0a\0\x06\0\4\0\x17\0\x18\0\x0d\0\x0a\0\x08\6\3\5\3\4\3\4\1\0\x0b\0\2\1\0\0\x17\0\0"
)
COOKIES = Cookies()


def run_hello(data):
    hello = ClientHello(data)
    for suites in (tuple(SUITES), (), (0xC0AE,)):
        chosen = hello.choose(suites)
        assert chosen is None or chosen in suites and chosen in hello.suites
    opening = Opening(data)
    assert (opening.random, opening.cookie, opening.signed) == (hello.random, hello.cookie, hello.signed)
    answer = COOKIES.request(Session("there"), opening)
    assert len(answer) <= len(data) + 25, "an answer to a stranger is not longer than the question"
    assert not COOKIES.good(opening, "elsewhere")


def run_reader(data):
    reader = Reader(data)
    assert len(extensions(reader)) <= len(data) // 4
    reader.end()


def run_unpack(data):
    chain = unpack(data)
    assert len(chain) <= 4 and sum(len(der) for der in chain) < len(data)


PAIR = key_pair(lambda n: bytes(range(n)))


async def run_signed(data):
    await verify_signed(PAIR[1], data, sha256(b"parts").digest())


def packed(*chain):
    body = b"".join([len(d).to_bytes(3, "big") + d for d in chain])
    return len(body).to_bytes(3, "big") + body


SIGNATURE = der.encode_signature(sign(PAIR[0], sha256(b"parts").digest()))
SIGNED = b"\4\3" + len(SIGNATURE).to_bytes(2, "big") + SIGNATURE

# Certificates


def run_der(data):
    reader = der.Reader(data)
    while reader.more():
        tag, whole, content = reader.take()
        assert len(content) < len(whole) <= len(data)
        inner = der.Reader(whole)
        for method in (inner.unsigned, inner.bits, inner.true, inner.inside, inner.whole, inner.end):
            try:
                method()
            except ValueError:
                pass
        if tag == 6:
            assert 3 <= len(der.oid(content)) <= 600


def run_ecdsa_der(data):
    assert der.encode_signature(der.decode_signature(data)) == data  # there is one form


def run_x509(data):
    found = certificate.parse(data)
    assert len(found.public) == 64 and len(found.signature) == 64 and len(found.tbs) < len(data) <= 2048
    x509.names_host(found, "a.example")
    x509.uuid_of(found)


def run_pem(data):
    for label in ("CERTIFICATE", None):
        found = pem.decode(data, label)
        assert 0 < len(found) <= 8 and sum([len(d) for d in found]) <= len(data)
        joined = b"".join(data.split())
        for der_ in found:
            assert b"".join(pem.encode("X", der_).encode().split()[1:-1])[1:-9] in joined, "what was read stands there"
            assert pem.decode(pem.encode("CERTIFICATE", der_)) == [der_]


PEMS = [pem.encode("CERTIFICATE", d).encode() for d in (LEAF, INTERMEDIATE)]
PEMS.append(b"text\n" + PEMS[0] + PEMS[1] + b"\n" + pem.encode("OTHER", b"\x30\0").encode())

# Releases


def run_envelope(data):
    manifest, digest, signatures = split(data)
    assert len(manifest) < len(data) <= 4096 and digest and 1 <= len(signatures) <= 3
    Manifest(manifest)


def run_manifest(data):
    found = Manifest(data)
    assert found.seq > 0 and 0 < len(found.components) <= 2


async def run_cose(data):
    """Signature, protected header and payload out of one input."""
    assert not await verify_sign1(PAIR[1], data[64:67], data[67:], data[:64])


RELEASE = Recipe([("app", bytes(4100)), ("fw", bytes(9000))])
FORMS = Recipe([("app", bytes(4100))]).set(-7, [["a.delta", bytes(4), bytes(32)], ["b.packed", bytes(4)]])


class Base:
    """A running slot of 3,000 bytes: nothing behind them is read."""

    data = bytes(range(250)) * 12

    def readblocks(self, block, buf, offset=0):
        at = block * 4096 + offset
        assert 0 <= at <= at + len(buf) <= len(self.data)
        buf[:] = self.data[at : at + len(buf)]


class Sent:
    """A source of just these bytes."""

    def __init__(self, data):
        self.data = data

    async def readinto(self, view):
        assert len(view) <= len(self.data), "more than was announced"
        view[:] = self.data[: len(view)]
        self.data = self.data[len(view) :]


async def run_windows(data):
    """A window of 5,000 bytes, in two steps."""
    reader = Windows(Sent(data), bytearray(4096), Base(), len(Base.data))
    reader.begin(0, 5000, len(data))
    chunk = bytearray(4096)
    await reader.readinto(memoryview(chunk))
    await reader.readinto(memoryview(chunk)[:904])


WINDOWS = [
    deflated(operation(Base.data[:2000], 500, bytes(3000))),
    deflated(operation(b"", 0, bytes(4999)) + operation(b"a", -2000)),
    b"\1" + (5003).to_bytes(2, "little") + (65535 - 5003).to_bytes(2, "little") + operation(b"", 0, bytes(5000)),
]

# Text


def text(data):
    return "".join([chr(byte) for byte in data])


def run_url(data):
    scheme, host, port, rest = url.parse(text(data), ("https", "coaps"))
    assert scheme in ("https", "coaps") and host and 0 < port < 65536 and rest[0] == "/" and len(rest) <= len(data) + 1


def run_locate(data):
    url.parse(locate("https://example.com/a/b?c", text(data)), ("https",))


def run_rfc3339(data):
    seconds = rfc3339.parse(text(data))
    assert rfc3339.parse(rfc3339.format(seconds)) == seconds


def run_dns(data):
    code, address = dns.answer(data, QUERY)
    assert 0 <= code < 16 and (address is None or dns.literal(address) == address)


def run_head(data):
    lines = data.split(b"\r\n")
    head = Head(lines[0])
    for line in lines[1:]:
        head.add(line)
    assert 100 <= head.status < 600 and -1 <= head.length < 1 << 30


TARGETS = [
    Target("cbor", [cbor.dumps(VALUE), INDEFINITE, RELEASE.manifest()] + LIARS, run_cbor, DecodeError, 4096),
    Target("cbor-prefix", [cbor.dumps(1) + cbor.dumps(VALUE), INDEFINITE * 3], run_cbor_prefix, DecodeError, 4096),
    Target("coap", [GET, POST], run_coap, coap.BadMessage),
    Target("coap-blocks", [GET, POSTS[0], POSTS[1], POSTS[2], POSTS[3]], run_blocks, (coap.BadMessage, coap.Refused)),
    Target("device", EXAMPLES, run_device, (), slow=20, memory=0),
    Target("dtls-records", RECORDS, run_records, ()),
    Target("dtls-fragments", [WHOLE, AHEAD, ENDLESS, SHORT], run_fragments, (), 400, slow=5),
    Target("dtls-hello", [HELLO, HELLO[:35] + b"\x10" + bytes(16) + HELLO[36:]], run_hello, Alert),
    Target("dtls-reader", [HELLO[48:], b"", b"\0\4\0\x17\0\0"], run_reader, Alert),
    Target("dtls-chain", [packed(LEAF, INTERMEDIATE), packed(), packed(b"a", b"b", b"c", b"d")], run_unpack, Alert, 6144),
    Target("dtls-signed", [SIGNED], run_signed, Alert, slow=20),
    Target("der", [LEAF, SIGNATURE, ROLE], run_der, ValueError),
    Target("der-signature", [SIGNATURE, der.encode_signature(bytes(31) + b"\1" + b"\xff" * 32)], run_ecdsa_der, ValueError),
    Target("x509", [LEAF, INTERMEDIATE, ROOT, ROLE], run_x509, ValueError, 3000, slow=2),
    Target("pem", PEMS, run_pem, ValueError, 17000, slow=2),
    Target("envelope", [RELEASE.envelope()], run_envelope, Fault, 4200, slow=2),
    Target("manifest", [RELEASE.manifest(), FORMS.manifest()], run_manifest, Fault, 4096, slow=2),
    Target("windows", WINDOWS, run_windows, Fault, 6000, slow=5),
    Target("cose", [bytes(range(1, 65)) + b"\xa1\x01\x26payload"], run_cose, (), 200, slow=20),
    Target("url", [b"https://example.com:8443/a/b?c=d", b"coaps://[fe80::1]:5684/x", b"https://10.0.0.1"], run_url, Fault),
    Target("url-reference", [b"../x/./y?z", b"//host/a", b"https://a.example/b"], run_locate, Fault),
    Target("rfc3339", [b"2030-01-09T14:30:00Z", b"1999-12-31T23:59:60.25+01:00"], run_rfc3339, ValueError, 80),
    Target(
        "dns",
        [packet(b"\xc0\x0c" + A + b"\1\2\3\4"), packet(cname(NAME, b"\1b\xc0\x10"), b"\1b\xc0\x10" + A + b"\5\6\7\x08")],
        run_dns, ValueError, 512,
    ),
    Target(
        "https-head",
        [b"HTTP/1.1 206 Partial Content\r\nContent-Length: 100\r\nContent-Range: bytes 0-99/1000\r\nETag: \"a\""],
        run_head, Fault, 4096,
    ),
] + DEVICE  # fmt: skip
