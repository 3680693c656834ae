"""Every protected record of the recordings through `dtls.record`: what is in it, once, and never after a change."""

import random

import pcap
import pytest
from cbor.decoder import decode, decode_prefix
from coap.message import parse
from coap_request import options_of
from dtls.record import records
from recording import ALERT, APPLICATION, HANDSHAKE, NAMES, VECTORS, listed, load

TYPES = ("CON", "NON", "ACK", "RST")
METHODS = ("EMPTY", "GET", "POST", "PUT", "DELETE")
# name -> (suite of each association, protected records by content type, UDP datagrams); tshark counts the same.
EXPECTED = {
    "obt-just-works": ([0xFF00, 0xC037, 0xC037], {HANDSHAKE: 6, ALERT: 8, APPLICATION: 104}, 143),
    "obt-update": (
        [0xFF00, 0xC037, 0xC037, 0xC037, 0xC037, 0xC037],
        {HANDSHAKE: 12, ALERT: 24, APPLICATION: 102},
        221,
    ),
}


@pytest.fixture(scope="module", params=NAMES)
def recording(request):
    return load(request.param)


def opened(recording):
    """(record, content) of all protected records, each side's by the Session of the other."""
    found = []
    for association in recording.associations:
        sessions = {by_client: association.session(server=by_client) for by_client in (True, False)}
        for record in association.protected():
            content = sessions[record.by_client].unseal(memoryview(record.data))
            assert content is not None, record
            found.append((record, bytes(content)))
    return found


def described(message, data):
    """(type, code, message ID, token, path, options) as the list writes them."""
    code = METHODS[message.code] if message.code < 32 else "%d.%02d" % (message.code >> 5, message.code & 31)
    request = message.code and message.code < 32
    path = message.path + ("?" + "&".join(message.query) if message.query else "") if request else ""
    options = [(number, option(number, value)) for number, value in options_of(data) if number not in (11, 15)]
    return TYPES[message.type], code, message.mid, message.token, path, options


def option(number, value):
    value = int.from_bytes(value, "big")
    return "num=%d m=%d szx=%d" % (value >> 4, value >> 3 & 1, value & 7) if number == 23 else str(value)


def as_json(value, strings=False):
    """`value` with NULs at the end of text cut off, as our decoder does; `strings`: byte strings as the list has them."""
    if strings and isinstance(value, bytes):
        return "h'%s'" % value.hex()
    if isinstance(value, dict):
        return {key: as_json(item, strings) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item, strings) for item in value]
    return value.rstrip("\0") if isinstance(value, str) else value


def test_there_is_what_is_expected(recording):
    suites, counts, datagrams = EXPECTED[recording.name]
    assert [association.suite for association in recording.associations] == suites
    assert len(recording.datagrams) == datagrams
    found = [record.content for association in recording.associations for record in association.protected()]
    assert {content: found.count(content) for content in sorted(set(found))} == dict(sorted(counts.items()))
    for association in recording.associations:
        for by_client in (True, False):  # numbered from 0, nothing is missing
            numbers = [int.from_bytes(record.data[5:11], "big") for record in association.protected(by_client)]
            assert numbers == list(range(len(numbers))) and numbers


def test_the_readers_of_records_agree(recording):
    """`records`, and the test's own way of cutting datagrams."""
    mine = [r.data for a in recording.associations + recording.unanswered for r in a.records]
    ports = {a.server[1] for a in recording.associations}
    assert len(ports) == 1
    secured = [d.data for d in recording.datagrams if ports & {d.source[1], d.destination[1]}]
    assert [bytes(record) for data in secured for record in records(memoryview(data))] == mine


def test_every_message_is_the_one_that_the_list_has(recording):
    messages = [(r, content) for r, content in opened(recording) if r.content == APPLICATION]
    expected = listed(recording.name)
    assert len(messages) == len(expected) == EXPECTED[recording.name][1][APPLICATION]
    began = messages[0][0].time
    for (record, content), line in zip(messages, expected, strict=True):
        message = parse(content)
        assert message is not None and message.bad is None
        assert described(message, content) == (line.kind, line.code, line.mid, line.token, line.path, line.options)
        assert record.by_client is line.by_client and abs(record.time - began - line.time) < 0.002
        found = _payload(message)
        if found and found[1] == "raw":
            assert len(line.payload[2]) == 200  # the list has the beginning
            found = found[0], "raw", found[2][: len(line.payload[2])]
        assert found == (line.payload and (*line.payload[:2], as_json(line.payload[2])))


def _payload(message):
    payload = message.payload
    if not payload:
        return None
    if message.block2 is None:
        return len(payload), "cbor", as_json(decode(payload, max_depth=16, max_items=5000), True)
    # A piece of a representation: the list has the first thing that it can be read as, if any.
    try:
        value, _ = decode_prefix(payload, max_depth=16, max_items=5000)
    except ValueError:
        return len(payload), "raw", payload
    return len(payload), "cbor", as_json(value, True)


def test_representations_in_blocks_are_whole(recording):
    """Put together, they have the announced size, and are CBOR to the last byte."""
    bodies = {}
    sizes = {}
    for record, content in opened(recording):
        message = parse(content) if record.content == APPLICATION else None
        if message and message.block2 is not None and message.code == 0x45:
            key = message.token, message.etag
            assert message.block2 >> 4 == len(bodies.setdefault(key, b"")) // 1024
            bodies[key] += message.payload
            sizes.setdefault(key, message.size2)
    assert len(bodies) == {"obt-just-works": 3, "obt-update": 1}[recording.name]
    for key, body in bodies.items():
        assert len(body) == sizes[key]
        value = decode(body, max_depth=16, max_items=5000)
        links = [link["href"] for link in value] if isinstance(value, list) else [len(value["creds"])]
        assert "/oc/swu" in links or links[0] > 2


def test_alerts_and_finished_are_what_they_must_be(recording):
    for record, content in opened(recording):
        if record.content == ALERT:
            assert content == b"\1\0"  # close_notify, a warning
        elif record.content == HANDSHAKE:
            assert len(content) == 24 and content[0] == 20 and content[4:6] in (b"\0\3", b"\0\4")


def test_a_record_is_taken_once(recording):
    for association in recording.associations:
        for by_client in (True, False):
            session = association.session(server=by_client)
            taken = association.protected(by_client)
            for record in taken:
                assert session.unseal(record.data) is not None
                assert session.unseal(record.data) is None
            for record in taken + taken[::-1]:
                assert session.unseal(record.data) is None


def test_records_are_taken_in_any_order_within_the_window(recording):
    rng = random.Random(1)
    for association in recording.associations:
        for by_client in (True, False):
            session = association.session(server=by_client)
            mixed = association.protected(by_client)
            assert len(mixed) < 64
            rng.shuffle(mixed)
            assert all(session.unseal(record.data) is not None for record in mixed)
            assert all(session.unseal(record.data) is None for record in mixed)


def test_every_record_with_one_bit_changed_is_refused_and_then_taken_as_it_was(recording):
    """In its type, version, epoch, number, vector, first, middle and last block; a forged one leaves no trace."""
    rng = random.Random(2)
    count = 0
    for association in recording.associations:
        for by_client in (True, False):
            session = association.session(server=by_client)
            for record in association.protected(by_client):
                size = len(record.data)
                spans = ((0, 1), (1, 3), (3, 5), (5, 11), (13, 29), (29, 45), (45, size - 32), (size - 32, size - 16))
                for begin, end in (*spans, (size - 16, size)):
                    place = rng.randrange(8 * begin, 8 * max(end, begin + 1))
                    changed = bytearray(record.data)
                    changed[place // 8] ^= 1 << place % 8
                    assert session.unseal(bytes(changed)) is None, (record, place)
                    count += 1
                assert session.unseal(record.data) is not None
    assert count == 9 * sum(EXPECTED[recording.name][1].values())


def test_any_bit_of_one_record_of_each_suite():
    """Exhaustively: the first message that the tool sends in an association."""
    found = {association.suite: association for association in load("obt-just-works").associations}
    assert set(found) == {0xFF00, 0xC037}
    for association in found.values():
        record = [r for r in association.protected(True) if r.content == APPLICATION][0].data
        session = association.session(server=True)
        for place in range(8 * len(record)):
            if 88 <= place < 104:
                continue  # the length, by which a record is cut out of its datagram: below
            changed = bytearray(record)
            changed[place // 8] ^= 1 << place % 8
            assert session.unseal(bytes(changed)) is None, place
        for size in range(13, len(record)):
            assert session.unseal(record[:size]) is None
        for more in range(1, 33):
            assert session.unseal(record + bytes(more)) is None
        assert session.unseal(record) is not None


def test_records_of_others_are_refused(recording):
    """Of the same side's session before and after, and one's own, sent back."""
    for one in recording.associations:
        for by_client in (True, False):
            session = one.session(server=by_client)
            assert all(session.unseal(record.data) is None for record in one.protected(not by_client))
            for other in recording.associations:
                if other is not one:
                    assert all(session.unseal(record.data) is None for record in other.protected())


def test_a_capture_that_is_cut_or_none_is_refused(tmp_path):
    data = (VECTORS / "obt-update.pcap").read_bytes()
    path = tmp_path / "cut.pcap"
    for content in (data[:-1], data[:1000], b"\0" * 24):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            list(pcap.read(path))


def test_what_is_written_is_read_back(tmp_path):
    ends = ("127.0.0.1", 5683), ("10.0.0.2", 40000)
    sent = [pcap.Datagram(1.5 + i / 8, *ends[:: 1 if i % 2 else -1], bytes(range(i))) for i in range(20)]
    with pcap.Writer(tmp_path / "made.pcap") as writer:
        for datagram in sent:
            writer.write(datagram)
    assert list(pcap.read(tmp_path / "made.pcap")) == sent
