"""Targets that are more than one reader: an endpoint, a DTLS server, a file system, the records of a start.

Their inputs are several parts (target.parts): datagrams, each with who sends it, or records, each with its name.
"""

import asyncio

import cbor
import dtls.client
import dtls.cookie
import dtls.handshake
import dtls.server
from coap import endpoint as endpoints
from coap import message as coap
from coap.endpoint import Endpoint
from coap.message import Refused
from crypto.p256 import key_pair
from device import PATHS, STAGES, Rig, prepare
from dtls.alert import Alert
from dtls.transport import DtlsTransport
from ocf import core
from ocf.device import Device
from ocf.resource import Property, Resource
from ocf_rig import MemoryStore, Open
from swupdate import arming, floor, reconcile
from swupdate.machine import fresh, step
from swupdate.recorded import load
from swupdate.slots import Slots
from target import Target, joined, parts
from test_romfs import BUILT, SIZE
from test_romfs import Device as Partition

import firmware.provision
from board.vfs.romfs import RomFS

# A file system that was damaged

LINKED = b"\xd2\xcd\x31\x17\5\x08\3a.b\3\3\4\x12zzzz\4\x0b\1d\5\x08\1f\2\4text"


def run_romfs(data):
    """Everything in it is read, or OSError; nothing is larger than the image."""
    fs = RomFS(Partition(data[:SIZE]))
    found = 0
    folders = ["/"]
    while folders:
        folder = folders.pop()
        for name, kind, _, size in fs.ilistdir(folder):
            path = folder + name
            if not name or "/" in name or name in (".", ".."):
                continue
            found += 1
            assert size <= SIZE and len(name) <= 64
            try:
                assert fs.stat(path)[0] & 0xF000
                if kind == 0x4000 and len(folders) < 50:
                    folders.append(path + "/")
                elif kind == 0x8000:
                    with fs.open(path, "rb") as file:
                        assert len(file.read()) <= SIZE
            except OSError as error:  # another one of that name may be in the way
                assert error.errno in (2, 5, 20, 21), error
    return found


# An endpoint of a Device


class Lamp(Resource):
    href, rt = "/a", ("x.a",)
    properties = (Property("value", bool, "rw"), Property("text", str, "rw", optional=True))
    value, text = False, "t" * 2000

    def post(self, body, request):
        """Sometimes it takes its time."""
        if "slow" in body:
            return self.slowly()
        return super().post(body, request)

    async def slowly(self):
        await asyncio.sleep(0)


class Sent:
    """A transport that counts."""

    secure = False

    def __init__(self):
        self.count = 0

    def send(self, data, peer):
        self.count += 1
        found = coap.parse(bytes(data))
        assert found is not None and found.bad is None and len(data) <= 1280

    def identity(self, peer):
        return None

    def close(self):
        pass


async def run_endpoint(data):
    """Nothing is raised, printed, sent unasked, or kept beyond the limits."""
    errors = []
    endpoints.print_exception = errors.append
    device = Device(Open(), "7bc19d46-a3da-4241-6f80-68900cbf5785")
    for resource in (core.discovery(), core.configuration(MemoryStore()), core.introspection_data("t", "1"), Lamp()):
        device.add(resource)
    wire = Sent()
    endpoint = Endpoint(wire, device.handle, leisure=0, ack_timeout=20)
    device.coap.append(endpoint)
    try:
        for flags, datagram in parts(data):
            sent = wire.count
            endpoint.receive(memoryview(datagram), ("peer", flags & 3), flags > 127)
            observers = len(endpoint.observers)
            assert wire.count - sent <= 1 + observers, "one answer, and a notification for each observer"
            assert observers <= 8 and len(endpoint._recent) <= 32 and len(endpoint._tasks) <= 8
            assert len(endpoint._waiting) <= 8 and len(endpoint._sent) <= 32
            assert sum([len(entry[3]) for entry in endpoint._recent]) <= 4096 + 1280
            assert len(endpoint.parts) <= 2 and len(endpoint.bodies) <= 2
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not errors, errors
        return endpoint.requests
    finally:
        endpoint.close()
        await asyncio.sleep(0)


def request(code, mid, path, payload=b"", kind=0, options=()):
    view = memoryview(bytearray(1500))
    options = [(11, part) for part in path.split("/")] + list(options)
    if payload:
        options.append((12, 10000))
    return bytes(view[: coap.pack(view, kind, code, mid, b"t" + bytes((mid,)), options, payload)])


TALK = joined(
    (0, request(1, 1, "oic/res")),
    (0, request(1, 2, "a", options=[(6, 0)])),
    (1, request(2, 3, "a", cbor.dumps({"value": True}))),
    (1, request(2, 3, "a", cbor.dumps({"value": True}))),
    (0, b"\x60\0\0\1"),
    (0, b"\x70\0\0\1"),
    (129, request(1, 5, "oic/res", kind=1, options=[(15, "rt=x.a")])),
    (2, b"\x40\0\0\7"),
)
LONG = joined(
    (0, request(1, 1, "oc/introspection")),
    (0, request(1, 2, "oc/introspection", options=[(23, 0x16)])),
    (1, request(2, 3, "a", b"\xa1\x65value" + bytes(9), options=[(27, 8)])),
    (1, request(2, 4, "a", b"\xf5", options=[(27, 16)])),
    (2, request(2, 5, "a", cbor.dumps({"slow": 1}))),
    (2, request(4, 6, "a")),
)


# A DTLS server; the one thing that an attacker cannot guess and these inputs need is a cookie

COOKIE = b"C" * 16
SECRET = b"S" * 32  # of a server whose cookies are all the same


class Cookies(dtls.cookie.Cookies):
    def _cookie(self, hello, address, at):
        return COOKIE if self._secret == SECRET else super()._cookie(hello, address, at)


dtls.cookie.Cookies = Cookies
SERVER = ("server", 1)


class Keys:
    """Who knows the keys of a DTLS server: one for everybody."""

    pair = key_pair(lambda n: bytes(range(1, n + 1)))

    def suites(self):
        return (0xC0A8, 0xFF00)

    def hint(self):
        return b"hint"

    def psk(self, identity):
        return (bytes(16), "peer") if identity == b"me" else None

    def psk_for(self, hint, address):
        return b"me", bytes(16), "peer"

    def opened(self, session):
        pass

    closed = opened

    async def made(self):
        """An ephemeral key."""
        return self.pair


class Lines:
    """Datagrams: those of a client go to `server._take` at once, those to it wait."""

    secure = False

    def __init__(self):
        self.out = []
        self.waiting = []
        self.arrived = asyncio.Event()

    def send(self, data, peer):
        self.out.append((bytes(data), peer))
        self.arrived.set()

    def close(self):
        pass


def server():
    """(A transport that draws no random number, its datagrams)."""
    dtls.server.urandom = dtls.client.urandom = lambda n: bytes(range(n))
    lines = Lines()
    found = DtlsTransport(lines, Keys())
    found.secret = SECRET
    found.key_pair = Keys().made
    return found, lines


async def turns(n):
    """The loop runs, until what was begun is done."""
    for _ in range(n):
        await asyncio.sleep(0)


async def recorded(suite):
    """The datagrams of a Client that opens a session, says something and closes it."""
    there, lines = server()
    here = Lines()
    keys = Keys()
    keys.suites = lambda: (suite,)
    client = DtlsTransport(here, keys, False)
    client.key_pair = keys.made
    said = []

    async def carry():
        while True:
            while here.out:
                data = here.out.pop(0)[0]
                said.append((0, data))
                there._take(memoryview(data), "client")
            while lines.out:
                client._take(memoryview(lines.out.pop(0)[0]), SERVER)
            await asyncio.sleep(0)

    task = asyncio.create_task(carry())
    session = await client.connect(SERVER)
    client.send(b"question", session)
    client.drop(session)
    await turns(3)
    task.cancel()
    assert not there.sessions and there._ready
    return joined(*said)


async def run_dtls_server(data):
    """Handshakes are few, strangers get less than they sent, and what was not said is not heard."""
    errors = []
    dtls.handshake.print_exception = errors.append
    there, lines = server()
    came, went = {}, {}
    try:
        for flags, datagram in parts(data):
            peer = ("peer", flags & 7)
            there._take(memoryview(datagram), peer)
            came[peer] = came.get(peer, 0) + len(datagram)
            for answer, who in lines.out:
                went[who] = went.get(who, 0) + len(answer)
            lines.out.clear()
            if COOKIE not in data:
                assert not there.handshakes and not there.sessions
                assert not went.get(peer) or went[peer] < 3 * came[peer], (
                    "less than three bytes for one, before a cookie"
                )
            assert len(there.handshakes) <= 3 and len(there.sessions) <= 6
            for handshake, _ in there.handshakes.values():
                assert len(handshake._inbox) <= 16 and len(handshake._early) <= 4 and len(handshake._part) <= 6144
            await turns(12)
        for message, _ in there._ready:
            assert bytes(message) == b"question"
        assert not errors, errors
        return len(there._ready)
    finally:
        there.close()
        await turns(2)


# Generous to a MicroPython whose `asyncio.run` may not be nested: made when first asked for.
TALKS = []


async def run_dtls(data):
    """As above; an input of one byte stands for a recorded session."""
    if not TALKS:
        for suite in (0xC0A8, 0xFF00):
            TALKS.append(await recorded(suite))
    if len(data) == 1:
        data = TALKS[data[0] & 1]
    return await run_dtls_server(data)


# What a start reads from flash


class Flash:
    """As much of a board as Slots need to read labels."""

    def __init__(self):
        self.sectors = {}

    def running(self):
        return "ota_0"

    def partition(self, label):
        if label == "otadata":
            return Partition(self.sectors.get(label, b""))
        return Partition(b"\xff" * 4096 + self.sectors.get(label, b"")[:4096])


NAMES = ("update", "trial", "floor", "app_0", "app_1", "otadata")
CAUSES = ("power", "watchdog", "reset", "soft")
STATE = fresh()
STATE.update({"state": "upgrading", "running": "upgrade", "to": "ota_1", "slot": "ota_0", "digest": b"d" * 32})
LABEL = {
    "v": 1, "seq": 7, "version": "1.2.3", "manifest": b"d" * 32, "built": 1_700_000_000, "fw": [5000, b"f" * 32],
    "app": [6000, b"a" * 32],
}  # fmt: skip
ENTRY = b"\1\0\0\0" + b"\xff" * 20 + b"\2\0\0\0" + b"\x9a\x98\x43\x47"


# What may stand in a record in the place of anything else.
ODD = (None, 1 << 63, "x" * 32, b"x" * 32, [[1]], {})


def odd(value):
    """`value` with one thing in it missing or of another kind: each thing in turn, and each kind."""
    found = list(ODD)
    if isinstance(value, dict):
        places, empty = sorted(value), dict
    elif isinstance(value, list):
        places, empty = range(len(value)), list
    else:
        return found
    for place in places:
        for other in odd(value[place]):
            found.append(empty(value))
            found[-1][place] = other
        found.append(empty(value))
        del found[-1][place]
    return found


def starts():
    """Inputs of run_start: good ones, and each with one record that is odd."""
    state, label = cbor.dumps(STATE), cbor.dumps(LABEL)
    slots = (3, label), (4, label), (5, ENTRY)
    found = [joined((0, state), *slots), joined((1, cbor.dumps({"reason": "r"})), (2, cbor.dumps({"v": 1, "seq": 3})))]
    found += [joined((0x40, cbor.dumps(one)), *slots) for one in odd(STATE)]
    for to in ("ota_0", "ota_1"):
        state = dict(STATE)
        state["to"] = to
        state = cbor.dumps(state)
        found += [joined((0, state), (3, cbor.dumps(one)), (4, cbor.dumps(one))) for one in odd(LABEL)]
    found += [joined((0, state), (1, cbor.dumps(one)), *slots) for one in odd({"reason": "r"})]
    return found + [joined((2, cbor.dumps(one)), *slots) for one in odd({"v": 1, "seq": 3})]


def run_start(data):
    """A start that finds these records: an event for the machine, which takes it, and a state that can be saved again."""
    store, flash, cause = MemoryStore(), Flash(), 0
    for flags, record in parts(data):
        name = NAMES[flags % len(NAMES)]
        (store.records if name in NAMES[:3] else flash.sectors)[name] = record
        cause = flags >> 6
    slots = Slots(flash)
    state = load(store)
    for slot in ("ota_0", "ota_1"):
        arming.valid(slots, slot)
    event = reconcile.reconcile(state, reconcile.facts(slots, CAUSES[cause], store, 0))
    assert floor.floor(store, None, slots) >= 0
    state, _ = step(state, event)
    store.save("update", cbor.dumps(state))
    assert load(store) == state, "what was saved is read"
    return event[0] != "booted"


async def run_svr(data):
    """A Device whose records of security are these: it starts, and says so when they make no sense."""
    if not STAGES:
        await prepare()
    records = dict(STAGES[2])
    names = sorted(records)
    for flags, record in parts(data):
        records[names[flags % len(names)]] = record
    rig = Rig(records)
    assert 0 <= rig.pstat.state <= 4
    if rig.pstat.unfinished:
        return False
    rig.session.open = True
    for path in PATHS:
        try:
            assert await rig.ask(1, path) is not None
        except Refused:
            pass
    assert Rig(rig.store.records).memory() == rig.memory()
    return True


PROVISIONED = {
    "v": 1, "name": "n", "manufacturer": "m", "model": "o", "manufactured": "2030-01-09T14:30:00Z", "piid": "p",
    "vendor": bytes(16), "class": bytes(16), "url": "", "threshold": 1, "keys": {b"k": bytes(64)}, "authorities": [b"a"],
    "settings": {"oxms": [0]}, "mfgcert": {"chain": [b"c"], "key": bytes(32)}, "mfgtrust": [b"t"],
}  # fmt: skip


class File:
    """What `open` gives."""

    def __init__(self, data):
        self.data = data

    def read(self):
        return self.data

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        pass


def run_provision(data):
    firmware.provision.open = lambda path, mode: File(data)
    try:
        return firmware.provision.read()["threshold"] > 0
    finally:
        del firmware.provision.open


DEVICE = [
    Target("romfs", [BUILT, LINKED], run_romfs, OSError, SIZE, slow=2),
    Target("coap-endpoint", [TALK, LONG], run_endpoint, (), 3000, slow=10, memory=0),
    Target("dtls-server", [b"\0", b"\1"], run_dtls, Alert, 3000, slow=20, memory=0),
    Target(
        "start", starts(), run_start, (), 2000, slow=2, memory=0,
    ),
    Target(
        "svr-records", [b"", joined((0, b"\xa0")), joined((1, cbor.dumps({"v": 1, "aces": []})))],
        run_svr, (), 3000, slow=10, memory=0,
    ),
    Target("provision", [cbor.dumps(one) for one in [PROVISIONED] + odd(PROVISIONED)], run_provision, ValueError, 2000),
]  # fmt: skip
