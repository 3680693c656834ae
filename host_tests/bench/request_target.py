"""N secured GETs of /oc/swu through the device's own layers, in memory: `micropython request_target.py ROOT N`.

ROOT has the device's code; the keys of both ends are the same made-up ones. Prints the bytes allocated for a request, from
the sealed datagram that comes in to the sealed datagram that goes out.
"""

import gc
import os
import sys

sys.path.insert(0, sys.argv[1] + "/lib")

from coap.endpoint import Endpoint
from coap.message import pack
from dtls.record import Session, records
from dtls.suites import derive
from ocf.device import Device
from ocf.pstat import RFNOP, Pstat
from ocf.security import Security
from swupdate.resource import SoftwareUpdate

OWNER = "45ad1f5c-1111-4222-8333-444455556666"
APPLICATION = 23


class Store:
    """Nothing is kept."""

    def load(self, name):
        return None

    def save(self, name, data):
        pass


class Updater:
    """A Device at rest that has been updated before."""

    state = {"purl": "https://updates.example.com/fargo-1.1.0.suit", "nv": "", "state": "idle", "result": 1, "when": 0}
    action = "idle"
    last = 1_767_225_600

    def __init__(self):
        self.watchers = []


class Wire:
    """The transport: what the Endpoint sends is sealed, and goes nowhere."""

    secure = True

    def identity(self, session):
        return session.uuid

    def send(self, data, session):
        session.seal(APPLICATION, data)


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
    """A Device whose owner may use the update Resource, with the entries that an onboarding tool leaves."""
    pstat = Pstat(Store())
    security = Security(Store(), pstat, os.urandom, {})
    found = security.device = Device(security, security.uuid)
    found.add(SoftwareUpdate(Updater()))
    security.aces = [
        {"id": 1, "subject": ("uuid", OWNER), "resources": [["/oic/sec/sp", None]], "permission": 14},
        {"id": 2, "subject": ("conntype", "anon-clear"), "resources": [["/oic/res", None]], "permission": 2},
        {"id": 3, "subject": ("uuid", OWNER), "resources": [["/oc/swu", None]], "permission": 31},
    ]
    pstat.state = RFNOP
    return found


def main():
    count = int(sys.argv[2])
    endpoint = Endpoint(Wire(), device().handle)
    client, server = sides()
    buf = memoryview(bytearray(300))
    sealed = []
    for i in range(count + 1):
        size = pack(buf, 0, 1, i, b"12345678", [(11, "oc"), (11, "swu"), (17, 10000), (2049, 2048)])
        sealed.append(client.seal(APPLICATION, bytes(buf[:size])))

    def take(datagram):
        for record in records(memoryview(datagram)):
            endpoint.receive(server.unseal(record), server)

    take(sealed[0])
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for datagram in sealed[1:]:
        take(datagram)
    print((gc.mem_alloc() - before) // count)


main()
