"""The recordings in `vectors`: what the reference onboarding tool and the reference server said, taken apart.

This is code of its own as far as the wire goes: records and handshake messages are cut here by their lengths, so that
`lib/dtls` is held against it.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pcap
from dtls import keys as dtls_keys
from dtls.record import Session

VECTORS = Path(__file__).parent / "vectors"
NAMES = ("obt-just-works", "obt-update")

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY_REQUEST = 1, 2, 3
SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE, CLIENT_KEY_EXCHANGE, FINISHED = 12, 14, 16, 20


class Record(NamedTuple):
    """One record; `data` with its header of 13 bytes."""

    time: float
    by_client: bool
    data: bytes

    @property
    def content(self) -> int:
        return self.data[0]

    @property
    def epoch(self) -> int:
        return int.from_bytes(self.data[3:5], "big")


class Message(NamedTuple):
    """One handshake message in the clear."""

    by_client: bool
    kind: int
    number: int
    body: bytes


@dataclass
class Association:
    """What went on between a ClientHello without a cookie and the next one."""

    client: tuple[str, int]
    server: tuple[str, int]
    records: list[Record] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    master: bytes = b""

    def said(self, kind: int) -> bytes:
        """The body of the last message of this kind."""
        return [message.body for message in self.messages if message.kind == kind][-1]

    @property
    def answered(self) -> bool:
        return any(message.kind == SERVER_HELLO for message in self.messages)

    @property
    def client_random(self) -> bytes:
        return self.said(CLIENT_HELLO)[2:34]

    @property
    def server_random(self) -> bytes:
        return self.said(SERVER_HELLO)[2:34]

    @property
    def suite(self) -> int:
        body = self.said(SERVER_HELLO)
        at = 35 + body[34]
        return int.from_bytes(body[at : at + 2], "big")

    def protected(self, by_client: bool | None = None) -> list[Record]:
        """The records of epoch 1, of one side or of both."""
        return [r for r in self.records if r.epoch == 1 and by_client in (None, r.by_client)]

    @contextmanager
    def master_secret(self) -> Iterator[None]:
        """While it lasts, `Session.derive` makes the recorded master secret.

        Of what it makes it otherwise, the premaster secret, no recording of two others can tell.
        """
        original = dtls_keys.prf

        def prf(secret: bytes, label: bytes, seed: bytes, n: int) -> bytes:
            return self.master if label.endswith(b"master secret") else original(secret, label, seed, n)

        dtls_keys.prf = prf
        try:
            yield
        finally:
            dtls_keys.prf = original

    def session(self, server: bool) -> Session:
        """A Session of one side with the keys of this association."""
        session = Session(self.client if server else self.server)
        session.suite = self.suite
        session.randoms = self.server_random + self.client_random
        with self.master_secret():
            dtls_keys.derive(session, b"", bytes(32), server)
        return session


@dataclass
class Recording:
    name: str
    datagrams: list[pcap.Datagram]
    associations: list[Association]  # those that the server answered
    unanswered: list[Association]


def load(name: str) -> Recording:
    """The recording with this name."""
    datagrams = list(pcap.read(VECTORS / f"{name}.pcap"))
    keys = {}
    for line in (VECTORS / f"{name}.keylog").read_text().splitlines():
        label, random, secret = line.split()
        assert label == "CLIENT_RANDOM"
        keys[bytes.fromhex(random)] = bytes.fromhex(secret)
    found: list[Association] = []
    for datagram in datagrams:
        for data in cut(datagram.data):
            _take(found, datagram, data)
    for association in found:
        association.master = keys.get(association.client_random, b"")
    answered = [a for a in found if a.answered]
    assert len(answered) == len(keys) and all(a.master for a in answered)
    return Recording(name, datagrams, answered, [a for a in found if not a.answered])


def cut(datagram: bytes) -> list[bytes]:
    """The records of a datagram; none when it is something else."""
    found = []
    while len(datagram) > 13 and CHANGE_CIPHER_SPEC <= datagram[0] <= APPLICATION and datagram[1:3] == b"\xfe\xfd":
        size = 13 + int.from_bytes(datagram[11:13], "big")
        assert size <= len(datagram)
        found.append(datagram[:size])
        datagram = datagram[size:]
    assert not found or not datagram
    return found


def _take(found: list[Association], datagram: pcap.Datagram, data: bytes) -> None:
    clear = data[3:5] == b"\0\0"
    first = clear and data[0] == HANDSHAKE and data[13] == CLIENT_HELLO and data[17:19] == b"\0\0"
    if first and not (found and found[-1].messages == [_message(True, data)]):  # it may be sent again
        found.append(Association(datagram.source, datagram.destination))
    association = found[-1]
    by_client = datagram.source == association.client
    assert {datagram.source, datagram.destination} == {association.client, association.server}
    association.records.append(Record(datagram.time, by_client, data))
    if clear and data[0] == HANDSHAKE:
        message = _message(by_client, data)
        if message not in association.messages:
            association.messages.append(message)


def _message(by_client: bool, record: bytes) -> Message:
    head, body = record[13:25], record[25:]
    assert head[1:4] == head[9:12] == len(body).to_bytes(3, "big") and head[6:9] == bytes(3), "in one fragment"
    return Message(by_client, head[0], int.from_bytes(head[4:6], "big"), body)


def p_hash(secret: bytes, seed: bytes, n: int) -> bytes:
    """P_SHA256 (RFC 5246 section 5), with nothing of `lib`."""
    a, found = seed, b""
    while len(found) < n:
        a = hmac.digest(secret, a, "sha256")
        found += hmac.digest(secret, a + seed, "sha256")
    return found[:n]


def owner_psk(association: Association, name: bytes, owner: str, device: str) -> bytes:
    """What owner and Device derive from this session (OCF Security, owner PSK), with nothing of `lib`."""
    randoms = association.server_random + association.client_random
    block = p_hash(association.master, b"key expansion" + randoms, 96)
    return p_hash(block, name + UUID(owner).bytes + UUID(device).bytes, 16)


class Listed(NamedTuple):
    """One message as the list of decrypted messages has it; `path` with its query, "" for a response.

    `payload` is None (there is none) or (size, "cbor", the value as JSON) or (size, "raw", bytes).
    """

    time: float
    by_client: bool
    kind: str
    code: str
    mid: int
    token: bytes
    path: str
    options: list[tuple[int, str]]
    payload: tuple[int, str, Any] | None


def listed(name: str) -> list[Listed]:
    """The list beside the recording with this name."""
    text = (VECTORS / f"{name}.txt").read_text()
    pattern = r"^ +(\d+\.\d+) (\S+) > \S+ (CON|NON|ACK|RST) (\S+) mid=(\d+) tok=(\w*)\n((?:         .*\n)*)"
    found = []
    for match in re.finditer(pattern, text, re.MULTILINE):
        time, source, kind, code, mid, token, more = match.groups()
        lines = [line.strip() for line in more.splitlines()]
        path = lines[0].removeprefix("path=") if lines[0] != "response" else ""
        options = re.findall(r"\((\d+)\)=([^;]*)", lines[1].removeprefix("opts:"))
        payload = None
        if len(lines) > 2:
            form, size, value = re.fullmatch(r"(cbor|raw)\((\d+)\): (.*)", lines[2]).groups()
            payload = int(size), form, json.loads(value) if form == "cbor" else bytes.fromhex(value)
        numbered = [(int(number), value.strip()) for number, value in options]
        by_client = not source.startswith("127.0.0.1:")
        found.append(
            Listed(float(time), by_client, kind, code, int(mid), bytes.fromhex(token), path, numbered, payload)
        )
    assert len(found) == len(re.findall(r"^ +\d+\.\d+ ", text, re.MULTILINE)), "every message of the list is read"
    return found
