"""From a build of MicroPython to a device that serves: the commands that a maker uses, on the simulated board.

The "official build" is made here, in ESP-IDF's format, and its application starts the simulated board as MicroPython's does;
the flash is written by a stand-in for the command esptool. All else is what is flashed onto a real board.
"""

import asyncio
import json
import os
from pathlib import Path

import pytest
from esptool_stand_in import StandIn
from fargo import board_image, flash, image, keys, official, onboard, release
from fargo.cli import main
from fargo.client import connect
from fargo.identity import Identity
from loopback import address
from sim.rig import HEAP, WAIT

from board.sim.simboard import SimBoard

BANNER = "MicroPython v1.2{}.0 on 2025-08-09; Generic ESP32 module with ESP32"
WIFI = ("simulated", "no secret")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A folder, and PATH with the stand-in."""
    home = tmp_path_factory.mktemp("bench")
    made = StandIn(home / "bin")
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{made.folder}{os.pathsep}{before}"
    yield home, made
    os.environ["PATH"] = before


def fargo(capsys, *arguments):
    """The object that a command prints."""
    code = main([str(a) for a in arguments] + ["--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    return json.loads(said.out)


def test_the_whole_way(bench, capsys):
    home, chip = bench
    host = address()
    table = flash.table("4MB").to_binary()
    for n in (6, 7):
        (home / f"v1.2{n}.bin").write_bytes(image.build_official(BANNER.format(n), size=60_000, table=table))

    # The first hour: a key, an image, the flash.
    fargo(capsys, "key", "new", home / "release.pem")
    made = fargo(
        capsys, "board", "image", home / "lamp.img", "--firmware", home / "v1.26.bin", "--key", home / "release.pub",
        "--app", Path(__file__).parents[2] / "examples/lamp",
    )  # fmt: skip
    assert (made["chip"], made["version"], made["sequence"], made["micropython"]) == ("ESP32", "1.0.0", 1, "1.26.0")
    port = ("--port", "/dev/ttyUSB7", "--yes")
    assert fargo(capsys, "board", "flash", home / "lamp.img", *port)["slot"] == "ota_0"

    # As provisioning would: the simulated board's own format of NVS.
    data = bytearray(chip.flash.read_bytes())
    nvs = flash.build_nvs(WIFI)
    data[0x9000 : 0x9000 + len(nvs)] = nvs
    chip.flash.write_bytes(data)
    identity = Identity(home / "identity.json")
    with SimBoard(chip.flash, address=host, heap=HEAP, flash_ms=(0, 0)) as board:
        board.wait_log("serving", WAIT)
        assert any("version 1.0.0 in ota_0" in line for line in board.lines)
        asyncio.run(own(host, identity))
        board.wait_log("RFNOP", WAIT)

    # What was flashed is also a release, to be signed and published; the next one goes into the other slot by cable.
    first = home / "lamp.img.release/fargo-1.0.0.suit"
    parts = board_image.from_envelope(first)
    key = keys.load(home / "release.pem")
    release.sign(first, key)
    shown = release.show(first)
    ids = bytes.fromhex(shown["vendor"]), bytes.fromhex(shown["class"])
    newer = official.read(home / "v1.27.bin").parts.app
    second = release.build(home / "releases", "2.0.0", 2, *ids, newer, parts.app, 6)
    release.sign(second, key)
    made = fargo(
        capsys, "board", "image", home / "two.img", "--firmware", home / "v1.27.bin", "--key", home / "release.pub",
        "--release", second,
    )  # fmt: skip
    assert (made["version"], made["micropython"]) == ("2.0.0", "1.27.0")
    said = fargo(capsys, "board", "flash", home / "two.img", *port, "--keep")
    assert said["slot"] == "ota_1"
    with SimBoard(chip.flash, address=host, heap=HEAP, flash_ms=(0, 0)) as board:
        board.wait_log("serving", WAIT)
        text = "\n".join(board.lines)
        assert "version 2.0.0 in ota_1" in text and "no file system" not in text and "RFOTM" not in text
        assert "trial" not in text and "result" not in text
        assert asyncio.run(state(host, identity)) == ("2.0.0", 0)  # by its owner


async def own(host, identity):
    onboarding = await onboard.begin(host, identity, "127.0.0.1")
    try:
        await onboarding.own("just-works")
    finally:
        await onboarding.network.close()


async def state(host, identity):
    """(version, result of the last update)"""
    async with await connect(host, identity, "127.0.0.1") as client:
        return await client.version(), (await client.read_swu())["swupdateresult"]
