"""What proofs of security on the whole device share: Clients in the clear and with certificates, the flash from outside."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiocoap
import cbor2
from certificates import Party
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fargo.flash import BLOCK, table
from littlefs import LittleFS, UserContext
from littlefs.lfs import LFSConfig
from mbedtls import pk, tls
from mbedtls import x509 as mbedtls_x509
from sim.rig import PSTAT, WAIT, Foreign, Rig
from tunnel import Tunnel

CRED, ACL, DOXM, CSR, SDI = "oic/sec/cred", "oic/sec/acl2", "oic/sec/doxm", "oic/sec/csr", "oic/sec/sdi"
RAW, PEM = "oic.sec.encoding.raw", "oic.sec.encoding.pem"
NIL = "00000000-0000-0000-0000-000000000000"
RFOTM, RFPRO, RFNOP = 1, 2, 3

_PATIENCE = 15.0  # seconds: certificates take a device long, on a busy machine several
# An app that keeps what it is told in its folder.
NOTES = """
import asyncio
from ocf import Property, Resource


class Note(Resource):
    href = "/note"
    rt = ("x.test.note",)
    properties = (Property("text", str, "rw"),)

    def __init__(self, folder):
        self.path = folder + "/note"
        try:
            with open(self.path) as file:
                super().__init__(text=file.read())
        except OSError:
            super().__init__(text="")

    def update(self, values):
        super().update(values)
        with open(self.path, "w") as file:
            file.write(self.text)


note = None


async def main(device):
    global note
    note = device.add(Note(device.data))
    await asyncio.sleep(100000)


def reset():
    note.text = ""
"""
CRASHING = NOTES.replace("    await asyncio.sleep(100000)", '    raise RuntimeError("it crashes")')


class _Straight:
    """In the place of a tunnel, where there is none."""

    port = 5683

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_exc: object) -> None:
        pass


class Clear(Foreign):
    """A Client that secures nothing."""

    def __init__(self, rig: Rig) -> None:
        self._tunnel = _Straight()  # type: ignore[assignment]
        self.host = f"{rig.stage.address}:5683"

    async def code(self, method: Any, path: str, value: Any = None) -> str:
        """What is answered, as "4.01"."""
        body = (cbor2.dumps(value), 10000) if value is not None else ()
        reply = await self.ask(method, path, *body)
        return f"{reply.code.class_}.{reply.code.value & 31:02d}"


class Certified(Foreign):
    """A Client that shows the certificate of `party`, and believes whom `authority` has certified."""

    def __init__(self, rig: Rig, party: Party, authority: Party) -> None:
        private = party.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        store = tls.TrustStore()
        store.add(mbedtls_x509.CRT.from_DER(authority.der))
        configuration = tls.DTLSConfiguration(
            certificate_chain=((mbedtls_x509.CRT.from_DER(party.der),), pk.ECC.from_DER(private)),
            trust_store=store,
            ciphers=["TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8"],
            lowest_supported_version=tls.DTLSVersion.DTLSv1_2,
            highest_supported_version=tls.DTLSVersion.DTLSv1_2,
        )
        more = {"starts": rig._starts, "configuration": configuration, "patience": _PATIENCE}
        self._tunnel = Tunnel(rig.stage.address, "", b"", **more)
        self.host = f"127.0.0.1:{self._tunnel.port}"


async def refused(client: Foreign) -> None:
    """The device does not let `client` in: the handshake ends with an error."""
    async with client:
        asking = asyncio.ensure_future(client.ask(aiocoap.GET, "oic/d", timeout=WAIT))
        async with asyncio.timeout(WAIT):
            while not client._tunnel.refused:
                assert not asking.done(), asking
                await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def pem(*parties: Party) -> str:
    """A chain as text."""
    return "".join(party.certificate.public_bytes(Encoding.PEM).decode() for party in parties)


@contextlib.asynccontextmanager
async def provisioning(client: Foreign) -> AsyncIterator[None]:
    """In RFPRO, and then back in RFNOP."""
    assert (await client.post(PSTAT, {"dos": {"s": RFPRO}})).code == aiocoap.CHANGED
    yield
    assert (await client.post(PSTAT, {"dos": {"s": RFNOP}})).code == aiocoap.CHANGED


async def write(client: Foreign, path: str, name: str, *entries: dict[str, Any]) -> None:
    """UPDATE of `cred` or `acl2`, one entry at a time."""
    for entry in entries:
        reply = await client.post(path, {name: [entry]})
        assert reply.code == aiocoap.CHANGED, (entry, reply.payload)


def shared_key(subject: str, key: bytes) -> dict[str, Any]:
    """The credential of a pre-shared key."""
    return {"credtype": 1, "subjectuuid": subject, "privatedata": {"encoding": RAW, "data": key}}


def certificate(usage: str, subject: str, text: str) -> dict[str, Any]:
    """The credential of certificates."""
    public = {"encoding": PEM, "data": text}
    return {"credtype": 8, "subjectuuid": subject, "credusage": "oic.sec.cred." + usage, "publicdata": public}


def rights(subject: str, permission: int, *hrefs: str) -> dict[str, Any]:
    """An access control entry."""
    return {
        "subject": {"uuid": subject},
        "resources": [{"href": href} for href in hrefs],
        "permission": permission,
    }


class _Public:
    """A key of which only the public half is known."""

    def __init__(self, key: Any) -> None:
        self.public_key = lambda: key


async def certify(client: Foreign, authority: Party) -> Party:
    """Have the device make a certificate request, and give it an identity certificate; to be called in `provisioning`."""
    request = x509.load_pem_x509_csr((await client.get(CSR))["csr"].encode())
    assert request.is_signature_valid
    device = Party(request.subject, authority, key=_Public(request.public_key()))  # type: ignore[no-untyped-call]
    uuid = (await client.get(DOXM))["deviceuuid"]
    await write(
        client, CRED, "creds", certificate("trustca", "*", pem(authority)), certificate("cert", uuid, pem(device))
    )
    return device


async def unowned(rig: Rig) -> tuple[Any, Any]:
    """Wait until the device says in the clear that nobody owns it; its doxm and pstat."""
    async with Clear(rig) as clear:
        await clear.until(lambda v: v["dos"] == {"s": RFOTM, "p": False}, path=PSTAT)
        return await clear.get(DOXM), await clear.get(PSTAT)


def partition(rig: Rig, name: str) -> bytes:
    """A partition, as it is in the flash now."""
    (row,) = [row for row in table(rig.stage.layout) if row.name == name]
    return rig.stage.flash.read_bytes()[row.offset : row.offset + row.size]


def stored(rig: Rig) -> dict[str, bytes]:
    """All files of the data partition of a board that is off: path -> content."""
    return files_in(partition(rig, "data"))


class _Quick(UserContext):
    """As the library's own, without a line for the log at each of the many reads."""

    def read(self, cfg: LFSConfig, block: int, off: int, size: int) -> bytearray:
        start = block * BLOCK + off
        return self.buffer[start : start + size]


def files_in(data: bytes) -> dict[str, bytes]:
    """All files of a LittleFS as the board makes them: path -> content. Raises LittleFSError when it cannot be mounted."""
    context = _Quick(buffer=bytearray(data))
    sizes = {"prog_size": 32, "read_size": 32, "lookahead_size": 32, "cache_size": BLOCK}  # the cache is not on flash
    fs = LittleFS(context, block_size=BLOCK, block_count=len(data) // BLOCK, **sizes)
    found = {}
    for folder, _, names in fs.walk("/"):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            with fs.open(path, "rb") as file:
                found[path] = file.read()
    return found
