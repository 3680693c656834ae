"""Becoming the owner of a device, and what an owner does: rights for others, and letting go (OCF Security, onboarding).

The order of requests is the one of the reference's onboarding tool: one Property at a time, all through one connection.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid as uuids
from typing import Any

import port
from crypto import prf

from fargo import secure
from fargo.client import DELETE, POST, DeviceClient, locate
from fargo.console import CONNECTION, REFUSED, USAGE, Failure
from fargo.identity import Identity, Known, raw
from fargo.network import Network
from fargo.replies import DOXM, PSTAT, SOFTWARE_UPDATE, Refusal, code_text, owned_by_another, uuid_of

CRED, ACL, SDI = "/oic/sec/cred", "/oic/sec/acl2", "/oic/sec/sdi"
CREATE, RETRIEVE, UPDATE, REMOVE, NOTIFY = 1, 2, 4, 8, 16
ALL = 31
METHODS = {"just-works": 0, "pin": 1, "certificate": 2}
_NAMES = {0: "jw", 1: "rdp", 2: "mfgcert"}
_RAW = "oic.sec.encoding.raw"
_RFPRO, _RFNOP = 2, 3
_PIN_ROUNDS = 1000
# What an owner wants to use, beside the app's own Resources, which the wildcard names: it covers none of these.
UPDATING = ("/oc/swu", "/fargo/update")
_OWNERS = (*UPDATING, "/oic/mnt", "/oc/con", "/oc/wk/introspection")
_HINTS = {  # when the onboarding connection is refused
    "pin": "Is the PIN right, and the one that the device shows now?",
    "certificate": "Do --ca, --cert and --key belong together and to this device's maker, and is none out of date?",
}
_RESET_WAIT, _RESET_POLL = 6.0, 0.5  # seconds


class Onboarding:
    """One device on its way to an owner. `own()` does all of it; `name` is what people call the device."""

    def __init__(self, network: Network, peer: Any, identity: Identity, timeout: float = 10.0) -> None:
        self.network = network
        self.identity = identity
        self.clear = DeviceClient(network, peer, identity, timeout)
        self.address = self.clear.address
        self.name = ""
        self.updating: list[str] = []

    async def own(self, method: str, pin: str = "", credentials: secure.Manufacturer | None = None) -> Known:
        """Take ownership and remember the key. Raises Failure; the device then resets itself."""
        number = METHODS[method]
        self.identity.keep()  # a key that cannot be kept is worse than none
        links = await self.clear.links()
        found = [link for link in links if "oic.r.doxm" in link["rt"]]
        if not found:
            raise Failure(f"{self.address} cannot be owned: it has no Resource of type oic.r.doxm")
        doxm = await self._doxm(uuid_of(found[0]))
        if number not in doxm.get("oxms", []):
            can = ", ".join(name for name, n in METHODS.items() if n in doxm.get("oxms", []))
            raise Failure(
                f"{self.address} cannot be owned by {method}", f"It can by: {can or 'nothing we know'}.", USAGE
            )
        peer = self.clear.secured_peer(found)
        self.updating = [link["href"] for link in links if SOFTWARE_UPDATE in link["rt"]]
        self.name = str((await self.clear.get("/oic/d", clear=True)).get("n", ""))
        if method != "pin" or doxm.get("oxmsel") != number:  # selected again, there would be another PIN
            await self.select(number)
        chosen: secure.Credentials
        if method == "pin":
            key = await prf.pbkdf2(pin.encode(), raw(str(doxm["deviceuuid"])), _PIN_ROUNDS, 16)
            chosen = secure.Pin(self.identity, key)
        else:
            chosen = credentials or secure.JustWorks(self.identity)
        link = self.network.link(chosen)
        hint = _HINTS.get(method, "")
        try:
            session = await link.connect(peer, self.clear.timeout)
        except OSError as error:
            raise secure.explain(error, self.address, hint, chosen.refused) from None
        try:
            return await self._take(link, session, number)
        finally:
            link.drop(session)

    async def select(self, method: int) -> None:
        """Choose the transfer method; a device with a display then shows a new PIN."""
        try:
            await self.clear.post(DOXM, {"oxmsel": method}, clear=True)
        except Refusal as refusal:
            hint = "Somebody may be about to own it. Try again in a minute."
            raise Failure(refusal.text, hint, REFUSED) from None

    async def _doxm(self, uuid: str) -> dict[str, Any]:
        try:
            found = await self.clear.get(DOXM, clear=True)
        except Refusal:
            found = {"owned": True}
        if not isinstance(found, dict) or found.get("owned"):
            known = self.identity.devices.get(uuid)
            if known and known.owned:
                hint = "Use it as it is, or give it up first: fargo device disown."
                raise Failure(f"{self.address} is yours already: {uuid}", hint, REFUSED)
            raise owned_by_another(self.address)
        return found

    async def _take(self, link: Any, session: Any, number: int) -> Known:
        owner, device = self.identity.uuid, str(uuids.uuid4())

        async def post(path: str, body: dict[str, Any], accepted: tuple[int, ...] = ()) -> None:
            await self._ask(link, session, POST, path, body, accepted)

        await post(PSTAT, {"om": 4})
        await post(DOXM, {"devowneruuid": owner})
        await post(DOXM, {"deviceuuid": device})
        for path in (DOXM, ACL, PSTAT):
            await post(path, {"rowneruuid": owner})
        empty = {"credtype": 1, "subjectuuid": owner, "privatedata": {"encoding": _RAW, "data": b""}}
        await post(CRED, {"creds": [empty], "rowneruuid": owner})
        name = b"oic.sec.doxm." + _NAMES[number].encode()
        key = prf.owner_psk(session.master, session.randoms, session.block, name, raw(owner), raw(device))
        await post(SDI, {"uuid": owner, "name": "Fargo", "priv": True}, accepted=(0x84,))
        await post(DOXM, {"owned": True})
        # From here on the device may be ours, whatever becomes of the answers.
        known = Known(device, key, self.name, self.clear.address, _NAMES[number])
        self.identity.remember(known)
        try:
            await post(PSTAT, {"dos": {"s": _RFPRO}})
        except Failure as failure:
            if failure.code == REFUSED:
                self.identity.forget(device)
            raise
        await self._ask(link, session, DELETE, ACL, None)
        await post(ACL, {"aclist2": _entries(owner, self.updating)})
        await post(PSTAT, {"dos": {"s": _RFNOP}})
        return known

    async def _ask(
        self, link: Any, session: Any, code: int, path: str, body: Any, accepted: tuple[int, ...] = ()
    ) -> None:
        try:
            reply = await link.request(session, code, path, body, self.clear.timeout)
        except OSError as error:
            raise Failure(
                f"{self.address} was lost while it got its owner",
                "It resets itself; try again in a minute.",
                CONNECTION,
            ) from error
        if reply.code >> 5 != 2 and reply.code not in accepted:
            text = bytes(reply.payload).decode(errors="replace")
            raise Failure(
                f"{self.address} refused to be owned ({path}: {code_text(reply.code)} {text})".rstrip(),
                "It resets itself; try again, or reset it by hand.",
                REFUSED,
            )


def _entries(owner: str, updating: list[str]) -> list[dict[str, Any]]:
    """The access control entries that a new owner writes."""
    subject = {"uuid": owner}

    def entry(permission: int, *hrefs: str, subject: dict[str, str] = subject) -> dict[str, Any]:
        return {"subject": subject, "resources": [{"href": href} for href in hrefs], "permission": permission}

    return [
        entry(14, "/oic/sec/sp"),
        entry(RETRIEVE, "/oic/sec/csr"),
        entry(RETRIEVE, "/oic/d", "/oic/p", "/oic/res", "/oic/sec/sdi", subject={"conntype": "anon-clear"}),
        {
            "subject": subject,
            "resources": [{"wc": "*"}, *({"href": h} for h in dict.fromkeys((*_OWNERS, *updating)))],
            "permission": ALL,
        },
    ]


async def begin(
    device: str, identity: Identity, interface: str = "", timeout: float = 10.0, wait: float = 2.0
) -> Onboarding:
    """An Onboarding of the device that `device` names. Its `network` is to be closed."""
    host, number = await locate(device, interface, wait)
    network = Network(interface, ":" in host)
    return Onboarding(network, port.address(host, number), identity, timeout)


async def _provisioning(client: DeviceClient, work: Any) -> None:
    """Do `work` in RFPRO, and go back to normal operation, whatever comes of it."""
    await client.post(PSTAT, {"dos": {"s": _RFPRO}})
    try:
        await work()
    finally:
        await client.post(PSTAT, {"dos": {"s": _RFNOP}})


async def grant(
    client: DeviceClient, other: str, hrefs: list[str], permission: int, key: bytes | None = None
) -> dict[str, Any]:
    """Let the Client `other` (UUID) do `permission` to `hrefs` ("*": all of the app's); `key` (16 bytes): shared with it.

    Who may use the update Resource may also watch the provisioning status, where its modes are shown; but not write it, for
    that is the right to reset the device.
    """
    resources = [{"wc": href} if href in ("*", "+", "-") else {"href": href} for href in hrefs]
    entry: dict[str, Any] = {"subject": {"uuid": other}, "resources": resources, "permission": permission}
    entries = [entry]
    if client.swu in hrefs and permission & RETRIEVE:
        entries.append({**entry, "resources": [{"href": PSTAT}], "permission": RETRIEVE | NOTIFY})

    async def work() -> None:
        await client.post(ACL, {"aclist2": entries})
        if key is not None:
            cred = {"credtype": 1, "subjectuuid": other, "privatedata": {"encoding": _RAW, "data": key}}
            await client.post(CRED, {"creds": [cred]})

    await _provisioning(client, work)
    return entry


def new_key() -> bytes:
    """A key to share between a device and a Client: 16 random bytes."""
    return os.urandom(16)


async def disown(client: DeviceClient) -> None:
    """Reset the device: it forgets its owner, and the client's identity forgets its key. The software stays."""
    try:
        await client.post(PSTAT, {"dos": {"s": 0}})
    except Failure as failure:
        # It may have reset itself before it answered: then everybody sees that it has no owner.
        if failure.code != CONNECTION or not await _is_free(client):
            raise
    client.identity.forget(client.uuid)


async def _is_free(client: DeviceClient) -> bool:
    end = time.monotonic() + _RESET_WAIT
    while time.monotonic() < end:
        try:
            found = await client.get(DOXM, timeout=1.0, clear=True)
            return isinstance(found, dict) and found.get("owned") is False
        except Failure:
            await asyncio.sleep(_RESET_POLL)
    return False
