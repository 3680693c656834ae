"""The recorded client against our Device: its datagrams, as they were, through DTLS, CoAP and the security Resources.

Its protected records are opened by our server with the recorded master secret; what it says in a handshake is compared with
what our Device would agree to. Answers are held against those of the reference server.
"""

import asyncio
import os
from types import SimpleNamespace

import pytest
from cbor.decoder import decode
from coap.endpoint import Endpoint
from coap.message import parse
from cryptography import x509
from dtls.handshake import establish
from dtls.hello import ClientHello
from dtls.transport import DtlsTransport
from dtls.wire import Reader
from ocf import core
from ocf.device import Device
from ocf.pstat import RESET, RFNOP, RFOTM, Pstat
from ocf.resource import Property, Resource
from ocf.security import Security
from ocf.uuids import raw
from ocf_rig import MemoryStore
from recording import (
    ALERT,
    APPLICATION,
    CLIENT_HELLO,
    CLIENT_KEY_EXCHANGE,
    FINISHED,
    HANDSHAKE,
    SERVER_KEY_EXCHANGE,
    cut,
    load,
    owner_psk,
)
from swupdate.machine import fresh
from swupdate.manager import Updater
from swupdate.status import software_update

GROUP = "224.0.1.187"
PIN_NAME = b"oic.sec.doxm.rdp"
PIID = "7c9d9c2e-3a6b-4c1f-9a80-6f2f3f5f0b11"
# path -> (recorded code, ours): what is meant to differ.
DIFFERENCES = {
    "/oic/sec/ael": (0x81, 0x84),  # auditing is optional, and Fargo has none
}
# Members of representations that cannot or need not be the same.
OTHER = ("/oic/res", "/oic/sec/cred")  # other Resources; other credentials, of the maker of the reference server
OWN = {
    "oxms", "sct",  # other methods and credential types
    "aceid", "csr",  # made by the Device
    "di", "piid", "n", "icv", "sv", "pi", "mnmn", "mnfv", "x.org.iotivity.version", "urlInfo",
    "lastupdate", "updatetime", "nv", "swupdatestate", "swupdateresult", "swupdateaction",  # the reference plays an update
}  # fmt: skip


class Wire:
    """A transport in the clear without a network: `arrived` is what is to be received, `left` what was sent."""

    secure = False

    def __init__(self):
        self.arrived = asyncio.Queue()
        self.left = []

    async def receive(self):
        data, peer, multicast = await self.arrived.get()
        return memoryview(data), peer, multicast

    def send(self, data, peer):
        self.left.append((bytes(data), peer))

    def identity(self, peer):
        return None

    def close(self):
        pass


class Switch(Resource):
    href, rt = "/switch", ("oic.r.switch.binary",)
    properties = (Property("value", bool, "rw"),)
    value = False


class Player:
    """Our Device, and whoever plays a recording to it."""

    def __init__(self, recording):
        self.recording = recording
        self.clear, self.secured = Wire(), Wire()
        self.compared = []  # (path, code, recorded code)
        self.bodies = 0  # representations that were compared
        self.hellos = []  # suite that our Device would have agreed to, for each association
        self.finished = {}  # token of a GET in blocks -> whether our representation has ended
        store = self.store = MemoryStore()
        self.pstat = Pstat(store)
        self.pins = []
        settings = {"mfgcert": None, "mfgtrust": [], "pin": self.pins.append, "now": lambda: 0}
        self.security = Security(store, self.pstat, os.urandom, settings)
        device = self.device = self.security.device = Device(self.security, self.security.uuid)
        clock = SimpleNamespace(now=lambda: 1795430468, on_trusted=[])
        slots = SimpleNamespace(
            running="ota_0", other="ota_1", confirmed=True, label=lambda slot: {}, valid=lambda slot: 0
        )
        updater = Updater(store, clock, slots, self.pstat, None, {}, None)
        updater.state = fresh()
        self.pstat.on_tm = updater.target
        self.pstat.on_state = self.state_changed
        info = core.device_info(core.configuration(MemoryStore()), "lamp", PIID, "1.0.0")
        platform = core.platform(PIID, "Fargo", "1.0.0")
        svrs = (self.pstat, *self.security.resources)
        for resource in (
            core.discovery(),
            info,
            platform,
            core.introspection(),
            *svrs,
            software_update(updater),
            Switch(),
        ):
            device.add(resource)
        device.endpoints = lambda resource, request: ["coaps://10.77.0.1:33799"]
        self.dtls = DtlsTransport(self.secured, self.security)
        device.coap = [Endpoint(self.clear, device.handle, leisure=1), Endpoint(self.dtls, device.handle)]

    def state_changed(self, state):
        self.security.entered(state)
        if state == RESET:
            self.dtls.drop_all()

    async def play(self):
        """All of the recording, in its order."""
        tasks = [asyncio.ensure_future(endpoint.run()) for endpoint in self.device.coap]
        client = self.recording.associations[0].client
        secured = self.recording.associations[0].server[1]
        coming = iter(self.recording.associations + self.recording.unanswered)
        association = None
        try:
            for datagram in self.recording.datagrams:
                if datagram.source[0] != client[0]:
                    continue
                if datagram.destination[1] != secured:
                    await self.in_the_clear(datagram)
                    continue
                for data in cut(datagram.data):
                    if data[3:5] == b"\0\0" and data[0] == HANDSHAKE and data[13] == CLIENT_HELLO:
                        if data[17:19] == b"\0\0":  # the first of a handshake; the last one is sent again and again
                            association = next(coming, association)
                        await self.greeted(association, data)
                    elif data[3:5] == b"\0\1":
                        await self.protected(association, data)
        finally:
            for endpoint in self.device.coap:
                endpoint.close()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self

    # In the clear

    async def in_the_clear(self, datagram):
        request = parse(datagram.data)
        multicast = datagram.destination[0] == GROUP
        recorded = self.answer_of(
            [(d.data) for d in self.recording.datagrams if d.destination == datagram.source], request
        )
        if recorded is None or not multicast and datagram.destination[1] == 5683:
            return  # nobody answered: the same once more over IPv6, or while the server was busy with its reset
        self.clear.arrived.put_nowait((datagram.data, datagram.source, multicast))
        await self.answered(self.clear, request, recorded, lambda data: data)

    # DTLS

    async def greeted(self, association, data):
        """A ClientHello: our Device asks for a cookie, or, where it has no suite to offer, stays silent."""
        body = data[25:]
        if self.security.oxmsel == 1 and self.pstat.state == RFOTM:
            await until(lambda: self.security.pin_key)
        ready = self.security.suites()
        before = len(self.secured.left)
        self.secured.arrived.put_nowait((data, association.client, False))
        for _ in range(5):
            await asyncio.sleep(0)
        answers = [answer for answer, peer in self.secured.left[before:]]
        assert [answer[13] for answer in answers] == ([3] if ready else []), "HelloVerifyRequest, or nothing"
        if ClientHello(body).cookie or not ready:
            self.hellos.append(ClientHello(body).choose(ready))

    async def protected(self, association, data):
        if data[0] == HANDSHAKE:
            self.establish(association, data)
            return
        session = self.dtls.sessions.get(association.client)
        self.secured.arrived.put_nowait((data, association.client, False))
        content = bytes(association.tools[True].unseal(data))
        if data[0] == ALERT:
            if session:
                await until(lambda: not session.open)
            return
        assert data[0] == APPLICATION
        request = parse(content)
        if not 0 < request.code < 32:
            return  # it acknowledges what the reference server sent
        if request.path == "/oic/sec/csr":
            self.borrow_key(association)
        if request.block2 is not None and request.block2 >> 4 and self.finished[request.token]:
            return  # our representation is shorter
        recorded = self.answer_of(self.opened(association), request)
        await self.answered(self.secured, request, recorded, association.tools[False].unseal)

    def establish(self, association, finished):
        """A handshake ends: our Device would have had the key for it, and its DTLS has the session from now on."""
        session = association.session(server=True)
        session.address = association.client
        if association.suite == 0xC037:
            hint = Reader(association.said(SERVER_KEY_EXCHANGE)).vector(2)
            identity = Reader(association.said(CLIENT_KEY_EXCHANGE)).vector(2)
            session.psk, session.uuid = self.security.psk(identity)
            own = self.security.hint()
            if self.pstat.state == RFOTM:  # the UUID is drawn by each Device itself
                assert (own[:17], own[17:], identity) == (PIN_NAME + b":", raw(self.security.uuid), PIN_NAME)
                assert hint[:17] == own[:17] and session.uuid is None
            else:
                assert own == hint and raw(session.uuid) == identity
        assert session.unseal(finished)[0] == FINISHED
        establish(self.dtls, session)
        assert self.dtls.sessions[association.client] is session and session.open
        # What opens the records of the client and of our Device: each is the other's side.
        association.tools = {True: association.session(server=True), False: association.session(server=False)}

    def opened(self, association):
        """What the reference server said in an association."""
        session = association.session(server=False)
        found = [(r.content, bytes(session.unseal(r.data))) for r in association.protected(False)]
        return [content for kind, content in found if kind == APPLICATION]

    def borrow_key(self, association):
        """Give our Device the identity key of the recorded one: of that, the public half is in the recording.

        So the certificate that the tool issues fits. The private half is another, and nothing here is verified with it.
        """
        requests = [m for m in map(parse, self.opened(association)) if b"CERTIFICATE REQUEST" in m.payload]
        pem = decode(requests[0].payload)["csr"]
        numbers = x509.load_pem_x509_csr(pem.encode()).public_key().public_numbers()
        public = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        self.store.save("key", bytes(31) + b"\1" + public)

    # Answers

    def answer_of(self, datagrams, request):
        """The first message with a code in `datagrams` that answers `request`, or None."""
        found = [m for m in map(parse, datagrams) if m and m.code >= 0x40 and m.token == request.token]
        if request.block2 is not None and request.block2 >> 4:
            found = [m for m in found if m.block2 is not None and m.block2 >> 4 == request.block2 >> 4]
        return found[0] if found else None

    async def answered(self, wire, request, recorded, opened):
        """Wait for our answer, and compare."""
        seen = len(wire.left)
        answer = None
        while answer is None:
            await until(lambda count=seen: len(wire.left) > count)
            content = opened(wire.left[seen][0])
            seen += 1
            message = parse(bytes(content)) if content is not None else None
            if message and message.token == request.token and message.code >= 0x40:
                answer = message
        assert answer.type == recorded.type or request.block2, "an acknowledgement, or where the request was NON, NON"
        if answer.type == 2:
            assert answer.mid == request.mid
        assert (answer.observe is None) is (recorded.observe is None)
        if answer.code < 0x80:  # a refusal of ours says why
            assert (answer.content_format, answer.ocf_version) == (recorded.content_format, recorded.ocf_version)
        more = answer.block2 is not None and answer.block2 & 8
        self.finished[request.token] = not more
        self.compared.append((request.path, answer.code, recorded.code))
        assert DIFFERENCES.get(request.path, (recorded.code,) * 2) == (recorded.code, answer.code), request.path
        whole = answer.block2 is None and recorded.block2 is None
        if whole and answer.code == 0x45 and request.path not in OTHER:
            self.bodies += 1
            ours, theirs = common(decode(answer.payload)), common(decode(recorded.payload))
            if wire is self.clear:
                ours.pop("deviceuuid", None), theirs.pop("deviceuuid", None)  # before the tool has given one
            assert ours == theirs, request.path


def common(value):
    if isinstance(value, dict):
        return {key: common(item) for key, item in value.items() if key not in OWN}
    return [common(item) for item in value] if isinstance(value, list) else value


async def until(predicate):
    async with asyncio.timeout(10):
        while not predicate():
            await asyncio.sleep(0)


@pytest.fixture(scope="module")
def played():
    """name -> Player that has played it, once for all tests."""
    found = {}

    def get(name):
        if name not in found:
            found[name] = asyncio.run(_play(name))
        return found[name]

    return get


async def _play(name):
    return await Player(load(name)).play()


OWNER = "45ad7a67-d3a5-477a-6a2b-77ed2b737f25"


def test_just_works(played):
    """Discovery, ownership, rights, reads, observation, the update's UPDATE."""
    player = played("obt-just-works")
    security = player.security
    assert player.hellos == [0xFF00, 0xC037, 0xC037]
    assert (len(player.compared), player.bodies) == (46, 16)
    assert player.pstat.state == RFNOP and security.owned and security.devowner == OWNER
    assert [path for path, ours, recorded in player.compared if ours != recorded] == ["/oic/sec/ael"]
    refused = [path for path, _, recorded in player.compared if recorded == 0x81]
    assert refused == [
        "/oc/swu",
        "/oc/swu",
        "/oic/sec/sdi",
        "/oic/sec/ael",
    ]  # without an entry, in the clear, and two SVRs
    assert player.device.find("/oc/swu").get()[0] == ("purl", "https://example.com/fw.bin")


def test_the_owners_psk_is_the_one_that_the_tool_must_have(played):
    """By other code. That it must be this one is what OCF says: the recording does not hold the tool's."""
    player = played("obt-just-works")
    found = owner_psk(player.recording.associations[0], b"oic.sec.doxm.jw", OWNER, player.security.uuid)
    assert player.security.psk(raw(OWNER)) == (found, OWNER)


def test_the_nul_behind_a_uuid_is_no_part_of_it(played):
    """The tool writes the subject of its entry for /oc/swu with a NUL at its end; so it was found, and 2.05 came."""
    entries = [ace for ace in played("obt-just-works").security.aces if "/oc/swu" in ace["resources"]]
    assert [ace["subject"] for ace in entries] == [("uuid", OWNER)]


def test_update(played):
    """Certificates, wildcard entries, hard reset, ownership by PIN, hard reset, and what is refused without an owner."""
    player = played("obt-update")
    security = player.security
    assert player.hellos == [0xFF00] + 5 * [0xC037] + 6 * [None]  # the last: nobody has chosen a transfer method
    assert (len(player.compared), player.bodies) == (68, 15)
    assert all(ours == recorded for _, ours, recorded in player.compared)
    assert player.compared[-9:] == [
        ("/oic/sec/doxm", 0x80, 0x80), ("/oic/sec/doxm", 0x80, 0x80), ("/oic/sec/doxm", 0x80, 0x80),
        ("/oic/sec/pstat", 0x81, 0x81), ("/oic/res", 0x45, 0x45), ("/oic/res", 0x45, 0x45), ("/oic/res", 0x45, 0x45),
        ("/oic/sec/sp", 0x81, 0x81), ("/switch", 0x81, 0x81),
    ]  # fmt: skip
    assert player.pstat.state == RFOTM and not security.owned and not security.creds and not security.aces
    assert len(player.pins) == 1 and player.store.load("key") is None
