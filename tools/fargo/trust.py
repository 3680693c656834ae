"""Trust stores: the release that tells devices whose signatures count from now on (docs/release-format.md)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cbor
from cbor import Pairs
from cryptography.hazmat.primitives.asymmetric import ec
from swupdate.faults import Fault
from swupdate.install import trust as profile

from fargo import keys, suit
from fargo.console import USAGE, Failure
from fargo.files import replace, write_named


def build(
    out: Path,
    number: int,
    vendor: bytes,
    class_id: bytes,
    trusted: list[ec.EllipticCurvePublicKey],
    threshold: int = 1,
    floor: int | None = None,
    built: int | None = None,
    expires: int = 0,
    name: str = "fargo",
) -> Path:
    """Write a trust store and its unsigned envelope into `out`; the envelope's path.

    `number`: above that of every trust store before; `threshold` of the `trusted` keys must sign a release from then on;
    `floor`: where sequence numbers begin anew. Times are Unix seconds. Raises Failure.
    """
    if len({keys.kid(key) for key in trusted}) < len(trusted):
        raise Failure("a key is given twice", "", USAGE)
    content: list[tuple[str, object]] = [
        ("v", 1),
        ("n", number),
        ("keys", Pairs([(keys.kid(key), keys.raw(key)) for key in trusted])),
        ("threshold", threshold),
    ]
    if floor is not None:
        content.append(("floor", floor))
    if not 0 < number < 1 << 31 or len(vendor) != 16 or len(class_id) != 16 or "/" in name:
        raise Failure("a number is positive, vendor and class have 16 bytes, a name has no /", "", USAGE)
    data = cbor.dumps(Pairs(content))
    try:
        profile.read(data, number)  # what a device would refuse is not built
    except Fault as fault:
        raise Failure(fault.text, "", USAGE) from None
    digest, uri = write_named(out, data, ".trust")
    part = suit.Part("trust", len(data), digest, uri)
    manifest = suit.manifest(
        f"trust store {number}",
        number,
        vendor,
        class_id,
        [part],
        int(time.time()) if built is None else built,
        expires,
    )
    path = out / f"{name}-trust-{number}.suit"
    replace(path, suit.envelope(manifest, []))
    return path


def read(data: bytes, number: int) -> tuple[dict[bytes, bytes], int, int | None]:
    """(keys by kid, threshold, sequence floor if it sets one) of the trust store `data`. Raises swupdate's Fault."""
    found: tuple[dict[bytes, bytes], int, int | None] = profile.read(data, number)
    return found


def show(data: bytes, number: int) -> dict[str, Any]:
    """What a trust store says, for people and for --json. Raises swupdate's Fault."""
    found, threshold, floor = read(data, number)
    return {"keys": sorted(kid.hex() for kid in found), "threshold": threshold, "floor": floor}
