"""A whole flash as one file: partition table, slots, file systems. For the simulated board today."""

from __future__ import annotations

from pathlib import Path

import cbor
from esp_idf_defs.partitions import PartitionTable
from littlefs import LittleFS

from fargo.bundle import ROOT
from fargo.console import Failure

TABLE_AT = 0x8000
BLOCK = 4096

# Name, type, subtype, offset, size (docs/architecture.md; sizes in docs/decisions.md)
LAYOUTS = {
    "4MB": """
nvs,data,nvs,0x9000,0x4000
otadata,data,ota,0xd000,0x2000
phy_init,data,phy,0xf000,0x1000
ota_0,app,ota_0,0x10000,0x1b0000
ota_1,app,ota_1,0x1c0000,0x1b0000
vfs,data,fat,0x370000,0x10000
app_0,data,0x40,0x380000,0x30000
app_1,data,0x41,0x3b0000,0x30000
data,data,0x42,0x3e0000,0x20000
""",
    "small": """
nvs,data,nvs,0x9000,0x4000
otadata,data,ota,0xd000,0x2000
phy_init,data,phy,0xf000,0x1000
ota_0,app,ota_0,0x10000,0x20000
ota_1,app,ota_1,0x30000,0x20000
vfs,data,fat,0x50000,0x10000
app_0,data,0x40,0x60000,0x30000
app_1,data,0x41,0x90000,0x30000
data,data,0x42,0xc0000,0x20000
""",
}


def table(layout: str) -> PartitionTable:
    """The partition table of a layout, verified."""
    if layout not in LAYOUTS:
        raise Failure(f"there is no layout {layout}", "one of " + ", ".join(LAYOUTS), 2)
    found = PartitionTable.from_csv(LAYOUTS[layout])
    found.verify()
    return found


def build_flash(
    path: Path, layout: str, firmware: bytes, app: bytes, label: bytes, provision: dict[str, object]
) -> None:
    """Write a factory-fresh flash to `path`: the pair in slot 0 with its `label` (4 KB), nothing in slot 1, no data.

    Raises Failure when a half does not fit its partition.
    """
    partitions = {p.name: p for p in table(layout)}
    size = max(p.offset + p.size for p in partitions.values())
    flash = bytearray(b"\xff" * size)
    binary = table(layout).to_binary()
    flash[TABLE_AT : TABLE_AT + len(binary)] = binary
    for name, data, limit in (
        ("ota_0", firmware, partitions["ota_0"].size),
        ("app_0", app, partitions["app_0"].size - BLOCK),
    ):
        if len(data) > limit:
            raise Failure(f"{name} holds {limit:,} bytes, and the image has {len(data):,}")
        start = partitions[name].offset
        flash[start : start + len(data)] = data
    end = partitions["app_0"].offset + partitions["app_0"].size
    flash[end - BLOCK : end] = label
    vfs = partitions["vfs"]
    flash[vfs.offset : vfs.offset + vfs.size] = _vfs(vfs.size, provision)
    path.write_bytes(flash)


def _vfs(size: int, provision: dict[str, object]) -> bytes:
    """The file system that MicroPython mounts before any code of ours runs."""
    # The sizes that MicroPython's VfsLfs2 uses.
    fs = LittleFS(block_size=BLOCK, block_count=size // BLOCK, prog_size=32, read_size=32, lookahead_size=32)
    files = {
        "boot.py": (ROOT / "boot.py").read_bytes(),
        "romfs.py": (ROOT / "board/vfs/romfs.py").read_bytes(),
        "rescue.py": (ROOT / "board/vfs/rescue.py").read_bytes(),
        "fargo.cbor": cbor.dumps(provision),
    }
    for name, data in files.items():
        with fs.open(name, "wb") as file:
            file.write(data)
    return bytes(fs.context.buffer)
