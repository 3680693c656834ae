"""`ocf.security`: what is kept survives, whole; what is damaged or half done ends in RESET, and never in a dead Device."""

import asyncio

from cbor import dumps
from cbor.decoder import decode
from ocf.pstat import NIL, RESET, RFNOP, RFOTM, RFPRO, SRESET
from ocf_rig import MemoryStore
from security_rig import (
    BROKEN,
    CHANGED,
    CONTENT,
    DELETE,
    DELETED,
    GET,
    KEY,
    OTHER,
    OWNER,
    POST,
    THIRD,
    UNAUTHORIZED,
    Rig,
    ace,
    owned,
    psk,
    reference_steps,
    settle,
)

ENTRIES = [
    ace(OTHER, 6, "/light", "+"), ace("anon-clear", 2, "/oic/d"), ace({"role": "r", "authority": "a"}, 31, "*"),
]  # fmt: skip
TRUSTED = {
    "id": 8,
    "type": 8,
    "subject": "*",
    "usage": "trustca",
    "key": b"",
    "chain": [b"der", b"der2"],
    "role": None,
}


class PowerCut(Exception):
    pass


class Fuse(MemoryStore):
    """A store whose power fails at its n-th change; what was changed before stays."""

    def __init__(self, records, left):
        super().__init__()
        self.records = dict(records)
        self.left = left

    def _count(self):
        if self.left == 0:
            raise PowerCut
        self.left -= 1

    def save(self, name, data):
        self._count()
        super().save(name, data)

    def remove(self, name):
        self._count()
        super().remove(name)


def again(records):
    """The Device after a start with these records."""
    store = MemoryStore()
    store.records = dict(records)
    return Rig(store)


def full(state=RFNOP):
    """An owned Device with a bit of everything in its records."""
    rig = owned(RFPRO)
    session = rig.open(OWNER)
    rig.steps(session, [("cred", {"creds": [psk(THIRD, b"3" * 32, roleid={"role": "r", "authority": "a"})]})])
    rig.steps(session, [("acl2", {"aclist2": ENTRIES})])
    rig.security.creds.append(dict(TRUSTED))
    rig.steps(session, [("acl2", {"aclist2": []}), ("cred", {"creds": []}), ("pstat", {"dos": {"s": state}})])
    rig.store.save("key", bytes(96))
    assert rig.ask(session, POST, "/oic/sec/pstat", {"om": 5})[0] == CHANGED
    return rig


def unowned(rig):
    """Whether `rig` is as from the factory, its store too."""
    found = rig.facts()
    return (
        found[1:9] == (False, NIL, NIL, NIL, NIL, (NIL, "", True), [], [])
        and (rig.pstat.state, rig.pstat.rowneruuid) == (RFOTM, NIL)
        and set(rig.store.records) | {"pstat"} == {"doxm", "pstat"}
        and not again(rig.store.records).pstat.unfinished
    )


def test_everything_survives_a_restart():
    for state in (RFPRO, RFNOP, SRESET):
        rig = full(state)
        found = again(rig.store.records)
        assert found.facts() == rig.facts() and not found.pstat.unfinished
        assert found.device.di == rig.security.uuid and found.security.oxmsel == rig.security.oxmsel
        third = found.open(THIRD, key=b"3" * 32)
        assert third.roles == (("a", "r"),)
        assert found.ask(found.open(OTHER), GET, "/light")[0] == (CONTENT if state == RFNOP else UNAUTHORIZED)


def test_the_uuid_of_a_device_without_an_owner_stays():
    rig = Rig()
    assert again(rig.store.records).security.uuid == rig.security.uuid != NIL
    assert Rig(random=None).security.uuid[14] == "4"


async def test_a_store_that_fails_changes_nothing():
    for state, code, path, body in (
        (RFPRO, POST, "cred", {"creds": [psk(THIRD, b"n" * 16)]}),
        (RFPRO, POST, "acl2", {"aclist2": [ace(THIRD, 2, "/light")]}),
        (RFPRO, DELETE, "cred", None), (RFPRO, DELETE, "acl2", None), (RFPRO, DELETE, "acl2?aceid=1", None),
        (SRESET, POST, "doxm", {"rowneruuid": OTHER}), (SRESET, POST, "acl2", {"rowneruuid": OTHER}),
        (SRESET, POST, "cred", {"rowneruuid": OTHER, "creds": [psk(OWNER, b"n" * 16)]}),
        (SRESET, POST, "pstat", {"rowneruuid": OTHER}), (RFNOP, POST, "pstat", {"dos": {"s": RFPRO}, "om": 6}),
        (RFNOP, POST, "pstat", {"dos": {"s": RESET}}),
    ):  # fmt: skip
        rig = full(state)
        session = rig.open(OWNER)
        before, stored = rig.facts(), dict(rig.store.records)
        rig.store.broken = True
        found, why = rig.ask(session, code, "/oic/sec/" + path, body)
        assert found == BROKEN and "stored" in why, path
        assert rig.facts() == before and rig.store.records == stored, path
        rig.store.broken = False
        assert rig.ask(session, code, "/oic/sec/" + path, body)[0] in (CHANGED, DELETED)
        if body != {"dos": {"s": RESET}}:
            assert rig.facts() != before and again(rig.store.records).facts() == rig.facts(), path


def test_an_onboarding_whose_store_fails_goes_on_when_it_works_again():
    rig = Rig()
    doc = rig.connect()
    for name, body in reference_steps() + [("acl2", {"aclist2": ENTRIES}), ("pstat", {"dos": {"s": 2}})]:
        before = rig.facts()
        rig.store.broken = True
        assert rig.ask(doc, POST, "/oic/sec/" + name, body)[0] == BROKEN
        assert rig.facts() == before
        rig.store.broken = False
        rig.steps(doc, [(name, body)])
    assert again(rig.store.records).facts() == rig.facts()


async def test_nobody_gets_in_while_a_reset_cannot_be_recorded():
    rig = Rig()
    doc = rig.connect()
    rig.steps(doc, reference_steps())
    rig.store.broken = True
    rig.close(doc)
    await settle()
    assert rig.pstat.state == RESET and rig.security.suites() == ()
    assert rig.ask(None, POST, "/oic/sec/doxm", {"oxmsel": 0})[0] == UNAUTHORIZED
    assert again(rig.store.records).pstat.unfinished
    rig.store.broken = False
    for _ in range(300):
        if rig.pstat.state == RFOTM:
            break
        await asyncio.sleep(0.01)
    assert unowned(rig)


def test_a_first_start_without_a_store_serves_all_the_same():
    store = MemoryStore()
    store.broken = True
    rig = Rig(store)
    assert rig.ask(None, GET, "/oic/sec/doxm")[1]["deviceuuid"] == rig.security.uuid
    assert rig.device.di == rig.security.uuid != NIL and not rig.pstat.unfinished


# The power


def settled(rig):
    """`rig` once it is through the RESET that its start has found to be due, if any."""
    if rig.pstat.unfinished:
        rig.pstat.reset()
    return rig


def test_the_power_fails_at_each_change_of_an_owned_device():
    entry = ace(THIRD, 2, "/light")
    for state, code, path, body in (
        (RFPRO, POST, "cred", {"creds": [psk(THIRD, b"n" * 16), psk(OWNER, b"m" * 16)]}),
        (RFPRO, POST, "acl2", {"aclist2": [entry]}), (RFPRO, DELETE, "cred?credid=2", None), (RFPRO, DELETE, "acl2", None),
        (SRESET, POST, "acl2", {"rowneruuid": OTHER, "aclist2": [entry]}), (SRESET, POST, "doxm", {"rowneruuid": OTHER}),
        (SRESET, POST, "pstat", {"rowneruuid": OTHER, "om": 7, "dos": {"s": RFPRO}}),
        (RFNOP, POST, "pstat", {"dos": {"s": RFPRO}}),
    ):  # fmt: skip
        records = full(state).store.records
        cut = 0
        while True:
            rig = Rig(Fuse(records, cut))
            try:
                assert rig.ask(rig.open(OWNER), code, "/oic/sec/" + path, body)[0] in (CHANGED, DELETED)
                break
            except PowerCut:
                found = again(rig.store.records)
                assert found.facts() == again(records).facts() and not found.pstat.unfinished
            cut += 1
        assert cut == 1  # one record, one change: old or new, and nothing between
        assert again(rig.store.records).facts() == rig.facts() != again(records).facts()


def test_the_power_fails_at_each_change_of_an_onboarding():
    steps = reference_steps() + [("acl2", {"aclist2": ENTRIES}), ("pstat", {"dos": {"s": 2}})]
    fresh = Rig().store.records
    for cut in range(len(steps)):
        rig = Rig(Fuse(fresh, cut))
        doc = rig.connect()
        done = 0
        try:
            for name, body in steps:
                assert rig.ask(doc, POST, "/oic/sec/" + name, body)[0] == CHANGED
                done += 1
        except PowerCut:
            pass
        assert done == cut  # each is one change of the store
        found = again(rig.store.records)
        assert done < 2 or found.pstat.unfinished  # the first step is of no owner's
        assert unowned(settled(found)), cut


def test_the_power_fails_at_each_change_of_a_reset_and_again_in_the_next():
    records = full().store.records
    first = 0
    while True:
        rig = Rig(Fuse(records, first))
        try:
            rig.pstat.reset()
            break
        except PowerCut:
            found = again(rig.store.records)
            if first == 0:
                assert found.facts() == again(records).facts() and not found.pstat.unfinished
                first += 1
                continue
            assert found.pstat.unfinished and found.pstat.state == RFOTM
        for second in range(12):
            later = None
            try:
                later = Rig(Fuse(rig.store.records, second))
                later.pstat.reset()
                break
            except PowerCut:
                if later:
                    assert unowned(settled(again(later.store.records))), (first, second)
        assert unowned(later)
        first += 1
    assert first > 5 and unowned(rig)


def test_a_reset_leaves_nothing_of_the_owner():
    rig = full()
    rig.steps(rig.open(OWNER), [("pstat", {"om": 4})])
    rig.names.update({"n": "kitchen"})
    rig.pstat.reset()
    assert unowned(rig) and rig.names.n == ""
    for data in rig.store.records.values():
        for trace in (OWNER.encode(), OTHER.encode(), KEY, b"3" * 32, b"der", b"kitchen", b"/light"):
            assert trace not in data
    rig.own()
    assert again(rig.store.records).facts() == rig.facts()


# Damage


def pieces(value):
    """Functions that put `bad` into one place each of a decoded record, and the paths to these places."""
    if isinstance(value, (dict, list)):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield (key,)
            for path in pieces(value[key]):
                yield (key,) + path


def replaced(record, path, bad):
    value = decode(record, max_items=2000)
    at = value
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = bad
    return dumps(value)


def test_damaged_records_end_in_reset_and_the_device_serves():
    records = full().store.records
    for name in ("doxm", "cred", "acl2", "sdi", "pstat"):
        data = records[name]
        bad = [
            data[:1],
            data[: len(data) // 2],
            data[:-1],
            data + b"\0",
            b"\xff",
            b"\x01",
            b"\x80",
            b"\xa0",
            b"\xf6",
            bytes(40),
        ]
        for damaged in bad:
            rig = again(dict(records, **{name: damaged}))
            assert rig.pstat.unfinished, (name, damaged)
            assert name == "pstat" or name in rig.pstat.unfinished  # the reason, for the log
            rig.pstat.reset()
            assert unowned(rig), (name, damaged)
        rig.own()
        assert again(rig.store.records).facts() == rig.facts()


def test_lost_records_end_in_reset():
    records = full().store.records
    for name in ("doxm", "cred", "acl2", "pstat"):
        for empty in (True, False):
            left = dict(records)
            left.pop(name)
            if empty:
                left[name] = b""
            rig = again(left)
            assert rig.pstat.unfinished, name
            rig.pstat.reset()
            assert unowned(rig)
    left = dict(records)
    left.pop("sdi")
    assert not again(left).pstat.unfinished  # it was never written


async def test_between_such_a_start_and_the_end_of_reset_nothing_is_served():
    records = dict(full().store.records)
    records["cred"] = b"\xff"
    rig = again(records)
    rig.pstat.begin_reset()
    for path in ("/oic/res", "/oic/sec/doxm", "/light"):
        assert rig.ask(None, GET, path)[0] == UNAUTHORIZED
    assert rig.security.suites() == ()
    await settle()
    assert unowned(rig)


def test_a_value_of_another_kind_anywhere():
    """Never a Device that does not start; never more rights than before."""
    rig = full()
    expected = rig.facts()
    for name in ("doxm", "cred", "acl2", "sdi"):
        record = rig.store.records[name]
        for path in pieces(decode(record, max_items=2000)):
            for bad in (None, -1, "x", [5]):
                found = again(dict(rig.store.records, **{name: replaced(record, path, bad)}))
                if not found.pstat.unfinished:
                    facts = found.facts()
                    assert len(facts[7]) == len(expected[7]) and len(facts[8]) <= len(expected[8]), (name, path, bad)
                    for cred in facts[7]:
                        assert isinstance(cred["key"], bytes) and isinstance(cred["subject"], str), (name, path, bad)
                found.ask(found.open(OTHER), GET, "/light")  # and whatever it says, it says something
                found.security.psk(b"x" * 16)


def test_a_record_of_a_newer_version():
    rig = full()
    records = dict(rig.store.records)
    for name in ("doxm", "cred", "acl2", "sdi", "pstat"):
        value = decode(records[name], max_items=2000)
        value["v"] = 2
        value["unknown"] = {"x": [1]}
        for array in ("creds", "aces", "sdi"):
            for entry in value.get(array, ()):
                if isinstance(entry, list):
                    entry.append("more")
        if name == "sdi":
            value["sdi"].append("more")
        if name == "acl2":
            value["aces"].append([77, "device", OTHER, [["*", None]], 31])  # a kind of subject that is not known here
            value["aces"][0][3][0].append("more")
        records[name] = dumps(value)
    found = again(records)
    assert found.facts() == rig.facts() and not found.pstat.unfinished


def test_a_certificate_whose_key_is_lost_is_not_shown():
    rig = owned(RFNOP)
    own = {"id": 9, "type": 8, "subject": OTHER, "usage": "cert", "key": b"", "chain": [b"der"], "role": None}
    rig.security.creds.append(own)
    session = rig.open(OWNER)
    rig.pstat.state = RFPRO
    rig.steps(session, [("cred", {"creds": []}), ("pstat", {"dos": {"s": RFNOP}})])
    found = again(rig.store.records)
    assert found.security.suites() == (0xC037, 0xC0A8) and found.security.certificate() is None
    assert not found.pstat.unfinished
    rig.store.save("key", bytes(96))
    found = again(rig.store.records)
    assert found.security.certificate() == ([b"der"], bytes(32)) and 0xC0AE in found.security.suites()
