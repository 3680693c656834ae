"""What the power is cut in: each scenario is run once as it should go, and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiocoap
from sim.owned_rig import CRASHING, DOXM, NOTES, RFNOP
from sim.rig import IDLE, ISVV, PSTAT, STATUS, UPGRADE, Foreign, Rig, timestamp

OLD, NEW, NEXT = "1.0.0", "1.1.0", "1.2.0"
KEPT, TAKEN, GONE = "kept", "taken", "gone"  # what becomes of the owner


@dataclass
class Scenario:
    """`act` does it, to its end, on a board that is on; `again` (else `act`) once more, after a cut that left it undone.

    `setup`: makes what else is on the server. `prepare`: what is done before the recording begins, and `starts` the
    version that runs then. `ends`: the version that runs at the end, `result` as in Table 5. `may`: words of a reason
    with which the device may truthfully have given it up after a power cut. `releases`: of what is on the server
    besides the factory's: version -> keywords of Stage.release. `owner`: what becomes of the owner, `owned`: there is
    one before. `from_factory`: the recording begins with the first power on. `clock`: there is a time server.
    """

    name: str
    act: Callable[[Rig, Foreign | None], Awaitable[None]]
    again: Callable[[Rig, Foreign | None], Awaitable[None]] | None = None
    prepare: Callable[[Rig, Foreign | None], Awaitable[None]] | None = None
    setup: Callable[[Rig], None] | None = None
    starts: str = OLD
    ends: str = NEW
    result: int = 1
    may: tuple[str, ...] = ()
    releases: dict[str, dict[str, object]] = field(default_factory=dict)
    owner: str = KEPT
    owned: bool = True
    from_factory: bool = False
    clock: bool = False


async def _asked(client: Foreign, url: str, action: str) -> None:
    reply = await client.update(url, action, "now")
    assert reply.code == aiocoap.CHANGED or b"is being done" in reply.payload, reply.payload  # it was asked for twice


async def _upgrade(rig: Rig, client: Foreign | None, version: str = NEW, result: int = 1) -> None:
    assert client
    await _asked(client, rig.stage.url(version), UPGRADE)
    swu = await client.until(lambda v: v["swupdateresult"] and v["swupdateaction"] == IDLE)
    assert swu["swupdateresult"] == result, await client.reason()


async def _update(rig: Rig, client: Foreign | None) -> None:
    await _upgrade(rig, client)


async def _next(rig: Rig, client: Foreign | None) -> None:
    await _upgrade(rig, client, NEXT)


async def _rollback(rig: Rig, client: Foreign | None) -> None:
    await _upgrade(rig, client, result=8)


async def _download(rig: Rig, client: Foreign | None) -> None:
    assert client
    await _asked(client, rig.stage.url(NEW), ISVV)
    swu = await client.settled()
    assert swu["swupdatestate"] == "sva", swu


async def _schedule(rig: Rig, client: Foreign | None) -> None:
    """A time that comes while the board is on."""
    assert client
    while (await client.update(rig.stage.url(NEW), UPGRADE, timestamp(2))).code != aiocoap.CHANGED:
        await asyncio.sleep(0.1)  # the clock is not set yet
    await client.until(lambda v: v["swupdateresult"] == 1 and v["swupdateaction"] == IDLE)


async def _interrupted(rig: Rig, client: Foreign | None) -> None:
    """The server is gone half-way, the action is given up, and asked for again when it is back."""
    assert client
    server = rig.stage.server
    server.delay = 0.05
    await client.update(rig.stage.url(NEW), UPGRADE, "now")
    await client.until(lambda v: v["done"] > 0.4 * v["total"] > 0, path=STATUS)
    await asyncio.to_thread(server.stop)
    await client.until(lambda v: v["swupdateresult"] == 4)
    server.delay = 0
    await asyncio.to_thread(server.start)
    await _upgrade(rig, client)


def _rotated(rig: Rig) -> None:
    """The release of a trust store with another key."""
    old, new = rig.stage.keys[:2]
    rig.stage.rotate(1, [new], [old, new])


async def _trust(rig: Rig, client: Foreign | None) -> None:
    await _upgrade(rig, client, "trust-1")


async def _first_start(rig: Rig, _client: Foreign | None) -> None:
    await rig.log("serving")


async def _own(rig: Rig, _client: Foreign | None) -> None:
    await rig.stage.own()


async def _owned(_rig: Rig, client: Foreign | None) -> None:
    """The owner goes on where the power failed."""
    assert client
    if (await client.get(PSTAT))["dos"]["s"] != RFNOP:
        assert (await client.post(PSTAT, {"dos": {"s": RFNOP}})).code == aiocoap.CHANGED
    assert (await client.get(DOXM))["owned"]


async def _hard_reset(rig: Rig, client: Foreign | None) -> None:
    assert client
    at = len(rig.board.lines)
    reply = await client.post(PSTAT, {"dos": {"s": 0}})
    assert reply.code == aiocoap.CHANGED
    await rig.log("onboarding: RFOTM", at)


async def _settings(rig: Rig, client: Foreign | None) -> None:
    """What a Client changes at a device that nothing else happens to: a name, a note of the app, the package URL."""
    assert client
    for path, value in (("oc/con", {"n": "cellar"}), ("note", {"text": "one"}), ("note", {"text": "two"})):
        assert (await client.post(path, value)).code == aiocoap.CHANGED
    assert (await client.update(rig.stage.url(NEW))).code == aiocoap.CHANGED


APP = {"change": {"extra.txt": "new" * 3000}}
BOTH = {"firmware": True, **APP}
FIRMWARE = {"firmware": True, "app": False}
SECOND = {"firmware": True, "change": {"extra.txt": "next" * 1200}}
BAD = {"firmware": True, "change": {"app.py": CRASHING}}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("update", _update, releases={NEW: BOTH}),
        # The other slot holds the version before: it is overwritten.
        Scenario("second", _next, prepare=_update, starts=NEW, ends=NEXT, releases={NEW: BOTH, NEXT: SECOND}),
        Scenario("app", _update, releases={NEW: APP}),
        Scenario("delta", _update, releases={NEW: {**APP, "delta": True}}),
        Scenario("firmware", _update, releases={NEW: FIRMWARE}),
        Scenario("rollback", _rollback, ends=OLD, result=8, releases={NEW: BAD}),
        # What a trial that failed has left does not count against the next one.
        Scenario("retry", _next, prepare=_rollback, ends=NEXT, releases={NEW: BAD, NEXT: SECOND}),
        Scenario("download", _download, ends=OLD, result=0, releases={NEW: BOTH}),
        Scenario("schedule", _schedule, releases={NEW: APP}, clock=True, may=("its time passed",)),
        Scenario("interrupted", _interrupted, _update, releases={NEW: BOTH}),
        Scenario("trust", _trust, ends=OLD, setup=_rotated),
        Scenario("first-start", _first_start, ends=OLD, result=0, owned=False, owner=GONE, from_factory=True),
        Scenario("ownership", _own, _owned, ends=OLD, result=0, owned=False, owner=TAKEN),
        Scenario("hard-reset", _hard_reset, None, _settings, ends=OLD, result=0, owner=GONE),
    )
}


def write_app(folder: Path) -> None:
    """The app of all scenarios: it keeps a note, and says of which version it is."""
    said = '    import of\n\n    global note\n    device.log("info", "the app of " + of.VERSION)\n'
    folder.mkdir()
    (folder / "app.py").write_text(NOTES.replace("    global note\n", said))
    (folder / "of.py").write_text(of(OLD))


def of(version: str) -> str:
    """The module that says of which version an app is."""
    return f"VERSION = {version!r}\n"
