"""Cuts the power: records a scenario, boots every state of the flash in a fresh process, and judges where that ends."""

from __future__ import annotations

import asyncio
import itertools
import queue
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiocoap
from fargo import release
from fargo.identity import Identity
from loopback import address
from powercut.geometry import options
from powercut.oracle import UNCONFIRMED, Image, Released, Seen, mixed
from powercut.scenarios import KEPT, OLD, SCENARIOS, TAKEN, Scenario, of, write_app
from powercut.trace import Cut, Distinct, Trace
from sim.rig import HEAP, Foreign, Rig, TimeServer

from board.sim.simboard import SimBoard

PATIENCE = 240  # seconds until a board must be at rest, on a very busy machine
_QUIET = 0.3
_SMALL = 0x100000  # bytes of a flash of which every state is looked at in recoveries as well


class Failed(Exception):
    """A scenario does not end as it should where nobody cuts the power. Says how, and what was wrong with the flash."""


@dataclass
class Outcome:
    """Where a cut ended. `kind`: "ended" as it would have, or "old": the version before, `repeated` from there."""

    cut: Cut
    kind: str = ""
    repeated: bool = False
    problems: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    trace: Trace | None = None  # of the recovery
    seconds: float = 0.0


class Recorded:
    """A scenario on a geometry, done once as it should go: its trace, and all that is needed to judge its cuts."""

    def __init__(self, scenario: Scenario, geometry: str, home: Path) -> None:
        self.scenario = scenario
        self.geometry = geometry
        self.home = home
        self._stack = ExitStack()
        ntp = self._stack.enter_context(TimeServer()).port if scenario.clock else 123
        app = home / "app"
        write_app(app)
        self.rig = Rig(home / "stage", owned=scenario.owned, app=app, board={"ntp_port": ntp}, **options(geometry))
        self._stack.callback(self.rig.stop)
        self.layout = self.rig.stage.layout
        self._release()
        self._looked = Distinct()
        why = self._record()
        self.before = self.image(self.trace.start).look()
        if why:
            self.close()
            wrong = [
                f"{cut}: {problem}"
                for cut, problems in self.look(self.trace, self.trace.cuts(()))
                for problem in problems
            ]
            said = f"{scenario.name} {geometry} fails without a cut: {why}"
            raise Failed("\n".join([said, *wrong[:20], *self.lines[-20:]]))
        self.after = self.image(self._last).look()
        self.at_rest = self._records_at_rest()
        self.known = tuple(self.rig.stage.identity.devices.values())
        self._numbers = itertools.count()

    def close(self) -> None:
        """Switch off what is on."""
        self._stack.close()

    def image(self, data: bytes) -> Image:
        """A flash of this board, from outside."""
        return Image(data, self.layout, self.released)

    def wrong_at_any_time(self, data: bytes) -> list[str]:
        """What must not be in any state of the flash, not even between two operations."""
        image = self.image(data)
        return image.wrong_at_any_time() + image.lost(self.before)

    def look(self, trace: Trace, cuts: Iterable[Cut]) -> Iterator[tuple[Cut, list[str]]]:
        """The flash at each of `cuts` is judged, unless it was there before, and not started: what must not be in it."""
        for cut, flash in trace.states(cuts):
            yield cut, self.wrong_at_any_time(flash) if self._looked.new(flash) else []

    def _release(self) -> None:
        """The factory's release and the scenario's, and what a slot holds with each."""
        stage = self.rig.stage
        if self.scenario.setup:
            self.scenario.setup(self.rig)
        self.released = {OLD: Released(stage.firmware(OLD), stage.app_image(), 1, OLD)}
        old = self.released[OLD]
        for sequence, (version, asked) in enumerate(self.scenario.releases.items(), 2):
            how: dict[str, Any] = dict(asked)
            if how.pop("delta", False):
                how.update(bases=[self.rig.base()], compress=True)
            if app := how.get("app", True):
                how["change"] = {**how.get("change", {}), "of.py": of(version)}
            carried = release.payloads(stage.release(version, sequence, **how))
            self.released[version] = Released(
                carried.get("fw", old.firmware),
                carried.get("app", old.app),
                sequence,
                version if app else OLD,
            )

    def _record(self) -> str:
        """Do the scenario; why it did not end as it should, or ""."""
        rig, board, scenario = self.rig, self.rig.board, self.scenario
        if not scenario.from_factory:
            rig.start()
            if scenario.prepare:
                self._do(scenario.prepare)
            at_rest(board, 0)
            board.power_off()
        start = rig.stage.flash.read_bytes()
        journal = board.journal = self.home / "journal"
        began = len(board.lines)
        why = ""
        try:
            rig.start()
            self._do(scenario.act)
            at_rest(board, began)
        except (TimeoutError, AssertionError, OSError, aiocoap.error.Error) as error:
            why = f"{type(error).__name__}: {error}"
        board.power_off()
        board.journal = None
        self._last = rig.stage.flash.read_bytes()
        self.trace, self.lines = Trace.read(start, journal), board.lines[began:]
        return why

    def _do(self, act: Callable[[Rig, Foreign | None], Awaitable[None]]) -> None:
        async def do() -> None:
            if self.rig.stage.identity.devices:
                async with self.rig.client() as client:
                    await act(self.rig, client)
            else:
                await act(self.rig, None)

        asyncio.run(do())

    def _records_at_rest(self) -> list[dict[str, object]]:
        """What the record of the update was whenever nothing was being done: one of these has who did not begin."""
        found: list[dict[str, object]] = []
        for _cut, flash in self.trace.states(self.trace.cuts(())):
            record = self.image(flash).record()
            if record.get("running", "idle") == "idle" and record not in found:
                found.append(record)
        return found

    # A cut

    @contextmanager
    def board(self) -> Iterator[SimBoard]:
        """A board of this scenario's kind, with an address and a flash of its own."""
        number = next(self._numbers)
        path = self.home / f"board{number}.flash"
        options = {"heap": HEAP, "flash_ms": (0, 0), "ntp_port": self.rig.board.ntp_port}
        board = SimBoard(path, address=address(), journal=self.home / f"journal{number}", **options)
        try:
            yield board
        finally:
            board.power_off()

    def recover(self, board: SimBoard, cut: Cut, flash: bytes, once: bool = False) -> Outcome:
        """Boot `flash` and let the device go on by itself until it is at rest; then look from outside.

        Then it is started once more and, when the scenario did not come about, a Client repeats it and has to succeed;
        not with `once`.
        """
        outcome = Outcome(cut)
        began = time.monotonic()
        board.flash_path.write_bytes(flash)
        assert board.journal
        board.journal.write_bytes(b"")
        board.lines.clear()
        board.resets.clear()
        try:
            board.power_on()
            at_rest(board, 0)
            board.power_off()
            outcome.trace = Trace.read(flash, board.journal)
            self._judge(board, outcome)
            outcome.problems += mixed(board.lines, self.released)
            if len(flash) <= _SMALL:
                for at, problems in self.look(outcome.trace, outcome.trace.cuts((), cut)):
                    outcome.problems += [f"{at}: {problem}" for problem in problems]
            if not once:
                self._again(board, outcome)
        except (TimeoutError, AssertionError, OSError, aiocoap.error.Error) as error:
            outcome.problems.append(f"{type(error).__name__}: {error}")
        finally:
            board.power_off()
        outcome.lines = list(board.lines)
        bad = ["flash: bits", "ended with", "watchdog bites"] + ["Traceback"] * (self.scenario.result != 8)
        outcome.problems += [line for line in outcome.lines if any(text in line for text in bad)]
        outcome.seconds = time.monotonic() - began
        return outcome

    def _judge(self, board: SimBoard, outcome: Outcome) -> None:
        """The oracle: everything is read from the flash file."""
        image = self.image(board.flash_path.read_bytes())
        seen = image.look()
        problems = outcome.problems
        problems += self.wrong_at_any_time(image.data)
        running = [line for line in board.lines if line.startswith("bootloader: starting")][-1].split()[-1]
        if running != seen.slot:
            problems.append(f"{running} ran, and {seen.slot} would be started next")
        if seen.state in UNCONFIRMED:
            problems.append(f"{seen.slot} is still on trial")
        starts, ends = self.scenario.starts, self.scenario.ends
        if seen.version not in (starts, ends):
            problems.append(f"{seen.version or 'nothing'} runs, which is not what was to be installed")
        result, reason = seen.record.get("result", 0), seen.record.get("reason", "")
        ended = seen.version == ends and result == self.scenario.result and self._ended(seen)
        begun = self.scenario.owner == KEPT and not ended and seen.record not in self.at_rest
        if begun and not any(words in reason for words in self.scenario.may):
            problems.append(f"it was given up, with result {result} ({reason}) and {seen.version}")
        if seen.trust not in (self.before.trust, self.after.trust) or (ended and seen.trust != self.after.trust):
            problems.append("the trust store is neither the old nor the new one")
        if seen.record.get("running", "idle") != "idle":
            problems.append(f"{seen.record['running']} never came to an end")
        if max(seen.floors) > self.released[seen.version or starts].sequence:
            problems.append(f"the floor is {seen.floors} and {seen.version} runs")
        outcome.kind = "ended" if ended else "old"
        self._judge_owner(seen, problems)

    def _ended(self, seen: Seen) -> bool:
        """Whether the scenario came about, where version and result do not say so."""
        if self.scenario.owner == KEPT:
            return all(seen.record.get(name) == self.after.record.get(name) for name in ("state", "nv", "sched"))
        return seen.owned == (self.scenario.owner == TAKEN) and seen.dos == self.after.dos

    def _judge_owner(self, seen: Seen, problems: list[str]) -> None:
        """What the owner left is there as it was, or as it was to become; or nothing of it."""
        if not seen.mounted:
            problems.append("data cannot be mounted")
        mine, before, after = (found.owner for found in (seen, self.before, self.after))
        changed = sorted(name for name in {*mine, *before} if mine.get(name) != before.get(name))
        if not changed:
            return
        if self.scenario.owner == KEPT:
            problems.append(f"what the owner left has changed: {changed}")
        elif self.scenario.owner == TAKEN and seen.owned:  # perhaps in RFPRO yet: the owner can go on
            if set(mine) != set(after) or any(mine[name] != after[name] for name in ("/doxm", "/cred")):
                problems.append(f"there is an owner, and not all that belongs to it: {sorted(mine)}")
        elif seen.owned or {"/cred", "/acl2", "/sdi", "/key", "/name", "/app/note"} & set(mine):
            problems.append(f"something of an owner is left, and not all of it: {changed}")

    def _again(self, board: SimBoard, outcome: Outcome) -> None:
        """A second start finds everything as the first left it; what did not come about is repeated."""
        before = board.flash_path.read_bytes()
        start = len(board.lines)
        board.power_on()
        at_rest(board, start)
        if outcome.kind == "old":
            self._repeat(board)
            at_rest(board, start)
            outcome.repeated = True
        board.power_off()
        first, second = (self.image(data).look() for data in (before, board.flash_path.read_bytes()))
        if outcome.repeated and self.scenario.owner == KEPT:
            if (second.version, second.record.get("result")) != (self.scenario.ends, self.scenario.result):
                outcome.problems.append(f"repeated, and {second.version} runs: {second.record}")
        elif (first.slot, first.version) != (second.slot, second.version):
            outcome.problems.append(f"{second.version} in {second.slot} runs after one more start")
        if self.scenario.owner != TAKEN and not outcome.repeated and first.owner != second.owner:
            outcome.problems.append("the owner's records changed in one more start")

    def _repeat(self, board: SimBoard) -> None:
        """Ask again for what did not come about, as its user would."""
        rig = _Elsewhere(self.rig, board)
        again = self.scenario.again or self.scenario.act

        async def ask() -> None:
            if not self.image(board.flash_path.read_bytes()).look().owned:
                await rig.stage.own()
                return
            (known,) = self.known
            async with Foreign(board.address, self.rig.stage.identity.uuid, known.key) as client:
                await again(rig, client)  # type: ignore[arg-type]

        asyncio.run(ask())


class _Elsewhere:
    """A rig as scenarios see it, with another board and nobody known yet."""

    def __init__(self, rig: Rig, board: SimBoard) -> None:
        self.board = board
        self.log = lambda text, start=0: asyncio.to_thread(board.wait_log, text, PATIENCE, start)
        self.stage = _Stage(rig, board)


class _Stage:
    def __init__(self, rig: Rig, board: SimBoard) -> None:
        self.server, self.url = rig.stage.server, rig.stage.url
        self.address = board.address
        self.identity = rig.stage.identity
        self._home = rig.stage.home
        self._own = type(rig.stage).own

    async def own(self) -> None:
        """Become the owner with an identity of its own."""
        self.identity = Identity(self._home / f"{self.address}.json")
        await self._own(self)  # type: ignore[arg-type]


def at_rest(board: SimBoard, start: int) -> None:
    """Wait until the device serves, does nothing more by itself, and writes nothing. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    last: tuple[int, int] = (0, 0)
    since = time.monotonic()
    while time.monotonic() < end:
        written = board.journal.stat().st_size if board.journal and board.journal.exists() else 0
        if (len(board.lines), written) != last or not _idle(board.lines[start:]):
            last = len(board.lines), written
            since = time.monotonic()
        elif time.monotonic() - since > _QUIET:
            return
        if not board.running:
            raise AssertionError(f"the board is off: {board.lines[-4:]}")
        time.sleep(0.03)
    raise TimeoutError(f"the board does not come to rest: {board.lines[-6:]}")


def _idle(lines: list[str]) -> bool:
    """Whether the lines of the last start say that nothing is to be done any more."""
    starts = [index for index, line in enumerate(lines) if line.startswith("bootloader: starting")]
    lines = lines[starts[-1] :] if starts else []
    if "info: serving" not in lines:
        return False
    update = [line for line in lines if line.startswith("info: update: ")][-1:]
    states = [line for line in lines if "info: onboarding: " in line or line.startswith("warning: RESET")][-1:]
    busy = [line for line in update if "doing" in line or "is scheduled" in line]
    return not busy and not [line for line in states if "RESET" in line]


def explore(
    recorded: Recorded,
    cuts: Iterable[tuple[Cut, bytes]],
    workers: int,
    told: Callable[[Outcome], None],
    once: bool = False,
    over: Callable[[], bool] = lambda: False,
) -> None:
    """Recover from every cut, `workers` at a time, until it is `over`; `told` hears of each outcome, in no order."""
    boards: queue.SimpleQueue[SimBoard] = queue.SimpleQueue()
    lock = threading.Lock()
    waiting = threading.Semaphore(2 * workers)  # states of a large flash are not all made ahead
    with ExitStack() as stack, ThreadPoolExecutor(workers) as pool:
        for _ in range(workers):
            boards.put(stack.enter_context(recorded.board()))

        def one(cut: Cut, flash: bytes) -> None:
            board = boards.get()
            try:
                if over():
                    return
                outcome = recorded.recover(board, cut, flash, once)
            finally:
                boards.put(board)
                waiting.release()
            with lock:
                told(outcome)

        found = []
        for cut, flash in cuts:
            waiting.acquire()
            found.append(pool.submit(one, cut, flash))
        for done in found:
            done.result()


def record(name: str, geometry: str, home: Path) -> Recorded:
    """Do the scenario `name` once on the board `geometry`, in the folder `home`, which is emptied."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    return Recorded(SCENARIOS[name], geometry, home)
