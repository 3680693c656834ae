"""`fargo board provision` before any board is asked: what options say, and what becomes of a record."""

import contextlib
import json
import os
import pty
import stat
import threading
import tty
import xml.etree.ElementTree as ElementTree

import cbor
import pytest
from certificates import Party
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fargo import pin, provision
from fargo.cli import main
from fargo.console import Failure

PUBLIC = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(3)]
ASKED = {
    "manufacturer": "Maker", "vendor": bytes(16), "class": bytes(15) + b"\1", "keys": provision.trusted(PUBLIC[:2]),
}  # fmt: skip


@pytest.fixture
def port():
    ours, theirs = pty.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def run(capsys):
    def run(*options):
        code = main(["board", "provision", "--json", *map(str, options)])
        out, err = capsys.readouterr()
        value = json.loads(out)
        assert "Traceback" not in err
        return code, value.get("error"), value.get("hint")

    return run


def test_a_record_is_made_once_and_then_kept():
    first = provision.merge(None, ASKED, {"ntp": "time.example.com"})
    assert first["threshold"] == 1 and first["manufactured"].endswith("Z") and len(first["piid"]) == 36
    assert provision.read(cbor.dumps(first)) == first
    again = provision.merge(first, ASKED, {"ntp": "time.example.com"})
    assert again == first and provision.changes(first, again) == []
    other = provision.merge(first, {"model": "2"}, {"led": [2, 1], "ntp": None})
    assert provision.changes(first, other) == ["model", "ntp", "led"]
    assert {**other, "settings": 0} == {**first, "settings": 0, "model": "2"} and other["settings"] == {"led": [2, 1]}


def test_what_a_later_version_wrote_stays():
    old = {**provision.merge(None, ASKED, {}), "later": [1, 2], "settings": {"href": "/update"}}
    new = provision.merge(provision.read(cbor.dumps(old)), {"name": "attic"}, {"button": 0})
    assert new["later"] == [1, 2] and new["settings"] == {"href": "/update", "button": 0}


def test_other_keys_are_no_trust_store_s():
    old = {**provision.merge(None, ASKED, {}), "trust": [3, bytes(32)]}
    assert provision.merge(old, {"name": "x", "keys": ASKED["keys"]}, {})["trust"] == [3, bytes(32)]
    assert "trust" not in provision.merge(old, {"keys": provision.trusted(PUBLIC[2:])}, {})
    assert "trust" not in provision.merge(old, {"threshold": 2}, {})


@pytest.mark.parametrize(
    ("without", "more", "hint"),
    [
        ("keys", {}, "--key"),
        ("vendor", {}, "--vendor"),
        ("class", {}, "--class"),
        ("manufacturer", {}, "--manufacturer"),
        ("", {"threshold": 3}, "--threshold"),
    ],
)
def test_what_a_board_cannot_do_without(without, more, hint):
    asked = {name: value for name, value in ASKED.items() if name != without}
    with pytest.raises(Failure) as failure:
        provision.merge(None, {**asked, **more}, {})
    assert failure.value.code == 2 and hint in failure.value.hint


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, cbor.dumps([1]), cbor.dumps({"v": 2}), cbor.dumps({"v": "1"})])
def test_a_damaged_record(data):
    with pytest.raises(Failure, match="cannot be read"):
        provision.read(data)


def test_what_is_shown_holds_no_secret():
    device, root = Party("Device", ca=False), Party("Root", ca=True)
    key = device.key.private_numbers().private_value.to_bytes(32, "big")
    certificate = provision.certificate([device.der, root.der], key)
    record = provision.merge(None, {**ASKED, "mfgcert": certificate, "mfgtrust": [root.der]}, {})
    shown = json.dumps(provision.describe(record, "home"))
    assert key.hex() not in shown and "CN=Device" in shown and "CN=Root" in shown
    with pytest.raises(Failure, match="is not the key"):
        provision.certificate([root.der], key)
    assert provision.describe(None, None) == {"provisioned": False, "wifi": None}


def test_pins():
    assert (provision.led("2"), provision.led("2:low"), provision.led("none")) == ([2, 1], [2, 0], None)
    assert (provision.button("0"), provision.button("none")) == (0, None)
    for text in ("", "x", "-1", "49", "2:dim", "2:low:low"):
        with pytest.raises(Failure):
            provision.led(text)


def test_methods():
    assert provision.methods("pin, just-works") == [0, 1] and provision.methods("all") is None
    with pytest.raises(Failure):
        provision.methods("magic")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ([], 2, "nothing is to be changed"),
        (["--vendor", "acme"], 2, "is no UUID"),
        (["--key", "missing.pub"], 1, "missing.pub"),
        (["--url", "ftp://x/y"], 2, "--url"),
        (["--mfg-key", "x.pem"], 2, "go together"),
        (["--led", "roof"], 2, "--led"),
        (["--button", "99"], 2, "--button"),
        (["--methods", "luck"], 2, "--methods"),
        (["--held-s", "1"], 2, "held-s"),
        (["--wifi", "home"], 2, "the key of the WiFi is missing"),
        (["--wifi", "home", "--wifi-key-env", "NOT_SET_AT_ALL"], 2, "NOT_SET_AT_ALL"),
        (["--wifi", "x" * 33], 2, "32 bytes"),
        (["--name", ""], 2, "--name has 1 to 64 bytes"),
        (["--name", "x" * 65], 2, "--name has 1 to 64 bytes"),
        (["--model", "a\nb"], 2, "all of them printable"),
        (["--manufacturer", "\udcff"], 2, "all of them printable"),
        (["--threshold", "4"], 2, "threshold"),  # a release has 3 signatures at most
        (["--show", "--name", "x"], 2, "--show changes nothing"),
        (["--ntp", ""], 2, "--ntp"),
        (["--ntp", "bad host\n"], 2, "--ntp"),
        (["--trial-s", "86401"], 2, "trial-s"),
    ],
)
def test_bad_options(run, port, options, code, says):
    got, error, _hint = run("--port", port, *options)
    assert got == code and says in error, error


def test_a_wifi_key_is_not_repeated(run, port, tmp_path):
    path = tmp_path / "key"
    path.write_text("hunter2\n")
    code, error, hint = run("--port", port, "--wifi", "home", "--wifi-key-file", path)
    assert code == 2 and "8 to 63" in error and "hunter2" not in error + hint


def test_ports(run, tmp_path):
    code, error, hint = run("--port", "/dev/ttyNOTHERE7", "--name", "x")
    assert (code, error) == (4, "there is no port /dev/ttyNOTHERE7") and hint
    assert run("--port", tmp_path, "--name", "x")[:2] == (4, f"{tmp_path} is no serial port")


def test_a_board_that_says_nothing(run, port, monkeypatch):
    monkeypatch.setattr("fargo.usb._REPL_S", 1)
    code, error, hint = run("--port", port, "--name", "x")
    assert (code, error) == (4, f"the board at {port} does not answer") and "locked" in hint


def answering(ours):
    """A REPL's prompt for whatever is typed."""
    with contextlib.suppress(OSError):
        while os.read(ours, 100):
            os.write(ours, b">>> ")


@pytest.mark.parametrize("record", ["ad76", 'ad7?"}', f'{bytes(200).hex()}"}}'], ids=["cut", "no digit", "digit"])
def test_an_answer_that_is_not_whole(run, tmp_path, monkeypatch, record):
    """A sentence, and not the advice to give all anew; and the board, which waits in its REPL, is restarted."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    threading.Thread(target=answering, args=(ours,), daemon=True).start()
    command = tmp_path / "mpremote"
    said = f'FARGO {{"fargo": true, "wifi": null, "record": "{record}'
    command.write_text(f"#!/bin/sh\necho $* >> {tmp_path}/calls\ncat > {tmp_path}/code\necho '{said}'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    code, error, hint = run("--port", os.ttyname(theirs), "--name", "x")
    assert (code, "came damaged" in error, "cable" in hint) == (4, True, True), error
    assert (tmp_path / "calls").read_text().splitlines()[-1].endswith("resume reset")


def test_a_pin_is_not_lost_to_a_drawing_that_cannot_be_made(tmp_path, capsys):
    """It is shown once: that its file is there already is said before, not in place of it."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    there = tmp_path / "pin.svg"
    there.touch()
    for path, why in ((there, "File exists"), (tmp_path / "none/pin.svg", "No such file")):
        os.write(ours, b"info: the PIN of this device is 01234567\r\n")
        command = ["board", "pin", "--port", os.ttyname(theirs), "--timeout", "1", "--svg", str(path)]
        assert main(command) == 1
        said = capsys.readouterr()
        assert why in said.err and "Now own it" not in said.err and said.out == ""
    os.close(ours)
    os.close(theirs)


def test_a_pin_as_a_drawing(tmp_path):
    """That nobody else can read, and that overwrites nothing."""
    path = tmp_path / "pin.svg"
    pin.draw("12345678", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    with pytest.raises(Failure):
        pin.draw("12345678", path)
    assert len(pin.picture("12345678").splitlines()) > 10
    assert pin.find("info: the PIN of this device is 01234567") == "01234567"
    assert pin.find("the PIN of this device is 012345678") is None


def test_a_private_key_is_no_public_one(run, port, tmp_path):
    path = tmp_path / "rsa.pem"
    path.write_bytes(Party("x").key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    code, error, _hint = run("--port", port, "--key", path)
    assert code == 1 and "no key" in error
