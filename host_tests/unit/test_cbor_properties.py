"""CBOR over many generated values and bytes, against cbor2 (another implementation)."""

import tracemalloc

import cbor2
import pytest
from cbor import EncodeError, Encoder, Pairs, Tag, dumps, encode_into
from cbor.decoder import DecodeError, decode
from hypothesis import example, given, settings
from hypothesis import strategies as st

integers = st.integers(-(1 << 64), (1 << 64) - 1)
texts = st.text(max_size=40)
signable = st.none() | st.booleans() | integers | texts | st.binary(max_size=300)
plain = signable | st.floats(allow_nan=False)
keys = texts | st.integers(-300, 300) | st.binary(max_size=8)


def nested(leaves, levels=3):
    for _ in range(levels):
        leaves = leaves | st.lists(leaves, max_size=5) | st.dictionaries(keys, leaves, max_size=5)
    return leaves


def without_nuls(value):
    """`value` as a lenient decoder sees it, or None when two keys become one."""
    if isinstance(value, str):
        return value.rstrip("\0")
    if isinstance(value, list):
        return [without_nuls(item) for item in value]
    if isinstance(value, dict):
        return {without_nuls(key): without_nuls(item) for key, item in value.items()}
    return value


def size_of(value):
    if isinstance(value, list):
        return sum(map(size_of, value))
    return sum(map(size_of, value.values())) + len(value) if isinstance(value, dict) else 1


@given(nested(plain))
def test_cbor2_reads_what_we_write(value):
    assert cbor2.loads(dumps(value)) == value


@given(nested(plain))
def test_we_read_what_cbor2_writes(value):
    for canonical in (False, True):
        data = cbor2.dumps(value, canonical=canonical)
        expected = without_nuls(value)
        if size_of(expected) == size_of(value):
            assert decode(data, max_items=10000) == expected
        else:
            with pytest.raises(DecodeError, match="duplicate"):
                decode(data, max_items=10000)


@given(plain | st.lists(plain, max_size=30))
def test_the_form_is_the_shortest(value):
    assert dumps(value) == cbor2.dumps(value, canonical=True)


@given(nested(signable))
def test_signed_data_comes_back_as_it_was(value):
    assert decode(dumps(value), strict=True, max_items=10000) == value


@given(st.recursive(signable, lambda inner: st.lists(inner, max_size=4), max_leaves=8))
def test_indefinite_lengths(value):
    def write(item):
        if isinstance(item, list):
            return b"\x9f" + b"".join(map(write, item)) + b"\xff"
        if isinstance(item, (str, bytes)):
            half = len(item) // 2
            head = b"\x7f" if isinstance(item, str) else b"\x5f"
            return head + cbor2.dumps(item[:half]) + cbor2.dumps(item[half:]) + b"\xff"
        return cbor2.dumps(item)

    data = write(value)
    assert cbor2.loads(data) == value
    assert decode(data, max_depth=12) == without_nuls(value)
    if data[:1] in b"\x9f\x7f\x5f":
        with pytest.raises(DecodeError):
            decode(data, strict=True)


@given(st.dictionaries(keys, plain, max_size=10))
def test_pairs_and_dict_are_the_same_map(value):
    assert dumps(Pairs(value.items())) == dumps(value)


@given(st.integers(0, (1 << 64) - 1), nested(plain, 1))
def test_tags(number, value):
    assert decode(dumps(Tag(number, value))) == Tag(number, without_nuls(value))


@given(nested(plain), st.integers(0, 400))
def test_a_buffer_of_any_size(value, size):
    whole = dumps(value, limit=1 << 20)
    buf = bytearray(b"\xaa" * (size + 16))
    encoder = Encoder(memoryview(buf)[:size])
    try:
        encoder.encode(value)
        assert bytes(encoder.view()) == whole
    except EncodeError:
        assert len(whole) > size
    assert buf[size:] == b"\xaa" * 16
    encoder.reset()
    if size:
        encoder.encode(7)
        assert bytes(encoder.view()) == b"\x07"
    assert encode_into(bytearray(len(whole)), value) == len(whole)


def attempt(data, **how):
    try:
        return decode(data, **how)
    except DecodeError as error:
        assert 0 <= error.offset <= len(data)
        return error


@settings(max_examples=400)
@given(st.binary(max_size=300))
@example(b"\x9b" + b"\xff" * 8)
@example(b"\xbb\x80" + bytes(7))
@example(b"\x5b\x7f" + b"\xff" * 7)
@example(b"\xd9\xd9\xf7" * 100)
@example(b"\xa1\xfb\x7f\xf8" + bytes(6) + b"\0")
def test_any_bytes_are_read_or_refused(data):
    for copy in (True, False):
        attempt(data, copy=copy)
        value = attempt(data, copy=copy, strict=True)
        if copy and not isinstance(value, DecodeError):
            # Strict data has one form: what is written back is what was read.
            assert dumps(value) == data


@settings(max_examples=400)
@given(nested(plain), st.data())
def test_damaged_items_are_read_or_refused(value, draw):
    data = bytearray(dumps(value, limit=1 << 20))
    for _ in range(draw.draw(st.integers(1, 3))):
        place = draw.draw(st.integers(0, len(data)))
        data[place : place + draw.draw(st.integers(0, 2))] = draw.draw(st.binary(max_size=3))
    data = bytes(data)
    attempt(data)
    found = attempt(data, strict=True)
    if not isinstance(found, DecodeError):
        assert dumps(found, limit=1 << 20) == data


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"\x81", b"\x9f", b"\xbf\x00", b"\x80", b"\xa0", b"\x40", b"\xff", b"\x5f"]), max_size=2000
    ).map(b"".join)
)
@example(b"\x9f" + b"\xa0" * 4000)
@example(b"\x98\xff" + b"\x80" * 255)
@example(b"\x9b\x00\x00\x00\x00\x7f\xff\xff\xff")
@example(b"\x5f" + b"\x50" + bytes(16) * 250)
def test_memory_is_bounded(data):
    for copy in (True, False):
        tracemalloc.start()
        attempt(data, copy=copy)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 120_000 + len(data)  # 256 items of CPython's size
