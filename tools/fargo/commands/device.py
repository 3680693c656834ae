"""`fargo device`: find devices, and drive and follow their updates."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from fargo import watch as verbs
from fargo.client import DeviceClient
from fargo.client import discover as find
from fargo.commands import owner
from fargo.commands.target import Target, uuid_column, verb
from fargo.console import USAGE, Failure, clean
from fargo.follow import Watch

app = typer.Typer(help="Find devices, own them, and update them.", no_args_is_help=True, rich_markup_mode=None)

Url = Annotated[str | None, typer.Option("--url", help="URL of the release; without it the device's own is kept.")]

_ACTIONS = {"check": "isac", "download": "isvv", "upgrade": "upgrade"}


def _drive(target: Target, name: str, url: str | None = None) -> None:
    async def work(client: DeviceClient) -> Any:
        if target.dry_run:
            return await verbs.plan(client, name, url)
        if name == "update":
            return await verbs.update(client, target.out, url, target.timeout)
        return await getattr(verbs, name)(client, target.out, target.timeout)

    found = target.with_client(work)
    if target.dry_run:
        target.out.result(found, _planned(found))
        return
    found.raise_for_failure()
    last = "\n" + found.line() if name in ("upgrade", "update") else ""
    target.out.result(found.as_dict(), found.text + last)


def _planned(plan: dict[str, Any]) -> str:
    lines = [f"{plan['verb']}: the device runs {plan['before'] or '?'} and is in state {plan['state']}; would"]
    for ask in plan["would"]:
        words = "  ".join(f"{k} {v}" for k, v in ask.items() if k != "post")
        lines.append(f"  POST {ask['post']}  {words}")
    return "\n".join(lines)


@verb(app, timeout=30.0, device=False)
def discover(
    target: Target,
    wait: Annotated[
        float, typer.Option("--wait", min=0.1, metavar="SECONDS", help="How long answers are awaited.")
    ] = 2.0,
) -> None:
    """List the devices on this network."""
    known = target.identity().devices
    devices = target.run(find(target.interface, min(wait, target.timeout or wait)))
    table = Table("name", uuid_column(), "address", "version", "updatable", "key", box=None)
    for d in devices:
        key = "" if d.uuid not in known else "owner" if known[d.uuid].owned else "shared"
        row = (d.name, d.uuid, f"{d.host}:{d.port}", d.version, "yes" if d.updatable else "no", key)
        table.add_row(*[Text(clean(cell)) for cell in row])
    target.out.result({"devices": [d.as_dict() for d in devices]}, table if devices else "no device answered")


owner.add_to(app)


@verb(app, timeout=10.0)
def info(target: Target) -> None:
    """Show what a device is, what it runs, and where its update stands."""

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

    value = target.with_client(work)
    table = Table.grid(padding=(0, 2))
    for part, content in value.items():
        for key, item in content.items() if isinstance(content, dict) else [("", content)]:
            table.add_row(part, str(key), Text(clean(str(item))))
            part = ""
    target.out.result(value, table)


@verb(app)
def watch(target: Target) -> None:
    """Show every change of a device's update as it comes, until interrupted or --timeout."""

    async def work(client: DeviceClient) -> dict[str, Any]:
        async with Watch(client, target.out) as following:
            try:
                await asyncio.wait_for(following.until(None, None), target.timeout)
            except TimeoutError:
                pass
            return following.view.as_dict()

    target.out.result(target.with_client(work))


@verb(app, timeout=60.0, dry_run=True)
def check(target: Target) -> None:
    """Have a device ask whether something newer is to be had."""
    _drive(target, "check")


@verb(app, timeout=600.0, dry_run=True)
def download(target: Target) -> None:
    """Have a device download and validate what is offered."""
    _drive(target, "download")


@verb(app, timeout=600.0, dry_run=True)
def upgrade(target: Target) -> None:
    """Have a device install what it downloaded (or download first), and wait until it is kept or rolled back."""
    _drive(target, "upgrade")


@verb(app, timeout=900.0, dry_run=True)
def update(target: Target, url: Url = None) -> None:
    """Check, download and upgrade: the whole way, to the device's own confirmation."""
    _drive(target, "update", url)


@verb(app, timeout=10.0, dry_run=True)
def schedule(
    target: Target,
    at: Annotated[
        str,
        typer.Option("--at", metavar="TIME", help="RFC 3339 (2030-01-09T14:30:00Z), or from now: +90s, +10m."),
    ],
    action: Annotated[str, typer.Option("--action", help="check, download or upgrade.")] = "upgrade",
    url: Url = None,
) -> None:
    """Have a device act by itself at a time."""
    if action not in _ACTIONS:
        raise Failure(f"there is no action {action!r}", "Choose check, download or upgrade.", USAGE)
    when = moment(at)

    async def work(client: DeviceClient) -> dict[str, Any]:
        if target.dry_run:
            plan = await verbs.plan(client, "schedule")
            value = {"swupdateaction": _ACTIONS[action], "updatetime": when, **({"purl": url} if url else {})}
            return {**plan, "would": [{"post": client.swu, **value}]}
        return await verbs.schedule(client, _ACTIONS[action], when, url)

    value = target.with_client(work)
    words = f"{action} is scheduled for {value.get('updatetime', when)}"
    target.out.result(value, _planned(value) if target.dry_run else words)


@verb(app, timeout=10.0, dry_run=True)
def cancel(target: Target) -> None:
    """Cancel what is scheduled; an action that is being done goes on."""

    async def work(client: DeviceClient) -> dict[str, Any]:
        if target.dry_run:
            plan = await verbs.plan(client, "cancel")
            return {**plan, "would": [{"post": client.swu, "swupdateaction": "idle"}]}
        return await verbs.cancel(client)

    value = target.with_client(work)
    target.out.result(value, _planned(value) if target.dry_run else "nothing is scheduled any more")


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
