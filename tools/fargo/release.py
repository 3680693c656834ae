"""Releases: built, signed, verified and shown. What is written here is what a server serves as it is."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from swupdate.faults import Fault
from swupdate.install import manifest as profile
from swupdate.install.tables import CHUNK, ENTRY

from fargo import keys, suit, trust
from fargo.console import FAILED, Failure
from fargo.files import replace, write_named


def chunk_table(data: bytes) -> bytes:
    """16 bytes of SHA-256 for every 4 KB of `data`, the last chunk filled up with 0xFF."""
    table = b""
    for at in range(0, len(data), CHUNK):
        chunk = data[at : at + CHUNK]
        table += hashlib.sha256(chunk + b"\xff" * (CHUNK - len(chunk))).digest()[:ENTRY]
    return table


def build(
    out: Path,
    version: str,
    sequence: int,
    vendor: bytes,
    class_id: bytes,
    firmware: bytes | None = None,
    app: bytes | None = None,
    bytecode: int = 0,
    built: int | None = None,
    expires: int = 0,
    name: str = "fargo",
) -> Path:
    """Write payloads, chunk tables and the unsigned envelope of a release into `out`; the envelope's path.

    `bytecode`: the `.mpy` version that the app needs and the firmware loads. Times are Unix seconds. Raises Failure.
    """
    if firmware is None and app is None:
        raise Failure("a release carries a firmware, an app, or both", "give --firmware or --app", 2)
    if len(vendor) != 16 or len(class_id) != 16:
        raise Failure("vendor and class are 16 bytes each", "UUIDs, as the device was provisioned with", 2)
    if not 0 < len(version.encode()) <= 64 or not 0 < sequence < 1 << 62:
        raise Failure("a version has 1 to 64 bytes, a sequence number is positive", "", 2)
    if "/" in name + version or not (firmware is None or firmware) or not (app is None or app):
        raise Failure("a payload is empty, or there is a / in the name or the version", "", 2)
    parts = []
    for half, data in (("fw", firmware), ("app", app)):
        if data is not None:
            digest, uri = write_named(out, data, ".bin")
            table, table_uri = write_named(out, chunk_table(data), ".chunks")
            parts.append(suit.Part(half, len(data), digest, uri, table, table_uri, bytecode))
    data = suit.manifest(
        version, sequence, vendor, class_id, parts, int(time.time()) if built is None else built, expires
    )
    path = out / f"{name}-{version}.suit"
    replace(path, suit.envelope(data, []))
    return path


def sign(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Add a signature to the envelope `path`. It is all that is needed: payloads may be elsewhere. Raises Failure."""
    data, digest, signatures = _opened(path)
    manifest = _manifest(data)  # what a device would not understand is not signed
    if profile.digest(data) != digest[-32:]:
        raise Failure(f"{path} was changed after it was built", "build it again")
    if keys.kid(key.public_key()) in _signers(path, signatures):
        raise Failure(f"{path} is signed with this key already")
    most = 6 if manifest.component("trust") else 3
    if len(signatures) >= most:
        raise Failure(f"{path} has {most} signatures already, which is the most")
    signed = suit.envelope(data, [*signatures, suit.sign(digest, key)])
    if len(signed) > profile.ENVELOPE_LIMIT:
        raise Failure(f"{path} would be larger than {profile.ENVELOPE_LIMIT} bytes")
    replace(path, signed)


@dataclass
class Report:
    """What `verify` found. `problems` is empty when all is well."""

    path: Path
    version: str = ""
    valid: list[str] = field(default_factory=list)  # kids, hexadecimal
    unknown: list[str] = field(default_factory=list)  # kids of keys that are not trusted: they count for nothing
    problems: list[str] = field(default_factory=list)


def verify(path: Path, trusted: list[ec.EllipticCurvePublicKey], threshold: int = 1, now: int = 0) -> Report:
    """Check an envelope as a device would, and the files that it names; `now` in Unix seconds, 0 is the present.

    The signatures are checked by OpenSSL, not by the device's code. Raises Failure when the file cannot be read.
    """
    report = Report(path)
    try:
        data, digest, signatures = profile.split(_bytes(path))
        manifest = profile.Manifest(data)
    except Fault as fault:
        report.problems.append(fault.text)
        return report
    known = {keys.kid(key): key for key in trusted}
    report.unknown = [kid.hex() for kid, _, _ in signatures if kid not in known]
    report.valid = _valid(known, digest, signatures, report)
    if len(report.valid) < threshold:
        report.problems.append(f"{len(report.valid)} valid signature(s) of trusted keys, {threshold} needed")
    report.version = manifest.version
    if manifest.expires and manifest.expires < (now or time.time()):
        report.problems.append("it has expired")
    for part in manifest.components:
        payload = _read(path.parent, part.uri, report)
        if payload is not None and (len(payload) != part.size or hashlib.sha256(payload).digest() != part.digest):
            report.problems.append(f"{part.uri} is not the {part.half} that was signed")
        if part.half == "trust":
            if payload is not None:
                _agreed(payload, manifest.seq, digest, signatures, report)
            continue
        table = _read(path.parent, part.table_uri, report)
        if table is not None and hashlib.sha256(table).digest() != part.table:
            report.problems.append(f"{part.table_uri} is not the table that was signed")
        if payload is not None and table is not None and chunk_table(payload) != table:
            report.problems.append(f"{part.table_uri} does not belong to {part.uri}")
    return report


def _valid(
    known: dict[bytes, ec.EllipticCurvePublicKey],
    digest: bytes,
    signatures: list[tuple[bytes, bytes, bytes]],
    report: Report,
) -> list[str]:
    """The kids (hexadecimal) of the keys in `known` whose signatures are valid; wrong ones become problems."""
    valid: list[str] = []
    for kid, protected, signature in signatures:
        if kid not in known:
            continue
        der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        try:
            known[kid].verify(der, suit.to_be_signed(protected, digest), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            text = f"the signature of {kid.hex()} is wrong"
            if text not in report.problems:
                report.problems.append(text)
            continue
        if kid.hex() not in valid:
            valid.append(kid.hex())
    return valid


def _agreed(
    payload: bytes, number: int, digest: bytes, signatures: list[tuple[bytes, bytes, bytes]], report: Report
) -> None:
    """Whether the keys of a new trust store have signed it, as many as it asks for."""
    try:
        found, threshold, _ = trust.read(payload, number)
    except Fault as fault:
        report.problems.append(fault.text)
        return
    new = {kid: keys.from_raw(found[kid]) for kid in found}
    report.unknown = [kid for kid in report.unknown if bytes.fromhex(kid) not in new]
    valid = _valid(new, digest, signatures, report)
    if len(valid) < threshold:
        report.problems.append(f"{len(valid)} valid signature(s) of the new trust store's keys, {threshold} needed")


def publish(path: Path, trusted: list[ec.EllipticCurvePublicKey], threshold: int = 1) -> Path:
    """Make the release `path` what `latest.suit` beside it is; its path. Raises Failure when it does not verify."""
    report = verify(path, trusted, threshold)
    if report.problems:
        raise Failure(f"{path}: {'; '.join(report.problems)}", "", FAILED, problems=report.problems)
    latest = path.with_name("latest.suit")
    replace(latest, _bytes(path))
    return latest


def show(path: Path) -> dict[str, Any]:
    """What an envelope says, for people and for --json."""
    data, _, signatures = _opened(path)
    manifest = _manifest(data)
    value = {
        "version": manifest.version,
        "sequence": manifest.seq,
        "built": manifest.built,
        "expires": manifest.expires,
        "vendor": manifest.components[0].vendor.hex(),
        "class": manifest.components[0].kind.hex(),
        "digest": profile.digest(data).hex(),
        "signed_by": [kid.hex() for kid in _signers(path, signatures)],
        "components": [
            {
                "half": c.half,
                "size": c.size,
                "digest": c.digest.hex(),
                "uri": c.uri,
                "table": c.table_uri,
                "bytecode": c.bytecode,
            }
            for c in manifest.components
        ],
    }
    store = manifest.component("trust")
    if store and "/" not in store.uri and path.with_name(store.uri).exists():
        try:
            value["trust"] = trust.show(_bytes(path.with_name(store.uri)), manifest.seq)
        except Fault as fault:
            raise Failure(f"{store.uri}: {fault.text}") from None
    return value


def label(envelope: bytes) -> bytes:
    """The label of a slot that is flashed with this release (docs/architecture.md, Storage): 4 KB. Raises Failure."""
    data, _, _ = suit.opened(envelope)
    manifest = _manifest(data)
    content: dict[str, Any] = {
        "v": 1,
        "seq": manifest.seq,
        "version": manifest.version,
        "manifest": profile.digest(data),
        "built": manifest.built,
    }
    for half in ("fw", "app"):
        component = manifest.component(half)
        if component is None:
            raise Failure(
                f"a slot cannot be flashed with this release, which has no {half}", "build it with both halves"
            )
        content[half] = [component.size, component.digest]
    return cbor.dumps(content).ljust(CHUNK, b"\xff")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None


def _opened(path: Path) -> tuple[bytes, bytes, list[bytes]]:
    try:
        return suit.opened(_bytes(path))
    except ValueError:
        raise Failure(f"{path} is no release envelope", "a release's envelope ends in .suit") from None


def _signers(path: Path, signatures: list[bytes]) -> list[bytes]:
    try:
        return suit.signers(signatures)
    except Fault as fault:
        raise Failure(f"{path}: {fault.text}") from None


def _manifest(data: bytes) -> profile.Manifest:
    try:
        return profile.Manifest(data)
    except Fault as fault:
        raise Failure(fault.text) from None


def _read(folder: Path, name: str, report: Report) -> bytes | None:
    """A file that a release names, if it lies beside the envelope; what is elsewhere is not for us to open."""
    if "/" in name or not name:
        report.problems.append(f"{name!r} is not beside the envelope and was not checked")
        return None
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        report.problems.append(f"{name}: {error.strerror}")
        return None
