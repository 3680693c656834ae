"""CoAP messages: RFC 7252 section 3, what is accepted and what is a format error."""

from check import raises, unhex
from coap.message import BadMessage, pack, parse
from coap_request import options_of
from coap_rig import datagram


def test_a_request_of_the_onboarding_tool():
    data = datagram(
        0, 2, 0x1234, b"12345678",
        [(11, "oic"), (11, "sec"), (11, "doxm"), (12, 10000), (15, "a=1"), (15, "b=2")]
        + [(17, 10000), (2049, 2048), (2053, 2048)],
        b"\xa0",
    )  # fmt: skip
    message = parse(data)
    assert (message.type, message.code, message.mid, message.token) == (0, 2, 0x1234, b"12345678")
    assert message.path == "/oic/sec/doxm" and message.query == ["a=1", "b=2"]
    assert message.content_format == message.accept == 10000 and message.ocf_version == 2048
    assert message.payload == b"\xa0" and message.bad is None
    assert message.observe is None


def test_example_of_rfc_7252_appendix_a():
    assert datagram(0, 1, 0x7D34, b"", [(11, "temperature")]) == unhex("40 01 7d34 bb") + b"temperature"
    reply = parse(unhex("60 45 7d34 ff") + b"22.3 C")
    assert reply.type == 2 and reply.code == 0x45 and reply.payload == b"22.3 C" and reply.path == "/"


def test_options_are_put_in_order_and_equal_numbers_keep_theirs():
    message = parse(datagram(0, 1, 1, b"", [(15, "z"), (11, "b"), (6, 0), (11, "a"), (15, "y"), (2049, 1)]))
    assert message.path == "/b/a" and message.query == ["z", "y"] and message.observe == 0


def test_lengths_of_options_on_every_boundary():
    for length in (0, 1, 12, 13, 14, 254, 255, 268, 269, 270, 500):
        data = datagram(0, 1, 1, b"t", [(65000, bytes(length))], b"p")
        assert options_of(data) == [(65000, bytes(length))] and parse(data).payload == b"p"
    for number in (0, 1, 12, 13, 14, 268, 269, 270, 65534, 65535):
        data = datagram(0, 1, 1, b"", [(number, b"x")], b"p")
        assert options_of(data) == [(number, b"x")] and parse(data).payload == b"p"


def test_silently_ignored():
    for text in ("", "40", "400100", "00010001", "80010001", "c0010001"):
        assert parse(unhex(text)) is None


def test_format_errors():
    for text in (
        "49 01 0001 000000000000000000",  # token of 9 bytes
        "4f 01 0001" + "00" * 15,
        "44 01 0001 000000",  # token cut
        "41 00 0001 00",  # empty message with a token
        "40 00 0001 ff01",  # empty message with a payload
        "40 01 0001 ff",  # marker without payload
        "40 01 0001 f0",  # delta 15
        "40 01 0001 0f",  # length 15
        "40 01 0001 d0",  # extended delta missing
        "40 01 0001 e000",  # second byte of it missing
        "40 01 0001 0d",
        "40 01 0001 0e00",
        "40 01 0001 dd00",
        "40 01 0001 b5 74656d70",  # value cut
        "40 01 0001 bd ff 00",
        "40 01 0001 ee fef2 ffff 00",  # value of 65804 bytes
        "40 01 0001 e0 fef3",  # option number 65536
        "40 01 0001" + "00" * 33,  # too many options
    ):
        with raises(BadMessage):
            parse(unhex(text))


def test_every_cut_of_a_good_message_is_read_or_refused():
    data = datagram(0, 2, 1, b"tokn", [(11, "x" * 20), (15, "y" * 300), (2053, 2048)], b"payload")
    for end in range(len(data)):
        try:
            parse(data[:end])
        except BadMessage:
            pass


def test_critical_options():
    def bad(*options):
        return parse(datagram(0, 1, 1, b"", options)).bad

    assert bad((9, b"")) == 9 and bad((65001, b"")) == 65001 and bad((1, b"x")) == 1
    assert bad((10, b""), (65000, b"x"), (14, b"12345"), (60, b"12345")) is None  # elective
    assert bad((17, b"123")) == 17 and bad((23, b"1234")) == 23 and bad((2049, b"123")) == 2049
    assert bad((17, 0), (17, 0)) == 17  # may stand once
    assert bad((3, "host"), (7, 5683), (11, "a"), (15, "b")) is None
    assert bad((3, "")) == 3 and bad((11, b"\xff")) == 11 and bad((15, "q" * 256)) == 15
    assert bad((35, "coap://x")) == 35


def test_elective_option_of_wrong_length_is_as_if_absent():
    message = parse(datagram(0, 1, 1, b"", [(4, b"123456789"), (6, b"1234"), (12, b"123")]))
    assert message.etag is message.observe is None


def test_uint_is_shortest():
    numbers = (0, 1, 255, 256, 10000, 1 << 24)
    assert [options_of(datagram(0, 1, 1, b"", [(12, n)]))[0][1] for n in numbers] == [
        b"",
        b"\1",
        b"\xff",
        b"\1\0",
        b"\x27\x10",
        b"\1\0\0\0",
    ]


def test_a_buffer_too_small():
    view = memoryview(bytearray(20))
    for arguments in (([], bytes(20)), ([(11, "x" * 30)], b""), ([(11, "x" * 14)], b"123")):
        with raises((ValueError, IndexError)):
            pack(view, 0, 1, 1, b"", *arguments)
    assert pack(view, 0, 1, 1, b"12345678", [], b"1234567") == 20
