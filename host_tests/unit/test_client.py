"""The Client side against a device made of other libraries: discovery, requests, and whole updates."""

import pytest
from fargo import client, watch
from fargo.console import CONNECTION, FAILED, REFUSED, ROLLED_BACK, Failure
from fargo.follow import Quiet
from foreign_device import TOTAL, UUID, Device, owner


def reach(device, timeout=20.0):
    return client.connect(f"127.0.0.1:{device.port}", owner(), timeout=timeout)


async def run(device, verb, *arguments, timeout=60.0):
    """(outcome, events) of a verb done on `device`."""
    listener = Quiet()
    async with await reach(device) as connected:
        outcome = await getattr(watch, verb)(connected, listener, *arguments, timeout=timeout)
    return outcome, [fields for _, fields in listener.events]


def _finished(events):
    return next({k: v for k, v in e.items() if k != "event"} for e in events if e.get("swupdateresult") == 1)


def states(events):
    return [e["swupdatestate"] for e in events if e["event"] == "swu" and "swupdatestate" in e]


async def test_finds_the_update_resources_by_their_types():
    async with Device() as device, await reach(device) as connected:
        assert (connected.swu, connected.status) == ("/some/where", "/fargo/update")
        assert await connected.version() == "1.0.0"
        assert (await connected.platform())["mnmn"] == "Foreign"
        assert (await connected.read_pstat())["isop"] is True


async def test_a_foreign_device_has_no_vendor_resource():
    async with Device(vendor=False) as device, await reach(device) as connected:
        assert connected.status == ""
        assert await connected.read_status() == {}


async def test_a_device_without_software_update_is_said_to_have_none():
    async with Device(updatable=False, vendor=False) as device:
        with pytest.raises(Failure, match="no software update"):
            await reach(device)


async def test_a_device_without_dtls_is_said_to_have_none():
    async with Device(dtls=False) as device:
        with pytest.raises(Failure, match="no secured connection"):
            await reach(device)


async def test_nobody_there_is_a_connection_failure():
    device = Device()
    with pytest.raises(Failure) as caught:
        await reach(device, timeout=0.3)
    assert caught.value.code == CONNECTION


async def test_check_finds_the_newer_version():
    async with Device() as device:
        outcome, events = await run(device, "check")
        assert (outcome.code, outcome.offered, outcome.state) == (0, "1.1.0", "nsa")
        assert device.posts == [{"tm": 256}]
        assert {"event": "step", "step": "check", "tm": 256} in events
        assert [e["cm"] for e in events if e["event"] == "pstat" and "cm" in e] == [0, 256]


async def test_a_check_is_followed_to_its_end_although_the_same_action_is_scheduled():
    async with Device() as device:
        device.swu["swupdateaction"] = "isac"
        outcome, _ = await run(device, "check")
        assert outcome.state == "nsa"


async def test_check_without_anything_newer_is_a_success():
    async with Device(offers=None) as device:
        outcome, _ = await run(device, "check")
        assert (outcome.code, outcome.offered) == (0, "")
        assert "up to date" in outcome.text


async def test_a_failed_check_tells_the_reason():
    async with Device(fails={"check": (404, "the server has no such file")}) as device:
        outcome, _ = await run(device, "check")
        assert outcome.code == CONNECTION
        assert "the server has no such file" in outcome.text
        assert "404" in outcome.text


async def test_a_foreign_device_fails_in_the_words_of_the_result_table():
    async with Device(vendor=False, fails={"obtain": (5, "")}) as device:
        outcome, _ = await run(device, "download")
        assert outcome.code == REFUSED
        assert outcome.text == "software validation failure (result 5)"


async def test_download_follows_the_states_and_counts_the_bytes():
    async with Device() as device:
        outcome, events = await run(device, "download")
        assert (outcome.code, outcome.state, outcome.bytes) == (0, "sva", TOTAL)
        assert states(events) == ["idle", "svv", "sva"]
        assert outcome.download_seconds > 0


async def test_update_does_it_all_and_survives_the_reboot():
    async with Device() as device:
        outcome, events = await run(device, "update", "https://localhost/1.1.0.suit")
        assert (outcome.code, outcome.before, outcome.after) == (0, "1.0.0", "1.1.0")
        assert device.boots == 2
        assert [p.get("tm", p.get("purl")) for p in device.posts] == ["https://localhost/1.1.0.suit", 256, 64, 128]
        assert device.posts[0]["swupdateaction"] == "idle"
        seen = states(events)
        assert [s for s in ("nsa", "svv", "sva", "upgrading", "idle") if s in seen] == [*dict.fromkeys(seen[1:])]
        assert [e["event"] for e in events if e["event"] in ("lost", "back")] == ["lost", "back"]
        # The news of after the reboot come after it.
        assert "back" in [e["event"] for e in events[: events.index({"event": "swu", **_finished(events)})]]
        assert outcome.line().startswith("1.0.0 -> 1.1.0, 40,960 bytes, ")
        assert outcome.line().endswith(" KB/s")


async def test_update_stops_when_there_is_nothing_newer():
    async with Device(offers=None) as device:
        outcome, _ = await run(device, "update")
        assert (outcome.code, device.posts) == (0, [{"tm": 256}])
        assert (outcome.before, outcome.after) == ("1.0.0", "1.0.0")


async def test_update_stops_at_the_step_that_fails():
    async with Device(fails={"obtain": (4, "the connection was lost")}) as device:
        outcome, _ = await run(device, "update")
        assert outcome.code == CONNECTION
        assert device.posts == [{"tm": 256}, {"tm": 64}]
        with pytest.raises(Failure, match="the connection was lost") as caught:
            outcome.raise_for_failure()
        assert caught.value.details["result"] == 4


async def test_a_rollback_has_its_own_code_and_the_devices_reason():
    async with Device(stays=False) as device:
        outcome, _ = await run(device, "upgrade")
        assert (outcome.code, outcome.result, outcome.after) == (ROLLED_BACK, 8, "1.0.0")
        assert "did not confirm itself" in outcome.text


async def test_an_install_that_fails_before_the_reboot_is_no_rollback():
    async with Device(fails={"install": (8, "the flash refused")}) as device:
        outcome, _ = await run(device, "upgrade")
        assert (outcome.code, device.boots) == (FAILED, 1)
        assert "the flash refused" in outcome.text


async def test_a_refusal_carries_the_devices_words():
    async with Device(refuses=(0xA3, "isvv is being done")) as device:
        with pytest.raises(Failure, match="isvv is being done") as caught:
            await run(device, "check")
        assert caught.value.code == REFUSED
        assert caught.value.details["response"] == "5.03 busy"


async def test_a_device_that_does_not_come_back_in_time():
    async with Device(off=60) as device:
        with pytest.raises(Failure, match="not come back") as caught:
            await run(device, "upgrade", timeout=6.0)
        assert caught.value.code == CONNECTION


async def test_a_failure_keeps_what_an_earlier_step_reached_apart():
    """State nsa stays when the download fails: that is no success of the download."""
    async with Device(fails={"obtain": (5, "digest of chunk 3 is wrong")}) as device:
        await run(device, "check")
        outcome, _ = await run(device, "download")
        assert (outcome.code, outcome.state) == (REFUSED, "nsa")
        assert "digest of chunk 3" in outcome.text


async def test_schedule_and_cancel_write_all_three_properties():
    async with Device() as device, await reach(device) as connected:
        await watch.schedule(connected, "upgrade", "2030-01-09T14:30:00Z", "https://h/x")
        answer = await watch.cancel(connected)
        assert device.posts[0] == {
            "purl": "https://h/x",
            "swupdateaction": "upgrade",
            "updatetime": "2030-01-09T14:30:00Z",
        }
        assert (device.posts[1]["purl"], device.posts[1]["swupdateaction"]) == ("https://h/x", "idle")
        assert answer["swupdateaction"] == "idle"


async def test_a_refused_url_is_a_refusal():
    async with Device() as device, await reach(device) as connected:
        with pytest.raises(Failure, match="http is not supported") as caught:
            await watch.set_url(connected, "http://h/x")
        assert caught.value.code == REFUSED


async def test_plan_changes_nothing():
    async with Device() as device, await reach(device) as connected:
        plan = await watch.plan(connected, "update", "https://h/x")
        assert [ask.get("tm", ask.get("purl")) for ask in plan["would"]] == ["https://h/x", 256, 64, 128]
        assert device.posts == []
        device.swu["swupdatestate"] = "svv"
        with pytest.raises(Failure, match="busy"):
            await watch.plan(connected, "update")


def test_split_host():
    assert client.split_host("192.0.2.7") == ("192.0.2.7", 5683)
    assert client.split_host("192.0.2.7:5700") == ("192.0.2.7", 5700)
    assert client.split_host("[fd00::7]:5700") == ("fd00::7", 5700)
    assert client.split_host("fd00::7") == ("fd00::7", 5683)
    assert client.split_host("board.local") == ("board.local", 5683)
    assert client.split_host("localhost") == ("localhost", 5683)
    assert client.split_host(UUID) == ("", 0)
    assert client.split_host("Kitchen lamp") == ("", 0)
    assert client.split_host("lamp:99999") == ("", 0)


def test_links_leave_out_what_is_malformed():
    good = {"href": "/a", "rt": ["x"]}
    assert client.links_of([good, {"href": 1, "rt": ["x"]}, {"href": "/b"}, 7]) == [good]
    assert client.links_of([{"rt": ["oic.wk.res"], "links": [good]}]) == [good]
    assert client.links_of({"href": "/a"}) == []
