"""RFC 8949 appendix A, every example: read, and written back where the form is the shortest."""

from cbor import Tag, dumps
from cbor.decoder import DecodeError, decode
from check import raises, unhex

INFINITY = float("inf")

# (hexadecimal, value): the shortest form, so that it is also what is written.
BOTH_WAYS = (
    ("00", 0),
    ("01", 1),
    ("0a", 10),
    ("17", 23),
    ("1818", 24),
    ("1819", 25),
    ("1864", 100),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1b000000e8d4a51000", 1000000000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("c249010000000000000000", Tag(2, unhex("010000000000000000"))),  # bignum: left as a Tag
    ("3bffffffffffffffff", -18446744073709551616),
    ("c349010000000000000000", Tag(3, unhex("010000000000000000"))),
    ("20", -1),
    ("29", -10),
    ("3863", -100),
    ("3903e7", -1000),
    ("f90000", 0.0),
    ("f98000", -0.0),
    ("f93c00", 1.0),
    ("f93e00", 1.5),
    ("f97bff", 65504.0),
    ("fa47c35000", 100000.0),
    ("fa7f7fffff", 3.4028234663852886e38),
    ("f90001", 5.960464477539063e-8),
    ("f90400", 0.00006103515625),
    ("f9c400", -4.0),
    ("f97c00", INFINITY),
    ("f9fc00", -INFINITY),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("c074323031332d30332d32315432303a30343a30305a", Tag(0, "2013-03-21T20:04:00Z")),
    ("c11a514b67b0", Tag(1, 1363896240)),
    ("d74401020304", Tag(23, b"\x01\x02\x03\x04")),
    ("d818456449455446", Tag(24, b"dIETF")),
    ("d82076687474703a2f2f7777772e6578616d706c652e636f6d", Tag(32, "http://www.example.com")),
    ("40", b""),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""),
    ("6161", "a"),
    ("6449455446", "IETF"),
    ("62225c", '"\\'),
    ("62c3bc", "\u00fc"),
    ("63e6b0b4", "\u6c34"),
    ("64f0908591", "\U00010151"),
    ("80", []),
    ("83010203", [1, 2, 3]),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("98190102030405060708090a0b0c0d0e0f101112131415161718181819", list(range(1, 26))),
    ("a0", {}),
    ("826161a161626163", ["a", {"b": "c"}]),
)
# Maps of several pairs: written in the order of the dict, so here only read; test_cbor.py has the order.
# Then what is not the shortest or not definite, and what we read as something else.
ONE_WAY = (
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("a56161614161626142616361436164614461656145", {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}),
    ("fa7f800000", INFINITY),
    ("faff800000", -INFINITY),
    ("fb7ff0000000000000", INFINITY),
    ("fbfff0000000000000", -INFINITY),
    ("f7", None),  # undefined
    ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
    ("7f657374726561646d696e67ff", "streaming"),
    ("9fff", []),
    ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("9f01820203820405ff", [1, [2, 3], [4, 5]]),
    ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
    ("83019f0203ff820405", [1, [2, 3], [4, 5]]),
    ("9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", list(range(1, 26))),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ("826161bf61626163ff", ["a", {"b": "c"}]),
    ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
)
# Doubles that a chip with single floats only cannot hold: there the nearest is good enough.
DOUBLES = (
    ("fb3ff199999999999a", 1.1),
    ("fbc010666666666666", -4.1),
    ("fb7e37e43c8800759c", 1.0e300),
    ("c1fb41d452d9ec200000", Tag(1, 1363896240.5)),
)
# What we refuse: simple values without a meaning here.
REFUSED = ("f0", "f8ff")


def same(found, value):
    return type(found) is type(value) and found == value


def test_read_and_written():
    for text, value in BOTH_WAYS:
        data = unhex(text)
        assert same(decode(data), value), text
        assert dumps(value) == data, text


def test_read():
    for text, value in ONE_WAY:
        assert same(decode(unhex(text)), value), text


def test_doubles():
    single = 1.0 + 1e-10 == 1.0  # the ESP32's floats
    for text, value in DOUBLES:
        data = unhex(text)
        found = decode(data)
        assert found == value, text
        assert single or dumps(value) == data, text


def test_not_a_number():
    for text in ("f97e00", "fa7fc00000", "fb7ff8000000000000"):
        found = decode(unhex(text))
        assert found != found
        assert dumps(found) == unhex("f97e00")


def test_zero_keeps_its_sign():
    assert dumps(decode(unhex("f98000"))) == unhex("f98000")
    assert dumps(decode(unhex("fa80000000"))) == unhex("f98000")


def test_refused():
    for text in REFUSED:
        with raises(DecodeError, "simple value"):
            decode(unhex(text))


def test_strict_refuses_what_is_not_deterministic():
    """Of the vectors, `strict` reads those without floats, undefined and indefinite lengths, alike."""
    for text, value in BOTH_WAYS + ONE_WAY:
        data = unhex(text)
        if isinstance(value, float) or text == "f7" or "ff" in text[-2:] and not text.endswith("ffffffff"):
            with raises(DecodeError):
                decode(data, strict=True)
        elif "9f" not in text:
            assert same(decode(data, strict=True), value), text
