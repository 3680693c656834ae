"""Table 5: each result that is not 6 or 7, provoked by a real fault; and that the device is none the worse for it.

6 and 7 are in interop/test_tables_aiocoap.py. LwM2M's cases, by the number of its test specification: 771 and 772 here as
coap and nothing newer (test_sequence.py), 773 is 3, 774 is 2, 775 is 4, 776 is 5, 777 is 7, 778 is 6, 779 is 8.
"""

import itertools

import aiocoap
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fargo.authority import Authority
from fargo.serve import Server
from link import NameServer
from sim.rig import IDLE, ISAC, ISVV, STATUS, SWU, UPGRADE, WAIT, Faulty

_sequence = itertools.count(10)


def release(rig, **more):
    """A release of its own number: its version."""
    number = next(_sequence)
    version = f"1.{number}.0"
    rig.stage.release(version, more.pop("sequence", number), **{"change": {"extra.txt": version}, **more})
    return version


async def fails(client, url, result, action=ISVV, words=""):
    """`action` at `url` ends with `result`; nothing is offered, nothing restarts, and the device serves on."""
    if (await client.get(SWU))["swupdatestate"] != "idle":  # an offer that is known would be kept
        assert (await client.run(url.rpartition("/")[0] + "/fargo-1.0.0.suit", ISAC))["swupdatestate"] == "idle"
    swu = await client.run(url, action)
    assert (swu["swupdateresult"], swu["swupdatestate"], swu["swupdateaction"], swu["nv"]) == (
        result,
        "idle",
        IDLE,
        "",
    )
    assert (await client.get("oic/sec/pstat"))["cm"] == 0
    reason = await client.reason()
    assert words in reason and reason, reason
    assert (await client.get("lamp"))["value"] is False
    assert await client.version() == "1.0.0"
    return reason


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """The module's name server: port and names."""
    names = {"releases.example": "127.0.0.1"}
    with NameServer(names) as server:
        yield server


@pytest.fixture(scope="module")
def rig(tmp_path_factory, named):
    """One board for all that ends before anything is installed."""
    from sim.rig import Rig

    rig = Rig(tmp_path_factory.mktemp("board"), board={"dns_port": named.port}, server=NamedServer).start()
    yield rig
    rig.stop()
    assert set(rig.board.resets) == {"power"}
    assert not [line for line in rig.board.lines if "Traceback" in line]


class NamedServer(Faulty):
    """Its certificate holds a name."""

    def __init__(self, folder, authority):
        super().__init__(folder, authority, names=("localhost", "127.0.0.1", "releases.example"))


# 2


GREEDY = """
import asyncio, gc
from ocf import Property, Resource

held = []


class Greedy(Resource):
    href = "/greedy"
    rt = ("x.test.greedy",)
    properties = (Property("on", bool, "rw"),)


async def main(device):
    greedy = device.add(Greedy(on=False))
    while not greedy.on:
        await asyncio.sleep_ms(50)
    while gc.mem_free() > KEEP:
        try:
            held.append(bytearray(2048))
        except MemoryError:
            break
        gc.collect()
    device.log("info", "%d bytes are left" % gc.mem_free())
    while True:
        await asyncio.sleep(1)
"""


async def test_2_not_enough_memory(make, tmp_path):
    """An app that holds nearly all memory and gives none back: an UPDATE still fits, an update does not. LwM2M 774."""
    (tmp_path / "app.py").write_text(GREEDY.replace("KEEP", "32000"))
    rig = make(app=tmp_path)
    rig.stage.release("1.1.0", 2)
    async with rig.client() as client:
        assert (await client.post("greedy", {"on": True})).code == aiocoap.CHANGED
        await rig.log("bytes are left")
        swu = await client.run(rig.stage.url("1.1.0"), UPGRADE)
        assert (swu["swupdateresult"], swu["swupdatestate"]) == (2, "idle"), await client.reason()
        assert "memory" in await client.reason()
        assert await client.version() == "1.0.0"
        assert (await client.update(rig.stage.url("1.1.0"))).code == aiocoap.CHANGED
    assert rig.board.resets == ["power"]


# 3


@pytest.mark.parametrize("half", ["fw", "app"])
async def test_3_release_larger_than_the_slot(rig, half):
    """LwM2M 773: found in the envelope, before any payload is asked for."""
    size = rig.stage.firmware_size
    if half == "fw":
        rig.stage.firmware_size = 0x20000 + 4096
        version = release(rig, firmware=True, app=False)
        rig.stage.firmware_size = size
    else:
        version = release(rig, change={"large.txt": "x" * 0x30000})
    before = rig.stage.server.total().requests
    async with rig.client() as client:
        await fails(client, rig.stage.url(version), 3, words="does not fit")
    assert rig.stage.server.total().requests == before + 1


# 4


@pytest.mark.parametrize("action", [ISAC, ISVV, UPGRADE])
async def test_4_no_server(rig, action):
    """LwM2M 775. Tried again a few times first."""
    version = release(rig)
    rig.stage.server.stop()
    try:
        async with rig.client() as client:
            await fails(client, rig.stage.url(version), 4, action)
            assert (await client.get(STATUS))["attempts"] == 3
    finally:
        rig.stage.server.start()
    async with rig.client() as client:  # and when it is back, all is well
        swu = await client.run(rig.stage.url(version), ISAC)
        assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("nsa", 0, version)
        await client.update("")


async def test_4_names(rig, named):
    """A name that nobody knows; and one that is known and in the certificate."""
    version = release(rig)
    port = rig.stage.server.https_port
    async with rig.client() as client:
        await fails(client, f"https://nowhere.example:{port}/fargo-{version}.suit", 4)
        assert named.queries
        swu = await client.run(f"https://releases.example:{port}/fargo-{version}.suit", ISAC)
        assert (swu["swupdatestate"], swu["nv"]) == ("nsa", version)


async def test_4_certificates(rig, named, tmp_path):
    """A server of another authority, and one whose certificate is for another name."""
    version = release(rig)
    named.names["other.example"] = "127.0.0.1"
    async with rig.client() as client:
        with Server(rig.stage.releases, Authority(tmp_path / "other"), coaps_port=None) as stranger:
            await fails(client, stranger.url(f"fargo-{version}.suit"), 4)
            assert stranger.total().requests == 0
        await fails(client, f"https://other.example:{rig.stage.server.https_port}/fargo-{version}.suit", 4)


# 5


def flip(path, at=0.5):
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("part", ["payload", "table"])
async def test_5_tampered_payload(rig, part):
    """One bit on the server. LwM2M 776."""
    suffix = {"payload": "*.bin", "table": "*.chunks"}[part]
    before = set(rig.stage.releases.glob(suffix))
    version = release(rig)
    (path,) = set(rig.stage.releases.glob(suffix)) - before
    flip(path)
    async with rig.client() as client:
        await fails(client, rig.stage.url(version), 5, UPGRADE)
        flip(path)
        swu = await client.run(rig.stage.url(version), ISVV)  # what is right again is taken
        assert (swu["swupdatestate"], swu["swupdateresult"]) == ("sva", 0)


@pytest.mark.parametrize("at", [0.0, 0.15, 0.3, 0.5, 0.7, 0.9, 0.999])
async def test_5_tampered_envelope(rig, at):
    version = release(rig)
    flip(rig.stage.releases / f"fargo-{version}.suit", at)
    async with rig.client() as client:
        await fails(client, rig.stage.url(version), 5, UPGRADE)


async def test_5_not_an_envelope(rig):
    async with rig.client() as client:
        for content in (b"", b"hello", b"\xd8\x6b\xa0", b"x" * 5000):
            (rig.stage.releases / "odd.suit").write_bytes(content)
            await fails(client, rig.stage.server.url("odd.suit"), 5)


async def test_5_signed_by_others(rig):
    """By a stranger, or by nobody. Not a byte of payload is asked for."""
    stranger = ec.generate_private_key(ec.SECP256R1())
    async with rig.client() as client:
        for signers in ([stranger], []):
            version = release(rig, signers=signers)
            before = rig.stage.server.total().requests
            await fails(client, rig.stage.url(version), 5, UPGRADE, "signature")
            assert rig.stage.server.total().requests == before + 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"vendor": bytes(16)}, "vendor"),
        ({"class_id": bytes(16)}, "class"),
        ({"bytecode": 5}, "bytecode"),
        ({"sequence": 1}, "sequence number 1"),  # another release than the one that runs
        ({"sequence": 50_000_000}, "ahead"),
    ],
)
async def test_5_conditions(rig, more, words):
    """For other devices, for another firmware, or out of order."""
    version = release(rig, **more)
    async with rig.client() as client:
        await fails(client, rig.stage.url(version), 5, ISVV, words)


async def test_5_older_release(fresh):
    """Back to an older release is refused for ever (rollback protection); as an offer it is nothing new."""
    fresh.stage.release("1.1.0", 5)
    fresh.stage.release("1.0.9", 4, change={"extra.txt": "old"})
    async with fresh.client() as client:
        await client.run(fresh.stage.url("1.1.0"), UPGRADE)
        await client.until(lambda v: v["swupdateresult"] == 1)
        swu = await client.run(fresh.stage.url("1.0.9"), ISAC)
        assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("idle", 0, "")
        swu = await client.run(fresh.stage.url("1.0.9"), UPGRADE)
        assert (swu["swupdatestate"], swu["swupdateresult"]) == ("idle", 5)
        assert "older" in await client.reason()
        await fresh.log("1.1.0 is kept")
        fresh.power_cycle()
        swu = await client.run(fresh.stage.url("1.0.9"), UPGRADE)
        assert swu["swupdateresult"] == 5 and await client.version() == "1.1.0"


# 400 to 600


@pytest.mark.parametrize("scheme", ["https", "coaps"])
async def test_transport_status(rig, scheme):
    """Reported as they are; over CoAP 4.04 is 404."""
    server = rig.stage.server
    version = release(rig)
    url = rig.stage.url(version, scheme)
    async with rig.client() as client:
        await fails(client, url + ".gone", 404, ISAC)
        for status in (403, 500, 503) if scheme == "coaps" else (400, 401, 403, 410, 429, 500, 502, 503, 599):
            server.status = status
            try:
                await fails(client, url, status, ISVV)
            finally:
                server.status = 0
        server.missing = ".bin"
        try:
            await fails(client, url, 404, UPGRADE)
        finally:
            server.missing = ""


# 8


BAD_APPS = {
    "crashes on start": ('async def main(device):\n    raise RuntimeError("it crashes")\n', "it crashes"),
    "lacks a module": ("import no_such_module\n", "no_such_module"),
    "has no main": ("x = 1\n", "main"),
    "is not well": (
        "import asyncio\n\n\nasync def main(device):\n    await asyncio.sleep(1000)\n\n\ndef health():\n    return False\n",
        "not well",
    ),
    "hangs": (
        "import machine\n\n\nasync def main(device):\n    machine.WDT(timeout=1500)\n    while True:\n        pass\n",
        "watchdog",
    ),
}


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """One board for all that goes back."""
    from sim.rig import Rig

    rig = Rig(tmp_path_factory.mktemp("board"), settings={"trial_s": 10}).start()
    yield rig
    rig.stop()


async def rolled_back(rig, client, words):
    """The old version runs, says why, and can be updated again."""
    swu = await client.until(lambda v: v["swupdateresult"] == 8)
    assert (swu["swupdatestate"], swu["swupdateaction"], swu["nv"]) == ("idle", IDLE, "")
    assert swu["lastupdate"] == "2026-01-09T14:30:00Z"
    assert words in await client.reason(), await client.reason()
    assert (await client.get("oic/d"))["sv"] == (await client.get("oic/p"))["mnfv"] == "1.0.0"
    assert (await client.get("oic/d"))["n"] == "attic"
    assert (await client.get(STATUS))["confirmed"] is True


@pytest.mark.parametrize("bad", BAD_APPS)
async def test_8_a_release_that(trials, bad):
    """LwM2M 779. The name that its owner gave it survives."""
    text, words = BAD_APPS[bad]
    version = release(trials, change={"app.py": text})
    async with trials.client() as client:
        assert (await client.post("oc/con", {"n": "attic"})).code == aiocoap.CHANGED
        assert (await client.update(trials.stage.url(version), UPGRADE, "now")).code == aiocoap.CHANGED
        await trials.log(f"Fargo, version {version} in")
        if bad == "is not well":  # it is on trial until the deadline, and meanwhile nothing else begins
            await client.until(lambda v: not v["confirmed"], path=STATUS)
            reply = await client.update(trials.stage.url(version), ISAC, "now")
            assert reply.code == aiocoap.SERVICE_UNAVAILABLE and reply.payload
            assert (await client.tm(256)).code == aiocoap.SERVICE_UNAVAILABLE
        await rolled_back(trials, client, words)


async def test_8_no_proof(trials):
    """The server goes between validation and trial: a version that could never be updated again is not kept."""
    version = release(trials)
    async with trials.client() as client:
        await client.post("oc/con", {"n": "attic"})
        swu = await client.run(trials.stage.url(version), ISVV)
        assert swu["swupdatestate"] == "sva"
        trials.stage.server.stop()
        try:
            at = len(trials.board.lines)
            await client.tm(128)
            await trials.log(
                "version 1.0.0 in", at
            )  # nobody speaks with it until then: a Client that is let in is a proof
            await rolled_back(trials, client, "no proof")
        finally:
            trials.stage.server.start()


async def test_8_and_then_a_good_one(trials):
    """After all of that an update works."""
    version = release(trials, firmware=True)
    async with trials.client() as client:
        await client.update(trials.stage.url(version), UPGRADE, "now")
        await client.until(lambda v: v["swupdateresult"] == 1, timeout=WAIT)
        assert await client.version() == version
