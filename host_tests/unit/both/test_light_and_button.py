"""What people see and press: `firmware.light`, `firmware.button`; what a log's line is; a trial that cannot begin."""

import asyncio
import sys

from check import raises
from port import collect, memory_free, reserve

from firmware import button, light
from firmware import node as node_module
from firmware.node import Node


class Thing:
    """A bag of attributes."""

    def __init__(self, **values):
        for name in values:
            setattr(self, name, values[name])


class Over(Exception):
    """The end of a script."""


class Pin:
    """An input that shows a level of `script` at each look, then ends the test; an output that keeps what it was told."""

    def __init__(self, script=()):
        self.script = list(script)
        self.told = []

    def value(self, level=None):
        if level is not None:
            self.told.append(level)
            return None
        if not self.script:
            raise Over
        return self.script.pop(0)


def presses(script, held_s=1):
    """After how many looks a button with these levels counted as held: twenty looks are one second."""
    found = []
    looks = 0

    async def at_once(_ms):
        nonlocal looks
        looks += 1

    before, button.sleep_ms = button.sleep_ms, at_once
    try:
        with raises(Over):
            asyncio.run(button.watch(Pin(script), held_s, lambda: found.append(looks)))
    finally:
        button.sleep_ms = before
    return found


UP, DOWN = [1], [0]


def test_a_button_counts_when_it_is_held_from_a_release_on():
    assert presses(UP * 5 + DOWN * 19 + UP * 5) == []
    assert presses(UP * 5 + DOWN * 20 + UP * 5) == [25]
    assert presses(UP * 5 + DOWN * 200) == [25], "once"
    assert presses(UP * 5 + DOWN * 40 + UP * 5 + DOWN * 20) == [25, 70]


def test_short_presses_do_not_add_up():
    assert presses((UP * 5 + DOWN * 15) * 20) == []


def test_held_or_stuck_at_the_start_does_not_count():
    assert presses(DOWN * 500) == []
    assert presses(DOWN * 500 + UP * 2 + DOWN * 20) == [522]


def test_it_bounces():
    assert presses(UP * 5 + DOWN + UP + DOWN + UP + DOWN * 10 + UP + DOWN * 20) == [28], "one look may be noise"
    assert presses(UP * 5 + DOWN * 19 + UP * 2 + DOWN * 19 + UP * 2) == []
    assert presses(DOWN * 30 + UP + DOWN * 100) == [], "noise is no release"


def node(trial=None, running="idle", state="idle", result=0, crashed=None, owned=True):
    return Thing(
        trial=trial,
        updater=Thing(state={"running": running, "state": state, "result": result}),
        app=Thing(crashed=crashed),
        security=Thing(owned=owned),
    )


def test_what_is_most_urgent_is_shown():
    assert light.state(node()) == "normal"
    assert light.state(node(result=1)) == "normal"
    assert light.state(node(owned=False)) == "unowned"
    assert light.state(node(result=8)) == "failed"
    assert light.state(node(result=404, owned=False)) == "failed"
    assert light.state(node(crashed="ValueError")) == "failed"
    assert light.state(node(running="obtain", result=5)) == "updating"
    assert light.state(node(state="upgrading")) == "updating"
    assert light.state(node(trial=object(), crashed="x", running="check")) == "trial"


def shown(active, rounds=2):
    """What a pin is told in so many rounds of "trial", and how long each of it lasts in tenths of a second."""
    pin, pauses = Pin(), []

    async def pause(ms):
        pauses.append(ms // 100)
        if len(pauses) == rounds * len(light.PATTERNS["trial"]):
            raise Over

    before, light.sleep_ms = light.sleep_ms, pause
    try:
        with raises(Over):
            asyncio.run(light.run(node(trial=object()), pin, active))
    finally:
        light.sleep_ms = before
    return pin.told, pauses


def test_patterns():
    assert shown(1) == ([1, 0, 1, 0] * 2, [1, 1, 1, 7] * 2)
    assert shown(0)[0] == [0, 1, 0, 1] * 2
    assert len(set(light.PATTERNS.values())) == 5
    for pattern in light.PATTERNS.values():
        assert len(pattern) % 2 == 0 and sum(pattern) <= 30, "what is new shows within three seconds"


class Unloadable:
    """Stands for `firmware.trying` where there is no memory for it."""

    @staticmethod
    async def run(node):
        raise MemoryError


async def test_a_trial_that_cannot_be_had_is_over():
    """Nobody would confirm that version or go back, and an update is refused as long."""
    restarts = []
    before = sys.modules.get("firmware.trying")
    sys.modules["firmware.trying"] = Unloadable
    try:
        await Node.try_out(Thing(reboot=lambda: restarts.append(1)))
    finally:
        sys.modules.pop("firmware.trying")
        if before:
            sys.modules["firmware.trying"] = before
    assert restarts == [1]


async def test_a_radio_without_memory_restarts_the_device_as_soon_as_the_reserve_is_not_lent():
    """While it is, whoever has it fails first: every wait of a fetch has an end."""
    fed = []
    device = Thing(watchdog=Thing(feed=lambda: fed.append(reserve.lent)), log=lambda level, text: None, dtls=None)

    async def turn(_ms):
        turns.append(1)
        if len(turns) == 20:
            reserve.__exit__()
        if len(turns) == 100:
            raise Over

    turns = []
    lent, before = reserve.lent, node_module.sleep_ms
    node_module.sleep_ms = turn
    reserve.size, reserve.deaf = 512, lambda: True
    reserve.__enter__()
    try:
        with raises(Over):
            await Node.feed(device)
    finally:
        node_module.sleep_ms = before
        del reserve.deaf
        reserve.size, reserve.lent = 0, lent
    assert fed == [lent + 1] * 20


async def test_what_the_heap_does_not_need_is_the_radios_again_while_the_reserve_is_lent():
    """Nobody else collects then: no packet arrives, so nothing is made."""
    taken = [bytearray(1024) for _ in range(40)]
    collect()
    least = memory_free() + 20_000
    taken.clear()
    fed = []

    async def turn(_ms):
        if len(fed) == 5:
            raise Over

    device = Thing(watchdog=Thing(feed=lambda: fed.append(1)), log=lambda level, text: None, dtls=None)
    lent, before = reserve.lent, node_module.sleep_ms
    node_module.sleep_ms = turn
    reserve.size, reserve.deaf = 512, lambda: memory_free() < least
    reserve.lent += 1
    try:
        assert reserve.deaf()
        with raises(Over):
            await Node.feed(device)
        assert not reserve.deaf() or memory_free() == sys.maxsize  # CPython has no heap to tell of
    finally:
        node_module.sleep_ms = before
        del reserve.deaf
        reserve.size, reserve.lent = 0, lent


class Screen:
    """Takes what is printed while it is entered."""

    def __enter__(self):
        self.lines = []
        self._print = print
        for module in (sys.modules["firmware.node"],):
            module.print = lambda *parts: self.lines.append(" ".join(str(part) for part in parts))
        return self

    def __exit__(self, *_exc):
        del sys.modules["firmware.node"].print


def test_a_line_of_the_log_is_one_line():
    with Screen() as screen:
        Node.log(None, "info", "what a server said:\r\nerror: forged\n")
        Node.log(None, "debug", 5)
    assert screen.lines == ["info: what a server said: error: forged", "debug: 5"]


def test_an_exception_is_one_line():
    import port

    if sys.implementation.name != "micropython":
        return  # the desktop's tracebacks are Python's
    lines = []
    from port import _micropython

    _micropython.print = lambda *parts: lines.append(" ".join(str(part) for part in parts))
    try:
        try:
            raise ValueError("of two\nlines")
        except ValueError as error:
            port.print_exception(error)
    finally:
        del _micropython.print
    (line,) = lines
    assert line.startswith("error: Traceback") and line.endswith("ValueError: of two lines") and "\n" not in line
