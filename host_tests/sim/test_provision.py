"""`fargo board provision` with the real mpremote, over a serial port that leads to the simulated board's REPL.

On PATH there is a stand-in for mpremote that notes its arguments, environment and open files, and then becomes mpremote.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
import serial
from certificates import Party
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fargo import keys
from fargo.cli import main
from sim.owned_rig import files_in, partition
from sim.rig import QuickStage, Rig

VENDOR, CLASS = "5f0d3bf4-5b4e-4b1c-9f43-6f1c4e1f0a01", "5f0d3bf4-5b4e-4b1c-9f43-6f1c4e1f0a02"
WIFI_KEY = "sesame, open yourself"
NOTING = """#!/bin/sh
echo "$@" >> '{notes}'
tr '\\0' '\\n' < /proc/$$/environ >> '{notes}'
exec '{mpremote}' "$@"
"""


class Blank(QuickStage):
    """A stage whose board was never told anything."""

    def provision(self):
        return {}


class Desk:
    """A board by USB and the command, which is run in this process."""

    def __init__(self, folder, monkeypatch, capsys):
        self.rig = Rig(folder / "rig", owned=False, kind=Blank, board={"usb": True})
        self.port = self.rig.board.port
        self.folder, self.capsys = folder, capsys
        self.notes = folder / "notes"
        self.said = ""
        tools = folder / "bin"
        tools.mkdir()
        (tools / "mpremote").write_text(NOTING.format(notes=self.notes, mpremote=shutil.which("mpremote")))
        (tools / "mpremote").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    def run(self, *options):
        """(exit code, what it printed as JSON)."""
        code = main(["board", "provision", "--port", self.port, "--json", *map(str, options)])
        out, err = self.capsys.readouterr()
        self.said += out + err
        return code, json.loads(out)

    def serves(self, do):
        """Do something after which the board serves."""
        at = len(self.rig.board.lines)
        found = do()
        self.rig.board.wait_log("serving", 40, at)
        return found

    def pem(self, name, *parties):
        path = self.folder / name
        path.write_bytes(b"".join(party.certificate.public_bytes(Encoding.PEM) for party in parties))
        return path


@pytest.fixture
def desk(tmp_path, monkeypatch, capsys):
    desk = Desk(tmp_path, monkeypatch, capsys)
    yield desk
    desk.rig.stop()


async def test_from_a_blank_board_to_one_that_is_owned(desk, monkeypatch):
    rig, stage = desk.rig, desk.rig.stage
    rig.board.power_on()
    rig.board.wait_log("boot: the app could not be run", 40)  # as nobody has told it who it is
    code, said = desk.run("--name", "cellar")
    assert (code, said["hint"]) == (1, "give everything anew, with --fresh")
    code, said = desk.run("--name", "cellar", "--fresh")
    assert (code, said["hint"]) == (2, "give --key, a public key of your releases")
    release_key = desk.folder / "release.pub"
    release_key.write_bytes(keys.public_pem(stage.keys[0].public_key()))
    authority = desk.folder / "ca.pem"
    authority.write_bytes(stage.authority.certificate.public_bytes(Encoding.PEM))
    maker = Party("Maker's root", ca=True)
    device = Party("Device 1", maker)
    private = desk.folder / "device.key"
    private.write_bytes(device.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key_file = desk.folder / "wifi"
    key_file.write_text(WIFI_KEY + "\n")
    everything = (
        "--wifi", "home", "--wifi-key-file", key_file, "--name", "cellar", "--manufacturer", "Maker",
        "--model", "Lamp 2", "--vendor", VENDOR, "--class", CLASS, "--key", release_key, "--authority", authority,
        "--url", "https://updates.example.com/lamp.suit", "--ntp", "127.0.0.1", "--trial-s", 20, "--led", "2:low",
        "--mfg-cert", desk.pem("chain.pem", device, maker), "--mfg-key", private,
        "--mfg-trust", desk.pem("trust.pem", maker),
    )  # fmt: skip
    code, said = desk.serves(lambda: desk.run(*everything, "--fresh"))
    assert code == 0 and "wifi" in said["changed"] and "mfgcert" in said["changed"]
    known = await stage.own()
    assert known.name == "cellar"
    async with rig.client() as client:
        platform, about = await client.get("oic/p"), await client.get("oic/d")
    assert (platform["mnmn"], platform["mnmo"]) == ("Maker", "Lamp 2")
    # Again: nothing is written, what is said is what is there; then one thing alone.
    code, again = desk.serves(lambda: desk.run(*everything[4:]))
    assert (code, again["changed"]) == (0, [])
    assert again["provisioned"] == said["provisioned"]
    code, dry = desk.serves(lambda: desk.run("--button", 0, "--dry-run"))
    assert (code, dry["changed"]) == (0, ["button"])
    code, one = desk.serves(lambda: desk.run("--led", "none", "--model", "Lamp 3", "--methods", "pin,certificate"))
    assert (code, sorted(one["changed"])) == (0, ["led", "model", "oxms"])
    code, shown = desk.serves(lambda: desk.run("--show"))
    expected = {**said["provisioned"], "model": "Lamp 3"}
    expected["settings"] = {"ntp": "127.0.0.1", "trial_s": 20, "oxms": [1, 2]}
    assert code == 0 and {**shown, "port": 0} == {**expected, "port": 0}
    assert shown["wifi"] == "home" and shown["certificate"].startswith("CN=Device 1")
    async with rig.client() as client:  # the owner is still there, and the Platform what it was
        now = await client.get("oic/p")
        assert (now["pi"], now["mnmo"]) == (platform["pi"], "Lamp 3")
        assert (await client.get("oic/d"))["di"] == about["di"]
    # No secret went where it can be seen.
    raw = device.key.private_numbers().private_value.to_bytes(32, "big")
    secrets = [WIFI_KEY, WIFI_KEY.encode().hex(), raw.hex()]
    notes = desk.notes.read_text()
    assert notes.count("connect") > 5 and "/dev/stdin" in notes
    log = "\n".join(rig.board.lines)  # also what the board answered: a terminal may be open on it
    assert not [secret for secret in secrets for text in (desk.said, notes, log) if secret in text]
    # Something else on the port; then a board without Fargo.
    with serial.Serial(desk.port, exclusive=True):
        code, said = desk.run("--name", "attic")
        assert code == 4 and "cannot be used" in said["error"] and "monitor" in said["hint"]
    rig.board.power_off()
    found = [name[1:] for name in files_in(partition(rig, "vfs"))]
    assert sorted(found) == ["boot.py", "fargo.cbor", "launch.py", "rescue.py", "romfs.py"]


def test_a_board_without_fargo(desk):
    rig = desk.rig
    rig.board.power_on()
    rig.board.wait_log("boot: the app could not be run", 40)
    remove = "import os; os.remove('/rescue.py')"
    subprocess.run([sys.executable, "-m", "mpremote", "connect", desk.port, "resume", "exec", remove], check=True)
    assert rig.board._watchdog == 3600, "it cannot be stopped, and gives time"
    code, said = desk.run("--name", "attic", "--fresh")
    assert code == 1 and said["error"].startswith("there is no Fargo on the board")
    assert "recovery.md keeps its owner" in said["hint"], "a fresh flash would not"
