"""Weaknesses that other implementations had, by name, where no other test is about them.

Options that end after the datagram (mbed-os 12926 to 12928): test_coap_message. Nested and endless CBOR (CVE-2026-26209):
test_cbor. Message IDs at 65,535: test_coap_endpoint.
"""

from check import raises
from coap import block
from coap.message import Refused, parse
from coap_rig import datagram
from dtls.alert import Alert
from dtls.cookie import Cookies, Opening
from dtls.handshake import agree
from dtls.hello import ClientHello
from dtls.record import Session
from dtls.wire import Reader
from test_download import Rig, Server, take

BLOCK = 16  # the smallest: 65,536 of them are 1 MB
FIRST = 65_533

HELLO = (
    b"\xfe\xfd" + bytes(range(32)) + b"\x04sess" + b"\x10" + bytes(16) + b"\0\4\xc0\xa8\0\xff" + b"\1\0"
    b"\0\x12" + b"\0\x0a\0\4\0\2\0\x17" + b"\0\x0b\0\2\1\0" + b"\0\x17\0\0"
)
VECTORS = (34, 39, 56, 62, 64)  # where the lengths of a hello stand: session, cookie, suites, compression, extensions


class Far(Server):
    """Serves a file that is larger than memory: byte n is n // 16 & 255."""

    class Body:
        def __len__(self):
            return 70_000 * BLOCK

        def __getitem__(self, part):
            return bytes([n // BLOCK & 255 for n in range(part.start, min(part.stop, len(self)))])

    def __init__(self):
        super().__init__(self.Body(), szx=0)


async def test_blocks_are_counted_beyond_65535():
    """libcoap 1465, 1524: a counter of 16 bits begins anew in the middle of a file, or of a list of tokens."""
    far = Far()
    async with Rig(far) as download:
        await download.start(FIRST * BLOCK, 6 * BLOCK)
        data = await take(download, 6 * BLOCK, BLOCK)
        assert data == b"".join([bytes(((FIRST + i) & 255,)) * BLOCK for i in range(6)])
        assert 65_536 * BLOCK in far.asked


class Kept:
    """As much of an endpoint as blocks need."""

    parts = bodies = ()
    max_body, transfer_timeout = 4096, 30_000

    def after(self, *_):
        return self

    def cancel(self, _):
        pass


def test_the_last_numbers_that_a_block_option_can_have():
    """20 bits of number: beyond every limit, and refused by its place and not by what is left of it."""
    for number in (0xFFFF, 0x10000, 0xFFFFF):
        for szx in range(7):
            request = parse(datagram(0, 2, 1, b"t", [(11, "a"), (27, number << 4 | 8 | szx)], bytes(16 << szx)))
            assert request.block1 >> 4 == number
            answer = block.take(Kept(), request)
            assert answer.code == 0x8D, "too large, whatever it is"
    request = parse(datagram(0, 2, 1, b"t", [(11, "a"), (27, b"\1\0\0\0\x08")], bytes(16)))
    assert request.bad == 27 and request.block1 is None, "an option of five bytes is none"
    with raises(Refused):
        block.take(Kept(), parse(datagram(0, 2, 1, b"t", [(11, "a"), (27, 0xFFFFFF)], b"x")))


def test_every_cut_of_a_client_hello_is_refused():
    """CVE-2022-35409, tinydtls 54: lengths of session, cookie and lists were believed."""
    hello = ClientHello(HELLO)
    assert hello.suites == [0xC0A8, 0x00FF] and hello.extended and hello.cookie == bytes(16)
    for end in range(len(HELLO)):
        if end != VECTORS[4]:  # before the extensions a hello may end
            for kind in (Opening, ClientHello):
                with raises(Alert):
                    kind(HELLO[:end])
    assert ClientHello(HELLO[: VECTORS[4]]).suites == [0xC0A8, 0x00FF]


def test_every_length_in_a_client_hello_that_is_not_its_own():
    for at in VECTORS:
        for value in range(256):
            changed = HELLO[:at] + bytes((value,)) + HELLO[at + 1 :]
            try:
                answer = Cookies().request(Session("there"), Opening(changed))
                assert len(answer) <= len(changed) + 25
                ClientHello(changed).choose((0xC0A8,))
            except Alert:
                pass


async def test_points_longer_than_a_point():
    """CVE-2023-45199: the point of a ClientKeyExchange was copied before its length was looked at."""
    for size in (0, 1, 33, 64, 66, 97, 133, 255):
        point = Reader(bytes((size,)) + b"\4" * size).vector(1)
        with raises(Alert):
            await agree(bytes(31) + b"\1", point)
    with raises(Alert):
        Reader(b"\xff" + b"\4" * 65).vector(1)
