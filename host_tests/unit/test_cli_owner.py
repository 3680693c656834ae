"""The verbs of ownership, as a user gives them, with the device's own security on sockets."""

import io
import json
import socket
import sys

import pytest
from certificates import DAY, NOW, Party
from cryptography.hazmat.primitives import serialization
from fargo.cli import main
from fargo.console import CONNECTION, FAILED, INTERRUPTED, OK, REFUSED, USAGE
from fargo.identity import Identity, Known
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
    monkeypatch.setenv("COLUMNS", "70")  # a UUID that is cut off is of no use
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


def test_every_verb_prints_one_object_with_json(board, home, monkeypatch, capsys):
    at = ("--device", board.address)

    def done(*arguments):
        assert main(["device", *arguments, "--json"]) == OK
        captured = capsys.readouterr()
        assert (captured.out.count("\n"), captured.err) == (1, "")
        return json.loads(captured.out)

    def be(name):
        monkeypatch.setenv("FARGO_IDENTITY", str(home / f"{name}.json"))

    be("other")
    other = done("list")
    be("identity")
    device = done("own", *at)["uuid"]
    psk = str(home / "psk")
    given = done("grant", *at, "--client", other["identity"], "--psk-out", psk)
    assert (given["device"], given["client"], given["permission"]) == (device, other["identity"], 22)
    be("other")
    assert done("accept", psk) == {"uuid": device, "name": "lamp"}
    assert done("list")["devices"] == [{"uuid": device, "name": "lamp", "address": board.address, "owned": False}]
    assert done("forget", "--device", device, "--yes") == {"uuid": device}
    be("identity")
    assert done("reset", *at, "--yes", "--dry-run")["uuid"] == done("disown", *at, "--yes")["uuid"] == device
    assert done("list")["devices"] == []


class Errors:
    """What a command says when it fails, and what it leaves behind."""

    def __init__(self, capsys, home, monkeypatch):
        self.capsys, self.home, self.monkeypatch = capsys, home, monkeypatch

    def be(self, name):
        """Be another operator."""
        self.monkeypatch.setenv("FARGO_IDENTITY", str(self.home / f"{name}.json"))

    def expect(self, code, words, what_to_do, *arguments):
        """With --json: one object, one line beside it, the exit code, and what to do."""
        self.capsys.readouterr()
        assert main(["device", *arguments, "--json"]) == code
        captured = self.capsys.readouterr()
        value = json.loads(captured.out)
        assert (value["code"], captured.out.count("\n"), captured.err.count("\n")) == (code, 1, 1)
        assert words in value["error"], value
        assert what_to_do in value["hint"] and value["hint"], value
        assert value["hint"] in captured.err


@pytest.fixture
def errors(capsys, home, monkeypatch):
    return Errors(capsys, home, monkeypatch)


def test_every_error_of_ownership_says_what_to_do(board, errors, home, capsys):
    at = ("--device", board.address)
    errors.expect(REFUSED, "has no owner yet", "fargo device own", "info", *at)
    errors.expect(USAGE, "cannot be owned by certificate", "just-works", *_certificate(home, "own", *at))
    assert fargo(board, "own") == OK
    errors.expect(REFUSED, "is yours already", "disown", "own", *at)
    capsys.readouterr()
    owner = Identity()
    errors.be("other")
    errors.expect(REFUSED, "has an owner", "fargo device grant", "info", *at)
    errors.expect(REFUSED, "has an owner", "fargo device grant", "own", *at)
    other = Identity()
    other.keep()
    errors.be("identity")
    assert (
        fargo(
            board,
            "grant",
            "--client",
            other.uuid,
            "--href",
            "/oc/swu",
            "--permission",
            "2",
            "--psk-out",
            str(home / "psk"),
        )
        == OK
    )
    errors.expect(FAILED, "is for", owner.uuid, "accept", str(home / "psk"))
    errors.be("other")
    assert main(["device", "accept", str(home / "psk")]) == OK
    # It may read, and no more.
    errors.expect(REFUSED, "4.01", "fargo device grant", "update", "--url", "https://h/x", *at)
    errors.expect(REFUSED, "4.01", "fargo device grant", "disown", "--yes", *at)
    errors.expect(REFUSED, "4.01", "fargo device grant", "grant", "--client", owner.uuid, *at)
    errors.expect(USAGE, "known as", "fargo device list", "forget", "--yes", "--device", "nothing")
    # Somebody else may read its keys.
    (home / "other.json").chmod(0o644)
    errors.expect(FAILED, "can be read by others", "chmod 600", "info", *at)
    (home / "other.json").chmod(0o600)
    (uuid,) = Identity().devices
    Identity().remember(Known(uuid, bytes(16), "lamp", board.address, "shared"))
    errors.expect(REFUSED, "the keys of both sides differ", "fargo device", "info", *at)


def test_nobody_there(errors):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    with sock:
        at = ("--device", f"127.0.0.1:{sock.getsockname()[1]}", "--timeout", "0.5")
        for verb in (("own",), ("disown", "--yes"), ("grant", "--client", Identity().uuid)):
            errors.expect(CONNECTION, "no answer", "", *verb, *at)


def _certificate(home, *arguments, device=MAKER, **dates):
    """`arguments`, by the certificate of a tool that this maker has certified."""
    cert, key = _files(home, Party("tool", MAKER, **dates), "tool")
    ca, _ = _files(home, device, "maker")
    return [*arguments, "--method", "certificate", "--ca", ca, "--cert", cert, "--key", key]


def test_certificates_that_are_out_of_date_or_of_others(home, errors):
    old = {"begin": NOW - 3 * DAY, "end": NOW - 2 * DAY}
    for ours, theirs, authority, code, words, what_to_do in (
        (old, {}, MAKER, FAILED, "has expired", "make a new one"),
        ({}, old, MAKER, REFUSED, "its certificate: certificate has expired", "out of date"),
        ({}, {}, Party("Other", ca=True), REFUSED, "its certificate: issuer is not trusted", "--ca"),
    ):
        device = Party("device", MAKER, **theirs)
        private = device.key.private_numbers().private_value.to_bytes(32, "big")
        with Running(Board, mfgcert=([device.der], private), mfgtrust=[MAKER.der]) as board:
            arguments = _certificate(home, "own", "--device", board.address, device=authority, **ours)
            errors.expect(code, words, what_to_do, *arguments)
            assert not board.security.owned
    assert Identity().devices == {}


def test_a_wrong_pin(board, errors):
    errors.expect(
        REFUSED,
        "no secured connection",
        "Is the PIN right",
        "own",
        "--device",
        board.address,
        "--method",
        "pin",
        "--pin",
        "x",
    )
    assert not board.security.owned and Identity().devices == {}


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
