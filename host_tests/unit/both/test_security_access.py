"""`ocf.security`, access control: who may do what, as tables (OCF Security, access control)."""

import security_rig
from coap.endpoint import Endpoint
from coap_request import Request
from coap_rig import CON, Recorder, datagram
from dtls.record import Session
from ocf.pstat import RESET, RFNOP, RFOTM, RFPRO, SRESET
from security_rig import (
    CHANGED,
    CONTENT,
    DELETE,
    DELETED,
    GET,
    NOT_ALLOWED,
    OTHER,
    OWNER,
    POST,
    PUT,
    THIRD,
    UNAUTHORIZED,
    Rig,
    ace,
    psk,
    reference_steps,
)  # fmt: skip

CORE = ("/oic/res", "/oic/d", "/oic/p")
ROWNED = ("/oic/sec/doxm", "/oic/sec/pstat", "/oic/sec/cred", "/oic/sec/acl2")
SVRS = ROWNED + tuple("/oic/sec/" + name for name in ("sp", "csr", "sdi"))
ROLES = "/oic/sec/roles"  # each session's own: it has a rule of its own
DCRS = ("/oc/swu", "/oic/mnt")
NCRS = ("/light", "/hidden", "/open", "/oc/con")
ALL = CORE + SVRS + DCRS + NCRS
METHODS = (GET, POST, PUT, DELETE)


def grid(hrefs, methods=METHODS):
    return {(method, href) for method in methods for href in hrefs}


def allowed(rig, session):
    """All that `session` (None: in the clear) may do now."""
    found = set()
    for method, href in grid(ALL):
        request = Request(method, href, peer=session or "x", secure=session is not None)
        request.identity = session and session.uuid
        if rig.security.check(request, rig.device.find(href)):
            found.add((method, href))
    return found


def write(rig, *aces):
    """Entries, as the owner has written them before."""
    state, rig.pstat.state = rig.pstat.state, RFPRO
    assert rig.ask(rig.sessions[0], POST, "/oic/sec/acl2", {"aclist2": list(aces)}) == (CHANGED, None)
    rig.pstat.state = state


def owned(state, *aces):
    """A Device in `state`, and its sessions: of the owner, of another Client by key, of one by certificate."""
    rig = security_rig.owned(state)
    sessions = [rig.open(OWNER), rig.open(OTHER)]
    rig.security.creds.append(
        {"id": 99, "type": 8, "subject": "*", "usage": "trustca", "key": b"", "chain": [b"der"], "role": None}
    )
    sessions.append(rig.open(THIRD, suite=0xC0AE))
    assert None not in sessions
    if aces:
        write(rig, *aces)
    return [rig] + sessions


def test_nobody_owns_it_yet():
    rig = Rig()
    before = grid(CORE, (GET,)) | grid(("/oic/sec/doxm",), (GET, POST)) | {(GET, "/oic/sec/pstat")}
    assert allowed(rig, None) == before
    doc = rig.connect()
    assert rig.pstat.state == RFOTM
    assert allowed(rig, None) == set()  # not even discovery, while somebody becomes the owner
    assert allowed(rig, doc) == grid(CORE + SVRS + DCRS)


def test_entries_are_of_no_meaning_before_there_is_an_owner():
    rig = Rig()
    doc = rig.connect()
    everything = (ace("anon-clear", 31, "*", *CORE), ace("anon-clear", 31, *SVRS), ace("auth-crypt", 31, *DCRS))
    rig.steps(doc, [("acl2", {"aclist2": list(everything)})])
    assert allowed(rig, None) == set() and allowed(rig, doc) == grid(CORE + SVRS + DCRS)


def test_a_session_that_is_not_the_onboarding_connection():
    rig = Rig()
    rig.connect()
    assert rig.open(suite=0xFF00) is None  # and if it were let in:
    stray = Session("stray")
    assert allowed(rig, stray) == set()
    stray.uuid = OWNER
    assert allowed(rig, stray) == set()


def test_in_reset_nobody_may_do_anything():
    rig, owner, other, by_certificate = owned(RFNOP, ace(OTHER, 31, *SVRS), ace("anon-clear", 31, *CORE))
    rig.pstat.state = RESET
    for session in (None, owner, other, by_certificate):
        assert allowed(rig, session) == set()


def test_without_entries():
    for state in (RFPRO, RFNOP, SRESET):
        rig, owner, other, by_certificate = owned(state)
        assert allowed(rig, None) == set()
        assert allowed(rig, owner) == grid(ROWNED)
        assert allowed(rig, other) == allowed(rig, by_certificate) == set()


def test_the_onboarding_connection_configures_until_it_closes():
    rig = Rig()
    doc = rig.connect()
    rig.steps(doc, reference_steps())
    for state in (RFPRO, RFNOP, SRESET):
        rig.steps(doc, [("pstat", {"dos": {"s": state}})])
        assert allowed(rig, doc) == grid(CORE + SVRS + DCRS)
        assert allowed(rig, None) == set()
    rig.close(doc)
    assert rig.pstat.state == SRESET and allowed(rig, doc) == set()


def test_each_rowneruuid_is_for_its_own_resource():
    rig, owner, other, by_certificate = owned(RFNOP)
    s = rig.security
    for i, href in enumerate(ROWNED):
        s.rowner, rig.pstat.rowneruuid, s.cred_owner, s.acl_owner = [OTHER if i == k else OWNER for k in range(4)]
        assert allowed(rig, other) == grid((href,))
        assert allowed(rig, owner) == grid(ROWNED) - grid((href,))
    s.rowner = THIRD
    assert allowed(rig, by_certificate) == grid(("/oic/sec/doxm",))


def test_entries_by_name_and_kind_of_subject():
    """Rows: the subject; what it opens, in RFNOP, in the clear, to the owner, to another, by certificate."""
    secured = grid(CORE + DCRS + NCRS)
    rows = (
        (OTHER, set(), set(), grid(ALL), set()),
        (THIRD, set(), set(), set(), grid(ALL)),
        ("auth-crypt", set(), secured, secured, secured),
        ("anon-clear", grid(CORE), secured, secured, secured),
    )
    for subject, clear, by_owner, by_other, by_third in rows:
        for state in (RFPRO, RFNOP, SRESET):
            rig, owner, other, by_certificate = owned(state, ace(subject, 31, *ALL[:9]), ace(subject, 31, *ALL[9:]))
            more = set() if state == RFNOP else grid(NCRS)
            for session, rights in (
                (None, clear),
                (owner, by_owner | grid(ROWNED)),
                (other, by_other - more),
                (by_certificate, by_third - more),
            ):
                if session is owner:
                    rights = rights - more
                assert allowed(rig, session) == rights, (subject, state, session and session.uuid)


def test_wildcards_are_about_the_makers_resources():
    discoverable = grid(("/light", "/open", "/oc/con"))
    for wildcard, covered in (("*", grid(NCRS)), ("+", discoverable), ("-", set())):
        for subject in (OTHER, "auth-crypt", "anon-clear"):
            for state in (RFPRO, RFNOP, SRESET):
                rig, owner, other, by_certificate = owned(state, ace(subject, 31, wildcard))
                here = covered if state == RFNOP else set()
                assert allowed(rig, None) == set()
                assert allowed(rig, other) == here, (wildcard, subject, state)
                assert allowed(rig, by_certificate) == (set() if subject == OTHER else here)


def test_permissions():
    rig, _, other, _ = owned(RFNOP)
    for permission in range(32):
        rig.security.aces = []
        write(rig, ace(OTHER, permission, "/light", "/oic/sec/sdi"))
        expected = set()
        for bits, method in ((2 | 16, GET), (1 | 4, POST), (1 | 4, PUT), (8, DELETE)):
            if permission & bits:
                expected |= grid(("/light", "/oic/sec/sdi"), (method,))
        assert allowed(rig, other) == expected, permission


def test_entries_add_up():
    rig, _, other, by_certificate = owned(
        RFNOP, ace("auth-crypt", 2, "/light"), ace(OTHER, 4, "/light"), ace("anon-clear", 8, "*")
    )
    assert allowed(rig, other) & grid(("/light",)) == grid(("/light",))
    assert allowed(rig, by_certificate) & grid(("/light",)) == grid(("/light",), (GET, DELETE))


def test_an_address_is_compared_as_a_whole():
    rig, _, other, _ = owned(RFNOP, ace(OTHER, 31, "/ligh", "/light/", "/LIGHT", "/"))
    assert allowed(rig, other) == set()


def test_roles():
    rows = (  # the entry's, the session's, whether they meet
        ({"role": "admin"}, ("", "admin"), True),
        ({"role": "admin"}, ("Maker", "admin"), True),
        ({"role": "admin", "authority": "Maker"}, ("Maker", "admin"), True),
        ({"role": "admin", "authority": "Maker"}, ("", "admin"), False),
        ({"role": "admin", "authority": "Maker"}, ("Other", "admin"), False),
        ({"role": "admin"}, ("", "user"), False),
        ({"role": "admin"}, ("admin", "user"), False),
    )
    for subject, role, good in rows:
        rig, _, other, by_certificate = owned(RFNOP, ace(subject, 2, "/light", "/oic/sec/sdi", "/oc/swu"))
        by_certificate.roles = (("", "else"), role)
        assert allowed(rig, by_certificate) == (grid(("/light", "/oic/sec/sdi", "/oc/swu"), (GET,)) if good else set())
        assert allowed(rig, other) == set()


def test_a_role_that_comes_with_a_key():
    rig, owner, _, _ = owned(RFNOP, ace({"role": "admin"}, 2, "/light"))
    rig.steps(owner, [("pstat", {"dos": {"s": RFPRO}})])
    rig.steps(owner, [("cred", {"creds": [psk(THIRD, roleid={"role": "admin", "authority": "Maker"})]})])
    rig.steps(owner, [("pstat", {"dos": {"s": RFNOP}})])
    third = rig.open(THIRD)
    assert third.roles == (("Maker", "admin"),) and allowed(rig, third) == {(GET, "/light")}


def test_who_has_the_role_of_owner_may_do_all_that_the_state_allows():
    for state in (RFPRO, RFNOP, SRESET):
        rig, _, other, _ = owned(state)
        other.roles = (("", "oic.role.owner"),)
        assert allowed(rig, other) == grid(ALL) - (set() if state == RFNOP else grid(NCRS))
        other.roles = (("oic.role.owner", "x"), ("", "oic.role.owner2"))
        assert allowed(rig, other) == set()


def test_whoever_has_a_name_may_show_its_roles_and_nobody_else():
    methods = (GET, POST, DELETE)
    for state in (RFPRO, RFNOP, SRESET):
        rig, owner, other, by_certificate = owned(state, ace("anon-clear", 31, ROLES), ace("auth-crypt", 31, ROLES))
        stray = Session("stray")
        for session, may in ((owner, True), (other, True), (by_certificate, True), (stray, False), (None, False)):
            for method in methods:
                request = Request(method, ROLES, peer=session or "x", secure=session is not None)
                request.identity = session and session.uuid
                assert rig.security.check(request, rig.device.find(ROLES)) == may, (state, method)


def test_a_session_without_a_name_has_no_role():
    rig, _, _, _ = owned(RFNOP, ace({"role": "admin"}, 31, "/light"))
    stray = Session("stray")
    stray.roles = (("", "admin"), ("", "oic.role.owner"))
    assert allowed(rig, stray) == set()


# Through the Device


def test_what_is_answered():
    rig, owner, other, _ = owned(RFNOP, ace(OTHER, 14, "/light"))
    assert rig.ask(other, GET, "/light") == (CONTENT, {"value": False})
    assert rig.ask(other, POST, "/light", {"value": True}) == (CHANGED, None)
    assert rig.ask(other, DELETE, "/light")[0] == DELETED
    assert rig.ask(other, PUT, "/light")[0] == NOT_ALLOWED
    for session, path in ((None, "/light"), (other, "/oc/swu"), (owner, "/light"), (None, "/oic/sec/doxm")):
        for method in METHODS:
            assert rig.ask(session, method, path, {} if method == POST else None)[0] == UNAUTHORIZED
    assert rig.ask(other, GET, "/nothing")[0] == 0x84
    assert rig.ask(None, GET, "/oic/sec/doxm?owned=true", multicast=True)[0] == UNAUTHORIZED  # silence, on the wire


def test_every_interface_is_as_closed_as_the_default():
    rig, _, other, _ = owned(RFNOP)
    for path in ALL:
        for interface in ("oic.if.rw", "oic.if.baseline", "oic.if.ll", "oic.if.b", "oic.if.r"):
            for session in (None, other):
                assert rig.ask(session, GET, path + "?if=" + interface)[0] == UNAUTHORIZED


def batch(rig, session):
    code, found = rig.ask(session, GET, "/oic/res?if=oic.if.b")
    assert code == CONTENT
    assert len({item["href"] for item in found}) == len(found)
    return {item["href"]: item["rep"] for item in found}


def test_a_batch_shows_what_the_client_may_read():
    rig, owner, other, by_certificate = owned(
        RFNOP, ace("anon-clear", 2, "/oic/res", "/oic/d"), ace(OTHER, 2, "/light", "/oic/sec/sdi"),
        ace(OTHER, 4, "/oc/swu"), ace(THIRD, 2, "*", "/oic/p"),
    )  # fmt: skip
    assert set(batch(rig, None)) == {"/oic/d"}
    assert set(batch(rig, other)) == {"/oic/d", "/light", "/oic/sec/sdi", ROLES}
    assert set(batch(rig, by_certificate)) == {"/oic/d", "/light", "/oic/p", "/open", "/oc/con", ROLES}
    assert set(batch(rig, owner)) == {"/oic/d", ROLES} | set(ROWNED)
    assert batch(rig, other)["/light"]["rt"] == ["oic.r.switch.binary"]


def test_a_batch_with_the_certificate_request_in_it():
    rig, owner, _, _ = owned(RFNOP, ace("anon-clear", 2, "/oic/res"), ace(OWNER, 2, "/oic/sec/csr"))
    shown = batch(rig, owner)
    assert "csr" not in shown["/oic/sec/csr"] and shown["/oic/sec/csr"]["rt"] == ["oic.r.csr"]
    assert rig.store.load("key") is None


def test_before_there_is_an_owner_a_batch_shows_what_is_in_the_clear():
    assert set(batch(Rig(), None)) == {"/oic/d", "/oic/p", "/oic/sec/doxm", "/oic/sec/pstat"}


class Secured(Recorder):
    secure = True

    def identity(self, session):
        return session.uuid


async def test_notifications_end_when_the_entry_is_gone():
    rig, owner, other, _ = owned(RFNOP, ace(OTHER, 2, "/light"))
    wire = Secured()
    endpoint = Endpoint(wire, rig.device.handle)
    rig.device.coap.append(endpoint)
    light = rig.device.find("/light")
    endpoint.receive(datagram(CON, GET, 1, b"t", [(6, 0), (11, "light")]), other)
    first = wire.take()
    assert first.code == CONTENT and first.observe is not None
    light.update({"value": True})
    assert wire.take().code == CONTENT
    rig.pstat.state = RFPRO
    assert rig.ask(owner, DELETE, "/oic/sec/acl2")[0] == DELETED
    rig.pstat.state = RFNOP
    light.update({"value": False})
    last = wire.take()
    assert last.code == UNAUTHORIZED and last.observe is None
    light.update({"value": True})
    assert wire.sent == []
