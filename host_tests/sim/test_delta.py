"""Whole updates by what differs, over HTTPS and CoAP: the plug pulled in the middle, deltas that are wrong, other bases."""

import asyncio
import random
import struct

import pytest
from fargo import release, suit
from sim.owned_rig import partition
from sim.rig import ISVV, STATUS, UPGRADE, WAIT, Faulty
from swupdate.install.manifest import Manifest

CHUNK = 4096
CUT = 60  # the flash operation at which the power fails: two are for each chunk, and some for records


class Told(Faulty):
    """Remembers (suffix, first byte, status) of every answer over HTTPS, and (suffix, block) over CoAP."""

    def __init__(self, *args, **more):
        super().__init__(*args, log=self.tell, **more)
        self.asked = []

    def tell(self, served):
        if served.protocol == "https":
            first = int(served.range.split()[1].partition("-")[0]) if served.range else 0
            self.asked.append((served.path.rpartition(".")[2], first, served.status))

    def answer(self, request):
        self.asked.append((request.path.rpartition(".")[2], (request.block2 or 0) >> 4, ""))
        return super().answer(request)

    def sent(self, suffix):
        """Bytes of files of a kind that went out."""
        return sum(count.bytes for (_, path), count in self.counts.items() if path.endswith(suffix))


# New in the app, at its beginning: all else moves.
TEXT = random.Random(6).randbytes(12_000).hex()


@pytest.fixture
def rig(make):
    """A board that takes its time for the flash, and a release whose app differs from its own."""
    rig = make(server=Told, settings={"backoff_ms": [1, 2], "attempts": 1000}, board={"flash_ms": (8, 4)})
    rig.stage.release("1.1.0", 2, change={"1.txt": TEXT}, bases=[rig.base()], compress=True)
    return rig


def image(rig):
    """The app that is offered."""
    (part,) = release.show(rig.stage.releases / "fargo-1.1.0.suit")["components"]
    return (rig.stage.releases / part["uri"]).read_bytes(), part["travels"]


def form(rig):
    """The delta that is offered: (uri, lengths, base)."""
    manifest, _, _ = suit.opened((rig.stage.releases / "fargo-1.1.0.suit").read_bytes())
    return Manifest(manifest).components[0].forms[0]


def there(rig, data):
    """Which chunks of the app the other slot holds."""
    held = partition(rig, "app_1")
    starts = range(0, len(data), CHUNK)
    return [held[at : at + CHUNK][: len(data) - at] == data[at : at + CHUNK] for at in starts]


@pytest.mark.parametrize("scheme", ["https", "coaps"])
async def test_an_update_by_delta_whose_power_fails(rig, scheme):
    """It goes on at the window of the first chunk that is not there; the payload itself is never fetched."""
    server = rig.stage.server
    data, travels = image(rig)
    assert travels[0]["base"] and travels[0]["bytes"] < len(data) // 5
    (path,) = rig.stage.releases.glob("*.delta")
    lengths = [count for (count,) in struct.iter_unpack(">H", form(rig)[1])]
    rig.board.power_off()
    rig.board.cut_at = CUT
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        await client.update(rig.stage.url("1.1.0", scheme), ISVV, "now")
        await asyncio.to_thread(rig.board.wait_off, WAIT)
        rig.board.cut_at = 0
        missing = there(rig, data)[1:].index(False) + 1
        assert missing > 16  # beyond the second of the long windows
        before, count = len(server.asked), server.sent(".delta")
        await asyncio.to_thread(rig.start)
        swu = await client.settled(timeout=120)
        assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("sva", 0, "1.1.0"), await client.reason()
        later = [entry for entry in server.asked[before:] if entry[0] == "delta"]
        window = (missing + 7) // 8
        begin = sum(lengths[:window])
        assert later[0][1] == (begin if scheme == "https" else begin // 1024)
        left = lengths[window:]
        # Whole blocks for each window, and one of them may lie across two.
        assert server.sent(".delta") - count <= sum(left) + (1 + max(3, len(left))) * 1024
        assert partition(rig, "app_1").startswith(data) and not server.sent(".bin") and not server.sent(".packed")
        await client.run(rig.stage.url("1.1.0", scheme), UPGRADE)
        assert await client.version() == "1.1.0"
    assert path.stat().st_size == travels[0]["bytes"]


async def test_deltas_that_are_wrong_and_bases_that_do_not_run(rig):
    """A delta that was changed or cut gives way to the compressed payload, that to the payload, and that to result 5."""
    server = rig.stage.server
    data, _ = image(rig)
    (path,) = rig.stage.releases.glob("*.delta")
    good = path.read_bytes()
    async with rig.client() as client:
        path.write_bytes(good[:3000] + bytes(200) + good[3200:])
        swu = await client.run(rig.stage.url("1.1.0"), ISVV)
        assert (swu["swupdatestate"], swu["swupdateresult"]) == ("sva", 0), await client.reason()
        assert server.sent(".delta") and server.sent(".packed") and not server.sent(".bin")
        assert partition(rig, "app_1").startswith(data)

        other = {"app": rig.base()["app"][:-1] + b"x"}  # never ran anywhere
        rig.stage.release("1.1.5", 3, change={"1.txt": TEXT[:-2]}, bases=[other])
        before = server.sent(".delta")
        swu = await client.run(rig.stage.url("1.1.5"), ISVV)
        assert (swu["swupdatestate"], swu["nv"]) == ("sva", "1.1.5") and server.sent(".delta") == before
        assert server.sent(".bin") > 100_000

        rig.stage.release("1.2.0", 4, change={"1.txt": TEXT[:-2]}, bases=[other, rig.base()], compress=True)
        for wrong in rig.stage.releases.glob("*.delta"):
            wrong.write_bytes(wrong.read_bytes()[:100])
        for wrong in rig.stage.releases.glob("*.packed"):
            wrong.unlink()
        before = server.sent(".bin")
        swu = await client.run(rig.stage.url("1.2.0"), ISVV)
        assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("sva", 0, "1.2.0"), await client.reason()
        assert server.sent(".bin") > before

        rig.stage.release("1.3.0", 5, change={"1.txt": TEXT[:-4]}, bases=[rig.base()], compress=True)
        for suffix in ("delta", "packed", "bin"):
            for wrong in rig.stage.releases.glob("*." + suffix):
                wrong.write_bytes(bytes(wrong.stat().st_size))
        swu = await client.run(rig.stage.url("1.3.0"), ISVV)
        assert swu["swupdateresult"] == 5 and "not what was signed" in await client.reason()
        assert (await client.get(STATUS))["attempts"] == 1
