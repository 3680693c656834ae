"""`ocf.security`: what UPDATEs of the SVRs may bring, what they may not, and what is never shown."""

from binascii import b2a_base64

from cbor import dumps
from coap.message import Refused
from coap_request import Request
from crypto import prf
from ocf.pstat import NIL, RFNOP, RFPRO
from ocf.uuids import raw
from ocf_rig import whole
from security_rig import (
    BAD,
    CHANGED,
    CONTENT,
    DEVICE,
    GET,
    KEY,
    OTHER,
    OWNER,
    POST,
    THIRD,
    TOO_LARGE,
    Rig,
    ace,
    owned,
    psk,
    reference_steps,
)

DOXM, PSTAT, CRED, ACL2 = ["/oic/sec/" + name for name in ("doxm", "pstat", "cred", "acl2")]
UUIDS = (
    "", "x", OWNER[:-1], OWNER + "0", OWNER.replace("-", "0"), "g" + OWNER[1:], "urn:uuid:" + OWNER, None, 5, True, [],
    {}, OWNER.encode(), ["uuid"],
)  # fmt: skip


def rig_in(state=RFPRO):
    rig = owned(state)
    return rig, rig.open(OWNER)


def refused(rig, session, path, body, code=BAD, **fields):
    """`body` is refused with a reason, and nothing has changed, in memory and in the store."""
    before, stored = rig.facts(), dict(rig.store.records)
    found, why = rig.ask(session, POST, path, body, **fields)
    assert found == code, (body, found, why)
    assert isinstance(why, str) and why
    assert rig.facts() == before and rig.store.records == stored, body


def test_unknown_names():
    rig, session = rig_in()
    for path in (DOXM, PSTAT, CRED, ACL2):
        for body in ({"nonsense": 1}, {5: 1}, {b"creds": []}, {"rt": []}, {None: 1}):
            refused(rig, session, path, body)
    for raw_body in (b"", b"\xff", b"\x01", b"\x80", b"\xa1\x65creds", b"\xbf", dumps({"creds": []}) + b"\0"):
        refused(rig, session, CRED, None, raw=raw_body)


def test_uuids_that_are_none():
    rig = Rig()
    doc = rig.connect()
    for value in UUIDS:
        for path, name in (
            (DOXM, "devowneruuid"), (DOXM, "deviceuuid"), (DOXM, "rowneruuid"), (PSTAT, "rowneruuid"),
            (CRED, "rowneruuid"), (ACL2, "rowneruuid"), ("/oic/sec/sdi", "uuid"),
        ):  # fmt: skip
            refused(rig, doc, path, {name: value})
        if value != "*":
            refused(rig, doc, CRED, {"creds": [psk(value)]})
            refused(rig, doc, ACL2, {"aclist2": [ace({"uuid": value}, 2, "/light")]})


def test_uuids_in_capitals_and_with_a_nul():
    rig = Rig()
    doc = rig.connect()
    capitals, longer = "AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA", OWNER + "\0"
    rig.steps(
        doc,
        [
            ("doxm", {"devowneruuid": capitals}), ("doxm", {"deviceuuid": DEVICE + "\0"}), ("doxm", {"rowneruuid": longer}),
            ("pstat", {"rowneruuid": capitals}), ("acl2", {"rowneruuid": longer}),
            ("acl2", {"aclist2": [ace({"uuid": capitals + "\0"}, 2, "/light")]}),
            ("cred", {"creds": [psk(longer), psk(capitals)], "rowneruuid": capitals}), ("doxm", {"owned": True}),
            ("pstat", {"dos": {"s": RFNOP}}),
        ],
    )  # fmt: skip
    small = capitals.lower()
    assert rig.facts()[:6] == (DEVICE, True, small, OWNER, small, OWNER) and rig.pstat.rowneruuid == small
    assert rig.ask(rig.open(small), GET, "/light")[0] == rig.ask(rig.open(small), GET, PSTAT)[0] == CONTENT


# Credentials


def test_entries_of_cred_that_are_none():
    rig, session = rig_in()
    good = psk(THIRD)
    for bad in (
        None, 5, "x", [], {}, {"credtype": 1}, dict(good, credtype=2), dict(good, credtype="1"), dict(good, credtype=None),
        dict(good, credtype=True), dict(good, subjectuuid="*"), dict(good, privatedata=None), dict(good, privatedata=5),
        dict(good, privatedata={}), dict(good, privatedata={"data": None}), dict(good, privatedata={"data": 5}),
        dict(good, privatedata={"data": [1]}), dict(good, credid=0), dict(good, credid=-1), dict(good, credid="1"),
        dict(good, credid=True), dict(good, credid=1.0), dict(good, credid=1 << 40), dict(good, roleid=5),
        dict(good, roleid={}), dict(good, roleid={"role": ""}), dict(good, roleid={"role": 5}),
        dict(good, roleid={"role": "r" * 65}), dict(good, roleid={"role": "r", "authority": 5}),
        dict(good, roleid={"role": "r", "authority": "a" * 65}), {"credtype": 8, "subjectuuid": "*"},
        {"credtype": 8, "subjectuuid": "*", "credusage": "oic.sec.cred.rolecert"},
        {"credtype": 8, "subjectuuid": "*", "credusage": "oic.sec.cred.mfgcert"},
        {"credtype": 8, "subjectuuid": "*", "credusage": "trustca"},
        {"credtype": 8, "subjectuuid": "*", "credusage": 5},
    ):  # fmt: skip
        refused(rig, session, CRED, {"creds": [bad]})
        refused(rig, session, CRED, {"creds": [good, bad]})  # nor is what stands before it taken
    for bad in (5, "x", {}, True, good):
        refused(rig, session, CRED, {"creds": bad})


def test_keys():
    rig, session = rig_in()
    encoding = "oic.sec.encoding."
    for data, kind, key in (
        (KEY, "raw", KEY), (KEY + KEY, "raw", KEY + KEY), ("k" * 16, "raw", b"k" * 16),
        ("k" * 15 + "\0", "raw", b"k" * 15 + b"\0"),  # a decoder of text takes the zero for its end
        ("k" * 13, "raw", b"k" * 13 + bytes(3)), ("k" * 29, "raw", b"k" * 29 + bytes(3)),
        ("\u00e9" * 8, "raw", "\u00e9".encode() * 8),
        (b2a_base64(KEY)[:-1], "base64", KEY), (b2a_base64(KEY)[:-1].decode(), "base64", KEY),
        (b"", "raw", None), ("", "raw", None),  # only the onboarding connection derives keys
        (b"k" * 15, "raw", None), (b"k" * 17, "raw", None), ("k" * 12, "raw", None), ("k" * 17, "raw", None),
        ("k", "raw", None), (bytes(33), "raw", None), (b"k" * 2000, "raw", None), ("", "base64", None),
        ("!" * 24, "base64", None), (b2a_base64(KEY)[:-2].decode(), "base64", None),
        (b2a_base64(KEY)[:-1].decode() + "!", "base64", None), (b2a_base64(b"short")[:-1], "base64", None),
        (KEY, "handle", None), (KEY, "pem", None), (KEY, "", None),
    ):  # fmt: skip
        body = {"creds": [psk(THIRD, privatedata={"data": data, "encoding": encoding + kind})]}
        if key is None:
            refused(rig, session, CRED, body)
        else:
            assert rig.ask(session, POST, CRED, body) == (CHANGED, None), data
            assert rig.security.psk(raw(THIRD)) == (key, THIRD)
    for more in (None, 5, b"raw", []):
        refused(rig, session, CRED, {"creds": [psk(THIRD, privatedata={"data": KEY, "encoding": more})]})
    assert rig.ask(session, POST, CRED, {"creds": [psk(THIRD, privatedata={"data": KEY})]})[0] == CHANGED


def test_a_key_as_text_of_any_bytes():
    rig, session = rig_in()
    key = b"\xff\xfe\x80\0\xc3\x28" + b"\xa0" * 9 + b"\0"
    body = dumps({"creds": [psk(THIRD)]})
    assert body.count(b"\x50" + KEY) == 1
    assert rig.ask(session, POST, CRED, raw=body.replace(b"\x50" + KEY, b"\x70" + key)) == (CHANGED, None)
    assert rig.security.psk(raw(THIRD)) == (key, THIRD) == rig.security.psk(THIRD.encode())


def test_a_key_that_both_sides_derive():
    rig = Rig()
    doc = rig.connect()
    doc.master, doc.randoms = bytes(range(48)), bytes(range(64))
    rig.steps(doc, reference_steps(b""))
    expected = prf.owner_psk(doc.master, doc.randoms, 96, b"oic.sec.doxm.jw", raw(OWNER), raw(DEVICE))
    assert rig.security.creds[0]["key"] == expected
    rig.steps(doc, [("pstat", {"dos": {"s": RFPRO}})])  # from now on there is an owner, and keys are sent
    for session in (doc, rig.open(OWNER, key=expected)):
        refused(rig, session, CRED, {"creds": [psk(THIRD, b"")]})


def test_what_takes_the_place_of_what():
    rig, session = rig_in()

    def shown():
        return [(c["id"], c["subject"], c["key"]) for c in rig.security.creds]

    one, two, three = KEY, b"2" * 16, b"3" * 16
    assert shown() == [(1, OWNER, one), (2, OTHER, one)]
    rig.steps(session, [("cred", {"creds": [psk(OTHER, two)]})])
    assert shown() == [(1, OWNER, one), (2, OTHER, two)]  # the same Client's
    rig.steps(session, [("cred", {"creds": [psk(THIRD, two, credid=7)]})])
    rig.steps(session, [("cred", {"creds": [psk(THIRD, three, credid=9)]})])
    assert shown() == [(1, OWNER, one), (2, OTHER, two), (9, THIRD, three)]  # one key a Client: the newest
    rig.steps(session, [("cred", {"creds": [psk(DEVICE, three, credid=2)]})])
    assert shown() == [(1, OWNER, one), (9, THIRD, three), (2, DEVICE, three)]  # the same number
    rig.steps(session, [("cred", {"creds": [psk(THIRD, one, credid=2)]})])
    assert shown() == [(1, OWNER, one), (2, THIRD, one)]  # both
    rig.steps(session, [("cred", {"creds": [psk(DEVICE, two), psk(DEVICE, three)]})])
    assert shown() == [(1, OWNER, one), (2, THIRD, one), (3, DEVICE, three)]


def test_limits_in_time_are_refused():
    rig, session = rig_in()
    for empty in (None, "", []):
        rig.steps(session, [("cred", {"creds": [psk(THIRD, period=empty)]})])
        rig.steps(session, [("acl2", {"aclist2": [ace(THIRD, 2, "/light", validity=empty)]})])
    for period in ("20260101T000000Z/20270101T000000Z", 5, True, {"from": 1}):
        refused(rig, session, CRED, {"creds": [psk(THIRD, period=period)]})
    for validity in (
        "20260101T000000Z/20270101T000000Z",
        [["20260101T000000Z/20270101T000000Z", ["RRULE:FREQ=DAILY"]]],
        {1: 1},
    ):
        refused(rig, session, ACL2, {"aclist2": [ace(THIRD, 2, "/light", validity=validity)]})


def test_no_more_credentials_than_there_is_room_for():
    rig, session = rig_in()
    uuids = ["%08x" % i + OWNER[8:] for i in range(20)]
    for i in range(14):
        rig.steps(session, [("cred", {"creds": [psk(uuids[i])]})])
    assert len(rig.security.creds) == 16
    refused(rig, session, CRED, {"creds": [psk(uuids[15])]}, TOO_LARGE)
    rig.steps(session, [("cred", {"creds": [psk(uuids[0], b"n" * 16)]})])  # in place of another
    refused(rig, session, CRED, {"creds": [psk(THIRD)], "x": b"x" * 4100}, TOO_LARGE)  # a body too long


# Access control entries


def test_entries_of_acl2_that_are_none():
    rig, session = rig_in()
    good = ace(OTHER, 2, "/light")
    for bad in (
        None, 5, [], {}, dict(good, permission=32), dict(good, permission=-1), dict(good, permission="2"),
        dict(good, permission=None), dict(good, permission=True), dict(good, permission=2.0), dict(good, subject=None),
        dict(good, subject={}), dict(good, subject=OTHER), dict(good, subject={"conntype": "auth"}),
        dict(good, subject={"conntype": None}), dict(good, subject={"role": ""}), dict(good, subject={"role": 5}),
        dict(good, subject={"role": "r", "authority": None}), dict(good, subject={"authority": "a"}),
        dict(good, resources=None), dict(good, resources=[]), dict(good, resources={}), dict(good, resources=["/light"]),
        dict(good, resources=[{}]), dict(good, resources=[{"href": ""}]), dict(good, resources=[{"href": "light"}]),
        dict(good, resources=[{"href": 5}]), dict(good, resources=[{"href": "/" + "x" * 64}]),
        dict(good, resources=[{"wc": "**"}]), dict(good, resources=[{"wc": None}]), dict(good, resources=[{"wc": 5}]),
        dict(good, resources=[{"href": "/light"}, {"rt": ["x"]}]), dict(good, aceid=0), dict(good, aceid="1"),
    ):  # fmt: skip
        refused(rig, session, ACL2, {"aclist2": [bad]})
        refused(rig, session, ACL2, {"aclist2": [good, bad]})
    for bad in (5, "x", {}, good, {"aclist2": []}):
        refused(rig, session, ACL2, {"aclist2": bad})


def test_entries_join_and_replace():
    rig, session = rig_in()

    def shown():
        return [(a["id"], a["subject"][1], a["permission"], list(a["resources"])) for a in rig.security.aces]

    rig.steps(session, [("acl2", {"aclist2": [ace(OTHER, 2, "/light"), ace(OTHER, 2, "/oc/swu", "/light", tag="x")]})])
    assert shown() == [(1, OTHER, 2, ["/light", "/oc/swu"])]
    rig.steps(
        session, [("acl2", {"aclist2": [ace(OTHER, 4, "/light"), ace(THIRD, 2, "+"), ace("auth-crypt", 2, "*")]})]
    )
    assert [entry[0] for entry in shown()] == [1, 2, 3, 4]
    rig.steps(session, [("acl2", {"aclist2": [ace(THIRD, 8, "/hidden", aceid=1)]})])
    assert shown()[0] == (1, THIRD, 8, ["/hidden"]) and len(shown()) == 4
    rig.steps(session, [("acl2", {"aclist2": [ace(THIRD, 8, "/x", aceid=40)]})])
    rig.steps(session, [("acl2", {"aclist2": [ace(OTHER, 8, "/x")]})])
    assert shown()[-2:] == [(40, THIRD, 8, ["/x"]), (41, OTHER, 8, ["/x"])]
    both = ace(OTHER, 16, "/light")
    both["resources"][0]["wc"] = "*"
    rig.steps(session, [("acl2", {"aclist2": [both]})])
    assert shown()[-1][3] == ["/light"]  # the narrower of two ways to say it


def test_no_more_entries_than_there_is_room_for():
    rig, session = rig_in()
    hrefs = ["/%d" % i for i in range(17)]
    refused(rig, session, ACL2, {"aclist2": [ace(OTHER, 2, *hrefs)]}, TOO_LARGE)
    rig.steps(
        session, [("acl2", {"aclist2": [ace(OTHER, 2, *hrefs[:16])]}), ("acl2", {"aclist2": [ace(OTHER, 2, "/more")]})]
    )
    assert [len(a["resources"]) for a in rig.security.aces] == [16, 1]
    uuids = ["%08x" % i + OWNER[8:] for i in range(40)]
    for i in range(30):
        rig.steps(session, [("acl2", {"aclist2": [ace(uuids[i], 2, "/light")]})])
    refused(rig, session, ACL2, {"aclist2": [ace(uuids[30], 2, "/light")]}, TOO_LARGE)
    assert len(Rig(rig.store).security.aces) == 32
    assert len(rig.ask(session, GET, ACL2)[1]["aclist2"]) == 32


def test_whatever_was_taken_can_be_read():
    rig, session = rig_in()
    uuids = ["%08x" % i + OWNER[8:] for i in range(40)]
    code = CHANGED
    taken = 0
    while code == CHANGED and taken < 32:
        entry = ace(uuids[taken], 2, *["/%d/" % i + "x" * 58 for i in range(16)])
        code, why = rig.ask(session, POST, ACL2, {"aclist2": [entry]})
        taken += code == CHANGED
    assert code == TOO_LARGE and taken == len(rig.security.aces) == len(Rig(rig.store).security.aces) >= 8
    code, shown = rig.ask(session, GET, ACL2 + "?if=oic.if.baseline")
    assert code == CONTENT and len(shown["aclist2"]) == taken


# What is shown


async def test_no_key_is_ever_shown():
    rig, owner = rig_in()
    secrets = [b"S%dsecret-secret-" % i for i in range(3)]
    rig.steps(
        owner,
        [
            (
                "cred",
                {
                    "creds": [
                        psk(OTHER, secrets[0]),
                        psk(THIRD, secrets[1] + secrets[2], roleid={"role": "oic.role.owner"}),
                    ]
                },
            )
        ],
    )
    rig.store.save("key", secrets[0] * 6)
    rig.steps(owner, [("pstat", {"dos": {"s": RFNOP}})])
    third = rig.open(THIRD, key=secrets[1] + secrets[2])  # may read all there is
    seen = []
    for resource in rig.device.resources:
        for query in ((), ("if=oic.if.rw",), ("if=oic.if.baseline",), ("if=oic.if.b",), ("if=oic.if.ll",)):
            request = Request(GET, resource.href, query=query, peer=third, secure=True, identity=THIRD)
            try:
                answer = rig.device.handle(request)
                seen.append(whole(await answer if hasattr(answer, "send") else answer))
            except Refused as refused:
                assert refused.code == BAD  # there is no such Interface
    assert len(seen) > 40
    for data in seen:
        for secret in secrets + [KEY]:
            assert secret not in data
    code, shown = rig.ask(third, GET, CRED)
    assert [entry["privatedata"]["data"] for entry in shown["creds"]] == [b"", b"", b""]


def test_what_cred_and_acl2_show():
    rig, session = rig_in()
    rig.steps(session, [("cred", {"creds": [psk(THIRD, roleid={"role": "admin", "authority": "Maker"})]})])
    entries = [
        ace(OTHER, 6, "/light", "+"),
        ace("anon-clear", 2, "/oic/d"),
        ace({"role": "admin", "authority": "Maker"}, 31, "*"),
    ]
    rig.steps(session, [("acl2", {"aclist2": entries + [ace({"role": "user"}, 2, "-")]})])
    code, shown = rig.ask(session, GET, CRED)
    hidden = {"data": b"", "encoding": "oic.sec.encoding.raw"}
    assert shown == {
        "creds": [
            {"credid": 1, "credtype": 1, "subjectuuid": OWNER, "privatedata": hidden},
            {"credid": 2, "credtype": 1, "subjectuuid": OTHER, "privatedata": hidden},
            {"credid": 3, "credtype": 1, "subjectuuid": THIRD, "privatedata": hidden,
             "roleid": {"role": "admin", "authority": "Maker"}},
        ],
        "rowneruuid": OWNER,
    }  # fmt: skip
    code, shown = rig.ask(session, GET, ACL2)
    for i, entry in enumerate(entries + [ace({"role": "user"}, 2, "-")]):
        assert shown["aclist2"][i] == dict(entry, aceid=i + 1)
    code, shown = rig.ask(session, GET, DOXM + "?if=oic.if.baseline")
    assert shown == {
        "rt": ["oic.r.doxm"], "if": ["oic.if.rw", "oic.if.baseline"], "oxms": [0, 1], "oxmsel": 0, "sct": 9, "owned": True,
        "devowneruuid": OWNER, "deviceuuid": DEVICE, "rowneruuid": OWNER,
    }  # fmt: skip


def test_sdi_bodies():
    rig = Rig()
    doc = rig.connect()
    for bad in (
        {"name": None}, {"name": 5}, {"name": "n" * 65}, {"name": b"n"}, {"priv": 1}, {"priv": None}, {"x": 1},
        {"uuid": NIL, "priv": "no"},
    ):  # fmt: skip
        refused(rig, doc, "/oic/sec/sdi", bad)
    rig.steps(doc, [("sdi", {"uuid": OTHER, "name": "n" * 64, "priv": False})])
    assert rig.ask(doc, GET, "/oic/sec/sdi")[1] == {"uuid": OTHER, "name": "n" * 64, "priv": False}
