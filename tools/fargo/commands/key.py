"""`fargo key`: release keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fargo import keys
from fargo.console import USAGE, DryRun, Failure, Json, Output

app = typer.Typer(help="Release keys: make one, list what is there.", no_args_is_help=True, rich_markup_mode=None)

PassphraseEnv = Annotated[
    str, typer.Option("--passphrase-env", metavar="NAME", help="The environment variable that holds the passphrase.")
]


def passphrase(variable: str) -> str:
    """The passphrase in an environment variable; "" when none is asked for. Raises Failure when it is not set."""
    if not variable:
        return ""
    found = os.environ.get(variable, "")
    if not found:
        raise Failure(f"the environment variable {variable} is not set", "export it, or leave the option out", USAGE)
    return found


@app.command("new")
def new(
    path: Annotated[Path, typer.Argument(help="Where the private key goes (PEM, mode 0600).")],
    passphrase_env: PassphraseEnv = "",
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make a P-256 key for signing releases, and its public half beside it (.pub)."""
    out = Output(json)
    secret = passphrase(passphrase_env)
    public_path = path.with_suffix(".pub")
    if path == public_path:
        raise Failure(f"{path} is the name of the public half", "such as release.pem", USAGE)
    if public_path.exists() or path.exists():
        existing = path if path.exists() else public_path
        raise Failure(f"{existing} exists already", "a key is never overwritten: choose another name")
    if dry_run:
        out.result({"would_write": [str(path), str(public_path)]}, f"would write {path} and {public_path}")
        return
    public = keys.new(path, secret).public_key()
    public_path.write_bytes(keys.public_pem(public))
    kid = keys.kid(public).hex()
    out.result(
        {"key": str(path), "public": str(public_path), "kid": kid},
        f"key {kid}: {path} (keep it), {public_path} (provision devices with it)",
    )


@app.command("list")
def show(
    folder: Annotated[Path, typer.Argument(help="A folder with keys.")] = Path("."),
    json: Json = False,
) -> None:
    """List the public keys in a folder."""
    out = Output(json)
    found = []
    for path in sorted(folder.glob("*.pub")):
        found.append({"kid": keys.kid(keys.load_public(path)).hex(), "path": str(path)})
    text = "\n".join(f"{key['kid']}  {key['path']}" for key in found)
    out.result({"keys": found}, text or f"there are no keys (*.pub) in {folder}")
