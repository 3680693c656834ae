"""The real esptool, as Fargo calls it, with a chip's ROM on a pseudo-terminal: what it does to the flash, and says."""

import json

import pytest
import serial
from fake_rom import FakeRom
from fargo import board_image, esptool, image, keys, official, release, romfs
from fargo.cli import main
from test_official import BANNER, table


def test_a_board_is_flashed(tmp_path, capsys):
    key = keys.new(tmp_path / "release.pem")
    source = tmp_path / "main.py"
    source.write_text("print('main')")
    app = romfs.build({"main.py": source})
    file = tmp_path / "build.bin"
    file.write_bytes(image.build_official(BANNER, size=74 * 4096, table=table()))
    build = official.read(file)
    ids = board_image.ids("Maker", "One")
    envelope = release.build(tmp_path, "1.0", 1, *ids, build.parts.app, app, 6)
    provision = board_image.provision([key.public_key()], 1, [], "Lamp", "Maker", "One", *ids)
    board_image.write(tmp_path / "image", build, board_image.from_envelope(envelope), provision)
    chip = FakeRom()
    code = main(
        ["board", "flash", str(tmp_path / "image"), "--port", chip.port, "--yes", "--json", "--progress", "jsonl"]
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    assert json.loads(said.out)["chip"] == "ESP32" and json.loads(said.out)["flash"] == 4 << 20
    found = board_image.read(tmp_path / "image")
    for name, (start, size) in found.at.items():
        used = len(found.part(name).rstrip(b"\xff")) if name == "ota_0" else size
        assert chip.flash[start : start + used] == found.data[start : start + used], name
    assert chip.flash[0x8000:0x9000] == found.data[0x8000:0x9000]
    assert chip.flash[0x1000:0x3000] == found.data[0x1000:0x3000]
    # The table first and last: nothing starts in between.
    assert chip.log[0] == ("erase", 0x8000, 4096) and chip.log[-1] == ("write", 0x8000, 4096)
    counts = [json.loads(line)["done"] for line in said.err.splitlines() if '"progress"' in line]
    assert counts == sorted(counts) and len(set(counts)) > 5  # what esptool says of its progress is understood
    assert esptool.Esptool(chip.port).read(0x8000, 64) == found.data[0x8000:0x8040]
    # The same with --keep: it reads the board, and writes the other slot alone. What cannot be compressed goes as it is.
    before, log = bytes(chip.flash), len(chip.log)
    code = main(["board", "flash", str(tmp_path / "image"), "--port", chip.port, "--keep", "--yes", "--json"])
    said = capsys.readouterr()
    assert code == 0 and json.loads(said.out)["slot"] == "ota_1", said.err
    for name, (start, size) in found.at.items():
        if name in ("ota_1", "app_1"):
            data = found.part(name.replace("1", "0")).rstrip(b"\xff")
            assert chip.flash[start : start + len(data)] == data, name
        elif name != "otadata":
            assert chip.flash[start : start + size] == before[start : start + size], name
    assert chip.log[-1] == ("write", found.at["otadata"][0], 4096) and len(chip.log) > log + 4


def test_what_it_says_of_ports_is_understood(tmp_path):
    def says(port):
        with pytest.raises(esptool.Failure) as caught:
            esptool.Esptool(str(port)).identify()
        return caught.value.code, caught.value.text

    assert says("/dev/ttyUSB77") == (4, "there is no port /dev/ttyUSB77")
    (tmp_path / "file").write_text("")
    assert says(tmp_path / "file") == (4, f"{tmp_path / 'file'} is no serial port")
    chip = FakeRom()
    with serial.Serial(chip.port, exclusive=True):
        assert says(chip.port) == (4, f"{chip.port} is in use")
