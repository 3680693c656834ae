"""`fargo board`: real boards, by USB: an image, into the flash, and what the device says."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Boards on USB: make an image, flash it, watch the device.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """Boards on USB."""
