"""Keys, app images, and the commands that make releases of them."""

import hashlib
import json
import stat
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fargo import bundle, image, keys, release, romfs
from fargo.cli import main
from fargo.console import Failure
from recipe import KIND, VENDOR, payload

FW = image.build_image("1.1.0", size=16_384)
APP = payload("app", 9_000, 3)


def build(folder, **more):
    values = {"version": "1.1.0", "sequence": 2, "vendor": VENDOR, "class_id": KIND, "firmware": FW, "app": APP}
    return release.build(folder, **{**values, **more})


# Keys


def test_keys(tmp_path):
    path = tmp_path / "keys/release.pem"
    key = keys.new(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.raw(keys.load(path).public_key()) == keys.raw(key.public_key())
    point = key.public_key().public_numbers()
    assert keys.raw(key.public_key()) == point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
    assert keys.kid(key.public_key()) == hashlib.sha256(keys.raw(key.public_key())).digest()[:8]
    with pytest.raises(Failure, match="exists already"):
        keys.new(path)
    locked = tmp_path / "locked.pem"
    keys.new(locked, "correct horse")
    assert b"ENCRYPTED" in locked.read_bytes()
    keys.load(locked, "correct horse")
    for wrong in ("", "wrong"):
        with pytest.raises(Failure, match="passphrase"):
            keys.load(locked, wrong)
    with pytest.raises(Failure, match="passphrase"):
        keys.load(path, "there is none")
    other = ec.generate_private_key(ec.SECP384R1())
    pem = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "p384.pem").write_bytes(pem)
    with pytest.raises(Failure, match="not a P-256 key"):
        keys.load(tmp_path / "p384.pem")
    (tmp_path / "p384.pub").write_bytes(keys.public_pem(other.public_key()))
    with pytest.raises(Failure, match="not a P-256 key"):
        keys.load_public(tmp_path / "p384.pub")
    (tmp_path / "junk").write_bytes(b"junk")
    for read in (keys.load, keys.load_public):
        with pytest.raises(Failure):
            read(tmp_path / "junk")
        with pytest.raises(Failure):
            read(tmp_path / "nothing")


# App images


def test_app_image_holds_what_was_compiled(tmp_path):
    """MicroPython mounts the image with its own driver and imports the module from it."""
    source = tmp_path / "hello.py"
    source.write_text("def text():\n    return 'from the image'\n")
    (tmp_path / "data.txt").write_text("as it is")
    built = romfs.build({"lib/hello.py": source, "data.txt": tmp_path / "data.txt"})
    assert built[:3] == b"\xd2\xcd\x31"
    (tmp_path / "image").write_bytes(built)
    script = (
        "import sys, vfs\n"
        f"vfs.mount(vfs.VfsRom(open({str(tmp_path / 'image')!r}, 'rb').read()), '/rom')\n"
        "sys.path.insert(0, '/rom/lib')\n"
        "import hello\n"
        "print(hello.text(), open('/rom/data.txt').read())\n"
    )
    done = subprocess.run(["micropython", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "from the image as it is"
    kept = romfs.build({"hello.py": source}, compile=False)
    assert b"from the image" in kept and b"def text" in kept
    native = romfs.build({"hello.py": source}, "xtensawin")
    assert native[:3] == b"\xd2\xcd\x31"


def test_app_image_of_what_does_not_compile(tmp_path):
    (tmp_path / "bad.py").write_text("def (")
    with pytest.raises(Failure, match="mpy-cross failed: .*bad.py.*invalid syntax"):
        romfs.build({"bad.py": tmp_path / "bad.py"})


def test_firmware_that_is_none(tmp_path):
    for data in (b"", b"\xe9", APP, FW[:100]):
        with pytest.raises(Failure, match="no firmware image"):
            image.check_image(data)


def test_app_image_for_a_firmware_with_fargo_in_it(tmp_path):
    """The maker's files and what starts Fargo; a file of theirs may hide neither that nor what is frozen."""
    (tmp_path / "app.py").write_text("async def main(device):\n    pass\n")
    (tmp_path / "text.txt").write_text("text")
    assert sorted(bundle.device_files(tmp_path, frozen=True)) == ["app.py", "main.py", "text.txt"]
    whole = bundle.device_files(tmp_path)
    assert {"app.py", "main.py", "board.py", "text.txt", "firmware/main.py", "cbor/__init__.py"} <= set(whole)
    for name in ("board.py", "main.py", "cbor/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
        for frozen in (False, True):
            with pytest.raises(Failure, match=f"would hide Fargo's own {name}"):
                bundle.device_files(tmp_path, frozen)
        (tmp_path / name).unlink()


# The command


IDS = ["--vendor", "9d3f8ac0-6b1a-4a7e-9a53-0a3c2f7f1e01", "--class", "0f8fad5b-d9cb-469f-a165-70867728950e"]


def run(capsys, *arguments):
    """(exit code, JSON object of stdout, stderr)."""
    code = main([*map(str, arguments), "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out), out.err


def test_commands_from_key_to_publication(tmp_path, capsys):
    app, out = tmp_path / "app.romfs", tmp_path / "out"
    firmware = tmp_path / "fw.bin"
    app.write_bytes(APP)
    firmware.write_bytes(FW)
    code, made, _ = run(capsys, "key", "new", tmp_path / "a.pem")
    assert code == 0 and stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) == 0o600
    run(capsys, "key", "new", tmp_path / "b.pem")
    code, listed, _ = run(capsys, "key", "list", tmp_path)
    assert code == 0 and made["kid"] in [key["kid"] for key in listed["keys"]] and len(listed["keys"]) == 2
    build = [
        "release",
        "build",
        out,
        "--version",
        "1.1.0",
        "--sequence",
        "2",
        *IDS,
        "--app",
        app,
        "--firmware",
        firmware,
    ]
    code, planned, _ = run(capsys, *build, "--dry-run")
    assert code == 0 and planned["would_build"] == "1.1.0" and not out.exists()
    code, built, _ = run(capsys, *build, "--expires", "2031-01-31T12:00:00Z")
    assert code == 0 and built["sizes"] == {"firmware": len(FW), "app": len(APP)}
    path = built["envelope"]
    verify = ["release", "verify", path, "--key", tmp_path / "a.pub", "--key", tmp_path / "b.pub"]
    code, failed, _ = run(capsys, *verify)
    assert code == 1 and "1 to 3 signatures" in json.dumps(failed)
    code, planned, _ = run(capsys, "release", "sign", path, "--key", tmp_path / "a.pem", "--dry-run")
    assert code == 0 and planned["kid"] == made["kid"] and planned["version"] == "1.1.0"
    assert run(capsys, "release", "show", path)[1]["signed_by"] == []
    assert run(capsys, "release", "sign", path, "--key", tmp_path / "a.pem")[0] == 0
    assert run(capsys, *verify)[0] == 0
    assert run(capsys, *verify, "--threshold", "2")[0] == 1
    assert run(capsys, "release", "sign", path, "--key", tmp_path / "b.pem")[0] == 0
    code, verified, _ = run(capsys, *verify, "--threshold", "2")
    assert code == 0 and len(verified["valid"]) == 2
    shown = run(capsys, "release", "show", path)[1]
    assert (shown["version"], shown["sequence"], shown["expires"]) == ("1.1.0", 2, 1_927_627_200)
    assert shown["vendor"] == IDS[1].replace("-", "") and [c["half"] for c in shown["components"]] == ["fw", "app"]
    publish = ["release", "publish", path, "--key", tmp_path / "a.pub"]
    assert run(capsys, *publish, "--dry-run")[0] == 0 and not (out / "latest.suit").exists()
    code, published, _ = run(capsys, *publish)
    assert code == 0 and published["version"] == "1.1.0" and (out / "latest.suit").exists()


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (["--vendor", "x"], 2, "no UUID"),
        (["--sequence", "0"], 2, "sequence"),
        (["--expires", "soon"], 2, "no date"),
        (["--app", "missing"], 1, "No such file"),
        (["--app", __file__], 1, "no ROMFS image"),
        (["--firmware", __file__], 1, "no firmware image"),
    ],
)
def test_commands_that_are_wrong(tmp_path, capsys, change, code, text):
    app = tmp_path / "app.romfs"
    app.write_bytes(APP)
    arguments = ["release", "build", tmp_path / "out", "--version", "1", "--sequence", "2", *IDS, "--app", app]
    got, failed, errors = run(capsys, *arguments, *change)
    assert got == code and text in json.dumps(failed) + errors
    assert "Traceback" not in errors and not (tmp_path / "out").exists()


def test_a_firmware_and_an_app_that_do_not_fit_each_other(tmp_path, capsys, monkeypatch):
    """Fargo in both would have one hide the other; in neither, nothing would start."""
    app, firmware, out = tmp_path / "app", tmp_path / "fw.bin", tmp_path / "out"
    app.mkdir()
    (app / "app.py").write_text("async def main(device):\n    pass\n")
    monkeypatch.setattr(bundle, "own_files", lambda: {"main.py": app / "app.py"})  # as quick to compile as can be
    build = ["release", "build", out, "--version", "1", "--sequence", "2", *IDS, "--app", app, "--firmware", firmware]
    firmware.write_bytes(FW)
    code, failed, _ = run(capsys, *build, "--frozen")
    assert code == 2 and "has no Fargo frozen in" in failed["error"] and not out.exists()
    assert run(capsys, *build, "--dry-run")[0] == 0
    names = b"_boot.py\0firmware/__init__.py\0firmware/main.py\0"
    assert image.has_fargo(FW + names) and not image.has_fargo(FW)
    firmware.write_bytes(image.build_image("2", script=names.decode()))
    code, failed, _ = run(capsys, *build)
    assert code == 2 and "add --frozen" in failed["hint"] and not out.exists()
    assert run(capsys, *build, "--frozen")[0] == 0
    code, failed, _ = run(capsys, *build[:-4], "--app", firmware, "--frozen")
    assert code == 2 and "is no folder" in failed["error"]


def test_a_passphrase_comes_from_the_environment(tmp_path, capsys, monkeypatch):
    path = tmp_path / "locked.pem"
    assert run(capsys, "key", "new", path, "--passphrase-env", "NOT_SET_ANYWHERE")[0] == 2 and not path.exists()
    monkeypatch.setenv("RELEASE_SECRET", "correct horse")
    code, made, errors = run(capsys, "key", "new", path, "--passphrase-env", "RELEASE_SECRET")
    assert code == 0 and "horse" not in json.dumps(made) + errors
    envelope = build(tmp_path / "out")
    assert run(capsys, "release", "sign", envelope, "--key", path)[0] == 1
    assert run(capsys, "release", "sign", envelope, "--key", path, "--passphrase-env", "RELEASE_SECRET")[0] == 0


def test_a_key_is_never_overwritten(tmp_path, capsys):
    """Not by another, and not by its own public half."""
    path = tmp_path / "a.pem"
    assert run(capsys, "key", "new", path)[0] == 0
    before = path.read_bytes()
    assert run(capsys, "key", "new", path)[0] == 1
    assert run(capsys, "key", "new", path.with_suffix(".other"))[0] == 1  # its public half would be a.pub as well
    assert run(capsys, "key", "new", tmp_path / "b.pub")[0] == 2
    assert path.read_bytes() == before and {p.name for p in tmp_path.iterdir()} == {"a.pem", "a.pub"}


def test_the_tools_need_no_device_code_to_be_installed():
    """`python -m fargo.cli` finds the libraries it shares with the device by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "fargo.cli", "release", "show", "/nowhere", "--json"],
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == 1 and "No such file" in done.stdout + done.stderr


def test_what_was_signed_is_not_overwritten(tmp_path, capsys):
    app, out, key = tmp_path / "app.romfs", tmp_path / "out", tmp_path / "k.pem"
    app.write_bytes(APP)
    run(capsys, "key", "new", key)
    build = ["release", "build", out, "--version", "1", "--sequence", "2", *IDS, "--app", app]
    assert run(capsys, *build)[0] == run(capsys, *build)[0] == 0  # nobody has signed it
    assert run(capsys, "release", "sign", out / "fargo-1.suit", "--key", key)[0] == 0
    signed = (out / "fargo-1.suit").read_bytes()
    code, failed, _ = run(capsys, *build)
    assert code == 2 and "is signed already" in failed["error"] and (out / "fargo-1.suit").read_bytes() == signed
    rotate = ["key", "rotate", out, "--number", "1", *IDS, "--key", key]
    assert run(capsys, *rotate)[0] == 0
    assert run(capsys, "release", "sign", out / "fargo-trust-1.suit", "--key", key)[0] == 0
    code, failed, _ = run(capsys, *rotate)
    assert code == 2 and "is signed already" in failed["error"]
