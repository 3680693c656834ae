"""A fetch that is interrupted goes on where it was, over HTTPS: lost connections at every chunk, and the plug pulled.

A chunk counts as fetched when its last byte was received. Of the connections that the server cuts, everything that was
sent was received; when the power fails, what was on its way (the chip's TCP window, and what the server had handed to its
own system) is nobody's fault, and what is asked for next is compared with what is in the flash.
"""

import asyncio
import itertools
import random

import pytest
from sim.cuts import CHUNK, HANDED, PIECE, Raw, again
from sim.owned_rig import partition
from sim.rig import ISVV, STATUS, WAIT

WINDOW = 5760  # bytes that the chip takes unasked (TCP)
QUICK = {"backoff_ms": [1, 2], "attempts": 1000}


@pytest.fixture
def rig(make):
    """A board, and a release with both halves."""
    rig = make(settings=QUICK)
    rig.stage.release("1.1.0", 2, firmware=True)
    return rig


@pytest.fixture
def server(rig):
    """That releases are fetched from here."""
    with Raw(rig) as server:
        yield server


def payloads(rig):
    """The payload files of 1.1.0: name -> bytes."""
    return {path.name: path.read_bytes() for path in rig.stage.releases.glob("*.bin")}


async def whole(rig, client):
    """The download ends well, and every byte of it is right; how many attempts it took."""
    swu = await client.settled(timeout=300)
    assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("sva", 0, "1.1.0"), await client.reason()
    held = partition(rig, "ota_1"), partition(rig, "app_1")
    assert all(any(image.startswith(data) for image in held) for data in payloads(rig).values())
    return (await client.get(STATUS))["attempts"]


def goes_on(answers):
    """Every answer begins at the chunk in which the one before it was cut; but for the first chunks, which come last."""
    for (name, start, sent), (after, begin, _) in itertools.pairwise(answers):
        if name == after and begin > 0 and start > 0:
            assert begin == (start + sent) // CHUNK * CHUNK, (name, start, sent, begin)


# An answer is cut after so many bytes. One that gets no further (less than a chunk) may come twice in a row.
AROUND = (CHUNK, CHUNK + 1, CHUNK - 1, 2 * CHUNK - 1, 0, CHUNK + 2047, 1, CHUNK + PIECE, 2 * CHUNK)


@pytest.mark.parametrize("first", [0, 4])
async def test_the_connection_is_lost_around_every_boundary(rig, server, first):
    """Just before, at and behind the end of chunks, from the first to the last."""
    server.cuts = itertools.cycle(AROUND[first:] + AROUND[:first])
    async with rig.client() as client:
        await client.update(server.url("1.1.0"), ISVV, "now")
        attempts = await whole(rig, client)
    files = payloads(rig)
    chunks = sum((len(data) + CHUNK - 1) // CHUNK for data in files.values())
    assert attempts >= chunks // 2
    goes_on(server.answers)
    twice = again(server.answers)
    print("%d connections lost in %d chunks; fetched again: at most %d bytes" % (attempts - 1, chunks, max(twice)))
    assert max(twice) <= CHUNK  # that much only when the app's first chunk had come and the firmware's was lost
    assert sum(server.requests.count(r) for r in server.requests if r[0].endswith(".chunks")) == 2  # tables are kept
    assert rig.board.resets == ["power"]


def in_flash(rig, name):
    """The chunks of a payload file that the other slot holds."""
    data = payloads(rig)[name]
    image = partition(rig, "ota_1" if data[:1] == b"\xe9" else "app_1")
    starts = range(0, len(data), CHUNK)
    return {at // CHUNK for at in starts if image[at : at + CHUNK][: len(data) - at] == data[at : at + CHUNK]}


async def sent(server, count):
    """Wait until the server has sent so many bytes of payload."""
    async with asyncio.timeout(WAIT):
        while sum(answer[2] for answer in server.answers) < count:
            await asyncio.sleep(0.005)


async def test_the_plug_is_pulled_at_any_point(make):
    """More often than an action is taken up in vain. What is in the flash is not asked for again, and little else is."""
    draw = random.Random(4)
    rig = make(settings=QUICK, board={"flash_ms": (8, 4)})
    rig.stage.release("1.1.0", 2, firmware=True)
    with Raw(rig) as server:
        server.pause = 0.02
        lost = []
        async with rig.client() as client:
            await client.update(server.url("1.1.0"), ISVV, "now")
            for _ in range(7):
                await sent(server, sum(answer[2] for answer in server.answers) + draw.randrange(2 * PIECE, 7 * CHUNK))
                await asyncio.sleep(draw.random() * 0.05)
                await asyncio.to_thread(rig.board.power_off)
                number = len(server.answers)
                name, start, count = server.answers[-1]
                there = in_flash(rig, name)
                assert set(range(1, start // CHUNK)) <= there
                await asyncio.to_thread(rig.start)
                await sent(server, sum(answer[2] for answer in server.answers[:number]) + 1)
                after, begin, _ = server.answers[number]
                if max(there, default=0) == (len(payloads(rig)[name]) - 1) // CHUNK:  # then the other half begins
                    assert after != name
                    name, start, count, there = after, 0, 0, in_flash(rig, after)
                assert after == name and begin // CHUNK == max(there, default=0) + 1  # not one that is there
                lost.append(max(start + count - begin, 0))
            assert await whole(rig, client) == 1
    print("without power %d times; sent and not in the flash: %s" % (len(lost), lost))
    assert max(lost) <= CHUNK + PIECE + WINDOW + 2 * HANDED
    assert rig.board.resets == ["power"] * 8
