"""The command `fargo`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import typer

from fargo.commands import board, device, key, provision, release, rotate, serve, sim  # noqa: F401 - some add to others
from fargo.console import Json, Output, invoke

app = typer.Typer(
    name="fargo",
    help="Build, sign and serve releases, and update OCF devices with them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def _version() -> str:
    try:
        return version("fargo")
    except PackageNotFoundError:
        return "not installed"


@app.command("version")
def show_version(json: Json = False) -> None:
    """Print the version of fargo."""
    Output(json).result({"version": _version()}, text=f"fargo {_version()}")


for _noun, _module in (("key", key), ("release", release), ("board", board), ("device", device), ("sim", sim)):
    app.add_typer(_module.app, name=_noun)
app.add_typer(serve.app)  # one command, not a noun with verbs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fargo`; returns the exit code, which the console script hands to the shell."""
    return invoke(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
