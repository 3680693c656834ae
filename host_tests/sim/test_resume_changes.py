"""A fetch over HTTPS from a server whose file, entity tag or ways are others after the interruption."""

import asyncio
import itertools
import threading

import pytest
from sim.cuts import CHUNK, Raw, again
from sim.owned_rig import partition
from sim.rig import ISVV, STATUS, WAIT

HALF = 10 * CHUNK + 500


@pytest.fixture
def rig(make):
    """A board, and a release with both halves."""
    rig = make(settings={"backoff_ms": [30, 60]})
    rig.stage.release("1.1.0", 2, firmware=True)
    yield rig
    assert rig.board.resets == ["power"]
    assert not [line for line in rig.board.lines if "Traceback" in line]


@pytest.fixture
def server(rig):
    """That releases are fetched from here; the first answer with payload is cut."""
    with Raw(rig) as server:
        server.cuts = iter([HALF])
        yield server


async def begun(client, rig, server, change):
    """Begin, until the answer was cut and `change` done: before the board hears of the end, and comes again."""
    done = threading.Event()
    server.when_cut = lambda: (change(), done.set())
    await client.update(server.url("1.1.0"), ISVV, "now")
    assert await asyncio.to_thread(done.wait, WAIT)


def payload(rig, magic=b"\xd2"):
    """The app of the release."""
    (path,) = [path for path in rig.stage.releases.glob("*.bin") if path.read_bytes()[:1] == magic]
    return path


async def ready(client, rig):
    """It ends well."""
    swu = await client.settled()
    assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("sva", 0, "1.1.0"), await client.reason()
    assert partition(rig, "app_1").startswith(payload(rig).read_bytes())


async def failed(client, rig, result, words):
    """It does not, and says why; the slot cannot be taken for one that may be started."""
    swu = await client.settled()
    reason = await client.reason()
    assert (swu["swupdateresult"], swu["swupdatestate"], swu["swupdateaction"]) == (result, "idle", "idle"), reason
    assert words in reason
    assert partition(rig, "ota_1")[:CHUNK] == b"\xff" * CHUNK
    assert await client.version() == "1.0.0"


async def test_another_entity_tag_of_the_same_file(rig, server):
    """It goes on where it was."""
    async with rig.client() as client:
        await begun(client, rig, server, lambda: setattr(server, "tag", '"two"'))
        await ready(client, rig)
        assert (await client.get(STATUS))["attempts"] == 2
    assert server.answers[1][1] == (CHUNK + HALF) // CHUNK * CHUNK and max(again(server.answers)) < CHUNK


async def test_another_entity_tag_between_two_ranges(rig, server):
    """The range is not sent by a server that heeds If-Range: lost, and it goes on with the new tag."""
    server.cuts = iter(())
    tags = itertools.chain(['"one"', '"two"'], itertools.repeat('"three"'))

    def turn(stream, headers):
        if ".chunks" not in server.requests[-1][0]:
            server.tag = next(tags)
        return server.file(stream, headers)

    server.otherwise = turn
    async with rig.client() as client:
        await client.update(server.url("1.1.0"), ISVV, "now")
        await ready(client, rig)
        assert (await client.get(STATUS))["attempts"] == 2
    assert '"two"' in [headers.get("if-range") for _, headers in server.requests]


async def test_another_file_of_the_same_size(rig, server):
    """Not a byte of it is taken for what was signed."""
    async with rig.client() as client:
        path = payload(rig)

        def change():
            path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
            server.tag = '"two"'

        await begun(client, rig, server, change)
        await failed(client, rig, 5, "not what was signed")


async def test_a_shorter_file(rig, server):
    """Shorter than what is there already, or a little."""
    async with rig.client() as client:
        path = payload(rig)
        await begun(client, rig, server, lambda: path.write_bytes(path.read_bytes()[:-100]))
        await failed(client, rig, 4, "another range")
        path.write_bytes(path.read_bytes()[:CHUNK])
        await client.update(server.url("1.1.0"), ISVV, "now")
        await failed(client, rig, 416, "416")


async def test_a_longer_file(rig, server):
    """What was signed is in it, so it is taken; what is behind is not asked for."""
    async with rig.client() as client:
        path = payload(rig)
        right = path.read_bytes()
        await begun(client, rig, server, lambda: path.write_bytes(right + bytes(99_999)))
        swu = await client.settled()
        assert swu["swupdatestate"] == "sva", await client.reason()
        path.write_bytes(right)
        await ready(client, rig)
    assert all(start + sent <= len(right) for name, start, sent in server.answers if name == path.name)


@pytest.mark.parametrize("cut", [HALF, 2 * HALF])
async def test_a_server_without_ranges(rig, server, cut):
    """It sends the file from the beginning; what is there already is passed over and not written again."""
    server.ranges = False
    server.cuts = iter([cut])
    async with rig.client() as client:
        await client.update(server.url("1.1.0"), ISVV, "now")
        await ready(client, rig)
        assert (await client.get(STATUS))["attempts"] == 2
    assert {start for _, start, _ in server.answers} == {0}


async def test_a_kept_connection_is_closed_between_two_ranges(rig, server):
    """By a server that says nothing about it: that is no failed attempt."""
    server.cuts = iter(())

    def once(stream, headers):
        server.file(stream, headers)
        return False

    server.otherwise = once
    async with rig.client() as client:
        await client.update(server.url("1.1.0"), ISVV, "now")
        await ready(client, rig)
        assert (await client.get(STATUS))["attempts"] == 1
    assert server.connections >= len(server.requests) and sum(again(server.answers)) == 0
