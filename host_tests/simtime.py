"""Simulated time: an event loop whose clock jumps to the next timer, and slow chips.

    simtime.run(main())      # as asyncio.run; `port.ticks_ms` and `port.sleep_ms` follow the loop's clock meanwhile

What is calculated takes no simulated time, except elliptic curves on a `Chip`. Product code knows nothing of all this: the
loop's clock takes the place of the module `time` in `port._cpython`, and the pause after each step of P-256 becomes the
step's time.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import crypto.curve
import port._cpython

_STEPS = 68  # of a multiplication: 64 with the base point, 72 with another
_TURN = 0.04  # seconds that a chip calculates before others get their turn: more often only costs the computer's time
_chip: contextvars.ContextVar[Chip | None] = contextvars.ContextVar("chip", default=None)


class Stuck(RuntimeError):
    """Every task waits, and no timer runs: nothing would ever happen again."""


class _Selector(selectors.DefaultSelector):
    """Instead of waiting, it moves the clock."""

    loop: Loop
    _turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        # Nothing comes from outside but signals, which can wait a little.
        self._turns += 1
        events = [] if self._turns % 256 and timeout is not None else super().select(0)
        if not events:
            if timeout is None:
                raise Stuck("all tasks wait for something that nobody will do")
            self.loop.now += max(timeout, 0)
        return events


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time is simulated, from `start` seconds on. `errors` has what no task was told of."""

    def __init__(self, start: float = 0.0) -> None:
        selector = _Selector()
        selector.loop = self
        self.now = start
        self.errors: list[dict[str, Any]] = []
        super().__init__(selector)
        self.set_exception_handler(lambda _loop, context: self.errors.append(context))

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        """As `time.monotonic`. The smallest part of a second makes up for what a sum of floats lacks to a millisecond."""
        return self.now + 1e-7


async def _pause(_ms: int) -> None:
    """What `crypto.curve` does after each step: on a chip that takes no time, nobody could come in between."""
    chip = _chip.get()
    if chip:
        await chip.step()


@contextmanager
def _clock(loop: Loop) -> Iterator[None]:
    real = port._cpython.time, crypto.curve.sleep_ms
    port._cpython.time, crypto.curve.sleep_ms = loop, _pause
    try:
        yield
    finally:
        port._cpython.time, crypto.curve.sleep_ms = real


def run(main: Coroutine[Any, Any, Any], start: float = 0.0) -> Any:
    """What `main` returns, in simulated time. An error that a task or a callback left to nobody is a failure."""
    loop = Loop(start)
    with _clock(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(main)
    assert not loop.errors, loop.errors
    return result


class Chip:
    """A processor that takes `seconds` for a multiplication, and does one thing at a time.

    Tasks started with `start`, and all that they start, calculate on it.
    """

    def __init__(self, seconds: float) -> None:
        self._step = seconds / _STEPS
        self._free = 0.0

    async def step(self) -> None:
        """One step of a calculation, after those that other tasks have begun."""
        now = asyncio.get_running_loop().time()
        self._free = max(self._free, now) + self._step
        if self._free - now >= _TURN:
            await asyncio.sleep(self._free - now)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task on this chip."""
        context = contextvars.copy_context()
        context.run(_chip.set, self)
        return asyncio.get_running_loop().create_task(coroutine, context=context)
