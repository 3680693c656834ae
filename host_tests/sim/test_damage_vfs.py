"""Damage at rest to `vfs` and NVS, which only USB repairs: the owner is still there afterwards."""

import asyncio

import pytest
from fargo import flash
from sim.damage_rig import Past, change, count, files, noise, put, some, survives, updated
from sim.rig import STATUS

VFS = 0x10000


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    past = Past(tmp_path_factory.mktemp("past"))
    yield past
    past.end()


def new_vfs(past):
    """What is flashed by USB: `vfs` alone."""
    stage = past.rig.stage
    return past.where("vfs"), flash.build_vfs(stage.layout, stage.provision())


def write(past, at, data):
    past.rig.board.power_off()
    with past.rig.stage.flash.open("r+b") as file:
        file.seek(at)
        file.write(data)


async def by_usb(past, *patch):
    """Flash `patch` (`vfs` alone unless given): owner and version are those from before, and it can be updated."""
    rig = past.rig
    write(past, *(patch or new_vfs(past)))
    await asyncio.to_thread(rig.start)
    async with rig.client() as client:
        assert await client.version() == past.runs and (await client.get(STATUS))["confirmed"]
        await updated(rig, client, past.next)
    count("by_usb")


@pytest.mark.parametrize(
    ("what", "content"),
    some([("zeros", bytes(VFS)), ("garbage", noise(VFS)), ("superblock", noise(8192)), ("blank", b"\xff" * VFS)], 2),
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_vfs_is_unreadable(past, what, content):
    """MicroPython's own start gets no further; a new `vfs` is all that is needed."""
    past.again((past.where("vfs"), content))
    past.rig.board.power_on()
    await past.rig.log("vfs cannot be mounted", past.at)
    await by_usb(past)


TRUNCATED = {
    "missing": lambda data: None,
    "empty": lambda data: b"",
    "garbage": lambda data: noise(len(data)),
    "truncated": lambda data: data[: len(data) // 2],
}
# What the board says at last, by file.
SAYS = {
    "boot.py": "the REPL would be here",
    "launch.py": "the REPL would be here",
    "romfs.py": "the REPL would be here",
    "fargo.cbor": "boot: the app could not be run",
}


@pytest.mark.parametrize(("name", "how"), some([(name, how) for name in SAYS for how in TRUNCATED], 5))
async def test_a_file_of_vfs_is_damaged(past, name, how):
    """Without boot.py, launch.py, romfs.py or fargo.cbor nothing of ours can serve: what stopped it is in the log."""
    past.again(change(past, "vfs", lambda fs: put(fs, name, TRUNCATED[how](files(past.rig, "vfs")[name]))))
    past.rig.board.power_on()
    await past.rig.log(SAYS[name], past.at)
    if name == "fargo.cbor":  # it starts again and again
        await past.rig.log(SAYS[name], len(past.rig.board.lines))
    await by_usb(past)


@pytest.mark.parametrize("how", some(list(TRUNCATED), 2))
async def test_rescue_is_damaged(past, how):
    """It is not needed by an app that runs: the device serves and is updated."""
    whole = files(past.again(), "vfs")["rescue.py"]
    past.again(change(past, "vfs", lambda fs: put(fs, "rescue.py", TRUNCATED[how](whole))))
    await survives(past)


# NVS


@pytest.mark.parametrize(
    ("what", "content"),
    some([("zeros", bytes(0x4000)), ("garbage", b"\x33" + noise(0x3FFF)), ("blank", b"\xff" * 0x4000)], 2),
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_nvs_is_lost(past, what, content):
    """Without the WiFi's name and key no network is joined. They are written by USB; the floor is that of `data`."""
    rig = past.again((past.where("nvs"), content))
    rig.board.power_on()
    await rig.log("info: Fargo, version", past.at)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(rig.board.wait_log, "serving", 3, past.at)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(rig.board.wait_log, "rescue", 0.1, past.at)
    await by_usb(past, past.where("nvs"), flash.build_nvs(("simulated", "no secret")))


async def test_nvs_is_full(past):
    """The floor's copy finds no room there, and is in `data`."""
    at = past.where("nvs")
    data = past.flash[at : at + 0x4000].rstrip(b"\xff")
    filler = bytes((0xA5, 1, 1, 200)) + b"xk" + bytes(200) + b"\x5a"
    while len(data) + len(filler) < 0x4000 - 8:
        data += filler
    past.again((at, data))
    await survives(past)
