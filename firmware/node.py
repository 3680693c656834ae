"""The device as a whole, at work. How its parts are made and joined is `firmware.start`'s and `firmware.parts`', phases."""

import asyncio

# What is joined stays, though only phases name it: they must all find the same.
import coap.endpoint  # noqa: F401
import coap.udp  # noqa: F401
import dtls.transport  # noqa: F401
import ocf.device  # noqa: F401
import ocf.pstat  # noqa: F401
import ocf.resource  # noqa: F401
import ocf.security  # noqa: F401
import swupdate.manager  # noqa: F401
import swupdate.resource  # noqa: F401
import swupdate.slots  # noqa: F401
from port import collect, const, create_task, phase, print_exception, reserve, sleep_ms, spent

import firmware.app  # noqa: F401
import firmware.clock  # noqa: F401
import firmware.store  # noqa: F401

_WATCHDOG_MS = const(60_000)
_FEED_MS = const(1000)
_LOOK = const(5)  # the reserve is taken again, and the network looked at, after so many of them
_FLUSH_MS = const(3000)
_PORT = const(5683)
_SECURE_PORT = const(5684)


class Node:
    """One Fargo device on `board`. `run()` serves until the power goes.

    The maker's app gets it as `device`: `add(resource)`, `log(level, text)`, `data` (a folder of the app's own),
    `clock.now()`, `version`.
    """

    trial = None
    last_told = ""  # what was logged of the update last
    _joining = False
    # Made by firmware.start and firmware.parts
    settings: dict
    store: firmware.store.Store
    slots: swupdate.slots.Slots
    clock: firmware.clock.Clock
    pstat: ocf.pstat.Pstat
    security: ocf.security.Security
    updater: swupdate.manager.Updater
    app: firmware.app.App
    names: ocf.resource.Phased
    data: str
    version: str
    ocf: ocf.device.Device

    def __init__(self, board):
        self.board = board
        self.watchdog = board.watchdog(_WATCHDOG_MS)
        self.dtls = None
        with phase("firmware.known") as known:
            known.learn()
        with phase("firmware.start") as start:
            found = start.begin(self)
        with phase("firmware.parts") as parts:
            parts.join(self, *found)

    # For the app

    def add(self, resource):
        """Serve a Resource of the app."""
        return self.ocf.add(resource)

    def log(self, level, text):
        """One line: level ("debug", "info", "warning", "error") and text. Never a secret."""
        print("%s: %s" % (level, " ".join(str(text).split())))

    def tell(self):
        """Log where the update is, when that is news."""
        with phase("firmware.events") as events:
            events.tell(self)

    # Life

    async def run(self):
        """Join the network, serve, and keep the watchdog fed by the loop itself."""
        tasks = await self._begin()
        self._settle()
        self.log("info", "serving")
        while True:
            for task in tasks:
                if task.done():  # for want of memory alone: a restart is due
                    return
            await sleep_ms(_FEED_MS)

    async def _begin(self):
        with phase("firmware.begin") as begin:
            spent(begin)
            return await begin.tasks(self)

    def _settle(self):
        with phase("firmware.settle") as code:
            spent(code)
            code.settle(self)
            code.hold(self)

    def reboot(self):
        """Restart the board."""
        self.log("info", "restarting")
        self.board.reset()

    async def feed(self):
        """Keep the watchdog quiet and the network joined, for ever.

        Not quiet when the reserve is gone for good, or the radio's memory is: then nobody is served, and only a restart
        brings it back.
        """
        turn = 0
        while True:
            turn += 1
            if turn % _LOOK == 0:  # not at once: what could not be done for lack of memory comes again within seconds
                reserve.take()
                if reserve.deaf():
                    reserve.let_go()
                    collect()  # lent or not: a part of the heap that is empty now is the radio's again
                    self.log("warning", "the radio has no memory")
                if self.dtls and not self._joining and not self.board.joined:
                    try:
                        create_task(self._join())
                    except MemoryError:
                        reserve.let_go()  # for the next turn
            if reserve.good():
                self.watchdog.feed()
            await sleep_ms(_FEED_MS)

    async def _join(self):
        self._joining = True
        try:
            with phase("firmware.events") as events:
                await events.join(self)
        except MemoryError:
            reserve.let_go()
        finally:
            self._joining = False

    async def try_out(self):
        """The trial of a version that is not confirmed yet. If it cannot be had, a restart leads back to the old one."""
        try:
            with phase("firmware.trying") as trying:
                await trying.run(self)
        except Exception as error:  # noqa: BLE001 - for want of memory: it would be on trial for ever
            print_exception(error)
            self.reboot()

    def app_crashed(self, text):
        """The app stopped, for the reason `text`."""
        if self.trial:
            self.trial.give_up(text)

    async def ask(self, what, over=False):
        """Have the app make room for the step `what` of an update, or go on when that is `over`."""
        if over:
            app = self.app
            app.away = b"\0\1\1\4\4"[app.away]  # first of all, and without memory: it always comes back
            self.store.keep_room()
        with phase("firmware.leaving") as code:
            await (code.end(self.app) if over else code.begin(self.app, what))

    # What the parts ask for

    def show_pin(self, pin):
        """Show a PIN to whoever stands before the device."""
        self.log("info", "the PIN of this device is %s" % pin)

    def job(self, url):
        """What one step of an update needs to know."""
        with phase("firmware.job") as job:
            return job.Job(self, url)

    def urls(self, resource, _request):
        """Where `resource` is reached."""
        address = self.board.address()
        found = ["coaps://%s:%d" % (address, _SECURE_PORT)]
        if self.security.clear(resource):
            found.insert(0, "coap://%s:%d" % (address, _PORT))
        return found

    def _state_changed(self, state):
        """pstat entered another onboarding state."""
        self.log("info", "onboarding: " + ["RESET", "RFOTM", "RFPRO", "RFNOP", "SRESET"][state])
        self.security.entered(state)
        if state == 0:
            with phase("firmware.forget") as code:
                code.forget(self)
        elif state == 3 and self.dtls:  # those whose credentials are gone
            asyncio.create_task(self.later(self.dtls.drop_all, self.security.knows))
        self.updater.dos_changed(state)

    async def flush(self):
        """Return when all have what they were told."""
        if self.dtls:
            with phase("coap.flush") as code:
                for endpoint in self.ocf.coap:
                    await code.flush(endpoint, _FLUSH_MS)
            await sleep_ms(200)  # what was not confirmable is on its way

    def restart(self):
        """Restart the board for a Client."""
        asyncio.create_task(self.later(self.reboot))

    async def later(self, function, *args):
        """Call `function(*args)` when the answer to the present request has gone out."""
        await sleep_ms(200)
        function(*args)
