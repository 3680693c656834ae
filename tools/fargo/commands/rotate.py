"""`fargo key rotate`: the release that changes whose signatures devices accept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fargo import keys, trust
from fargo.commands.key import app
from fargo.commands.release import date, not_signed, uuid_bytes
from fargo.console import DryRun, Json, Output


@app.command("rotate")
def rotate(
    out_folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the release goes; what you will serve.")],
    number: Annotated[int, typer.Option("--number", min=1, help="Above that of every trust store before.")],
    key: Annotated[list[Path], typer.Option("--key", help="A public key to be trusted from now on; repeatable.")],
    vendor: Annotated[str, typer.Option("--vendor", help="Vendor id, a UUID.")],
    device_class: Annotated[str, typer.Option("--class", help="Class id of the devices, a UUID.")],
    threshold: Annotated[int, typer.Option("--threshold", min=1, help="Valid signatures needed of a release.")] = 1,
    floor: Annotated[
        int | None,
        typer.Option("--floor", min=0, help="Sequence numbers begin anew with this: recovery from a fast-forward."),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", metavar="DATE", help="Not to be installed after (ISO 8601).")
    ] = "",
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Build the release that makes devices trust these keys and no others: rotates keys, and revokes those left out.

    It has to be signed by as many of the keys that devices trust now as they ask for, and by as many of the new ones.
    """
    out = Output(json)
    public = [keys.load_public(name) for name in key]
    ids = uuid_bytes(vendor, "--vendor"), uuid_bytes(device_class, "--class")
    until = date(expires)
    not_signed(out_folder / f"fargo-trust-{number}.suit", "give a higher --number")
    kids = [keys.kid(one).hex() for one in public]
    value = {"number": number, "keys": kids, "threshold": threshold, "floor": floor}
    words = f"{threshold} of {', '.join(kids)}"
    if dry_run:
        out.result({"would_build": value}, f"would build trust store {number}: {words}")
        return
    path = trust.build(out_folder, number, *ids, public, threshold, floor, expires=until)
    out.result(
        {"envelope": str(path), **value},
        f"{path}: trust store {number}, {words}; to be signed with old keys and with new ones: "
        f"fargo release sign {path} --key KEY",
    )
