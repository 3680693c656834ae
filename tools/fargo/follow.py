"""Following a device through an update: its notifications, its silence, and its reboot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from fargo.client import DeviceClient
from fargo.console import CONNECTION, Failure
from fargo.replies import PSTAT, Refusal

_UPDATE_BITS = 448  # of tm: OCF, Table 4
_RUNNING = ("svv", "upgrading")

RESULTS = {  # OCF, Table 5
    0: "idle",
    1: "success",
    2: "not enough RAM",
    3: "not enough flash",
    4: "connection lost",
    5: "software validation failure",
    6: "invalid URL",
    7: "unsupported protocol",
    8: "update failed",
}
_POLL = 2.0  # seconds without news after which the device is asked: notifications can be lost
_POLL_REBOOT = 0.4  # while it is upgrading
_SILENT = 3.0  # seconds after which it counts as not answering


class Listener(Protocol):
    """Who is told what happens; `console.Output`, or `Quiet`."""

    def event(self, text: str, **fields: Any) -> None: ...

    def progress(self, description: str, total: float | None = None) -> Any: ...


class Quiet:
    """A listener that only remembers the events, as (text, fields)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, text: str, **fields: Any) -> None:
        self.events.append((text, fields))

    def progress(self, description: str, total: float | None = None) -> _NoBar:
        return _NoBar()


class _NoBar:
    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def update(self, done: float, total: float | None = None, description: str | None = None) -> None:
        pass


def result_text(result: int) -> str:
    """A `swupdateresult` in words."""
    if 400 <= result <= 600:
        return f"the server answered {result}"
    return RESULTS.get(result, "unknown result")


@dataclass
class View:
    """What is known of the device's update now."""

    swu: dict[str, Any] = field(default_factory=dict)
    pstat: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        return str(self.swu.get("swupdatestate", ""))

    @property
    def action(self) -> str:
        return str(self.swu.get("swupdateaction", ""))

    @property
    def nv(self) -> str:
        return str(self.swu.get("nv", ""))

    @property
    def result(self) -> int:
        return _number(self.swu.get("swupdateresult"))

    @property
    def tm(self) -> int:
        return _number(self.pstat.get("tm"))

    @property
    def done(self) -> int:
        return _number(self.status.get("done"))

    @property
    def total(self) -> int:
        return _number(self.status.get("total"))

    @property
    def reason(self) -> str:
        """In words: the vendor's, else the result code's meaning."""
        return str(self.status.get("reason", "")) or result_text(self.result)

    def busy(self) -> bool:
        """An action is being done."""
        return self.state in _RUNNING or bool(self.tm & _UPDATE_BITS)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


_SHOWN = {
    "swu": ("swupdatestate", "swupdateaction", "swupdateresult", "nv", "purl", "updatetime", "lastupdate"),
    "pstat": ("cm", "tm", "isop", "dos"),
    "status": ("reason", "running", "confirmed", "attempts"),
}
_SHORT = {"swupdatestate": "state", "swupdateaction": "action", "swupdateresult": "result"}


class Watch:
    """Observes swu, pstat and the vendor's Resource of one device, and survives its reboot.

    An asynchronous context manager. `view` is current; `rebooted`: it restarted while it was upgrading.
    """

    def __init__(self, client: DeviceClient, listener: Listener) -> None:
        self.client = client
        self.listener = listener
        self.view = View()
        self.rebooted = False
        self.reachable = True
        self.bytes = 0  # the most that was seen done of one download
        self.download_seconds = 0.0
        self._paths = {"swu": client.swu, "pstat": PSTAT, "status": client.status}
        self._unobservable: set[str] = set()
        self._lost_upgrading = False
        self._observers: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._bar: Any = None
        self._svv_since: float | None = None

    async def __aenter__(self) -> Watch:
        self.client.repeats = False
        await self.refresh()
        self._observe()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._close_bar()
        self.client.repeats = True
        await self._unobserve()

    async def refresh(self, timeout: float | None = None) -> None:
        """Read all three Resources. Raises Failure when the device does not answer or refuses."""
        client = self.client
        self._take("swu", await client.read_swu(timeout))
        self._take("pstat", await client.read_pstat(timeout))
        if client.status:
            self._take("status", await client.read_status(timeout))

    async def until(self, over: Callable[[View], bool] | None, deadline: float | None) -> None:
        """Follow until `over` holds (None: for ever) in values read afresh; `deadline` is of time.monotonic().

        Raises Failure when the time is over, or when the device refuses what we ask.
        """
        while True:
            self._news.clear()
            asked = await self._ask(deadline)
            if over is not None and asked and over(self.view):
                return
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise self._late()
            pause = _POLL_REBOOT if self.view.state == "upgrading" or not self.reachable else _POLL
            try:
                await asyncio.wait_for(self._news.wait(), pause if left is None else min(pause, left))
            except TimeoutError:
                pass

    async def _ask(self, deadline: float | None) -> bool:
        # Short while it is about to restart; a new session takes a board longer.
        patience = 1.0 if self.view.state == "upgrading" and self.reachable else _SILENT
        if deadline is not None:
            patience = max(0.1, min(patience, deadline - time.monotonic()))
        try:
            if not self.reachable:
                await self.client.read_swu(patience)
                await self._back()
            await self.refresh(patience)
        except Refusal:
            # Just started, it may not serve everything yet.
            if self.reachable and not self.rebooted:
                raise
            return False
        except Failure as exc:
            if exc.code != CONNECTION:
                raise
            if self.reachable:
                self.reachable = False
                self._lost_upgrading = self.view.state == "upgrading"
                text = "the device restarts" if self._lost_upgrading else "the device does not answer"
                self.listener.event(text, event="lost", state=self.view.state)
            return False
        self._observe()  # anew, where the session was lost that it came through
        return True

    async def _back(self) -> None:
        self.reachable = True
        self.rebooted = self.rebooted or self._lost_upgrading
        self.listener.event("the device is back", event="back", state=self.view.state)
        await self._unobserve()  # a restarted device knows no observers
        self._observe()

    def _late(self) -> Failure:
        if not self.reachable:
            return Failure("the device has not come back in time", "A longer --timeout may help.", CONNECTION)
        return Failure(
            f"not finished in time: the device is in state {self.view.state}",
            "It goes on; follow it with 'fargo device watch', or give a longer --timeout.",
        )

    # Observation.

    def _observe(self) -> None:
        for kind, path in self._paths.items():
            known = self._observers.get(kind)
            if path and kind not in self._unobservable and (known is None or known.done()):
                self._observers[kind] = asyncio.ensure_future(self._follow(kind, path))

    async def _unobserve(self) -> None:
        tasks, self._observers = self._observers.values(), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, kind: str, path: str) -> None:
        try:
            async for value in self.client.observe(path):
                if isinstance(value, dict):
                    self._take(kind, value)
            self._unobservable.add(kind)  # polling will do
        except Refusal:
            self._unobservable.add(kind)
        except Failure:
            pass  # gone; observed again when it answers

    def _take(self, kind: str, value: dict[str, Any]) -> None:
        known: dict[str, Any] = getattr(self.view, kind)
        first = not known
        changed = {k: value[k] for k in _SHOWN[kind] if k in value and (first or known.get(k) != value[k])}
        if value != known:
            setattr(self.view, kind, value)
            self._news.set()
        if kind == "status":
            # A reboot too short to be missed still shows in what runs.
            self.rebooted = self.rebooted or (not first and known.get("running") != value.get("running"))
            self._progress()
        elif kind == "swu":
            self._time_download()
        if changed and not (first and kind == "status" and not value.get("reason")):
            words = "  ".join(f"{_SHORT.get(k, k)} {_words(v)}" for k, v in changed.items() if not first or v != "")
            self.listener.event(f"{kind:<6} {words}", event=kind, **changed)

    # Progress of the download.

    def _time_download(self) -> None:
        now = time.monotonic()
        if self.view.state == "svv":
            self._svv_since = self._svv_since or now
        elif self._svv_since is not None:
            self.download_seconds += now - self._svv_since
            self._svv_since = None
            self._close_bar()

    def _progress(self) -> None:
        done, total = self.view.done, self.view.total
        self.bytes = max(self.bytes, done)
        if self.view.state != "svv" or total <= 0:
            return
        if self._bar is None:
            self._bar = self.listener.progress("Downloading", total)
            self._bar.__enter__()
        self._bar.update(done, total)

    def _close_bar(self) -> None:
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.update(self.bytes)
            bar.__exit__(None, None, None)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items())
    return str(value) if value != "" else "-"
