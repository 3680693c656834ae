"""Attacks with time: releases that should not be installed any more, and a network that lies about the time."""

import asyncio
import time

import aiocoap
import pytest
from sim.attack_rig import recipe, refused, serve, signed
from sim.rig import ISAC, ISVV, SWU, UPGRADE, WAIT, TimeServer, timestamp

HOUR, DAY, YEAR = 3600, 86400, 365 * 86400


def expiring(rig, seconds):
    """A release that expires so many seconds from now: its URL."""
    return serve(rig, signed(rig, recipe(rig).set(-5, int(time.time()) + seconds)))


async def believes(rig, client, ahead):
    """Whether the device takes the time to be what it is and `ahead` seconds: None while it does not know any."""
    url = rig.stage.url("1.0.0")
    codes = []
    for seconds in (ahead - HOUR, ahead + HOUR):
        codes.append((await client.update(url, ISAC, timestamp(seconds))).code)
        if codes[-1] == aiocoap.CHANGED:
            await client.update(url)  # the schedule is not wanted
    if aiocoap.SERVICE_UNAVAILABLE in codes:
        return None
    return codes == [aiocoap.BAD_REQUEST, aiocoap.CHANGED]


async def until_it_believes(rig, client, ahead):
    end = time.monotonic() + WAIT
    while not await believes(rig, client, ahead):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


async def restarted(rig):
    """Pull the plug, and put it back: the device asks for the time at once."""
    await asyncio.to_thread(rig.power_cycle)


class Forger(TimeServer):
    """A time server whose answers are forged by turns: `lies` are the shifts of the first ones, then those of `shift`."""

    def __init__(self, *lies: float, endless: bool = False) -> None:
        self.lies = list(lies)
        self.endless = endless
        super().__init__()

    @property
    def shift(self) -> float:
        """Of the next answer."""
        if not self.lies:
            return self._shift
        lie = self.lies.pop(0)
        if self.endless:
            self.lies.append(lie)
        return lie

    @shift.setter
    def shift(self, value: float) -> None:
        self._shift = value


# Freeze: an old release is kept on offer, so that the device does not get the new one


async def test_freeze(make):
    """A release that has expired is not installed; one that has not is."""
    with TimeServer() as server:
        rig = make(board={"ntp_port": server.port})
        async with rig.client() as client:
            await until_it_believes(rig, client, 0)
            for action in (ISAC, ISVV):
                await refused(rig, client, expiring(rig, -10), "version 2.0.0 has expired", action=action)
            assert (await client.run(expiring(rig, 3600), ISVV))["swupdatestate"] == "sva"


async def test_freeze_while_the_time_is_not_known(make):
    """It says so, and refuses; a release without an expiry is installed all the same."""
    with TimeServer(silent=True) as server:
        rig = make(board={"ntp_port": server.port})
        async with rig.client() as client:
            for action in (ISAC, ISVV):
                reason = "version 2.0.0 expires, and the time is not known"
                await refused(rig, client, expiring(rig, 3600), reason, 4, action)
                assert (await client.get("fargo/update"))["attempts"] == 3  # the time might have been on its way
            # What expired before the running release was built has expired for certain.
            await refused(rig, client, expiring(rig, -DAY), "version 2.0.0 has expired")
            assert (await client.run(serve(rig, signed(rig, recipe(rig))), ISVV))["swupdatestate"] == "sva"


async def test_freeze_waits_for_the_time(make):
    """Right after the start the time is on its way: the action waits for it a while."""
    with TimeServer(silent=True) as server:
        rig = make(board={"ntp_port": server.port}, settings={"backoff_ms": [2000], "retries": 10})
        async with rig.client() as client:
            seen = await client.observe("fargo/update")
            assert (await client.update(expiring(rig, 3600), ISVV, "now")).code == aiocoap.CHANGED
            await seen.until(lambda v: v["attempts"] > 1)
            server.silent = False
            swu = await client.settled()
            assert (swu["swupdatestate"], swu["swupdateresult"]) == ("sva", 0), await client.reason()


async def test_freeze_by_setting_the_clock_back(make):
    """To a time at which the old release had not expired: not before what has passed for certain."""
    with TimeServer() as server:
        rig = make(board={"ntp_port": server.port})
        async with rig.client() as client:
            await until_it_believes(rig, client, 0)
            server.shift = -DAY
            at = len(rig.board.lines)
            await restarted(rig)
            await rig.log("earlier than this release", at)
            assert await believes(rig, client, -DAY) is None
            await refused(rig, client, expiring(rig, -HOUR), "version 2.0.0 has expired")
            await refused(rig, client, expiring(rig, HOUR), "version 2.0.0 expires, and the time is not known", 4)


async def test_freeze_of_what_was_validated(make):
    """It may expire before it is asked to be installed: then it is not."""
    with TimeServer() as server:
        rig = make(board={"ntp_port": server.port})
        async with rig.client() as client:
            await until_it_believes(rig, client, 0)
            url = expiring(rig, HOUR)
            assert (await client.run(url, ISVV))["swupdatestate"] == "sva"
            server.shift = 2 * HOUR
            await restarted(rig)
            reason = "version 2.0.0 expires, and the time is not known"
            while reason.endswith("known"):  # the new time is on its way
                swu = await client.run(url, UPGRADE)
                reason = await client.reason()
            assert (reason, swu["swupdateresult"]) == ("version 2.0.0 has expired", 8)  # OCF: of an upgrade
            assert swu["swupdatestate"] == "idle" and await client.version() == "1.0.0"


# A lying clock


@pytest.mark.parametrize("lie", [3 * DAY, 10 * YEAR, 60 * YEAR])
async def test_a_lie_does_not_last(make, lie):
    """While all answers are forged the device is wrong and safe; with the first honest ones it is right, and updates."""
    with TimeServer(shift=lie) as server:
        rig = make(board={"ntp_port": server.port})
        rig.stage.release("1.1.0", 200)
        async with rig.client() as client:
            await until_it_believes(rig, client, lie)
            await refused(rig, client, expiring(rig, HOUR), "version 2.0.0 has expired")
            await restarted(rig)  # twice believed, and once recorded
            await until_it_believes(rig, client, lie)
            server.shift = 0
            assert (await client.post("oic/mnt", {"rb": True})).code == aiocoap.CHANGED  # the clock runs on
            await until_it_believes(rig, client, 0)
            server.shift = lie
            await restarted(rig)
            await until_it_believes(rig, client, lie)
            server.shift = 0
            await restarted(rig)
            await until_it_believes(rig, client, 0)
            assert (await client.run(expiring(rig, HOUR), ISAC))["swupdatestate"] == "nsa"
            await client.update(rig.stage.url("1.1.0"), "upgrade", "now")
            swu = await client.until(lambda v: v["swupdateresult"] == 1)
            assert timestamp(-60) < swu["lastupdate"] <= timestamp(0)


async def test_an_update_under_a_lie(make):
    """It is installed and kept; its time is wrong, until the next one."""
    with TimeServer(shift=10 * YEAR) as server:
        rig = make(board={"ntp_port": server.port})
        rig.stage.release("1.1.0", 2)
        rig.stage.release("1.2.0", 3, change={"extra.txt": "1.2.0"})
        async with rig.client() as client:
            await until_it_believes(rig, client, 10 * YEAR)
            for version, ahead in (("1.1.0", 10 * YEAR), ("1.2.0", 0)):
                server.shift = ahead
                await restarted(rig)
                await until_it_believes(rig, client, ahead)
                await client.update(rig.stage.url(version), "upgrade", "now")
                swu = await client.until(lambda v: v["swupdateresult"] == 1)
                assert await client.version() == version
                assert timestamp(ahead - 60) < swu["lastupdate"] <= timestamp(ahead)


async def test_one_forged_answer(make):
    """It does not agree with the next one, nor with a clock that is right: not believed."""
    with Forger(10 * YEAR) as server:
        rig = make(board={"ntp_port": server.port})
        async with rig.client() as client:
            await until_it_believes(rig, client, 0)
            assert any("differ by 315360000 s" in line or "differ by 31535999" in line for line in rig.board.lines)
            server.lies = [10 * YEAR]
            asked = server.asked
            assert (await client.post("oic/mnt", {"rb": True})).code == aiocoap.CHANGED
            async with asyncio.timeout(WAIT):
                while server.asked < asked + 3:  # the forged one, another one that contradicts it, and the next try
                    await asyncio.sleep(0.05)
            await until_it_believes(rig, client, 0)
            assert (await client.get(SWU))["swupdateresult"] == 0


async def test_answers_by_turns(make):
    """Now the one, now the other: never believed, and the device goes on without the time."""
    with Forger(10 * YEAR, 0, endless=True) as server:
        rig = make(board={"ntp_port": server.port})
        async with rig.client() as client:
            end = time.monotonic() + WAIT
            while server.asked < 6:
                assert await believes(rig, client, 0) is None and time.monotonic() < end
            assert await believes(rig, client, 10 * YEAR) is None
            assert (await client.run(serve(rig, signed(rig, recipe(rig))), ISAC))["swupdatestate"] == "nsa"
