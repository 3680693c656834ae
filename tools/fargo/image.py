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
_RAM = 0x3FFF0000, 0x40080000

# Where the chip's ROM finds the second stage bootloader in the flash.
BOOTLOADER_AT = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0}

START = """
VERSION = {version!r}
import sys
import vfs
import esp32
sys.modules["fw"] = type("fw", (), {{"VERSION": VERSION}})
vfs.mount(vfs.VfsLfs2(esp32.Partition.find(esp32.Partition.TYPE_DATA, label="vfs")[0]), "/")
"""


def build_image(
    version: str, script: str | None = None, size: int = 262_144, chip: str = "esp32", banner: str = ""
) -> bytes:
    """An application image of about `size` bytes whose start-up `script` mounts `vfs`, as MicroPython's `_boot.py` does.

    The rest is filler that does not compress, different for every version. `banner`: what its REPL would greet with.
    Raises Failure when `size` is too small.
    """
    source = (script or START.format(version=version)).encode()
    description = AppDescription("fargo-sim", version, "v5.5.2", 0, hashlib.sha256(source).digest())
    data = description.to_bytes() + SCRIPT + struct.pack("<L", len(source)) + source
    data += (
        ("\0" + banner.replace("; ", "\0\0\0; ") + "\0").encode() if banner else b""
    )  # two strings, as compilers do it
    return _image(data, version, size, chip)


def build_official(
    banner: str,
    script: str | None = None,
    size: int = 262_144,
    chip: str = "esp32",
    flash_mb: int = 4,
    table: bytes = b"",
    app_at: int = 0x10000,
) -> bytes:
    """What the download page of MicroPython has as `.bin`, for the simulated board: bootloader, table, application.

    `banner` as "MicroPython v1.26.0 on 2025-08-09; Generic ESP32 module with ESP32"; `table`: a partition table in ESP-IDF's
    binary format, with the application at `app_at`. Nothing runs the bootloader: the simulated board has its own.
    """
    start = BOOTLOADER_AT[chip]
    bootloader = _image(b"a bootloader", banner, 20_000, chip, flash_mb, _RAM)
    app = build_image(banner.split()[1], script, size, chip, banner)
    data = bytearray(b"\xff" * (app_at - start)) + app
    data[: len(bootloader)] = bootloader
    data[0x8000 - start : 0x8000 - start + len(table)] = table
    return bytes(data)


def _image(
    data: bytes, seed: str, size: int, chip: str, flash_mb: int = 4, pages: tuple[int, int] = (_DROM, _IROM)
) -> bytes:
    """An image of two segments, `data` and filler. Raises Failure when `size` is too small."""
    data += bytes(-len(data) % 16)
    room = size - ImageHeader.SIZE - 8 - len(data) - 8 - 16 - 32
    if room < 16:
        raise Failure(f"an image of {size} bytes has no room for its start-up script")
    filler = random.Random(seed).randbytes(room & ~15)
    head = bytearray(ImageHeader.SIZE)
    head[0], head[1], head[2] = ImageHeader.MAGIC, 2, ImageSpiMode.DIO
    head[3] = ImageFlashSize[f"MB{flash_mb}"] << 4
    struct.pack_into("<L", head, 4, 0x40081000)
    head[8] = ImageHeader.WP_PIN_DISABLED
    struct.pack_into("<H", head, 12, ChipId[chip.upper()])
    head[23] = 1
    image = bytes(head)
    checksum = ImageMetadata.CHECKSUM_MAGIC
    for page, segment in zip(pages, (data, filler), strict=True):
        # The chip maps pages of 64 KB: a segment's place in the page is the same in flash and in memory.
        image += struct.pack("<LL", page | (len(image) + 8) % 0x10000, len(segment)) + segment
        folded = 0
        for at in range(0, len(segment), 8):
            folded ^= int.from_bytes(segment[at : at + 8], "little")
        for byte in folded.to_bytes(8, "little"):
            checksum ^= byte
    image += bytes(15 - len(image) % 16) + bytes((checksum,))
    return image + digest(image)


def digest(data: bytes | bytearray) -> bytes:
    """What ESP-IDF appends to an image."""
    return hashlib.sha256(data).digest()


def length(found: ImageMetadata) -> int:
    """How many bytes an image has, with its checksum and its SHA-256."""
    last = found.segments[-1]
    return (last.offset + last.length + 16 & ~15) + (32 if found.header.hash_appended else 0)


def check_image(image: bytes, app: bool = True) -> ImageMetadata:
    """What an image says of itself: an application's, or without `app` a bootloader's. Raises Failure when it is none."""
    try:
        return ImageMetadata.from_bytes(image, app_required=app)
    except (ValueError, struct.error, IndexError) as error:
        why = "it ends too early" if isinstance(error, struct.error) else error
        raise Failure(
            f"this is no firmware image: {why}", "an ESP-IDF application image (.app-bin) is wanted"
        ) from None


def has_fargo(image: bytes) -> bool:
    """Whether Fargo is frozen into a firmware image: the names of frozen modules stand in it, each ended by a zero."""
    return b"firmware/main.py\0" in image
