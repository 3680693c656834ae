"""`ocf.security` with certificates: requests, identity certificates, authorities, role certificates, who is trusted when."""

import asyncio

import pytest
import security_rig as rigs
from certificates import CLIENT as FOR_CLIENTS
from certificates import DAY, LEAF, MIDDLE, NOW, ROLE, ROOT, SERVER, Party
from crypto import certificate, pem, x509
from cryptography import x509 as peer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ocf.pstat import RFNOP, RFPRO
from security_rig import (
    BAD,
    CHANGED,
    CONTENT,
    DELETE,
    DELETED,
    DEVICE,
    GET,
    NOT_FOUND,
    OTHER,
    OWNER,
    POST,
    THIRD,
    TOO_LARGE,
)

CRED, CSR, ROLES = "/oic/sec/cred", "/oic/sec/csr", "/oic/sec/roles"
TODAY = int(NOW.timestamp())


def text_of(*parties):
    return "".join(pem.encode("CERTIFICATE", party.der) for party in parties)


def trustca(*parties, **more):
    public = {"data": text_of(*parties), "encoding": "oic.sec.encoding.pem"}
    return {"credtype": 8, "subjectuuid": "*", "credusage": "oic.sec.cred.trustca", "publicdata": public, **more}


def own(*parties, **more):
    return trustca(*parties, **{"credusage": "oic.sec.cred.cert", "subjectuuid": DEVICE, **more})


def rig_in(state=RFPRO, **settings):
    """An owned Device whose owner may do everything, and the owner's session."""
    first = rigs.owned(state)
    rig = rigs.Rig(first.store, **settings)
    owner = rig.open(OWNER)
    owner.roles = (("", "oic.role.owner"),)
    return rig, owner


def post(rig, session, *entries):
    return rig.ask(session, POST, CRED, {"creds": list(entries)})


class Public:
    """Stands where a party's private key does, for a certificate about a key of which only the public half is known."""

    def __init__(self, key):
        self._key = key

    def public_key(self):
        return self._key


async def request(rig, session):
    code, shown = await rig.wait(session, GET, CSR)
    assert code == CONTENT and shown["encoding"] == "oic.sec.encoding.pem"
    return peer.load_pem_x509_csr(shown["csr"].encode())


async def test_a_certificate_request():
    rig, owner = rig_in()
    first, second = await asyncio.gather(request(rig, owner), request(rig, owner))
    assert first.is_signature_valid and first.subject.rfc4514_string() == "CN=uuid:" + DEVICE
    key = first.public_key()
    assert isinstance(key.curve, ec.SECP256R1)
    # Two that ask at once are told of the same key, and so is who asks after a restart.
    assert second.public_key() == key == (await request(*rig_in_again(rig))).public_key()
    private = rig.store.load("key")[:32]
    assert ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1()).public_key() == key
    for interface in ("", "?if=oic.if.baseline"):
        assert private not in str(await rig.wait(owner, GET, CSR)).encode(), interface


def rig_in_again(rig):
    again = rigs.Rig(rig.store)
    owner = again.open(OWNER)
    owner.roles = (("", "oic.role.owner"),)
    return again, owner


async def test_a_request_that_a_reset_overtakes():
    rig, owner = rig_in()
    task = asyncio.ensure_future(rig.wait(owner, GET, CSR))
    await asyncio.sleep(0)
    rig.pstat.reset()
    assert (await task)[0] == 0xA0 and "key" not in rig.store.records


async def test_a_key_that_cannot_be_stored_is_none():
    rig, owner = rig_in()
    rig.store.broken = True
    assert (await rig.wait(owner, GET, CSR))[0] == 0xA0
    assert "key" not in rig.store.records


async def certified(rig, owner, issuer=MIDDLE, name="uuid:" + DEVICE, **more):
    """A certificate for the key of the Device's request."""
    return Party(name, issuer, key=Public((await request(rig, owner)).public_key()), **more)


async def test_an_identity_certificate():
    rig, owner = rig_in()
    assert 0xC0AE not in rig.security.suites()
    leaf = await certified(rig, owner)
    assert post(rig, owner, trustca(ROOT)) == post(rig, owner, own(leaf, MIDDLE)) == (CHANGED, None)
    assert rig.security.suites() == (0xC037, 0xC0A8, 0xC0AE, 0xC0AC)
    chain, private = rig.security.certificate()
    assert chain == [leaf.der, MIDDLE.der] and private == rig.store.load("key")[:32]
    assert rig.security.authorities() == [ROOT.der]
    again = rigs.Rig(rig.store).security
    assert again.certificate() == (chain, private) and again.authorities() == [ROOT.der]
    renewed = await certified(rig, owner)
    assert post(rig, owner, own(renewed, MIDDLE, subjectuuid="*"))[0] == CHANGED
    assert rig.security.certificate()[0][0] == renewed.der  # there is one of them
    assert len(rig.security.creds) == 4
    shown = rig.ask(owner, GET, CRED)[1]["creds"]
    assert [entry.get("credusage") for entry in shown][2:] == ["oic.sec.cred.trustca", "oic.sec.cred.cert"]
    assert pem.decode(shown[3]["publicdata"]["data"]) == [renewed.der, MIDDLE.der]
    assert all("privatedata" not in entry for entry in shown[2:])


async def test_identity_certificates_that_are_not_this_devices():
    rig, owner = rig_in()
    before = rig.facts()
    code, why = post(rig, owner, own(Party("uuid:" + DEVICE, MIDDLE), MIDDLE))
    assert code == BAD and "certificate" in why  # there is no key yet
    leaf = await certified(rig, owner)
    for entry in (
        own(Party("uuid:" + DEVICE, MIDDLE), MIDDLE),  # for another key
        own(await certified(rig, owner, name="uuid:" + OTHER), MIDDLE),
        own(await certified(rig, owner, name="lamp"), MIDDLE),
        own(MIDDLE, leaf),
        own(leaf, roleid={"role": "oic.role.owner"}),
        own(leaf, period="20260101T000000Z/20270101T000000Z"),
    ):
        assert post(rig, owner, entry)[0] == BAD
        assert rig.facts() == before


def test_authorities():
    rig, owner = rig_in()
    before = rig.facts()
    der = {"encoding": "oic.sec.encoding.der", "data": ROOT.der}
    broken = ROOT.der[:-1]
    for public in (
        None, 5, {}, {"data": 5}, {"data": ""}, {"data": "text"}, {"data": text_of(ROOT)[:-30]}, {"data": text_of(LEAF)},
        {"data": text_of(ROOT, LEAF)}, {"data": pem.encode("CERTIFICATE", broken)}, dict(der, data=broken),
        dict(der, data=b""), dict(der, data="text"), dict(der, data="\u00e9" * 9),
        dict(der, encoding="oic.sec.encoding.raw"),
        dict(der, encoding=5),
    ):  # fmt: skip
        code, why = post(rig, owner, trustca(ROOT, publicdata=public))
        assert code == BAD and why, public
        assert rig.facts() == before
    assert post(rig, owner, trustca(ROOT, publicdata=der))[0] == CHANGED
    assert post(rig, owner, trustca(ROOT))[0] == CHANGED  # the same once more
    assert rig.security.authorities() == [ROOT.der]
    assert post(rig, owner, trustca(ROOT, publicdata={"data": text_of(MIDDLE).encode() + b"\0"}))[0] == CHANGED
    assert rig.security.authorities() == [ROOT.der, MIDDLE.der]


def test_what_has_no_room_is_refused_and_what_was_taken_can_be_read():
    rig, owner = rig_in()
    code, number = CHANGED, 0
    while code == CHANGED and number < 20:
        chain = [Party("Root %d %d" % (number, i), ca=True) for i in range(3)]
        before = rig.facts()
        code, why = post(rig, owner, trustca(*chain))
        number += 1
    assert code == TOO_LARGE and why and rig.facts() == before and number > 4
    code, shown = rig.ask(owner, GET, CRED + "?if=oic.if.baseline")
    assert code == CONTENT and len(shown["creds"]) == 2 + number - 1
    assert rigs.Rig(rig.store).facts() == before


# Who is trusted


async def test_whose_certificate_is_believed():
    rig, owner = rig_in(now=lambda: TODAY)
    post(rig, owner, trustca(ROOT))
    trust = rig.security.trust
    key, uuid = await trust([LEAF.der, MIDDLE.der])
    assert uuid == x509.uuid_of(certificate.parse(LEAF.der)) and key == certificate.parse(LEAF.der).public
    stranger = Party("Stranger", ca=True)
    for chain in (
        [], [LEAF.der], [Party("uuid:" + OTHER, stranger).der], [Party("uuid:" + OTHER, stranger).der, stranger.der],
        [Party("lamp", ROOT).der], [Party("uuid:" + OTHER, ROOT, ekus=(SERVER, FOR_CLIENTS, ROLE)).der], [ROOT.der], [b"x"],
        [Party("uuid:" + OTHER, ROOT, begin=NOW - 2 * DAY, end=NOW - DAY).der],
        [Party("uuid:" + OTHER, ROOT, begin=NOW + DAY, end=NOW + 2 * DAY).der],
    ):  # fmt: skip
        with pytest.raises(ValueError, match="."):
            await trust(chain)


async def test_time_counts_only_once_it_is_known():
    now = 0
    rig, owner = rig_in(now=lambda: now)
    post(rig, owner, trustca(ROOT))
    expired = [Party("uuid:" + OTHER, ROOT, begin=NOW - 2 * DAY, end=NOW - DAY).der]
    assert (await rig.security.trust(expired))[1] == OTHER
    now = TODAY
    with pytest.raises(ValueError, match="expired"):
        await rig.security.trust(expired)


async def test_before_there_is_an_owner_manufacturers_are_believed_and_nobody_has_a_name():
    maker = Party("Maker", ca=True)
    rig = rigs.Rig(mfgcert=([b"der"], bytes(32)), mfgtrust=[maker.der])
    assert (await rig.security.trust([Party("uuid:" + OTHER, maker).der]))[1] is None
    with pytest.raises(ValueError, match="."):
        await rig.security.trust([LEAF.der, MIDDLE.der])
    owned, owner = rig_in(mfgtrust=[maker.der])
    post(owned, owner, trustca(maker, credusage="oic.sec.cred.mfgtrustca"))
    with pytest.raises(ValueError, match="."):  # for identities they are no authority
        await owned.security.trust([Party("uuid:" + OTHER, maker).der])


# Roles


def role_of(uuid, *roles, issuer=ROOT, **more):
    return Party("uuid:" + uuid, issuer, ekus=(SERVER, FOR_CLIENTS, ROLE), roles=roles, **more)


async def rig_with_roles(**settings):
    rig, owner = rig_in(**settings)
    entries = [rigs.ace("auth-crypt", 31, "/light"), rigs.ace({"role": "admin"}, 2, "/oic/sec/acl2", "/oc/swu")]
    entries.append(rigs.ace({"uuid": THIRD}, 31, "/oic/sec/roles"))
    rig.steps(owner, [("acl2", {"aclist2": entries})])
    post(rig, owner, trustca(ROOT))
    rig.steps(owner, [("pstat", {"dos": {"s": RFNOP}})])
    return rig, rig.open(THIRD, suite=0xC0AE)


def assertion(*parties):
    public = {"data": text_of(*parties), "encoding": "oic.sec.encoding.pem"}
    return {"credtype": 8, "subjectuuid": "*", "publicdata": public, "credusage": "oic.sec.cred.rolecert"}


async def test_a_role_certificate_opens_what_its_role_may():
    rig, session = await rig_with_roles()
    assert rig.ask(session, GET, "/oic/sec/acl2")[0] == 0x81
    role = role_of(THIRD, ("Maker", "admin"), (None, "user"))
    assert await rig.wait(session, POST, ROLES, {"roles": [assertion(role)]}) == (CHANGED, None)
    assert set(session.roles) == {("Maker", "admin"), ("", "user")}
    assert rig.ask(session, GET, "/oic/sec/acl2")[0] == rig.ask(session, GET, "/oc/swu")[0] == CONTENT
    await rig.wait(session, POST, ROLES, {"roles": [assertion(role)]})  # once more
    code, shown = rig.ask(session, GET, ROLES)
    assert code == CONTENT and len(shown["roles"]) == 1 and shown["roles"][0]["subjectuuid"] == THIRD
    assert pem.decode(shown["roles"][0]["publicdata"]["data"]) == [role.der]
    other = rig.open(THIRD, suite=0xC0AE)  # roles are a session's
    assert other.roles == () and rig.ask(other, GET, ROLES)[1]["roles"] == []
    for query, code, left in (
        ("?credid=2", NOT_FOUND, 1),
        ("?x=1", BAD, 1),
        ("?credid=1", DELETED, 0),
        ("", DELETED, 0),
    ):
        assert rig.ask(session, DELETE, ROLES + query)[0] == code
        assert len(rig.ask(session, GET, ROLES)[1]["roles"]) == left
    assert session.roles == () and rig.ask(session, GET, "/oic/sec/acl2")[0] == 0x81


async def test_role_certificates_that_give_no_role():
    now = TODAY
    rig, session = await rig_with_roles(now=lambda: now)
    stranger = Party("Stranger", ca=True)
    good = role_of(THIRD, (None, "user"))
    late = {"begin": NOW - 2 * DAY, "end": NOW - DAY}
    for bad in (
        role_of(OTHER, (None, "admin")), role_of(THIRD, (None, "admin"), issuer=stranger), role_of(THIRD),
        role_of(THIRD, (None, "admin"), **late), Party("uuid:" + THIRD, ROOT, roles=((None, "admin"),)),
        role_of(THIRD, (None, "admin"), ca=True), stranger,
    ):  # fmt: skip
        for entries in ([assertion(bad)], [assertion(good), assertion(bad)]):
            code, why = await rig.wait(session, POST, ROLES, {"roles": entries})
            assert code == BAD and "role certificate" in why
            assert session.roles == () and rig.ask(session, GET, ROLES)[1]["roles"] == []
    now = 0  # the time is not known: nothing is too old
    old = assertion(role_of(THIRD, (None, "admin"), **late))
    assert (await rig.wait(session, POST, ROLES, {"roles": [old]}))[0] == CHANGED
    for body in (
        {}, {"roles": None}, {"roles": 5}, {"roles": [5]}, {"roles": [{}]}, {"x": 1},
        {"roles": [{"publicdata": {"data": 5}}]}, {"roles": [{"publicdata": {"data": "x"}}]},
    ):  # fmt: skip
        assert (await rig.wait(session, POST, ROLES, body))[0] == BAD, body


async def test_a_session_has_four_role_certificates_at_most():
    rig, session = await rig_with_roles()
    many = [assertion(role_of(THIRD, (None, "role %d" % i))) for i in range(5)]
    for entries in (many[:2], many[2:4]):
        assert (await rig.wait(session, POST, ROLES, {"roles": entries}))[0] == CHANGED
    before = session.roles
    assert len(before) == 4
    assert (await rig.wait(session, POST, ROLES, {"roles": many[4:]}))[0] == TOO_LARGE
    assert session.roles == before


async def test_role_certificates_add_to_the_role_of_a_key():
    rig, owner = rig_in()
    rig.steps(owner, [("cred", {"creds": [rigs.psk(THIRD, roleid={"role": "user"}), trustca(ROOT)]})])
    rig.steps(
        owner, [("acl2", {"aclist2": [rigs.ace(THIRD, 31, "/oic/sec/roles")]}), ("pstat", {"dos": {"s": RFNOP}})]
    )
    session = rig.open(THIRD)
    assert session.roles == (("", "user"),)
    assert (await rig.wait(session, POST, ROLES, {"roles": [assertion(role_of(THIRD, (None, "admin")))]}))[
        0
    ] == CHANGED
    assert session.roles == (("", "user"), ("", "admin"))
    assert rig.ask(session, DELETE, ROLES)[0] == DELETED and session.roles == (("", "user"),)


async def test_a_role_does_not_outlive_its_authority_in_a_session_by_key():
    rig, owner = rig_in()
    rig.steps(
        owner, [("cred", {"creds": [rigs.psk(THIRD), trustca(ROOT, credid=9)]}), ("pstat", {"dos": {"s": RFNOP}})]
    )
    with_role, without = rig.open(THIRD), rig.open(THIRD)
    role = {"roles": [assertion(role_of(THIRD, (None, "admin")))]}
    assert (await rig.wait(with_role, POST, ROLES, role))[0] == CHANGED
    rig.steps(owner, [("pstat", {"dos": {"s": RFPRO}}), ("pstat", {"dos": {"s": RFNOP}})])
    assert with_role.open and with_role.roles
    rig.steps(owner, [("pstat", {"dos": {"s": RFPRO}})])
    assert rig.ask(owner, DELETE, CRED + "?credid=9")[0] == DELETED
    rig.steps(owner, [("pstat", {"dos": {"s": RFNOP}})])
    assert without.open and not with_role.open
    assert with_role.proof == ()  # nor the key the session


def test_pem_of_a_private_key_is_not_taken_for_a_certificate():
    rig, owner = rig_in()
    key = ROOT.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    assert post(rig, owner, trustca(ROOT, publicdata={"data": key}))[0] == BAD
