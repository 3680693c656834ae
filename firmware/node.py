"""The device as a whole, at work. How its parts are made and joined is `firmware.start`'s, a phase."""

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
from port import collect, collect_after, const, memory_free, phase, reserve, sleep_ms

import firmware.app  # noqa: F401
import firmware.clock  # noqa: F401
import firmware.store  # noqa: F401

_WATCHDOG_MS = const(60_000)
_FEED_MS = const(1000)
_LOOK = const(5)  # the reserve is taken again, and the network looked at, after so many of them
_FLUSH_MS = const(3000)
_SHORT = const(100_000)  # bytes free when the start is over
_GARBAGE = const(8192)
_RESERVE = const(8192)  # bytes: enough to refuse, to record and to answer when the app has taken all the rest
_PORT = const(5683)
_SECURE_PORT = const(5684)


class Node:
    """One Fargo device on `board`. `run()` serves until the power goes.

    The maker's app gets it as `device`: `add(resource)`, `log(level, text)`, `data` (a folder of the app's own),
    `clock.now()`, `version`.
    """

    schemes = ("https", "coaps")
    # Made by firmware.start
    settings: dict
    store: firmware.store.Store
    slots: swupdate.slots.Slots
    clock: firmware.clock.Clock
    pstat: ocf.pstat.Pstat
    security: ocf.security.Security
    updater: swupdate.manager.Updater
    app: firmware.app.App
    names: ocf.resource.Core
    data: str
    version: str
    ocf: ocf.device.Device

    def __init__(self, board):
        self.board = board
        self.watchdog = board.watchdog(_WATCHDOG_MS)
        self.dtls = None
        self.trial = None
        self._told = ""
        self._joining = False
        with phase("firmware.start") as start:
            start.join(self)

    # For the app

    def add(self, resource):
        """Serve a Resource of the app."""
        return self.ocf.add(resource)

    def log(self, level, text):
        """One line: level ("debug", "info", "warning", "error") and text. Never a secret."""
        print("%s: %s" % (level, " ".join(str(text).split())))

    def tell(self):
        """Log where the update is, when that is news."""
        s = self.updater.state
        text = s["state"]
        if s["running"] != "idle":
            text += ", doing " + s["running"]
        elif s["sched"] != "idle":
            text += ", %s is scheduled" % s["sched"]
        if s["result"]:
            text += ", result %d %s" % (s["result"], s["reason"])
        if text != self._told:
            self._told = text
            self.log("info", "update: " + text)

    # Life

    async def run(self):
        """Join the network, serve, and keep the watchdog fed by the loop itself."""
        tasks = await self._begin()
        collect()  # what the start has left
        if memory_free() < _SHORT:
            # With more garbage what lives on is spread over the heap, until no large piece is left; but a collection takes
            # as long as a request.
            reserve.garbage = _GARBAGE
            collect_after(_GARBAGE)
        reserve.size = _RESERVE
        self.log("info", "serving")
        await asyncio.gather(*tasks)  # none of them ends by itself but for want of memory: then a restart is due

    async def _begin(self):
        with phase("firmware.start") as start:
            return await start.tasks(self)

    def reboot(self):
        """Restart the board."""
        self.log("info", "restarting")
        self.board.reset()

    async def feed(self):
        """Keep the watchdog quiet and the network joined, for ever.

        Not quiet when the reserve is gone for good: without memory nobody is served, and only a restart brings it back.
        """
        turn = 0
        while True:
            turn += 1
            if turn % _LOOK == 0:  # not at once: what could not be done for lack of memory comes again within seconds
                reserve.take()
                if self.dtls and not self._joining and not self.board.joined:
                    try:
                        asyncio.create_task(self._join())
                    except MemoryError:
                        reserve.let_go()  # for the next turn
            if reserve.good():
                self.watchdog.feed()
            await sleep_ms(_FEED_MS)

    async def _join(self):
        """The network is lost: join it again. Sockets are of one address: with another it is a restart."""
        self._joining = True
        try:
            address = self.board.address()
            self.log("warning", "the network is lost")
            await self.board.join()
            self.log("info", "the network is joined again")
            if self.board.address() != address:
                self.reboot()
        except MemoryError:
            reserve.let_go()
        finally:
            self._joining = False

    async def try_out(self):
        """The trial of a version that is not confirmed yet."""
        with phase("firmware.trying") as trying:
            await trying.run(self)

    def app_crashed(self, text):
        """The app stopped, for the reason `text`."""
        if self.trial:
            self.trial.give_up(text)

    async def ask(self, what):
        """Ask the app to "pause", so that an update has its memory, and to "resume"."""
        if what == "resume":
            self.store.keep_room()
        await self.app.ask(what)

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
        self.log("info", "onboarding: " + ("RESET", "RFOTM", "RFPRO", "RFNOP", "SRESET")[state])
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
