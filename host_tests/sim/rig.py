"""What the proofs on the simulated board share: a stage with its board, a foreign Client, a time server.

Nothing of ours speaks for the Client here: messages are aiocoap's, their payloads are made and read by cbor2, and Mbed TLS
secures them. Only the ownership, at the first start, is taken by `fargo`'s own onboarding.
"""

from __future__ import annotations

import asyncio
import datetime
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
from coap.message import Refused
from fargo import bundle, flat, release, romfs
from fargo.bundle import ROOT
from fargo.serve import Server
from fargo.stage import Stage
from loopback import address
from starlette.responses import Response
from time_server import TimeServer as TimeServer
from tunnel import Tunnel

SWU, PSTAT, STATUS = "oc/swu", "oic/sec/pstat", "fargo/update"
OCF_CBOR = 10000
IDLE, ISAC, ISVV, UPGRADE = "idle", "isac", "isvv", "upgrade"
HEAP = "640k"
WAIT = 40  # seconds: more than anything here takes on a slow machine

LAMP = ROOT / "examples/lamp"

# Table 3: state -> cm
CM = {"idle": 0, "nsa": 256, "svv": 256, "sva": 320, "upgrading": 448}

_SETTINGS = {"trial_s": 20, "backoff_ms": [50, 100], "connect_s": 3, "read_s": 3}


def timestamp(seconds: float) -> str:
    """Now and `seconds`, as RFC 3339 writes it."""
    then = datetime.datetime.fromtimestamp(int(time.time() + seconds), datetime.UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


class Faulty(Server):
    """A release server that can be told to fail: `status` answers everything, `missing` (part of a path) is not found.

    `delay`: seconds before each 3,840 bytes over HTTPS.
    """

    status = 0
    missing = ""
    delay = 0.0

    async def pieces(self, item: Any, start: int, end: int) -> Any:
        """As slow as asked for."""
        async for piece in super().pieces(item, start, end):
            if self.delay:
                await asyncio.sleep(self.delay)
            yield piece

    async def _respond(self, request: Any) -> Any:
        path = request.scope["path"]
        if self.status or (self.missing and self.missing in path):
            return Response(status_code=self.status or 404)
        return await super()._respond(request)

    def answer(self, request: Any) -> Any:
        """CoAP's side of it."""
        if self.status:
            raise Refused(self.status // 100 << 5 | self.status % 100, "told to")
        if self.missing and self.missing in request.path:
            raise Refused(0x84, "told to")
        return super().answer(request)


_compiled: dict[tuple[str, bytes], Path] = {}
_cache = tempfile.TemporaryDirectory()


def compiled(name: str, source: Path) -> Path:
    """`source` as `.mpy`, compiled once for all tests of this process."""
    key = name, source.read_bytes()
    if key not in _compiled:
        target = Path(_cache.name) / f"{len(_compiled)}.mpy"
        romfs.compile_to(target, source, flat.module(name))
        _compiled[key] = target
    return _compiled[key]


def quick(files: Mapping[str, Path]) -> dict[str, Path]:
    """`files` with every source compiled, each once."""
    return {
        name[:-3] + ".mpy" if name.endswith(".py") else name: compiled(name, path) if name.endswith(".py") else path
        for name, path in files.items()
    }


class QuickStage(Stage):
    """A stage that compiles every file once. Its releases' apps differ from the factory's in every chunk: what is the same
    is not fetched, and most proofs are about fetching.
    """

    def release(self, version: str, sequence: int, *arguments: Any, **parameters: Any) -> Path:
        """As Stage's."""
        self._moved = f"# {version}\n".encode() * 9
        try:
            return super().release(version, sequence, *arguments, **parameters)
        finally:
            self._moved = b""

    def app_image(self, change: dict[str, str] | None = None) -> bytes:
        """As Stage's."""
        files = bundle.device_files(self.app)
        changed = self.home / "changed"
        shutil.rmtree(changed, ignore_errors=True)
        changed.mkdir()
        for name, text in (change or {}).items():
            files[name] = changed / name
            files[name].parent.mkdir(parents=True, exist_ok=True)
            files[name].write_text(text)
        made = quick(bundle.shortened(files, self.home / "short"))
        if self._moved:
            made["0.txt"] = changed / "a.txt"
            made["0.txt"].write_bytes(self._moved)
        return romfs.build(dict(sorted(made.items())))

    _moved = b""


class Rig:
    """A stage whose server runs, and its board, flashed with version 1.0.0 and not powered yet.

    The board gets its owner at its first start, unless `owned` is false.
    """

    def __init__(
        self,
        home: Path,
        board: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        owned: bool = True,
        kind: type[QuickStage] = QuickStage,
        **stage: Any,
    ) -> None:
        self.owned = owned
        stage = {
            "layout": "small", "firmware_size": 60_000, "app": LAMP, "server": Faulty, "address": address(), **stage,
        }  # fmt: skip
        self.stage = kind(home, settings={**_SETTINGS, **(settings or {})}, **stage)
        self.stage.flash_factory()
        (factory,) = (home / "factory").glob("*.suit")
        release.sign(Path(shutil.copy(factory, self.stage.releases)), self.stage.keys[0])  # an offer of what runs
        self.stage.server.start()
        self.board = self.stage.board(**{"heap": HEAP, "flash_ms": (0, 0), **(board or {})})

    def start(self) -> Rig:
        """Power on, and wait until the board serves."""
        return self.starts(self.board.power_on)

    def starts(self, how: Callable[[], Any]) -> Rig:
        """Do `how`, after which the board starts, and wait until it serves."""
        at = len(self.board.lines)
        how()
        self.board.wait_log("serving", WAIT, at)
        if self.owned and not self.stage.identity.devices:
            with ThreadPoolExecutor(1) as beside:  # tests have a loop of their own
                beside.submit(lambda: asyncio.run(self.stage.own())).result()
        return self

    def power_cycle(self) -> Rig:
        """Pull the plug, and put it back."""
        self.board.power_off()
        return self.start()

    def stop(self) -> None:
        """Switch everything off."""
        self.board.power_off()
        self.stage.server.stop()

    def client(self) -> Foreign:
        """A Client of this board; use it with `async with`."""
        identity = self.stage.identity
        (known,) = identity.devices.values()
        return Foreign(self.stage.address, identity.uuid, known.key, self._starts)

    def _starts(self) -> int:
        return sum("serving" in line for line in self.board.lines)

    def payloads(self, build: Callable[[], Any]) -> list[Path]:
        """The payload files that `build` adds to the server's folder."""
        before = set(self.stage.releases.glob("*.bin"))
        build()
        return sorted(set(self.stage.releases.glob("*.bin")) - before)

    def base(self) -> dict[str, bytes]:
        """The payloads of what was flashed, for releases with deltas from it."""
        (factory,) = (self.stage.home / "factory").glob("*.suit")
        return release.payloads(factory)

    async def operations(self) -> int:
        """Of the flash since power on, until now: the board says so when it feeds the watchdog."""
        feeds = self.board.feeds
        async with asyncio.timeout(WAIT):
            while self.board.feeds < feeds + 2:
                await asyncio.sleep(0.05)
        return self.board.operations

    async def log(self, text: str, start: int = 0) -> str:
        """Wait for a line of the board's."""
        return await asyncio.to_thread(self.board.wait_log, text, WAIT, start)


class Seen:
    """What an observer was sent, oldest first."""

    def __init__(self) -> None:
        self.values: list[dict[str, Any]] = []
        self.messages: list[Any] = []
        self._news = asyncio.Event()

    def add(self, message: Any) -> None:
        """A notification."""
        self.messages.append(message)
        self.values.append(cbor2.loads(message.payload))
        self._news.set()

    async def until(self, predicate: Callable[[dict[str, Any]], Any], timeout: float = WAIT) -> dict[str, Any]:
        """The first value for which `predicate` holds; those before count as well. Raises TimeoutError."""
        at = 0
        async with asyncio.timeout(timeout):
            while True:
                for value in self.values[at:]:
                    if predicate(value):
                        return value
                at = len(self.values)
                self._news.clear()
                await self._news.wait()

    def distinct(self, *names: str) -> list[Any]:
        """The values of `names`, without repetitions in a row."""
        found: list[Any] = []
        for value in self.values:
            row = value[names[0]] if len(names) == 1 else tuple(value[name] for name in names)
            if not found or found[-1] != row:
                found.append(row)
        return found


class Foreign:
    """A Client made of aiocoap, cbor2 and Mbed TLS, and of nothing of ours. It is the owner."""

    def __init__(self, host: str, uuid: str, key: bytes, starts: Callable[[], int] | None = None) -> None:
        self._tunnel = Tunnel(host, uuid, key, starts=starts)
        self.host = f"127.0.0.1:{self._tunnel.port}"

    async def __aenter__(self) -> Foreign:
        self._tunnel.__enter__()
        self.context = await aiocoap.Context.create_client_context(transports=["simple6"])
        self._observations: list[Any] = []
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for request in self._observations:
            if not request.observation.cancelled:
                request.observation.cancel()
        await self.context.shutdown()
        await asyncio.to_thread(self._tunnel.__exit__)

    async def ask(
        self,
        code: Any,
        path: str,
        payload: bytes = b"",
        content_format: int | None = None,
        timeout: float = WAIT / 2,
        **more: Any,
    ) -> Any:
        """One exchange."""
        message = aiocoap.Message(code=code, uri=f"coap://{self.host}/{path}", payload=payload, **more)
        if content_format is not None:
            message.opt.content_format = content_format
        return await asyncio.wait_for(self.context.request(message).response, timeout)

    async def get(self, path: str) -> Any:
        """A representation that must be had."""
        reply = await self.ask(aiocoap.GET, path)
        assert reply.code == aiocoap.CONTENT, (reply.code, reply.payload)
        return cbor2.loads(reply.payload)

    async def post(self, path: str, value: Any) -> Any:
        """UPDATE; the answer as a message."""
        return await self.ask(aiocoap.POST, path, cbor2.dumps(value), OCF_CBOR)

    async def update(self, purl: str, action: str = IDLE, when: str = "none") -> Any:
        """UPDATE of /oc/swu with all that it needs; the answer as a message."""
        return await self.post(SWU, {"purl": purl, "swupdateaction": action, "updatetime": when})

    async def tm(self, bits: int) -> Any:
        """UPDATE of pstat's target mode."""
        return await self.post(PSTAT, {"tm": bits})

    async def observe(self, path: str) -> Seen:
        """Observe from now on; the first representation is there when this returns."""
        message = aiocoap.Message(code=aiocoap.GET, uri=f"coap://{self.host}/{path}", observe=0)
        request = self.context.request(message)
        seen = Seen()
        with warnings.catch_warnings():  # the iterator that aiocoap recommends instead may skip notifications
            warnings.simplefilter("ignore", DeprecationWarning)
            request.observation.register_callback(seen.add)
            request.observation.register_errback(lambda error: None)
        first = await asyncio.wait_for(request.response, WAIT / 2)
        assert first.code == aiocoap.CONTENT and first.opt.observe is not None
        seen.messages.insert(0, first)
        seen.values.insert(0, cbor2.loads(first.payload))
        self._observations.append(request)
        return seen

    async def until(self, predicate: Callable[[dict[str, Any]], Any], path: str = SWU, timeout: float = WAIT) -> Any:
        """Ask again and again, over restarts as well, until `predicate` holds. Raises TimeoutError."""
        value: Any = None
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                reply = await self.ask(aiocoap.GET, path, timeout=1)
            except (TimeoutError, OSError, aiocoap.error.Error):
                await asyncio.sleep(0.1)
                continue
            value = cbor2.loads(reply.payload) if reply.code == aiocoap.CONTENT else None
            if value is not None and predicate(value):
                return value
            await asyncio.sleep(0.05)
        raise TimeoutError(f"last: {value}")

    async def settled(self, timeout: float = WAIT) -> dict[str, Any]:
        """/oc/swu once nothing is done or scheduled any more."""

        def done(value: dict[str, Any]) -> bool:
            return value["swupdateaction"] == IDLE and value["swupdatestate"] not in ("svv", "upgrading")

        return await self.until(done, timeout=timeout)

    async def run(self, purl: str, action: str) -> dict[str, Any]:
        """Do an action now, to its end; /oc/swu afterwards."""
        reply = await self.update(purl, action, "now")
        assert reply.code == aiocoap.CHANGED, (reply.code, reply.payload)
        return await self.settled()

    async def version(self) -> str:
        """The running version."""
        return (await self.get("oic/d"))["sv"]

    async def reason(self) -> str:
        """The last result in words."""
        return (await self.get(STATUS))["reason"]
