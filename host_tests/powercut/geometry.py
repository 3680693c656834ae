"""The boards that the power is cut on: layouts of the flash, what is in the slots, and where the device's code is."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fargo import bundle, flash, image, romfs
from sim.rig import QuickStage, quick


def frozen_layout(app: int) -> str:
    """What a build with everything frozen has in its firmware is in a partition of its own. `app`: bytes of an app half."""
    at = 0x40000
    return f"""
nvs,data,nvs,0x9000,0x4000
otadata,data,ota,0xd000,0x2000
phy_init,data,phy,0xf000,0x1000
ota_0,app,ota_0,0x10000,0x10000
ota_1,app,ota_1,0x20000,0x10000
vfs,data,fat,0x30000,0x10000
app_0,data,0x40,{at:#x},{app:#x}
app_1,data,0x41,{at + app:#x},{app:#x}
data,data,0x42,{at + 2 * app:#x},0x18000
frozen,data,0x43,{at + 2 * app + 0x18000:#x},0x30000
"""


# The second slot before the first, `data` before both, sizes that are no powers of two.
_ODD = """
nvs,data,nvs,0x9000,0x4000
otadata,data,ota,0xd000,0x2000
phy_init,data,phy,0xf000,0x1000
ota_1,app,ota_1,0x10000,0x17000
data,data,0x42,0x27000,0x19000
ota_0,app,ota_0,0x40000,0x15000
vfs,data,fat,0x55000,0xb000
app_1,data,0x41,0x60000,0x2d000
app_0,data,0x40,0x8d000,0x29000
"""
_MOUNT = """
from romfs import RomFS
vfs.mount(RomFS(esp32.Partition.find(esp32.Partition.TYPE_DATA, label="frozen")[0]), "/frozen")
sys.path.append("/frozen")
"""


@dataclass(frozen=True)
class Geometry:
    """`layout` as in fargo.flash; `firmware`: bytes of an image; `frozen`: the device's code is not in the app."""

    layout: str
    firmware: int
    frozen: bool = False


GEOMETRIES = {
    "small": Geometry("small", 60_000),
    "frozen": Geometry(frozen_layout(0x10000), 14_000, frozen=True),  # slots of 16 + 16 sectors
    "odd": Geometry(_ODD, 70_000),
    "4MB": Geometry("4MB", 1_600_000),
}


class FrozenStage(QuickStage):
    """A stage whose firmware has all of Fargo in it; an app image is the maker's app alone."""

    def firmware(self, version: str) -> bytes:
        """As Stage's, and its start mounts what is frozen."""
        script = image.START.format(version=version) + _MOUNT
        return image.build_image(version, script, size=self.firmware_size)

    def app_image(self, change: dict[str, str] | None = None) -> bytes:
        """The maker's files, and what starts Fargo."""
        files = bundle.device_files(self.app, frozen=True)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (change or {}).items():
                files[name] = Path(folder) / name
                files[name].write_text(text)
            return romfs.build(quick(files))

    def flash_factory(self, version: str = "1.0.0", sequence: int = 1) -> None:
        """As Stage's, and the partition of what is frozen."""
        super().flash_factory(version, sequence)
        (row,) = [row for row in flash.table(self.layout) if row.name == "frozen"]
        with open(self.flash, "r+b") as file:
            file.seek(row.offset)
            file.write(_frozen())


@cache
def _frozen() -> bytes:
    files = bundle.own_files()
    del files["main.py"]
    return romfs.build(quick(files))


def options(name: str) -> dict[str, Any]:
    """What `Rig` is made with for the geometry `name`."""
    geometry = GEOMETRIES[name]
    kind = FrozenStage if geometry.frozen else QuickStage
    return {"layout": geometry.layout, "firmware_size": geometry.firmware, "kind": kind}
