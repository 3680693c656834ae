"""An OCF Client: finds devices in the clear, as OCF has it, and speaks with one over DTLS (lib/coap and lib/dtls)."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import port
from cbor.decoder import decode
from port.peer import host_port

from fargo import secure
from fargo.console import CONNECTION, FAILED, REFUSED, Failure
from fargo.identity import Identity
from fargo.network import CBOR, OCF_CBOR, Link, Network, exchange
from fargo.replies import (
    DOXM,
    PSTAT,
    SOFTWARE_UPDATE,
    UPDATE_STATUS,
    Refusal,
    links_of,
    mapping,
    owned_by_another,
    uuid_of,
)

GET, POST, DELETE = 1, 2, 4
COAP_PORT = 5683
IPV4_GROUP, IPV6_GROUP = "224.0.1.187", "ff02::158"
_DOUBTFUL = 5000  # ms of silence after which a session may be one that the device has lost

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass
class Found:
    """A device that answered discovery."""

    uuid: str
    name: str
    host: str
    port: int
    version: str = ""
    types: list[str] = field(default_factory=list)
    updatable: bool = False
    peer: Any = None

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {k: getattr(self, k) for k in ("uuid", "name", "host", "port", "version", "types", "updatable")}


class DeviceClient:
    """One device, made by `connect`; an asynchronous context manager.

    `uuid` is the device's. `swu` and `status` are the hrefs of the software update Resource and of our vendor's Resource
    beside it. That is "" when the device has none: then reasons come from OCF's result codes alone. Requests go over DTLS,
    in a session that is made when it is needed and made anew after the device was lost; `clear=True` is for what a device
    serves to everybody.
    """

    repeats = True  # a GET that was lost is repeated in a new session; False for who wants to know of it

    def __init__(self, network: Network, peer: Any, identity: Identity, timeout: float = 10.0) -> None:
        self.network = network
        self.peer = peer
        self.identity = identity
        self.timeout = timeout
        self.host, self.port = host_port(peer)
        self.uuid = self.swu = self.status = ""
        self._link: Link | None = None
        self._session: Any = None
        self._opening = asyncio.Lock()
        self._secured: Any = None  # where the device waits for DTLS

    async def __aenter__(self) -> DeviceClient:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.network.close()

    @property
    def address(self) -> str:
        """host:port"""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    # Requests.

    async def get(
        self, path: str, query: Iterable[str] = (), timeout: float | None = None, clear: bool = False
    ) -> Any:
        """The decoded representation. Raises Refusal, or Failure when nothing (sensible) answers."""
        return self._decoded(path, await self._request(GET, path, query, None, timeout, clear))

    async def post(
        self, path: str, value: Any, query: Iterable[str] = (), timeout: float | None = None, clear: bool = False
    ) -> Any:
        """UPDATE a Resource; the decoded answer, None when it has no payload. Raises as `get`."""
        return self._decoded(path, await self._request(POST, path, query, value, timeout, clear))

    async def observe(self, path: str) -> AsyncIterator[Any]:
        """Representations of an observed Resource: the first at once, then as it changes. Raises as `get`."""
        try:
            link, session = await self._open(self.timeout)
            observation = await link.client.observe(session, path, accept=OCF_CBOR)
        except OSError as exc:
            raise self._silent(path) from exc
        try:
            async for reply in observation:
                yield self._decoded(path, self._checked("OBSERVE " + path, reply))
        except OSError as exc:
            raise Failure(f"{self.address} no longer answers ({path})", code=CONNECTION) from exc
        finally:
            observation.cancel()  # the next notification is answered with a RST, which ends it there

    async def _request(
        self, code: int, path: str, query: Iterable[str], body: Any, timeout: float | None, clear: bool
    ) -> Any:
        seconds = self.timeout if timeout is None else timeout
        try:
            if clear:
                reply = await exchange(self.network.client, self.peer, code, path, query, body, seconds)
            else:
                reply = await self._in_session(code, path, query, body, seconds)
        except OSError as exc:
            raise self._silent(path) from exc
        return self._checked(("GET " if code == GET else "POST ") + path, reply)

    def _silent(self, path: str) -> Failure:
        return Failure(
            f"no answer from {self.address} ({path})",
            "Is the device on, and on this network? --timeout gives it longer.",
            CONNECTION,
        )

    async def _in_session(self, code: int, path: str, query: Iterable[str], body: Any, seconds: float) -> Any:
        """An exchange over DTLS. Raises Failure, OSError.

        A device that has restarted knows nothing of our session and ignores what is sent in it. So what may be repeated is
        repeated in a new one, and before anything else is sent in one that was silent for a while, its end is looked for.
        """
        deadline = time.monotonic() + seconds
        session = self._session
        if session is not None and session.open:
            if code != GET and port.ticks_diff(port.ticks_ms(), session.used) > _DOUBTFUL:
                await self._in_session(GET, "/oic/d", (), None, seconds)
            elif code == GET and self.repeats:
                try:
                    return await self._ask(code, path, query, body, seconds / 2)
                except OSError:
                    pass
        return await self._ask(code, path, query, body, max(0.1, deadline - time.monotonic()))

    async def _ask(self, code: int, path: str, query: Iterable[str], body: Any, seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        link, session = await self._open(seconds)
        try:
            return await link.request(session, code, path, body, max(0.1, deadline - time.monotonic()), query)
        except OSError:
            # Whoever is there now may have restarted and know nothing of the session.
            link.drop(session, alert=False)
            raise

    async def _open(self, timeout: float) -> tuple[Link, Any]:
        """The session with the device: the one that is open, or a new one. Raises Failure, OSError."""
        async with asyncio.timeout(timeout), self._opening:
            if self._link is None:
                self._link = self.network.link(secure.Credentials(self.identity, self.uuid))
            if self._session is None or not self._session.open:
                if self._session is not None:
                    await self._find_again(timeout)
                try:
                    session = await self._link.connect(self._secured, timeout)
                except secure.Alert as error:
                    hint = "It was reset, or has another owner: fargo device own takes it when it has none."
                    raise secure.explain(error, self.address, hint) from None
                if session.uuid != self.uuid:
                    self._link.drop(session)
                    raise Failure(f"{self.address} is another device than it was", code=CONNECTION)
                self._session = session
            return self._link, self._session

    async def _find_again(self, timeout: float) -> None:
        """See that the device is back, is the same, and where it waits for DTLS now. Raises Failure."""
        found = await self.links(SOFTWARE_UPDATE, timeout)
        if found:
            if uuid_of(found[0]) != self.uuid:
                raise Failure(f"{self.address} was reset: it has another UUID now", "Own it anew.", REFUSED)
            self._secured = self.secured_peer(found)

    def _checked(self, what: str, reply: Any) -> Any:
        if reply.code >> 5 == 2:
            return reply
        raise Refusal(what, reply)

    def _decoded(self, path: str, reply: Any) -> Any:
        payload = reply.payload
        if not payload:
            return None
        if reply.content_format not in (None, CBOR, OCF_CBOR):
            raise Failure(f"{self.address} answered {path} with content format {reply.content_format}, not CBOR")
        try:
            return decode(bytes(payload), max_depth=16, max_items=8192)
        except ValueError as exc:
            raise Failure(f"{self.address} answered {path} with CBOR that does not decode: {exc}") from exc

    # Discovery of what this device has.

    async def links(self, rt: str = "", timeout: float | None = None) -> list[dict[str, Any]]:
        """The device's links, of one Resource Type or all: it shows them to everybody."""
        try:
            links = await self.get("/oic/res", ["rt=" + rt] if rt else [], timeout, clear=True)
        except Refusal as exc:
            if exc.response in (0x80, 0x84):  # what devices answer when nothing matches
                return []
            raise
        return [link for link in links_of(links) if not rt or rt in link["rt"]]

    def secured_peer(self, links: list[dict[str, Any]]) -> Any:
        """Where links say that DTLS is spoken. Raises Failure."""
        for link in links:
            for ep in link.get("eps") or []:
                url = urlsplit(str(ep.get("ep", ""))) if isinstance(ep, dict) else urlsplit("")
                if url.scheme == "coaps" and url.hostname:
                    return port.address(url.hostname, url.port or secure.SECURE_PORT)
        raise Failure(f"{self.address} offers no secured connection", code=FAILED)

    async def discover(self) -> None:
        """Find the update Resources, and the key for this device. Raises Failure when there is none."""
        links = await self.links()
        found = [link for link in links if SOFTWARE_UPDATE in link["rt"]]
        if not found:
            raise Failure(
                f"{self.address} has no software update (no Resource of type {SOFTWARE_UPDATE})", code=FAILED
            )
        self.swu = found[0]["href"]
        self.status = next((link["href"] for link in links if UPDATE_STATUS in link["rt"]), "")
        self.uuid = uuid_of(found[0])
        self._secured = self.secured_peer(found)
        if self.uuid not in self.identity.devices:
            raise await self._stranger()

    async def _stranger(self) -> Failure:
        """Why there is no key for this device."""
        try:
            owned = bool(mapping(await self.get(DOXM, clear=True)).get("owned"))
        except Refusal:
            owned = True
        if owned:
            return owned_by_another(self.address)
        return Failure(
            f"{self.address} has no owner yet", f"Own it first: fargo device own --device {self.address}", REFUSED
        )

    async def device(self) -> dict[str, Any]:
        """`/oic/d`"""
        return mapping(await self.get("/oic/d"))

    async def platform(self) -> dict[str, Any]:
        """`/oic/p`"""
        return mapping(await self.get("/oic/p"))

    async def version(self) -> str:
        """The running version: `sv` of `/oic/d`, "" when the device does not say."""
        return str((await self.device()).get("sv", ""))

    async def read_swu(self, timeout: float | None = None) -> dict[str, Any]:
        """The software update Resource."""
        return mapping(await self.get(self.swu, timeout=timeout))

    async def read_pstat(self, timeout: float | None = None) -> dict[str, Any]:
        """The provisioning status."""
        return mapping(await self.get(PSTAT, timeout=timeout))

    async def read_status(self, timeout: float | None = None) -> dict[str, Any]:
        """Our vendor's Resource with reason and progress; {} on other makers' devices."""
        return mapping(await self.get(self.status, timeout=timeout)) if self.status else {}

    async def act(self, tm: int, action: str) -> None:
        """Ask for an action now: by its bit of `tm` (256 check, 64 download and validate, 128 upgrade), which is the way
        of every OCF Client; or by its name (Table 4), where this Client may use the update Resource and not `pstat`."""
        try:
            await self.post(PSTAT, {"tm": tm})
        except Refusal as refusal:
            if refusal.response != 0x81:
                raise
            await self.post_swu(str((await self.read_swu()).get("purl", "")), action, "now")

    async def post_swu(self, purl: str, action: str, updatetime: str) -> dict[str, Any]:
        """UPDATE the software update Resource; all three Properties are mandatory. Returns the full representation."""
        value = {"purl": purl, "swupdateaction": action, "updatetime": updatetime}
        return mapping(await self.post(self.swu, value))


async def discover(interface: str = "", wait: float = 2.0, details: bool = True) -> list[Found]:
    """Every device that answers multicast within `wait` seconds, on IPv4 and where available IPv6.

    `interface` is the local address whose network is asked. With `details`, name and version are read from each.
    """
    groups = (
        [(IPV6_GROUP, True)]
        if ":" in interface
        else [(IPV4_GROUP, False)] + ([] if interface else [(IPV6_GROUP, True)])
    )
    results = await asyncio.gather(*[_ask(group, ipv6, interface, wait, details) for group, ipv6 in groups])
    found: dict[str, Found] = {}
    for device in (device for result in results for device in result):
        found.setdefault(device.uuid or f"{device.host}:{device.port}", device)
    return sorted(found.values(), key=lambda d: (d.name, d.uuid))


async def _ask(group: str, ipv6: bool, interface: str, wait: float, details: bool) -> list[Found]:
    try:
        network = Network(interface, ipv6)
    except OSError as exc:
        if interface:
            raise Failure(f"cannot use the address {interface}: {exc.strerror or exc}", code=CONNECTION) from exc
        return []  # no IPv6 here
    try:
        milliseconds = int(wait * 1000)
        replies = await network.client.discover(
            port.address(group, COAP_PORT), "/oic/res", accept=OCF_CBOR, wait_ms=milliseconds
        )
        return list(await asyncio.gather(*[_found(network, reply, peer, details) for reply, peer in replies]))
    except OSError:
        return []  # no route for this group
    finally:
        await network.close()


async def _found(network: Network, reply: Any, peer: Any, details: bool) -> Found:
    client = DeviceClient(network, peer, Identity.nobody(), timeout=3.0)
    device = Found("", "", client.host, client.port, peer=peer)
    try:
        links = links_of(client._decoded("/oic/res", reply))
        device.updatable = any(SOFTWARE_UPDATE in link["rt"] for link in links)
        anchors = [a for a in (link.get("anchor") for link in links) if isinstance(a, str) and a.startswith("ocf://")]
        device.uuid = anchors[0][6:] if anchors else ""
        if details:
            about = mapping(await client.get("/oic/d", clear=True))
            device.uuid = str(about.get("di", device.uuid))
            device.name, device.version = str(about.get("n", "")), str(about.get("sv", ""))
            device.types = [t for t in about.get("rt", []) if isinstance(t, str) and t != "oic.wk.d"]
    except Failure:
        pass  # it answered discovery: it is listed, with what is known
    return device


async def connect(
    device: str, identity: Identity, interface: str = "", timeout: float = 10.0, wait: float = 2.0
) -> DeviceClient:
    """A client of the device that `device` names (UUID, name, or host[:port]), its update Resources found.

    One that `identity` knows and that discovery does not reach is looked for where it was last.
    """
    known = identity.named(device)
    try:
        target = await locate(device, interface, wait)
    except Failure:
        target = split_host(known.address) if known else ("", 0)
        if not target[0]:
            raise
    else:
        known = None
    try:
        network = Network(interface, ":" in target[0])
        client = DeviceClient(network, port.address(*target), identity, timeout)
    except OSError as exc:
        raise Failure(f"cannot reach {device}: {exc.strerror or exc}", code=CONNECTION) from exc
    try:
        await client.discover()
        if known and client.uuid != known.uuid:
            raise Failure(f"no device {device!r} answered, and another is where it was", code=CONNECTION)
        identity.met(client.uuid, client.address)
    except BaseException:
        await network.close()
        raise
    return client


async def locate(device: str, interface: str, wait: float) -> tuple[str, int]:
    """Host and CoAP port of the device that `device` names (UUID, name, or host[:port]). Raises Failure."""
    host, number = split_host(device)
    if host:
        try:
            family = socket.AF_INET6 if ":" in interface else socket.AF_INET if interface else 0
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, number, family=family, type=socket.SOCK_DGRAM)
        except OSError as exc:
            raise Failure(
                f"the host name {host} is not known", "Give an address, a name or a UUID.", CONNECTION
            ) from exc
        # IPv4 first: a name such as localhost has both, and boards rarely IPv6.
        return sorted(found, key=lambda entry: entry[0] != socket.AF_INET)[0][4][:2]  # type: ignore[return-value]
    by_uuid = UUID.fullmatch(device) is not None
    devices = await discover(interface, wait, details=True)
    matching = [d for d in devices if (d.uuid.lower() == device.lower() if by_uuid else d.name == device)]
    if not matching:
        others = ", ".join(d.name or d.uuid for d in devices)
        raise Failure(
            f"no device {device!r} answered",
            f"These did: {others}." if others else "None did; try its address, or --interface.",
            CONNECTION,
        )
    if len(matching) > 1:
        uuids = ", ".join(d.uuid for d in matching)
        raise Failure(f"{len(matching)} devices are named {device!r}", f"Give one of the UUIDs {uuids}.")
    return matching[0].host, matching[0].port


def split_host(device: str) -> tuple[str, int]:
    """("host", port) when `device` looks like an address or host name with or without a port, else ("", 0)."""
    try:
        return str(ipaddress.ip_address(device.strip("[]"))), COAP_PORT
    except ValueError:
        pass
    match = re.fullmatch(r"\[?([0-9A-Za-z_.:-]+?)\]?:(\d{1,5})", device)
    if match and 0 < int(match.group(2)) < 65536:
        return match.group(1), int(match.group(2))
    if device == "localhost" or ("." in device and re.fullmatch(r"[0-9A-Za-z.-]+", device)):
        return device, COAP_PORT
    return "", 0
