"""The device as a whole: joins board, storage, clock, Resources, security, update and app. The product's composition."""

import asyncio

from coap.endpoint import Endpoint
from coap.udp import UdpTransport
from dtls.transport import DtlsTransport
from ocf.core import Configuration, DeviceInfo, Discovery, Introspection, IntrospectionData, Maintenance, Platform
from ocf.device import Device
from ocf.pstat import Pstat
from ocf.security import Security
from port import collect, const, phase, print_exception, sleep_ms, urandom
from swupdate.manager import Updater
from swupdate.resource import SoftwareUpdate, UpdateStatus
from swupdate.slots import Slots

from firmware.app import App
from firmware.clock import Clock
from firmware.provision import Provision
from firmware.store import Store

_WATCHDOG_MS = const(60_000)
_CHUNK = const(4096)
_FEED_MS = const(1000)
_GROUP = "224.0.1.187"  # All OCF Devices (IPv4)
_PORT = const(5683)
_SECURE_PORT = const(5684)
_DATAGRAM = const(1500)  # handshakes have longer ones than CoAP's
_FLUSH_MS = const(3000)
_HEALTH_MS = const(500)


class Limits:
    """Bounds of a fetch; a record of settings may change them. Seconds; `jump` is of the sequence number."""

    def __init__(self, settings):
        self.connect_s = settings.get("connect_s", 10)
        self.read_s = settings.get("read_s", 15)
        self.jump = settings.get("jump", 1_000_000)


class Job:
    """What one step of an update needs to know (docs/architecture.md, swupdate.install)."""

    def __init__(self, node, url):
        self.url = url
        self.trust = node.provision
        self.slots = node.slots
        self.store = node.store
        self.clock = node.clock
        self.floor = node.updater.floor
        self.limits = Limits(node.provision.settings)
        self.open = node._open
        self.buffers = None

    def reserve(self):
        """Make the two buffers of the payload, early: when all code is loaded the heap may have no such pieces left."""
        self.buffers = (bytearray(_CHUNK), bytearray(_CHUNK))


class Node:
    """One Fargo device on `board`. `run()` serves until the power goes.

    The maker's app gets it as `device`: `add(resource)`, `log(level, text)`, `data` (a folder of the app's own),
    `clock.now()`, `version`.
    """

    schemes = ("https", "coaps")

    def __init__(self, board):
        self.board = board
        self.watchdog = board.watchdog(_WATCHDOG_MS)
        self.provision = Provision()
        root = board.mount_data()
        with phase("firmware.folder") as folder:
            self.data = folder.made(root + "/app")
        self.store = Store(root)
        self.slots = Slots(board)
        label = self.slots.label(self.slots.running) or {}
        self.version = label.get("version", "")
        self.clock = Clock(board, self.store, label.get("built", 0))
        self.pstat = Pstat(self.store)
        self.security = Security(self.store, self.pstat, urandom, self._secrets())
        self.ocf = self.security.device = Device(self.security, self.security.uuid)
        self.updater = Updater(
            self.store, self.clock, self.slots, self.pstat, self._job, self._settings(), self.reboot, board.nvs()
        )  # fmt: skip
        self.app = App(self, self.log)
        self.dtls = None
        self._well = False
        self._trial = None
        self._add_resources()
        self._join_hooks()

    # For the app

    def add(self, resource):
        """Serve a Resource of the app."""
        return self.ocf.add(resource)

    def log(self, level, text):
        """One line: level ("debug", "info", "warning", "error") and text. Never a secret."""
        print("%s: %s" % (level, text))

    # Life

    async def run(self):
        """Join the network, serve, and keep the watchdog fed by the loop itself."""
        self.log("info", "Fargo, version %s in %s" % (self.version or "unknown", self.slots.running))
        tasks = [asyncio.create_task(self._feed())]
        self.updater.start(self.board.reset_cause())
        if not self.slots.confirmed:  # its time runs from now on: a version that does not find its network goes back
            tasks.append(asyncio.create_task(self._try_out()))
        await self.board.join()
        self.log("info", "the network is joined as %s" % self.board.address())
        self._listen()
        tasks += [asyncio.create_task(endpoint.run()) for endpoint in self.ocf.coap]
        if self.pstat.unfinished:
            self.log("warning", "RESET: " + self.pstat.unfinished)
            self.pstat.begin_reset()
        tasks.append(asyncio.create_task(self.updater.run()))
        server = self.provision.settings.get("ntp", "pool.ntp.org")
        tasks.append(asyncio.create_task(self.clock.follow(server, self.board.dns(), self.log)))
        tasks.append(asyncio.create_task(self.app.run(self._app_crashed)))
        collect()
        self.log("info", "serving")
        for task in tasks:
            await task

    def reboot(self):
        """Restart the board."""
        self.log("info", "restarting")
        self.board.reset()

    async def _feed(self):
        while True:
            self.watchdog.feed()
            await sleep_ms(_FEED_MS)

    async def _try_out(self):
        """The trial of a version that is not confirmed yet."""
        self.log("info", "version %s is on trial" % self.version)
        seconds = self.provision.settings.get("trial_s", 300)
        health = asyncio.create_task(self._ask_health())
        with phase("swupdate.trial") as trial:
            self._trial = trial.Trial(
                self.updater, self.slots, self.store, self.reboot, lambda: self.board.joined,
                lambda: self.dtls is not None, lambda: self._well, self._prove, seconds,
            )  # fmt: skip
            self.ocf.seen = lambda _identity: self._trial.client_seen()
            if self.app.crashed:  # it did so before there was a trial to hear of it
                self._app_crashed("the app stopped: " + self.app.crashed)
            kept = await self._trial.run()
            self._trial = self.ocf.seen = None
        health.cancel()
        self.log("info", "version %s is kept" % self.version if kept else "going back")

    async def _ask_health(self):
        while True:
            self._well = await self.app.health()
            await sleep_ms(_HEALTH_MS)

    async def _prove(self):
        """Verify an envelope the way that the next update will come."""
        job = self._job(self.updater.state["purl"] or self.provision.url)
        with phase("swupdate.install.obtain") as install:
            await install.prove(job)

    def _app_crashed(self, text):
        if self._trial:
            self._trial.give_up(text)

    # The network

    def _listen(self):
        """Serve in the clear, where discovery comes to, and secured."""
        address = self.board.address()
        clear = Endpoint(UdpTransport(address, _PORT, (_GROUP,), address), self.ocf.handle)
        self.dtls = DtlsTransport(UdpTransport(address, _SECURE_PORT, limit=_DATAGRAM), self.security)
        secured = Endpoint(self.dtls, self.ocf.handle, clear.out)
        self.dtls.closed = secured.drop_peer
        self.ocf.coap += [clear, secured]

    def _urls(self, resource, _request):
        """Where `resource` is reached."""
        address = self.board.address()
        found = ["coaps://%s:%d" % (address, _SECURE_PORT)]
        if self.security.clear(resource):
            found.insert(0, "coap://%s:%d" % (address, _PORT))
        return found

    def _open(self, url):
        """A Source for `url`, for the install phase. Raises Fault."""
        p = self.provision
        with phase("firmware.sources") as sources:
            return sources.open_source(url, p, self.board.dns(), Limits(p.settings), self._credentials)

    def _credentials(self, host):
        with phase("firmware.trust") as trust:
            return trust.ServerTrust(host, self.security, self.provision, self.clock)

    # Composition

    def _add_resources(self):
        p = self.provision
        add = self.ocf.add
        add(Discovery())
        names = add(Configuration(self.store))
        add(DeviceInfo(lambda: names.n or p.name, p.piid, self.version))
        platform = Platform(pi=p.piid, mnmn=p.manufacturer, mnfv=self.version, mndt=p.manufactured[:10])
        platform.mnmo = p.model
        add(platform)
        add(Introspection())
        add(IntrospectionData(p.name, self.version))
        add(self.pstat)
        for resource in self.security.resources:
            add(resource)
        add(Maintenance(lambda: self._soon(self.pstat.begin_reset), lambda: self._soon(self.reboot)))
        add(SoftwareUpdate(self.updater, p.settings.get("href")))
        add(UpdateStatus(self.updater))
        self._names = names

    def _join_hooks(self):
        self.ocf.endpoints = self._urls
        self.ocf.sdi = lambda: self.security.sdi
        self.pstat.on_tm = self.updater.target
        self.pstat.on_state = self._state_changed
        self.updater.flush = self._flush
        self.updater.pause = self.app.pause
        self.updater.resume = self.app.resume

    def _settings(self):
        p = self.provision
        settings = dict(p.settings)
        settings["url"] = p.url
        settings["schemes"] = self.schemes
        with phase("swupdate.rfc3339") as rfc3339:
            settings["manufactured"] = rfc3339.parse(p.manufactured)
        return settings

    def _secrets(self):
        """What the onboarding of this Device needs."""
        p = self.provision
        return {
            "mfgcert": p.certificate(), "mfgtrust": p.manufacturers(), "now": self.clock.now,
            "oxms": p.settings.get("oxms", (0, 1, 2)),
            "pin": lambda pin: self.log("info", "the PIN of this device is %s" % pin),
        }  # fmt: skip

    def _job(self, url):
        return Job(self, url)

    def _state_changed(self, state):
        """pstat entered another onboarding state."""
        self.security.entered(state)
        if state == 0:
            self._names.reset()
            with phase("firmware.folder") as folder:
                folder.empty(self.data)
            asyncio.create_task(self.app.reset())
            for endpoint in self.ocf.coap:
                endpoint.drop_observers()
            if self.dtls:
                self.dtls.drop_all()
        elif state == 3 and self.dtls:  # those whose credentials are gone
            self._soon(lambda: self.dtls.drop_all(self.security.knows))
        self.updater.dos_changed(state)

    async def _flush(self):
        if self.dtls:
            for endpoint in self.ocf.coap:
                await endpoint.flush(_FLUSH_MS)
            await sleep_ms(200)  # what was not confirmable is on its way

    def _soon(self, function):
        """Call `function` after the answer to the present request has gone out."""

        async def later():
            await sleep_ms(200)
            try:
                function()
            except Exception as error:  # noqa: BLE001 - a request must not end the device
                print_exception(error)

        asyncio.create_task(later())
