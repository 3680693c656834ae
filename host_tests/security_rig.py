"""A Device with its security Resources, in memory, and sessions as DTLS would open them: on both interpreters."""

import asyncio

from cbor import dumps
from cbor.decoder import decode
from coap.message import Refused
from coap_request import Request
from dtls.record import Session
from ocf import core
from ocf.device import Device
from ocf.pstat import RFNOP, Pstat
from ocf.resource import Property, Resource
from ocf.security import Security
from ocf_rig import MemoryStore, ask

OWNER = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
THIRD = "33333333-3333-4333-8333-333333333333"
DEVICE = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"
KEY = bytes(range(16))
GET, POST, PUT, DELETE = 1, 2, 3, 4
CONTENT, CHANGED, DELETED = 0x45, 0x44, 0x42
BAD, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED, TOO_LARGE, BROKEN = 0x80, 0x81, 0x83, 0x84, 0x85, 0x8D, 0xA0
PIID = "7c9d9c2e-3a6b-4c1f-9a80-6f2f3f5f0b11"


class Light(Resource):
    """A maker's Resource."""

    href, rt = "/light", ("oic.r.switch.binary",)
    properties = (Property("value", bool, "rw"),)
    value = False

    def delete(self, request):
        return None


class Hidden(Light):
    href, discoverable = "/hidden", False


class Open(Light):
    """One that its maker serves in the clear, or would like to."""

    href, secure = "/open", False


class Updating(Light):
    """Stands where the update Resource does."""

    href, rt, dcr = "/oc/swu", ("oic.r.softwareupdate",), True


def counting():
    """A random source whose bytes are never the same twice, and no secret."""
    state = [0]

    def random(n):
        state[0] += 1
        return bytes((state[0] + i) & 255 for i in range(n))

    return random


class Rig:
    """One Device over `store`. Another Rig over the same store is the same Device after a restart."""

    def __init__(self, store=None, **settings):
        self.store = store or MemoryStore()
        self.pins = []
        settings.setdefault("pin", self.pins.append)
        self.sessions = []
        self.pstat = Pstat(self.store)
        self.security = Security(self.store, self.pstat, counting(), settings)
        self.device = self.security.device = Device(self.security, self.security.uuid)
        self.names = core.configuration(self.store)
        resources = [
            core.discovery(), core.device_info(self.names, "lamp", PIID, "1"), core.platform(PIID, "Fargo", "1"), self.names,
            self.pstat, core.maintenance(lambda: None, lambda: None), Updating(), Light(), Hidden(), Open(),
        ]  # fmt: skip
        for resource in resources + self.security.resources:
            self.device.add(resource)
        self.pstat.on_state = self._entered

    def _entered(self, state):
        self.security.entered(state)
        if state == 0:
            core.reset(self.names)
            self.drop_all()
        elif state == RFNOP:  # on the board after the answer has gone out
            self.drop_all(self.security.knows)

    def ask(self, session, code, path, body=None, **fields):
        """(code, decoded payload or text); `session` None: in the clear."""
        secure = session is not None
        fields.setdefault("peer", session or "somewhere")
        return ask(self.device, code, path, body, secure=secure, identity=session and session.uuid, **fields)

    async def wait(self, session, code, path, body=None):
        """As `ask`, for what takes time."""
        request = Request(
            code, path, payload=dumps(body) if body is not None else b"", query=[], peer=session,
            secure=True, identity=session.uuid,
        )  # fmt: skip
        try:
            answer = self.device.handle(request)
            if hasattr(answer, "send"):
                answer = await answer
        except Refused as refused:
            return refused.code, refused.text
        return answer.code, decode(bytes(answer.payload)) if answer.payload else None

    def open(self, uuid=None, suite=0xC037, key=None):
        """A session whose handshake has just ended, or None when it is not let in."""
        session = Session("peer %d" % len(self.sessions))
        session.uuid, session.suite = uuid, suite
        session.master, session.randoms, session.block = bytes(48), bytes(64), 96
        if suite in (0xC037, 0xC0A8):
            session.psk = key or KEY
        session.open = True
        if self.security.opened(session) is False:
            session.open = False
            self.security.closed(session)
            return None
        self.sessions.append(session)
        return session

    def close(self, session):
        if session.open:
            session.open = False
            self.security.closed(session)

    def drop_all(self, but=None):
        for session in self.sessions:
            if session.open and not (but and but(session)):
                self.close(session)

    def connect(self):
        """The onboarding connection, by Just Works."""
        assert self.ask(None, POST, "/oic/sec/doxm", {"oxmsel": 0})[0] == CHANGED
        return self.open(suite=0xFF00)

    def own(self, state=RFNOP, aces=()):
        """Owned by OWNER, OTHER is a Client with a key, and in `state`; no session is open."""
        doc = self.connect()
        self.steps(doc, reference_steps())
        self.steps(doc, [("cred", {"creds": [psk(OTHER)]})])
        self.steps(doc, [("pstat", {"dos": {"s": 2}})])
        if aces:
            self.steps(doc, [("acl2", {"aclist2": list(aces)})])
        if state != 2:
            self.steps(doc, [("pstat", {"dos": {"s": state}})])
        self.close(doc)
        return self

    def steps(self, session, steps):
        for name, body in steps:
            assert self.ask(session, POST, "/oic/sec/" + name, body) == (CHANGED, None), (name, body)

    def facts(self):
        """Everything that a Client could make of this Device's security, keys too."""
        s = self.security
        return (
            s.uuid, s.owned, s.devowner, s.rowner, s.cred_owner, s.acl_owner, s.sdi, s.creds, s.aces,
            self.pstat.state, self.pstat.om, self.pstat.rowneruuid,
        )  # fmt: skip


KEPT = {}  # state -> records: owning takes longer than most tests


def owned(state=RFNOP):
    """A Device in `state` that OWNER has taken a moment ago, as after a restart."""
    if state not in KEPT:
        KEPT[state] = dict(Rig().own(state).store.records)
    store = MemoryStore()
    store.records.update(KEPT[state])
    rig = Rig(store)
    assert rig.pstat.state == state and not rig.pstat.unfinished
    return rig


async def settle():
    """What was put off has been done."""
    for _ in range(5):
        await asyncio.sleep(0)


def psk(uuid, key=KEY, **more):
    found = {"credtype": 1, "subjectuuid": uuid}
    found["privatedata"] = {"data": key, "encoding": "oic.sec.encoding.raw"}
    found.update(more)
    return found


def ace(subject, permission, *hrefs, **more):
    """An entry; `subject` is a uuid, a connection type, or a map; an href may be a wildcard."""
    if not isinstance(subject, dict):
        subject = {"uuid" if "-" in subject and len(subject) == 36 else "conntype": subject}
    resources = [{"href": href} if href[0] == "/" else {"wc": href} for href in hrefs]
    found = {"subject": subject, "permission": permission, "resources": resources}
    found.update(more)
    return found


def reference_steps(key=KEY):
    """The order of the reference tool up to `owned`."""
    return [
        ("pstat", {"om": 4}), ("doxm", {"devowneruuid": OWNER}), ("doxm", {"deviceuuid": DEVICE}),
        ("doxm", {"rowneruuid": OWNER}), ("acl2", {"rowneruuid": OWNER}), ("pstat", {"rowneruuid": OWNER}),
        ("cred", {"creds": [psk(OWNER, key)], "rowneruuid": OWNER}),
        ("sdi", {"uuid": OTHER, "name": "OBT", "priv": False}), ("doxm", {"owned": True}),
    ]  # fmt: skip
