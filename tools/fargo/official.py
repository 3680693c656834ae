"""Official builds of MicroPython for the ESP32, as they are downloaded: what is in them, and whether Fargo can use it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from esp_idf_defs.app_description import AppDescription
from esp_idf_defs.image_metadata import ChipId, ImageHeader
from esp_idf_defs.partitions import InputError, PartitionTable

from fargo import image
from fargo.console import Failure
from fargo.flash import TABLE_AT

DOWNLOAD = "micropython.org/download"
OLDEST = (1, 26)
NEWEST = (1, 29)  # whose .mpy version is known here
_BYTECODE = 6  # from 1.19 to NEWEST
_MB = 1 << 20
_BANNER = re.compile(rb"MicroPython v(\d+)\.(\d+)\.(\d+)([-+.\w]*) on \d{4}-\d\d-\d\d(?:\0{0,4}; ([ -~]{1,100}))?")


@dataclass(frozen=True)
class Chip:
    """A chip that Fargo knows: what esptool calls it, where its ROM finds the bootloader, what mpy-cross calls it."""

    name: str
    bootloader_at: int
    march: str
    arch: int  # of native code in a .mpy file


CHIPS = {
    "esp32": Chip("ESP32", image.BOOTLOADER_AT["esp32"], "xtensawin", 10),
    "esp32s3": Chip("ESP32-S3", image.BOOTLOADER_AT["esp32s3"], "xtensawin", 10),
    "esp32c3": Chip("ESP32-C3", image.BOOTLOADER_AT["esp32c3"], "rv32imc", 11),
}
KNOWN = "ESP32, ESP32-S3 and ESP32-C3"


@dataclass(frozen=True)
class Parts:
    """The images in a file: `chip` is a key of CHIPS; there is no bootloader in an .app-bin; `flash_size` in bytes."""

    chip: str
    bootloader: bytes | None
    app: bytes
    flash_size: int


@dataclass(frozen=True)
class Build:
    """An official build that Fargo can use. `bytecode`: the .mpy version that it loads; `board`: what it calls itself."""

    parts: Parts
    version: str
    board: str
    bytecode: int


def split(data: bytes, name: str) -> Parts:
    """Bootloader and application in `data`, verified (checksum and SHA-256), the latter to its last byte.

    `data` is a `.bin`, which begins with the bootloader, or an `.app-bin`; `name` is for messages. Raises Failure.
    """
    chip = _chip(data, name)
    at = CHIPS[chip].bootloader_at
    if len(data) > at and data[:at] == b"\xff" * at and data[at] == ImageHeader.MAGIC:
        data = data[at:]  # of a whole flash
        chip = _chip(data, name)
    size = _flash_size(data)
    if _is_app(data):
        return Parts(chip, None, _exact(data, name), size)
    bootloader = _exact(data, name, app=False)
    start = _app_offset(data[TABLE_AT - at :], name) - at
    if start >= len(data):
        raise Failure(f"{name} ends before its application begins", "it was not downloaded whole: fetch it again")
    app = _exact(data[start:], name)
    if _chip(app, name) != chip:
        raise Failure(f"{name} has a bootloader and an application for different chips", _fetch("for your board"))
    return Parts(chip, bootloader, app, size)


def read(path: Path, bytecode: int | None = None) -> Build:
    """The official build in the file `path`. `bytecode`: the .mpy version of one that is newer than what is known here.

    Raises Failure, which says what to fetch instead.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    parts = split(data, str(path))
    if parts.flash_size < 4 * _MB:
        raise Failure(
            f"{path} is for boards with {parts.flash_size // _MB} MB of flash, and two versions need 4 MB",
            _fetch("for a board with 4 MB of flash or more"),
        )
    return identify(parts, str(path), bytecode)


def is_micropython(parts: Parts) -> bool:
    """Whether the application is MicroPython."""
    return _BANNER.search(parts.app) is not None


def identify(parts: Parts, name: str, bytecode: int | None = None) -> Build:
    """Which MicroPython the application is. `bytecode`: what the user says that it loads; 0: is not to be checked.

    Raises Failure when it is none, too old, or loads another .mpy version than the user says.
    """
    banners = list(_BANNER.finditer(parts.app))  # of the REPL, which names the board, and that of sys.version
    found = next((banner for banner in banners if banner[5]), banners[0] if banners else None)
    if not found:
        raise Failure(f"{name} is a firmware image, but not MicroPython's", _fetch("for your board"))
    number = int(found[1]), int(found[2])
    version = f"{found[1].decode()}.{found[2].decode()}.{found[3].decode()}{found[4].decode()}"
    early = number == OLDEST and found[3] == b"0" and b"preview" in found[4]
    if number < OLDEST or early:
        oldest = ".".join(str(n) for n in OLDEST)
        raise Failure(
            f"{name} is MicroPython {version}, and Fargo needs {oldest} or newer", _fetch(f"{oldest} or newer")
        )
    if number > NEWEST and bytecode is None:
        raise Failure(
            f"{name} is MicroPython {version}, which is newer than what this fargo knows",
            "say which .mpy version it loads with --bytecode (sys.implementation._mpy & 255 on the board)",
        )
    if number <= NEWEST and bytecode not in (None, 0, _BYTECODE):
        text = f"{name} is MicroPython {version}, which loads .mpy version {_BYTECODE} and not {bytecode}"
        raise Failure(text, "leave --bytecode out")
    board = (found[5] or b"").decode()
    return Build(parts, version, board, _BYTECODE if bytecode is None else bytecode)


def with_flash_size(bootloader: bytes, size: int) -> bytes:
    """The bootloader with the flash size in its header set to `size` bytes, and its SHA-256 made anew, as esptool does.

    ESP-IDF takes the flash for as large as that and refuses a partition table that reaches beyond.
    """
    found = image.check_image(bootloader, app=False)
    changed = bytearray(bootloader)
    changed[3] = changed[3] & 0x0F | (size // _MB).bit_length() - 1 << 4
    if found.header.hash_appended:
        changed[-32:] = image.digest(changed[:-32])
    return bytes(changed)


def _fetch(what: str) -> str:
    return f"fetch the .bin {what} from {DOWNLOAD}"


def _chip(data: bytes, name: str) -> str:
    """The chip that an image is for. Raises Failure when Fargo does not know it."""
    if data[:4] == b"UF2\n":
        raise Failure(f"{name} is a UF2 file", _fetch("of the same build"))
    if data[:4] == b"\x7fELF":
        raise Failure(f"{name} is an ELF file", _fetch("of the same build"))
    at = 0x1000 if data[:0x1000] == b"\xff" * 0x1000 else 0
    if len(data) < at + ImageHeader.SIZE or data[at] != ImageHeader.MAGIC:
        raise Failure(f"{name} is no firmware image of an ESP32", _fetch("for your board"))
    number = struct.unpack_from("<H", data, at + 12)[0]
    try:
        chip = ChipId(number).name.lower()
    except ValueError:
        chip = f"a chip with the id {number}"
    if chip not in CHIPS:
        text = f"ESP32-{chip[5:].upper()}" if chip.startswith("esp32") else chip
        raise Failure(f"{name} is for {text}, and Fargo runs on {KNOWN}", _fetch("for one of these"))
    return chip


def _is_app(data: bytes) -> bool:
    """Whether an image is an application: these begin with a description."""
    at = AppDescription.FIRMWARE_BINARY_OFFSET
    return data[at : at + 4] == AppDescription.MAGIC.to_bytes(4, "little")


def _flash_size(data: bytes) -> int:
    return _MB << (data[3] >> 4)


def _exact(data: bytes, name: str, app: bool = True) -> bytes:
    """The image at the start of `data`, verified and without what follows it. Raises Failure."""
    try:
        found = image.check_image(data, app)
    except Failure as failure:
        what = "application" if app else "bootloader"
        raise Failure(f"the {what} in {name} is damaged ({failure.text})", "fetch the file again") from None
    size = image.length(found)
    if size > len(data):
        raise Failure(f"{name} ends in the middle of an image", "it was not downloaded whole: fetch it again")
    return data[:size]


def _app_offset(table: bytes, name: str) -> int:
    """Where in the flash the application that is started first begins. Raises Failure."""
    try:
        rows = PartitionTable.from_binary(table[:0xC00])
    except (InputError, struct.error, ValueError):
        raise Failure(f"{name} has no partition table where ESP-IDF has it", _fetch("for your board")) from None
    apps = {row.subtype: int(row.offset) for row in rows if row.type == 0}
    for subtype in (0x00, 0x10):  # factory, ota_0
        if subtype in apps:
            return apps[subtype]
    raise Failure(f"{name} has no application in its partition table", _fetch("for your board"))
