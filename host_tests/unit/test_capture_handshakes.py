"""The recorded handshakes through `lib/dtls`: hellos, flights and Finished, and what keys are derived from a session.

What a recording cannot prove: the master secret from the premaster secret, and by it the owner's PSK, which were never seen.
"""

import hashlib
import uuid

import pytest
from cbor.decoder import decode
from coap.message import parse
from crypto.prf import owner_psk
from dtls.alert import Alert
from dtls.handshake import CURVE, SUITES, Handshake
from dtls.hello import ClientHello
from dtls.record import Session
from dtls.wire import Reader, extensions
from recording import (
    APPLICATION,
    CHANGE_CIPHER_SPEC,
    CLIENT_HELLO,
    CLIENT_KEY_EXCHANGE,
    FINISHED,
    HANDSHAKE,
    HELLO_VERIFY_REQUEST,
    NAMES,
    SERVER_HELLO,
    SERVER_HELLO_DONE,
    SERVER_KEY_EXCHANGE,
    load,
    p_hash,
)
from recording import owner_psk as recording_psk

RECORDINGS = [load(name) for name in NAMES]
ASSOCIATIONS = [(r.name, i, a) for r in RECORDINGS for i, a in enumerate(r.associations)]
each = pytest.mark.parametrize("association", [pytest.param(a, id=f"{n}-{i}") for n, i, a in ASSOCIATIONS])
CERTIFICATE_SUITES = (0xC0AE, 0xC0AC)
EMPTY_RENEGOTIATION_INFO = 0x00FF


@each
def test_client_hellos(association):
    hellos = [ClientHello(m.body) for m in association.messages if m.kind == CLIENT_HELLO]
    assert len(hellos) == 2 and not hellos[0].cookie and len(hellos[1].cookie) == 32
    assert hellos[0].signed == hellos[1].signed  # all that a cookie is made over stays the same
    for hello in hellos:
        assert hello.suites == [association.suite, EMPTY_RENEGOTIATION_INFO]
        assert hello.random == association.client_random and hello.version == b"\xfe\xfd"
        assert hello.sound and hello.extended and hello.formats and hello.renegotiation
        assert hello.choose((association.suite,)) == hello.choose(tuple(SUITES)) == association.suite
        assert hello.choose([suite for suite in SUITES if suite != association.suite]) is None


@each
def test_the_extensions_of_both_hellos(association):
    reader = Reader(association.said(CLIENT_HELLO))
    reader.take(34)
    for size in (1, 1, 2, 1):  # session, cookie, suites, compression
        reader.vector(size)
    assert extensions(reader) == [
        (10, b"\0\4\0\x17\0\x18"), (13, b"\0\x0c\6\3\6\1\5\3\5\1\4\3\4\1"), (11, b"\1\0"), (23, b""),
    ]  # fmt: skip
    reader = Reader(association.said(SERVER_HELLO))
    assert reader.take(34)[2:] == association.server_random
    assert len(reader.vector(1)) == 32 and reader.number(2) == association.suite and reader.number(1) == 0
    assert extensions(reader) == [(0xFF01, b"\0"), (23, b""), (11, b"\1\0")]


def test_hellos_with_certificate_suites():
    """The last ones of `obt-update`: nobody answered them, and the tool sent the same six times, in new records."""
    unanswered = [a for r in RECORDINGS for a in r.unanswered]
    assert len(unanswered) == 1 and len(unanswered[0].records) == 6 and len(unanswered[0].messages) == 1
    hello = ClientHello(unanswered[0].said(CLIENT_HELLO))
    assert hello.suites == [0xC037, 0xC0AE, 0xC0AC, 0xC0AF, 0xC0AD, EMPTY_RENEGOTIATION_INFO]
    assert hello.choose(CERTIFICATE_SUITES) == 0xC0AE and hello.choose(CERTIFICATE_SUITES[::-1]) == 0xC0AC
    assert hello.choose((0xFF00, 0xC0A8)) is None and hello.choose((0xFF00, 0xC037)) == 0xC037
    assert hello.sound and hello.extended and not hello.cookie


@each
def test_key_exchanges(association):
    """Byte by byte what `dtls.server` writes and reads: no signature, names as they are, points uncompressed."""
    server, client = Reader(association.said(SERVER_KEY_EXCHANGE)), Reader(association.said(CLIENT_KEY_EXCHANGE))
    if association.suite == 0xC037:
        hint, identity = server.vector(2), client.vector(2)
        pin = b"oic.sec.doxm.rdp"
        assert (len(hint), len(identity)) == (16, 16) or (hint[:17], identity) == (pin + b":", pin)
    assert server.take(3) == CURVE
    for reader in (server, client):
        point = reader.vector(1)
        assert len(point) == 65 and point[0] == 4
        reader.end()
    assert association.said(SERVER_HELLO_DONE) == b""


def replayed(association, server):
    """(Handshake of one side, to which nothing was said yet, and the list of datagrams that it will send)."""
    sent = []
    session = Session(association.client if server else association.server)
    handshake = Handshake(session, lambda datagram, address: sent.append(datagram))
    session.suite = association.suite
    session.randoms = association.server_random + association.client_random
    return handshake, sent


def feed(handshake, association, by_client, *kinds):
    """Give it the records of that side with messages of `kinds`, the protected one with its ChangeCipherSpec."""
    for record in association.records:
        if record.by_client is not by_client:
            continue
        greeting = record.epoch == 0 and record.content == HANDSHAKE
        ending = record.content == CHANGE_CIPHER_SPEC or record.epoch == 1 and record.content == HANDSHAKE
        if greeting and record.data[13] in kinds or ending and FINISHED in kinds:
            handshake.take(record.data)


def clear(association, by_client):
    """The unprotected records that one side sent."""
    return [r.data for r in association.records if r.by_client is by_client and r.epoch == 0]


def cut(datagrams):
    """Records (bytes) of what was sent, the unprotected ones and the others."""
    found = []
    for datagram in datagrams:
        while datagram:
            size = 13 + int.from_bytes(datagram[11:13], "big")
            found.append(bytes(datagram[:size]))
            datagram = datagram[size:]
    return [r for r in found if r[4] == 0], [r for r in found if r[4] == 1]


@each
async def test_finished_of_the_server_convinces_our_client(association):
    """The transcript and both verify_data of `dtls.handshake`, the flights byte for byte as the tool sent them."""
    handshake, sent = replayed(association, server=False)
    said = [m for m in association.messages if m.by_client]
    handshake.add(CLIENT_HELLO, said[0].body)
    handshake.transmit()
    feed(handshake, association, False, HELLO_VERIFY_REQUEST)
    await handshake.expect(HELLO_VERIFY_REQUEST)
    handshake.fresh()
    handshake.add(CLIENT_HELLO, said[1].body)
    handshake.transmit()
    feed(handshake, association, False, SERVER_HELLO, SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE)
    for kind in (SERVER_HELLO, SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE):
        assert (await handshake.expect(kind))[1] == association.said(kind)
    handshake.add(CLIENT_KEY_EXCHANGE, said[2].body)
    with association.master_secret():
        handshake.derive(b"", False)
    handshake.finish(b"client finished")
    handshake.transmit()
    feed(handshake, association, False, FINISHED)
    await handshake.finished(b"server finished")

    mine, protected = cut(sent)
    assert mine == clear(association, True)
    assert _finished(protected, association, True) == _recorded_finished(association, True)


@each
async def test_finished_of_the_tool_convinces_our_server(association):
    handshake, sent = replayed(association, server=True)
    first, second = [m for m in association.messages if m.by_client and m.kind == CLIENT_HELLO]
    said = [m for m in association.messages if not m.by_client]
    handshake.add(HELLO_VERIFY_REQUEST, said[0].body)
    handshake.transmit()
    handshake.fresh()
    feed(handshake, association, True, CLIENT_HELLO)
    assert (await handshake.expect(CLIENT_HELLO))[1] == first.body
    handshake.fresh()
    assert (await handshake.expect(CLIENT_HELLO))[1] == second.body
    for message in said[1:]:
        handshake.add(message.kind, message.body)
    handshake.transmit()
    feed(handshake, association, True, CLIENT_KEY_EXCHANGE)
    await handshake.expect(CLIENT_KEY_EXCHANGE)
    with association.master_secret():
        handshake.derive(b"", True)
    feed(handshake, association, True, FINISHED)
    await handshake.finished(b"client finished")
    handshake.finish(b"server finished")
    handshake.transmit()

    mine, protected = cut(sent)
    assert mine == clear(association, False)
    assert _finished(protected, association, False) == _recorded_finished(association, False)


def _finished(protected, association, by_client):
    """The message in the one protected record that our side sent, opened by the other."""
    assert len(protected) == 1
    return bytes(association.session(server=by_client).unseal(protected[0]))


def _recorded_finished(association, by_client):
    record = [r for r in association.protected(by_client) if r.content == HANDSHAKE]
    assert len(record) == 1
    return bytes(association.session(server=by_client).unseal(record[0].data))


@each
async def test_finished_over_another_transcript_is_refused(association):
    """One bit of the key exchange is not what the tool said: its Finished proves it."""
    handshake, _ = replayed(association, server=True)
    handshake._sent = 0
    handshake._hash(CLIENT_HELLO, 0, association.said(CLIENT_HELLO))
    handshake._in = 3
    with association.master_secret():
        handshake.derive(b"", True)
    feed(handshake, association, True, FINISHED)
    with pytest.raises(Alert) as caught:
        await handshake.finished(b"client finished")
    assert caught.value.code == 51


@each
def test_finished_by_other_code(association):
    """verify_data from the recorded messages and the master secret, with nothing of `lib` (RFC 5246 section 7.4.9)."""
    hello = [m for m in association.messages if m.kind == CLIENT_HELLO][-1]
    transcript = b"".join(_whole(m) for m in association.messages[association.messages.index(hello) :])
    for by_client, label in ((True, b"client finished"), (False, b"server finished")):
        finished = _recorded_finished(association, by_client)
        seed = label + hashlib.sha256(transcript).digest()
        assert finished[12:] == p_hash(association.master, seed, 12)
        transcript += finished


def _whole(message):
    size = len(message.body).to_bytes(3, "big")
    return bytes((message.kind,)) + size + message.number.to_bytes(2, "big") + bytes(3) + size + message.body


@pytest.mark.parametrize("recording", RECORDINGS, ids=NAMES)
def test_the_owners_psk_of_the_onboarding_session(recording):
    """By other code, from the Just Works session and the UUIDs that the tool wrote in it.

    That the tool has the same key is not to be seen here: to the sessions it was used in, its part is not recorded.
    """
    association = recording.associations[0]
    assert association.suite == 0xFF00
    session = association.session(server=True)
    assert (session.block, session.master) == (96, association.master)
    found = {}
    for record in association.protected(True):
        content = session.unseal(record.data)
        message = parse(content) if record.content == APPLICATION else None
        if message and message.path == "/oic/sec/doxm":
            found.update(decode(message.payload))
    expected = recording_psk(association, b"oic.sec.doxm.jw", found["devowneruuid"], found["deviceuuid"])
    owner, device = uuid.UUID(found["devowneruuid"]).bytes, uuid.UUID(found["deviceuuid"]).bytes
    assert owner_psk(session.master, session.randoms, session.block, b"oic.sec.doxm.jw", owner, device) == expected
    # In every later session until the reset, each names itself by the UUID that this key is kept under.
    for later in recording.associations[1:4]:
        assert later.suite == 0xC037 and Reader(later.said(CLIENT_KEY_EXCHANGE)).vector(2) == owner
        assert Reader(later.said(SERVER_KEY_EXCHANGE)).vector(2) == device
