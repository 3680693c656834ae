"""Properties of CoAP messages, over many generated ones."""

from coap.message import BadMessage, pack, parse
from coap_request import options_of
from hypothesis import given
from hypothesis import strategies as st

numbers = st.integers(0, 65535)
options = st.lists(st.tuples(numbers, st.binary(max_size=40)), max_size=20)


@given(
    st.integers(0, 3),
    st.integers(1, 255),
    st.integers(0, 65535),
    st.binary(max_size=8),
    options,
    st.binary(max_size=300),
)
def test_what_is_written_is_read(kind, code, mid, token, given_options, payload):
    view = memoryview(bytearray(2000))
    length = pack(view, kind, code, mid, token, list(given_options), payload)
    message = parse(view[:length])
    assert (message.type, message.code, message.mid, message.token) == (kind, code, mid, token)
    assert options_of(view[:length]) == sorted(given_options, key=lambda option: option[0])
    assert message.payload == payload


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        parse(data)
    except BadMessage:
        pass


@given(st.binary(max_size=200))
def test_any_bytes_behind_a_header_are_read_or_refused_and_read_messages_write_back(data):
    try:
        data = b"\x40\x02\x12\x34" + data
        message = parse(data)
    except BadMessage:
        return
    view = memoryview(bytearray(2000))
    length = pack(view, message.type, message.code, message.mid, b"", options_of(data), message.payload)
    again = parse(view[:length])
    assert (
        options_of(view[:length]) == options_of(data) and again.payload == message.payload and again.bad == message.bad
    )
