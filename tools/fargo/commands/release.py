"""`fargo release`: build, sign, verify and show releases."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from fargo import bundle, image, keys, official, release, romfs
from fargo.commands.key import PassphraseEnv, passphrase
from fargo.console import FAILED, USAGE, DryRun, Failure, Json, Output

app = typer.Typer(help="Releases: build, sign, verify, show.", no_args_is_help=True, rich_markup_mode=None)

BYTECODE = 6  # of the .mpy files of MicroPython from 1.19 on

Trusted = Annotated[list[Path], typer.Option("--key", help="A trusted public key; repeatable.")]
Threshold = Annotated[int, typer.Option("--threshold", min=1, max=3, help="Valid signatures needed.")]
Envelope = Annotated[Path, typer.Argument(help="The release's envelope (.suit).")]


@app.command("build")
def build(
    out_folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the release goes; what you will serve.")],
    version: Annotated[str, typer.Option("--version", help="What people call it, such as 1.2.0.")],
    sequence: Annotated[int, typer.Option("--sequence", min=1, help="Greater than that of every release before.")],
    vendor: Annotated[str, typer.Option("--vendor", help="Vendor id, a UUID.")],
    device_class: Annotated[str, typer.Option("--class", help="Class id of the devices, a UUID.")],
    app_folder: Annotated[
        Path | None, typer.Option("--app", help="The app: a folder with app.py, or a finished ROMFS image.")
    ] = None,
    firmware: Annotated[
        Path | None,
        typer.Option("--firmware", help="An official build of MicroPython for the chip: .bin or .app-bin."),
    ] = None,
    bytecode: Annotated[
        int | None,
        typer.Option("--bytecode", help="The .mpy version of both halves: the firmware's, else 6. 0: not checked."),
    ] = None,
    march: Annotated[str, typer.Option("--march", help="Native architecture for mpy-cross; none is needed.")] = "",
    keep_names: Annotated[
        bool, typer.Option("--keep-names", help="Tracebacks can be read, and the device needs some 15 KB more.")
    ] = False,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="The app alone, for a firmware that has Fargo frozen in.")
    ] = False,
    expires: Annotated[
        str, typer.Option("--expires", metavar="DATE", help="Not to be installed after (ISO 8601).")
    ] = "",
    earlier: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="OLD", help="An earlier release (.suit, payloads beside it); repeatable."),
    ] = None,
    compress: Annotated[bool, typer.Option(help="Offer compressed payloads, where that is smaller.")] = True,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Build an unsigned release: payloads, tables of chunks and the envelope that names them.

    Devices that run a release given with --from fetch what differs from it; all others the whole payload.
    """
    out = Output(json)
    firmware_image = None
    if firmware:
        parts = official.split(_file(firmware), str(firmware))
        firmware_image = parts.app
        if official.is_micropython(parts):
            bytecode = official.identify(parts, str(firmware), bytecode).bytecode
            march = march or official.CHIPS[parts.chip].march
    bytecode = BYTECODE if bytecode is None else bytecode
    app_image = _app(app_folder, march, keep_names, frozen) if app_folder else None
    if app_folder and app_folder.is_dir() and app_image:
        if bytecode:
            romfs.check(app_image, bytecode)
        if firmware_image and image.has_fargo(firmware_image) is not frozen:
            if frozen:
                raise Failure(
                    f"{firmware} has no Fargo frozen in, and the app alone would not start", "no --frozen", USAGE
                )
            raise Failure(f"{firmware} has Fargo frozen in, and the app image would hide it", "add --frozen", USAGE)
    ids = uuid_bytes(vendor, "--vendor"), uuid_bytes(device_class, "--class")
    until = date(expires)
    sizes = {"firmware": len(firmware_image or b""), "app": len(app_image or b"")}
    bases = [release.payloads(path) for path in earlier or []]
    not_signed(out_folder / f"fargo-{version}.suit", "give another --version, with a higher --sequence")
    if dry_run:
        out.result({"would_build": version, "sizes": sizes}, f"would build {version}: {_words(sizes)}")
        return
    path = release.build(
        out_folder,
        version,
        sequence,
        ids[0],
        ids[1],
        firmware_image,
        app_image,
        bytecode,
        expires=until,
        bases=bases,
        compress=compress,
    )
    components = release.show(path)["components"]
    out.result(
        {
            "envelope": str(path),
            "version": version,
            "sequence": sequence,
            "sizes": sizes,
            "travels": {c["half"]: c["travels"] for c in components},
        },
        "\n".join(
            [
                f"{path}: {version}, {_words(sizes)}; not signed yet: fargo release sign {path} --key KEY",
                *_travels(components, _names(bases, earlier or [])),
            ]
        ),
    )


@app.command("sign")
def sign(
    path: Envelope,
    key: Annotated[Path, typer.Option("--key", help="The private key (PEM).")],
    passphrase_env: PassphraseEnv = "",
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Add a signature; up to three (six to a trust store), by different keys. Only the envelope is needed, so another
    machine can do it.
    """
    out = Output(json)
    private = keys.load(key, passphrase(passphrase_env))
    kid = keys.kid(private.public_key()).hex()
    if dry_run:
        out.result({"would_sign": str(path), "kid": kid, **release.show(path)}, f"would sign {path} with {kid}")
        return
    release.sign(path, private)
    signed_by = release.show(path)["signed_by"]
    out.result({"envelope": str(path), "signed_by": signed_by}, f"{path}: signed by {', '.join(signed_by)}")


@app.command("verify")
def verify(
    path: Envelope,
    key: Trusted,
    threshold: Threshold = 1,
    json: Json = False,
) -> None:
    """Check a release as a device would, and all files that it names."""
    out = Output(json)
    report = release.verify(path, [keys.load_public(name) for name in key], threshold)
    if report.problems:
        raise Failure(f"{path}: {'; '.join(report.problems)}", "", FAILED, problems=report.problems)
    out.result(
        {
            "envelope": str(path),
            "version": report.version,
            "valid": report.valid,
            "unknown": report.unknown,
            "unchecked": report.unchecked,
        },
        "\n".join(
            [
                f"{path}: version {report.version} is good, signed by {', '.join(report.valid)}",
                *_travels(release.show(path)["components"], {}),
                *(f"{uri}: not applied, its base is not beside the release" for uri in report.unchecked),
            ]
        ),
    )


@app.command("publish")
def publish(
    path: Envelope,
    key: Trusted,
    threshold: Threshold = 1,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Verify a release and make it what latest.suit is, the address that devices look at by themselves."""
    out = Output(json)
    public = [keys.load_public(name) for name in key]
    latest = path.with_name("latest.suit")
    if dry_run:
        report = release.verify(path, public, threshold)
        if report.problems:
            raise Failure(f"{path}: {'; '.join(report.problems)}", "", FAILED, problems=report.problems)
        out.result({"would_publish": str(latest), "version": report.version}, f"{latest} would be {report.version}")
        return
    release.publish(path, public, threshold)
    version = release.show(path)["version"]
    out.result({"latest": str(latest), "version": version}, f"{latest} is version {version}")


@app.command("show")
def show(path: Envelope, json: Json = False) -> None:
    """Print what a release says of itself. Nothing is verified."""
    value = release.show(path)
    words = {
        **value,
        **{name: uuid.UUID(value[name]) for name in ("vendor", "class")},
        **{name: _day(value[name]) for name in ("built", "expires")},
    }
    lines = [
        f"{name:10} {words[name]}" for name in ("version", "sequence", "built", "expires", "vendor", "class", "digest")
    ]
    lines += [f"{'signed by':10} {', '.join(value['signed_by']) or 'nobody'}"]
    lines += [f"{c['half']:10} {c['size']:,} bytes, {c['uri']}" for c in value["components"]]
    lines += _travels(value["components"], {})
    if "trust" in value:
        store = value["trust"]
        lines += [f"{'trusts':10} {store['threshold']} of {', '.join(store['keys'])}"]
        lines += [f"{'floor':10} {store['floor']}"] if store["floor"] is not None else []
    Output(json).result(value, "\n".join(lines))


def _app(path: Path, march: str, keep_names: bool, frozen: bool) -> bytes:
    if path.is_dir():
        # Names that are frozen take no memory, and are whole.
        return bundle.app_image(bundle.device_files(path, frozen), march or None, keep_names or frozen)
    if frozen:
        raise Failure(
            f"--frozen: {path} is no folder", "it says what goes into an image; this one is made already", USAGE
        )
    data = _file(path)
    if data[:3] != b"\xd2\xcd\x31":
        raise Failure(f"{path} is no ROMFS image", "give the folder of the app, or an image by 'mpremote romfs build'")
    return data


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None


def not_signed(path: Path, hint: str) -> None:
    """Raises Failure when the envelope that is to be written is there and signed: what was signed does not change."""
    if path.exists() and release.show(path)["signed_by"]:
        raise Failure(f"{path} is signed already, and would lose its signatures", hint, USAGE)


def uuid_bytes(text: str, option: str) -> bytes:
    """The UUID that an option gives. Raises Failure."""
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        raise Failure(
            f"{option}: {text} is no UUID", "make one: python3 -c 'import uuid; print(uuid.uuid4())'", USAGE
        ) from None


def date(text: str) -> int:
    """Unix seconds of the date that --expires gives, 0 when it is empty. Raises Failure."""
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp()) if text else 0
    except ValueError:
        raise Failure(f"--expires: {text} is no date", "such as 2027-01-31 or 2027-01-31T12:00:00Z", USAGE) from None


def _names(bases: list[dict[str, bytes]], paths: list[Path]) -> dict[str, str]:
    """What people call the payloads that deltas are made from, by their digests."""
    versions = [str(release.show(path)["version"]) for path in paths]
    return {
        hashlib.sha256(data).hexdigest(): version
        for found, version in zip(reversed(bases), reversed(versions), strict=True)
        for data in found.values()
    }


def _travels(components: list[dict[str, Any]], names: dict[str, str]) -> list[str]:
    """A line for each form of each payload that has more than one."""
    lines = []
    for c in components:
        for form in c["travels"] if len(c["travels"]) > 1 else []:
            base = form["base"]
            what = f"delta from {names.get(base, base[:16])}" if base else "compressed"
            if form["uri"] == c["uri"]:
                what = "raw"
            lines.append(f"{c['half']:10} {form['bytes']:,} bytes ({form['percent']} %) travel: {what}")
    return lines


def _day(unix: int) -> str:
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%SZ}" if unix else "never"


def _words(sizes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {size:,} bytes" for name, size in sizes.items() if size)
