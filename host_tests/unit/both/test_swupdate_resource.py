"""/oc/swu and /fargo/update through ocf.Device, with the real pstat and a real Updater (see the reference's 39 tests).

The reference's tests that apply here, by their names: GetRequest, Decode_FailInvalidIntProperty and ...StringProperty,
Decode_FailReadonly..., Decode_FailInvalidAction, ...InvalidUpdateTime, ValidateUpdate_FailMissingRequired,
_FailReadonly, _InvalidProperty, _InvalidPropertyValue, PostRequestNoUpdate, PostRequestUpdateNow,
PostRequestScheduleUpdate, PostRequestEmptyPackageURL, PostRequest_FailUpdateTimeMissing, _FailUpdateTimeInPast,
_FailPackageURLNotSet, _FailInvalidPackageURL, Put- and DeleteRequest_FailMethodNotSupported, Upgrade.
DumpAndLoad, ScheduleUpdateOnLoad, EncodeAndDecodeForDevice: test_swupdate_manager; Decode_... from storage: test_boot;
UpgradeNoNextStep, ConvertAction, ConvertState: test_machine. Copy and GetResourceBy... have no counterpart.
"""

import cbor
from cbor.decoder import decode
from coap.message import Refused
from coap_request import Request
from ocf.device import Device
from ocf.pstat import RFNOP, RFPRO, Pstat
from swupdate import status
from swupdate.machine import action
from test_swupdate_manager import URL, Rig

GET, POST, PUT, DELETE = 1, 2, 3, 4
SWU, PSTAT, STATUS = "/oc/swu", "/oic/sec/pstat", "/fargo/update"
FRESH = {
    "purl": "", "nv": "", "signed": "vendor", "swupdateaction": "idle", "swupdatestate": "idle", "swupdateresult": 0,
    "lastupdate": "2023-11-14T22:13:20Z", "updatetime": "1970-01-01T00:00:00Z",
}  # fmt: skip


class Open:
    """Access for everybody: access control is not what is tested here."""

    def check(self, request, resource):
        return True

    def identity(self, request):
        return None


class Watched(Pstat):
    observer = None
    cm = property(lambda self: dict(self.get())["cm"])
    tm = property(lambda self: dict(self.get())["tm"])

    def notify(self):
        if self.observer:
            self.observer()


class DeviceRig(Rig):
    def make_pstat(self):
        return Watched(self.store, RFNOP)

    def see(self, who):
        if self.pstat.operational:  # elsewhere pstat shows what its state demands
            super().see(who)

    def serve(self):
        self.pstat.on_tm = self.updater.target
        self.pstat.on_state = self.updater.dos_changed
        self.device = Device(Open(), "00000000-0000-0000-0000-000000000001")
        for resource in (
            self.pstat,
            status.software_update(self.updater),
            status.resource(self.updater, self.slots.label(self.slots.running)),
        ):
            self.device.add(resource)
        return self

    def ask(self, code, path, body=None, query=(), raw=None):
        payload = raw if raw is not None else b"" if body is None else cbor.dumps(body)
        try:
            answer = self.device.handle(Request(code, path, query=list(query), payload=payload, content_format=10000))
        except Refused as refused:
            assert refused.text, "a refusal says why"
            return refused.code, None
        return answer.code, decode(bytes(answer.payload)) if len(answer.payload) else None

    def get(self, path=SWU, *query):
        code, body = self.ask(GET, path, None, query)
        assert code == 0x45
        return body


def body(what="idle", when="now", purl=URL):
    return {"purl": purl, "swupdateaction": what, "updatetime": when}


async def test_fresh_device_in_both_interfaces():
    rig = DeviceRig().serve()
    assert rig.get() == FRESH
    assert rig.get(SWU, "if=oic.if.rw") == FRESH
    both = dict(FRESH)
    both["rt"], both["if"] = ["oic.r.softwareupdate"], ["oic.if.rw", "oic.if.baseline"]
    assert rig.get(SWU, "if=oic.if.baseline") == both
    for name in ("oic.if.r", "oic.if.ll", "oic.if.b", "x"):
        assert rig.ask(GET, SWU, None, ["if=" + name])[0] == 0x80
    rig.off()


async def test_only_get_and_post():
    rig = DeviceRig().serve()
    for code in (PUT, DELETE):
        assert rig.ask(code, SWU, body())[0] == 0x85
    assert rig.get() == FRESH
    rig.off()


async def test_bad_updates_change_nothing():
    rig = DeviceRig().serve()
    bad = [{}, [], 1, "x", None]
    for name in body():
        lacking = body("isac")
        del lacking[name]
        bad.append(lacking)
        for value in (None, True, 1, 1.5, b"x", [], {}):
            wrong = body("isac")
            wrong[name] = value
            bad.append(wrong)
    for name, value in (
        ("nv", "x"),
        ("signed", "vendor"),
        ("swupdatestate", "idle"),
        ("swupdateresult", 0),
        ("lastupdate", "2030-01-09T14:30:00Z"),
        ("n", "x"),
        ("rt", []),
        ("if", []),
        ("x", 1),
        (5, 1),
    ):
        more = body("isac")
        more[name] = value
        bad.append(more)
    for what in ("", "Idle", "check", "idle "):
        bad.append(body(what))
    for when in ("", "NOW", "later", "2030-01-09", "2030-02-30T00:00:00Z", "2" * 65, "2000-01-01T00:00:00Z"):
        bad.append(body("isac", when))
    for wrong in bad:
        assert rig.ask(POST, SWU, wrong)[0] == 0x80, wrong
    for raw in (b"", b"\xff", b"\xbf", b"\xa1\x64purl", b"\xa2\x61a\x01\x61a\x01", b"\xa1" * 50):
        assert rig.ask(POST, SWU, raw=raw)[0] == 0x80
    assert rig.get() == FRESH and rig.calls == []
    rig.off()


async def test_bad_urls_are_told_by_the_result():
    rig = DeviceRig().serve()
    for purl, result in (("http://h/x", 7), ("nonsense", 6), ("https://h/" + "x" * 246, 6), ("https://h\x08", 6)):
        assert rig.ask(POST, SWU, body("idle", "now", purl))[0] == 0x80
        expected = dict(FRESH)
        expected["swupdateresult"] = result
        assert rig.get() == expected
    longest = "https://h/" + "x" * 245
    assert rig.ask(POST, SWU, body("idle", "none", longest))[0] == 0x44 and rig.get()["purl"] == longest
    rig.off()


async def test_the_models_example_is_scheduled_and_cancelled():
    rig = DeviceRig().serve()
    example = body("upgrade", "2031-01-09T14:30:00+01:00", "https://myvendor/newversion")
    code, answer = rig.ask(POST, SWU, example)
    expected = dict(FRESH)
    expected.update(
        {"purl": "https://myvendor/newversion", "swupdateaction": "upgrade", "updatetime": "2031-01-09T13:30:00Z"}
    )
    assert code == 0x44 and answer == expected == rig.get()
    code, answer = rig.ask(POST, SWU, body("isac", "none"))
    assert code == 0x44 and answer["swupdateaction"] == "idle" and answer["updatetime"] == "1970-01-01T00:00:00Z"
    rig.off()


async def test_now_shows_the_time_or_the_epoch():
    rig = DeviceRig().serve()
    code, answer = rig.ask(POST, SWU, body("isac"))
    assert code == 0x44 and answer["swupdateaction"] == "isac" and answer["updatetime"] == "2030-03-17T17:46:40Z"
    await rig.settle()
    rig.clock.unix = 0
    assert rig.ask(POST, SWU, body())[1]["updatetime"] == "1970-01-01T00:00:00Z"
    assert rig.ask(POST, SWU, body("isac", "2031-01-09T14:30:00Z"))[0] == 0xA3
    rig.off()


async def test_empty_url():
    rig = DeviceRig().serve()
    code, answer = rig.ask(POST, SWU, body("idle", "now", ""))
    assert code == 0x44 and answer["swupdateresult"] == 6
    for what in ("isac", "isvv", "upgrade"):
        assert rig.ask(POST, SWU, body(what, "now", ""))[0] == 0x80
    assert rig.ask(POST, PSTAT, {"tm": 64})[0] == 0x44
    assert rig.get(PSTAT)["tm"] == 64
    await rig.settle()
    assert rig.get(PSTAT)["tm"] == 0 and rig.get()["swupdateresult"] == 6
    rig.off()


async def test_typical_update_through_tm():
    rig = DeviceRig().serve()
    rig.ask(POST, SWU, body())
    for tm, state, cm in ((256, "nsa", 256), (64, "sva", 320)):
        assert rig.ask(POST, PSTAT, {"tm": tm}) == (0x44, None)
        assert rig.get(PSTAT)["tm"] == tm and rig.get()["swupdateaction"] == {256: "isac", 64: "isvv"}[tm]
        await rig.settle()
        seen = rig.get()
        assert (seen["swupdatestate"], seen["nv"], seen["swupdateaction"]) == (state, "1.1.0", "idle")
        pstat = rig.get(PSTAT)
        assert (pstat["cm"], pstat["tm"]) == (cm, 0)
    assert rig.ask(POST, PSTAT, {"tm": 128})[0] == 0x44
    assert (rig.get(PSTAT)["cm"], rig.get()["swupdatestate"]) == (448, "upgrading")
    assert rig.ask(POST, SWU, body("isac"))[0] == 0xA3 and rig.ask(POST, PSTAT, {"tm": 64})[0] == 0xA3
    assert rig.ask(POST, SWU, body())[0] == 0x44, "idle is always taken"
    await rig.settle(lambda: rig.rebooted)
    rig = rig.again(state=1).serve()
    assert (rig.get(PSTAT)["cm"], rig.get(PSTAT)["tm"]) == (448, 128)
    assert rig.get(STATUS)["confirmed"] is False and rig.get(STATUS)["running"] == "1.1.0"
    rig.updater.confirm()
    assert (rig.get(PSTAT)["cm"], rig.get(PSTAT)["tm"], rig.get()["swupdateresult"]) == (0, 0, 1)
    assert rig.get()["lastupdate"] == "2030-03-17T17:46:40Z"
    rig.off()


async def test_status():
    rig = DeviceRig().serve()
    assert rig.get(STATUS) == {
        "reason": "", "phase": "", "done": 0, "total": 0, "running": "1.0.0", "offered": "", "slot": "ota_0", "seq": 1,
        "confirmed": True, "attempts": 0,
    }  # fmt: skip
    rig.ask(POST, SWU, body("isvv"))
    await rig.settle(lambda: rig.updater.done)
    seen = rig.get(STATUS)
    assert seen["phase"] == "obtain" and 0 < seen["done"] < seen["total"] == 100 and seen["attempts"] == 1
    await rig.settle()
    assert rig.get(STATUS)["offered"] == "1.1.0" and rig.get(STATUS)["phase"] == ""
    assert rig.ask(POST, STATUS, {"reason": "x"})[0] in (0x80, 0x85)
    rig.off()


async def test_onboarding_states():
    rig = DeviceRig().serve()
    rig.ask(POST, SWU, body("isvv"))
    await rig.settle(lambda: rig.updater.done)
    assert rig.ask(POST, PSTAT, {"dos": {"s": RFPRO}})[0] == 0x44
    assert rig.get(PSTAT)["cm"] == 0 and rig.get()["swupdatestate"] == "svv"
    await rig.settle()
    assert rig.ask(POST, PSTAT, {"tm": 64})[0] == 0x83 and rig.ask(POST, SWU, body("isac"))[0] == 0x83
    assert rig.ask(POST, SWU, body())[0] == 0x44
    assert rig.ask(POST, PSTAT, {"dos": {"s": RFNOP}})[0] == 0x44
    assert rig.get(PSTAT)["cm"] == 320
    assert rig.ask(POST, PSTAT, {"dos": {"s": 0}})[0] == 0x44
    await rig.settle(lambda: rig.get(PSTAT)["dos"]["s"] == 1)
    assert rig.get() == FRESH and action(rig.updater.state) == "idle"
    rig.off()
