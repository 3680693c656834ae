"""The image of a real board's whole flash: made from an official build of MicroPython, and read back."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cbor.decoder import decode_prefix
from cryptography.hazmat.primitives.asymmetric import ec
from swupdate.install.tables import CHUNK

from fargo import flash, image, keys, official, release, romfs
from fargo import provision as provisioned
from fargo.console import USAGE, Failure

_MB = 1 << 20
LAYOUTS = [name for name in flash.LAYOUTS if name.endswith("MB")]  # those of real boards


@dataclass(frozen=True)
class Pair:
    """What a slot holds: both halves, and the label (4 KB) that says what they are."""

    firmware: bytes
    app: bytes
    label: bytes


def from_envelope(envelope: Path) -> Pair:
    """The pair that a release carries, beside its envelope. Raises Failure when it has only one half."""
    label = release.label(envelope.read_bytes())
    halves = {c["half"]: (envelope.parent / c["uri"]).read_bytes() for c in release.show(envelope)["components"]}
    return Pair(halves["fw"], halves["app"], label)


def from_release(
    envelope: Path, trusted: list[ec.EllipticCurvePublicKey], threshold: int, vendor: bytes, class_id: bytes
) -> Pair:
    """The pair of a signed release. Raises Failure when a device with these keys and ids would refuse it."""
    report = release.verify(envelope, trusted, threshold)
    if report.problems:
        raise Failure(f"{envelope}: {'; '.join(report.problems)}", "", problems=report.problems)
    shown = release.show(envelope)
    for what, is_, wanted in (("vendor", shown["vendor"], vendor), ("class", shown["class"], class_id)):
        if is_ != wanted.hex():
            raise Failure(f"{envelope} is for {what} {is_}, and the image is to have {wanted.hex()}", f"give --{what}")
    return from_envelope(envelope)


def check_build(build: official.Build, layout: str, name: str) -> None:
    """Whether a board can be made of the build alone, with this layout. `name` of the build is for messages.

    Raises Failure, which says what to fetch instead.
    """
    if build.parts.bootloader is None:
        raise Failure(
            f"{name} is an application alone (.app-bin), and a board needs a bootloader as well",
            f"fetch the .bin of the same build from {official.DOWNLOAD}",
        )
    size, room = len(build.parts.app), flash.names(flash.table(layout))["ota_0"].size
    if size > room:
        raise Failure(
            f"{name} has {size:,} bytes of firmware, and a slot of the {layout} layout holds {room:,}",
            f"fetch the OTA build, which is smaller, from {official.DOWNLOAD}, or give --layout for a larger flash",
        )


def check(build: official.Build, pair: Pair, layout: str, name: str) -> None:
    """Whether the pair belongs to the build and fits the slots of `layout`. Raises Failure."""
    check_build(build, layout, name)
    if pair.firmware != build.parts.app:
        raise Failure(f"the release carries another firmware than {name}", "build both from the same file")
    room = flash.names(flash.table(layout))["app_0"].size - CHUNK
    if len(pair.app) > room:
        raise Failure(
            f"the app has {len(pair.app):,} bytes, and app_0 of the {layout} layout holds {room:,}",
            "make the app smaller, or give --layout for a larger flash",
        )
    romfs.check(pair.app, build.bytecode, official.CHIPS[build.parts.chip].arch)


def write(path: Path, build: official.Build, pair: Pair, provision: Mapping[str, object], layout: str = "4MB") -> None:
    """Write the image of the whole flash, for offset 0: a factory-fresh board with the pair in slot 0. Raises Failure.

    NVS is blank: the WiFi's name and key are provisioned. The bootloader's header is given the flash size of the layout.
    """
    check(build, pair, layout, path.name)
    bootloader = official.with_flash_size(build.parts.bootloader or b"", int(layout.removesuffix("MB")) * _MB)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / "flash"
        flash.build_flash(
            made, layout, pair.firmware, pair.app, pair.label, provision,
            wifi=None, bootloader=(official.CHIPS[build.parts.chip].bootloader_at, bootloader),
        )  # fmt: skip
        made.replace(path)


def provision(
    trusted: list[ec.EllipticCurvePublicKey],
    threshold: int,
    authorities: list[bytes],
    name: str,
    manufacturer: str,
    model: str,
    vendor: bytes,
    class_id: bytes,
    url: str = "",
) -> dict[str, object]:
    """What an image is provisioned with (docs/architecture.md, Storage): whom the device trusts. Raises Failure."""
    if not trusted:
        raise Failure("no release key is given, so the device could not be updated", "give --key release.pub", USAGE)
    if threshold > len({keys.kid(key) for key in trusted}):
        raise Failure(
            f"{threshold} signatures are asked for, and fewer keys are given", "give --key once a key", USAGE
        )
    for option, words in (("--name", name), ("--manufacturer", manufacturer), ("--model", model)):
        provisioned.text(words, option)
    provisioned.package_url(url)
    return {
        "v": 1,
        "name": name,
        "manufacturer": manufacturer,
        "model": model,
        "manufactured": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "piid": str(uuid.uuid4()),
        "vendor": vendor,
        "class": class_id,
        "url": url,
        "threshold": threshold,
        "keys": {keys.kid(key): keys.raw(key) for key in trusted},
        "authorities": authorities,
        "settings": {},
    }


def ids(manufacturer: str, model: str) -> tuple[bytes, bytes]:
    """Vendor and class id from names, as the draft of SUIT manifests recommends: UUIDs of version 5."""
    vendor = uuid.uuid5(uuid.NAMESPACE_DNS, manufacturer)
    return vendor.bytes, uuid.uuid5(vendor, model).bytes


def read_label(sector: bytes) -> dict[str, Any] | None:
    """What a slot is, from the last sector of its app half; None when that says nothing that makes sense."""
    try:
        label, _ = decode_prefix(sector[:256], strict=True)
        sane = isinstance(label["seq"], int) and isinstance(label["version"], str)
        return label if sane and len(label["fw"]) == len(label["app"]) == 2 else None
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Image:
    """An image that was read back. `at`: partition -> (offset, size); `version` and `sequence` of the pair in slot 0."""

    data: bytes
    chip: str
    layout: str
    at: dict[str, tuple[int, int]]
    version: str
    sequence: int

    def part(self, name: str) -> bytes:
        """The bytes of the partition `name`."""
        start, size = self.at[name]
        return self.data[start : start + size]

    @property
    def bootloader_at(self) -> int:
        """Where the bootloader is."""
        return official.CHIPS[self.chip].bootloader_at


def read(path: Path) -> Image:
    """The image in the file `path`, checked as far as a device and its bootloader will. Raises Failure."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    hint = "make one with: fargo board image"
    parts = official.split(data, str(path))
    try:
        layout = flash.layout_of(data)
    except Failure:
        raise Failure(f"{path} is a build of MicroPython, not an image with Fargo in it", hint) from None
    rows = flash.names(flash.table(layout))
    at = {name: (int(row.offset), int(row.size)) for name, row in rows.items()}
    if len(data) != max(start + size for start, size in at.values()):
        raise Failure(f"{path} is not a whole flash of the {layout} layout", hint)
    start, size = at["app_0"]
    label = read_label(data[start + size - CHUNK : start + size])
    if label is None or label["fw"] != [len(parts.app), image.digest(parts.app)]:
        raise Failure(f"{path} holds no pair in its first slot: firmware and label do not agree", hint)
    count, digest = label["app"]
    if count > size - CHUNK or image.digest(data[start : start + count]) != digest:
        raise Failure(f"{path} holds no pair in its first slot: app and label do not agree", hint)
    return Image(data, parts.chip, layout, at, label["version"], label["seq"])
