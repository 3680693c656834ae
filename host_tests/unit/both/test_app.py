"""The maker's app leaves memory for an update where that is short, and always comes back: firmware.app, firmware.leaving."""

import asyncio
import sys

from check import raises
from coap.message import Message, Refused
from ocf.device import Device
from ocf.resource import Resource
from port import sleep_ms

from firmware import app as apps
from firmware import asking, leaving
from firmware.app import App

sys.path.insert(0, __file__.rpartition("/")[0] + "/played")

SHORT, PLENTY = 1000, 1_000_000


class Script:
    """What the app is to do (played/app.py), and what it did."""

    def __init__(self, stop=lambda: None):
        self.stop = stop
        self.heard = []
        self.stubborn = False
        self.untidy = False
        self.raises = []  # what importing the app raises next
        self.crashes = []  # what its `main` raises next

    def said(self, what):
        self.heard.append(what)

    def loaded(self):
        if self.raises:
            raise self.raises.pop(0)

    async def work(self):
        await sleep_ms(1)
        if self.crashes:
            raise self.crashes.pop(0)
        await asyncio.sleep(60)


class Endpoint:
    """Knows what observers were told to ask for."""

    def __init__(self):
        self.told = []

    def notify(self, key, confirmable=False):
        self.told.append(key)


class Board:
    """Has so many bytes left."""

    def __init__(self, left):
        self.bytes = left

    def left(self):
        return self.bytes


class Access:
    """Allows everything."""

    def check(self, request, resource):
        return True


class Rig:
    """An app that runs, on a device that has `left` bytes of memory."""

    def __init__(self, left=SHORT, **script):
        self.script = sys.modules["played_script"] = Script(**script)
        self.board = Board(left)
        self.lines, self.crashes = [], []
        self.over = False
        self.ocf = Device(Access(), "00000000-0000-4000-8000-000000000000")
        self.ocf.add(Resource(href="/own"))
        self.endpoint = Endpoint()
        self.ocf.coap = [self.endpoint]
        self.app = App(self)
        self.task = asyncio.create_task(self.app.run(self.crashed))

    def add(self, resource):
        return self.ocf.add(resource)

    def crashed(self, text):
        if self.over:
            raise asyncio.CancelledError
        self.crashes.append(text)

    def log(self, level, text):
        self.lines.append(level + ": " + text)

    async def running(self):
        """The app, once it is there."""
        await self.until(lambda: self.app.module and self.ocf.find("/lamp").device and not self.app.away)
        return self.app

    async def until(self, true):
        for _ in range(500):
            if true():
                return
            await sleep_ms(10)
        raise AssertionError("never: %s %s" % (self.script.heard, self.lines))

    async def end(self, app):
        """As Node.ask does."""
        app.away = b"\0\1\1\4\4"[app.away]
        await leaving.end(app)

    def get(self, path="/lamp", asked=None):
        request = Message()
        request.code, request.path = 1, asked or path
        return self.ocf.find(path).represent("oic.if.baseline", request)

    async def off(self):
        self.app.away = 0
        self.over = True
        self.task.cancel()
        await sleep_ms(1)
        self.app.code.__exit__()
        del sys.modules["played_script"]


class Soon:
    """While it is entered, an app is started again after a tenth of a second."""

    def __enter__(self):
        self.before, apps._RESTART_S = apps._RESTART_S, 0.1

    def __exit__(self, *_exc):
        apps._RESTART_S = self.before


async def test_an_app_leaves_memory_and_comes_back():
    rig = Rig()
    app = await rig.running()
    assert dict(rig.get())["value"] is True and "played_part" in sys.modules
    rig.endpoint.told.clear()
    await leaving.begin(app, "check")
    assert rig.script.heard == ["main", "stop", "ended"] and app.module is None
    assert "app" not in sys.modules and "played_part" not in sys.modules
    assert app.crashed is None and rig.task.done() is False
    # What Clients see: the same links, and 5.03; observers are told.
    shown = rig.ocf.find("/lamp")
    assert [r.href for r in rig.ocf.resources] == ["/own", "/lamp"] and shown.device is rig.ocf
    assert shown.rt == ("oic.r.switch.binary",) and shown.interfaces == Resource.interfaces and shown.discoverable
    assert "/lamp" in rig.endpoint.told
    with raises(Refused) as refused:
        rig.get()
    assert refused.value.code == 0xA3
    assert dict(rig.get(asked="/oic/res")) == {"rt": shown.rt, "if": shown.interfaces}, "a batch goes on"
    assert shown.properties is None
    with raises(Refused) as refused:
        shown.post({"value": False}, None)
    assert refused.value.code == 0xA3
    # It is away until the step is over, and then it is there once.
    await sleep_ms(300)
    assert not app.module
    await rig.end(app)
    await rig.running()
    assert rig.script.heard == ["main", "stop", "ended", "main"] and not rig.crashes
    assert dict(rig.get())["value"] is True
    assert [r.href for r in rig.ocf.resources] == ["/own", "/lamp"]
    await rig.off()


async def test_a_small_app_never_notices():
    rig = Rig(PLENTY)
    app = await rig.running()
    await leaving.begin(app, "check")
    await rig.end(app)
    assert rig.script.heard == ["main"]
    await leaving.begin(app, "obtain")
    await rig.end(app)
    assert rig.script.heard == ["main", "pause", "resume"] and app.module
    await rig.off()


async def test_an_app_without_stop_is_paused():
    rig = Rig(stop=None)
    app = await rig.running()
    await leaving.begin(app, "check")
    await rig.end(app)
    await leaving.begin(app, "obtain")
    await rig.end(app)
    assert rig.script.heard == ["main", "pause", "resume"] and app.module
    await rig.off()


def _fails():
    raise ValueError("not now")


async def _takes_long():
    await asyncio.sleep(60)


async def _waits_for_what_it_cancelled():
    task = asyncio.create_task(_takes_long())
    await sleep_ms(0)
    task.cancel()
    await task


async def test_one_that_cannot_be_stopped_stays_and_resumes():
    over = []

    async def goes_on():
        while not over:  # also when it is cancelled
            try:
                await sleep_ms(10)
            except asyncio.CancelledError:
                pass

    before, asking._LOOKS = asking._LOOKS, 5
    try:
        for stop in (lambda: False, _fails, _takes_long, _waits_for_what_it_cancelled, goes_on):
            rig = Rig(stop=stop)
            app = await rig.running()
            await leaving.begin(app, "obtain")
            assert app.module and "app" in sys.modules and rig.script.heard == ["main", "stop", "pause"]
            await rig.end(app)
            await sleep_ms(150)
            assert rig.script.heard == ["main", "stop", "pause", "resume"] and not rig.crashes
            await rig.off()
    finally:
        over.append(True)
        asking._LOOKS = before
        await sleep_ms(20)


async def test_one_that_there_was_no_memory_to_tell_is_told_later():
    rig = Rig(PLENTY)
    app = await rig.running()
    await leaving.begin(app, "obtain")

    def none(coroutine):
        coroutine.close()
        raise MemoryError

    before, asking.create_task = asking.create_task, none
    try:
        with raises(MemoryError):
            await rig.end(app)
    finally:
        asking.create_task = before
    await rig.end(app)
    assert rig.script.heard == ["main", "pause", "resume"]
    await rig.off()


async def test_a_main_that_does_not_end_stays():
    rig = Rig()
    app = await rig.running()
    rig.script.stubborn = True
    before, leaving.sleep_ms = leaving.sleep_ms, lambda _ms: sleep_ms(0)
    try:
        await leaving.begin(app, "check")
    finally:
        leaving.sleep_ms = before
    assert app.module and "does not end" in rig.lines[-1] and rig.get()
    await rig.end(app)
    assert rig.script.heard == ["main", "stop", "ended", "resume"]
    # Should it end later on, it is started again.
    app.task.cancel()
    await rig.running()
    assert rig.script.heard[4:] == ["main"] and not rig.crashes
    await rig.off()


async def test_without_memory_it_comes_back_later():
    with Soon():
        rig = Rig()
        app = await rig.running()
        await leaving.begin(app, "check")
        rig.script.raises = [MemoryError(), MemoryError(), MemoryError()]
        await rig.end(app)
        await rig.until(lambda: app.crashed)
        assert rig.ocf.find("/lamp").properties is None, "it is shown as away still"
        await rig.running()
        assert rig.script.heard == ["main", "stop", "ended", "main"] and app.crashed is None
        assert not rig.crashes, "a trial is not given up for that"
        await rig.off()


async def test_the_next_step_finds_it_away():
    """It was about to come back."""
    rig = Rig()
    app = await rig.running()
    await leaving.begin(app, "check")
    await rig.end(app)
    await sleep_ms(300)  # the Client hears what came of the check, and asks for more
    await leaving.begin(app, "obtain")
    await sleep_ms(300)
    assert not app.module and app.away == 2
    await rig.end(app)
    await rig.running()
    assert rig.script.heard == ["main", "stop", "ended", "main"]
    await rig.off()


async def test_one_that_is_away_is_not_known_to_be_well_and_hears_of_a_reset_later():
    rig = Rig()
    app = await rig.running()
    assert await app.ask("health", True) is True
    await leaving.begin(app, "check")
    assert await app.ask("health", True) is False
    reset = asyncio.create_task(app.ask("reset"))
    await sleep_ms(150)
    assert "reset" not in rig.script.heard
    await rig.end(app)
    await reset
    assert rig.script.heard == ["main", "stop", "ended", "main", "reset"]
    await rig.off()


async def test_an_app_that_crashed_can_add_its_resources_again():
    with Soon():
        rig = Rig()
        rig.script.crashes = [OSError(5)]
        await rig.running()
        await rig.until(lambda: rig.script.heard == ["main", "main"])
        await sleep_ms(20)
        assert len(rig.crashes) == 1 and "OSError" in rig.crashes[0] and rig.app.crashed is None
        await rig.off()


async def test_one_that_waits_for_what_it_has_cancelled_has_crashed():
    """What it raises is what it would be ended with."""
    with Soon():
        rig = Rig()
        rig.script.crashes = [asyncio.CancelledError()]
        await rig.until(lambda: rig.script.heard == ["main", "ended", "main"])
        assert len(rig.crashes) == 1 and "CancelledError" in rig.crashes[0] and not rig.task.done()
        await rig.off()


async def test_one_that_fails_when_it_is_ended_has_ended():
    rig = Rig()
    app = await rig.running()
    rig.script.untidy = True
    await leaving.begin(app, "check")
    assert app.module is None and "app" not in sys.modules and not rig.crashes
    rig.script.untidy = False
    await rig.end(app)
    await rig.running()
    assert rig.script.heard == ["main", "stop", "ended", "main"]
    await rig.off()


async def test_what_could_not_be_imported_whole_is_not_left_behind():
    with Soon():
        rig = Rig()
        rig.script.raises = [ValueError("half of it")]
        await rig.until(lambda: rig.crashes)
        assert "app" not in sys.modules and "played_part" not in sys.modules
        await rig.until(lambda: rig.script.heard == ["main"])
        await rig.off()
