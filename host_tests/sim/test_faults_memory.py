"""Too little memory, in every phase: result 2 or a refusal with its reason, and a device that serves on, with its owner.

The sizes are of the unix port's heap. The long form (FARGO_LONG=1) goes through all of them from the least with which an
owner is answered to one with which a whole update succeeds, and writes build/reliability/memory.json; the short form tries
a few, always the same: FARGO_SEED chooses others.
"""

import asyncio
import json
import os
import random
import time

import aiocoap
import pytest
from fargo.bundle import ROOT
from fargo.console import Failure
from sim.owned_rig import stored
from sim.rig import IDLE, ISAC, PSTAT, UPGRADE, WAIT, Rig

LONG = bool(os.environ.get("FARGO_LONG"))
STEP = 8  # KB
LEAST, MOST = 160, 400
RECORDS = ("/doxm", "/cred", "/acl2", "/pstat", "/name")

# Takes whatever there is, again and again when told so, and gives nothing back.
HOARDING = """
import asyncio
import machine
from ocf import Property, Resource
from port import reserve

held = []


class Hoard(Resource):
    href = "/hoard"
    rt = ("x.test.hoard",)
    properties = (Property("on", bool, "rw"),)


async def main(device):
    hoard = device.add(Hoard(on=AT_ONCE))
    machine.WDT(timeout=8000)
    if AT_ONCE:
        await asyncio.sleep(1)
    while True:
        if AT_ONCE:
            reserve.let_go()
        if hoard.on:
            for size in (4096, 1024, 256, 64):
                try:
                    while True:
                        held.append(bytearray(size))
                except MemoryError:
                    pass
        await asyncio.sleep_ms(50)


def health():
    return not AT_ONCE
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A board that has its owner and a name, off; an update waits for it."""
    rig = Rig(tmp_path_factory.mktemp("board"), settings={"trial_s": 12}).start()
    rig.stage.release("1.1.0", 2, firmware=True, change={"extra.txt": "1.1.0"})

    async def name():
        async with rig.client() as client:
            assert (await client.post("oc/con", {"n": "cellar"})).code == aiocoap.CHANGED

    asyncio.run(name())
    rig.board.power_off()
    rig.factory = rig.stage.flash.read_bytes()
    rig.owned_by = {path: data for path, data in stored(rig).items() if path in RECORDS}
    yield rig
    rig.stop()


def boot(rig, kb):
    """Start with a heap of `kb` KB; whether it comes to serve."""
    board = rig.board
    board.power_off()
    board.heap = f"{kb}k"
    at = len(board.lines)
    board.power_on()
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        said = board.lines[at:]
        if any("serving" in line for line in said):
            return True
        if any("could not be run" in line or "REPL" in line for line in said):
            return False
        time.sleep(0.02)
    raise AssertionError(board.lines[at:])


async def answered(rig, path="oic/d"):
    """Whether the owner gets an answer."""
    async with rig.client() as client:
        try:
            return (await client.ask(aiocoap.GET, path, timeout=WAIT / 2)).code == aiocoap.CONTENT
        except (TimeoutError, OSError, aiocoap.error.Error):
            return False


def suffices(rig, kb):
    """Whether the owner is answered with `kb` KB. Whatever comes of it, nothing is lost."""
    rig.stage.flash.write_bytes(rig.factory)
    found = boot(rig, kb) and asyncio.run(answered(rig))
    rig.board.power_off()
    kept = stored(rig)
    assert {path: kept.get(path) for path in RECORDS} == rig.owned_by, kb
    return found


@pytest.fixture(scope="module")
def idle(swept):
    """The least heap, in KB, with which the owner is answered; what is less costs nobody anything.

    A little below it the handshake fits in by chance, so it counts only after three times.
    """
    low, high = LEAST // STEP, MOST // STEP
    while low < high:
        middle = (low + high) // 2
        if suffices(swept, middle * STEP):
            high = middle
        else:
            low = middle + 1
    while not (suffices(swept, high * STEP) and suffices(swept, high * STEP)):
        high += 1
    print(f"\nan owner is answered from {high * STEP} KB on")
    return high * STEP


def sizes(idle, count):
    """The sizes to try: all of them up to MOST, or `count` of the first dozen."""
    every = range(idle, MOST, STEP)
    if LONG:
        return list(every)
    seed = int(os.environ.get("FARGO_SEED", "1"))
    return sorted(random.Random(seed).sample(every[:12], count))


async def healthy(rig, client, at, resets=()):
    """Nothing has ended the device's loop."""
    assert (await client.get("oc/con"))["n"] == "cellar"
    assert rig.board.resets[at:] == ["power", *resets], rig.board.lines[-20:]


async def one_action(rig, kb, action, scheme="https"):
    """What comes of `action` with `kb` KB: (result, version that runs); and with enough memory it is done."""
    rig.stage.flash.write_bytes(rig.factory)
    at = len(rig.board.resets)
    assert await asyncio.to_thread(boot, rig, kb), rig.board.lines[-20:]
    async with rig.client() as client:
        reply = await client.update(rig.stage.url("1.1.0", scheme), action, "now")
        if reply.code == aiocoap.CHANGED:
            swu = await client.settled()
            result, reason = swu["swupdateresult"], await client.reason()
        else:
            assert reply.code == aiocoap.SERVICE_UNAVAILABLE
            result, reason = 503, "refused"
        version = await client.version()
        done = result == 1 or (action == ISAC and result == 0 and swu["swupdatestate"] == "nsa")
        assert done or (result in (2, 503) and "memory" in reason or reason == "refused"), (kb, result, reason)
        assert version == ("1.1.0" if result == 1 else "1.0.0")
        await healthy(rig, client, at, ["reset"] if result == 1 else [])
    if not done:
        assert await asyncio.to_thread(boot, rig, 640)
        async with rig.client() as client:
            swu = await client.run(rig.stage.url("1.1.0"), UPGRADE)
            assert swu["swupdateresult"] == 1, await client.reason()
            await healthy(rig, client, at, ["power", "reset"])
    rig.board.power_off()
    return done, result


def published(**figures):
    """Add to the figures of the long form."""
    if not LONG:
        return
    path = ROOT / "build/reliability/memory.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | figures, indent=2))


async def test_every_size_ends_in_an_update_or_in_result_2(swept, idle):
    """And with enough memory afterwards the same update is done."""
    counts, results = {}, {}
    for kb in sizes(idle, 3):
        done, result = results[kb] = await one_action(swept, kb, UPGRADE)
        counts[str(result)] = counts.get(str(result), 0) + 1
    print(results)
    failing = [kb for kb, (done, _) in results.items() if not done]
    published(sizes=len(results), idle_kb=idle, update_kb=max(failing, default=idle - STEP) + STEP, results=counts)


async def test_the_same_of_a_check(swept, idle):
    for kb in sizes(idle, 1)[:8]:
        await one_action(swept, kb, ISAC)


async def test_the_same_over_coap(swept, idle):
    """Whose handshake with certificates is the largest phase of all."""
    counts = {}
    for kb in sizes(idle, 1):
        _, result = await one_action(swept, kb, UPGRADE, "coaps")
        counts[str(result)] = counts.get(str(result), 0) + 1
    published(coaps_results=counts)


async def test_a_trial_without_memory_ends(swept, idle):
    """It is kept or it goes back; with enough memory afterwards the device is whole, whatever it was."""
    for kb in sizes(idle - 5 * STEP, 2)[:24]:
        swept.stage.flash.write_bytes(swept.factory)
        board = swept.board
        assert await asyncio.to_thread(boot, swept, 640)
        at = len(board.lines)
        async with swept.client() as client:
            assert (await client.update(swept.stage.url("1.1.0"), UPGRADE, "now")).code == aiocoap.CHANGED
            board.heap = f"{kb}k"
            await swept.log("starting ota_1", at)
            end = time.monotonic() + WAIT
            while not any("is kept" in line or "starting ota_0" in line for line in board.lines[at:]):
                assert time.monotonic() < end, (kb, board.lines[-20:])
                await asyncio.sleep(0.05)
        kept = any("is kept" in line for line in board.lines[at:])
        assert "watchdog" not in board.resets
        assert await asyncio.to_thread(boot, swept, 640)
        async with swept.client() as client:
            swu = await client.settled()
            assert swu["swupdateresult"] in ((1,) if kept else (1, 8)), (kb, await client.reason())
            assert await client.version() == ("1.1.0" if swu["swupdateresult"] == 1 else "1.0.0")
            assert (await client.get("oc/con"))["n"] == "cellar"


def test_an_ownership_without_memory_is_had_or_not(make, idle):
    """It succeeds, or with more memory the device can be owned, or is this owner's already: it is never nobody's."""
    rig = make(owned=False)
    identity = rig.stage.identity
    rig.board.power_off()
    factory = rig.stage.flash.read_bytes()
    for kb in sizes(idle - 2 * STEP, 2)[:12]:
        rig.stage.flash.write_bytes(factory)
        for uuid in list(identity.devices):
            identity.forget(uuid)
        at = len(rig.board.resets)
        if not boot(rig, kb):
            continue
        try:
            asyncio.run(rig.stage.own())
        except Failure as error:
            print(f"{kb} KB: {error}")
            assert rig.board.resets[at:] == ["power"], rig.board.lines[-20:]
            assert boot(rig, 640)
            first = list(identity.devices)
            try:
                asyncio.run(rig.stage.own())
            except Failure as again:
                # The last steps are missing, or their answers; before it has its rights nobody discovers it.
                assert "is yours already" in str(again) or "/oic/res: the device answered 4.01" in str(again)
            else:
                for uuid in first:
                    identity.forget(uuid)
        assert boot(rig, 640) and asyncio.run(answered(rig, PSTAT)), kb
        rig.board.power_off()


@pytest.fixture
def hoarding(make, tmp_path):
    (tmp_path / "app.py").write_text(HOARDING.replace("AT_ONCE", "False"))
    rig = make(app=tmp_path)
    rig.stage.release("1.1.0", 2)
    return rig


async def had(code, ask):
    """A reply with this code; before it 5.03, as long as what it takes does not fit just now."""
    while (reply := await ask()).code != code:
        assert reply.code == aiocoap.SERVICE_UNAVAILABLE, reply
        await asyncio.sleep(0.3)


async def test_an_app_that_takes_all_memory_takes_not_the_reserve(hoarding):
    """Its owner is answered. An update ends with result 2 or is refused, or the reserve is enough for it; without, a restart
    brings the memory back."""
    async with hoarding.client() as client:
        assert (await client.post("hoard", {"on": True})).code == aiocoap.CHANGED
        for path in ("oic/d", "oc/swu", "oic/sec/pstat", "hoard") * 10:
            await had(aiocoap.CONTENT, lambda path=path: client.ask(aiocoap.GET, path, timeout=WAIT / 2))
            await asyncio.sleep(0.03)
        await had(aiocoap.CHANGED, lambda: client.post("hoard", {"on": False}))
        reply = await client.update(hoarding.stage.url("1.1.0"), UPGRADE, "now")
        if reply.code == aiocoap.CHANGED:
            swu = await client.until(lambda v: v["swupdateaction"] == IDLE)
            if swu["swupdateresult"] == 1:
                assert await client.version() == "1.1.0"
                return
            assert (swu["swupdateresult"], swu["swupdatestate"]) == (2, "idle")
            assert "memory" in await client.reason()
        else:
            assert reply.code == aiocoap.SERVICE_UNAVAILABLE
        at = len(hoarding.board.lines)
        try:
            await had(aiocoap.CHANGED, lambda: client.post("oic/mnt", {"rb": True}))
        except TimeoutError:  # rarely: nothing of the reserve could be had again
            await hoarding.log("the watchdog bites", at)
        await hoarding.log("serving", at)
        reply = await client.update(hoarding.stage.url("1.1.0"), UPGRADE, "now")
        # What was refused may have been taken all the same, and gone on: for the answer alone there was no memory.
        assert reply.code == aiocoap.CHANGED or b"being done" in reply.payload, (reply.code, reply.payload)
        assert (await client.settled())["swupdateresult"] == 1 and await client.version() == "1.1.0"


async def test_no_memory_for_tls_is_said_before_the_radio_goes_deaf(make):
    rig = make(board={"spare": 20_000})
    rig.stage.release("1.1.0", 2)
    async with rig.client() as client:
        assert (await client.run(rig.stage.url("1.1.0"), UPGRADE))["swupdateresult"] == 2
        assert "in one piece, and 20000 are free" in await client.reason()
        assert await client.version() == "1.0.0"


async def test_a_device_without_memory_is_restarted_and_a_release_that_takes_it_goes_back(make):
    """When the reserve is gone for good the watchdog is not fed, or a task that never ends has ended: in a trial either is
    the end of it."""
    fresh = make(settings={"trial_s": 200})
    fresh.stage.release("1.1.0", 2, change={"app.py": HOARDING.replace("AT_ONCE", "True")})
    async with fresh.client() as client:
        await client.update(fresh.stage.url("1.1.0"), UPGRADE, "now")
        await client.until(lambda v: v["swupdateresult"] == 8, timeout=2 * WAIT)
        assert await client.version() == "1.0.0"
        assert fresh.board.resets[-1] in ("watchdog", "reset") and await client.reason()
