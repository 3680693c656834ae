"""`fargo device`: find devices, and drive and follow their updates."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from fargo import onboard, secure
from fargo import watch as verbs
from fargo.client import UUID, DeviceClient, connect
from fargo.client import discover as find
from fargo.console import (
    CONNECTION,
    USAGE,
    DryRun,
    Failure,
    Json,
    Output,
    ProgressMode,
    ProgressOption,
    Timeout,
    clean,
    wait_for,
)
from fargo.follow import Watch
from fargo.identity import Identity, write_secret

app = typer.Typer(help="Find devices, own them, and update them.", no_args_is_help=True, rich_markup_mode=None)

Which = Annotated[
    str,
    typer.Option("--device", "-d", envvar="FARGO_DEVICE", help="UUID, name, or address[:port] of the device."),
]
Interface = Annotated[
    str, typer.Option("--interface", metavar="ADDRESS", help="Own address whose network is used for discovery.")
]
Wait = Annotated[float, typer.Option("--wait", min=0.1, metavar="SECONDS", help="How long answers are awaited.")]
Url = Annotated[str | None, typer.Option("--url", help="URL of the release; without it the device's own is kept.")]

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

_ACTIONS = {"check": "isac", "download": "isvv", "upgrade": "upgrade"}


async def _with_device(
    device: str, interface: str, timeout: float, work: Callable[[DeviceClient], Awaitable[Any]]
) -> Any:
    client = await connect(device, Identity(), interface, min(timeout, 10.0))
    async with client:
        return await work(client)


def _run(coroutine: Coroutine[Any, Any, Any], timeout: float, grace: float = 5.0) -> Any:
    """The verbs keep the time themselves, and say more when it is over; this only catches what they do not see."""

    async def limited() -> Any:
        try:
            return await asyncio.wait_for(coroutine, timeout + grace)
        except TimeoutError:
            raise Failure("not finished in time", "A longer --timeout may help.", CONNECTION) from None

    return wait_for(limited())


def _verb(
    out: Output, verb: str, device: str, interface: str, timeout: float, dry_run: bool, url: str | None = None
) -> None:
    async def work(client: DeviceClient) -> Any:
        if dry_run:
            return await verbs.plan(client, verb, url)
        if verb == "update":
            return await verbs.update(client, out, url, timeout)
        return await getattr(verbs, verb)(client, out, timeout)

    found = _run(_with_device(device, interface, timeout, work), timeout)
    if dry_run:
        out.result(found, _planned(found))
        return
    found.raise_for_failure()
    last = "\n" + found.line() if verb in ("upgrade", "update") else ""
    out.result(found.as_dict(), found.text + last)


def _planned(plan: dict[str, Any]) -> str:
    lines = [f"{plan['verb']}: the device runs {plan['before'] or '?'} and is in state {plan['state']}; would"]
    for ask in plan["would"]:
        words = "  ".join(f"{k} {v}" for k, v in ask.items() if k != "post")
        lines.append(f"  POST {ask['post']}  {words}")
    return "\n".join(lines)


@app.command()
def discover(
    interface: Interface = "",
    wait: Wait = 2.0,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 30.0,
) -> None:
    """List the devices on this network."""
    out = Output(json, progress)
    devices = _run(find(interface, min(wait, timeout)), timeout)
    table = Table("name", "uuid", "address", "version", "updatable", box=None)
    for d in devices:
        row = (d.name, d.uuid, f"{d.host}:{d.port}", d.version, "yes" if d.updatable else "no")
        table.add_row(*[Text(clean(cell)) for cell in row])
    out.result({"devices": [d.as_dict() for d in devices]}, table if devices else "no device answered")


@app.command()
def own(
    device: Which,
    method: Annotated[str, typer.Option("--method", help="just-works, pin or certificate.")] = "just-works",
    pin: Annotated[str, typer.Option("--pin", help="What the device shows; asked for when it is not given.")] = "",
    ca: Annotated[
        Path | None, typer.Option("--ca", help="PEM: the manufacturers' authority, for certificate.")
    ] = None,
    cert: Annotated[Path | None, typer.Option("--cert", help="PEM: the own chain, for certificate.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="PEM: its private key.")] = None,
    interface: Interface = "",
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 60.0,
) -> None:
    """Become the owner of a device that has none."""
    out = Output(json, progress)
    if method not in onboard.METHODS:
        raise Failure(f"there is no method {method!r}", "Choose just-works, pin or certificate.", USAGE)
    identity = Identity()
    credentials = None
    if method == "certificate":
        if not (ca and cert and key):
            raise Failure("certificates need --ca, --cert and --key", code=USAGE)
        chain = secure.read_chain(cert)
        credentials = secure.Manufacturer(identity, secure.read_chain(ca), (chain, secure.read_key(key)))

    async def work() -> dict[str, Any]:
        onboarding = await onboard.begin(device, identity, interface, min(timeout, 20.0))
        try:
            code = pin
            if method == "pin" and not code:
                await onboarding.select(onboard.METHODS["pin"])
                out.note("The device shows a PIN now.")
                code = await asyncio.to_thread(typer.prompt, "PIN", err=True)
            known = await onboarding.own(method, code, credentials)
        finally:
            await onboarding.network.close()
        return {"uuid": known.uuid, "name": known.name, "address": known.address, "owner": identity.uuid}

    value = _run(work(), timeout)
    out.result(value, f"{value['name'] or value['address']} is yours: {value['uuid']}")


@app.command("list")
def owned(json: Json = False) -> None:
    """List the devices that this identity has keys for."""
    out = Output(json)
    identity = Identity()
    table = Table("name", "uuid", "last address", "yours", box=None)
    devices = [
        {"uuid": k.uuid, "name": k.name, "address": k.address, "owned": k.owned} for k in identity.devices.values()
    ]
    for d in devices:
        row = (str(d["name"]), str(d["uuid"]), str(d["address"]), "yes" if d["owned"] else "shared")
        table.add_row(*[Text(clean(cell)) for cell in row])
    out.result({"identity": identity.uuid, "devices": devices}, table if devices else "no device yet")


@app.command()
def grant(
    device: Which,
    client: Annotated[str, typer.Option("--client", help="UUID of the Client that gets the rights.")],
    href: Annotated[
        list[str] | None, typer.Option("--href", help="A Resource, or * for all of the app; may be repeated.")
    ] = None,
    permission: Annotated[
        int, typer.Option("--permission", min=1, max=31, help="Sum: 1 create, 2 read, 4 update, 8 delete, 16 notify.")
    ] = 22,
    psk_out: Annotated[
        Path | None, typer.Option("--psk-out", help="Make a key for both as well, and write it here (hex, mode 0600).")
    ] = None,
    interface: Interface = "",
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 30.0,
) -> None:
    """Let another Client use a device of yours: rights, and on request a key."""
    out = Output(json, progress)
    if not UUID.fullmatch(client):
        raise Failure(f"{client!r} is no UUID", code=USAGE)
    hrefs = href or ["/oc/swu", "/fargo/update"]
    key = onboard.new_key() if psk_out else None
    if psk_out and psk_out.exists():
        raise Failure(f"{psk_out} exists already", "A key is never overwritten: choose another name.")

    async def work(found: DeviceClient) -> dict[str, Any]:
        if not dry_run:
            await onboard.grant(found, client.lower(), hrefs, permission, key)
        return {"device": found.uuid, "client": client.lower(), "hrefs": hrefs, "permission": permission}

    value = _run(_with_device(device, interface, timeout, work), timeout)
    if psk_out and key and not dry_run:
        write_secret(psk_out, key.hex() + "\n")
    words = "could" if dry_run else "can"
    out.result(value, f"{client} {words} use {', '.join(hrefs)} (permission {permission})")


def _release(device: str, interface: str, timeout: float, yes: bool, dry_run: bool, out: Output) -> None:
    if not (yes or dry_run) and not typer.confirm(
        f"{device} forgets its owner, all credentials and rights. Go on?", err=True
    ):
        raise Failure("nothing was done", code=USAGE)
    identity = Identity()

    async def work() -> dict[str, Any]:
        client = await connect(device, identity, interface, min(timeout, 10.0))
        async with client:
            if not dry_run:
                await onboard.disown(client, identity)
            return {"uuid": client.uuid, "address": client.address}

    value = _run(work(), timeout)
    words = "would forget its owner" if dry_run else "has no owner any more; its software stays"
    out.result(value, f"{value['address']} {words}")


@app.command()
def disown(
    device: Which,
    yes: Yes = False,
    interface: Interface = "",
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 30.0,
) -> None:
    """Give a device up: it is reset, and anybody may own it then. The running software stays."""
    _release(device, interface, timeout, yes, dry_run, Output(json, progress))


@app.command()
def reset(
    device: Which,
    yes: Yes = False,
    interface: Interface = "",
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 30.0,
) -> None:
    """The same as disown, by the name that OCF gives it: a hard reset."""
    _release(device, interface, timeout, yes, dry_run, Output(json, progress))


@app.command()
def info(
    device: Which,
    interface: Interface = "",
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 10.0,
) -> None:
    """Show what a device is, what it runs, and where its update stands."""
    out = Output(json, progress)

    async def work(client: DeviceClient) -> dict[str, Any]:
        return {
            "address": client.address,
            "uuid": client.uuid,
            "device": await client.device(),
            "platform": await client.platform(),
            "swu": await client.read_swu(),
            "pstat": await client.read_pstat(),
            "status": await client.read_status(),
        }

    value = _run(_with_device(device, interface, timeout, work), timeout)
    table = Table.grid(padding=(0, 2))
    for part, content in value.items():
        for key, item in content.items() if isinstance(content, dict) else [("", content)]:
            table.add_row(part, str(key), Text(clean(str(item))))
            part = ""
    out.result(value, table)


@app.command()
def watch(
    device: Which,
    interface: Interface = "",
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Stop after this time.")
    ] = None,
) -> None:
    """Show every change of a device's update as it comes, until interrupted."""
    out = Output(json, progress)

    async def work(client: DeviceClient) -> dict[str, Any]:
        async with Watch(client, out) as following:
            try:
                await asyncio.wait_for(following.until(None, None), timeout)
            except TimeoutError:
                pass
            return following.view.as_dict()

    out.result(wait_for(_with_device(device, interface, timeout or 10.0, work)))


@app.command()
def check(
    device: Which,
    interface: Interface = "",
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 60.0,
) -> None:
    """Have a device ask whether something newer is to be had."""
    _verb(Output(json, progress), "check", device, interface, timeout, dry_run)


@app.command()
def download(
    device: Which,
    interface: Interface = "",
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 600.0,
) -> None:
    """Have a device download and validate what is offered."""
    _verb(Output(json, progress), "download", device, interface, timeout, dry_run)


@app.command()
def upgrade(
    device: Which,
    interface: Interface = "",
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 600.0,
) -> None:
    """Have a device install what it downloaded (or download first), and wait until it is kept or rolled back."""
    _verb(Output(json, progress), "upgrade", device, interface, timeout, dry_run)


@app.command()
def update(
    device: Which,
    url: Url = None,
    interface: Interface = "",
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 900.0,
) -> None:
    """Check, download and upgrade: the whole way, to the device's own confirmation."""
    _verb(Output(json, progress), "update", device, interface, timeout, dry_run, url)


@app.command()
def schedule(
    device: Which,
    at: Annotated[
        str,
        typer.Option("--at", metavar="TIME", help="RFC 3339 (2030-01-09T14:30:00Z), or from now: +90s, +10m."),
    ],
    action: Annotated[str, typer.Option("--action", help="check, download or upgrade.")] = "upgrade",
    url: Url = None,
    interface: Interface = "",
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 10.0,
) -> None:
    """Have a device act by itself at a time."""
    out = Output(json, progress)
    if action not in _ACTIONS:
        raise Failure(f"there is no action {action!r}", "Choose check, download or upgrade.", USAGE)
    when = moment(at)

    async def work(client: DeviceClient) -> dict[str, Any]:
        if dry_run:
            plan = await verbs.plan(client, "schedule")
            value = {"swupdateaction": _ACTIONS[action], "updatetime": when, **({"purl": url} if url else {})}
            return {**plan, "would": [{"post": client.swu, **value}]}
        return await verbs.schedule(client, _ACTIONS[action], when, url)

    value = _run(_with_device(device, interface, timeout, work), timeout)
    out.result(value, _planned(value) if dry_run else f"{action} is scheduled for {value.get('updatetime', when)}")


@app.command()
def cancel(
    device: Which,
    interface: Interface = "",
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
    timeout: Timeout = 10.0,
) -> None:
    """Cancel what is scheduled; an action that is being done goes on."""
    out = Output(json, progress)

    async def work(client: DeviceClient) -> dict[str, Any]:
        if dry_run:
            plan = await verbs.plan(client, "cancel")
            return {**plan, "would": [{"post": client.swu, "swupdateaction": "idle"}]}
        return await verbs.cancel(client)

    value = _run(_with_device(device, interface, timeout, work), timeout)
    out.result(value, _planned(value) if dry_run else "nothing is scheduled any more")


def moment(text: str, now: datetime | None = None) -> str:
    """The time that --at names, as devices emit it. Raises Failure."""
    now = now or datetime.now(UTC)
    match = re.fullmatch(r"\+(\d{1,7})([smhd])", text)
    if match:
        seconds = int(match.group(1)) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match.group(2)]
        when = now + timedelta(seconds=seconds)
    else:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise Failure(f"{text!r} is no time", "Write 2030-01-09T14:30:00Z or +10m.", USAGE) from None
        if when.tzinfo is None:
            raise Failure(f"{text} has no time zone", "Add Z for UTC, or an offset such as +02:00.", USAGE)
        when = when.astimezone(UTC)
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
