"""The release server over CoAPs, asked by aiocoap through Mbed TLS."""

import asyncio
import hashlib
import socket
import time
import uuid

import aiocoap
import pytest
from aiocoap import GET, POST, Message
from aiocoap.optiontypes import BlockOption
from coap.endpoint import Endpoint
from fargo.authority import Authority
from fargo.serve import Server
from port.sockets import address
from swupdate.faults import Fault
from tunnel import Tunnel

from firmware import coap_connect
from firmware.sources import open_source, transport
from firmware.trust import ServerTrust

UUID, KEY = "11111111-2222-4333-8444-555555555555", bytes(range(16))
OWN = "99999999-2222-4333-8444-555555555555"
BODY = bytes(i * 11 % 253 for i in range(300_000))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    top = tmp_path_factory.mktemp("coap")
    root = top / "release"
    (root / "a b").mkdir(parents=True)
    (root / "app.bin").write_bytes(BODY)
    (root / "a b" / "small").write_bytes(b"inside")
    (root / "even").write_bytes(bytes(2048))
    (root / "empty").write_bytes(b"")
    (top / "secret").write_bytes(b"outside")
    server = Server(root, Authority(top / "ca"), https_port=None, uuid=OWN, keys={UUID: KEY})
    with server, Tunnel("127.0.0.1", UUID, KEY, server.coaps_port) as server.tunnel:
        yield server


def ask(served, *path, code=GET, block=None, etag=None):
    async def exchange():
        context = await aiocoap.Context.create_client_context()
        try:
            request = Message(code=code, uri=f"coap://127.0.0.1:{served.tunnel.port}")
            request.opt.uri_path = path
            if block is not None:
                request.opt.block2 = BlockOption.BlockwiseTuple(*block)
            if etag is not None:
                request.opt.etags = [etag]
            handle = context.request(request, handle_blockwise=block is None)
            return await asyncio.wait_for(handle.response, 40)
        finally:
            await context.shutdown()

    return asyncio.run(exchange())


def test_a_whole_file_in_blocks(served):
    before = served.count("/app.bin", "coaps")
    reply = ask(served, "app.bin")
    assert reply.payload == BODY
    assert reply.opt.etag == hashlib.sha256(BODY).digest()[:8]
    assert reply.opt.content_format == 42
    after = served.count("/app.bin", "coaps")
    assert (after.requests - before.requests, after.bytes - before.bytes) == (293, len(BODY))


@pytest.mark.parametrize("exponent", [0, 2, 6])
def test_any_block_of_any_size_by_itself(served, exponent):
    size = 16 << exponent
    number = len(BODY) // size // 2
    reply = ask(served, "app.bin", block=(number, False, exponent))
    assert reply.payload == BODY[number * size : (number + 1) * size]
    assert reply.opt.block2 == (number, True, exponent)
    assert reply.opt.size2 == len(BODY)


def test_the_last_block_says_so(served):
    reply = ask(served, "app.bin", block=(292, False, 6))
    assert reply.payload == BODY[292 * 1024 :]
    assert not reply.opt.block2.more
    reply = ask(served, "even", block=(1, False, 6))
    assert (len(reply.payload), reply.opt.block2.more) == (1024, False)


@pytest.mark.parametrize("block", [(293, False, 6), (100_000, False, 6), (0, False, 7)])
def test_a_block_that_is_not_there_is_4_00(served, block):
    assert str(ask(served, "app.bin", block=block).code) == "4.00 Bad Request"


def test_small_and_empty_files_come_in_one_message(served):
    reply = ask(served, "a b", "small")
    assert (reply.payload, reply.opt.block2) == (b"inside", None)
    assert ask(served, "empty").payload == b""


def test_a_known_tag_is_answered_2_03(served):
    tag = hashlib.sha256(BODY).digest()[:8]
    assert ask(served, "app.bin", etag=tag, block=(0, False, 6)).code == aiocoap.VALID
    assert ask(served, "app.bin", etag=b"other", block=(0, False, 6)).code == aiocoap.CONTENT


@pytest.mark.parametrize(
    "path", [(), ("none",), ("a b",), ("..", "secret"), ("../secret",), ("%2e%2e", "secret"), (".",)]
)
def test_nothing_else_exists(served, path):
    assert ask(served, *path).code == aiocoap.NOT_FOUND


def test_other_methods_are_4_05(served):
    assert ask(served, "app.bin", code=POST).code == aiocoap.METHOD_NOT_ALLOWED


class Limits:
    read_s = 5


class Board:
    """What the device's own way of fetching asks its surroundings: an authority that it was provisioned with, or a key."""

    def __init__(self, authorities=(), key=None):
        self.trusted, self.key = authorities, key

    def authorities(self):
        return list(self.trusted)

    def certificate(self):
        return None

    def psk_for(self, hint, _address):
        assert hint == uuid.UUID(OWN).bytes
        return self.key and (uuid.UUID(UUID).bytes, self.key, OWN)

    def now(self):
        return time.time()


def fetch(served, board, host="127.0.0.1", path="app.bin"):
    """The file, by the code of the device."""

    async def run():
        def credentials(host):
            return ServerTrust(host, Board((), board.key), board, board)

        source = open_source(served.coaps_url(path, host), board, "127.0.0.1", Limits, credentials)
        try:
            return await source.get(served.coaps_url(path, host), 1 << 20)
        finally:
            await source.close()

    return asyncio.run(run())


def test_a_device_that_was_provisioned_with_the_authority_fetches(served):
    assert fetch(served, Board([served.authority.ca_der()])) == BODY


def test_a_device_that_shares_a_key_fetches(served):
    assert fetch(served, Board(key=KEY)) == BODY


def test_a_device_does_not_fetch_from_who_is_not_the_server(served, tmp_path):
    asked = served.count("/app.bin", "coaps").requests
    with pytest.raises(Fault) as refused:
        fetch(served, Board([Authority(tmp_path / "other").ca_der()]))
    assert "its certificate: chain: wrong signature" in refused.value.text
    with pytest.raises(Fault):
        fetch(served, Board(key=bytes(16)))
    other = Server(served.folder.root, served.authority, "0.0.0.0", None, names=["other.example"])
    with other, pytest.raises(Fault) as refused:
        fetch(other, Board([served.authority.ca_der()]))
    assert "its certificate: it is for another server" in refused.value.text
    assert served.count("/app.bin", "coaps").requests == asked and other.count("/app.bin", "coaps").requests == 0


def test_a_session_that_nobody_has_judged_is_not_used(served, tmp_path):
    """Whoever began it gave up, or had no memory left, before the server was believed."""
    board = Board([Authority(tmp_path / "other").ca_der()])

    async def run():
        sessions = transport(ServerTrust("127.0.0.1", Board(), board, board))
        endpoint = Endpoint(sessions)
        task = asyncio.create_task(endpoint.run())
        try:
            await sessions.connect(address("127.0.0.1", served.coaps_port))
            with pytest.raises(Fault, match="its certificate: chain: wrong signature"):
                await coap_connect.connect(sessions, "127.0.0.1", served.coaps_port, 5000)
            assert not sessions.sessions
            for turns in range(0, 50, 7):  # given up while the certificate is looked at
                connecting = asyncio.create_task(coap_connect.connect(sessions, "127.0.0.1", served.coaps_port, 5000))
                while not sessions.sessions:
                    await asyncio.sleep(0)
                for _ in range(turns):
                    await asyncio.sleep(0)
                connecting.cancel()
                await asyncio.wait([connecting])
                assert not sessions.sessions, turns
        finally:
            endpoint.close()
            await asyncio.wait([task])

    asyncio.run(run())


def test_in_the_clear_nothing_is_answered(served):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.3)
        sock.connect(("127.0.0.1", served.coaps_port))
        sock.send(bytes((0x40, 1, 0, 1)) + b"\xb5small")
        with pytest.raises(TimeoutError):
            sock.recv(2048)
