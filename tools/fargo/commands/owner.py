"""The verbs of `fargo device` that are about ownership: own, list, grant, accept, disown, reset, forget."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from fargo import onboard, secure
from fargo.client import UUID, DeviceClient
from fargo.commands.target import Target, uuid_column, verb
from fargo.console import USAGE, Failure, clean
from fargo.identity import Known, write_secret

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def own(
    target: Target,
    method: Annotated[str, typer.Option("--method", help="just-works, pin or certificate.")] = "just-works",
    pin: Annotated[
        str, typer.Option("--pin", help="What the device shows; without it a new one is shown, and asked for.")
    ] = "",
    ca: Annotated[
        Path | None, typer.Option("--ca", help="PEM: the manufacturers' authority, for certificate.")
    ] = None,
    cert: Annotated[Path | None, typer.Option("--cert", help="PEM: the own chain, for certificate.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="PEM: its private key.")] = None,
) -> None:
    """Become the owner of a device that has none."""
    if method not in onboard.METHODS:
        raise Failure(f"there is no method {method!r}", "Choose just-works, pin or certificate.", USAGE)
    identity = target.identity()
    credentials = None
    if method == "certificate":
        if not (ca and cert and key):
            raise Failure("certificates need --ca, --cert and --key", code=USAGE)
        chain = secure.read_own_chain(cert)
        credentials = secure.Manufacturer(identity, secure.read_chain(ca), (chain, secure.read_key(key)))

    async def work() -> dict[str, Any]:
        onboarding = await onboard.begin(target.device, identity, target.interface, target.patience)
        try:
            code = pin
            if method == "pin" and not code:
                await onboarding.select(onboard.METHODS["pin"])
                target.out.note("The device shows a PIN now.")
                code = await asyncio.to_thread(typer.prompt, "PIN", err=True)
            known = await onboarding.own(method, code, credentials)
        finally:
            await onboarding.network.close()
        return {"uuid": known.uuid, "name": known.name, "address": known.address, "owner": identity.uuid}

    value = target.run(work())
    target.out.result(value, f"{value['name'] or value['address']} is yours: {value['uuid']}")


def owned(target: Target) -> None:
    """Show who this identity is, and the devices that it has keys for."""
    identity = target.identity()
    identity.keep()
    table = Table("name", uuid_column(), "last address", "key", box=None)
    devices = [
        {"uuid": k.uuid, "name": k.name, "address": k.address, "owned": k.owned} for k in identity.devices.values()
    ]
    for d in devices:
        row = (str(d["name"]), str(d["uuid"]), str(d["address"]), "owner" if d["owned"] else "shared")
        table.add_row(*[Text(clean(cell)) for cell in row])
    target.out.note(f"You are {identity.uuid}")
    target.out.result({"identity": identity.uuid, "devices": devices}, table if devices else "no device yet")


def grant(
    target: Target,
    client: Annotated[
        str, typer.Option("--client", help="UUID of the Client that gets the rights ('device list' shows it its own).")
    ],
    href: Annotated[
        list[str] | None, typer.Option("--href", help="A Resource, or * for all of the app; may be repeated.")
    ] = None,
    permission: Annotated[
        int, typer.Option("--permission", min=1, max=31, help="Sum: 1 create, 2 read, 4 update, 8 delete, 16 notify.")
    ] = 22,
    psk_out: Annotated[
        Path | None,
        typer.Option(
            "--psk-out", help="Make a key for both too, and write it here, for the Client's 'device accept'."
        ),
    ] = None,
) -> None:
    """Let another Client use a device of yours: rights, and on request a key."""
    if not UUID.fullmatch(client):
        raise Failure(f"{client!r} is no UUID", code=USAGE)
    client = client.lower()
    hrefs = href or list(onboard.UPDATING)
    key = onboard.new_key() if psk_out else None
    if psk_out and psk_out.exists():
        raise Failure(f"{psk_out} exists already", "A key is never overwritten: choose another name.")

    async def work(found: DeviceClient) -> dict[str, Any]:
        known = found.identity.devices[found.uuid]
        if psk_out and key and not target.dry_run:  # first: what the device has and nobody else is of no use
            value = {"device": found.uuid, "name": known.name, "address": found.address, "client": client}
            write_secret(psk_out, json.dumps({**value, "key": key.hex()}) + "\n")
        if not target.dry_run:
            try:
                await onboard.grant(found, client, hrefs, permission, key)
            except BaseException:
                if psk_out:
                    psk_out.unlink(missing_ok=True)
                raise
        return {"device": found.uuid, "client": client, "hrefs": hrefs, "permission": permission}

    value = target.with_client(work)
    words = "could" if target.dry_run else "can"
    target.out.result(value, f"{client} {words} use {', '.join(hrefs)} (permission {permission})")


def accept(
    target: Target, path: Annotated[Path, typer.Argument(help="What the owner's 'device grant --psk-out' wrote.")]
) -> None:
    """Take the key that a device's owner has made for you."""
    identity = target.identity()
    try:
        value = json.loads(path.read_text())
        key = bytes.fromhex(value["key"])
        known = Known(value["device"].lower(), key, str(value["name"]), str(value["address"]), "shared")
        client = value["client"]
        if len(key) != 16 or not UUID.fullmatch(known.uuid):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failure(f"{path} is no file of 'fargo device grant --psk-out'", code=USAGE) from None
    if client != identity.uuid:
        raise Failure(f"{path} is for {client}", f"This identity is {identity.uuid}.")
    if known.uuid in identity.devices and identity.devices[known.uuid].owned:
        raise Failure(f"{known.uuid} is a device of yours already")
    identity.remember(known)
    target.out.result({"uuid": known.uuid, "name": known.name}, f"{known.name or known.uuid} lets you in")


def _release(target: Target, yes: bool) -> None:
    question = f"{target.device} forgets its owner, all credentials and rights. Go on?"
    if not (yes or target.dry_run) and not typer.confirm(question, err=True):
        raise Failure("nothing was done", code=USAGE)

    async def work(client: DeviceClient) -> dict[str, Any]:
        if not target.dry_run:
            await onboard.disown(client)
        return {"uuid": client.uuid, "address": client.address}

    value = target.with_client(work)
    words = "would forget its owner" if target.dry_run else "has no owner any more; its software stays"
    target.out.result(value, f"{value['address']} {words}")


def disown(target: Target, yes: Yes = False) -> None:
    """Give a device up: it is reset, and anybody may own it then. The running software stays."""
    _release(target, yes)


def reset(target: Target, yes: Yes = False) -> None:
    """The same as disown, by the name that OCF gives it: a hard reset."""
    _release(target, yes)


def forget(target: Target, yes: Yes = False) -> None:
    """Drop the key for a device that was reset by hand, or is gone. Nothing is asked of the device."""
    identity = target.identity()
    known = identity.named(target.device)
    if known is None:
        raise Failure(f"no device, or more than one, is known as {target.device!r}", "See fargo device list.", USAGE)
    if not yes and not typer.confirm(f"Without its key {known.uuid} can only be reset by hand. Go on?", err=True):
        raise Failure("nothing was done", code=USAGE)
    identity.forget(known.uuid)
    target.out.result({"uuid": known.uuid}, f"{known.uuid} is forgotten")


def add_to(app: typer.Typer) -> None:
    """Make these verbs commands of `app`."""
    verb(app, timeout=60.0)(own)
    verb(app, "list", device=False)(owned)
    verb(app, timeout=30.0, dry_run=True)(grant)
    verb(app, device=False)(accept)
    verb(app, timeout=30.0, dry_run=True)(disown)
    verb(app, timeout=30.0, dry_run=True)(reset)
    verb(app)(forget)
