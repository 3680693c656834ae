"""`fargo board`: real boards, by USB: an image, into the flash, and what the device says."""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path
from typing import Annotated

import typer
from crypto import pem

from fargo import board_image, bundle, esptool, flasher, keys, official, release
from fargo import image as fw
from fargo import monitor as monitoring
from fargo.commands.owner import Yes
from fargo.commands.release import uuid_bytes
from fargo.console import USAGE, DryRun, Failure, Json, Output, ProgressMode, ProgressOption

app = typer.Typer(
    help="Boards on USB: make an image, flash it, watch the device.", no_args_is_help=True, rich_markup_mode=None
)

Port = Annotated[str, typer.Option("--port", help="Its serial port, such as /dev/ttyUSB0 or COM3.")]


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
        list[Path] | None,
        typer.Option("--authority", "--ca", help="PEM: authority of the release server; repeatable."),
    ] = None,
    version: Annotated[str, typer.Option("--version", help="Of what --app makes.")] = "1.0.0",
    sequence: Annotated[int, typer.Option("--sequence", min=1, help="Of what --app makes.")] = 1,
    name: Annotated[str, typer.Option("--name", help="The device's name.")] = "Fargo",
    manufacturer: Annotated[str, typer.Option("--manufacturer", help="Its maker.")] = "Fargo",
    model: Annotated[str, typer.Option("--model", help="Its model.")] = "",
    vendor: Annotated[str, typer.Option("--vendor", help="Vendor id, a UUID; made of --manufacturer.")] = "",
    device_class: Annotated[str, typer.Option("--class", help="Class id, a UUID; made of --model.")] = "",
    url: Annotated[str, typer.Option("--url", help="Where the device looks for releases by itself.")] = "",
    layout: Annotated[str, typer.Option("--layout", help="4MB or 8MB; no larger than the flash.")] = "4MB",
    bytecode: Annotated[
        int | None, typer.Option("--bytecode", min=1, help="The .mpy version of a MicroPython newer than this fargo.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make the image of a board's whole flash from an official build of MicroPython: bootloader, partition table,
    firmware, trust anchors and app. What --app makes is also a release, in IMAGE.release, to be signed and published.
    """
    out = Output(json)
    if layout not in board_image.LAYOUTS:
        raise Failure(f"there is no layout {layout}", "one of " + ", ".join(board_image.LAYOUTS), USAGE)
    if out_path.is_dir():
        raise Failure(f"{out_path} is a folder", "an image is a file: say which", USAGE)
    if app_folder and envelope:
        raise Failure("--app and --release are both given", "a release has an app already: leave one out", USAGE)
    release.check_version(version, sequence)
    build = official.read(firmware, bytecode)
    board_image.check_build(build, layout, str(firmware))
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
        frozen = fw.has_fargo(build.parts.app)
        files = bundle.device_files(app_folder or bundle.ROOT / "examples/lamp", frozen)
        romfs_image = bundle.app_image(files, chip.march, keep_names=frozen)
        folder = out_path.with_name(out_path.name + ".release")
        pair = board_image.Pair(build.parts.app, romfs_image, b"")
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
        "vendor": str(uuid.UUID(bytes=ids[0])),
        "class": str(uuid.UUID(bytes=ids[1])),
    }
    words = f"{chip.name}, MicroPython {build.version} ({len(pair.firmware):,} bytes), app {len(pair.app):,} bytes, {layout}"
    board_image.check(build, pair, layout, str(firmware))
    if dry_run:
        out.result({"would_write": str(out_path), **facts}, f"would write {out_path}: {words}")
        return
    board_image.write(out_path, build, pair, provision, layout)
    found = board_image.read(out_path)
    facts |= {"version": found.version, "sequence": found.sequence}
    out.result(
        {"image": str(out_path), **facts},
        f"{out_path}: version {found.version} for {words}; releases for it: "
        f"--vendor {facts['vendor']} --class {facts['class']}",
    )


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


@app.command("flash")
def flash(
    image_path: Annotated[Path, typer.Argument(metavar="IMAGE", help="Made by fargo board image.")],
    port: Port,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Write one slot, the one that is not in use; keep owner, settings and the rest."),
    ] = False,
    baud: Annotated[int, typer.Option("--baud", min=9600, help="Of the transfer.")] = 460_800,
    yes: Yes = False,
    dry_run: DryRun = False,
    progress: ProgressOption = ProgressMode.auto,
    json: Json = False,
) -> None:
    """Write an image into a board's flash. It says what that destroys, and asks."""
    out = Output(json, progress)
    image = board_image.read(image_path)
    if not (yes or dry_run or sys.stdin.isatty()):
        raise Failure("flashing destroys what is on the board, and nobody can be asked here", "give --yes", USAGE)
    tool = esptool.Esptool(port, baud)
    chip, size = tool.identify()
    try:
        flasher.check_board(image, chip, size, port)
        plan = flasher.keep(image, tool.read) if keep else flasher.fresh(image)
        out.note(f"{port}: {chip} with {size >> 20} MB of flash. To write: {flasher.size(plan):,} bytes.")
        words = plan.words[0].upper() + plan.words[1:]
        if yes or dry_run:
            out.note(words)
        elif not typer.confirm(f"{words}\nGo on?", err=True):
            raise Failure("nothing was done", code=USAGE)
        facts = {"port": port, "chip": chip, "flash": size, "slot": plan.slot, "version": image.version, "keep": keep}
        if dry_run:
            tool.let_go()
            out.result({"would_flash": str(image_path), **facts, "words": plan.words}, f"would flash {port}")
            return
    except (Failure, typer.Abort):
        tool.let_go()
        raise
    started = time.monotonic()
    with out.progress("Flashing", flasher.size(plan)) as bar:
        flasher.carry_out(plan, tool, bar.update)
    seconds = round(time.monotonic() - started, 1)
    out.result(
        {"image": str(image_path), **facts, "bytes": flasher.size(plan), "seconds": seconds},
        f"{port}: version {image.version} is in {plan.slot}, {flasher.size(plan):,} bytes in {seconds} s; "
        f"watch it come up: fargo board monitor --port {port} --reset",
    )


@app.command("monitor")
def monitor(
    port: Port,
    until: Annotated[str, typer.Option("--until", help="Stop when the device says this, such as serving.")] = "",
    reset: Annotated[bool, typer.Option("--reset", help="Restart the board first.")] = False,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Then stop.")] = None,
    baud: Annotated[int, typer.Option("--baud", min=9600, help="Of the port.")] = monitoring.BAUD,
    progress: ProgressOption = ProgressMode.auto,
    json: Json = False,
) -> None:
    """Show what a device prints, until Ctrl-C. With --until, the exit code says whether it came in --timeout (60 s)."""
    source = monitoring.Port(port, baud)
    try:
        if reset:
            source.reset()
        _follow(source, Output(json, progress), until, timeout)
    finally:
        source.close()


@app.command("emulate")
def emulate(
    image_path: Annotated[Path, typer.Argument(metavar="IMAGE", help="Made by fargo board image.")],
    qemu: Annotated[str, typer.Option("--qemu", help="Espressif's qemu-system-xtensa or -riscv32.")] = "",
    option: Annotated[list[str] | None, typer.Option("--option", help="One more argument for it; repeatable.")] = None,
    until: Annotated[str, typer.Option("--until", help="Stop when the device says this.")] = "",
    timeout: Annotated[float | None, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Then stop.")] = None,
    progress: ProgressOption = ProgressMode.auto,
    json: Json = False,
) -> None:
    """Start an image in an emulator, as it would be flashed, and show what the device prints. The image is not changed."""
    image = board_image.read(image_path)
    source = monitoring.Emulator(image_path, image.chip, qemu, option or [])
    try:
        _follow(source, Output(json, progress), until, timeout)
    finally:
        source.close()


def _follow(source: monitoring.Source, out: Output, until: str, timeout: float | None) -> None:
    started = time.monotonic()
    line = ""
    try:
        line = monitoring.follow(source, out, until, timeout or (60.0 if until else None))
    except KeyboardInterrupt:
        if until:
            raise
    out.result({"until": until, "line": line, "seconds": round(time.monotonic() - started, 1)})
