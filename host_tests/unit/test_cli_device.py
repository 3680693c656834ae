"""The command `fargo` driven as a user drives it, against a device made of other libraries."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fargo.cli import main
from fargo.commands.device import moment
from fargo.console import CONNECTION, FAILED, OK, REFUSED, ROLLED_BACK, USAGE, Failure
from fargo.identity import Identity
from foreign_device import TOTAL, UUID, Running, owner

TOP = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def identity(tmp_path, monkeypatch):
    """The tests' own, in which the foreign device is known."""
    path = tmp_path / "identity.json"
    monkeypatch.setenv("FARGO_IDENTITY", str(path))
    return owner(path=path)


def fargo(device, verb, *arguments):
    return main(["device", verb, "--device", f"127.0.0.1:{device.port}", *arguments])


def test_update_ends_with_versions_bytes_seconds_and_speed(capsys):
    with Running() as device:
        assert fargo(device, "update", "--url", "https://localhost/1.1.0.suit") == OK
    out = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"1\.0\.0 -> 1\.1\.0, 40,960 bytes, \d+\.\d s, \d+\.\d KB/s", out[-1])
    events = [line for line in out if re.match(r"\d\d:\d\d:\d\d\.\d{3}  ", line)]
    assert any("state upgrading" in line for line in events)
    assert any("cm 448" in line for line in events)


def test_download_with_json_and_jsonl(capsys):
    with Running() as device:
        assert fargo(device, "download", "--json", "--progress", "jsonl") == OK
    captured = capsys.readouterr()
    value = json.loads(captured.out)
    assert {k: value[k] for k in ("verb", "state", "before", "offered", "bytes", "result")} == {
        "verb": "download",
        "state": "sva",
        "before": "1.0.0",
        "offered": "1.1.0",
        "bytes": TOTAL,
        "result": 0,
    }
    lines = [json.loads(line) for line in captured.err.splitlines()]
    progress = [line for line in lines if line["event"] == "progress"]
    assert progress[-1]["done"] == TOTAL
    assert "sva" in [line.get("swupdatestate") for line in lines]


@pytest.mark.parametrize(
    ("facts", "verb", "code", "words"),
    [
        ({"refuses": (0x83, "actions start in RFNOP only")}, "check", REFUSED, "actions start in RFNOP only"),
        ({"fails": {"obtain": (5, "no trusted signature")}}, "download", REFUSED, "no trusted signature"),
        ({"fails": {"obtain": (4, "the server hung up")}}, "download", CONNECTION, "the server hung up"),
        ({"fails": {"obtain": (3, "too large")}}, "download", FAILED, "too large"),
        ({"stays": False}, "upgrade", ROLLED_BACK, "did not confirm itself"),
        ({"updatable": False}, "check", FAILED, "no software update"),
        ({"dtls": False}, "check", FAILED, "no secured connection"),
    ],
)
def test_exit_codes_and_one_line_of_error(facts, verb, code, words, capsys):
    with Running(**facts) as device:
        assert fargo(device, verb, "--json") == code
    captured = capsys.readouterr()
    value = json.loads(captured.out)
    assert value["code"] == code
    assert words in value["error"]
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(("owned", "words"), [(True, "has an owner"), (False, "Own it first: fargo device own")])
def test_a_device_without_a_key_is_told_apart_by_its_owner(owned, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FARGO_IDENTITY", str(tmp_path / "other.json"))
    with Running(owned=owned) as device:
        assert fargo(device, "check", "--json") == REFUSED
    assert words in capsys.readouterr().err


def test_the_identity_may_be_named(tmp_path, monkeypatch, identity, capsys):
    monkeypatch.delenv("FARGO_IDENTITY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "empty"))
    with Running() as device:
        assert fargo(device, "info") == REFUSED
        assert fargo(device, "info", "--identity", str(identity.path)) == OK
        assert fargo(device, "info", "--identity", str(identity.path.parent)) == OK


def test_list_forget_and_accept(tmp_path, identity, capsys):
    assert main(["device", "list", "--json"]) == OK
    value = json.loads(capsys.readouterr().out)
    assert value["identity"] == identity.uuid
    assert value["devices"] == [{"uuid": UUID, "name": "lamp", "address": "", "owned": True}]
    assert main(["device", "forget", "--device", "lamp", "--yes"]) == OK
    assert main(["device", "forget", "--device", "lamp", "--yes"]) == USAGE
    given = tmp_path / "given"
    text = {"device": UUID, "name": "lamp", "address": "h:5683", "client": identity.uuid, "key": "ab" * 16}
    given.write_text(json.dumps(text))
    assert main(["device", "accept", str(given)]) == OK
    known = Identity().devices[UUID]
    assert (known.key, known.owned) == (b"\xab" * 16, False)
    for broken in ({**text, "client": UUID}, {**text, "key": "ab"}, [], {**text, "device": 7}):
        given.write_text(json.dumps(broken))
        assert main(["device", "accept", str(given)]) != OK
    captured = capsys.readouterr()
    assert "abab" not in captured.out + captured.err


def test_dry_run_changes_nothing(capsys):
    with Running() as device:
        assert fargo(device, "update", "--url", "https://h/x", "--dry-run", "--json") == OK
        assert fargo(device, "schedule", "--at", "+1h", "--dry-run") == OK
        assert fargo(device, "cancel", "--dry-run") == OK
        assert device.posts == []
    assert json.loads(capsys.readouterr().out.splitlines()[0])["dry_run"] is True


def test_schedule_and_cancel(capsys):
    with Running() as device:
        assert fargo(device, "schedule", "--at", "2030-01-09T15:30:00+01:00", "--url", "https://h/x") == OK
        assert device.posts[-1]["updatetime"] == "2030-01-09T14:30:00Z"
        assert fargo(device, "cancel", "--json") == OK
        assert device.posts[-1]["swupdateaction"] == "idle"
    assert "2030-01-09T14:30:00Z" in capsys.readouterr().out


def test_info_and_watch(capsys):
    with Running() as device:
        assert fargo(device, "info", "--json") == OK
        assert fargo(device, "watch", "--timeout", "0.5", "--json") == OK
        assert fargo(device, "info") == OK
    lines = capsys.readouterr().out.splitlines()
    about, view = json.loads(lines[0]), json.loads(lines[1])
    assert about["device"]["di"] == UUID
    assert view["swu"]["swupdatestate"] == "idle"
    assert any("1.0.0" in line for line in lines[2:])


@pytest.mark.parametrize(
    "arguments",
    [
        ["device", "check"],
        ["device", "schedule", "-d", "127.0.0.1", "--at", "tomorrow"],
        ["device", "schedule", "-d", "127.0.0.1", "--at", "+1h", "--action", "dance"],
        ["nothing"],
        ["serve", "/no/such/folder"],
    ],
)
def test_usage(arguments, capsys, monkeypatch):
    monkeypatch.delenv("FARGO_DEVICE", raising=False)
    assert main(arguments) == USAGE
    assert capsys.readouterr().err.count("\n") == 1


def test_moment():
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert moment("+90s", now) == "2026-01-01T12:01:30Z"
    assert moment("2030-01-09T14:30:00Z", now) == "2030-01-09T14:30:00Z"
    with pytest.raises(Failure, match="time zone"):
        moment("2030-01-09T14:30:00", now)


def test_serve_as_a_program_prints_where_it_serves(tmp_path):
    (tmp_path / "release").mkdir()
    path = os.pathsep.join([str(TOP / "lib"), str(TOP / "tools")])
    command = [
        sys.executable,
        "-m",
        "fargo.cli",
        "serve",
        str(tmp_path / "release"),
        "--port",
        "0",
        "--coaps-port",
        "0",
    ]
    command += ["--authority", str(tmp_path / "ca"), "--timeout", "0.1", "--json"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    value = json.loads(done.stdout)
    assert value["https"].startswith("https://127.0.0.1:")
    assert value["coaps"].startswith("coaps://127.0.0.1:")
    assert (tmp_path / "ca" / "ca.pem").exists()
