"""An OCF device for tests of the Client side, made of other libraries than ours: aiocoap and cbor2.

DTLS alone is ours, in front of aiocoap; in the clear is served what OCF has so, and nothing else. The device acts out an
update as it is told to: what is offered, which step fails with what, whether the new version stays.
"""

import asyncio
import threading
import uuid

import aiocoap
import aiocoap.resource
import cbor2
from coap.udp import UdpTransport
from dtls.transport import DtlsTransport
from fargo.identity import Identity, Known
from loopback import port as free_port

KEY = bytes(range(16))
UUID = "11111111-2222-4333-8444-555555555555"
CM = {"idle": 0, "nsa": 256, "svv": 256, "sva": 320, "upgrading": 448}
ACTIONS = {256: "isac", 64: "isvv", 128: "upgrade"}
OCF_CBOR = aiocoap.numbers.ContentFormat(10000)
TOTAL = 40_960


class Running:
    """A Device in a thread of its own, for commands that bring their own event loop: `with Running(...) as device`."""

    def __init__(self, make=None, **facts):
        self.device = (make or Device)(**facts)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def __enter__(self):
        self.thread.start()
        return self.call(self.device.__aenter__())

    def __exit__(self, *_exc):
        self.call(self.device.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)


def owner(*uuids, path=None):
    """The identity of whoever owns these devices; kept in `path`, or nowhere."""
    made = Identity(path) if path else Identity.nobody()
    for device in uuids or (UUID,):
        known = Known(device, KEY, name="lamp", method="jw")
        if path:
            made.remember(known)
        else:
            made.devices[device] = known
    return made


class Keys:
    """The device's credentials: one key for whoever knows it."""

    def __init__(self, uuid):
        self.uuid = uuid

    def suites(self):
        return (0xC037,)

    def hint(self):
        return uuid.UUID(self.uuid).bytes

    def psk(self, identity):
        return KEY, str(uuid.UUID(bytes=identity))

    def opened(self, session):
        pass

    closed = opened


class Front(asyncio.DatagramProtocol):
    """DTLS at a port of its own; what it opens goes to `port`, from a port for each session."""

    def __init__(self, port, uuid=UUID):
        self.target = port
        self.datagrams = UdpTransport("127.0.0.1", 0, limit=1500)
        self.transport = DtlsTransport(self.datagrams, Keys(uuid))
        self.port = self.datagrams._sockets[0].getsockname()[1]
        self.ways = {}
        self.ports = set()
        self.task = asyncio.ensure_future(self.run())

    async def run(self):
        while True:
            data, session, _ = await self.transport.receive()
            if session not in self.ways:
                way, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda session=session: Way(self.transport, session), remote_addr=("127.0.0.1", self.target)
                )
                self.ways[session] = way
                self.ports.add(way.get_extra_info("sockname")[1])
            self.ways[session].sendto(bytes(data))

    async def close(self):
        """As if the power had failed: nobody is told."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        for way in self.ways.values():
            way.close()
        self.transport.sessions.clear()
        self.transport.close()


class Way(asyncio.DatagramProtocol):
    def __init__(self, transport, session):
        self.transport, self.session = transport, session

    def datagram_received(self, data, _address):
        self.transport.send(data, self.session)


class Refusal(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


class Resource(aiocoap.resource.ObservableResource):
    def __init__(self, device, read, write=None, clear=False):
        super().__init__()
        self.device, self.read, self.write, self.clear = device, read, write, clear

    def refused(self, request):
        return not self.clear and request.remote.sockaddr[1] not in self.device.front.ports

    async def render_get(self, request):
        if self.refused(request):
            return aiocoap.Message(code=aiocoap.UNAUTHORIZED)
        try:
            value = self.read(request.opt.uri_query)
        except Refusal as error:
            return aiocoap.Message(code=error.code, payload=error.text.encode())
        return aiocoap.Message(payload=cbor2.dumps(value), content_format=OCF_CBOR)

    async def render_post(self, request):
        if self.refused(request):
            return aiocoap.Message(code=aiocoap.UNAUTHORIZED)
        if self.write is None:
            return aiocoap.Message(code=aiocoap.METHOD_NOT_ALLOWED)
        try:
            value = self.write(cbor2.loads(request.payload))
        except Refusal as error:
            return aiocoap.Message(code=error.code, payload=error.text.encode())
        if value is None:
            return aiocoap.Message(code=aiocoap.CHANGED)
        return aiocoap.Message(code=aiocoap.CHANGED, payload=cbor2.dumps(value), content_format=OCF_CBOR)


class Device:
    """`offers`: version to be found (None: nothing newer). `fails`: {"check", "obtain" or "install": (result, words)}.

    `stays`: the new version is confirmed after the reboot; otherwise rolled back. `vendor`: has Fargo's own Resource.
    `refuses`: (code, text) for every UPDATE of pstat. `owned`: it has an owner. `dtls`: it has coaps. `off`: seconds that a
    reboot takes.
    """

    def __init__(
        self,
        offers="1.1.0",
        fails=(),
        stays=True,
        vendor=True,
        refuses=None,
        owned=True,
        dtls=True,
        updatable=True,
        off=0.7,
    ):
        self.offers, self.fails, self.stays, self.vendor = offers, dict(fails), stays, vendor
        self.refuses, self.owned, self.dtls, self.updatable = refuses, owned, dtls, updatable
        self.off, self.context, self.front = off, None, None
        self.port = free_port()
        self.version, self.tm, self.posts, self.boots = "1.0.0", 0, [], 0
        self.status = {"reason": "", "done": 0, "total": 0}
        self.swu = {"purl": "", "swupdateaction": "idle", "swupdatestate": "idle", "swupdateresult": 0, "nv": ""}
        self.swu["updatetime"] = "1970-01-01T00:00:00Z"
        self.tasks = []

    async def __aenter__(self):
        await self.power_on()
        return self

    async def __aexit__(self, *_exc):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.power_off()

    async def power_off(self):
        context, self.context = self.context, None
        if context is not None:
            await self.front.close()
            await context.shutdown()

    async def power_on(self):
        self.boots += 1
        self.at_swu = Resource(self, self.get_swu, self.post_swu)
        self.at_pstat = Resource(self, self.get_pstat, self.post_pstat)
        self.at_status = Resource(self, lambda _query: dict(self.status))
        site = aiocoap.resource.Site()
        site.add_resource(["oic", "res"], Resource(self, self.get_res, clear=True))
        site.add_resource(["oic", "sec", "doxm"], Resource(self, self.get_doxm, clear=True))
        about = {"n": "lamp", "di": UUID, "rt": ["oic.wk.d", "oic.d.light"]}
        site.add_resource(["oic", "d"], Resource(self, lambda _query: {**about, "sv": self.version}, clear=True))
        site.add_resource(["oic", "p"], Resource(self, lambda _query: {"mnmn": "Foreign", "pi": UUID}, clear=True))
        site.add_resource(["some", "where"], self.at_swu)
        site.add_resource(["oic", "sec", "pstat"], self.at_pstat)
        if self.vendor:
            site.add_resource(["fargo", "update"], self.at_status)
        self.front = Front(self.port)
        self.context = await aiocoap.Context.create_server_context(
            site,
            bind=("127.0.0.1", self.port),
            transports=["udp6"],  # the others would want ports far from this one
        )

    def get_doxm(self, _query):
        if self.owned:
            raise Refusal(aiocoap.UNAUTHORIZED, "")
        return {"oxms": [0], "oxmsel": 4, "owned": False, "deviceuuid": UUID}

    def get_res(self, query):
        eps = [{"ep": f"coap://127.0.0.1:{self.port}"}]
        eps += [{"ep": f"coaps://127.0.0.1:{self.front.port}"}] * self.dtls
        links = [("/oic/d", "oic.wk.d")] + [("/some/where", "oic.r.softwareupdate")] * self.updatable
        links += [("/fargo/update", "x.fargo.update")] * self.vendor
        made = [{"href": h, "rt": [rt], "anchor": "ocf://" + UUID, "p": {"bm": 3}, "eps": eps} for h, rt in links]
        made = [link for link in made if not query or "rt=" + link["rt"][0] in query]
        if not made:
            raise Refusal(aiocoap.NOT_FOUND, "")
        return made

    def get_swu(self, _query):
        return dict(self.swu)

    def get_pstat(self, _query):
        return {"dos": {"s": 3, "p": False}, "isop": True, "cm": CM[self.swu["swupdatestate"]], "tm": self.tm}

    def post_swu(self, value):
        if set(value) != {"purl", "swupdateaction", "updatetime"}:
            raise Refusal(aiocoap.BAD_REQUEST, "purl, swupdateaction and updatetime are all needed")
        if value["purl"].startswith("http:"):
            raise Refusal(aiocoap.BAD_REQUEST, "http is not supported")
        self.posts.append(value)
        self.show(**value)
        return dict(self.swu)

    def post_pstat(self, value):
        if self.refuses:
            raise Refusal(*self.refuses)
        self.posts.append(value)
        self.tm = value["tm"]
        self.show(swupdateaction=ACTIONS[self.tm], swupdateresult=0)
        self.tasks.append(asyncio.ensure_future(self.act(self.tm)))

    def show(self, **changes):
        self.swu.update(changes)
        self.at_swu.updated_state()
        self.at_pstat.updated_state()

    def tell(self, **changes):
        self.status.update(changes)
        self.at_status.updated_state()

    def end(self, state, result, reason):
        self.tm = 0
        self.tell(reason=reason)
        self.show(swupdateaction="idle", swupdatestate=state, swupdateresult=result)

    async def act(self, tm):
        await asyncio.sleep(0.05)
        if tm == 256:
            if "check" in self.fails:
                return self.end("idle", *self.fails["check"])
            if self.offers is None:
                return self.end("idle", 0, "up to date")
            self.swu["nv"] = self.offers
            return self.end("nsa", 0, "a new version is available")
        if self.swu["swupdatestate"] != "sva":
            self.show(swupdatestate="svv")
            for done in range(0, TOTAL + 1, TOTAL // 4):
                self.tell(done=done, total=TOTAL)
                await asyncio.sleep(0.02)
                if "obtain" in self.fails and done > TOTAL // 2:
                    return self.end("nsa", *self.fails["obtain"])
            self.swu["nv"] = self.offers
            if tm == 64:
                return self.end("sva", 0, "ready")
            self.show(swupdatestate="sva")
        self.show(swupdatestate="upgrading")
        await asyncio.sleep(0.05)
        if "install" in self.fails:
            return self.end("sva", *self.fails["install"])
        await self.power_off()
        await asyncio.sleep(self.off)
        self.status.update(done=0, total=0)
        await self.power_on()
        await asyncio.sleep(0.1)
        self.swu["nv"] = ""
        if self.stays:
            self.version = self.offers
            return self.end("idle", 1, "")
        return self.end("idle", 8, "the new version did not confirm itself")
