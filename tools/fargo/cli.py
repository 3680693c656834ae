"""The command `fargo`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import typer

from fargo.console import Failure, Json, Output, invoke

_NOUNS = ("key", "release", "serve", "device", "sim")

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


def _mount(noun: str) -> None:
    try:
        module = importlib.import_module("fargo.commands." + noun)
    except ModuleNotFoundError as exc:
        if exc.name != "fargo.commands." + noun:
            raise

        # Development only: this noun has not been written yet.
        @app.command(noun, hidden=True)
        def absent() -> None:
            raise Failure(f"'{noun}' is not part of this build")

        return
    # `serve` is one command, not a noun with verbs: it is taken in as it is.
    app.add_typer(module.app, name=None if noun == "serve" else noun)


for _noun in _NOUNS:
    _mount(_noun)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fargo`; returns the exit code, which the console script hands to the shell."""
    return invoke(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
