"""Bad releases: that cannot fetch, whose health hangs, raises or lies, that write records in other formats.

Each goes back, and the version before has its owner, its data and the reason.
"""

import asyncio

import aiocoap
import pytest
from fargo.bundle import ROOT
from sim.rig import STATUS, UPGRADE, Rig

MAIN = """
import asyncio


async def main(device):
    await asyncio.sleep(100000)
"""
PEER = (ROOT / "lib/port/_peer_micropython.py").read_text()
OBTAIN = (ROOT / "lib/swupdate/install/obtain.py").read_text()
REQUEST = (ROOT / "lib/swupdate/install/request.py").read_text()


def broken(text, old, new):
    """The source `text` with `old` replaced."""
    assert text.count(old) == 1
    return text.replace(old, new)


_GET = "        if status != 200:"
_PROVE = "    await check(job, None)"
CANNOT_FETCH = {
    "raises": {"swupdate/install/request.py": broken(REQUEST, _GET, "        raise ValueError('broken')\n" + _GET)},
    "has lost TLS": {"port/_peer_micropython.py": broken(PEER, "    import tls\n", "    raise OSError(5)\n")},
    "lacks a module": {"swupdate/install/obtain.py": "import no_such_module\n" + OBTAIN},
    "hangs": {
        "swupdate/install/obtain.py": broken(
            OBTAIN, _PROVE, "    import asyncio\n    await asyncio.sleep(100000)\n" + _PROVE
        )
    },
}

LIES = {
    "crashes and says that it is well": (
        'async def main(device):\n    raise RuntimeError("it crashes")\n\n\ndef health():\n    return True\n',
        "it crashes",
    ),
    "never says how it is": (
        MAIN + "\n\nasync def health():\n    await asyncio.sleep(100000)\n",
        "not well",
    ),
    "raises when it is asked": (MAIN + '\n\ndef health():\n    raise ValueError("the sensor is gone")\n', "not well"),
    "breaks a part of the device": (
        "import asyncio\n\n\nasync def main(device):\n    device.board = None\n    await asyncio.sleep(100000)\n"
        "\n\ndef health():\n    return False\n",
        "crashed in its trial",
    ),
    "blocks when it is asked": (
        "import machine\n"
        + MAIN
        + "\n\ndef health():\n    machine.WDT(timeout=1500)\n    while True:\n        pass\n",
        "watchdog",
    ),
}

# Everything that a later version may do to records: another number, keys that nobody knows, records of other names.
WRITES_MORE = """
import cbor
from cbor.decoder import decode
from firmware import plain


class Store(plain.Store):
    def save(self, name, data):
        try:
            record = decode(data, max_items=2000)
            record["v"] = record.get("v", 1) + 1
            record["later"] = {"a": [1, 2, 3]}
            record["more"] = b"x" * 40
            data = cbor.dumps(record)
        except (ValueError, AttributeError, TypeError):
            pass
        super().save(name, data)
"""
REWRITES = """
import asyncio


async def main(device):
    store = device.store
    for name in ("doxm", "cred", "acl2", "pstat", "sdi", "update", "floor", "clock", "name"):
        data = store.load(name)
        if data:
            store.save(name, bytes(data))
    store.save("garbage", b"\\xff\\x00garbage")
    store.save("roles2", b"\\x5f")
    with open(device.data + "/format2", "w") as file:
        file.write("of the later version")
    await asyncio.sleep(1)
    raise RuntimeError("it crashes")


def health():
    return False
"""


NO_ROOM = "async def run(node):\n    raise MemoryError\n"


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """One board for all that goes back; a Client talks to it all the time."""
    rig = Rig(tmp_path_factory.mktemp("board"), settings={"trial_s": 8}).start()
    rig.sequence = 1
    yield rig
    rig.stop()


async def goes_back(rig, client, words, **more):
    """A release of this content is tried and given up; the version before says why."""
    rig.sequence += 1
    version = f"1.{rig.sequence}.0"
    rig.stage.release(version, rig.sequence, **more)
    assert (await client.post("oc/con", {"n": "attic"})).code == aiocoap.CHANGED
    assert (await client.update(rig.stage.url(version), UPGRADE, "now")).code == aiocoap.CHANGED
    await rig.log(f"version {version} in")
    await client.until(lambda v: v["swupdateresult"] == 8)
    assert words in await client.reason(), await client.reason()
    assert await client.version() == "1.0.0"
    assert (await client.get("oic/d"))["n"] == "attic"
    assert (await client.get(STATUS))["confirmed"] is True


@pytest.mark.parametrize("how", CANNOT_FETCH)
async def test_a_release_that_serves_but_cannot_fetch(trials, how):
    """A Client that it answers is no proof: the server is there, and the version before came from it."""
    async with trials.client() as client:
        await goes_back(trials, client, "no proof", change=CANNOT_FETCH[how])


async def test_a_release_that_has_no_memory_for_its_trial(trials):
    """Nobody would decide about it, and no update could be had."""
    async with trials.client() as client:
        await goes_back(trials, client, "crashed in its trial", change={"firmware/trying.py": NO_ROOM})


async def test_a_release_whose_server_is_gone_is_kept_for_its_client(make):
    """It is not its fault: the Client can send it to another server."""
    rig = make(settings={"trial_s": 15})
    rig.stage.release("1.1.0", 2)
    async with rig.client() as client:
        assert (await client.run(rig.stage.url("1.1.0"), "isvv"))["swupdatestate"] == "sva"
        rig.stage.server.stop()
        try:
            await client.tm(128)
            await client.until(lambda v: v["swupdateresult"] == 1)
            assert await client.version() == "1.1.0"
        finally:
            rig.stage.server.start()


@pytest.mark.parametrize("how", LIES)
async def test_an_app_that(trials, how):
    text, words = LIES[how]
    async with trials.client() as client:
        await goes_back(trials, client, words, change={"app.py": text})
        assert not [line for line in trials.board.lines if "is kept" in line]


async def test_a_version_that_writes_other_records_leaves_the_old_one_all(make):
    """Number n+1 in every record, keys that are unknown, records and files of other names; then it crashes."""
    rig = make(settings={"trial_s": 15, "ntp": "127.0.0.1"})
    rig.sequence = 1
    store = (ROOT / "firmware/store.py").read_text()
    change = {"firmware/plain.py": store, "firmware/store.py": WRITES_MORE, "app.py": REWRITES}
    async with rig.client() as client:
        before = [await client.get(path) for path in ("oic/sec/doxm", "oic/sec/cred", "oic/sec/acl2", "oic/d")]
        await goes_back(rig, client, "it crashes", change=change)
        after = [await client.get(path) for path in ("oic/sec/doxm", "oic/sec/cred", "oic/sec/acl2", "oic/d")]
        assert after[:3] == before[:3] and after[3]["di"] == before[3]["di"]
        await asyncio.to_thread(rig.power_cycle)
        assert await client.version() == "1.0.0"
        rig.stage.release("2.0.0", 9)
        assert (await client.run(rig.stage.url("2.0.0"), UPGRADE))["swupdateresult"] == 1


UNDECIDED = MAIN + "\n\ndef health():\n    return False\n"


async def test_a_panic_in_a_trial_is_the_end_of_it(trials):
    """The chip cannot tell it from a reset, but it was no loss of power."""
    board = trials.board
    async with trials.client() as client:
        at, panics = len(board.lines), []

        async def panic():
            await trials.log("is on trial", at)
            panics.append(len(board.resets))
            board.panic()

        beside = asyncio.create_task(panic())
        await goes_back(trials, client, "crashed in its trial", change={"app.py": UNDECIDED})
        await beside
        assert board.resets[panics[0] :] == ["reset"]
        assert sum("is on trial" in line for line in board.lines[at:]) == 1


async def test_power_cuts_in_a_trial_are_no_fault_of_it_three_times(trials):
    """Each is followed by another trial; after the third it is given up, with the reason."""
    board = trials.board
    async with trials.client() as client:
        at = len(board.lines)

        async def pull():
            seen = at
            for _ in range(3):
                await trials.log("is on trial", seen)
                seen = len(board.lines)
                await asyncio.to_thread(trials.power_cycle)

        beside = asyncio.create_task(pull())
        await goes_back(trials, client, "the power failed in each of its 3 trials", change={"app.py": UNDECIDED})
        await beside
        assert sum("is on trial" in line for line in board.lines[at:]) == 3
