"""Releases with deltas and compressed payloads: built, shown, verified, and refused when they are wrong."""

import json
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fargo import bundle, delta, image, keys, release, romfs
from fargo.bundle import ROOT
from fargo.cli import main
from fargo.console import Failure
from install_rig import Rig
from recipe import KIND, VENDOR, payload
from swupdate.install import obtain

KEY = ec.generate_private_key(ec.SECP256R1())
WORDS = [random.Random(n).randbytes(9) for n in range(300)]
OLD = b"\xd2\xcd\x31" + b"".join(random.Random(1).choices(WORDS, k=1100))
NEW = OLD[:700] + b"something new" + OLD[700:]
FW = image.build_image("1.1.0", size=16_384)
IDS = ["--vendor", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "--class", "1f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"]


def build(folder, version="1.1.0", sequence=2, **more):
    values = {"vendor": VENDOR, "class_id": KIND, "app": NEW, "compress": True, **more}
    path = release.build(folder, version, sequence, **values)
    release.sign(path, KEY)
    return path


def problems(path):
    return "; ".join(release.verify(path, [KEY.public_key()]).problems)


def forms(path, half="app"):
    (found,) = [c["travels"] for c in release.show(path)["components"] if c["half"] == half]
    return found


def files(folder, suffix):
    return sorted(folder.glob("*" + suffix))


async def test_from_the_desktop_into_the_slot(tmp_path):
    earlier = build(tmp_path, "1.0.0", 1, app=OLD, firmware=FW)
    path = build(tmp_path, bases=[release.payloads(earlier)])
    assert problems(path) == ""
    best, packed, plain = forms(path)
    assert best["base"] and best["bytes"] < 400 < packed["bytes"] < plain["bytes"] == len(NEW)
    assert (packed["base"], plain["percent"]) == ("", 100.0)
    rig = Rig(app=OLD)
    rig.trust.known = {keys.kid(KEY.public_key()): keys.raw(KEY.public_key())}
    rig.server.files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    rig.server.files["new.suit"] = path.read_bytes()
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(rig.fw, NEW)
    assert rig.fetched(".delta") == best["bytes"] and not rig.fetched(".bin") + rig.fetched(".packed")


def test_no_form_is_larger_than_the_payload(tmp_path):
    noise = payload("app", 30_000, 1)
    assert [form["uri"].rpartition(".")[2] for form in forms(build(tmp_path, app=noise))] == ["bin"]
    other = [{"app": payload("app", 30_000, 2)}]
    path = build(tmp_path, app=noise, bases=other)
    assert len(forms(path)) == 1 and not files(tmp_path, ".delta")


def test_what_is_the_same_has_no_delta_and_bases_count_once(tmp_path):
    path = build(tmp_path, bases=[{"app": NEW}, {"app": OLD}, {"app": OLD}, {"fw": FW}, {}])
    assert len(forms(path)) == 3
    assert problems(path) == "" and release.verify(path, [KEY.public_key()]).unchecked == [forms(path)[0]["uri"]]


def test_several_bases_and_too_many(tmp_path):
    bases = [{"app": OLD[n:]} for n in range(5)]
    assert len(forms(build(tmp_path, bases=bases[:4]))) == 6
    with pytest.raises(Failure, match="4 earlier ones"):
        build(tmp_path, bases=bases)


def test_an_envelope_that_would_be_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(release.sealed, "ENVELOPE_LIMIT", 800)
    with pytest.raises(Failure, match="no room for three signatures"):
        build(tmp_path, bases=[{"app": OLD[n:]} for n in range(4)])
    assert not files(tmp_path, ".suit")


def test_what_verify_finds(tmp_path):
    earlier = build(tmp_path, "1.0.0", 1, app=OLD)
    path = build(tmp_path, bases=[release.payloads(earlier)])
    assert problems(path) == ""
    for file in (tmp_path / forms(path)[0]["uri"], tmp_path / forms(path)[1]["uri"]):
        good = file.read_bytes()
        for bad, text in (
            (good[:-1], "is not what its name says"),
            (b"", "is not what its name says"),
            (None, "No such file"),
        ):
            file.unlink() if bad is None else file.write_bytes(bad)
            assert text in problems(path)
        file.write_bytes(good)
    assert problems(path) == ""


def test_signed_windows_that_give_something_else(tmp_path, monkeypatch):
    """A tool that signs nonsense: another's verify finds it."""
    earlier = build(tmp_path, "1.0.0", 1, app=OLD)
    wrong = delta.encode(NEW[:-1] + b"?", OLD)
    monkeypatch.setattr(delta, "encode", lambda data, base=b"": wrong)
    monkeypatch.setattr(delta, "decode", lambda windows, size, base=b"": NEW)
    path = build(tmp_path, bases=[release.payloads(earlier)], compress=False)
    monkeypatch.undo()
    assert "it gives something else" in problems(path)


def run(capsys, *arguments):
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as exit:
        code = exit.code
    captured = capsys.readouterr()
    return code or 0, captured.out, captured.err


def test_the_commands(tmp_path, capsys):
    assert run(capsys, "key", "new", tmp_path / "a.pem")[0] == 0
    old, new = tmp_path / "old.romfs", tmp_path / "new.romfs"
    old.write_bytes(OLD)
    new.write_bytes(NEW)
    out = tmp_path / "out"
    common = ["release", "build", out, *IDS]
    assert run(capsys, *common, "--version", "1.0.0", "--sequence", 1, "--app", old)[0] == 0
    base = out / "fargo-1.0.0.suit"
    build = [*common, "--version", "1.1.0", "--sequence", 2, "--app", new, "--from", base]
    code, text, _ = run(capsys, *build)
    assert code == 0 and "travel: delta from 1.0.0" in text and "travel: compressed" in text and "(100.0 %)" in text
    code, text, _ = run(capsys, *build, "--json")
    best = json.loads(text)["travels"]["app"][0]
    assert code == 0 and best["base"] and best["percent"] < 5
    path = out / "fargo-1.1.0.suit"
    assert run(capsys, "release", "sign", path, "--key", tmp_path / "a.pem")[0] == 0
    for command in (["show", path], ["verify", path, "--key", tmp_path / "a.pub"]):
        code, text, errors = run(capsys, "release", *command)
        assert code == 0 and "travel: delta from" in text, errors
    code, text, _ = run(
        capsys, *common, "--version", "1.2.0", "--sequence", 3, "--app", new, "--no-compress", "--json"
    )
    assert len(json.loads(text)["travels"]["app"]) == 1
    # What is wrong with an earlier release is said before anything is written.
    before = {file.name for file in out.iterdir()}
    payload_file = out / forms(base)[-1]["uri"]
    payload_file.write_bytes(b"changed")
    again = [*common, "--version", "9.9.9", "--sequence", 9, "--app", new]
    code, text, errors = run(capsys, *again, "--from", base)
    assert code == 1 and "is not the app of" in text + errors
    payload_file.unlink()
    code, text, errors = run(capsys, *again, "--from", base)
    assert code == 1 and "No such file" in text + errors
    code, text, errors = run(capsys, *again, "--from", new)
    assert code == 1 and "no release envelope" in text + errors
    assert {file.name for file in out.iterdir()} | {payload_file.name} == before


def test_a_line_of_an_app_costs_less_than_a_chunk(tmp_path):
    """The demo's app, of which one line changes: all files behind it move. (Not all of them here, to be quick.)"""
    found = bundle.device_files(ROOT / "examples/lamp")
    found = {
        name: file for name, file in found.items() if name.startswith(("app", "boot", "cbor", "swupdate/install"))
    }
    old = romfs.build(found)
    changed = tmp_path / "app.py"
    source = (ROOT / "examples/lamp/app.py").read_text()
    changed.write_text(source.replace("\nclass ", "\nLIMIT = 3600 + 17\n\nclass ", 1))
    assert changed.read_text() != source
    new = romfs.build({**found, "app.py": changed})
    windows = delta.encode(new, old)
    assert delta.decode(windows, len(new), old) == new != old
    assert sum(map(len, windows)) + 2 * len(windows) <= 1024
