"""`ocf.security` as the credentials of DTLS: Random PIN, who is found by which key, and sessions that have lost theirs."""

import asyncio

from crypto import prf
from ocf import security
from ocf.pstat import RFNOP, RFPRO, SRESET
from ocf.uuids import raw
from security_rig import (
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

DOXM = "/oic/sec/doxm"
IDENTITY = b"oic.sec.doxm.rdp"


class NoRoom:
    """Stands for `port.phase` when there is no memory for what it should load."""

    def __init__(self, *names):
        pass

    def __enter__(self):
        raise MemoryError

    def __exit__(self, *_exc):
        return False


async def ask_for_pin(rig):
    """A new PIN, once its key is there."""
    assert rig.ask(None, POST, DOXM, {"oxmsel": 1}) == (CHANGED, None)
    for _ in range(1000):
        if rig.security.pin_key:
            return rig.pins[-1]
        await asyncio.sleep(0)
    raise AssertionError("there is no key")


async def key_of(rig, pin):
    return await prf.pbkdf2(pin.encode(), raw(rig.security.uuid), 1000, 16)


async def test_a_pin():
    rig = Rig()
    s = rig.security
    pin = await ask_for_pin(rig)
    assert len(pin) == 8 and not pin.strip("0123456789")
    assert s.hint() == b"oic.sec.doxm.rdp:" + raw(s.uuid)
    assert s.suites() == (0xC037,)
    assert s.psk(IDENTITY) == (await key_of(rig, pin), None)
    for identity in (
        b"",
        IDENTITY[:-1],
        IDENTITY + b"\0",
        IDENTITY.upper(),
        IDENTITY + b":" + raw(s.uuid),
        raw(s.uuid),
    ):
        assert s.psk(identity) is None, identity
    shown = rig.ask(None, GET, DOXM + "?if=oic.if.baseline")[1]
    assert pin not in str(shown) and shown["oxmsel"] == 1


async def test_every_digit_is_as_likely_as_the_others():
    given = [250, 255, 0, 9, 10, 249, 251, 19, 100, 101, 252, 102, 103]
    rig = Rig()
    rig.security.random = lambda n: bytes([given.pop(0)])
    assert await ask_for_pin(rig) == "09099012" and given == [103]


async def test_each_time_another_pin_and_the_last_one_counts():
    rig = Rig()
    for _ in range(3):
        rig.ask(None, POST, DOXM, {"oxmsel": 1})
        assert rig.security.pin_key is None and rig.security.suites() == ()  # until the key is derived
        await asyncio.sleep(0)
    pin = await ask_for_pin(rig)
    first = rig.security.pin_key  # of the derivations that were begun, the one that has ended first
    assert len(rig.pins) == 4 == len(set(rig.pins)) and pin == rig.pins[-1]
    for _ in range(500):  # no derivation of an older one comes after it
        await asyncio.sleep(0)
    assert rig.security.psk(IDENTITY)[0] == first == await key_of(rig, pin)


async def test_a_pin_is_good_for_five_handshakes():
    rig = Rig()
    s = rig.security
    pin = await ask_for_pin(rig)
    for _ in range(5):
        assert s.psk(b"whoever") is None  # not a guess
        assert s.psk(IDENTITY)
    assert s.psk(IDENTITY) is None
    assert s.psk(IDENTITY) is None and s.suites() == ()
    assert rig.ask(None, GET, DOXM)[1]["oxmsel"] == 4  # says that it has to be selected again
    assert await ask_for_pin(rig) != pin and s.psk(IDENTITY)


async def test_the_fifth_handshake_can_still_be_the_right_one():
    rig = Rig()
    await ask_for_pin(rig)
    for _ in range(5):
        key, _ = rig.security.psk(IDENTITY)
    doc = rig.open(key=key)
    assert doc is rig.security.doc
    rig.steps(doc, reference_steps(b"") + [("pstat", {"dos": {"s": RFPRO}})])
    expected = prf.owner_psk(doc.master, doc.randoms, 96, b"oic.sec.doxm.rdp", raw(OWNER), raw(rig.security.uuid))
    assert rig.security.psk(raw(OWNER)) == (expected, OWNER)
    assert rig.security.psk(IDENTITY) is None  # the PIN opens nothing any more


async def test_a_pin_does_not_outlive_a_reset_nor_another_method():
    rig = Rig()
    await ask_for_pin(rig)
    rig.ask(None, POST, DOXM, {"oxmsel": 0})
    assert rig.security.psk(IDENTITY) is None and rig.security.suites() == (0xFF00,)
    await ask_for_pin(rig)
    rig.pstat.reset()
    assert rig.security.psk(IDENTITY) is None and rig.security.suites() == ()
    rig.ask(None, POST, DOXM, {"oxmsel": 1})
    rig.ask(None, POST, DOXM, {"oxmsel": 0})
    for _ in range(500):
        await asyncio.sleep(0)
    assert rig.security.pin_key is None  # a derivation that was under way came to nothing


def test_keys_are_found_by_uuid():
    rig = owned()
    s = rig.security
    assert s.hint() == raw(s.uuid)
    for identity in (raw(OTHER), OTHER.encode()):
        assert s.psk(identity) == (KEY, OTHER)
        assert s.psk_for(identity, None) == (raw(s.uuid), KEY, OTHER)
    for identity in (b"", raw(THIRD), raw(OTHER)[:-1], raw(OTHER) + b"\0", b"\0", IDENTITY, raw(s.uuid)):
        assert s.psk(identity) is None and s.psk_for(identity, None) is None
    assert s.certificate() is None and s.authorities() == [] and s.suites() == (0xC037, 0xC0A8)


# Sessions whose credential is gone


def provision(rig, owner, *requests):
    """Requests in RFPRO, and back to RFNOP."""
    rig.steps(owner, [("pstat", {"dos": {"s": RFPRO}})])
    for code, path, body in requests:
        assert rig.ask(owner, code, path, body)[0] in (CHANGED, DELETED)
    rig.steps(owner, [("pstat", {"dos": {"s": RFNOP}})])


def sessions():
    rig = owned(RFNOP)
    owner, other = rig.open(OWNER), rig.open(OTHER)
    provision(rig, owner, (POST, "/oic/sec/acl2", {"aclist2": [ace(OTHER, 2, "/light")]}))
    assert owner.open and other.open  # nothing has changed for them
    return rig, owner, other


def test_only_the_onboarding_connection_keeps_what_a_key_is_derived_from():
    rig = Rig()
    assert rig.ask(None, POST, DOXM, {"oxmsel": 0}) == (CHANGED, None)
    kept = rig.open(suite=0xFF00)
    assert (len(kept.master), len(kept.randoms)) == (48, 64)
    _, a, _b = sessions()
    assert (a.master, len(a.randoms)) == (b"", 32)


def test_a_session_ends_when_its_credential_is_deleted():
    rig, owner, other = sessions()
    number = rig.security.creds[1]["id"]
    provision(rig, owner, (DELETE, "/oic/sec/cred?credid=%d" % number, None))
    assert owner.open and not other.open
    assert rig.ask(owner, GET, "/oic/sec/pstat")[0] == CONTENT


def test_a_session_ends_when_its_key_is_replaced():
    rig, owner, other = sessions()
    provision(rig, owner, (POST, "/oic/sec/cred", {"creds": [psk(OTHER, b"another key of 1")]}))
    assert owner.open and not other.open
    assert rig.open(OTHER) is None and rig.open(OTHER, key=b"another key of 1")


def test_a_session_stays_when_others_credentials_change():
    rig, owner, other = sessions()
    provision(
        rig, owner, (POST, "/oic/sec/cred", {"creds": [psk(THIRD), psk(OTHER)]}),
        (DELETE, "/oic/sec/cred?credid=3", None),
    )  # fmt: skip
    assert owner.open and other.open


def test_a_session_ends_when_the_role_of_its_key_changes():
    rig, owner, other = sessions()
    provision(rig, owner, (POST, "/oic/sec/cred", {"creds": [psk(OTHER, roleid={"role": "oic.role.owner"})]}))
    assert not other.open
    other = rig.open(OTHER)
    assert other.roles == (("", "oic.role.owner"),) and rig.ask(other, GET, "/oic/sec/acl2")[0] == CONTENT
    provision(rig, owner, (POST, "/oic/sec/cred", {"creds": [psk(OTHER)]}))
    assert not other.open
    assert rig.ask(rig.open(OTHER), GET, "/oic/sec/acl2")[0] == UNAUTHORIZED


def test_a_session_by_certificate_ends_with_an_authority():
    rig, owner, _ = sessions()
    authority = {"id": 20, "type": 8, "subject": "*", "usage": "trustca", "key": b"", "chain": [b"der"], "role": None}
    assert rig.open(THIRD, suite=0xC0AE) is None  # nobody has vouched for it
    rig.security.creds += [authority, dict(authority, id=21, chain=[b"der2"])]
    third = rig.open(THIRD, suite=0xC0AE)
    provision(rig, owner, (POST, "/oic/sec/cred", {"creds": [psk(THIRD)]}))
    rig.security.creds.append(dict(authority, id=22, chain=[b"der3"]))
    provision(rig, owner)
    assert third.open
    provision(rig, owner, (DELETE, "/oic/sec/cred?credid=21", None))
    assert not third.open and owner.open


async def test_the_onboarding_connection_and_what_came_after_it():
    rig = Rig()
    doc = rig.connect()
    rig.steps(doc, reference_steps() + [("pstat", {"dos": {"s": RFPRO}})])
    owner = rig.open(OWNER)
    rig.steps(owner, [("pstat", {"dos": {"s": RFNOP}})])
    assert doc.open and owner.open and rig.security.knows(doc)
    rig.close(doc)
    await settle()
    assert rig.pstat.state == RFNOP and owner.open  # it was the owner's already: no RESET
    rig.steps(owner, [("pstat", {"dos": {"s": SRESET}})])


def test_no_session_outlives_its_credential_for_want_of_memory():
    rig, owner, other = sessions()
    real = security.phase
    security.phase = NoRoom
    try:
        assert not rig.security.knows(other) and not rig.security.knows(owner)
    finally:
        security.phase = real
    assert rig.security.knows(other) and rig.security.knows(owner)
