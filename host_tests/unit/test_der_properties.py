"""Properties of DER: what is written is read; what is read is the only way to write it."""

from crypto import der
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

tags = st.integers(0, 255).filter(lambda tag: tag & 31 < 31)
numbers = st.integers(1, (1 << 256) - 1)


@given(st.lists(st.tuples(tags, st.binary(max_size=400)), max_size=8))
def test_elements_are_read_as_written(elements):
    reader = der.Reader(b"".join(der.encode(tag, content) for tag, content in elements))
    for tag, content in elements:
        found, whole, inside = reader.take()
        assert (found, bytes(inside)) == (tag, content) and bytes(whole) == der.encode(tag, content)
    reader.end()


@given(tags, st.binary(max_size=70_000))
def test_what_is_too_long_is_not_written(tag, content):
    try:
        assert bytes(der.Reader(der.encode(tag, content)).take()[2]) == content
    except ValueError:
        assert len(content) > 65535


@given(st.binary(max_size=600))
def test_what_is_read_is_written_the_same(data):
    """There is one encoding: an element that is read has no other head."""
    reader = der.Reader(data)
    try:
        while reader.more():
            tag, whole, content = reader.take()
            assert der.encode(tag, content) == bytes(whole)
    except ValueError:
        pass


@given(tags, st.binary(max_size=300), st.integers(1, 4))
def test_a_length_has_one_form(tag, content, size):
    """Its length in 1 to 4 bytes behind a head: the shortest is read, every other refused."""
    try:
        data = bytes((tag, 0x80 | size)) + len(content).to_bytes(size, "big") + content
    except OverflowError:
        return
    try:
        der.Reader(data).take()
    except ValueError:
        assert data != der.encode(tag, content)
    else:
        assert data == der.encode(tag, content)


@given(tags, st.binary(max_size=300), st.data())
def test_what_is_cut_is_refused(tag, content, draw):
    data = der.encode(tag, content)
    try:
        der.Reader(data[: draw.draw(st.integers(0, len(data) - 1))]).take()
        raise AssertionError("read")
    except ValueError:
        pass


@given(numbers, numbers)
def test_signatures_are_those_of_openssl(r, s):
    both = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert der.encode_signature(both) == encode_dss_signature(r, s)
    assert der.decode_signature(encode_dss_signature(r, s)) == both


@given(numbers, numbers, st.data())
def test_a_changed_signature_is_refused_or_another_one(r, s, draw):
    data = bytearray(encode_dss_signature(r, s))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    try:
        both = der.decode_signature(bytes(data))
    except ValueError:
        return
    assert decode_dss_signature(bytes(data)) == (int.from_bytes(both[:32], "big"), int.from_bytes(both[32:], "big"))
    assert der.encode_signature(both) == data


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 1 << 28), max_size=7))
def test_object_identifiers_are_read_as_written(first, second, rest):
    content = b""
    for arc in [first * 40 + second, *rest]:
        low = bytes((arc & 127,))
        while arc > 127:
            arc >>= 7
            low = bytes((arc & 127 | 128,)) + low
        content += low
    if len(content) <= 40:
        assert der.oid(content) == ".".join(map(str, [first, second, *rest]))
