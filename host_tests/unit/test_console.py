"""How every command reports, shows progress and fails."""

import io
import json

import pytest
import typer
from fargo import console
from fargo.console import CONNECTION, FAILED, INTERRUPTED, REFUSED, USAGE, Failure, Output, clean, invoke
from rich.console import Console


def app_that(action):
    app = typer.Typer()

    @app.command()
    def go(json: console.Json = False, progress: console.ProgressOption = "auto", timeout: console.Timeout = 1.0):
        action(Output(json, progress))

    @app.command()
    def other():
        pass

    return app


def fail(error):
    def action(_out):
        raise error

    return app_that(action)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Failure("it broke", "Mend it.", REFUSED), REFUSED, "error: it broke. Mend it.\n"),
        (Failure("two\nlines"), FAILED, "error: two lines\n"),
        (KeyboardInterrupt(), INTERRUPTED, "error: interrupted\n"),
        (TimeoutError(), CONNECTION, "error: timed out. A longer --timeout may help.\n"),
        (ConnectionRefusedError(111, "refused"), CONNECTION, "error: connection failed: [Errno 111] refused\n"),
        (
            FileNotFoundError(2, "No such file or directory", "a.bin"),
            FAILED,
            "error: a.bin: No such file or directory\n",
        ),
        (KeyError("x"), FAILED, "error: unexpected KeyError: 'x'. FARGO_DEBUG=1 shows where it comes from.\n"),
    ],
)
def test_an_error_is_one_line_and_a_code(error, code, words, capsys):
    assert invoke(fail(error), ["go"]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", words)


def test_with_json_an_error_is_one_object_on_stdout_too(capsys):
    assert invoke(fail(Failure("it broke", "Mend it.", REFUSED, result=5)), ["go", "--json"]) == REFUSED
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"error": "it broke", "hint": "Mend it.", "code": 3, "result": 5}
    assert captured.err.startswith("error: it broke")


@pytest.mark.parametrize("arguments", [["--no"], ["go", "--progress", "loud"], ["go", "--timeout", "0"], ["come"]])
def test_wrong_usage_is_2(arguments, capsys):
    assert invoke(app_that(lambda out: None), arguments) == USAGE
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "--help" in captured.err


def test_wrong_usage_with_json(capsys):
    assert invoke(app_that(lambda out: None), ["go", "--json", "--nonsense"]) == USAGE
    assert json.loads(capsys.readouterr().out)["code"] == USAGE


def test_result_and_notes_go_to_their_streams(capsys):
    def action(out):
        out.note("a remark")
        out.result({"n": b"\x01\x02"}, text="the result [not markup]")

    assert invoke(app_that(action), ["go"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("the result [not markup]\n", "a remark\n")
    assert invoke(app_that(action), ["go", "--json"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ('{"n": "0102"}\n', "")


def work(out):
    with out.progress("Reading", 100) as bar:
        for done in range(0, 101, 10):
            bar.update(done)
    out.event("it happened", event="thing", n=1)
    out.result({"ok": True}, "done")


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_progress_as_json_lines_on_stderr(more, capsys):
    assert invoke(app_that(work), ["go", "--progress", "jsonl", *more]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    progress = [line for line in lines if line["event"] == "progress"]
    assert (progress[0]["done"], progress[-1]["done"], progress[0]["total"]) == (0, 100, 100)
    assert all(set(line) == {"event", "description", "done", "total", "seconds"} for line in progress)
    assert len(progress) < 11  # not one a step
    assert {k: lines[-1][k] for k in ("event", "n")} == {"event": "thing", "n": 1}


@pytest.mark.parametrize("arguments", [["--json"], ["--json", "--progress", "none"], ["--progress", "none"], []])
def test_no_bar_off_a_terminal(arguments, capsys):
    assert invoke(app_that(work), ["go", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    if "--json" in arguments:
        assert json.loads(captured.out) == {"ok": True}


def test_a_bar_with_bytes_speed_and_time_left_on_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = io.StringIO()
    out = Output()
    out.out = Console(file=screen, force_terminal=True, width=120)
    with out.progress("Reading", 2_000_000) as bar:
        bar.update(1_000_000)
        bar._live.refresh()
    assert "Reading" in screen.getvalue()
    assert "1.0/2.0 MB" in screen.getvalue()


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    screen = io.StringIO()
    out = Output()
    out.err = Console(file=screen, force_terminal=True, stderr=False)
    out.error(Failure("it broke"))
    assert "31m" not in screen.getvalue()
    assert "it broke" in screen.getvalue()


def test_what_a_device_sends_cannot_drive_the_terminal():
    assert "\x1b" not in clean("a\x1b[2Jb\x07\x9b")
    assert clean("gut\n") == "gut\n"
