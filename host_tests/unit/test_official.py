"""Official builds of MicroPython: what is found in them, and the sentence for those that Fargo cannot use."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import cbor
import pytest
from esp_idf_defs.partitions import PartitionTable
from fargo import board_image, image, official, release
from fargo.cli import main
from fargo.console import Failure

ID = "7c9d9c2e-3a6b-4c1f-9a80-6f2f3f5f0b11"

BANNER = "MicroPython v1.26.0 on 2025-08-09; Generic ESP32 module with ESP32"
FACTORY = """
nvs,data,nvs,0x9000,0x6000
phy_init,data,phy,0xf000,0x1000
factory,app,factory,0x10000,0x1F0000
vfs,data,fat,0x200000,0x200000
"""
OTA = """
nvs,data,nvs,0x9000,0x4000
otadata,data,ota,0xd000,0x2000
phy_init,data,phy,0xf000,0x1000
ota_0,app,ota_0,0x10000,0x180000
ota_1,app,ota_1,0x190000,0x180000
"""


def table(csv=FACTORY):
    return PartitionTable.from_csv(csv).to_binary()


def official_build(banner=BANNER, csv=FACTORY, **more):
    return image.build_official(banner, size=20_000, table=table(csv), **more)


def read(tmp_path, data, **more):
    path = tmp_path / "build.bin"
    path.write_bytes(data)
    return official.read(path, **more)


@pytest.mark.parametrize("csv", [FACTORY, OTA])
@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3"])
def test_what_is_in_it(tmp_path, chip, csv):
    data = official_build(chip=chip, csv=csv)
    found = read(tmp_path, data)
    assert (found.parts.chip, found.version, found.bytecode) == (chip, "1.26.0", 6)
    assert found.board == "Generic ESP32 module with ESP32"
    at = 0x10000 - image.BOOTLOADER_AT[chip]
    assert found.parts.app == data[at:] and data.startswith(found.parts.bootloader)
    assert found.parts.flash_size == 4 << 20


def test_what_follows_the_application_is_not_part_of_it(tmp_path):
    data = official_build()
    assert read(tmp_path, data + b"\xff" * 5000).parts == read(tmp_path, data).parts
    whole = b"\xff" * 0x1000 + data  # a flash that was read back
    assert read(tmp_path, whole).parts == read(tmp_path, data).parts


def test_an_application_alone(tmp_path):
    app = official.split(official_build(), "").app
    found = read(tmp_path, app)
    assert found.parts.bootloader is None and found.parts.app == app and found.version == "1.26.0"


@pytest.mark.parametrize("version", ["1.26.0", "1.26.1", "1.27.0-preview.12.gabcdef012", "1.29.0"])
def test_versions_that_do(tmp_path, version):
    banner = BANNER.replace("1.26.0", version)
    assert read(tmp_path, official_build(banner)).version == version


def test_a_newer_one_has_to_be_described(tmp_path):
    data = official_build(BANNER.replace("1.26.0", "2.0.1"))
    with pytest.raises(Failure, match="newer than what this fargo knows") as caught:
        read(tmp_path, data)
    assert "--bytecode" in caught.value.hint
    assert read(tmp_path, data, bytecode=7).bytecode == 7
    with pytest.raises(Failure, match="loads .mpy version 6 and not 7"):
        read(tmp_path, official_build(), bytecode=7)


def damaged(at):
    data = bytearray(official_build())
    data[at] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    "data, text, hint",
    [
        (official_build(BANNER.replace("1.26.0", "1.25.0")), "is MicroPython 1.25.0, and Fargo needs 1.26", "1.26 or newer"),
        (official_build(BANNER.replace("1.26.0", "1.26.0-preview.3")), "1.26.0-preview.3, and Fargo needs", "fetch"),
        (official_build("CircuitPython 9.0.0"), "not MicroPython's", "fetch the .bin for your board"),
        (official_build(flash_mb=2), "boards with 2 MB of flash", "4 MB of flash or more"),
        (b"UF2\n" + bytes(508), "is a UF2 file", "fetch the .bin"),
        (b"\x7fELF" + bytes(508), "is an ELF file", "fetch the .bin"),
        (b"", "no firmware image of an ESP32", "fetch"),
        (b"PK\3\4" + bytes(508), "no firmware image of an ESP32", "fetch"),
        (b"\xff" * 0x2000, "no firmware image of an ESP32", "fetch"),
        (b"\xe9\2\2\x20" + bytes(8) + b"\x0d\0" + bytes(10), "is for ESP32-C6, and Fargo runs on ESP32, ESP32-S3", "fetch"),
        (b"\xe9\2\2\x20" + bytes(8) + b"\x77\0" + bytes(10), "a chip with the id 119", "fetch"),
        (damaged(100), "the bootloader in", "fetch the file again"),
        (damaged(0xF000 + 5000), "the application in", "fetch the file again"),
        (damaged(0x7000), "no partition table where ESP-IDF has it", "fetch"),
        (official_build(csv="nvs,data,nvs,0x9000,0x4000"), "no application in its partition table", "fetch"),
        (official_build()[:0x9000], "ends before its application begins", "fetch it again"),
        (official_build()[:0xF000 + 9000], "the application in .* is damaged", "fetch the file again"),
        (official_build()[:-20], "is damaged|ends in the middle", "fetch"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_says_what_to_fetch(tmp_path, data, text, hint):
    with pytest.raises(Failure, match=text) as caught:
        read(tmp_path, data)
    assert hint in caught.value.hint and "\n" not in caught.value.line()


def test_a_bootloader_of_another_chip(tmp_path):
    data = official_build(chip="esp32s3")
    other = official.split(official_build(chip="esp32c3"), "").app
    with pytest.raises(Failure, match="for different chips"):
        read(tmp_path, data[:0x10000] + other)


def test_the_flash_size_in_the_bootloader_is_what_esptool_makes_of_it(tmp_path):
    """Judged by the real esptool, which reads both images and makes the same change."""
    if not shutil.which("esptool"):
        pytest.fail("esptool is missing: pip install esptool")
    parts = official.split(official_build(chip="esp32s3", flash_mb=8), "")
    path = tmp_path / "bootloader.bin"
    path.write_bytes(parts.bootloader)
    merged = tmp_path / "merged.bin"
    command = ["esptool", "--chip", "esp32s3", "merge-bin", "--flash-size", "4MB", "-o", str(merged), "0", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    assert merged.read_bytes() == official.with_flash_size(parts.bootloader, 4 << 20) != parts.bootloader
    path.write_bytes(parts.app)
    said = subprocess.run(["esptool", "image-info", str(path)], check=True, capture_output=True, text=True).stdout
    assert said.count("(valid)") == 2 and f"Image size: {len(parts.app)} bytes" in said


def test_a_release_of_an_official_build(tmp_path, capsys):
    """`.bin` and `.app-bin` give the same release; what else is said of a build is said here as well."""
    data = official_build()
    files = {"a.bin": data, "a.app-bin": official.split(data, "").app}
    files["old.bin"] = official_build(BANNER.replace("1.26", "1.25"))
    files["new.bin"] = official_build(BANNER.replace("1.26", "1.33"))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def build(name, *more):
        code = main(
            [
                "release",
                "build",
                str(tmp_path / name[:3]),
                "--version",
                "1",
                "--sequence",
                "1",
                "--vendor",
                ID,
                "--class",
                ID,
            ]
            + ["--firmware", str(tmp_path / name), "--json", *more]
        )
        said = json.loads(capsys.readouterr().out)
        return code, said

    for name in ("a.bin", "a.app-bin"):
        code, said = build(name)
        assert code == 0 and said["sizes"]["firmware"] == len(files["a.app-bin"])
        (component,) = release.show(Path(said["envelope"]))["components"]
        assert component["bytecode"] == 6
        assert (Path(said["envelope"]).parent / component["uri"]).read_bytes() == files["a.app-bin"]
    for name, text in (("old.bin", "is MicroPython 1.25.0"), ("new.bin", "newer than what this fargo knows")):
        code, said = build(name)
        assert code == 1 and text in said["error"]
    code, said = build("new.bin", "--bytecode", "8")
    assert code == 0 and release.show(Path(said["envelope"]))["components"][0]["bytecode"] == 8
    code, said = build("a.bin", "--bytecode", "8")
    assert code == 1 and "loads .mpy version 6 and not 8" in said["error"]


REAL = [path for path in os.environ.get("FARGO_BUILDS", "").split(os.pathsep) if path]


@pytest.mark.skipif(not REAL, reason="FARGO_BUILDS names no .bin files from the download page of MicroPython")
@pytest.mark.parametrize("path", REAL)
def test_a_real_build(tmp_path, path, monkeypatch):
    """What was downloaded, judged by the real esptool: its parts, and an image of it. Its version may be an old one."""
    monkeypatch.setattr(official, "OLDEST", (1, 20))
    build = official.read(Path(path))
    assert build.board and build.version in path
    for layout in ("4MB", "8MB"):
        provision = {"v": 1}
        label = cbor.dumps({"seq": 1, "version": "1", "fw": part(build.parts.app), "app": part(APP)}).ljust(
            4096, b"\xff"
        )
        pair = board_image.Pair(build.parts.app, APP, label)
        board_image.write(tmp_path / "image", build, pair, provision, layout)
        found = board_image.read(tmp_path / "image")
        bootloader = found.data[found.bootloader_at : 0x8000]
        for name, data in (("bootloader", bootloader), ("app", found.part("ota_0"))):
            (tmp_path / name).write_bytes(data)
            said = subprocess.run(
                ["esptool", "image-info", str(tmp_path / name)], capture_output=True, text=True
            ).stdout
            assert said.count("(valid)") == 2, said
            assert name == "app" or f"Flash size: {layout}" in said


APP = bytes.fromhex("d2cd31240522086d61696e2e6d70790217") + b"M\6\0\x1f" + bytes(19)  # a ROMFS image with one file


def part(data):
    return [len(data), hashlib.sha256(data).digest()]
