"""The options that the verbs of `fargo device` share, declared once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column

from fargo.client import DeviceClient, connect
from fargo.console import CONNECTION, DryRun, Failure, Json, Output, ProgressMode, ProgressOption, wait_for
from fargo.identity import Identity, IdentityOption

_CONNECT = 10.0  # seconds for one answer, at the most
_GRACE = 5.0

_Device = Annotated[
    str,
    typer.Option("--device", "-d", envvar="FARGO_DEVICE", help="UUID, name, or address[:port] of the device."),
]
_Interface = Annotated[
    str, typer.Option("--interface", metavar="ADDRESS", help="Own address whose network is used for discovery.")
]
_Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Give up after this time.")
]
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


@dataclass
class Target:
    """What every verb is told. `dry_run`: change nothing; `timeout` in seconds, None: for ever."""

    out: Output
    device: str
    identity_path: Path | None
    interface: str
    timeout: float | None
    dry_run: bool

    def identity(self) -> Identity:
        """Who asks. Raises Failure."""
        return Identity(self.identity_path)

    @property
    def patience(self) -> float:
        """Seconds to wait for one answer."""
        return min(self.timeout or _CONNECT, _CONNECT)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it. The verbs keep the time themselves, and say more when it is over; this catches what they do not see."""

        async def limited() -> Any:
            try:
                return await asyncio.wait_for(coroutine, None if self.timeout is None else self.timeout + _GRACE)
            except TimeoutError:
                raise Failure("not finished in time", "A longer --timeout may help.", CONNECTION) from None

        return wait_for(limited())

    def with_client(self, work: Callable[[DeviceClient], Awaitable[Any]]) -> Any:
        """Do `work` with a client of the device."""
        identity = self.identity()

        async def connected() -> Any:
            async with await connect(self.device, identity, self.interface, self.patience) as client:
                return await work(client)

        return self.run(connected())


def uuid_column() -> Column:
    """A table's column of UUIDs: one that is cut off is of no use."""
    return Column("uuid", no_wrap=True, min_width=36)


def verb(
    app: typer.Typer, name: str = "", timeout: float | None = None, device: bool = True, dry_run: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command of `app`: its first parameter is a Target, the others are options of its own.

    `timeout`: default of --timeout. `device` and `dry_run`: whether there are such options.
    """

    def parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
        return inspect.Parameter(name, _KEYWORD, annotation=annotation, default=default)

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = [*inspect.signature(function, eval_str=True).parameters.values()][1:]
        parameters = [parameter("device", _Device)] if device else []
        parameters += [p.replace(kind=_KEYWORD) for p in own]
        parameters += [parameter("interface", _Interface, ""), parameter("identity", IdentityOption, None)]
        parameters += [parameter("dry_run", DryRun, False)] if dry_run else []
        parameters += [
            parameter("json", Json, False),
            parameter("progress", ProgressOption, ProgressMode.auto),
            parameter("timeout", _Timeout, timeout),
        ]

        def command(**given: Any) -> None:
            target = Target(
                Output(given.pop("json"), given.pop("progress")),
                given.pop("device", ""),
                given.pop("identity"),
                given.pop("interface"),
                given.pop("timeout"),
                given.pop("dry_run", False),
            )
            function(target, **given)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        app.command(name or function.__name__)(command)
        return function

    return decorate
