"""`fargo sim`: the simulated board."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from fargo import flash as layouts
from fargo import image
from fargo.bundle import ROOT
from fargo.client import COAP_PORT
from fargo.console import USAGE, DryRun, Failure, Json, Output

sys.path.insert(0, str(ROOT))
from board.sim.simboard import SimBoard  # noqa: E402 - the simulated board is beside the packages, not in one

_BANNER = "MicroPython v1.27.0 on 2025-12-09; simulated board with ESP32"

app = typer.Typer(help="The simulated board.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """The simulated board."""


@app.command("firmware")
def firmware(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where it goes, such as build/simulated.bin.")],
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Write what stands for an official build of MicroPython where there is no board: an image of it runs simulated."""
    out = Output(json)
    if dry_run:
        out.result({"would_write": str(path)}, f"would write {path}")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image.build_official(_BANNER, table=layouts.table("4MB").to_binary()))
    out.result({"firmware": str(path)}, f"{path}: starts on the simulated board, and on no other")


@app.command("run")
def run(
    flash: Annotated[
        Path,
        typer.Argument(help="Its flash, which it writes to: an image by 'board image', or build/demo/board.flash."),
    ],
    address: Annotated[str, typer.Option("--address", help="Its own loopback address.")] = "127.7.0.2",
    heap: Annotated[str, typer.Option("--heap", help="Of the interpreter, as -X heapsize.")] = "448k",
    fast: Annotated[bool, typer.Option("--fast", help="The flash takes no time.")] = False,
    usb: Annotated[
        Path | None,
        typer.Option("--usb", metavar="PORT", help="Give it a serial port by this name, for 'fargo board'."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Power off after this time.")
    ] = None,
    json: Json = False,
) -> None:
    """Power a simulated board on and show what it prints, until interrupted."""
    if not flash.is_file():
        raise Failure(f"{flash} is not there", "make one with: fargo board image")
    out = Output(json)
    _check(address)
    if usb and usb.exists() and not usb.is_symlink():
        raise Failure(f"{usb} is there, and no link to a serial port", "choose another name for --usb", USAGE)
    held = _hold(flash)
    times = (0, 0) if fast else (30, 5)
    board = SimBoard(flash, address=address, heap=heap, flash_ms=times, usb=usb is not None, log=out.note)
    if usb:
        usb.unlink(missing_ok=True)
        usb.symlink_to(board.port)
        out.note(f"Its serial port is {usb}")
    with board:
        try:
            threading.Event().wait(timeout)
        except KeyboardInterrupt:
            out.note("power off")
    os.close(held)
    out.result({"address": address, "starts": board.resets, "operations": board.operations})


def _hold(flash: Path) -> int:
    """Have the flash for one board alone, until the descriptor is closed. Raises Failure."""
    descriptor = os.open(flash, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        hint = "end that one first, or run a copy of the file"
        raise Failure(f"{flash} is the flash of another simulated board that runs", hint, USAGE) from None
    return descriptor


def _check(address: str) -> None:
    """Whether a board can have the address. Raises Failure."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, COAP_PORT))
        except OSError as error:
            hint = "another board may run there: give --address, such as 127.7.0.3"
            raise Failure(f"{address} cannot be used: {error.strerror or error}", hint, USAGE) from None
