"""One DTLS session for envelope and payload: `firmware.job`, by way of `firmware.ahead`, against the release server."""

import asyncio
import time
import types
import uuid

import pytest
from dtls.transport import DtlsTransport
from fargo.authority import Authority
from fargo.serve import Server
from swupdate.faults import Fault

from firmware.job import Job

UUID, KEY = "11111111-2222-4333-8444-555555555555", bytes(range(16))
OWN = "99999999-2222-4333-8444-555555555555"
BODY = bytes(i * 11 % 253 for i in range(30_000))


class Device:
    """What a job asks its surroundings: a device without authorities, that shares a key with the server."""

    class limits:
        connect_s, read_s = 5, 5

    class ocf:
        out = memoryview(bytearray(1280))

    def __init__(self, key=KEY):
        self.key = key
        self.board = self.security = self

    def spare(self):
        return 1 << 20

    def dns(self):
        return "127.0.0.1"

    def address(self):
        return None

    def authorities(self):
        return []

    def certificate(self):
        return None

    def psk_for(self, hint, _address):
        return (uuid.UUID(UUID).bytes, self.key, OWN)

    def now(self):
        return time.time()


@pytest.fixture
def server(tmp_path):
    root = tmp_path / "release"
    root.mkdir()
    (root / "envelope").write_bytes(b"envelope")
    (root / "payload").write_bytes(BODY)
    with Server(root, Authority(tmp_path / "ca"), https_port=None, uuid=OWN, keys={UUID: KEY}) as server:
        yield server


@pytest.fixture
def handshakes(monkeypatch):
    """The addresses of servers that a handshake was begun with."""
    begun = []
    connect = DtlsTransport.connect

    async def counted(self, address, timeout_ms=20_000):
        begun.append(address)
        return await connect(self, address, timeout_ms)

    monkeypatch.setattr(DtlsTransport, "connect", counted)
    return begun


def job_of(server, device):
    job = Job.__new__(Job)
    job.url = server.coaps_url("envelope")
    job.trust = job.clock = job._node = device
    job.limits = device.limits
    return job


async def get(job, name):
    source = job.open(job.url)
    try:
        return await source.get(name, 1 << 16)
    finally:
        source.rest()
        await source.close()


async def quiet():
    """All tasks but this one have ended."""
    for _ in range(2000):
        if len(asyncio.all_tasks()) == 1:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(asyncio.all_tasks())


def test_envelope_and_payload_come_over_one_session(server, handshakes):
    async def run():
        job = job_of(server, Device())
        await job.connect()
        assert len(handshakes) == 1
        assert await get(job, job.url) == b"envelope"
        assert await get(job, "payload") == BODY
        assert len(handshakes) == 1
        job.close()
        await quiet()

    asyncio.run(run())


def test_a_session_that_the_server_has_ended_is_begun_anew(server, handshakes):
    async def run():
        job = job_of(server, Device())
        await job.connect()
        assert await get(job, job.url) == b"envelope"
        port = server.coaps_port
        await asyncio.to_thread(server.__exit__, None, None, None)
        while job.endpoint.transport.sessions:  # until the goodbye has come
            await asyncio.sleep(0.01)
        again = Server(
            server.folder.root, server.authority, https_port=None, coaps_port=port, uuid=OWN, keys={UUID: KEY}
        )
        await asyncio.to_thread(again.__enter__)
        try:
            assert await get(job, "payload") == BODY
        finally:
            await asyncio.to_thread(again.__exit__, None, None, None)
        assert len(handshakes) == 2 and job.endpoint is None
        job.close()
        await quiet()

    asyncio.run(run())


def test_without_connect_each_source_has_a_session_of_its_own(server, handshakes):
    async def run():
        job = job_of(server, Device())
        assert await get(job, job.url) == b"envelope"
        assert await get(job, "payload") == BODY
        assert len(handshakes) == 2
        job.close()
        await quiet()

    asyncio.run(run())


def test_a_server_with_another_key_is_told_in_words_and_nothing_is_left(server, handshakes):
    async def run():
        job = job_of(server, Device(bytes(16)))
        with pytest.raises(Fault, match="the keys of both sides differ"):
            await job.connect()
        job.close()
        await quiet()

    asyncio.run(run())


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "coap://127.0.0.1/x"])
def test_what_is_not_fetched_with_is_said_by_open(url, handshakes):
    async def run():
        job = job_of(types.SimpleNamespace(coaps_url=lambda _name: url), Device())
        await job.connect()
        with pytest.raises(Fault) as caught:
            job.open(url)
        assert caught.value.cause == "scheme" and not handshakes

    asyncio.run(run())
