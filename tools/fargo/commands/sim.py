"""`fargo sim`: the simulated board."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from fargo.bundle import ROOT
from fargo.console import Failure, Json, Output

sys.path.insert(0, str(ROOT))
from board.sim.simboard import SimBoard  # noqa: E402 - the simulated board is beside the packages, not in one

app = typer.Typer(help="The simulated board.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """The simulated board."""


@app.command("run")
def run(
    flash: Annotated[Path, typer.Argument(help="The flash, a file; `make sim` makes one in build/demo.")],
    address: Annotated[str, typer.Option("--address", help="Its own loopback address.")] = "127.7.0.2",
    heap: Annotated[str, typer.Option("--heap", help="Of the interpreter, as -X heapsize.")] = "448k",
    fast: Annotated[bool, typer.Option("--fast", help="The flash takes no time.")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Power off after this time.")
    ] = None,
    json: Json = False,
) -> None:
    """Power a simulated board on and show what it prints, until interrupted."""
    if not flash.is_file():
        raise Failure(f"{flash} is not there", "make one with: make sim")
    out = Output(json)
    board = SimBoard(flash, address=address, heap=heap, flash_ms=(0, 0) if fast else (30, 5), log=out.note)
    with board:
        try:
            threading.Event().wait(timeout)
        except KeyboardInterrupt:
            out.note("power off")
    out.result({"address": address, "starts": board.resets, "operations": board.operations})
