"""`fargo board`: real boards, by USB: an image, into the flash, and what the device says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from crypto import pem

from fargo import board_image, bundle, keys, official, release, romfs
from fargo.commands.release import uuid_bytes
from fargo.console import USAGE, DryRun, Failure, Json, Output

app = typer.Typer(
    help="Boards on USB: make an image, flash it, watch the device.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """Boards on USB."""


@app.command("image")
def image(
    out_path: Annotated[Path, typer.Argument(metavar="IMAGE", help="Where the image goes.")],
    firmware: Annotated[Path, typer.Option("--firmware", help="An official build of MicroPython (.bin).")],
    key: Annotated[list[Path], typer.Option("--key", help="A public key whose releases are trusted; repeatable.")],
    app_folder: Annotated[Path | None, typer.Option("--app", help="The app: a folder with app.py.")] = None,
    envelope: Annotated[
        Path | None, typer.Option("--release", help="A release (.suit) to put in, in the place of --app.")
    ] = None,
    threshold: Annotated[int, typer.Option("--threshold", min=1, max=3, help="Signatures needed.")] = 1,
    ca: Annotated[
        list[Path] | None, typer.Option("--ca", help="A release server's CA certificate (PEM); repeatable.")
    ] = None,
    version: Annotated[str, typer.Option("--version", help="Of what --app makes.")] = "1.0.0",
    sequence: Annotated[int, typer.Option("--sequence", min=1, help="Of what --app makes.")] = 1,
    name: Annotated[str, typer.Option("--name", help="The device's name.")] = "Fargo",
    manufacturer: Annotated[str, typer.Option("--manufacturer", help="Its maker.")] = "Fargo",
    model: Annotated[str, typer.Option("--model", help="Its model.")] = "",
    vendor: Annotated[str, typer.Option("--vendor", help="Vendor id, a UUID; made of --manufacturer.")] = "",
    device_class: Annotated[str, typer.Option("--class", help="Class id, a UUID; made of --model.")] = "",
    url: Annotated[str, typer.Option("--url", help="Where the device looks for releases by itself.")] = "",
    layout: Annotated[str, typer.Option("--layout", help="4MB, 8MB or 16MB; no larger than the flash.")] = "4MB",
    bytecode: Annotated[int, typer.Option("--bytecode", help="For a MicroPython newer than this fargo.")] = 0,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make the image of a board's whole flash from an official build of MicroPython: bootloader, partition table,
    firmware, trust anchors and app. What --app makes is also a release, in IMAGE.release, to be signed and published.
    """
    out = Output(json)
    if layout not in board_image.LAYOUTS:
        raise Failure(f"there is no layout {layout}", "one of " + ", ".join(board_image.LAYOUTS), USAGE)
    if app_folder and envelope:
        raise Failure("--app and --release are both given", "a release has an app already: leave one out", USAGE)
    build = official.read(firmware, bytecode)
    chip = official.CHIPS[build.parts.chip]
    if envelope:
        shown = release.show(envelope)
        made = bytes.fromhex(shown["vendor"]), bytes.fromhex(shown["class"])
    else:
        made = board_image.ids(manufacturer, model or chip.name)
    ids = (
        uuid_bytes(vendor, "--vendor") if vendor else made[0],
        uuid_bytes(device_class, "--class") if device_class else made[1],
    )
    trusted = [keys.load_public(path) for path in key]
    provision = board_image.provision(
        trusted, threshold, certificates(ca or []), name, manufacturer, model or chip.name, *ids, url
    )
    if envelope:
        pair = board_image.from_release(envelope, trusted, threshold, *ids)
    else:
        romfs_image = romfs.build(bundle.device_files(app_folder or bundle.ROOT / "examples/lamp"), chip.march)
        folder = out_path.with_name(out_path.name + ".release")
        pair = board_image.Pair(build.parts.app, romfs_image, b"")
        board_image.check(build, pair, layout, str(firmware))
        if not dry_run:
            made_of = release.build(folder, version, sequence, *ids, build.parts.app, romfs_image, build.bytecode)
            pair = board_image.from_envelope(made_of)
    facts = {
        "chip": chip.name,
        "micropython": build.version,
        "board": build.board,
        "layout": layout,
        "firmware": len(pair.firmware),
        "app": len(pair.app),
    }
    words = f"{chip.name}, MicroPython {build.version} ({len(pair.firmware):,} bytes), app {len(pair.app):,} bytes, {layout}"
    board_image.check(build, pair, layout, str(firmware))
    if dry_run:
        out.result({"would_write": str(out_path), **facts}, f"would write {out_path}: {words}")
        return
    board_image.write(out_path, build, pair, provision, layout)
    found = board_image.read(out_path)
    facts |= {"version": found.version, "sequence": found.sequence}
    out.result({"image": str(out_path), **facts}, f"{out_path}: version {found.version} for {words}")


def certificates(paths: list[Path]) -> list[bytes]:
    """The certificates (DER) in PEM files. Raises Failure."""
    found: list[bytes] = []
    for path in paths:
        try:
            found += pem.decode(path.read_bytes())
        except OSError as error:
            raise Failure(f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise Failure(f"{path} holds no certificates: {error}", "a PEM file is wanted", USAGE) from None
    return found
