"""Multicast discovery on the loopback interface, and finding a device by UUID or name."""

import asyncio

import cbor2
import pytest
from coap.endpoint import Endpoint
from coap.message import Refused, Response
from coap.udp import UdpTransport
from fargo import client
from fargo.console import CONNECTION, Failure
from foreign_device import Front, owner

pytestmark = pytest.mark.alone

LO = "127.0.0.1"
UUIDS = ("11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555")


class Answering:
    """Devices that answer the group's discovery; all on this host, so each has a port of its own."""

    def __init__(self, *devices):
        self.devices = devices
        self.endpoints = []
        self.fronts = []

    async def __aenter__(self):
        for uuid, name, rt in self.devices:
            transport = UdpTransport(LO, 0, groups=[client.IPV4_GROUP], interface=LO)
            front = Front(transport._sockets[0].getsockname()[1], uuid)
            endpoint = Endpoint(transport, self.handler(uuid, name, rt, front.port), leisure=100)
            self.fronts.append(front)
            self.endpoints.append((endpoint, asyncio.ensure_future(endpoint.run())))
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_exc):
        for front in self.fronts:
            await front.close()
        for endpoint, task in self.endpoints:
            endpoint.close()
            await asyncio.gather(task, return_exceptions=True)

    def handler(self, uuid, name, rt, secure_port):
        eps = [{"ep": f"coaps://{LO}:{secure_port}"}]

        def handle(request):
            if request.path == "/oic/d":
                return Response(0x45, cbor2.dumps({"n": name, "di": uuid, "sv": "1.0.0", "rt": ["oic.wk.d"]}), 10000)
            if request.path != "/oic/res":
                raise Refused(0x84)
            links = [{"href": "/" + t, "rt": [t], "anchor": "ocf://" + uuid, "eps": eps} for t in ("oic.wk.res", rt)]
            links = [link for link in links if not request.query or "rt=" + link["rt"][0] in request.query]
            return Response(0x45, cbor2.dumps(links), 10000)

        return handle


async def test_discovery_lists_every_device_with_name_and_version():
    async with Answering((UUIDS[0], "lamp", client.SOFTWARE_UPDATE), (UUIDS[1], "plug", "oic.r.switch.binary")):
        found = await client.discover(LO, wait=1.5)
    # Other devices may live on this machine: a demo, a board of another test.
    assert [(d.uuid, d.name, d.version, d.updatable) for d in found if d.uuid in UUIDS] == [
        (UUIDS[0], "lamp", "1.0.0", True),
        (UUIDS[1], "plug", "1.0.0", False),
    ]


async def test_a_device_is_found_by_uuid_and_by_name():
    async with Answering((UUIDS[0], "lamp", client.SOFTWARE_UPDATE), (UUIDS[1], "plug", "oic.r.switch.binary")):
        for name in ("lamp", UUIDS[0], UUIDS[0].upper()):
            async with await client.connect(name, owner(*UUIDS), LO, wait=1.5) as connected:
                assert (await connected.device())["di"] == UUIDS[0]


async def test_an_unknown_name_says_who_is_there():
    async with Answering((UUIDS[0], "lamp", client.SOFTWARE_UPDATE)):
        with pytest.raises(Failure, match="no device 'oven' answered") as caught:
            await client.connect("oven", owner(), LO, wait=1.5)
    assert caught.value.code == CONNECTION
    assert "lamp" in caught.value.hint


async def test_two_devices_of_one_name_are_not_guessed_between():
    async with Answering(*[(uuid, "lamp", client.SOFTWARE_UPDATE) for uuid in UUIDS]):
        with pytest.raises(Failure, match="2 devices are named") as caught:
            await client.connect("lamp", owner(), LO, wait=1.5)
    assert UUIDS[1] in caught.value.hint


async def test_an_address_that_is_not_ours_cannot_be_the_interface():
    with pytest.raises(Failure, match="cannot use the address"):
        await client.discover("203.0.113.9", wait=0.1)
