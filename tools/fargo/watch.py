"""What is asked of a device: check, download, upgrade, update, schedule, cancel.

Each verb follows the device to the end of what was asked and returns an `Outcome`; on the way it tells a listener what
happens (`console.Output` is one, `follow.Quiet` another).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from fargo.client import DeviceClient
from fargo.console import CONNECTION, FAILED, OK, REFUSED, ROLLED_BACK, Failure
from fargo.follow import Listener, View, Watch, result_text
from fargo.replies import PSTAT

TM = {"check": 256, "download": 64, "upgrade": 128}  # OCF, Table 4
ACTIONS = {"check": "isac", "download": "isvv", "upgrade": "upgrade"}
_AGAIN = 0.4  # seconds
_HINTS = {
    4: "Is the release server running, reachable from the device, and by an authority that the device knows?",
    5: "Was the release signed with the keys that this device trusts, and is it for this device?",
    6: "Name a release: fargo device update --url URL.",
    7: "Devices fetch over https (or coaps).",
}


@dataclass
class Outcome:
    """How a verb ended. `code` is the exit code, `text` a sentence for people."""

    verb: str
    code: int
    text: str
    hint: str
    before: str
    after: str
    offered: str
    state: str
    result: int
    reason: str
    bytes: int
    seconds: float
    download_seconds: float

    @property
    def ok(self) -> bool:
        return self.code == OK

    def line(self) -> str:
        """version before -> after (or that it stays), bytes, seconds, KB/s"""
        rate = self.bytes / 1000 / self.seconds if self.seconds else 0.0
        way = f"{self.before or '?'} -> {self.after or '?'}"
        if self.ok and self.text == self.reason:  # a trust store
            way = f"{self.after} runs on"
        return f"{way}, {self.bytes:,} bytes, {self.seconds:.1f} s, {rate:.1f} KB/s"

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        value = asdict(self)
        del value["code"], value["hint"]
        return value

    def raise_for_failure(self) -> None:
        """Raise the Failure that this outcome is, if it is one."""
        if not self.ok:
            details = self.as_dict()
            del details["text"]
            raise Failure(self.text, self.hint, self.code, **details)


class _Clock:
    """Seconds since the verb began, and when it must end."""

    def __init__(self, timeout: float | None) -> None:
        self.start = time.monotonic()
        self.deadline = None if timeout is None else self.start + timeout


async def _step(watch: Watch, step: str, clock: _Clock) -> None:
    """Ask for one action and follow it to its end."""
    before = watch.view.action
    watch.listener.event(f"{step}: tm {TM[step]}", event="step", step=step, tm=TM[step])
    await watch.client.act(TM[step], ACTIONS[step])
    # A scheduled action stays visible; ours is over when no bit is pending and nothing else is being done.
    await watch.until(lambda view: not view.busy() and view.action in ("idle", before), clock.deadline)


async def _outcome(watch: Watch, verb: str, before: str, clock: _Clock, reached: bool) -> Outcome:
    view = watch.view
    after = await _version(watch) if verb in ("upgrade", "update") else before
    code, text, hint = _judge(watch, reached, before, after)
    return Outcome(
        verb=verb,
        code=code,
        text=text,
        hint=hint,
        before=before,
        after=after,
        offered=view.nv,
        state=view.state,
        result=view.result,
        reason=view.reason,
        bytes=watch.bytes,
        seconds=round(time.monotonic() - clock.start, 3),
        download_seconds=round(watch.download_seconds, 3),
    )


def _judge(watch: Watch, reached: bool, before: str, after: str) -> tuple[int, str, str]:
    view = watch.view
    if reached and view.state == "idle" and before == after and view.status.get("reason"):
        return OK, view.reason, ""  # a trust store: no other version runs
    if reached:
        return (
            OK,
            _REACHED.get(view.state, "{after} is running").format(nv=view.nv or "a new version", after=after),
            "",
        )
    if view.state == "idle" and view.result in (0, 1):
        return OK, f"nothing newer than {before or 'what runs'}: up to date", ""
    result, reason = view.result, view.reason
    words = result_text(result)
    said = f"{reason} (result {result}, {words})" if reason != words else f"{words} (result {result})"
    if result == 8 and watch.rebooted:
        return (
            ROLLED_BACK,
            f"rolled back to {after or before}: {said}",
            "Build a release that starts, and update again.",
        )
    if result == 4 or 400 <= result <= 600:
        return CONNECTION, said, _HINTS[4]
    return (REFUSED if result in (5, 6, 7) else FAILED), said, _HINTS.get(result, "")


_REACHED = {"nsa": "{nv} is available", "sva": "{nv} is downloaded and valid"}


async def _version(watch: Watch) -> str:
    for _ in range(3):  # it may have restarted a moment ago
        try:
            return await watch.client.version()
        except Failure:
            await asyncio.sleep(_AGAIN)
    return ""


async def check(client: DeviceClient, listener: Listener, timeout: float | None = None) -> Outcome:
    """Ask the device whether something newer is to be had; nothing is downloaded."""
    return await _single(client, listener, "check", ("nsa", "sva"), timeout)


async def download(client: DeviceClient, listener: Listener, timeout: float | None = None) -> Outcome:
    """Have the device download and validate what is offered."""
    return await _single(client, listener, "download", ("sva",), timeout)


async def _single(
    client: DeviceClient, listener: Listener, verb: str, states: tuple[str, ...], timeout: float | None
) -> Outcome:
    clock = _Clock(timeout)
    before = await client.version()
    async with Watch(client, listener) as watch:
        await _step(watch, verb, clock)
        # A state reached earlier stays when the step fails; then the result tells.
        reached = watch.view.state in states and watch.view.result in (0, 1)
        return await _outcome(watch, verb, before, clock, reached)


async def upgrade(client: DeviceClient, listener: Listener, timeout: float | None = None) -> Outcome:
    """Have the device install what it holds, or obtain it first; until it is kept or rolled back."""
    clock = _Clock(timeout)
    before = await client.version()
    async with Watch(client, listener) as watch:
        await _step(watch, "upgrade", clock)
        return await _outcome(watch, "upgrade", before, clock, _upgraded(watch))


def _upgraded(watch: Watch) -> bool:
    return watch.view.state == "idle" and watch.view.result == 1


async def update(
    client: DeviceClient, listener: Listener, url: str | None = None, timeout: float | None = None
) -> Outcome:
    """Everything: set the URL if one is given, check, download, upgrade. Stops at the first step that fails."""
    clock = _Clock(timeout)
    before = await client.version()
    if url is not None:
        await set_url(client, url)
    async with Watch(client, listener) as watch:
        for step, state in (("check", "nsa"), ("download", "sva")):
            await _step(watch, step, clock)
            if watch.view.state not in (state, "sva") or watch.view.result not in (0, 1):
                return await _outcome(watch, "update", before, clock, False)
        await _step(watch, "upgrade", clock)
        return await _outcome(watch, "update", before, clock, _upgraded(watch))


def now() -> str:
    """The time in the form that devices emit it (RFC 3339, UTC, seconds)."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


async def set_url(client: DeviceClient, url: str) -> dict[str, Any]:
    """Set `purl` and nothing else: with action idle the time has no meaning, but it is mandatory."""
    return await client.post_swu(url, "idle", now())


async def schedule(client: DeviceClient, action: str, when: str, url: str | None = None) -> dict[str, Any]:
    """Have the device do `action` ("isac", "isvv", "upgrade") at `when` (RFC 3339); the representation it answers."""
    purl = url if url is not None else str((await client.read_swu()).get("purl", ""))
    return await client.post_swu(purl, action, when)


async def cancel(client: DeviceClient) -> dict[str, Any]:
    """Cancel what is scheduled; the representation it answers. What is being done goes on."""
    return await set_url(client, str((await client.read_swu()).get("purl", "")))


async def plan(client: DeviceClient, verb: str, url: str | None = None) -> dict[str, Any]:
    """What `verb` would do, with everything checked that can be without changing anything. Raises Failure."""
    swu, pstat = await client.read_swu(), await client.read_pstat()
    view = View(swu, pstat, await client.read_status())
    if view.busy() and verb != "cancel":
        raise Failure(f"the device is busy: state {view.state}, action {view.action}", "Wait for its end.", REFUSED)
    steps = list(TM) if verb == "update" else [verb] if verb in TM else []
    asks: list[dict[str, Any]] = [] if url is None else [{"post": client.swu, "purl": url}]
    asks += [{"post": PSTAT, "tm": TM[step]} for step in steps]
    return {"verb": verb, "dry_run": True, "before": await client.version(), "state": view.state, "would": asks}
