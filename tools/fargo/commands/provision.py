"""`fargo board provision` and `pin`: what a board is told about its owner-to-be, and what it tells."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from fargo import keys, provision, secure, usb
from fargo import pin as pins
from fargo.commands.board import app
from fargo.commands.release import uuid_bytes
from fargo.console import USAGE, DryRun, Failure, Json, Output, Timeout, clean

Port = Annotated[str, typer.Option("--port", help="The serial port, such as /dev/ttyUSB0 or COM3.")]
Pem = Path | None


@app.command("provision")
def run(
    port: Port,
    wifi: Annotated[
        str, typer.Option("--wifi", metavar="NAME", help="The network to join; its key is asked for.")
    ] = "",
    wifi_key_file: Annotated[
        Path | None, typer.Option("--wifi-key-file", help="The file with the key; -: standard input.")
    ] = None,
    wifi_key_env: Annotated[
        str, typer.Option("--wifi-key-env", metavar="NAME", help="The environment variable that holds it.")
    ] = "",
    name: Annotated[
        str | None, typer.Option("--name", help="The Device's name until its owner gives another.")
    ] = None,
    manufacturer: Annotated[str | None, typer.Option("--manufacturer")] = None,
    model: Annotated[str | None, typer.Option("--model")] = None,
    vendor: Annotated[str, typer.Option("--vendor", help="Vendor id, a UUID.")] = "",
    device_class: Annotated[str, typer.Option("--class", help="Class id, a UUID.")] = "",
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", help="A public release key (PEM); repeatable; replaces all that were."),
    ] = None,
    threshold: Annotated[
        int | None, typer.Option("--threshold", min=1, max=3, help="Valid signatures needed of a release.")
    ] = None,
    authority: Annotated[
        list[Path] | None,
        typer.Option("--authority", help="PEM: authorities of release servers; repeatable; replaces all that were."),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Where releases are looked for when nobody says where.")
    ] = None,
    mfg_cert: Annotated[Pem, typer.Option("--mfg-cert", help="PEM: this device's chain by its manufacturer.")] = None,
    mfg_key: Annotated[Pem, typer.Option("--mfg-key", help="PEM: the private key of its first certificate.")] = None,
    mfg_trust: Annotated[
        Pem, typer.Option("--mfg-trust", help="PEM: authorities of the onboarding tools that may use it.")
    ] = None,
    methods: Annotated[str, typer.Option("--methods", help="just-works,pin,certificate or all: how to own it.")] = "",
    ntp: Annotated[str | None, typer.Option("--ntp", help="The time server.")] = None,
    trial_s: Annotated[int | None, typer.Option("--trial-s", min=1, max=86_400, help="Seconds of a trial.")] = None,
    led: Annotated[str, typer.Option("--led", metavar="PIN[:low]", help="The status LED's pin; none.")] = "",
    button: Annotated[
        str, typer.Option("--button", metavar="PIN", help="The pin of the button to ground; none.")
    ] = "",
    held_s: Annotated[
        int | None, typer.Option("--held-s", min=3, max=60, help="So long held, it takes the device from its owner.")
    ] = None,
    locked: Annotated[
        bool | None, typer.Option("--locked/--unlocked", help="No REPL by USB: then only flashing changes anything.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was provisioned, except the WiFi.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Show what is there, without secrets.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Tell a board by USB who it is, whom it trusts and which network it joins. What is not given stays as it is.

    The board is interrupted, and restarts in the end. The WiFi's key is asked for, or comes from a file or a variable: it
    is never shown, nor part of a command line.
    """
    out = Output(json)
    texts = {"name": name, "manufacturer": manufacturer, "model": model}
    asked = {
        **{what: provision.text(words, f"--{what}") for what, words in texts.items() if words is not None},
        "threshold": threshold,
        "vendor": uuid_bytes(vendor, "--vendor") if vendor else None,
        "class": uuid_bytes(device_class, "--class") if device_class else None,
        "keys": provision.trusted([keys.load_public(path) for path in key]) if key else None,
        "authorities": [der for path in authority for der in secure.read_chain(path)] if authority else None,
        "url": provision.package_url(url) if url is not None else None,
        "mfgcert": _certificate(mfg_cert, mfg_key),
        "mfgtrust": secure.read_chain(mfg_trust) if mfg_trust else None,
    }  # fmt: skip
    asked = {name: value for name, value in asked.items() if value is not None}
    settings: dict[str, Any] = {"trial_s": trial_s, "held_s": held_s, "locked": locked}
    settings["ntp"] = provision.time_server(ntp) if ntp is not None else None
    settings = {name: value for name, value in settings.items() if value is not None}
    for setting, text, parse in (
        ("oxms", methods, provision.methods), ("led", led, provision.led), ("button", button, provision.button),
    ):  # fmt: skip
        if text:
            settings[setting] = parse(text)
    if not (asked or settings or wifi or show):
        raise Failure("nothing is to be changed", "give what is to be, or --show; see --help", USAGE)
    if show and (asked or settings or wifi or fresh):
        raise Failure("--show changes nothing, and something is to be changed", "leave one of them out", USAGE)
    usb.check(port)
    network = provision.wifi(wifi, _secret(wifi, wifi_key_file, wifi_key_env)) if wifi else None
    board = provision.OnBoard(port, fresh)
    written = False
    try:
        if show:
            _show(out, board)
            return
        record = provision.merge(board.record, asked, settings) if asked or settings or not board.record else None
        changed = provision.changes(board.record, record) if record else []
        described = provision.describe(record or board.record, wifi or board.wifi)
        words = ", ".join(changed + ["wifi"] * bool(network))
        value = {"port": port, "changed": changed + ["wifi"] * bool(network), "provisioned": described}
        if dry_run:
            out.result({"dry_run": True, **value}, f"would change: {words or 'nothing'}")
            return
        if changed or network:
            board.write(record if changed else None, network)
            written = True
    finally:
        if not written:
            board.restart()
    out.result(value, f"provisioned: {words}; it restarts" if words else "everything was so already")


@app.command("pin")
def show_pin(
    port: Port,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Also draw the QR code into this file, to be printed.")
    ] = None,
    timeout: Timeout = 300,
    json: Json = False,
) -> None:
    """Wait until the device shows a PIN, and show it with its QR code.

    A device makes a new one whenever a Client chooses the Random PIN method, and shows it once.
    """
    out = Output(json)
    if svg:
        pins.check(svg)
    out.note("Now own it, such as with: fargo device own --method pin")
    for line in usb.lines(port, timeout):
        found = pins.find(line)
        if found:
            out.result({"pin": found}, f"{pins.picture(found)}\nPIN {found}")
            if svg:
                pins.draw(found, svg)
            return
    raise Failure("the device showed no PIN", "choose the method pin while this waits", code=4)


def _secret(wifi: str, file: Path | None, variable: str) -> Callable[[], str]:
    """How the key of a network is had."""

    def ask() -> str:
        if file and str(file) != "-":
            try:
                return file.read_text().rstrip("\r\n")
            except (OSError, ValueError) as error:
                raise Failure(f"{file}: {getattr(error, 'strerror', '') or 'not a text'}") from None
        if file:
            return sys.stdin.readline().rstrip("\r\n")
        if variable:
            if variable not in os.environ:
                raise Failure(f"the environment variable {variable} is not set", "export it", USAGE)
            return os.environ[variable]
        if not sys.stdin.isatty():
            raise Failure("the key of the WiFi is missing", "give --wifi-key-file or --wifi-key-env", USAGE)
        return getpass.getpass(f"Key of {clean(wifi)}: ")

    return ask


def _certificate(chain: Path | None, key: Path | None) -> dict[str, Any] | None:
    if not chain and not key:
        return None
    if not chain or not key:
        raise Failure("--mfg-cert and --mfg-key go together", code=USAGE)
    return provision.certificate(secure.read_own_chain(chain), secure.read_key(key))


def _show(out: Output, board: provision.OnBoard) -> None:
    value = provision.describe(board.record, board.wifi)
    table = Table.grid(padding=(0, 2))
    for name, what in value.items():
        words = ", ".join(map(str, what)) if isinstance(what, list) else str(what)
        words = "-" if what in (None, "", []) else words
        table.add_row(name.replace("_", " "), Text(clean(words)))
    out.result({"port": board.port, **value}, table)
