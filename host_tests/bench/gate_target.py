"""The device's usual work, piece by piece: `micropython gate_target.py FOLDER`, for gate.py.

FOLDER has the device's code as bytecode, and what CPython has prepared: an envelope, a window and its base. Prints a
line for each work: its name, how often it was done, the bytes that one time allocates, and those that all of them left
alive. Each is between two calls of `unsetenv`, at which valgrind writes down what it has counted. Nothing random,
nothing of the clock: the keys are made up.
"""

import asyncio
import gc
import os
import sys

FOLDER = sys.argv[1]
sys.path[:0] = [FOLDER + "/lib", (__file__.rpartition("/")[0] or ".")]

import samples  # noqa: E402
from cbor import Encoder  # noqa: E402
from cbor.decoder import decode  # noqa: E402
from coap.endpoint import Endpoint  # noqa: E402
from coap.message import Response, pack  # noqa: E402
from crypto import ecdh  # noqa: E402
from dtls.keys import derive  # noqa: E402
from dtls.record import Session, records  # noqa: E402
from ocf.device import Device  # noqa: E402
from ocf.pstat import RFNOP, Pstat  # noqa: E402
from ocf.security import Security  # noqa: E402
from swupdate.status import software_update  # noqa: E402

OWNER = "45ad1f5c-1111-4222-8333-444455556666"
APPLICATION = 23
CHUNK = 4096
GET = [(17, 10000), (2049, 2048)]  # Accept and the version of the content format, as an OCF Client has them


def read(name):
    with open(FOLDER + "/" + name, "rb") as file:
        return file.read()


class Store:
    """Nothing is kept."""

    def load(self, name):
        return None

    def save(self, name, data):
        pass


class Updater:
    """A Device at rest that has been updated before."""

    state = {"purl": "https://updates.example.com/fargo-1.1.0.suit", "nv": "", "state": "idle", "result": 1, "when": 0}
    shown = ("idle", "2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z")

    def __init__(self):
        self.watchers = []


class Clear:
    """A transport that only remembers the last message."""

    secure = False
    sent = b""

    def identity(self, peer):
        return None

    def send(self, data, peer):
        self.sent = bytes(data)


class Wire(Clear):
    """Every message is sealed."""

    secure = True

    def identity(self, session):
        return session.uuid

    def send(self, data, session):
        self.sent = bytes(session.seal(APPLICATION, data))


def sides():
    """The sessions of client and server."""
    client, server = Session(("192.0.2.1", 1)), Session(("192.0.2.2", 2))
    for session, serves in ((client, False), (server, True)):
        session.suite = 0xC037
        session.randoms = bytes(64)
        derive(session, bytes(48), None, serves)
        session.open = True
    server.uuid = OWNER
    return client, server


def device():
    """A Device whose owner may use the update Resource, with the entries that an onboarding tool leaves; the Resource."""
    pstat = Pstat(Store())
    security = Security(Store(), pstat, os.urandom, {})
    found = security.device = Device(security, security.uuid)
    resource = found.add(software_update(Updater()))
    security.aces = [
        {"id": 1, "subject": ("uuid", OWNER), "resources": ("/oic/sec/sp",), "permission": 14},
        {"id": 2, "subject": ("conntype", "anon-clear"), "resources": ("/oic/res",), "permission": 2},
        {"id": 3, "subject": ("uuid", OWNER), "resources": ("/oc/swu",), "permission": 31},
    ]
    pstat.state = RFNOP
    return found, resource


def message(mid, kind=0, code=1, token=b"12345678", options=()):
    buf = memoryview(bytearray(300))
    return bytes(buf[: pack(buf, kind, code, mid, token, list(options))])


# Every work: (the function, a coroutine where it waits for the loop; what makes its argument for the message ID n).


def cbor_encode():
    encoder = Encoder(bytearray(512))

    def work(_):
        encoder.reset()
        encoder.pairs(samples.REPRESENTATION, len(samples.REPRESENTATION))
        assert len(encoder.view()) == samples.SIZE

    return work, None


def cbor_decode():
    encoder = Encoder(bytearray(512))
    encoder.pairs(samples.REPRESENTATION, len(samples.REPRESENTATION))
    data = bytes(encoder.view())

    def work(_):
        decode(data)

    return work, None


def coap_get():
    wire = Clear()
    body = bytes(270)
    endpoint = Endpoint(wire, lambda request: Response(0x45, body, 10000))

    def prepared(n):
        return message(n, options=[(11, "swu")] + GET)

    def work(datagram):
        endpoint.receive(datagram, "peer")
        assert len(wire.sent) > 270

    return work, prepared


def secured_get():
    wire = Wire()
    endpoint = Endpoint(wire, device()[0].handle)
    client, server = sides()

    def prepared(n):
        return client.seal(APPLICATION, message(n, options=[(11, "oc"), (11, "swu")] + GET))

    def work(datagram):
        for record in records(memoryview(datagram)):
            endpoint.receive(server.unseal(record), server)
        assert len(wire.sent) > 200

    return work, prepared


def notification():
    """To one observer over DTLS; every fifth is confirmable, and its acknowledgement is part of the work."""
    wire = Wire()
    found, resource = device()
    endpoint = Endpoint(wire, found.handle)
    found.coap.append(endpoint)
    client, server = sides()
    endpoint.receive(message(1, options=[(6, b""), (11, "oc"), (11, "swu")] + GET), server)
    assert len(endpoint.observers) == 1

    def work(_):
        resource.notify()
        (record,) = list(records(memoryview(wire.sent)))
        data = client.unseal(record)
        if not data[0] & 0x30:
            endpoint.receive(b"\x60\x00" + bytes(data[2:4]), server)
        assert len(endpoint.observers) == 1

    return work, None


def multiplication():
    def work(_):
        ecdh.agree(samples.PRIVATE, samples.PUBLIC)

    return work, None


def envelope():
    import crypto.cose  # noqa: F401 - now, so that no phase loads it, collects, and hides what was allocated
    from swupdate.install import signatures
    from swupdate.install.manifest import Manifest

    data, key = read("envelope"), read("key")
    keys = {key[:8]: key[8:]}

    async def work(_):
        manifest, _digest = await signatures.verified(data, keys, 1)
        Manifest(manifest)

    return work, None


class Memory:
    """A partition in RAM."""

    def __init__(self, data):
        self.data = memoryview(bytearray(data))

    def readblocks(self, block, buf, at=0):
        begin = block * CHUNK + at
        buf[:] = self.data[begin : begin + len(buf)]

    def writeblocks(self, block, buf, at=0):
        begin = block * CHUNK + at
        self.data[begin : begin + len(buf)] = buf

    def ioctl(self, operation, block):
        assert operation == 6
        self.data[block * CHUNK : block * CHUNK + CHUNK] = BLANK
        return 0


BLANK = b"\xff" * CHUNK


def window():
    """The second window of a delta, 32 KB of a payload, by chunks."""
    from swupdate.install.windows import Windows

    data, base = read("window"), read("base")
    chunk = memoryview(bytearray(CHUNK))

    class Source:
        async def readinto(self, view):
            view[:] = data[self.at : self.at + len(view)]
            self.at += len(view)

    source = Source()
    windows = Windows(source, bytearray(CHUNK), Memory(base), len(base))

    async def work(_):
        source.at = 0
        windows.begin(CHUNK, 8 * CHUNK, len(data))
        for _ in range(8):
            await windows.readinto(chunk)
        assert source.at == len(data)

    return work, None


def chunk():
    """A chunk is checked against the table, its sector erased, programmed and read back."""
    from swupdate.install.chunks import Chunks

    data = bytearray(read("base")[:CHUNK])

    class Slots:
        confirmed = True
        other = "ota_1"
        memory = Memory(BLANK * 2)

        def partition(self, slot, half):
            return self.memory

    class Files:
        def open(self, name, mode):
            return open(FOLDER + "/table", mode)

    class Job:
        slots, store = Slots(), Files()

    class Part:
        half, size, missing = "app", 2 * CHUNK, bytearray(2)

    class Offer:
        clean = False
        done = total = 0

    chunks = Chunks(Job, Offer, Part, lambda done, total: None)

    async def work(_):
        Part.missing[1] = 1
        await chunks.put(1, data)
        assert not Part.missing[1] and Slots.memory.data[CHUNK:] == data

    return work, None


# How often each is done: before it is measured (the endpoint remembers 32 messages), and then.
WORKS = (
    (cbor_encode, 2, 20),
    (cbor_decode, 2, 20),
    (coap_get, 40, 20),
    (secured_get, 40, 20),
    (notification, 10, 50),
    (multiplication, 1, 1),
    (envelope, 1, 1),
    (window, 2, 2),
    (chunk, 2, 20),
)


async def measure(make, before, times):
    """(bytes that one time allocates, bytes that are left of all)."""
    work, prepared = make()
    given = [prepared(n) if prepared else None for n in range(2, before + times + 2)]
    for n in range(before):
        result = work(given[n])
        if hasattr(result, "send"):
            await result
    gc.collect()
    gc.collect()
    alive = gc.mem_alloc()
    gc.disable()
    begun = gc.mem_alloc()
    os.unsetenv("MARK")
    for n in range(before, before + times):
        result = work(given[n])
        if hasattr(result, "send"):
            await result
    os.unsetenv("MARK")
    allocated = (gc.mem_alloc() - begun) // times
    result = None
    gc.enable()
    gc.collect()
    gc.collect()
    return allocated, gc.mem_alloc() - alive


async def main():
    for make, before, times in WORKS:
        print(make.__name__, times, *await measure(make, before, times))


asyncio.run(main())
