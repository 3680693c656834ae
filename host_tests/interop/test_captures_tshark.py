"""What `lib/dtls` and `lib/coap` put on the wire, for each suite, read by tshark: without an error, and decrypted."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from pathlib import Path

import pcap
import pytest
from certificates import Party
from coap.client import Client
from coap.endpoint import Endpoint
from coap.message import Response
from crypto import x509
from dtls.transport import DtlsTransport

SUITES = {
    "anonymous": 0xFF00,
    "ecdhe-psk": 0xC037,
    "psk": 0xC0A8,
    "certificates-ccm8": 0xC0AE,
    "certificates-ccm": 0xC0AC,
}
UNKNOWN = 0xFF00  # of OCF's own, without a number of IANA's: tshark cannot know how its records are protected
SERVER, CLIENT = ("10.77.0.1", 5684), ("10.77.0.2", 40000)
LONG = bytes(range(256)) * 10  # three blocks
ROOT = Party("Root", ca=True)
MIDDLE = Party("Middle", ROOT, ca=True)
ROLES = [("a.example", "role number %d" % i) for i in range(9)]  # with these a chain does not fit into one datagram
UUIDS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
LEAVES = [Party("uuid:" + uuid, MIDDLE, roles=ROLES) for uuid in UUIDS]
PSK = bytes(range(16))  # for as long as one test runs


class Credentials:
    """Those of one side."""

    def __init__(self, suite: int, leaf: Party) -> None:
        self.suite, self.leaf = suite, leaf

    def suites(self):
        return (self.suite,)

    def hint(self):
        return b"the server"

    def psk(self, identity):
        return (PSK, UUIDS[1]) if identity == b"the client" else None

    def psk_for(self, hint, address):
        return (b"the client", PSK, UUIDS[0]) if hint == b"the server" else None

    def certificate(self):
        key = self.leaf.key.private_numbers().private_value
        return [self.leaf.der, MIDDLE.der], key.to_bytes(32, "big")

    async def trust(self, chain):
        leaf = await x509.verify_chain(chain, [ROOT.der], "identity", None)
        return leaf.public, x509.uuid_of(leaf)

    def opened(self, session):
        pass

    closed = opened


class Wire:
    """One end of a wire between two in memory; what goes over it is kept in `captured`."""

    secure = False

    def __init__(self, own: tuple[str, int], captured: list[pcap.Datagram]) -> None:
        self.own, self.captured = own, captured
        self.other: Wire
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(self):
        return memoryview(await self._arrived.get()), self.other.own, False

    def send(self, data, peer) -> None:
        assert peer == self.other.own
        self.captured.append(pcap.Datagram(time.time(), self.own, peer, bytes(data)))
        self.other._arrived.put_nowait(bytes(data))

    def identity(self, peer):
        return None

    def close(self) -> None:
        pass


async def converse(suite: int) -> tuple[list[pcap.Datagram], str]:
    """(what went over the wire, key log): a handshake, requests with and without blocks, observation, close_notify."""
    captured: list[pcap.Datagram] = []
    wires = Wire(SERVER, captured), Wire(CLIENT, captured)
    wires[0].other, wires[1].other = wires[1], wires[0]
    server = DtlsTransport(wires[0], Credentials(suite, LEAVES[0]))
    client = DtlsTransport(wires[1], Credentials(suite, LEAVES[1]), False)

    def answer(request):
        if request.path == "/long":
            return Response(0x45, LONG, 42)
        return Response(
            0x44 if request.code == 2 else 0x45, b"\xa1\x65value\xf5", 60, "/light" if request.code == 1 else None
        )

    endpoints = Endpoint(server, answer), Endpoint(client)
    tasks = [asyncio.ensure_future(endpoint.run()) for endpoint in endpoints]
    session = await client.connect(SERVER)
    asking = Client(endpoints[1])
    assert (
        bytes((await asking.request(session, 1, "/light", query=("if=oic.if.baseline",))).payload)
        == b"\xa1\x65value\xf5"
    )
    assert bytes((await asking.request(session, 1, "/long")).payload) == LONG
    assert (await asking.request(session, 2, "/light", payload=b"\xa1\x65value\xf5", content_format=60)).code == 0x44
    replies = await asking.observe(session, "/light")
    await anext(replies)
    endpoints[0].notify("/light")
    await anext(replies)
    log = "CLIENT_RANDOM %s %s\n" % (session.randoms[32:].hex(), session.master.hex())
    client.drop(session)
    while server.sessions:
        await asyncio.sleep(0)
    for endpoint in endpoints:
        endpoint.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    return captured, log


def dissect(path: Path, log: str, *fields: str) -> list[dict[str, str]]:
    """What tshark makes of each frame: protocol, info, expert information, and `fields`; checksums are verified.

    Without a key log it is told the pre-shared key, and calculates the rest.
    """
    program = shutil.which("tshark")
    assert program, "captures are read with tshark, which is missing here: sudo apt-get install tshark"
    keys = path.with_suffix(".keylog")
    keys.write_text(log)
    names = ["_ws.col.Protocol", "_ws.col.Info", "_ws.expert.severity", "_ws.expert.message", "_ws.malformed", *fields]
    command = [program, "-n", "-r", str(path), "-T", "fields", "-E", "separator=/t"]
    psk = [f"dtls.psk:{PSK.hex()}"] if not log else []
    for option in (*psk, f"tls.keylog_file:{keys}", "udp.check_checksum:TRUE", "ip.check_checksum:TRUE"):
        command += ["-o", option]
    for name in names:
        command += ["-e", name]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return [dict(zip(names, line.split("\t"), strict=True)) for line in run.stdout.splitlines()]


def wrong(frames: list[dict[str, str]]) -> list[dict[str, str]]:
    """The frames that tshark complains of in any way: not only errors, also warnings and notes."""
    return [f for f in frames if f["_ws.expert.severity"] or f["_ws.malformed"] or "Malformed" in f["_ws.col.Info"]]


def write(path: Path, datagrams: list[pcap.Datagram]) -> Path:
    with pcap.Writer(path) as writer:
        for datagram in datagrams:
            writer.write(datagram)
    return path


def application(datagrams: list[pcap.Datagram]) -> int:
    return sum(datagram.data[0] == 23 for datagram in datagrams)


@pytest.fixture(scope="module")
def conversations() -> dict[int, tuple[list[pcap.Datagram], str]]:
    return {suite: asyncio.run(asyncio.wait_for(converse(suite), 60)) for suite in SUITES.values()}


@pytest.mark.parametrize("name", SUITES)
def test_every_frame_is_read_without_a_complaint(name, conversations, tmp_path):
    suite = SUITES[name]
    datagrams, log = conversations[suite]
    assert application(datagrams) >= 13
    path = write(tmp_path / "made.pcap", datagrams)
    frames = dissect(
        path, log, "dtls.handshake.type", "dtls.handshake.ciphersuite", "coap.code", "coap.opt.uri_path_recon"
    )
    assert len(frames) == len(datagrams) and wrong(frames) == []
    assert all(frame["_ws.col.Protocol"] in ("DTLS", "DTLSv1.2", "CoAP") for frame in frames)
    said = [kind for frame in frames for kind in frame["dtls.handshake.type"].split(",") if kind]
    known = ["1", "3", "1", *_handshake(suite)]
    assert list(dict.fromkeys(said)) == list(dict.fromkeys(k for k in known if suite != UNKNOWN or k != "20"))
    chosen = [f["dtls.handshake.ciphersuite"] for f in frames if "2" in f["dtls.handshake.type"].split(",")]
    assert int(chosen[0], 0) == suite
    coap = [frame for frame in frames if frame["_ws.col.Protocol"] == "CoAP"]
    hidden = [
        frame for frame in frames if "Encrypted" in frame["_ws.col.Info"] or "Application" in frame["_ws.col.Info"]
    ]
    if suite == UNKNOWN:
        assert not coap and len(hidden) == application(datagrams) + 4  # two Finished, two close_notify
        return
    assert hidden == [] and len(coap) == application(datagrams)
    codes = [int(frame["coap.code"]) for frame in coap]
    assert codes[:10] == [1, 0x45, 1, 0x45, 1, 0x45, 1, 0x45, 2, 0x44] and codes[10:12] == [1, 0x45]
    assert {frame["coap.opt.uri_path_recon"] for frame in coap} == {"/light", "/long"}
    assert "End of Block #2" in coap[7]["_ws.col.Info"]
    assert [f["_ws.col.Info"].count("Close Notify") for f in frames[-2:]] == [1, 1]


def _handshake(suite: int) -> list[str]:
    """Kinds of messages from ServerHello on, as they come."""
    certificates = suite in (0xC0AE, 0xC0AC)
    kinds = [2, 11, 12, 13, 14, 16, 15, 20] if certificates else [2, 12, 14, 16, 20]
    return [str(kind) for kind in kinds]


def test_a_long_message_goes_out_in_fragments_and_is_put_together(conversations, tmp_path):
    datagrams, log = conversations[0xC0AE]
    path = write(tmp_path / "made.pcap", datagrams)
    frames = dissect(path, log, "x509sat.uTF8String", "dtls.fragment.count")
    assert max(len(datagram.data) for datagram in datagrams) <= 1280
    assert any(frame["dtls.fragment.count"] for frame in frames)
    names = ",".join(frame["x509sat.uTF8String"] for frame in frames)
    assert (
        all("uuid:" + uuid in names for uuid in UUIDS) and "role number 8" in names
    )  # tshark has read the certificates


def test_the_master_secret_by_other_code(conversations, tmp_path):
    """Without a key log, from the pre-shared key: premaster secret, extended master secret and all keys are tshark's own."""
    datagrams, _ = conversations[0xC0A8]
    frames = dissect(write(tmp_path / "made.pcap", datagrams), "", "dtls.handshake.extension.type")
    assert wrong(frames) == []
    assert [f["_ws.col.Protocol"] for f in frames].count("CoAP") == application(datagrams)
    assert all(
        "23" in frames[i]["dtls.handshake.extension.type"].split(",") for i in (2, 3)
    )  # RFC 7627 in both hellos


def test_what_is_wrong_is_seen(conversations, tmp_path):
    """Otherwise the tests above would say nothing: another key, a length that lies, a checksum that is off."""
    datagrams, log = conversations[0xC037]
    path = write(tmp_path / "made.pcap", datagrams)
    other = log[:-3] + ("00\n" if log[-3:-1] != "00" else "11\n")
    assert not [f for f in dissect(path, other) if f["_ws.col.Protocol"] == "CoAP"]

    hello = bytearray(datagrams[3].data)
    hello[13 + 12 + 34] += 1  # the length of the session's name in ServerHello
    lying = [*datagrams[:3], datagrams[3]._replace(data=bytes(hello)), *datagrams[4:]]
    assert wrong(dissect(write(tmp_path / "lying.pcap", lying), log))

    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    (tmp_path / "damaged.pcap").write_bytes(content)
    assert "Bad checksum" in str(wrong(dissect(tmp_path / "damaged.pcap", log)))
