"""DER: strict in what it reads, shortest in what it writes."""

from check import raises, unhex
from crypto import der


def test_elements_one_after_another():
    reader = der.Reader(b"\x02\x01\x05\x04\x00\x30\x03\x01\x01\xff")
    assert reader.unsigned() == 5
    assert reader.maybe(2) is None and reader.maybe(4) == b""
    tag, whole, content = reader.take()
    assert tag == 0x30 and whole == b"\x30\x03\x01\x01\xff" and content == b"\x01\x01\xff"
    reader.end()
    assert not reader.more() and reader.maybe(2) is None
    with raises(ValueError):
        reader.take()


def test_lengths():
    for size in (0, 1, 127, 128, 255, 256, 65535):
        data = der.encode(4, bytes(size))
        assert len(data) == size + (2 if size < 128 else 3 if size < 256 else 4)
        reader = der.Reader(data)
        assert len(reader.read(4)) == size
        reader.end()
    with raises(ValueError):
        der.encode(4, bytes(65536))


def test_lengths_that_are_not_der():
    for text in (
        "04",  # none
        "04 05 00",  # too long
        "04 80 00 00",  # indefinite
        "04 81 05 00 00 00 00 00",  # not the shortest
        "04 81 7f" + "00" * 127,
        "04 82 00 ff" + "00" * 255,
        "04 83 00 01 00" + "00" * 256,
        "04 81",
        "04 82 01",
        "04 84 00 00 00 01 00",
        "04 ff" + "00" * 130,
        "1f 04 00 00 00 00",  # tag above 30
    ):
        with raises(ValueError, "DER"):
            der.Reader(unhex(text)).take()


def test_tags_must_be_the_expected_ones():
    with raises(ValueError):
        der.Reader(b"\x04\x00").read(2)
    with raises(ValueError):
        der.Reader(b"\x31\x00").inside()
    with raises(ValueError):
        der.only(b"\x30\x00\x00")
    with raises(ValueError):
        der.only(b"")


def test_depth_costs_nothing():
    data = b""
    for _ in range(500):
        data = der.encode(0x30, data)
    assert len(der.only(data).whole()) == len(data) - 4


def test_booleans():
    assert der.Reader(b"\x01\x01\xff").true() is True
    assert der.Reader(b"").true() is False
    assert der.Reader(b"\x04\x00").true() is False
    for text in ("01 01 00", "01 01 01", "01 00", "01 02 ff ff"):
        with raises(ValueError):
            der.Reader(unhex(text)).true()


def test_integers():
    for text, value in (
        ("02 01 00", 0),
        ("02 01 7f", 127),
        ("02 02 00 80", 128),
        ("02 02 01 00", 256),
        ("02 21 00" + "ff" * 32, 2**256 - 1),
    ):
        assert der.Reader(unhex(text)).unsigned() == value
    for text in ("02 00", "02 01 80", "02 02 ff 7f", "02 02 00 7f", "02 02 00 00", "02 22 01" + "00" * 33):
        with raises(ValueError):
            der.Reader(unhex(text)).unsigned()


def test_bit_strings():
    assert der.Reader(unhex("03 01 00")).bits() == (0, b"")
    assert der.Reader(unhex("03 02 03 88")).bits() == (3, b"\x88")
    assert der.Reader(unhex("03 03 07 00 80")).bits() == (7, b"\x00\x80")
    for text in ("03 00", "03 01 01", "03 01 06", "03 02 08 00", "03 02 03 8c", "03 02 ff 00"):
        with raises(ValueError):
            der.Reader(unhex(text)).bits()


def test_object_identifiers():
    for text, oid in (
        ("2a 86 48 ce 3d 04 03 02", "1.2.840.10045.4.3.2"),
        ("2b 06 01 04 01 82 de 7c 01 06", "1.3.6.1.4.1.44924.1.6"),
        ("55 1d 25 00", "2.5.29.37.0"),
        ("00", "0.0"),
        ("27", "0.39"),
        ("88 37 03", "2.999.3"),
        ("2b", "1.3"),
    ):
        assert der.oid(unhex(text)) == oid
    for text in ("", "80", "2b 80 01", "2b 86", "2b" + "01" * 40):
        with raises(ValueError):
            der.oid(unhex(text))


def test_signatures_go_round():
    high = b"\xff" * 32
    low = bytes(31) + b"\x01"
    for rs, text in (
        (low + low, "30 06 02 01 01 02 01 01"),
        (bytes(31) + b"\x80" + low, "30 07 02 02 00 80 02 01 01"),
        (high + low, "30 26 02 21 00" + "ff" * 32 + "02 01 01"),
        (b"\x7f" + high[1:] + b"\x01" + bytes(31), "30 44 02 20 7f" + "ff" * 31 + "02 20 01" + "00" * 31),
        (high + high, "30 46 02 21 00" + "ff" * 32 + "02 21 00" + "ff" * 32),
    ):
        assert der.encode_signature(rs) == unhex(text)
        assert der.encode_signature(memoryview(rs)) == unhex(text)
        assert der.decode_signature(unhex(text)) == rs


def test_signatures_that_are_refused():
    for text in (
        "",
        "30 00",
        "30 03 02 01 01",
        "30 06 02 01 00 02 01 01",  # zero
        "30 06 02 01 01 02 01 00",
        "30 06 02 01 81 02 01 01",  # negative
        "30 07 02 02 00 01 02 01 01",  # not the shortest
        "30 06 02 01 01 02 01 01 00",  # something behind it
        "30 07 02 01 01 02 01 01 00",
        "30 09 02 01 01 02 01 01 02 01 01",  # three numbers
        "30 81 06 02 01 01 02 01 01",
        "30 27 02 22 01" + "00" * 33 + "02 01 01",
        "30 26 02 21 01" + "00" * 32 + "02 01 01",  # 257 bits
        "31 06 02 01 01 02 01 01",
    ):
        with raises(ValueError):
            der.decode_signature(unhex(text))
    for size in (0, 63, 65):
        with raises(ValueError, "64"):
            der.encode_signature(bytes(size))
