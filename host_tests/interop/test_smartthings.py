"""The device with smartthings-local: an OCF Client with a DTLS of its own, made for Samsung's appliances.

Its identity is the 16 bytes of a UUID, its one suite is 0xC037, its requests name the content format 60 and no version of
OCF's. What it does with accounts and certificates of Samsung's is left out. The device is the simulated board: what
answers is MicroPython, running what is in the flash.
"""

import contextlib
import secrets
import threading
import time
import uuid

import cbor2
import pytest
from certificates import Party
from cryptography.hazmat.primitives import serialization
from interop.granted import Psk, grant, owner
from loopback import port as free_port
from sim.rig import PSTAT, SWU
from smartthings_local.errors import SessionError
from smartthings_local.protocol import dtls_probe, ocf_discovery, ocf_multicast
from smartthings_local.protocol.auth import PskAuth
from smartthings_local.protocol.dtls_session import DtlsCoapSession

PORT = 5684
CONTENT, CHANGED, DELETED = 0x45, 0x44, 0x42
BAD_REQUEST, UNAUTHORIZED, NOT_FOUND, NOT_ALLOWED = 0x80, 0x81, 0x84, 0x85
GOOD = {"purl": "https://myvendor/newversion", "swupdateaction": "idle", "updatetime": "none"}
# Zero bytes in it, which C libraries take for the end of an identity.
CLIENT = "7b00c2d4-0000-4ab1-9c00-2f6e8a1d5c00"
LAMPLIGHTER = "1d8f6b0a-52c7-4e39-8f14-0c9b7a6e3d21"
WAIT = 40


@pytest.fixture(scope="module")
def psk(rig):
    """What a Client has that may update the device."""
    return grant(rig, CLIENT, {22: ("/oc/swu", "/fargo/update", "/lamp", "/oic/sec/pstat")})


def auth(psk):
    return PskAuth(identity=uuid.UUID(psk.uuid).bytes, key=psk.key)


def parts(path):
    return path.strip("/").split("/")


class Deliveries:
    """What the Client was told about what it observes."""

    def __init__(self):
        self.all = []
        self.errors = []
        self._news = threading.Condition()

    def add(self, delivery):
        with self._news:
            self.all.append(delivery)
            self._news.notify_all()

    def fail(self, href, code):
        with self._news:
            self.errors.append((href, code))
            self._news.notify_all()

    def of(self, path):
        return [d for d in self.all if d.href == "/" + path]

    def values(self, path):
        return [cbor2.loads(d.payload) for d in self.of(path)]

    def until(self, predicate, timeout=WAIT):
        """Wait until `predicate()` is true."""
        with self._news:
            assert self._news.wait_for(predicate, timeout), (self.all, self.errors)

    def distinct(self, path, name):
        """The values of a Property, without repetitions in a row."""
        found = [value[name] for value in self.values(path)]
        return [v for i, v in enumerate(found) if not i or found[i - 1] != v]


@contextlib.contextmanager
def session(rig, psk, abandon=False, **options):
    """A session of the foreign Client's; `told` has its notifications. `abandon`: its end is not announced."""
    told = Deliveries()
    opened = DtlsCoapSession(
        rig.stage.address,
        PORT,
        auth=auth(psk),
        rate_limit_rps=1000,
        on_observe_delivery=told.add,
        on_observe_error=told.fail,
        **options,
    )
    opened.told = told
    opened.connect(timeout=WAIT)
    try:
        opened.start_reader()
        yield opened
    finally:
        (opened.abort if abandon else opened.close)()


def get(opened, path, *query):
    code, payload = opened.get(parts(path), query=query)
    assert code == CONTENT, (code, payload)
    return cbor2.loads(payload)


def post(opened, path, value):
    return opened.post(parts(path), cbor2.dumps(value))


def clear(rig, path):
    """What the device shows to everybody."""
    found = ocf_discovery.read_plaintext_ocf_resource(rig.stage.address, path, timeout=WAIT / 2)
    assert found.complete
    return found


def test_discovery(rig):
    """By multicast, in each of the ways that it asks, down to the port of DTLS."""
    (known,) = rig.stage.identity.devices.values()
    found = ocf_multicast.discover_ocf_responders(
        rig.stage.address, interface_address="127.0.0.1", timeout=10, rounds=1
    )
    (responder,) = found.responders
    assert (responder.di, responder.name, responder.plaintext_port) == (known.uuid, "Fargo demo", 5683)
    assert ocf_multicast.secure_ports_for_di(found.responders, known.uuid) == (PORT,)
    for order in ("doxm-first", "directory-first"):
        ports = ocf_discovery.discover_ocf_secure_ports(rig.stage.address, order=order, timeout=WAIT / 2)
        assert ports.ports == (PORT,) and ports.attempts == (1 if order == "doxm-first" else 3)


def test_a_probe_of_the_port(rig, psk):
    """A ClientHello without a cookie, and then a handshake that is looked at."""
    found = dtls_probe.probe_dtls_port(rig.stage.address, PORT, timeout=WAIT / 2)
    assert found.is_dtls_server and found.response_kind == "hello_verify_request"
    found = dtls_probe.diagnose_dtls_handshake(rig.stage.address, PORT, auth=auth(psk), timeout=WAIT / 2)
    assert found.outcome == dtls_probe.COMPLETED and found.alert is None
    flight = ["HelloVerifyRequest", "ServerHello", "ServerKeyExchange", "ServerHelloDone"]
    assert found.handshake_msgs == flight


def test_requests(rig, psk):
    """RETRIEVE, UPDATE and DELETE, with queries and with OCF's options, and what is refused."""
    with session(rig, psk) as opened:
        swu = get(opened, SWU)
        assert swu["swupdatestate"] == "idle"
        baseline = get(opened, SWU, "if=oic.if.baseline")
        assert baseline["rt"] == ["oic.r.softwareupdate"] and swu.items() <= baseline.items()
        versioned = opened.get(parts(SWU), extra_options=((2049, b"\x08\x00"),))
        assert versioned == (CONTENT, cbor2.dumps(swu))
        code, payload = post(opened, SWU, GOOD)
        assert code == CHANGED and cbor2.loads(payload) == get(opened, SWU)
        assert cbor2.loads(payload)["purl"] == GOOD["purl"]
        versions = ((2049, b"\x08\x00"), (2053, b"\x08\x00"))
        assert opened.post(parts(SWU), cbor2.dumps(GOOD), extra_options=versions)[0] == CHANGED
        assert post(opened, "lamp", {"value": True})[0] == CHANGED and get(opened, "lamp") == {"value": True}
        assert post(opened, "lamp", {"value": False})[0] == CHANGED and get(opened, "lamp") == {"value": False}
        assert post(opened, SWU, {"purl": GOOD["purl"]})[0] == BAD_REQUEST
        assert opened.post(parts(SWU), b"\xff")[0] == BAD_REQUEST
        assert post(opened, SWU, {**GOOD, "purl": "https://h/" + "x" * 2000})[0] == BAD_REQUEST  # in two blocks
        assert opened.get(parts("oc/no-such"))[0] == NOT_FOUND
        assert opened.get(parts(SWU), query=["if=oic.if.a"])[0] == BAD_REQUEST
        assert opened.delete(parts(SWU))[0] == UNAUTHORIZED
        opened.ping()
        assert get(opened, SWU)["purl"] == GOOD["purl"]


def test_what_is_in_the_clear(rig):
    assert cbor2.loads(clear(rig, "/oic/d").payload)["n"] == "Fargo demo"
    assert clear(rig, "/oic/p").code == CONTENT
    for path in ("/oc/swu", "/fargo/update", "/lamp", "/oic/sec/cred", "/oic/sec/pstat", "/oic/sec/doxm"):
        assert clear(rig, path).code == UNAUTHORIZED


def test_large_representations(rig, psk):
    """All links: three blocks, the same in the clear and over DTLS. A query cuts them to one."""
    directory = clear(rig, "/oic/res")
    assert directory.blocks_received == 3
    with session(rig, psk) as opened:
        code, payload = opened.get(parts("oic/res"))
        assert (code, payload) == (CONTENT, directory.payload)
        (link,) = get(opened, "oic/res", "rt=oic.r.softwareupdate")
        assert link["href"] == "/oc/swu"


def test_an_owner_provisions_in_blocks(rig):
    """As the owner: certificates of authorities, 1.5 KB of them in one UPDATE, and what is read afterwards."""
    pem = b"".join(
        party.certificate.public_bytes(serialization.Encoding.PEM)
        for party in (Party("First authority", ca=True), Party("Second authority", ca=True))
    ).decode()
    entry = {
        "credtype": 8,
        "subjectuuid": "*",
        "credusage": "oic.sec.cred.trustca",
        "publicdata": {"encoding": "oic.sec.encoding.pem", "data": pem},
    }
    body = cbor2.dumps({"creds": [entry]})
    assert len(body) > 1024
    with session(rig, owner(rig)) as opened:
        assert opened.post(parts("oic/sec/cred"), body)[0] == BAD_REQUEST  # not in normal operation
        assert post(opened, PSTAT, {"dos": {"s": 2}})[0] == CHANGED
        try:
            assert opened.post(parts("oic/sec/cred"), body)[0] == CHANGED
        finally:
            assert post(opened, PSTAT, {"dos": {"s": 3}})[0] == CHANGED
        code, payload = opened.get(parts("oic/sec/cred"))
        assert code == CONTENT and len(payload) > 1024
        creds = cbor2.loads(payload)["creds"]
        (kept,) = [cred for cred in creds if cred["credtype"] == 8]
        assert kept["publicdata"]["data"].split() == pem.split()
        keys = [cred for cred in creds if cred["credtype"] == 1]
        assert keys and all(cred["privatedata"]["data"] == b"" for cred in keys)
        assert post(opened, PSTAT, {"dos": {"s": 2}})[0] == CHANGED
        try:
            assert opened.delete(parts("oic/sec/cred"), query=[f"credid={kept['credid']}"])[0] == DELETED
        finally:
            assert post(opened, PSTAT, {"dos": {"s": 3}})[0] == CHANGED
        assert all(cred["credtype"] == 1 for cred in get(opened, "oic/sec/cred")["creds"])


def test_observation(rig, psk):
    """Each change is told once and in order, in the answer of the registration too; not after the end."""
    with session(rig, psk) as opened, session(rig, psk) as other:
        told = opened.told
        opened.subscribe(parts("lamp"))
        told.until(lambda: told.of("lamp"))
        for i in range(6):
            assert post(other, "lamp", {"value": i % 2 == 0})[0] == CHANGED
            told.until(lambda i=i: len(told.of("lamp")) == i + 2)
        deliveries = told.of("lamp")
        assert [value["value"] for value in told.values("lamp")] == [False, *[True, False] * 3]
        assert [d.registration for d in deliveries] == [True] + [False] * 6
        sequence = [d.sequence for d in deliveries]
        assert sequence == sorted(set(sequence)) and not any(d.legacy for d in deliveries)
        assert opened.unsubscribe(parts("lamp")) == 1
        assert get(opened, "lamp") == {"value": False}  # the device has seen the end by now
        assert post(other, "lamp", {"value": True})[0] == CHANGED
        opened.subscribe(parts(SWU))
        told.until(lambda: told.of(SWU))
        assert len(told.of("lamp")) == 7
        # a notification in blocks: the Client fetches the rest
        opened.subscribe(parts("oic/res"))
        told.until(lambda: told.of("oic/res"))
        assert told.values("oic/res") == [get(opened, "oic/res")] and told.errors == []
        assert post(other, "lamp", {"value": False})[0] == CHANGED


def test_rights(rig, psk):
    """A key opens the door; what is behind it is another matter."""
    limited = grant(rig, LAMPLIGHTER, {2: ("/lamp",)})
    with session(rig, limited) as opened:
        assert get(opened, "lamp") == {"value": False}
        for path in (SWU, "fargo/update", "oic/sec/cred", "oic/sec/acl2", PSTAT):
            assert opened.get(parts(path))[0] == UNAUTHORIZED
        assert post(opened, "lamp", {"value": True})[0] == UNAUTHORIZED
        assert post(opened, SWU, GOOD)[0] == UNAUTHORIZED
        opened.subscribe(parts(SWU))
        opened.told.until(lambda: opened.told.errors)
        assert opened.told.errors == [("/oc/swu", UNAUTHORIZED)] and opened.told.all == []
        assert get(opened, "oic/d")["n"] == "Fargo demo"


def test_wrong_keys_and_unknown_names(rig, psk):
    """Refused by an alert, at once, and nobody else is troubled."""
    wrong = bytes(a ^ 1 for a in psk.key)
    stranger = str(uuid.uuid4())
    with session(rig, psk) as opened:
        began = time.monotonic()
        for name, key in ((psk.uuid, wrong), (stranger, psk.key), (psk.uuid, psk.key * 2)):
            with pytest.raises(SessionError), session(rig, Psk(name, key)):
                pass
        assert time.monotonic() - began < WAIT
        assert get(opened, SWU)["swupdatestate"] == "idle"


def test_a_client_that_starts_anew(rig, psk):
    """From the port of a session whose end nobody heard of (RFC 6347, 4.2.8)."""
    port = free_port()
    for _ in range(3):
        with session(rig, psk, abandon=True, local_port=port) as opened:
            opened.subscribe(parts(SWU))
            opened.told.until(lambda opened=opened: opened.told.of(SWU))
    with session(rig, psk, local_port=port) as opened:
        secret = secrets.token_hex(8)
        assert post(opened, SWU, {**GOOD, "purl": "https://h/" + secret})[0] == CHANGED
        assert get(opened, SWU)["purl"] == "https://h/" + secret


def test_an_update(rig, psk):
    """From the release's URL to the new version: UPDATE of /oc/swu alone, observed through all states."""
    rig.stage.release("1.1.0", 2, firmware=True)
    url = rig.stage.url("1.1.0")
    with session(rig, psk, abandon=True) as opened:
        told = opened.told
        assert post(opened, SWU, GOOD)[0] == CHANGED
        before = get(opened, "oic/d")
        opened.subscribe(parts(SWU))
        opened.subscribe(parts(PSTAT))
        told.until(lambda: told.of(SWU) and told.of(PSTAT))
        now = {"purl": url, "swupdateaction": "upgrade", "updatetime": "now"}
        assert post(opened, SWU, now)[0] == CHANGED
        told.until(lambda: told.values(SWU)[-1]["swupdatestate"] == "upgrading", 40)
        told.until(lambda: told.values(PSTAT)[-1]["cm"] == 448)
        assert told.distinct(SWU, "swupdatestate") == ["idle", "svv", "sva", "upgrading"]
        assert told.distinct(PSTAT, "cm") == [0, 256, 320, 448]
    rig.board.wait_log("1.1.0 is kept", 40)
    with session(rig, psk) as opened:
        after = get(opened, SWU)
        assert (after["swupdatestate"], after["swupdateresult"], after["purl"]) == ("idle", 1, url)
        assert get(opened, "oic/d") == {**before, "sv": "1.1.0"} and before["sv"] == "1.0.0"
