"""`ocf.security` and `ocf.pstat` together: device states, their guards, what is writable when, becoming an owner."""

import asyncio

from ocf.pstat import NIL, RESET, RFNOP, RFOTM, RFPRO, SRESET
from security_rig import (
    BAD,
    CHANGED,
    CONTENT,
    DELETE,
    DELETED,
    DEVICE,
    FORBIDDEN,
    GET,
    KEY,
    NOT_ALLOWED,
    NOT_FOUND,
    OTHER,
    OWNER,
    POST,
    UNAUTHORIZED,
    Rig,
    ace,
    owned,
    psk,
    reference_steps,
    settle,
)

DOXM, PSTAT, CRED, ACL2 = ["/oic/sec/" + name for name in ("doxm", "pstat", "cred", "acl2")]
# isop, cm, tm, om
STATE = {
    RFOTM: (False, 2, 0, 3), RFPRO: (False, 0, 0, 4), RFNOP: (True, 0, 0, 4), SRESET: (False, 1, 0, 4),
}  # fmt: skip


def begun(state):
    rig = owned(state)
    return rig, rig.open(OWNER)


def test_what_pstat_shows_by_state():
    rig = Rig()
    for state in (RFOTM, RFPRO, RFNOP, SRESET):
        if state != RFOTM:
            rig, session = begun(state)
        code, shown = rig.ask(None if state == RFOTM else session, GET, PSTAT)
        assert code == CONTENT and shown["dos"] == {"s": state, "p": False} and shown["sm"] == 4
        if state == RFOTM:
            shown["om"] = 3  # before a RESET it is what it supports
        assert (shown["isop"], shown["cm"], shown["tm"], shown["om"]) == STATE[state]


async def test_every_transition_and_where_it_ends():
    legal = {
        RFOTM: (RESET, RFPRO, RFNOP), RFPRO: (RESET, RFPRO, RFNOP, SRESET), RFNOP: (RESET, RFPRO, RFNOP, SRESET),
        SRESET: (RESET, RFPRO, SRESET),
    }  # fmt: skip
    for begin in legal:
        for end in (-1, RESET, RFOTM, RFPRO, RFNOP, SRESET, 5):
            if begin == RFOTM:
                rig = Rig()
                session = rig.connect()
                rig.steps(session, reference_steps())
            else:
                rig, session = begun(begin)
            before = rig.facts()
            code, _ = rig.ask(session, POST, PSTAT, {"dos": {"s": end}})
            assert code == (CHANGED if end in legal[begin] else BAD), (begin, end)
            if code == BAD:
                assert rig.facts() == before
            elif end == RESET:
                assert rig.pstat.state == RESET and rig.ask(session, GET, PSTAT)[0] == UNAUTHORIZED
                await settle()
                assert rig.pstat.state == RFOTM and rig.security.uuid != DEVICE and not session.open
            else:
                assert rig.pstat.state == end


def test_what_guards_the_states_of_an_owned_device():
    steps = reference_steps()
    for missing, name in (
        (8, "owned"), (1, "devowneruuid"), (6, "credential"), (3, "doxm owner"), (4, "acl2 owner"), (5, "pstat owner"),
        (6, "cred owner"),
    ):  # fmt: skip
        for state in (RFPRO, RFNOP):
            rig = Rig()
            doc = rig.connect()
            for i, step in enumerate(steps):
                if name == "cred owner" and i == missing:
                    step = ("cred", {"creds": [psk(OWNER)]})
                if i != missing or name == "cred owner":
                    rig.steps(doc, [step])
            code, why = rig.ask(doc, POST, PSTAT, {"dos": {"s": state}})
            assert code == BAD and ("owned" in why or "rowneruuid" in why), name
            assert rig.pstat.state == RFOTM
            if name != "cred owner":
                rig.steps(doc, [steps[missing]])
            else:
                rig.steps(doc, [("cred", {"rowneruuid": OWNER})])
            rig.steps(doc, [("pstat", {"dos": {"s": state}})])


def test_a_rowneruuid_needs_a_credential_of_its_own():
    rig = Rig()
    doc = rig.connect()
    rig.steps(doc, reference_steps() + [("acl2", {"rowneruuid": OTHER})])
    assert rig.ask(doc, POST, PSTAT, {"dos": {"s": RFPRO}}) == (BAD, "a rowneruuid has no credential")
    rig.steps(doc, [("cred", {"creds": [psk(OTHER)]}), ("pstat", {"dos": {"s": RFPRO}})])


def test_a_rowneruuid_that_comes_with_the_state_is_the_one_that_needs_a_credential():
    rig, session = begun(SRESET)
    before = rig.facts()
    code, why = rig.ask(session, POST, PSTAT, {"rowneruuid": THIRD_PARTY, "dos": {"s": RFPRO}})
    assert (code, why) == (BAD, "a rowneruuid has no credential") and rig.facts() == before
    assert rig.ask(session, POST, PSTAT, {"rowneruuid": OTHER, "dos": {"s": RFPRO}})[0] == CHANGED
    assert rig.pstat.rowneruuid == OTHER and rig.pstat.state == RFPRO


def test_the_last_credential_of_an_owner_can_go_but_the_state_cannot_change_then():
    rig, session = begun(RFPRO)
    assert rig.ask(session, DELETE, CRED)[0] == DELETED
    for state in (RFPRO, RFNOP, SRESET):
        assert rig.ask(session, POST, PSTAT, {"dos": {"s": state}})[0] == BAD
    assert rig.pstat.state == RFPRO


def test_what_is_writable_when():
    """Rows: Resource, body; the states in which the owner's UPDATE of it is taken; that of the onboarding connection."""
    entry = ace(OTHER, 2, "/light")
    rows = (
        ("doxm", {"owned": True}, (), True), ("doxm", {"devowneruuid": OTHER}, (), True),
        ("doxm", {"deviceuuid": OTHER}, (), True), ("doxm", {"rowneruuid": OWNER}, (SRESET,), True),
        ("doxm", {"oxmsel": 0}, (), False), ("doxm", {"owned": False}, (), False), ("doxm", {"sct": 1}, (), False),
        ("doxm", {"oxms": [0]}, (), False),
        ("pstat", {"rowneruuid": OWNER}, (SRESET,), True), ("pstat", {"om": 4}, (RFPRO, RFNOP, SRESET), True),
        ("pstat", {"tm": 0}, (RFPRO, RFNOP, SRESET), True),
        ("pstat", {"cm": 0}, (), False), ("pstat", {"isop": True}, (), False), ("pstat", {"sm": 4}, (), False),
        ("pstat", {"dos": {"p": False}}, (), False),
        ("cred", {"creds": [psk(OWNER)]}, (RFPRO, SRESET), True), ("cred", {"rowneruuid": OWNER}, (SRESET,), True),
        ("cred", {}, (RFPRO, RFNOP, SRESET), True), ("cred", {"creds": None}, (RFPRO, RFNOP, SRESET), True),
        ("acl2", {"aclist2": [entry]}, (RFPRO, SRESET), True), ("acl2", {"rowneruuid": OWNER}, (SRESET,), True),
        ("acl2", {"aclist2": None}, (RFPRO, RFNOP, SRESET), True),
        ("sp", {"currentprofile": "1.3.6.1.4.1.51414.0.0.1.0"}, (RFPRO, SRESET), True),
        ("sp", {"currentprofile": "1.3.6.1.4.1.51414.0.0.2.0"}, (), False),
        ("sp", {"supportedprofiles": []}, (), False),
        ("sdi", {"name": "home"}, (RFPRO, SRESET), True),
    )  # fmt: skip
    for state in (RFPRO, RFNOP, SRESET):
        rig, session = begun(state)
        rig.security.aces.append(
            {
                "id": 9,
                "subject": ("uuid", OWNER),
                "resources": ("/oic/sec/sp", "/oic/sec/sdi"),
                "permission": 31,
            }
        )
        for name, body, states, _ in rows:
            before = rig.facts()
            code, _ = rig.ask(session, POST, "/oic/sec/" + name, body)
            assert code == (CHANGED if state in states else BAD), (name, body, state)
            assert code == CHANGED or rig.facts() == before
    rig = Rig()
    doc = rig.connect()
    for name, body, _, good in rows:
        assert rig.ask(doc, POST, "/oic/sec/" + name, body)[0] == (CHANGED if good else BAD), (name, body)


def test_no_method_but_these():
    rig, session = begun(RFPRO)
    rig.security.aces.append(
        {"id": 9, "subject": ("uuid", OWNER), "permission": 31,
         "resources": ["/oic/sec/" + name for name in ("sp", "csr", "sdi")]}
    )  # fmt: skip
    for name in ("doxm", "pstat", "sp", "csr", "sdi"):
        assert rig.ask(session, DELETE, "/oic/sec/" + name)[0] == NOT_ALLOWED
    for name in ("doxm", "pstat", "cred", "acl2", "sp", "csr", "sdi"):
        assert rig.ask(session, 3, "/oic/sec/" + name, {})[0] == NOT_ALLOWED
    assert rig.ask(session, POST, "/oic/sec/csr", {})[0] == NOT_ALLOWED


# DELETE


def test_delete():
    rig, session = begun(RFPRO)
    rig.steps(session, [("acl2", {"aclist2": [ace(OTHER, n, "/light") for n in (1, 2, 4)]})])
    ids = [entry["id"] for entry in rig.security.aces]
    assert ids == [1, 2, 3]
    for query, code, left in (
        ("?aceid=9", NOT_FOUND, [1, 2, 3]),
        ("?aceid=", NOT_FOUND, [1, 2, 3]),
        ("?aceid=01", NOT_FOUND, [1, 2, 3]),
        ("?credid=1", BAD, [1, 2, 3]),
        ("?subjectuuid=" + OTHER, BAD, [1, 2, 3]),
        ("?aceid", BAD, [1, 2, 3]),
        ("?aceid=2", DELETED, [1, 3]),
        ("?aceid=2", NOT_FOUND, [1, 3]),
        ("", DELETED, []),
        ("", DELETED, []),
    ):
        assert rig.ask(session, DELETE, ACL2 + query)[0] == code, query
        assert [entry["id"] for entry in rig.security.aces] == left, query
        assert [entry["id"] for entry in Rig(rig.store).security.aces] == left
    ids = [cred["id"] for cred in rig.security.creds]
    assert rig.ask(session, DELETE, CRED + "?credid=%d" % ids[1])[0] == DELETED
    assert [cred["id"] for cred in rig.security.creds] == ids[:1]
    assert rig.security.cred_owner == rig.security.acl_owner == OWNER


def test_delete_is_forbidden_in_normal_operation():
    rig, session = begun(RFNOP)
    for path in (ACL2, CRED, ACL2 + "?aceid=1", CRED + "?credid=1"):
        before = rig.facts()
        assert rig.ask(session, DELETE, path)[0] == FORBIDDEN
        assert rig.facts() == before
        assert rig.ask(rig.open(OTHER), DELETE, path)[0] == UNAUTHORIZED
        assert rig.ask(None, DELETE, path)[0] == UNAUTHORIZED


# Becoming an owner


def test_in_the_clear_nothing_but_the_method_is_chosen():
    rig = Rig()
    before = rig.facts()
    for body in (
        {"rowneruuid": OTHER}, {"devowneruuid": OTHER}, {"deviceuuid": OTHER}, {"owned": True},
        {"oxmsel": 0, "rowneruuid": OTHER}, {"oxmsel": 0, "owned": True}, {"oxmsel": 4}, {"oxmsel": 3},
        {"oxmsel": 2}, {"oxmsel": True}, {"oxmsel": 0.0}, {"oxmsel": "0"}, {"oxmsel": None}, {"oxmsel": [0]},
    ):  # fmt: skip
        assert rig.ask(None, POST, DOXM, body)[0] == BAD, body
        assert rig.facts() == before and rig.security.oxmsel == 4, body
        assert rig.security.suites() == ()
    assert rig.ask(None, POST, DOXM, {"oxmsel": 0}) == (CHANGED, None)
    assert rig.security.suites() == (0xFF00,)


def test_a_device_with_nothing_to_show_a_pin_or_certificate_says_so():
    assert Rig().ask(None, GET, DOXM)[1]["oxms"] == [0, 1]
    assert Rig(pin=None).ask(None, GET, DOXM)[1]["oxms"] == [0]
    rig = Rig(pin=None, mfgcert=([b"der"], KEY))
    assert rig.ask(None, GET, DOXM)[1]["oxms"] == [0, 2]
    assert rig.ask(None, POST, DOXM, {"oxmsel": 1})[0] == BAD
    assert rig.ask(None, POST, DOXM, {"oxmsel": 2})[0] == CHANGED
    assert rig.security.suites() == (0xC0AE, 0xC0AC) and rig.security.certificate() == ([b"der"], KEY)


def test_the_order_of_the_reference_tool():
    rig = Rig()
    doc = rig.connect()
    assert rig.security.suites() == ()  # nobody else gets in
    rig.steps(doc, reference_steps(b"") + [("pstat", {"dos": {"s": 2}})])
    assert rig.ask(doc, DELETE, ACL2)[0] == DELETED
    rig.steps(
        doc,
        [
            ("acl2", {"aclist2": [
                ace(OWNER, 14, "/oic/sec/sp"), ace(OWNER, 2, "/oic/sec/csr"),
                ace("anon-clear", 2, "/oic/d", "/oic/p", "/oic/res", "/oic/sec/sdi"),
            ]}),
            ("pstat", {"dos": {"s": 3}}),
        ],
    )  # fmt: skip
    rig.close(doc)
    assert rig.pstat.state == RFNOP and rig.security.uuid == rig.device.di == DEVICE
    key, uuid = rig.security.psk(bytes([0x11] * 6 + [0x41, 0x11, 0x81] + [0x11] * 7))
    assert uuid == OWNER and len(key) == 16
    assert rig.security.suites()[0] == 0xC037
    assert rig.ask(None, GET, "/oic/d")[1]["di"] == DEVICE
    assert rig.ask(None, GET, "/oic/sec/sdi")[0] == UNAUTHORIZED  # whatever the entry says


def test_the_order_of_plgd():
    rig = Rig()
    doc = rig.connect()
    assert rig.ask(doc, GET, PSTAT)[1]["dos"] == {"s": 1, "p": False}
    uuid = rig.security.uuid
    text = "\u00e9" * 8  # a key of 16 bytes, in a text
    rig.steps(
        doc,
        [
            ("pstat", {"om": 4}), ("doxm", {"deviceuuid": uuid}),
            ("cred", {"creds": [psk(OWNER, text)], "rowneruuid": OWNER}), ("doxm", {"devowneruuid": OWNER}),
            ("pstat", {"rowneruuid": OWNER}), ("acl2", {"aclist2": None, "rowneruuid": OWNER}),
            ("doxm", {"rowneruuid": OWNER, "owned": True}), ("pstat", {"dos": {"s": 2}}),
        ],
    )  # fmt: skip
    owner = rig.open(OWNER, key=text.encode())  # a session beside the onboarding connection
    assert rig.ask(owner, DELETE, ACL2)[0] == DELETED
    entry = ace(OWNER, 31, "*", "/oc/swu")
    entry["resources"] = [dict(resource, **{"if": ["*"]}) for resource in entry["resources"]]
    rig.steps(owner, [("acl2", {"aclist2": [entry]}), ("pstat", {"dos": {"s": 3}})])
    rig.close(doc)
    assert rig.ask(owner, GET, "/light")[0] == CONTENT and rig.ask(owner, GET, "/oc/swu")[0] == CONTENT


async def test_a_connection_that_ends_too_early_leaves_nothing():
    for orders in range(len(reference_steps()) + 1):
        rig = Rig()
        fresh = rig.facts()
        doc = rig.connect()
        rig.steps(doc, reference_steps()[:orders])
        rig.steps(doc, [("acl2", {"aclist2": [ace(OTHER, 31, "*")]})])
        rig.close(doc)
        # Already now, before RESET is done: nobody gets in between
        assert rig.security.suites() == () and rig.ask(None, GET, DOXM)[0] == UNAUTHORIZED
        await settle()
        found = rig.facts()
        assert found[1:9] == fresh[1:9] and found[0] not in (fresh[0], DEVICE) and found[11] == NIL
        assert rig.pstat.state == RFOTM and rig.security.oxmsel == 4
        assert set(rig.store.records) == {"doxm", "pstat"}


async def test_a_refused_step_leaves_what_was_and_reset_begins_anew():
    rig = Rig()
    doc = rig.connect()
    steps = reference_steps()
    rig.steps(doc, steps[:4])
    for name, body in (
        ("acl2", {"rowneruuid": "nobody"}), ("cred", {"creds": [psk(OWNER, b"short")], "rowneruuid": OWNER}),
        ("doxm", {"deviceuuid": OTHER, "owned": False}), ("pstat", {"dos": {"s": 3}, "rowneruuid": OWNER}),
    ):  # fmt: skip
        before = rig.facts()
        assert rig.ask(doc, POST, "/oic/sec/" + name, body)[0] == BAD
        assert rig.facts() == before
    assert rig.ask(doc, POST, PSTAT, {"dos": {"s": 0}}) == (CHANGED, None)
    await settle()
    assert rig.pstat.state == RFOTM and not rig.security.owned and not doc.open
    rig.own()


async def test_what_was_begun_before_a_reset_does_not_become_the_onboarding_connection():
    rig = owned()
    rig.pstat.reset()
    assert rig.open(OWNER) is None and rig.security.doc is None  # the handshake ends just now, with the old key
    rig.ask(None, POST, DOXM, {"oxmsel": 0})
    assert rig.open(OWNER) is None and rig.open(THIRD_PARTY, suite=0xC0AE) is None and rig.security.doc is None
    assert rig.open(suite=0xFF00) is rig.security.doc


async def test_an_old_owners_handshake_does_not_pass_for_the_pin_or_the_manufacturer():
    for suite, body in ((0xC037, {"oxmsel": 1}), (0xC0AE, {"oxmsel": 2})):
        rig = Rig(owned().store, mfgcert=([b"der"], KEY))
        rig.pstat.reset()
        rig.ask(None, POST, DOXM, body)
        for _ in range(1000):
            if rig.security.suites():
                break
            await asyncio.sleep(0)
        assert suite in rig.security.suites()
        assert rig.open(OWNER, suite=suite) is None and rig.security.doc is None


async def test_a_handshake_with_an_older_pin_does_not_become_the_onboarding_connection():
    rig = Rig()
    keys = []
    for _ in range(2):
        rig.ask(None, POST, DOXM, {"oxmsel": 1})
        for _ in range(1000):
            if rig.security.pin_key:
                break
            await asyncio.sleep(0)
        keys.append(rig.security.pin_key)
    assert rig.open(key=keys[0]) is None and rig.security.doc is None
    assert rig.open(key=keys[1]) is rig.security.doc


def test_an_onboarding_handshake_that_ends_after_the_onboarding_opens_nothing():
    rig = owned()
    rig.security.creds.append(
        {"id": 9, "type": 8, "subject": "*", "usage": "trustca", "key": b"", "chain": [b"der"], "role": None}
    )
    for suite in (0xFF00, 0xC0AE):  # anonymous; a manufacturer's
        assert rig.open(suite=suite) is None, suite
    assert rig.open(OTHER, suite=0xC0AE)


def test_the_onboarding_connection_has_no_roles():
    rig = Rig()
    doc = rig.connect()
    assert rig.ask(doc, DELETE, "/oic/sec/roles") == (DELETED, None)
    assert rig.ask(doc, GET, "/oic/sec/roles")[1] == {"roles": []}


THIRD_PARTY = "99999999-9999-4999-8999-999999999999"


def test_nobody_without_a_name_gets_in_once_there_is_an_owner():
    rig = owned()
    assert rig.open(suite=0xFF00) is None and rig.open(THIRD_PARTY) is None
    assert rig.open(OWNER, key=bytes(16)) is None  # whose key was replaced while the handshake ran


def test_the_first_of_two_onboarding_connections_stays():
    rig = Rig()
    first = rig.connect()
    assert rig.open(suite=0xFF00) is None
    assert rig.security.doc is first and first.kept
    rig.steps(first, reference_steps())


def test_who_asks_for_owned_devices():
    for rig, owned_now in ((Rig(), False), (owned(SRESET), True)):
        session = rig.open(OWNER) if owned_now else None
        for asked in (True, False):
            query = DOXM + "?owned=" + ("true" if asked else "false")
            code, _ = rig.ask(session, GET, query)
            assert code == (CONTENT if asked == owned_now else BAD)
        if not owned_now:
            assert rig.ask(None, GET, DOXM + "?owned=TRUE", multicast=True) == (None, None)
            assert rig.ask(None, GET, DOXM + "?owned=FALSE", multicast=True)[0] == CONTENT
