"""What every command of `fargo` shares: how it reports, shows progress and fails.

A command declares its options with the types `Json`, `ProgressOption` and `Timeout`, makes one `Output`, and raises
`Failure`:

    @app.command()
    def show(path: Path, json: Json = False, progress: ProgressOption = ProgressMode.auto) -> None:
        out = Output(json, progress)
        with out.progress("Hashing", total=size) as bar:
            bar.update(done)
        out.result({"digest": digest}, text=f"digest {digest}")
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.text import Text

OK = 0
FAILED = 1
USAGE = 2
REFUSED = 3  # by the device
CONNECTION = 4
ROLLED_BACK = 5
INTERRUPTED = 130  # what shells expect of a program stopped by Ctrl-C

_JSONL_INTERVAL = 0.1  # seconds between two progress lines of one operation

T = TypeVar("T")


class ProgressMode(StrEnum):
    """How progress is shown: a bar on a terminal, JSON lines on stderr, or not at all."""

    auto = "auto"
    jsonl = "jsonl"
    none = "none"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
ProgressOption = Annotated[
    ProgressMode,
    typer.Option("--progress", help="auto: a bar on a terminal; jsonl: JSON lines on stderr; none."),
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Give up after this time.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would happen, change nothing.")]


class Failure(Exception):
    """An error that the user can act on: one line, a hint on what to do, and the exit code.

    `details` are added to the JSON object that `--json` prints for it.
    """

    def __init__(self, text: str, hint: str = "", code: int = FAILED, **details: Any) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.code = code
        self.details = details

    def line(self) -> str:
        """Error and hint as one line."""
        text = " ".join(self.text.split())
        hint = " ".join(self.hint.split())
        if not hint:
            return text
        return f"{text}{'' if text.endswith(('.', '!', '?')) else '.'} {hint}"


def clean(text: str) -> str:
    """`text` without control characters: what a device sends must not drive the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def as_json(value: Any) -> str:
    """One line of JSON; byte strings become hexadecimal, paths and others their text."""
    return jsonlib.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


class Bar:
    """Progress of one operation; a context manager made by `Output.progress`."""

    def __init__(self, output: Output, description: str, total: float | None) -> None:
        self._output = output
        self.description = description
        self.total = total
        self.done: float = 0
        self._started = time.monotonic()
        self._written = float("-inf")
        self._last: tuple[float, float | None, str] | None = None
        self._live: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> Bar:
        console = self._output.bar_console()
        if console is not None:
            self._live = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=console,
                redirect_stdout=False,
                redirect_stderr=False,
                transient=True,
            )
            self._live.start()
            self._output.live = console
            self._task = self._live.add_task(clean(self.description), total=self.total)
        self._write(force=True)
        return self

    def update(self, done: float, total: float | None = None, description: str | None = None) -> None:
        """So many bytes are done; `total` and `description` may become known on the way."""
        self.done = done
        if total is not None:
            self.total = total
        changed = description is not None and description != self.description
        if description is not None:
            self.description = description
        if self._live is not None:
            self._live.update(self._task, completed=done, total=self.total, description=clean(self.description))
        self._write(force=changed)

    def __exit__(self, *_exc: object) -> None:
        self._write(force=True)
        if self._live is not None:
            self._live.stop()
            self._output.live = None

    def _write(self, force: bool = False) -> None:
        now = time.monotonic()
        state = (self.done, self.total, self.description)
        if self._output.mode is not ProgressMode.jsonl or state == self._last:
            return
        if not force and now - self._written < _JSONL_INTERVAL:
            return
        self._last, self._written = state, now
        self._output.jsonl(
            event="progress",
            description=self.description,
            done=self.done,
            total=self.total,
            seconds=round(now - self._started, 3),
        )


class Output:
    """Where a command writes.

    stdout carries the result: text for people, or with `json` exactly one object. stderr carries notes and, with
    progress "jsonl", JSON lines: `{"event": "progress", "description", "done", "total", "seconds"}`, and events.
    """

    current: Output | None = None  # the one that an error of the running command is reported through

    def __init__(self, json: bool = False, progress: str | ProgressMode = ProgressMode.auto) -> None:
        self.json = json
        self.mode = ProgressMode(progress)
        # NO_COLOR is respected by rich itself.
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)
        self.live: Console | None = None  # the console that a bar is drawn on now
        self.done = False
        Output.current = self

    def result(self, value: dict[str, Any], text: RenderableType = "") -> None:
        """The outcome: the object with --json, else `text`. Once a command."""
        self.done = True
        if self.json:
            print(as_json(value), file=sys.stdout, flush=True)
        elif text:
            self._print(self.out, text)

    def note(self, text: str) -> None:
        """A remark for people, on stderr; silent with --json."""
        if not self.json:
            self._print(self.live or self.err, text)

    def event(self, text: str, **fields: Any) -> None:
        """Something happened: a line with the time for people; with "jsonl" a JSON line with the same time."""
        now = datetime.now().astimezone()
        if self.mode is ProgressMode.jsonl:
            self.jsonl(time=now.isoformat(timespec="milliseconds"), **{"event": "note", "text": text, **fields})
        if not self.json:
            self._print(self.out, f"{now:%H:%M:%S}.{now.microsecond // 1000:03d}  {text}")

    def progress(self, description: str, total: float | None = None) -> Bar:
        """Progress of `total` bytes (None: not known yet): `with out.progress("Reading", 9) as bar: bar.update(n)`."""
        return Bar(self, description, total)

    def jsonl(self, **fields: Any) -> None:
        """One JSON line on stderr."""
        print(as_json(fields), file=sys.stderr, flush=True)

    def bar_console(self) -> Console | None:
        """The terminal that a bar may be drawn on, or None."""
        if self.json or self.mode is not ProgressMode.auto or self.live is not None:
            return None
        # Lines printed above a bar must go through the bar's console: stdout's when that is the terminal.
        return next((console for console in (self.out, self.err) if console.is_terminal), None)

    def error(self, failure: Failure) -> None:
        """The failure: a line on stderr, and with --json an object on stdout unless the result is already there."""
        if self.json and not self.done:
            self.done = True
            value = {"error": failure.text, "hint": failure.hint, "code": failure.code, **failure.details}
            print(as_json(value), file=sys.stdout, flush=True)
        self.err.print(Text.assemble(("error: ", "bold red"), clean(failure.line())))

    def _print(self, console: Console, what: RenderableType) -> None:
        console.print(Text(clean(what)) if isinstance(what, str) else what)


def run(command: Callable[[], int | None], json: bool = False) -> int:
    """Run a command and turn whatever it raises into a line and an exit code.

    `json` is what to assume when the command fails before it made its Output. FARGO_DEBUG=1 adds the traceback.
    """
    Output.current = None
    cause: BaseException
    try:
        code = command()
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        return code or OK
    except Failure as exc:
        failure, cause = exc, exc
    except (KeyboardInterrupt, asyncio.CancelledError, typer.Abort) as exc:
        failure, cause = Failure("interrupted", code=INTERRUPTED), exc
    except BrokenPipeError:
        # The reader of our output has gone: nothing more can be said, and Python must not try at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as exc:
        if type(exc).__name__ == "NoArgsIsHelpError":  # of typer, which keeps the class private
            print(exc.ctx.get_help(), file=sys.stderr)  # type: ignore[attr-defined]
            return USAGE
        failure, cause = _explain(exc), exc
    if os.environ.get("FARGO_DEBUG"):
        traceback.print_exception(cause)
    (Output.current or Output(json)).error(failure)
    return failure.code


def _explain(exc: Exception) -> Failure:
    message = getattr(exc, "format_message", None)
    if message is not None:  # of typer: an unknown option, a missing argument
        context = getattr(exc, "ctx", None)
        hint = f"See '{context.command_path} --help'." if context is not None else ""
        return Failure(message(), hint, getattr(exc, "exit_code", USAGE))
    if isinstance(exc, TimeoutError):
        return Failure("timed out", "A longer --timeout may help.", CONNECTION)
    if isinstance(exc, ConnectionError):
        return Failure(f"connection failed: {exc}", code=CONNECTION)
    if isinstance(exc, OSError) and exc.filename is not None:
        return Failure(f"{exc.filename}: {exc.strerror}")
    return Failure(f"unexpected {type(exc).__name__}: {exc}", "FARGO_DEBUG=1 shows where it comes from.")


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run an asynchronous function from a command."""
    return asyncio.run(coroutine)


def invoke(app: typer.Typer, arguments: Sequence[str] | None = None, name: str = "fargo") -> int:
    """Run a typer application with these arguments; the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    return run(lambda: command.main(arguments, prog_name=name, standalone_mode=False), json="--json" in arguments)
