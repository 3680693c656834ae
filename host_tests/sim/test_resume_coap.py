"""A fetch that is interrupted goes on where it was, over CoAP secured by DTLS: at any block, whatever becomes of the server.

Blocks have 1,024 bytes, a chunk has four of them, and six are outstanding at most: of those that were on their way when it
was interrupted nothing can be kept.
"""

import asyncio
import itertools
import random

import pytest
from sim.cuts import Turning
from sim.owned_rig import partition
from sim.rig import ISVV, STATUS, WAIT

IN_CHUNK, OUTSTANDING = 4, 6


@pytest.fixture
def rig(make):
    """A board, and a release with both halves."""
    settings = {"backoff_ms": [1, 2], "attempts": 1000, "read_s": 3}
    rig = make(server=Turning, settings=settings, board={"flash_ms": (4, 2)})
    rig.stage.release("1.1.0", 2, firmware=True)
    return rig


async def whole(rig, client):
    """The download ends well, and every byte of it is right."""
    swu = await client.settled(timeout=300)
    assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("sva", 0, "1.1.0"), await client.reason()
    held = partition(rig, "ota_1"), partition(rig, "app_1")
    for path in rig.stage.releases.glob("*.bin"):
        assert any(image.startswith(path.read_bytes()) for image in held)
    assert rig.stage.server.total("https").requests == 0


async def answered(server, count):
    """Wait until so many blocks were answered."""
    async with asyncio.timeout(WAIT):
        while len(server.blocks) < count:
            await asyncio.sleep(0.002)


def kept(blocks, begin, turn, slack=0):
    """No chunk that came whole between two interruptions is asked for again; `slack`: but for so many of the last."""
    came = set(blocks[begin:turn])
    chunks = sorted({(name, number // IN_CHUNK) for name, number, _ in came})
    complete = [c for c in chunks if all((c[0], c[1] * IN_CHUNK + i, 6) in came for i in range(IN_CHUNK))]
    complete = complete[: len(complete) - slack]
    later = {(name, number // IN_CHUNK) for name, number, _ in blocks[turn + OUTSTANDING :]}
    return [chunk for chunk in complete if chunk[1] and chunk in later]


async def test_it_is_interrupted_at_every_kind_of_block(rig):
    """The entity tag is another one every few blocks: each time the transfer is over, and goes on with the new tag."""
    server = rig.stage.server
    server.turns = itertools.cycle(
        (10, 11, 12, 13, 15, 19, 14)
    )  # what was outstanding at the turn counts for the next
    async with rig.client() as client:
        await client.update(rig.stage.url("1.1.0", "coaps"), ISVV, "now")
        await whole(rig, client)
        attempts = (await client.get(STATUS))["attempts"]
    size = sum(path.stat().st_size for path in rig.stage.releases.glob("*.bin"))
    assert attempts > 10
    for begin, turn in itertools.pairwise([0, *server.turned]):  # what was outstanding at a turn was for nothing
        assert kept(server.blocks, begin and begin + OUTSTANDING, turn) == []
    again = len(server.blocks) - len(set(server.blocks))
    print("%d interruptions in %d blocks; asked for again: %d" % (len(server.turned), size // 1024, again))
    assert again <= (IN_CHUNK - 1 + OUTSTANDING) * len(server.turned) + 2 * IN_CHUNK
    assert rig.board.resets == ["power"]


async def test_the_server_changes_to_smaller_blocks(rig):
    """In the middle of a transfer, and again."""
    server = rig.stage.server
    async with rig.client() as client:
        await client.update(rig.stage.url("1.1.0", "coaps"), ISVV, "now")
        for count, exponent in ((30, 4), (200, 3), (400, 2)):
            await answered(server, count)
            server.largest = exponent
        await whole(rig, client)
        assert (await client.get(STATUS))["attempts"] == 1
    assert {exponent for _, _, exponent in server.blocks} == {6, 4, 3, 2}


async def test_the_server_is_started_anew(rig):
    """It knows nothing of the session any more: a new handshake, and the chunks that are there are kept."""
    server = rig.stage.server
    async with rig.client() as client:
        await client.update(rig.stage.url("1.1.0", "coaps"), ISVV, "now")
        turns = [0]
        for _ in range(2):
            await answered(server, turns[-1] + 50)
            server.silent = True  # it may take as long to stop as the device to fetch all that is left
            await asyncio.to_thread(server.stop)
            turns.append(len(server.blocks))
            server.silent = False
            await asyncio.to_thread(server.start)
        await whole(rig, client)
    for begin, turn in itertools.pairwise(turns):
        assert kept(server.blocks, begin, turn, slack=2) == []
    assert len(server.blocks) - len(set(server.blocks)) <= 2 * (2 * IN_CHUNK + OUTSTANDING) + 2 * IN_CHUNK


async def test_the_plug_is_pulled_at_any_point(rig):
    """More often than an action is taken up in vain."""
    draw = random.Random(5)
    server = rig.stage.server
    turns = [0]
    async with rig.client() as client:
        await client.update(rig.stage.url("1.1.0", "coaps"), ISVV, "now")
        for _ in range(5):
            await answered(server, turns[-1] + draw.randrange(10, 34))
            await asyncio.to_thread(rig.board.power_off)
            turns.append(len(server.blocks))
            await asyncio.to_thread(rig.start)
        await whole(rig, client)
    for begin, turn in itertools.pairwise(turns):  # one is being written, one may wait for it, the rest is on its way
        assert kept(server.blocks, begin, turn, slack=3) == []
    again = len(server.blocks) - len(set(server.blocks))
    print("without power %d times; blocks asked for again: %d" % (len(turns) - 1, again))
    assert again <= (2 * IN_CHUNK + OUTSTANDING) * 5 + 2 * IN_CHUNK
    assert rig.board.resets == ["power"] * 6
