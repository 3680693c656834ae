"""Releases: built, signed, verified and shown. What is written here is what a server serves as it is."""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from swupdate.faults import Fault
from swupdate.install import envelope as sealed
from swupdate.install import manifest as profile
from swupdate.install.tables import CHUNK, ENTRY

from fargo import delta, keys, suit, trust
from fargo.console import FAILED, USAGE, Failure
from fargo.files import replace, write_named

_SIGNATURE = 82  # bytes of one in the envelope


def chunk_table(data: bytes) -> bytes:
    """16 bytes of SHA-256 for every 4 KB of `data`, the last chunk filled up with 0xFF."""
    table = b""
    for at in range(0, len(data), CHUNK):
        chunk = data[at : at + CHUNK]
        table += hashlib.sha256(chunk + b"\xff" * (CHUNK - len(chunk))).digest()[:ENTRY]
    return table


def check_version(version: str, sequence: int) -> None:
    """Whether a release can be called so. Raises Failure."""
    if not version.isprintable() or not 0 < len(version.encode()) <= 64 or not 0 < sequence < 1 << 62:
        raise Failure("a version has 1 to 64 bytes, all of them printable; a sequence number is positive", "", 2)
    if "/" in version:
        raise Failure("there is a / in the version", "", 2)


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
    bases: Sequence[dict[str, bytes]] = (),
    compress: bool = False,
) -> Path:
    """Write payloads, chunk tables and the unsigned envelope of a release into `out`; the envelope's path.

    `bytecode`: the `.mpy` version that the app needs and the firmware loads. Times are Unix seconds. `bases`: of earlier
    releases, the payload of each half, as `payloads` reads them: devices that run it get what differs. Raises Failure.
    """
    if firmware is None and app is None:
        raise Failure("a release carries a firmware, an app, or both", "give --firmware or --app", 2)
    if len(vendor) != 16 or len(class_id) != 16:
        raise Failure("vendor and class are 16 bytes each", "UUIDs, as the device was provisioned with", 2)
    check_version(version, sequence)
    if "/" in name or not (firmware is None or firmware) or not (app is None or app):
        raise Failure("a payload is empty, or there is a / in the name", "", 2)
    parts = []
    for half, data in (("fw", firmware), ("app", app)):
        if data is not None:
            digest, uri = write_named(out, data, ".bin")
            table, table_uri = write_named(out, chunk_table(data), ".chunks")
            earlier = [found[half] for found in bases if half in found]
            forms = _forms(out, data, earlier, compress)
            parts.append(suit.Part(half, len(data), digest, uri, table, table_uri, bytecode, forms))
    data = suit.manifest(
        version, sequence, vendor, class_id, parts, int(time.time()) if built is None else built, expires
    )
    path = out / f"{name}-{version}.suit"
    envelope = suit.envelope(data, [])
    if len(envelope) + 3 * _SIGNATURE > sealed.ENVELOPE_LIMIT:
        raise Failure("the envelope has no room for three signatures", "leave out some of --from", USAGE)
    replace(path, envelope)
    return path


def _forms(out: Path, data: bytes, bases: Sequence[bytes], compress: bool) -> tuple[suit.Form, ...]:
    """Write the forms of a payload that are smaller than it is, the best first: what differs from each base, and
    compressed. One that is larger than a form that needs no base is left out.
    """
    forms = []
    least = len(data)
    if compress:
        packed = delta.encode(data)
        if _cost(packed) < least:
            least = _cost(packed)
            forms.append((packed, b""))
    for base in dict.fromkeys(bases):
        if base == data:
            continue  # the device copies it inside its flash
        found = delta.encode(data, base)
        if _cost(found) < least:
            forms.append((found, base))
    if len(forms) > profile.FORMS:
        raise Failure(f"a release has room for deltas from {profile.FORMS - 1} earlier ones", "", USAGE)
    written = []
    for windows, base in sorted(forms, key=lambda form: _cost(form[0])):
        if delta.decode(windows, len(data), base) != data:
            raise AssertionError("windows that do not give what they were made of")
        _, uri = write_named(out, b"".join(windows), ".delta" if base else ".packed")
        written.append(suit.Form(uri, delta.lengths(windows), hashlib.sha256(base).digest() if base else b""))
    return tuple(written)


def _cost(windows: list[bytes]) -> int:
    """Bytes that the form costs: its windows, and their lengths in the manifest."""
    return sum(map(len, windows)) + 2 * len(windows)


def payloads(path: Path) -> dict[str, bytes]:
    """The payload of each half that the release `path` carries, from the files beside it. Raises Failure."""
    data, _, _ = _opened(path)
    found = {}
    for part in _manifest(data).components:
        if part.half == "trust":
            raise Failure(f"{path} is a trust store", "deltas are made from releases", USAGE)
        payload = _bytes(path.with_name(_beside(part.uri)))
        if hashlib.sha256(payload).digest() != part.digest:
            raise Failure(f"{path.with_name(part.uri)} is not the {part.half} of {path}", "build that release again")
        found[part.half] = payload
    return found


def _beside(name: str) -> str:
    if "/" in name or not name:
        raise Failure(f"{name!r} is not beside the envelope", "copy its payload there, under its digest's name")
    return name


def sign(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Add a signature to the envelope `path`. It is all that is needed: payloads may be elsewhere. Raises Failure."""
    data, digest, signatures = _opened(path)
    manifest = _manifest(data)  # what a device would not understand is not signed
    if sealed.digest(data) != digest[-32:]:
        raise Failure(f"{path} was changed after it was built", "build it again")
    if keys.kid(key.public_key()) in _signers(path, signatures):
        raise Failure(f"{path} is signed with this key already")
    most = 6 if manifest.component("trust") else 3
    if len(signatures) >= most:
        raise Failure(f"{path} has {most} signatures already, which is the most")
    signed = suit.envelope(data, [*signatures, suit.sign(digest, key)])
    if len(signed) > sealed.ENVELOPE_LIMIT:
        raise Failure(f"{path} would be larger than {sealed.ENVELOPE_LIMIT} bytes")
    replace(path, signed)


@dataclass
class Report:
    """What `verify` found. `problems` is empty when all is well."""

    path: Path
    version: str = ""
    valid: list[str] = field(default_factory=list)  # kids, hexadecimal
    unknown: list[str] = field(default_factory=list)  # kids of keys that are not trusted: they count for nothing
    problems: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)  # deltas whose base is not beside the release


def verify(path: Path, trusted: list[ec.EllipticCurvePublicKey], threshold: int = 1, now: int = 0) -> Report:
    """Check an envelope as a device would, and the files that it names; `now` in Unix seconds, 0 is the present.

    The signatures are checked by OpenSSL, not by the device's code. Raises Failure when the file cannot be read.
    """
    report = Report(path)
    try:
        data, digest, signatures = sealed.split(_bytes(path))
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
        for uri, lengths, base in part.forms:
            _form(path.parent, part, uri, lengths, base, payload, report)
    return report


def _form(
    folder: Path,
    part: profile.Component,
    uri: str,
    lengths: bytes,
    base: bytes,
    payload: bytes | None,
    report: Report,
) -> None:
    """Check one form: its file by its name and lengths, and what comes of it when its base is beside it."""
    file = _read(folder, uri, report)
    if file is None:
        return
    try:
        if hashlib.sha256(file).hexdigest()[:32] != uri.partition(".")[0]:
            raise delta.Malformed("it is not what its name says")
        windows = delta.split(file, lengths)
        earlier = folder / f"{base.hex()[:32]}.bin"
        if not base or earlier.exists():
            made = delta.decode(windows, part.size, _bytes(earlier) if base else b"")
            if payload is not None and made != payload:
                raise delta.Malformed("it gives something else")
        else:
            report.unchecked.append(uri)
    except delta.Malformed as error:
        report.problems.append(f"{uri} is not a form of {part.uri}: {error}")


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
        "digest": sealed.digest(data).hex(),
        "signed_by": [kid.hex() for kid in _signers(path, signatures)],
        "components": [
            {
                "half": c.half,
                "size": c.size,
                "digest": c.digest.hex(),
                "uri": c.uri,
                "table": c.table_uri,
                "bytecode": c.bytecode,
                "travels": travels(c),
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


def travels(component: profile.Component) -> list[dict[str, Any]]:
    """The forms of a payload, the best first and plain last: bytes of each, and of which base it is a delta ("": none)."""
    found = [
        {"uri": uri, "base": base.hex(), "bytes": sum(value for (value,) in struct.iter_unpack(">H", lengths))}
        for uri, lengths, base in component.forms
    ]
    found.append({"uri": component.uri, "base": "", "bytes": component.size})
    for form in found:
        form["percent"] = round(100 * form["bytes"] / component.size, 1)
    return found


def label(envelope: bytes) -> bytes:
    """The label of a slot that is flashed with this release (docs/architecture.md, Storage): 4 KB. Raises Failure."""
    data, _, _ = suit.opened(envelope)
    manifest = _manifest(data)
    content: dict[str, Any] = {
        "v": 1,
        "seq": manifest.seq,
        "version": manifest.version,
        "manifest": sealed.digest(data),
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
