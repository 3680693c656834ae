"""`cbor`: limits, malformed data, what is lenient and what strict, buffers that are too small, order."""

from cbor import EncodeError, Encoder, Pairs, Tag, dumps, encode_into
from cbor.decoder import DecodeError, decode, decode_prefix
from check import raises, unhex

# RFC 8949 appendix F, and the same kinds once more: too short, reserved, misplaced breaks.
TOO_SHORT = """
18 19 1a 1b 1901 1a0102 1b01020304050607 38 58 78 98 9a01ff00 b8 d8 f8 f900 fa0000 fb000000
41 61 5affffffff00 5bffffffffffffffff010203 7affffffff00 7b7fffffffffffffff010203
81 818181818181818181 8200 a1 a20102 a100 a2000000
c0 5f4100 5f 6100 7f6100
9f 9f0102 bf bf01020102 819f 9f8000 9f9f9f9f9fffffffff 9f819f819f9fffffff
"""
NOT_WELL_FORMED = """
1c 1d 1e 3c 3d 3e 5c 5d 5e 7c 7d 7e 9c 9d 9e bc bd be dc dd de fc fd fe
f800 f801 f818 f81f
5f00ff 5f21ff 5f6100ff 5f80ff 5fa0ff 5fc000ff 5fe0ff 7f4100ff
5f5f4100ffff 7f7f6100ffff
ff 81ff 8200ff a1ff a1ff00 a100ff a20000ff 9f81ff 9f829f819f9fffffffff
bf00ff bf000000ff 1f 3f df
"""


def refused(text, **settings):
    with raises(DecodeError) as caught:
        decode(unhex(text), **settings)
    error = caught.value
    assert isinstance(error, ValueError) and 0 <= error.offset <= len(unhex(text)), text
    assert str(error).endswith(" at byte %d" % error.offset)
    return str(error)


def test_too_short():
    for text in TOO_SHORT.split():
        if text == "6100":
            continue  # well formed: the text NUL
        for strict in (False, True):
            refused(text, strict=strict)
    assert "ends too early" in refused("")


def test_not_well_formed():
    for text in NOT_WELL_FORMED.split():
        for strict in (False, True):
            refused(text, strict=strict)


def test_every_beginning_of_an_item_is_refused():
    data = dumps(Pairs([("a", [1, 2.5, "text", b"bytes", None, -70000, Tag(18, [True])]), ("b", Pairs([(1, 1000)]))]))
    decode(data)
    for length in range(len(data)):
        with raises(DecodeError):
            decode(data[:length])
    assert "follows" in refused("0000")


def test_a_count_that_cannot_be_is_refused_before_anything_is_made():
    for text in ("9affffffff", "9bffffffffffffffff", "baffffffff", "bbffffffffffffffff", "9900ff", "b90080"):
        refused(text)
        refused(text, max_items=1 << 70)
    # At byte 1: behind the head, before the first item
    assert refused("84010203") == "the data ends too early at byte 1"
    assert refused("a2010203") == "the data ends too early at byte 1"
    assert refused("85" + "00" * 5, max_items=5) == "too many items at byte 1"
    assert refused("a3" + "0000010002f6", max_items=6) == "too many items at byte 1"


def test_depth():
    for opening, end in (
        ("81", "00"),
        ("a100", "00"),
        ("c6", "00"),
        ("9f", "00" + "ff" * 9),
        ("bf00", "00" + "ff" * 9),
    ):
        assert "deep" in refused(opening * 9 + end)
        decode(unhex(opening * 8 + end[: 2 + (16 if "ff" in end else 0)]))
    assert decode(b"\x00", max_depth=0) == 0
    assert "deep" in refused("80", max_depth=0)
    for opening in (b"\x81", b"\x9f", b"\x5f", b"\xbf", b"\xc6"):
        with raises(DecodeError):
            decode(opening * 100000)


def test_items():
    assert decode(unhex("98ff" + "00" * 255)) == [0] * 255
    assert "too many" in refused("990100" + "00" * 256)
    assert "too many" in refused("9f" + "00" * 256 + "ff")
    assert "too many" in refused("5f" + "40" * 256 + "ff")
    assert "too many" in refused("b880" + "".join("19%04x00" % (i + 256) for i in range(128)))
    assert "too many" in refused("8a" + "00" * 10, max_items=10)
    assert len(decode(unhex("8a" + "00" * 10), max_items=11)) == 10
    # Counted over the whole, not by array
    assert "too many" in refused("82" + ("8a" + "00" * 10) * 2, max_items=22)


def test_keys():
    assert "duplicate" in refused("a201000100")
    assert "duplicate" in refused("a2616100616100")
    assert "duplicate" in refused("bf6161006161f6ff")
    assert "duplicate" in refused("a2616100626100" + "00")  # "a" and "a\0": alike once the NUL is cut off
    assert decode(unhex("a2616100626100" + "00"), strict=True) == {"a": 0, "a\0": 0}
    assert "duplicate" in refused("a20100f500")  # 1 and true are one key in Python
    for key in ("80", "a0", "c100", "8101"):
        assert "key" in refused("a1" + key + "00")
    assert decode(unhex("a3616101416102" + "f603")) == {"a": 1, b"a": 2, None: 3}
    assert decode(unhex("a1416102"), copy=False) == {b"a": 2}
    assert "duplicate" in refused("a2416102416103", copy=False)


def test_text_of_a_lenient_peer():
    assert decode(unhex("6461620000")) == "ab"
    assert decode(unhex("63610062")) == "a\0b"
    assert decode(unhex("620000")) == ""
    assert decode(unhex("7f6161626200ff")) == "ab"
    # A character that is cut in two by the pieces of a string is put together again.
    assert decode(unhex("7f61e3628181ff")) == "\u3041"


# Not UTF-8 (RFC 3629): stray and missing continuations, overlong forms, surrogates, past U+10FFFF.
NOT_UTF8 = """
80 bf ff fe c3 c328 e6b0 e6 f09085 c080 c1bf e08080 e09fbf f0808080 f08fbfbf eda080 edbfbf f4908080 f8888080
"""


def test_text_that_is_not_utf8():
    for text in NOT_UTF8.split():
        data = unhex(text)
        item = bytes((0x60 + len(data),)) + data
        assert decode(item) == data and type(decode(item)) is bytes, text
        assert type(decode(item, copy=False)) is bytes
        with raises(DecodeError, "UTF-8"):
            decode(item, strict=True)
    for char in ("\u007f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"):
        assert decode(dumps(char)) == char == decode(dumps(char), strict=True)


LONG_HEADS = "1817 190000 1900ff 1a0000ffff 1b00000000ffffffff 3800 580100 780161 9800 b800 d80600"


def test_strict_refuses_heads_that_are_not_the_shortest():
    for text in LONG_HEADS.split():
        decode(unhex(text))
        assert "shortest" in refused(text, strict=True)
    for text in ("1818", "190100", "1a00010000", "1b0000000100000000"):
        decode(unhex(text), strict=True)


def test_strict_refuses_what_a_signed_record_has_no_use_for():
    for text in ("f97e00", "fa47c35000", "fb3ff199999999999a", "f7", "9fff", "bfff", "5fff", "7fff"):
        decode(unhex(text))
        refused(text, strict=True)
    assert decode(unhex("d86b8400f4f5f6"), strict=True) == Tag(107, [0, False, True, None])


def test_byte_strings_without_a_copy():
    data = bytearray(unhex("83430102034040"))
    found = decode(data, copy=False)
    assert all(isinstance(item, memoryview) for item in found)
    assert bytes(found[0]) == b"\x01\x02\x03" and len(found[1]) == 0
    data[2] = 9
    assert bytes(found[0]) == b"\x09\x02\x03"
    assert isinstance(decode(unhex("5f4101ff"), copy=False), memoryview)
    copied = decode(data)[0]
    data[2] = 1
    assert copied == b"\x09\x02\x03" and isinstance(copied, bytes)


def test_prefix():
    data = unhex("00 820102 6161")
    value, offset = decode_prefix(data)
    assert (value, offset) == (0, 1)
    value, offset = decode_prefix(data, offset)
    assert (value, offset) == ([1, 2], 4)
    assert decode_prefix(memoryview(data), offset) == ("a", 6)
    with raises(DecodeError, "too early"):
        decode_prefix(data, 6)
    with raises(DecodeError, "at byte 5"):
        decode_prefix(unhex("00006261ff")[:4] + b"\x00\x1c", 5)


def test_a_full_buffer_stays_usable():
    items = [b"x" * 30, 70000, 1.5, None]
    value = Pairs([("name", "a text that is longer than twenty-three bytes"), (1, items), ("t", Tag(300, 1))])
    data = dumps(value)
    for size in range(len(data)):
        buf = bytearray(b"\xaa" * (size + 8))
        encoder = Encoder(memoryview(buf)[:size])
        with raises(EncodeError, "full"):
            encoder.encode(value)
        assert encoder.pos <= size and buf[size:] == b"\xaa" * 8
        encoder.reset()
        if size:
            encoder.encode(0)
            assert bytes(encoder.view()) == b"\x00"
        buf = bytearray(size)
        with raises(EncodeError, "full"):
            encode_into(buf, value)
        assert len(buf) == size
    buf = bytearray(len(data))
    assert encode_into(buf, value) == len(data) and buf == data
    with raises(EncodeError, "full"):
        dumps(bytes(200), limit=128)
    assert len(dumps(bytes(70000), limit=1 << 17)) == 70005


def test_values_without_a_form():
    for value in (1 << 64, -(1 << 64) - 1, object(), [set()], {"a": range(3)}, Tag(1 << 64, 0)):
        with raises(EncodeError):
            dumps(value)
    endless = []
    endless.append(endless)
    for value in (endless, Tag(1, endless), {1: endless}, Pairs([(1, endless)])):
        with raises(EncodeError, "deep"):
            dumps(value)


def test_integers_at_the_edges_of_their_heads():
    for bits in (8, 16, 32, 64):
        size = 2 if bits == 8 else 1 + bits // 8
        for number in ((1 << bits) - 1, (1 << bits // 2) if bits > 8 else 24):
            data = dumps(number)
            assert len(data) == size and decode(data) == number and decode(data, strict=True) == number
            data = dumps(-1 - number)
            assert len(data) == size and decode(data) == -1 - number
    assert dumps(True) == b"\xf5" and dumps(1) == b"\x01"


def test_the_shortest_float():
    for value, size in (
        (0.5, 3), (65504.0, 3), (65520.0, 5), (65536.0, 5), (2.0**-24, 3), (2.0**-25, 5),
        (2049.0, 5), (2048.0, 3), (1.5 * 2.0**-24, 5), (float("inf"), 3), (2.0**-126, 5), (16777216.0, 5),
    ):  # fmt: skip
        data = dumps(value)
        assert len(data) == size, value
        assert decode(data) == value
    # MicroPython's struct packs some of the smallest halves wrong; then a single keeps the value.
    assert len(dumps(1023 * 2.0**-24)) <= 5 and decode(dumps(1023 * 2.0**-24)) == 1023 * 2.0**-24
    if 1.0 + 1e-10 != 1.0:
        for value in (16777217.0, 0.1, 1e300, 5e-324):
            assert len(dumps(value)) == 9 and decode(dumps(value)) == value


def test_half_floats():
    for bits in range(0, 0x7C00, 7):
        exponent, fraction = bits >> 10, bits & 1023
        value = (1024 + fraction) * 2.0 ** (exponent - 25) if exponent else fraction * 2.0**-24
        assert decode(bytes((0xF9, bits >> 8, bits & 255))) == value
        assert decode(bytes((0xF9, bits >> 8 | 0x80, bits & 255))) == -value
        if exponent:
            assert dumps(value) == bytes((0xF9, bits >> 8, bits & 255))


def test_order():
    names = ["rt", "if", "nv", "purl", "swupdateaction", "a", "z", "b", "y", "c"]
    data = dumps(Pairs([(name, i) for i, name in enumerate(names)]))
    places = [data.find(dumps(name) + bytes((i,))) for i, name in enumerate(names)]
    assert places == sorted(places) and places[0] == 1
    encoder = Encoder(bytearray(100))
    encoder.pairs(((name, i) for i, name in enumerate(names)), len(names))
    assert bytes(encoder.view()) == data
    encoder.reset()
    encoder.head(5, len(names))
    for i, name in enumerate(names):
        encoder.encode(name)
        encoder.encode(i)
    assert bytes(encoder.view()) == data
    assert decode(data) == {name: i for i, name in enumerate(names)}
    assert dumps([Pairs([(2, 0), (1, 0)])]) == unhex("81a202000100")


def test_raw_and_several_items():
    encoder = Encoder(bytearray(6))
    encoder.encode(1)
    encoder.raw(b"\x82\x01\x02")
    encoder.encode("a")
    assert bytes(encoder.view()) == unhex("0182010261" + "61")
    with raises(EncodeError, "full"):
        encoder.encode(None)
    assert encoder.pos == 6
    with raises(EncodeError, "full"):
        encoder.raw(b"1234567")


def test_kinds_of_bytes():
    for kind in (bytes, bytearray, memoryview):
        assert dumps(kind(b"abc")) == b"\x43abc"
    assert dumps((1, 2)) == dumps([1, 2])


def test_tag():
    assert Tag(1, [2]) == Tag(1, [2]) and Tag(1, 2) != Tag(1, 3) and Tag(1, 2) != Tag(2, 2) and Tag(1, 2) != 2
    assert decode(dumps(Tag(107, {1: b"x"}))) == Tag(107, {1: b"x"})
