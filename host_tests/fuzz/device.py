"""A Device with the security Resources, asked by its new owner, its owner or a stranger for whatever CBOR can say."""

import asyncio

import cbor
from cbor.decoder import decode
from coap.message import Refused
from coap_request import Request
from dtls.record import Session
from ocf.device import Device
from ocf.pstat import RFOTM, Pstat
from ocf.resource import Property, Resource
from ocf.security import Security
from ocf_rig import MemoryStore, whole
from test_x509 import LEAF, ROOT

OWNER = "b308775f-fac3-437e-6921-c8027a2b9b17"
DEVICE = "7bc19d46-a3da-4241-6f80-68900cbf5785"
GET, POST, DELETE = 1, 2, 4
PATHS = ["/oic/sec/" + n for n in ("doxm", "pstat", "cred", "acl2", "sp", "sdi", "roles", "csr")] + ["/light", "/none"]
KEY = bytes(range(16))


class Light(Resource):
    href, rt = "/light", ("oic.r.switch.binary",)
    properties = (Property("value", bool, "rw"), Property("level", int, "rw", optional=True, minimum=0, maximum=9))
    value, level = False, 0


class Rig:
    """One power-on of a Device with these records."""

    def __init__(self, records):
        self.store = MemoryStore()
        self.store.records = dict(records)
        self.pstat = Pstat(self.store)
        settings = {"mfgcert": None, "mfgtrust": [], "pin": None, "now": lambda: 0}
        self.security = Security(self.store, self.pstat, lambda n: bytes(range(n)), settings)
        self.device = self.security.device = Device(self.security, self.security.uuid)
        for resource in [self.pstat, Light()] + self.security.resources:
            self.device.add(resource)
        self.pstat.on_state = self.security.entered
        self.session = Session("owner")
        self.session.uuid, self.session.psk, self.session.open = OWNER, KEY, True
        self.session.master, self.session.randoms, self.session.block = bytes(48), bytes(64), 96
        self.session.suite = 0xC037

    async def open(self):
        """The session of the one who gives a new owner to the Device, or of its owner."""
        if self.pstat.state == RFOTM:
            self.session.suite = 0xFF00
            self.session.psk = self.session.uuid = None
            await self.ask(POST, "/oic/sec/doxm", cbor.dumps({"oxmsel": 0}), secure=False)
        assert self.security.opened(self.session) is not False

    async def ask(self, code, path, payload=b"", query=(), secure=True):
        request = Request(code, path, query=list(query), payload=payload, secure=secure)
        request.content_format = request.accept = 10000
        request.peer = self.session if secure else "stranger"
        request.identity = self.session.uuid if secure else None
        answer = self.device.handle(request)
        return await answer if hasattr(answer, "send") else answer

    def memory(self):
        """What the owner has left: as it is, to be compared with what a restart makes of it."""
        s = self.security
        return plain(
            (s.uuid, s.owned, s.devowner, s.rowner, s.cred_owner, s.acl_owner, s.creds, s.aces, s.sdi, self.pstat.state,
             self.pstat.rowneruuid)
        )  # fmt: skip


def plain(value):
    """A copy in which it does not matter what is a tuple, nor the order in dicts."""
    if isinstance(value, dict):
        return [[key, plain(value[key])] for key in sorted(value)]
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


# What the reference tool asks for, in its order: (path, body)
OWNERSHIP = [
    ("pstat", {"om": 4}),
    ("doxm", {"devowneruuid": OWNER}), ("doxm", {"deviceuuid": DEVICE}), ("doxm", {"rowneruuid": OWNER}),
    ("acl2", {"rowneruuid": OWNER}), ("pstat", {"rowneruuid": OWNER}),
    ("cred", {
        "creds": [{"credtype": 1, "subjectuuid": OWNER, "privatedata": {"encoding": "oic.sec.encoding.raw", "data": KEY}}],
        "rowneruuid": OWNER,
    }),
    ("sdi", {"uuid": DEVICE, "name": "OBT", "priv": False}), ("doxm", {"owned": True}), ("pstat", {"dos": {"s": 2}}),
]  # fmt: skip
ENTRIES = {"aclist2": [
    {"subject": {"uuid": OWNER}, "resources": [{"href": "/oic/sec/sp"}], "permission": 14},
    {"subject": {"conntype": "anon-clear"}, "resources": [{"href": "/oic/d"}, {"wc": "+"}], "permission": 2, "aceid": 7},
    {"subject": {"role": "r", "authority": "a"}, "resources": [{"wc": "*"}], "permission": 31},
]}  # fmt: skip
AUTHORITY = {"creds": [
    {"credtype": 8, "subjectuuid": "*", "credusage": "oic.sec.cred.trustca",
     "publicdata": {"encoding": "oic.sec.encoding.der", "data": ROOT}},
]}  # fmt: skip
ROLES = {"roles": [{"credtype": 8, "publicdata": {"encoding": "oic.sec.encoding.der", "data": LEAF}}]}
MORE = [
    ("pstat", {"dos": {"s": 3}}), ("pstat", {"dos": {"s": 0}}), ("pstat", {"tm": 256}), ("pstat", {"dos": {"s": 4}}),
    ("acl2", ENTRIES), ("cred", AUTHORITY), ("roles", ROLES), ("light", {"value": True, "level": 3}),
    ("sp", {"currentprofile": "1.3.6.1.4.1.51414.0.0.1.0"}), ("doxm", {"oxmsel": 0}),
]  # fmt: skip

ENTRY, CREDENTIAL = ENTRIES["aclist2"][0], AUTHORITY["creds"][0]


def variants(body):
    """`body` (a map) with each member missing, and in the place of each what it cannot be."""
    found = []
    for name in sorted(body):
        for value in (None, 1 << 63, "x", {}, [{"href": 1}]):
            found.append(dict(body))
            found[-1][name] = value
        found.append(dict(body))
        del found[-1][name]
    return found


# A good entry before each of the others: none of them is to be kept.
BAD = [("acl2", {"aclist2": [ENTRY, bad]}) for bad in variants(ENTRY) + [1, "x", []]]
BAD += [("cred", {"creds": [CREDENTIAL, bad]}) for bad in variants(CREDENTIAL) + variants(OWNERSHIP[6][1]["creds"][0])]
BAD += [(name, bad) for name, body in OWNERSHIP + MORE for bad in variants(body)]

STAGES = []  # records of a Device before ownership, in RFPRO, in RFNOP


async def prepare():
    """Own a Device, and keep what it stored on the way."""
    rig = Rig({})
    STAGES.append(dict(rig.store.records))
    await rig.open()
    for name, body in OWNERSHIP:
        await rig.ask(POST, "/oic/sec/" + name, cbor.dumps(body))
    STAGES.append(dict(rig.store.records))
    await rig.ask(POST, "/oic/sec/acl2", cbor.dumps(ENTRIES))
    await rig.ask(POST, "/oic/sec/pstat", cbor.dumps({"dos": {"s": 3}}))
    STAGES.append(dict(rig.store.records))
    assert rig.pstat.state == 3


def example(stage, code, name, body):
    path = [i for i in range(len(PATHS)) if PATHS[i].endswith(name)][0]
    return bytes((stage, code, path, 0)) + (cbor.dumps(body) if body is not None else b"")


EXAMPLES = [example(1, POST, name, body) for name, body in MORE]
EXAMPLES += [example(1, POST, name, body) for name, body in BAD]
EXAMPLES += [example(0, POST, name, body) for name, body in OWNERSHIP]
EXAMPLES += [example(2, GET, name, None) for name in ("doxm", "cred", "acl2", "light", "csr")]
EXAMPLES += [example(1, DELETE, name, None) for name in ("cred", "acl2", "roles")]


async def run_device(data):
    """Refused, or done: then a restart finds the same. What is refused has changed nothing."""
    if len(data) < 4:
        return False
    if not STAGES:
        await prepare()
    rig = Rig(STAGES[data[0] % 3])
    secure = data[3] < 128
    if secure:
        await rig.open()
        if data[0] % 3 == 1:
            rig.security.doc = rig.session  # the connection in which the Device got its owner is still open
    code = (GET, POST, DELETE, 3, 5)[data[1] % 5] if data[1] not in (GET, POST, DELETE) else data[1]
    path = PATHS[data[2] % len(PATHS)]
    query = (("credid=1",), ("aceid=7",), ("if=oic.if.baseline",), ("owned=FALSE",), ())[data[3] % 5 - 1]
    stored, known = dict(rig.store.records), rig.memory()
    try:
        answer = await rig.ask(code, path, data[4:], query, secure)
    except Refused as refused:
        assert 0x80 <= refused.code < 0xC0 and refused.text
        same = [name for name in rig.store.records if rig.store.records[name] != stored.get(name) and name != "key"]
        assert not same and rig.memory() == known, "what is refused changes nothing"
        return False
    assert 0x40 < answer.code < 0x60
    if answer.payload:
        decode(whole(answer), max_items=2000)
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # where a RESET was written, it happens now
    again = Rig(rig.store.records)
    if again.pstat.state != 1:  # an ownership that broke off is begun anew
        assert again.memory() == rig.memory(), "a restart finds something else"
    return True
