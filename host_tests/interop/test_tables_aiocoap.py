"""Every row of OCF Core 11.5.4, Tables 1 to 5, as far as one request shows it: aiocoap and hand-made CBOR.

What takes an update to show (states, actions, results 1 to 5 and 8, transport status) is in host_tests/sim.
What IoTivity-Lite's unit tests of this Resource check is checked here; their names stand at the tests.
"""

import asyncio
import socket

import aiocoap
import cbor2
import pytest
from aiocoap.numbers import OptionNumber
from aiocoap.optiontypes import OpaqueOption
from sim.rig import PSTAT, SWU, Rig

ALL = ["purl", "nv", "signed", "swupdateaction", "swupdatestate", "swupdateresult", "lastupdate", "updatetime"]
URL = "https://myvendor/newversion"  # a host without a dot, as OCF's own example has
GOOD = {"purl": URL, "swupdateaction": "idle", "updatetime": "none"}
FAR = "2098-01-09T14:30:00Z"


def client(rig):
    return rig.client()


async def state(c):
    return await c.get(SWU), await c.get(PSTAT)


class unchanged:
    """Whatever happens inside changes neither Resource, and the device serves on."""

    def __init__(self, c):
        self.c = c

    async def __aenter__(self):
        self.before = await state(self.c)

    async def __aexit__(self, *exc):
        if exc[0] is None:
            assert await state(self.c) == self.before


async def refused(c, value, code=aiocoap.BAD_REQUEST, words=None):
    """POST `value` (CBOR as bytes, or what is to be encoded); it is refused with words, and changes nothing."""
    async with unchanged(c):
        payload = value if isinstance(value, bytes) else cbor2.dumps(value)
        reply = await c.ask(aiocoap.POST, SWU, payload, 10000)
        assert reply.code == code, (value, reply.code, reply.payload)
        text = reply.payload.decode()
        assert text and (words is None or words in text), text
        assert reply.opt.content_format in (None, 0)
    return text


# Table 1


async def test_discovery(rig):
    """Type, Interfaces, URI. IoTivity: GetResourceByURI, GetResourceByIndex, and their _F."""
    async with client(rig) as c:
        (link,) = await c.get("oic/res?rt=oic.r.softwareupdate")
        assert link["href"] == "/oc/swu" and link["rt"] == ["oic.r.softwareupdate"]
        assert link["if"] == ["oic.if.rw", "oic.if.baseline"]
        assert link["p"]["bm"] == 3  # discoverable, observable
        assert [ep["ep"] for ep in link["eps"]] == [f"coaps://{rig.stage.address}:5684"]
        device = await c.get("oic/d")
        assert link["anchor"] == "ocf://" + device["di"]
        hrefs = {other["href"] for other in await c.get("oic/res")}
        assert {"/oc/swu", "/oic/sec/pstat", "/oic/d", "/oic/p", "/oc/con", "/lamp"} <= hrefs
        reply = await c.ask(aiocoap.GET, "oic/res?rt=oic.r.no.such")
        assert reply.code == aiocoap.BAD_REQUEST
        reply = await c.ask(aiocoap.GET, "oc/no-such")
        assert reply.code == aiocoap.NOT_FOUND and reply.payload


def test_discovery_by_multicast(rig):
    """The board joined OCF's group on its own address; only discoverable Resources answer there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(rig.stage.address))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        sock.settimeout(30)

        def ask(token, path, query):
            options = [(11, part) for part in path] + [(15, part) for part in query]
            data, last = bytes((0x51, 1, 0, token, token)), 0  # NON GET, a token of one byte
            for number, value in options:
                more = bytes((len(value) - 13,)) if len(value) > 12 else b""
                data += bytes(((number - last) << 4 | min(len(value), 13),)) + more + value.encode()
                last = number
            sock.sendto(data, ("224.0.1.187", 5683))

        ask(1, ("oc", "no-such"), ())
        ask(2, ("oic", "res"), ("rt=oic.r.no.such",))
        ask(3, ("oic", "res"), ("rt=oic.r.softwareupdate",))
        while True:  # other boards of this machine may hear it as well
            data, peer = sock.recvfrom(2000)
            if peer == (rig.stage.address, 5683):
                break
    reply = aiocoap.Message.decode(data)
    assert reply.token == b"\3" and reply.code == aiocoap.CONTENT and reply.mtype == aiocoap.NON
    assert [link["href"] for link in cbor2.loads(reply.payload)] == ["/oc/swu"]


async def test_interfaces(rig):
    async with client(rig) as c:
        plain, rw = await c.get(SWU), await c.get(SWU + "?if=oic.if.rw")
        assert plain == rw and list(plain) == ALL
        baseline = await c.get(SWU + "?if=oic.if.baseline")
        assert baseline == {"rt": ["oic.r.softwareupdate"], "if": ["oic.if.rw", "oic.if.baseline"], **plain}
        for query in ("if=oic.if.r", "if=oic.if.b", "if=", "if=nonsense"):
            reply = await c.ask(aiocoap.GET, f"{SWU}?{query}")
            assert reply.code == aiocoap.BAD_REQUEST and reply.payload
            async with unchanged(c):
                reply = await c.ask(aiocoap.POST, f"{SWU}?{query}", cbor2.dumps(GOOD), 10000)
                assert reply.code == aiocoap.BAD_REQUEST
        reply = await c.ask(aiocoap.POST, SWU + "?if=oic.if.baseline", cbor2.dumps(GOOD), 10000)
        assert reply.code == aiocoap.CHANGED and list(cbor2.loads(reply.payload)) == ALL


async def test_content_formats(rig):
    async with client(rig) as c:
        for accept, told in ((None, 10000), (10000, 10000), (60, 60)):
            message = aiocoap.Message(code=aiocoap.GET, uri=f"coap://{c.host}/{SWU}")
            if accept is not None:
                message.opt.accept = accept
            message.opt.add_option(OpaqueOption(OptionNumber(2049), b"\x08\x00"))  # OCF-Accept-Content-Format-Version
            reply = await c.context.request(message).response
            assert reply.code == aiocoap.CONTENT and reply.opt.content_format == told
            versions = [o.encode() for o in reply.opt.option_list() if o.number == 2053]
            assert versions == ([b"\x08\x00"] if told == 10000 else [])
        message = aiocoap.Message(code=aiocoap.GET, uri=f"coap://{c.host}/{SWU}")
        message.opt.accept = 50
        reply = await c.context.request(message).response
        assert reply.code == aiocoap.NOT_ACCEPTABLE and reply.payload
        for good in (60, 10000):
            assert (await c.ask(aiocoap.POST, SWU, cbor2.dumps(GOOD), good)).code == aiocoap.CHANGED
        for bad in (0, 50, 42):
            async with unchanged(c):
                reply = await c.ask(aiocoap.POST, SWU, cbor2.dumps(GOOD), bad)
                assert reply.code == aiocoap.UNSUPPORTED_CONTENT_FORMAT and reply.payload


# Table 2


async def test_a_new_device(make_rig):
    """Table 2's defaults. LwM2M 751; IoTivity: DumpAndLoad (defaults), GetRequest."""
    rig = make_rig()
    async with client(rig) as c:
        assert await c.get(SWU) == {
            "purl": "", "nv": "", "signed": "vendor", "swupdateaction": "idle", "swupdatestate": "idle",
            "swupdateresult": 0, "lastupdate": "2026-01-09T14:30:00Z", "updatetime": "1970-01-01T00:00:00Z",
        }  # fmt: skip
        assert await c.get(PSTAT) == {
            "dos": {"s": 3, "p": False}, "isop": True, "cm": 0, "tm": 0, "om": 4, "sm": 4,
            "rowneruuid": rig.stage.identity.uuid,
        }  # fmt: skip


@pytest.fixture
def make_rig(tmp_path_factory):
    made = []

    def make(**options):
        made.append(Rig(tmp_path_factory.mktemp("board"), **options).start())
        return made[-1]

    yield make
    for rig in made:
        rig.stop()


async def test_update_is_answered_with_all_properties(rig):
    """LwM2M 756; IoTivity: PostRequestNoUpdate, EncodeAndDecodeForDevice."""
    async with client(rig) as c:
        for purl in (URL, "https://127.0.0.1:8443/a/b?c=d", "coaps://[::1]/x", "https://h/" + "x" * 240):
            reply = await c.update(purl)
            assert reply.code == aiocoap.CHANGED and reply.opt.content_format == 10000
            told = cbor2.loads(reply.payload)
            assert list(told) == ALL and told == await c.get(SWU)
            assert (told["purl"], told["swupdateaction"], told["swupdatestate"]) == (purl, "idle", "idle")


async def test_update_times(rig):
    """RFC 3339, with offsets and fractions; shown in UTC. With action idle the time is only kept (A3)."""
    async with client(rig) as c:
        for given, shown in (
            ("2030-01-09T14:30:00Z", "2030-01-09T14:30:00Z"),
            ("2030-01-09t14:30:00z", "2030-01-09T14:30:00Z"),
            ("2030-01-09T14:30:00.125Z", "2030-01-09T14:30:00Z"),
            ("2030-01-09T14:30:00+05:30", "2030-01-09T09:00:00Z"),
            ("2028-02-29T23:59:59-00:30", "2028-03-01T00:29:59Z"),
            ("2015-01-09T14:30:00Z", "2015-01-09T14:30:00Z"),  # past, but nothing is to be done
            ("none", "1970-01-01T00:00:00Z"),
        ):
            told = cbor2.loads((await c.update(URL, "idle", given)).payload)
            assert told["updatetime"] == shown and told["swupdateaction"] == "idle"


@pytest.mark.parametrize(
    "when",
    ["", "tomorrow", "2030", "2030-01-09", "2030-01-09 14:30:00Z", "2030-01-09T14:30:00", "2030-13-09T14:30:00Z",
     "2030-02-30T14:30:00Z", "2030-01-09T24:00:00Z", "2030-01-09T14:60:00Z", "2030-01-09T14:30:00.Z", "NOW",
     "2030-01-09T14:30:00Zz", "2030-01-09T14:30:00+5:30", "2030-01-09T14:30:00Z" + " " * 60, "-030-01-09T14:30:00Z",
     "٢٠٣٠-01-09T14:30:00Z", 1, None, b"2030-01-09T14:30:00Z"],
)  # fmt: skip
async def test_bad_times_are_refused(rig, when):
    """IoTivity: ValidateUpdate_InvalidPropertyValue, Decode_FailInvalidUpdateTime."""
    async with client(rig) as c:
        await refused(c, {**GOOD, "updatetime": when}, words="updatetime")


async def test_missing_properties_are_refused(rig):
    """IoTivity: ValidateUpdate_FailMissingRequired, PostRequest_FailUpdateTimeMissing, _FailPackageURLNotSet."""
    async with client(rig) as c:
        for name in GOOD:
            await refused(c, {k: v for k, v in GOOD.items() if k != name}, words=name + " is missing")
        await refused(c, {}, words="missing")


@pytest.mark.parametrize(
    ("name", "value"),
    [("nv", "9.9"), ("signed", "vendor"), ("swupdatestate", "idle"), ("swupdateresult", 0),
     ("lastupdate", "2030-01-09T14:30:00Z")],
)  # fmt: skip
async def test_read_only_properties_are_refused(rig, name, value):
    """IoTivity: ValidateUpdate_FailReadonly, Decode_FailReadonlyNewVersion, ...Signed, ...UpdateState,
    ...UpdateResult, ...LastUpdate."""
    async with client(rig) as c:
        text = await refused(c, {**GOOD, name: value})
        assert name in text and "read-only" in text
        await refused(c, {name: value})


async def test_unknown_properties_are_refused(rig):
    """IoTivity: ValidateUpdate_InvalidProperty, Decode_FailInvalidIntProperty, ...StringProperty."""
    async with client(rig) as c:
        for name, value in (
            ("swupdatesate", "idle"),
            ("update time", "none"),
            ("x", 1),
            ("PURL", URL),
            ("n" * 500, 1),
        ):
            await refused(c, {**GOOD, name: value}, words="not a Property")
        for name in (1, None, b"purl"):
            await refused(c, {**GOOD, name: URL})


async def test_wrong_types_are_refused(rig):
    async with client(rig) as c:
        for name in GOOD:
            for value in (None, True, 0, -1, 1.5, b"idle", [], ["idle"], {"idle": 1}, cbor2.CBORTag(0, "none")):
                await refused(c, {**GOOD, name: value}, words=name if not isinstance(value, cbor2.CBORTag) else None)


# Table 4


@pytest.mark.parametrize("action", ["", "Idle", "isacc", "nsa", "svv", "sva", "upgrading", "update", "upgrade\n"])
async def test_unknown_actions_are_refused(rig, action):
    """IoTivity: Decode_FailInvalidAction, Decode_FailInvalidState, ConvertAction, ConvertState."""
    async with client(rig) as c:
        await refused(c, {**GOOD, "swupdateaction": action}, words="swupdateaction must be one of")


async def test_past_times_are_refused_and_unset_clocks_named(rig):
    """This board has no time server: a time of day can neither be past nor to come, and "now" works (A6).

    That a past time is refused with 4.00 (IoTivity: PostRequest_FailUpdateTimeInPast) is in sim/test_schedule.py.
    """
    async with client(rig) as c:
        for action in ("isac", "isvv", "upgrade"):
            for when in (FAR, "2015-01-09T14:30:00Z"):
                await refused(c, {"purl": URL, "swupdateaction": action, "updatetime": when}, aiocoap.SERVICE_UNAVAILABLE,
                              "clock")  # fmt: skip


# Table 5, 6 and 7


@pytest.mark.parametrize(
    ("purl", "result"),
    [("example.com/fw", 6), ("/fw", 6), ("https:/h/fw", 6), ("https://", 6), ("https:///fw", 6), ("https://h:0/", 6),
     ("https://h:99999/", 6), ("https://h:x/", 6), ("https://u:p@h/", 6), ("https://a b/", 6), ("https://h/%zz", 6),
     ("https://h/#f", 6), ("https://a..b/", 6), ("https://h/\u00fc", 6), ("https://[::1/", 6), ("nonsense", 6), (" ", 6),
     ("https://h/" + "x" * 300, 6), ("https://h/\u0000x", 6),
     ("http://h/fw", 7), ("ftp://h/fw", 7), ("file:///etc/passwd", None), ("coap+tcp://h/fw", 7), ("HTTP://h/fw", 7)],
)  # fmt: skip
async def test_bad_urls(rig, purl, result):
    """6: not a fully qualified URL, 7: another protocol. The result is shown, and nothing else changes (A13).

    LwM2M 777, 778; IoTivity: PostRequest_FailInvalidPackageURL.
    """
    async with client(rig) as c:
        for action in ("idle", "isac", "isvv", "upgrade"):
            swu = (await c.post(SWU, GOOD)).payload
            reply = await c.update(purl, action, "now")
            assert reply.code == aiocoap.BAD_REQUEST and reply.payload, reply
            after = await c.get(SWU)
            expected = {**cbor2.loads(swu), "swupdateresult": after["swupdateresult"]}
            assert after == expected and after["swupdateresult"] in ([result] if result else [6, 7])
        assert await c.reason() == reply.payload.decode()


async def test_a_bad_url_is_told_to_observers(rig):
    async with client(rig) as c:
        await c.post(SWU, GOOD)
        seen = await c.observe(SWU)
        await c.update("https://", "isac", "now")
        await seen.until(lambda v: v["swupdateresult"] == 6)
        await c.update("http://h/", "isac", "now")
        await seen.until(lambda v: v["swupdateresult"] == 7)
        assert {v["purl"] for v in seen.values} == {URL} and set(seen.distinct("swupdatestate")) == {"idle"}


async def test_no_url(rig):
    """Empty, and none is built in: kept with result 6 when nothing is to be done, else refused (Table 2, A11).

    IoTivity: PostRequestEmptyPackageURL.
    """
    async with client(rig) as c:
        reply = await c.update("")
        assert reply.code == aiocoap.CHANGED
        told = cbor2.loads(reply.payload)
        assert (told["purl"], told["swupdateresult"], told["swupdatestate"]) == ("", 6, "idle")
        await c.post(SWU, GOOD)
        for action in ("isac", "isvv", "upgrade"):
            reply = await c.update("", action, "now")
            assert reply.code == aiocoap.BAD_REQUEST
            told = await c.get(SWU)
            assert (told["purl"], told["swupdateresult"], told["swupdatestate"]) == (URL, 6, "idle")


# Methods and messages


async def test_other_methods(rig):
    """IoTivity: PutRequest_FailMethodNotSupported, DeleteRequest_FailMethodNotSupported."""
    async with client(rig) as c:
        for path in (SWU, PSTAT):
            for code in (aiocoap.PUT, aiocoap.DELETE, aiocoap.FETCH, aiocoap.PATCH, aiocoap.iPATCH):
                async with unchanged(c):
                    payload = b"" if code == aiocoap.DELETE else cbor2.dumps(GOOD)
                    reply = await c.ask(code, path, payload, 10000 if payload else None)
                    assert reply.code == aiocoap.METHOD_NOT_ALLOWED and reply.payload


@pytest.mark.parametrize(
    "payload",
    ["", "00", "f6", "80", "9f", "bf", "a1", "a164", "a1647075726c", "a1647075726c78", "ff", "1c", "a3" + "00" * 6,
     "bfff00", "81" * 200, "9f" * 200, "9b7fffffffffffffff", "bb7fffffffffffffff", "7b7fffffffffffffff", "c0" * 300,
     "a2647075726c60647075726c60", "a1f97e0000", "5f4100", "a1647075726c61ff"],
)  # fmt: skip
async def test_malformed_payloads(rig, payload):
    async with client(rig) as c:
        await refused(c, bytes.fromhex(payload))


async def test_other_encodings_of_the_same(rig):
    """Indefinite lengths and long heads are CBOR, too."""
    async with client(rig) as c:
        text = b"\x7f" + cbor2.dumps("https://") + cbor2.dumps("h/x") + b"\xff"
        payload = b"\xbf" + b"\x78\x04purl" + text + cbor2.dumps("swupdateaction") + b"\x79\x00\x04idle"
        payload += cbor2.dumps("updatetime") + cbor2.dumps("none") + b"\xff"
        reply = await c.ask(aiocoap.POST, SWU, payload, 60)
        assert reply.code == aiocoap.CHANGED and (await c.get(SWU))["purl"] == "https://h/x"


async def test_large_payloads(rig):
    async with client(rig) as c:
        async with unchanged(c):
            reply = await c.ask(aiocoap.POST, SWU, cbor2.dumps({**GOOD, "purl": "https://h/" + "x" * 6000}), 10000)
            assert reply.code == aiocoap.REQUEST_ENTITY_TOO_LARGE
        await refused(
            c, {**GOOD, "purl": "https://h/" + "x" * 3000}, words="purl"
        )  # several blocks, all of them taken


async def test_critical_options_that_nobody_knows(rig):
    async with client(rig) as c, unchanged(c):
        for number in (9, 65001):
            message = aiocoap.Message(code=aiocoap.POST, uri=f"coap://{c.host}/{SWU}", payload=cbor2.dumps(GOOD))
            message.opt.content_format = 10000
            message.opt.add_option(OpaqueOption(OptionNumber(number), b"x"))
            reply = await c.context.request(message).response
            assert reply.code == aiocoap.BAD_OPTION
        message = aiocoap.Message(code=aiocoap.GET, uri=f"coap://{c.host}/{SWU}")
        message.opt.add_option(OpaqueOption(OptionNumber(65000), b"x"))  # elective
        assert (await c.context.request(message).response).code == aiocoap.CONTENT


# pstat


async def test_pstat_refuses(rig):
    async with client(rig) as c:
        for value in (
            {"cm": 0}, {"isop": True}, {"sm": 4}, {"tm": "256"}, {"tm": -1}, {"tm": 65536}, {"tm": True}, {"tm": 256.0},
            {"dos": {"s": 1}}, {"dos": {"s": 5}}, {"dos": {"s": True}}, {"dos": {}}, {"dos": {"s": 3, "p": True}},
            {"dos": 3},
            {"om": 1}, {"om": 8}, {"rowneruuid": "x"}, {"x": 1}, {"tm": 256, "cm": 0}, {"tm": 64, "om": 2}, [], 1,
        ):  # fmt: skip
            async with unchanged(c):
                reply = await c.post(PSTAT, value)
                assert reply.code == aiocoap.BAD_REQUEST and reply.payload, value


async def test_pstat_ignores_the_bits_of_provisioning(rig):
    """A10: 1, 2, 8, 16, 32 are accepted and mean nothing here; so does writing 0 (PST-13)."""
    async with client(rig) as c:
        for bits in (0, 1, 2, 4, 8, 16, 32, 512, 0x8000):
            async with unchanged(c):
                reply = await c.tm(bits)
                assert reply.code == aiocoap.CHANGED and not reply.payload


async def test_tm_without_a_url(make_rig):
    """SWU-02: what pstat starts uses purl; there is none, so the result is 6."""
    rig = make_rig()
    async with client(rig) as c:
        assert (await c.tm(256)).code == aiocoap.CHANGED
        swu = await c.settled()
        assert (swu["swupdatestate"], swu["swupdateresult"]) == ("idle", 6)


# Serving on


async def test_introspection_lists_the_resource(rig):
    """The document decodes with another codec, and describes /oc/swu with its Properties."""
    async with client(rig) as c:
        (info,) = (await c.get("oc/wk/introspection"))["urlInfo"]
        assert info["protocol"] == "coaps" and info["content-type"] == "application/cbor"
        base = f"coaps://{rig.stage.address}:5684/"
        assert info["url"].startswith(base)
        document = await c.get(info["url"].removeprefix(base))
        assert document["swagger"] == "2.0" and "/oc/swu" in document["paths"]
        assert set(document["paths"]["/oc/swu"]) >= {"get", "post"}
        described = [d for d in document["definitions"].values() if "swupdatestate" in d.get("properties", {})]
        assert described and set(ALL) <= set(described[0]["properties"])


async def test_many_requests_at_once(rig):
    async with client(rig) as c:
        replies = await asyncio.gather(*[c.ask(aiocoap.GET, SWU, timeout=20) for _ in range(40)])
        assert {reply.code for reply in replies} == {aiocoap.CONTENT} and len(
            {reply.payload for reply in replies}
        ) == 1


def test_the_device_never_restarted(rig):
    assert rig.board.resets == ["power"]
    assert not [line for line in rig.board.lines if "Traceback" in line]
