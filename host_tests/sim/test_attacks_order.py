"""Attacks with what was said before, or too early: replays, a second update, an update before the first is confirmed."""

import asyncio
import socket
import time

import aiocoap
import cbor2
import pytest
from aiocoap.numbers.types import Type
from sim.attack_rig import Wire, flash
from sim.owned_rig import provisioning
from sim.rig import IDLE, ISAC, ISVV, OCF_CBOR, STATUS, SWU, UPGRADE, WAIT, TimeServer, timestamp
from sim.test_schedule import clock_is_set

ENVELOPE = "/fargo-1.1.0.suit"
NOT_WELL = """
import asyncio


async def main(device):
    await asyncio.sleep(1000)


def health():
    return False
"""


@pytest.fixture
def rig(make):
    """A board, and a release that it has not got."""
    rig = make()
    rig.stage.release("1.1.0", 2)
    rig.stage.release("1.2.0", 3, change={"extra.txt": "1.2.0"})
    return rig


def times_asked(rig):
    return rig.stage.server.count(ENVELOPE).requests


async def test_replayed_datagrams(rig):
    """All that a Client ever sent, again: from its own address and from another, in its session, and after a restart."""
    client = rig.client()
    with Wire(rig, client) as wire:
        async with client:
            assert (await client.run(rig.stage.url("1.1.0"), ISAC))["swupdatestate"] == "nsa"
            await client.post("oc/con", {"n": "cellar"})
            await client.post("oc/con", {"n": "attic"})
            recorded = list(wire.sent)
            assert len(recorded) > 6 and times_asked(rig) == 1
            for elsewhere in (False, True):
                wire.replay(recorded, elsewhere)
                assert (await client.get("oic/d"))["n"] == "attic"  # behind all of them in the device's queue
                assert times_asked(rig) == 1 and client._tunnel.begun == 1
            await asyncio.to_thread(rig.power_cycle)
            wire.replay(recorded)
            assert (await client.get("oic/d"))["n"] == "attic" and client._tunnel.begun == 2
            wire.replay(recorded)
            assert (await client.get("oic/d"))["n"] == "attic" and client._tunnel.begun == 2
            swu = await client.settled()
            assert (swu["swupdatestate"], times_asked(rig)) == ("nsa", 1)
    assert not [line for line in rig.board.lines if "Traceback" in line]


async def test_the_same_message_twice(rig):
    """A message that comes again, within its session, is answered again and carried out once (RFC 7252 section 4.2)."""
    body = {"purl": rig.stage.url("1.1.0"), "swupdateaction": ISAC, "updatetime": "now"}
    message = aiocoap.Message(code=aiocoap.POST, payload=cbor2.dumps(body), _mtype=Type.CON, _mid=4711, _token=b"once")
    message.opt.uri_path = tuple(SWU.split("/"))
    message.opt.content_format = OCF_CBOR
    data = message.encode()
    async with rig.client() as client:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(WAIT)
            answers = []
            for _ in range(3):
                for _ in range(2):
                    sock.sendto(data, ("127.0.0.1", client._tunnel.port))
                    answers.append(await asyncio.to_thread(sock.recv, 2048))
                assert (await client.settled())["swupdatestate"] == "nsa"
            assert len(set(answers)) == 1 and aiocoap.Message.decode(answers[0]).code == aiocoap.CHANGED
        assert times_asked(rig) == 1


async def test_a_replayed_schedule(make):
    """It runs once. Recorded and sent again it is nothing; asked for again by a Client, its time has passed."""
    with TimeServer() as server:
        rig = make(board={"ntp_port": server.port})
        rig.stage.release("1.1.0", 2)
        url, client = rig.stage.url("1.1.0"), rig.client()
        with Wire(rig, client) as wire:
            async with client:
                await clock_is_set(rig, client)
                seen = await client.observe(SWU)
                when = timestamp(4)
                at = len(wire.sent)
                assert (await client.update(url, ISAC, when)).code == aiocoap.CHANGED
                update = wire.sent[at:]
                await seen.until(lambda v: v["swupdatestate"] == "nsa")
                assert times_asked(rig) == 1
                while (
                    timestamp(-2) <= when
                ):  # in its own second it is not past yet, and the device's clock may be behind
                    await asyncio.sleep(0.1)
                for _ in range(2):
                    wire.replay(update)
                    wire.replay(update, elsewhere=True)
                    swu = await client.settled()
                    assert (swu["swupdateaction"], swu["swupdatestate"], swu["updatetime"]) == (IDLE, "nsa", when)
                    reply = await client.update(url, ISAC, when)
                    assert reply.code == aiocoap.BAD_REQUEST and reply.payload == b"updatetime is in the past"
                    await asyncio.to_thread(rig.power_cycle)
                    await clock_is_set_again(rig, client)
                assert times_asked(rig) == 1 and await client.version() == "1.0.0"


async def clock_is_set_again(rig, client):
    """Wait until the time is known; nothing is changed by asking."""
    end = time.monotonic() + WAIT
    while (await client.update(rig.stage.url("1.1.0"), ISAC, "2015-01-09T14:30:00Z")).code != aiocoap.BAD_REQUEST:
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


async def all_busy(rig, client, words):
    """Every other action is refused with these words, and the URL stays; an idle UPDATE changes no more than that."""
    before = await client.get(SWU)
    for action in (ISAC, ISVV, UPGRADE):
        for when in ("now", timestamp(1000)):
            reply = await client.update(rig.stage.url("1.2.0"), action, when)
            assert (reply.code, reply.payload) == (aiocoap.SERVICE_UNAVAILABLE, words)
    for bits in (256, 64, 128, 448):
        reply = await client.tm(bits)
        assert (reply.code, reply.payload) == (aiocoap.SERVICE_UNAVAILABLE, words)
    assert (await client.update(rig.stage.url("1.2.0"))).code == aiocoap.CHANGED
    now = await client.get(SWU)
    assert [now[name] for name in ("purl", "swupdateaction", "swupdatestate", "swupdateresult")] == [
        before[name] for name in ("purl", "swupdateaction", "swupdatestate", "swupdateresult")
    ]
    assert rig.stage.server.count("/fargo-1.2.0.suit").requests == 0


async def test_a_second_update_while_one_is_running(rig):
    rig.stage.server.delay = 0.5  # it lasts longer than all that is asked meanwhile
    async with rig.client() as client:
        seen = await client.observe(SWU)
        assert (await client.update(rig.stage.url("1.1.0"), ISVV, "now")).code == aiocoap.CHANGED
        await all_busy(rig, client, b"isvv is being done")
        assert (await client.get(SWU))["swupdatestate"] == "svv"  # all through it
        rig.stage.server.delay = 0
        await seen.until(lambda v: v["swupdatestate"] == "sva")
        assert (await client.get(SWU))["nv"] == "1.1.0"
    assert rig.board.resets == ["power"]


async def test_a_second_update_while_one_awaits_the_reboot(rig):
    """A Device that is being provisioned waits with the restart (the other slot is ready, and not armed yet)."""
    rig.stage.server.delay = 0.5
    async with rig.client() as client:
        seen = await client.observe(SWU)
        assert (await client.update(rig.stage.url("1.1.0"), UPGRADE, "now")).code == aiocoap.CHANGED
        async with provisioning(client):
            rig.stage.server.delay = 0
            await seen.until(lambda v: v["swupdatestate"] == "upgrading")
            was = flash(rig)
            await all_busy(rig, client, b"the device is being upgraded")
            assert flash(rig) == was and rig.board.resets == ["power"]
        swu = await client.until(lambda v: v["swupdateresult"] == 1)
        assert swu["swupdatestate"] == "idle" and await client.version() == "1.1.0"


async def test_an_update_before_the_version_is_confirmed(make):
    """Nothing is fetched, and the slot to go back to is not touched, until the trial is over."""
    rig = make(settings={"trial_s": 15})
    rig.stage.release("1.1.0", 2, change={"app.py": NOT_WELL})
    rig.stage.release("1.2.0", 3, change={"extra.txt": "1.2.0"})
    async with rig.client() as client:
        await client.update(rig.stage.url("1.1.0"), UPGRADE, "now")
        await client.until(lambda v: not v["confirmed"], path=STATUS)
        was = flash(rig)
        await all_busy(rig, client, b"the device is being upgraded")
        assert flash(rig) == was
        assert (await client.get(STATUS))["confirmed"] is False  # all through it
        swu = await client.until(lambda v: v["swupdateresult"] == 8)
        assert swu["swupdatestate"] == "idle" and await client.version() == "1.0.0"
        assert await client.reason() == "rolled back: the app was not well"
        assert rig.stage.server.count("/fargo-1.2.0.suit").requests == 0
        await client.run(rig.stage.url("1.2.0"), UPGRADE)  # afterwards all is as before
        await client.until(lambda v: v["swupdateresult"] == 1)
        assert await client.version() == "1.2.0"
