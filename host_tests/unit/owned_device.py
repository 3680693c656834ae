"""The device's security, DTLS and CoAP as the product joins them, in this process, on sockets of the loopback interface."""

import asyncio
import os

from cbor.decoder import decode
from coap.endpoint import Endpoint
from coap.udp import UdpTransport
from dtls.transport import DtlsTransport
from loopback import port as free_port
from ocf import core
from ocf.device import Device
from ocf.pstat import RESET, RFNOP, Pstat
from ocf.resource import Property, Resource
from ocf.security import Security
from ocf_rig import MemoryStore

LO = "127.0.0.1"
PIID = "7c9d9c2e-3a6b-4c1f-9a80-6f2f3f5f0b11"


class Updating(Resource):
    """Stands where the update Resource does."""

    href, rt, dcr = "/oc/swu", ("oic.r.softwareupdate",), True
    properties = (
        Property("purl", str, "rw"),
        Property("swupdateaction", str, "rw"),
        Property("updatetime", str, "rw"),
        Property("swupdatestate", str),
    )
    purl, swupdateaction, updatetime, swupdatestate = "", "idle", "", "idle"

    def update(self, values):
        super().update(values)
        return True


class Light(Resource):
    href, rt = "/light", ("oic.r.switch.binary",)
    properties = (Property("value", bool, "rw"),)
    value = False


class Board:
    """One device; `async with`. `power_off()` and `power_on()` restart it: what is stored stays, nobody is told.

    `asked` has every request as (secured, code, path, body); `observed` what is observed since the start; `pins` what it
    showed.
    """

    def __init__(self, **settings):
        self.store = MemoryStore()
        self.settings = settings
        self.ports = free_port(), free_port()
        self.asked = []
        self.pins = []
        self.mute = self.dumb = lambda secured, code, path: False  # which requests are lost, and which answers

    @property
    def address(self):
        return f"{LO}:{self.ports[0]}"

    async def __aenter__(self):
        self.power_on()
        return self

    async def __aexit__(self, *_exc):
        await self.power_off()

    def power_on(self):
        self.observed = set()
        settings = {"mfgcert": None, "mfgtrust": [], "pin": self.pins.append, "now": lambda: 0, **self.settings}
        self.pstat = Pstat(self.store)
        self.security = Security(self.store, self.pstat, os.urandom, settings)
        self.device = self.security.device = Device(self.security, self.security.uuid)
        self.light, self.swu = Light(), Updating()
        public = (
            core.discovery(),
            core.device_info(core.configuration(self.store), "lamp", PIID, "1.0.0"),
            core.platform(PIID, "Fargo", "1.0.0", "", ""),
        )
        rest = (self.pstat, *self.security.resources, core.maintenance(None, None), self.swu, self.light)
        for resource in public + rest:
            self.device.add(resource)
        self.device.endpoints = self.urls
        self.pstat.on_state = self.state_changed
        clear, secured = self.ports
        self.dtls = DtlsTransport(UdpTransport(LO, secured, limit=1500), self.security)
        self.device.coap = [Endpoint(UdpTransport(LO, clear), self.handle), Endpoint(self.dtls, self.handle)]
        self.tasks = [asyncio.ensure_future(endpoint.run()) for endpoint in self.device.coap]

    async def power_off(self):
        self.dtls.sessions.clear()  # or they would be closed in good order
        for endpoint in self.device.coap:
            endpoint.close()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def urls(self, resource, _request):
        clear, secured = (f"coap://{LO}:{self.ports[0]}", f"coaps://{LO}:{self.ports[1]}")
        return [clear, secured] if self.security.clear(resource) else [secured]

    def handle(self, request):
        body = decode(bytes(request.payload), max_depth=16) if request.payload else None
        self.asked.append((request.secure, request.code, request.path, body))
        if request.observe == 0:
            self.observed.add(request.path)
        what = request.secure, request.code, request.path
        if self.mute(*what):
            return None
        answer = self.device.handle(request)
        return None if self.dumb(*what) else answer

    def state_changed(self, state):
        self.security.entered(state)
        if state == RESET:
            self.dtls.drop_all()
        elif state == RFNOP:  # after the answer
            asyncio.get_running_loop().call_later(0.05, self.dtls.drop_all, self.security.knows)
