"""The verbs of ownership, as a user gives them, with the device's own security on sockets."""

import io
import json
import sys

import pytest
from certificates import Party
from cryptography.hazmat.primitives import serialization
from fargo.cli import main
from fargo.console import FAILED, INTERRUPTED, OK, REFUSED, USAGE
from fargo.identity import Identity
from foreign_device import Running
from owned_device import Board

MAKER = Party("Maker", ca=True)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FARGO_IDENTITY", str(tmp_path / "identity.json"))
    return tmp_path


@pytest.fixture
def board():
    with Running(Board) as device:
        yield device


def fargo(board, verb, *arguments):
    return main(["device", verb, "--device", board.address, *arguments])


def test_own_use_grant_accept_and_disown(board, home, monkeypatch, capsys):
    assert fargo(board, "info") == REFUSED
    assert "Own it first: fargo device own" in capsys.readouterr().err
    assert fargo(board, "own", "--json") == OK
    owned = json.loads(capsys.readouterr().out)
    assert (owned["name"], owned["owner"]) == ("lamp", Identity().uuid)
    assert main(["device", "list"]) == OK
    captured = capsys.readouterr()
    assert owned["uuid"] in captured.out and owned["owner"] in captured.err

    monkeypatch.setenv("FARGO_IDENTITY", str(home / "other.json"))
    assert fargo(board, "info") == REFUSED
    assert main(["device", "list", "--json"]) == OK
    other = json.loads(capsys.readouterr().out.splitlines()[-1])["identity"]

    monkeypatch.setenv("FARGO_IDENTITY", str(home / "identity.json"))
    psk = str(home / "psk")
    rights = ("--client", other, "--href", "/oc/swu", "--href", "/oic/sec/pstat", "--permission", "2")
    assert fargo(board, "grant", *rights, "--psk-out", psk, "--dry-run") == OK
    assert not (home / "psk").exists()
    assert fargo(board, "grant", *rights, "--psk-out", psk) == OK
    assert (home / "psk").stat().st_mode & 0o777 == 0o600
    assert fargo(board, "grant", *rights, "--psk-out", psk) == FAILED
    assert main(["device", "accept", psk]) == FAILED  # it is the other's

    monkeypatch.setenv("FARGO_IDENTITY", str(home / "other.json"))
    assert main(["device", "accept", psk]) == OK
    capsys.readouterr()
    assert fargo(board, "info", "--json") == OK
    assert json.loads(capsys.readouterr().out)["swu"]["swupdatestate"] == "idle"
    assert fargo(board, "disown", "--yes") == REFUSED

    monkeypatch.setenv("FARGO_IDENTITY", str(home / "identity.json"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert fargo(board, "disown") == USAGE
    assert fargo(board, "reset", "--dry-run") == OK
    assert board.security.owned
    assert fargo(board, "reset", "--yes") == OK
    assert Identity().devices == {}
    key = json.loads((home / "psk").read_text())["key"]
    captured = capsys.readouterr()
    assert key not in captured.out + captured.err


def test_own_with_the_pin_that_the_device_shows(board, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert fargo(board, "own", "--method", "pin") == INTERRUPTED
    assert "shows a PIN" in capsys.readouterr().err
    assert fargo(board, "own", "--method", "pin", "--pin", "x") == REFUSED
    assert "Is the PIN right" in capsys.readouterr().err
    assert fargo(board, "own", "--method", "pin", "--pin", board.pins[0]) == OK
    assert len(board.pins) == 1


def _files(home, party, name):
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (home / f"{name}.pem").write_bytes(party.certificate.public_bytes(serialization.Encoding.PEM))
    (home / f"{name}.key").write_bytes(party.key.private_bytes(serialization.Encoding.PEM, *private))
    return str(home / f"{name}.pem"), str(home / f"{name}.key")


def test_own_with_certificates(home, capsys):
    device, tool = Party("device", MAKER), Party("tool", MAKER)
    private = device.key.private_numbers().private_value.to_bytes(32, "big")
    cert, key = _files(home, tool, "tool")
    ca, ca_key = _files(home, MAKER, "maker")
    with Running(Board, mfgcert=([device.der], private), mfgtrust=[MAKER.der]) as board:
        assert fargo(board, "own", "--method", "certificate") == USAGE
        files = ("--method", "certificate", "--ca", ca, "--cert", cert, "--key")
        assert fargo(board, "own", *files, str(home / "none")) == FAILED
        assert fargo(board, "own", *files, cert) == FAILED
        assert fargo(board, "own", *files, ca_key) == REFUSED  # another's key
        assert fargo(board, "own", *files, key) == OK
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["own", "--device", "127.0.0.1", "--method", "magic"],
        ["own"],
        ["grant", "--device", "127.0.0.1", "--client", "me"],
        ["grant", "--device", "127.0.0.1"],
        ["accept", "/no/such/file"],
        ["forget", "--device", "nothing", "--yes"],
    ],
)
def test_usage(arguments, capsys, monkeypatch):
    monkeypatch.delenv("FARGO_DEVICE", raising=False)
    assert main(["device", *arguments]) in (USAGE, FAILED)
    assert capsys.readouterr().err.count("\n") == 1
