"""A whole flash as one file: partition table, slots, file systems. For the simulated board and for real ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cbor
from esp_idf_defs.partitions import PartitionDefinition, PartitionTable
from littlefs import LittleFS, LittleFSError

from fargo import names as short_names
from fargo.bundle import ROOT
from fargo.console import Failure

TABLE_AT = 0x8000
BLOCK = 4096
_COMPILED = ("launch", "romfs", "rescue")

# Those of boards are read from where a build of MicroPython finds them, with the reasons for their sizes.
LAYOUTS = {
    "4MB": (ROOT / "board/partitions-4MiB.csv").read_text(),
    "8MB": (ROOT / "board/partitions-8MiB.csv").read_text(),
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
    """The partition table of a layout, verified: the name of one of ours, or lines as ESP-IDF's tables have them."""
    if "," not in layout and layout not in LAYOUTS:
        raise Failure(f"there is no layout {layout}", "one of " + ", ".join(LAYOUTS), 2)
    found = PartitionTable.from_csv(LAYOUTS.get(layout, layout))
    found.verify()
    return found


def names(rows: PartitionTable) -> dict[str, PartitionDefinition]:
    """The entries of a table by their names."""
    return {str(row.name): row for row in rows}


def layout_of(flash: bytes) -> str:
    """The name of our layout whose table is in `flash`. Raises Failure when it has another."""
    for name in LAYOUTS:
        binary = table(name).to_binary()
        if flash[TABLE_AT : TABLE_AT + len(binary)] == binary:
            return name
    raise Failure("there is none of Fargo's partition tables in it")


def offset(layout: str, name: str) -> int:
    """Where the partition `name` begins, in bytes."""
    (found,) = (row.offset for row in table(layout) if row.name == name)
    return int(found)


def build_flash(
    path: Path,
    layout: str,
    firmware: bytes,
    app: bytes,
    label: bytes,
    provision: Mapping[str, object],
    vfs_files: Mapping[str, bytes] | None = None,
    slot: int = 0,
    wifi: tuple[str, str] | None = ("simulated", "no secret"),
    bootloader: tuple[int, bytes] = (0, b""),
) -> None:
    """Write a factory-fresh flash to `path`: the pair in `slot` with its `label` (4 KB), nothing in the other, no data.

    `otadata` is blank, as a flashing tool leaves it. `provision` becomes `fargo.cbor`; `vfs_files` are added to `vfs`, or
    take the place of what is there. `wifi`: name and key of the network, in the simulated board's NVS; None leaves it blank.
    `bootloader`: where, and what; the simulated board has its own. Raises Failure when a half does not fit.
    """
    rows = table(layout)
    partitions = names(rows)
    flash = bytearray(b"\xff" * max(p.offset + p.size for p in rows))

    def put(name: str, data: bytes, offset: int = 0) -> None:
        room = partitions[name].size
        if len(data) > room - offset:
            raise Failure(f"{name} holds {room - offset:,} bytes, and what is to go there has {len(data):,}")
        start = partitions[name].offset + offset
        flash[start : start + len(data)] = data

    start, code = bootloader
    if len(code) > TABLE_AT - start:
        raise Failure(
            f"there are {TABLE_AT - start:,} bytes before the partition table, and the bootloader has {len(code):,}"
        )
    flash[start : start + len(code)] = code
    binary = rows.to_binary()
    flash[TABLE_AT : TABLE_AT + len(binary)] = binary
    last = partitions["app_0"].size - BLOCK
    if len(app) > last:
        raise Failure(f"app_{slot} holds {last:,} bytes beside its label, and the image has {len(app):,}")
    put(f"ota_{slot}", firmware)
    put(f"app_{slot}", app)
    put(f"app_{slot}", label, last)
    put("vfs", build_vfs(layout, provision, vfs_files))
    if wifi:
        put("nvs", build_nvs(wifi))
    path.write_bytes(flash)


def build_vfs(layout: str, provision: Mapping[str, object], files: Mapping[str, bytes] | None = None) -> bytes:
    """The image of `vfs`, the file system that MicroPython mounts before any code of ours runs.

    To be flashed alone, at `offset(layout, "vfs")`, it repairs a board whose `vfs` is damaged, and leaves its owner: that
    is in `data`. `provision` as the board had it; `files` are added. Raises Failure when they do not fit.
    """
    (size,) = (row.size for row in table(layout) if row.name == "vfs")
    # The sizes that MicroPython's VfsLfs2 uses.
    fs = LittleFS(block_size=BLOCK, block_count=size // BLOCK, prog_size=32, read_size=32, lookahead_size=32)
    content = {
        "boot.py": (ROOT / "boot.py").read_bytes(),
        # Compiled on the device, where each name of theirs would stay in memory.
        **{
            f"{name}.py": short_names.shorten_source((ROOT / f"board/vfs/{name}.py").read_text()).encode()
            for name in _COMPILED
        },
        "fargo.cbor": cbor.dumps(provision),
        **(files or {}),
    }
    try:
        for name, data in content.items():
            with fs.open(name, "wb") as file:
                file.write(data)
    except LittleFSError as error:
        raise Failure(f"vfs holds {size:,} bytes, too little for its {len(content)} files ({error})") from None
    return bytes(fs.context.buffer)


def build_nvs(wifi: tuple[str, str]) -> bytes:
    """The WiFi's name and key, in the simulated board's own format of NVS (board/sim/esp32.py)."""
    data = b""
    for key, value in zip((b"ssid", b"key"), wifi, strict=True):
        blob = b"b" + value.encode()
        data += bytes((0xA5, 4, len(key), len(blob), 0)) + b"wifi" + key + blob + b"\x5a"
    return data
