"""libcoap with a PSK and the device: as Clients (through OpenSSL and through GnuTLS), and as servers of releases.

The device is the simulated board; where it fetches from libcoap's server, also its own code run by CPython.
"""

import asyncio
import re
import secrets
import uuid

import cbor2
import pytest
from interop.granted import Psk, grant
from interop.libcoap import PROGRAMS, Follower, Libcoap, Server, answered, format_of, without
from loopback import address
from sim.rig import SWU
from swupdate.faults import Fault

from firmware.sources import open_source
from firmware.trust import ServerTrust

GOOD = {"purl": "https://myvendor/newversion", "swupdateaction": "idle", "updatetime": "none"}
CLIENT = "3e5d1a90-77c4-4b1e-a2f8-6d90c5b4e712"
LAMPLIGHTER = "b6f2a9c1-13de-4c57-9b40-e1a85d7f2c66"
SERVER = "5a7c3e19-8f24-4d6b-b0c3-92e4f71a6d58"
DEVICE = "c1e9b4d7-36a2-4f85-8d1b-7a60f3e25c94"
BODY = bytes(i * 7 % 251 for i in range(50_000))


@pytest.fixture(scope="module")
def psk(rig):
    return grant(rig, CLIENT, {22: ("/oc/swu", "/fargo/update", "/lamp", "/oic/sec/pstat")}, printable=True)


@pytest.fixture(params=PROGRAMS)
def libcoap(request, rig, psk, tmp_path):
    return Libcoap(rig.stage.address, tmp_path, psk, request.param)


def other(libcoap, rig, tmp_path, psk):
    """The same program as another Client."""
    return Libcoap(rig.stage.address, tmp_path, psk, libcoap.command[0].rpartition("/")[2])


def test_requests(rig, libcoap, tmp_path):
    """RETRIEVE and UPDATE, their content formats, and what is refused."""
    swu = libcoap.get(SWU)
    assert swu["swupdatestate"] == "idle" and libcoap.get(SWU, "-N") == swu
    for accept in ("60", "10000"):
        payload, printed = libcoap.ask(SWU, "-A", accept, "-v", "7")
        assert cbor2.loads(payload) == swu and [format_of(accept) in o for o in answered(printed)] == [True]
    assert libcoap.get("oic/res") == Libcoap(rig.stage.address, tmp_path).get("oic/res")
    for content_format in ("60", "10000"):
        purl = f"https://format-{content_format}.example/"
        payload, _ = libcoap.post(SWU, {**GOOD, "purl": purl}, content_format=content_format)
        assert cbor2.loads(payload)["purl"] == purl and libcoap.get(SWU)["purl"] == purl
    assert "4.15" in libcoap.post(SWU, GOOD, content_format="50")[1]
    assert "4.06" in libcoap.ask(SWU, "-A", "50")[1]
    assert "4.04" in libcoap.ask("oc/no-such")[1]
    assert "4.00" in libcoap.post(SWU, b"\xff")[1]


def test_versions_of_ocf(libcoap, tmp_path):
    """Option 2053 goes only to who knows of it: to libcoap it is critical and unknown, so that it drops the answer."""
    _, printed = libcoap.ask(SWU, "-v", "7", "-A", "10000")
    (options,) = answered(printed)
    assert "2053" not in options
    asked = ("-A", "10000", "-O", "2049,0x0800")
    printed = libcoap.ask_until("unknown critical option 2053", SWU, *asked)
    assert [format_of("10000") in o and "2053:\\x08\\x00" in o for o in answered(printed)] == [True]
    purl = "https://versions/" + secrets.token_hex(4)
    (tmp_path / "body").write_bytes(cbor2.dumps({**GOOD, "purl": purl}))
    sent = ("-m", "post", "-t", "10000", "-f", str(tmp_path / "body"), *asked, "-O", "2053,0x0800")
    libcoap.ask_until("unknown critical option 2053", SWU, *sent)
    assert libcoap.get(SWU)["purl"] == purl


def test_names_of_a_client(rig, libcoap, psk, tmp_path):
    """An identity is a UUID's text, or its 16 bytes."""
    named = other(libcoap, rig, tmp_path, psk)
    at = named.command.index(psk.uuid)
    command = [part.encode(errors="surrogateescape") for part in named.command]
    named.command = [*command[:at], uuid.UUID(psk.uuid).bytes, *command[at + 1 :]]
    assert named.get(SWU) == libcoap.get(SWU)


def test_who_is_not_let_in(rig, libcoap, psk, tmp_path):
    """A key that is not the right one gets nothing; a name that nobody knows the alert unknown_psk_identity."""
    wrong = other(libcoap, rig, tmp_path, Psk(psk.uuid, secrets.token_hex(8).encode()))
    payload, printed = wrong.ask(SWU, "-A", "10000")
    assert not payload and "cannot send CoAP pdu" in printed, printed  # there was no session to send it in
    for name in (str(uuid.uuid4()), "somebody", psk.uuid[:-1], psk.uuid + "0"):
        payload, printed = other(libcoap, rig, tmp_path, Psk(name, psk.key)).ask(SWU, "-A", "10000")
        assert not payload and re.search("unknown PSK identity|'115'", printed), printed
    assert libcoap.get(SWU)["swupdatestate"] == "idle"


def test_rights(rig, psk, tmp_path):
    """4.01 for who has no right, and for everybody in the clear."""
    libcoap = Libcoap(rig.stage.address, tmp_path, psk)
    limited = Libcoap(rig.stage.address, tmp_path, grant(rig, LAMPLIGHTER, {2: ("/lamp",)}, printable=True))
    assert limited.get("lamp") == {"value": False}
    clear = Libcoap(rig.stage.address, tmp_path)
    assert clear.get("oic/d") == limited.get("oic/d") == libcoap.get("oic/d")
    for path in (SWU, "oic/sec/cred"):
        assert "4.01" in limited.ask(path)[1] and "4.01" in clear.ask(path)[1]
    assert "4.01" in clear.ask("lamp")[1]
    for one in (limited, clear):
        assert "4.01" in one.post("lamp", {"value": True})[1]
        assert "4.01" in one.post(SWU, GOOD)[1]
    assert libcoap.get("lamp") == {"value": False}


def test_observation(libcoap):
    follower = Follower(libcoap, "lamp")
    try:
        follower.until(bool)
        for i in range(4):
            assert libcoap.post("lamp", {"value": i % 2 == 0}) == (b"", "")
            follower.until(lambda _, i=i: len(follower.values) >= i + 2)
    finally:
        follower.stop()
    assert [value["value"] for value in follower.values] == [False, True, False, True, False]


@pytest.mark.parametrize(
    "disabled, suite",
    [
        ((), "ECDHE_PSK_AES_128_CBC_SHA256"),
        (("AES-128-CBC",), "PSK_AES_128_CCM_8"),
        (("AES-128-CBC", "AES-128-CCM-8"), None),
    ],
)
def test_suites(rig, psk, tmp_path, disabled, suite):
    """What is agreed on with a Client that can do less, by the administrator's settings for GnuTLS; both of OCF's suites."""
    client = Libcoap(rig.stage.address, tmp_path, psk, "coap-client-gnutls", without(tmp_path, *disabled))
    payload, printed = client.ask("oic/res", "-A", "10000", "-v", "9")
    assert re.findall(r"Selected cipher suite: GNUTLS_(\S+)", printed) == ([suite] if suite else [])
    if suite:
        assert cbor2.loads(payload) == Libcoap(rig.stage.address, tmp_path).get("oic/res")
    else:
        assert not payload and "Alert '40'" in printed, printed


# libcoap serves, the device fetches


class Own:
    """What the device's own way of fetching asks its surroundings: here the key of one server."""

    def __init__(self, psk, read_s):
        self.psk = psk
        self.read_s = read_s

    def authorities(self):
        return []

    def certificate(self):
        return None

    def psk_for(self, hint, _address):
        found = hint in (self.psk.uuid.encode(), uuid.UUID(self.psk.uuid).bytes)
        return (uuid.UUID(DEVICE).bytes, self.psk.key, self.psk.uuid) if found else None

    def now(self):
        return 0


def source(url, psk, read_s=15):
    own = Own(psk, read_s)
    return open_source(url, own, "127.0.0.1", own, lambda host: ServerTrust(host, own, own, own))


@pytest.fixture(scope="module", params=["coap-server-openssl", "coap-server-gnutls"])
def server(request, tmp_path_factory):
    psk = Psk(SERVER, secrets.token_hex(8).encode())
    with Server(address(), tmp_path_factory.mktemp("server"), psk, request.param) as server:
        server.psk = psk
        yield server


async def test_the_devices_source_fetches_from_libcoap(server):
    """A file of 50 KB, whole and from the middle of a block, several blocks asked for at once; and several files."""
    url, small = server.put("releases/app.bin", BODY), server.put("releases/small", b"few bytes")
    found = source(url, server.psk)
    try:
        assert await found.get(small, 4096) == b"few bytes"
        assert await found.get("app.bin", 1 << 16) == BODY
        tag = await found.start(url, 20_001, 10_000)
        view = memoryview(bytearray(10_000))
        await found.readinto(view)
        assert view == BODY[20_001:30_001] and (tag is None or isinstance(tag, bytes))
        with pytest.raises(Fault) as fault:
            await found.get("none", 4096)
        assert (fault.value.cause, fault.value.status) == ("status", 404)
        with pytest.raises(Fault) as fault:
            await found.get(url, 4096)
        assert fault.value.cause == "invalid"
    finally:
        await found.close()


@pytest.mark.parametrize("who", ["a server with another key", "a server that nobody knows"])
async def test_the_devices_source_refuses(server, who):
    uuids = {"a server with another key": SERVER, "a server that nobody knows": DEVICE}
    url = server.put("app.bin", BODY)
    # what its key does not open the server drops without a word
    found = source(url, Psk(uuids[who], secrets.token_hex(8).encode()), read_s=1)
    try:
        with pytest.raises(Fault) as fault:
            await asyncio.wait_for(found.get(url, 1 << 16), 20)
        assert fault.value.cause == "lost"
    finally:
        await found.close()


def test_an_update_with_libcoap_on_both_sides(rig, psk, tmp_path):
    """Its client asks for the update, and the board fetches all of it from its server, with a key its owner gave to both."""
    shared = grant(rig, SERVER, {2: ("/lamp",)}, printable=True)
    client = Libcoap(rig.stage.address, tmp_path, psk, "coap-client-openssl")
    envelope = rig.stage.release("1.1.0", 2, firmware=True)
    with Server(address(), tmp_path, shared) as server:
        for path in rig.stage.releases.iterdir():
            server.put(path.name, path.read_bytes())
        url = server.url + envelope.name
        follower = Follower(client, SWU)
        try:
            follower.until(bool)
            request = {"purl": url, "swupdateaction": "upgrade", "updatetime": "now"}
            payload, error = client.post(SWU, request)
            assert payload, error
            follower.until(lambda v: v["swupdatestate"] == "upgrading")
        finally:
            follower.stop()
        states = [v["swupdatestate"] for v in follower.values]
        assert [s for i, s in enumerate(states) if not i or states[i - 1] != s] == ["idle", "svv", "sva", "upgrading"]
        rig.board.wait_log("1.1.0 is kept", 40)
    assert client.get("oic/d")["sv"] == "1.1.0"
    after = client.get(SWU)
    assert (after["swupdatestate"], after["swupdateresult"], after["purl"]) == ("idle", 1, url)
