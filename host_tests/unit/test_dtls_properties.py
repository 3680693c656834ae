"""Properties of DTLS records and fragments: what was sealed is read once, what was changed is not; messages come whole."""

import asyncio

from dtls.alert import Alert
from dtls.handshake import Handshake
from dtls.keys import derive
from dtls.record import Session, records
from dtls.wire import Reader, extensions, head, transmit, vector
from hypothesis import given, settings
from hypothesis import strategies as st

SUITES = (0xC037, 0xC0A8, 0xC0AE, 0xC0AC)
HANDSHAKE, HEADER = 22, 13


def pair(suite):
    """Both ends of one session."""
    found = []
    for server in (False, True):
        session = Session("peer")
        session.suite = suite
        session.randoms = bytes(64)
        derive(session, bytes(32), bytes(32), server)
        found.append(session)
    return found


suites = st.sampled_from(SUITES)
contents = st.sampled_from((21, 22, 23))


@given(suites, st.lists(st.tuples(contents, st.binary(max_size=300)), min_size=1, max_size=8), st.randoms())
def test_what_is_sealed_is_read_once_in_any_order(suite, said, random):
    here, there = pair(suite)
    sealed = [(bytes(here.seal(content, data)), content, data) for content, data in said]
    random.shuffle(sealed)
    for record, content, data in sealed:
        assert record[0] == content and bytes(there.unseal(memoryview(record))) == data
        assert there.unseal(memoryview(record)) is None, "once"


@given(suites, contents, st.binary(max_size=100), st.data())
def test_what_is_changed_anywhere_is_nothing_and_the_record_itself_is_still_taken(suite, content, data, draw):
    here, there = pair(suite)
    record = bytes(here.seal(content, data))
    at = draw.draw(st.integers(0, len(record) - 1))
    changed = bytearray(record)
    changed[at] ^= draw.draw(st.integers(1, 255))
    for one in records(memoryview(changed)):
        if one[3:5] == b"\0\1":
            assert there.unseal(one) is None
    assert bytes(there.unseal(memoryview(record))) == data


@given(suites, contents, st.binary(max_size=100), st.data())
def test_a_record_that_is_cut_or_longer_is_nothing(suite, content, data, draw):
    here, there = pair(suite)
    record = bytes(here.seal(content, data))
    for other in (record[: draw.draw(st.integers(0, len(record) - 1))], record[:HEADER] + record[HEADER:] * 2):
        for one in records(memoryview(other)):
            assert one == record or there.unseal(one) is None


@given(st.lists(st.binary(max_size=200), max_size=6), st.binary(max_size=12))
def test_records_of_a_datagram_are_as_many_as_were_put_in(bodies, rest):
    session = Session("peer")
    sealed = [bytes(session.seal(HANDSHAKE, body, 0)) for body in bodies]
    found = [bytes(one) for one in records(memoryview(b"".join(sealed) + rest))]
    assert found[: len(sealed)] == sealed and len(found) <= len(sealed) + 1


class Receiving:
    """A handshake that is given records, and what it has put together."""

    def __init__(self):
        self.handshake = Handshake(Session("peer"), lambda data, address: None)
        self.handshake.transmit()
        self.heard = []

    async def take(self, record):
        handshake = self.handshake
        handshake.take(record)
        await handshake._take_record(False)
        while any(entry[0] == handshake._in for entry in handshake._early):
            self.heard.append(await handshake.expect(1, 11, 16))


def fragment(kind, number, body, begin, end):
    """A record with a part of a handshake message."""
    head = bytes((kind,)) + len(body).to_bytes(3, "big") + number.to_bytes(2, "big")
    head += begin.to_bytes(3, "big") + (end - begin).to_bytes(3, "big")
    data = head + body[begin:end]
    return b"\x16\xfe\xfd" + bytes(8) + len(data).to_bytes(2, "big") + data


@given(
    st.lists(st.tuples(st.sampled_from((1, 11, 16)), st.binary(max_size=600)), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 600), st.integers(0, 600)), max_size=30),
    st.integers(1, 300),
)
@settings(deadline=None)
def test_messages_are_put_together_from_any_fragments(messages, stray, size):
    """Fragments in any order, overlapping and repeated; then the flight as it should be: each message is heard once."""
    receiving = Receiving()

    async def run():
        for number, begin, end in stray:
            kind, body = messages[number % len(messages)]
            begin, end = sorted((begin * len(body) // 600, end * len(body) // 600))
            await receiving.take(fragment(kind, number % len(messages), body, begin, end))
        for number, (kind, body) in enumerate(messages):
            for begin in range(0, max(len(body), 1), size):
                await receiving.take(fragment(kind, number, body, begin, min(begin + size, len(body))))

    asyncio.run(run())
    assert [(kind, bytes(body)) for kind, body in receiving.heard] == messages


@given(st.lists(st.tuples(st.sampled_from((1, 11, 16)), st.binary(max_size=4000)), min_size=1, max_size=4))
@settings(deadline=None)
def test_what_this_side_sends_in_fragments_the_other_puts_together(messages):
    sent, receiving = [], Receiving()
    flight = [(HANDSHAKE, 0, head(kind, number, len(body)) + body) for number, (kind, body) in enumerate(messages)]
    transmit(Session("peer"), flight, lambda datagram, address: sent.append(bytes(datagram)))
    assert all(len(datagram) <= 1200 for datagram in sent)

    async def run():
        for datagram in sent:
            for record in records(memoryview(datagram)):
                await receiving.take(bytes(record))

    asyncio.run(run())
    assert [(kind, bytes(body)) for kind, body in receiving.heard] == messages


@given(
    st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=30)), max_size=10, unique_by=lambda e: e[0]),
    st.data(),
)
def test_extensions_are_read_as_written_and_never_past_their_end(found, draw):
    data = vector(2, *(number.to_bytes(2, "big") + vector(2, body) for number, body in found))
    assert extensions(Reader(data)) == found
    cut = data[: draw.draw(st.integers(0, len(data) - 1))]
    try:
        assert extensions(Reader(cut)) == [] and not cut
    except Alert:
        pass
