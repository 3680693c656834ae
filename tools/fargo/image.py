"""Firmware images in ESP-IDF's format, for the simulated board: what runs at its start is in the image."""

from __future__ import annotations

import hashlib
import random
import struct

from esp_idf_defs.app_description import AppDescription
from esp_idf_defs.image_metadata import ChipId, ImageFlashSize, ImageHeader, ImageMetadata, ImageSpiMode

from fargo.console import Failure

SCRIPT = b"FARGO-START\0"
_DROM, _IROM = 0x3F400000, 0x400D0000

START = """
VERSION = {version!r}
import sys
import vfs
import esp32
sys.modules["fw"] = type("fw", (), {{"VERSION": VERSION}})
vfs.mount(vfs.VfsLfs2(esp32.Partition.find(esp32.Partition.TYPE_DATA, label="vfs")[0]), "/")
"""


def build_image(version: str, script: str | None = None, size: int = 262_144, chip: str = "esp32") -> bytes:
    """An application image of about `size` bytes whose start-up `script` mounts `vfs`, as MicroPython's `_boot.py` does.

    The rest is filler that does not compress, different for every version. Raises Failure when `size` is too small.
    """
    source = (script or START.format(version=version)).encode()
    description = AppDescription("fargo-sim", version, "v5.5.2", 0, hashlib.sha256(source).digest())
    data = description.to_bytes() + SCRIPT + struct.pack("<L", len(source)) + source
    data += bytes(-len(data) % 16)
    room = size - ImageHeader.SIZE - 8 - len(data) - 8 - 16 - 32
    if room < 16:
        raise Failure(f"an image of {size} bytes has no room for its start-up script")
    filler = random.Random(version).randbytes(room & ~15)
    head = bytearray(ImageHeader.SIZE)
    head[0], head[1], head[2], head[3] = ImageHeader.MAGIC, 2, ImageSpiMode.DIO, ImageFlashSize.MB4 << 4
    struct.pack_into("<L", head, 4, 0x40081000)
    head[8] = ImageHeader.WP_PIN_DISABLED
    struct.pack_into("<H", head, 12, ChipId[chip.upper()])
    head[23] = 1
    image = bytes(head)
    checksum = ImageMetadata.CHECKSUM_MAGIC
    for page, segment in ((_DROM, data), (_IROM, filler)):
        # The chip maps pages of 64 KB: a segment's place in the page is the same in flash and in memory.
        image += struct.pack("<LL", page | (len(image) + 8) % 0x10000, len(segment)) + segment
        folded = 0
        for at in range(0, len(segment), 8):
            folded ^= int.from_bytes(segment[at : at + 8], "little")
        for byte in folded.to_bytes(8, "little"):
            checksum ^= byte
    image += bytes(15 - len(image) % 16) + bytes((checksum,))
    return image + hashlib.sha256(image).digest()


def check_image(image: bytes) -> ImageMetadata:
    """What an image says of itself. Raises Failure when it is none."""
    try:
        return ImageMetadata.from_bytes(image, app_required=True)
    except (ValueError, struct.error, IndexError) as error:
        raise Failure(
            f"this is no firmware image: {error}", "an ESP-IDF application image (.app-bin) is wanted"
        ) from None


def has_fargo(image: bytes) -> bool:
    """Whether Fargo is frozen into a firmware image: the names of frozen modules stand in it, each ended by a zero."""
    return b"firmware/main.py\0" in image
