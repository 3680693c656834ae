"""A whole flash: its table, its file systems, what is where."""

import cbor2
import pytest
from esp_idf_defs.partitions import PartitionTable
from fargo import flash, image
from fargo.bundle import ROOT
from fargo.console import Failure
from littlefs import LittleFS

from board.sim import bootloader

APP = b"\xd2\xcd\x31\x00" + b"app"
LABEL = b"label".ljust(4096, b"\xff")


def build(path, layout="small", **more):
    options = {
        "firmware": image.build_image("1", size=8192),
        "app": APP,
        "label": LABEL,
        "provision": {"v": 1},
        **more,
    }
    flash.build_flash(path, layout, **options)
    return path.read_bytes()


def rows(data):
    table = PartitionTable.from_binary(data[0x8000:0x8C00])
    return {row.name: row for row in table}


def part(data, name):
    row = rows(data)[name]
    return data[row.offset : row.offset + row.size]


@pytest.mark.parametrize("layout", list(flash.LAYOUTS))
def test_tables_are_sound(tmp_path, layout):
    data = build(tmp_path / "flash", layout)
    found = rows(data)
    end = 0x9000
    for row in sorted(found.values(), key=lambda row: row.offset):
        assert row.offset >= end
        end = row.offset + row.size
    assert len(data) == end
    for a, b in (("ota_0", "ota_1"), ("app_0", "app_1")):
        assert found[a].size == found[b].size
    assert found["ota_0"].offset % 0x10000 == found["ota_1"].offset % 0x10000 == 0
    assert found["otadata"].size == 8192
    if layout == "4MB":
        assert end == 4 << 20 and found["ota_0"].size == 0x1B0000


def test_the_bootloader_reads_the_same_table(tmp_path):
    data = build(tmp_path / "flash")

    class Flash:
        def read(self, at, buf):
            buf[:] = data[at : at + len(buf)]

    expected = [(int(r.type), int(r.subtype), r.offset, r.size, r.name) for r in rows(data).values()]
    assert bootloader.partitions(Flash()) == expected


@pytest.mark.parametrize("slot", [0, 1])
def test_what_is_where(tmp_path, slot):
    data = build(tmp_path / "flash", slot=slot)
    other = 1 - slot
    assert part(data, f"ota_{slot}").startswith(image.build_image("1", size=8192))
    assert part(data, f"app_{slot}").startswith(APP) and part(data, f"app_{slot}").endswith(LABEL)
    for blank in ("otadata", f"ota_{other}", f"app_{other}", "data"):
        assert not part(data, blank).strip(b"\xff"), blank


def test_vfs_is_what_micropython_mounts(tmp_path):
    provision = {"v": 1, "name": "Lamp", "keys": {b"12345678": bytes(64)}}
    data = build(tmp_path / "flash", provision=provision, vfs_files={"rescue.py": b"# other", "more.txt": b"more"})
    content = part(data, "vfs")
    fs = LittleFS(block_size=4096, block_count=len(content) // 4096, mount=False)
    fs.context.buffer = bytearray(content)
    fs.mount()
    assert sorted(fs.listdir("/")) == ["boot.py", "fargo.cbor", "launch.py", "more.txt", "rescue.py", "romfs.py"]
    with fs.open("fargo.cbor", "rb") as file:
        assert cbor2.loads(file.read()) == provision
    with fs.open("boot.py", "rb") as file:
        assert file.read() == (ROOT / "boot.py").read_bytes()
    with fs.open("rescue.py", "rb") as file:
        assert file.read() == b"# other"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"firmware": bytes(0x20001)}, "ota_0 holds 131,072 bytes"),
        ({"app": bytes(0x2F001)}, "app_0 holds 192,512 bytes beside its label"),
        ({"label": bytes(4097)}, "app_0 holds 4,096 bytes"),
        ({"layout": "2MB"}, "there is no layout 2MB"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, more, words):
    with pytest.raises(Failure, match=words):
        build(tmp_path / "flash", **more)
    assert not (tmp_path / "flash").exists()


def test_the_largest_that_fits(tmp_path):
    data = build(tmp_path / "flash", firmware=bytes(0x20000), app=bytes(0x2F000))
    assert part(data, "app_0").endswith(LABEL)


def test_a_vfs_that_is_too_small(tmp_path):
    with pytest.raises(Failure, match="vfs holds"):
        build(tmp_path / "flash", vfs_files={"big": bytes(70_000)})
