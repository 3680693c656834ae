"""`fargo key rotate`, and what the other commands make of the release of a trust store."""

import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fargo import keys, release, trust
from fargo.cli import main
from fargo.console import Failure
from fargo.serve import Server
from install_rig import Rig
from recipe import KIND, VENDOR
from swupdate.install import obtain

IDS = ["--vendor", "9d3f8ac0-6b1a-4a7e-9a53-0a3c2f7f1e01", "--class", "0f8fad5b-d9cb-469f-a165-70867728950e"]


def run(capsys, *arguments):
    """(exit code, JSON object of stdout, stderr)."""
    code = main([*map(str, arguments), "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out), out.err


def make_keys(capsys, folder, *names):
    return {name: run(capsys, "key", "new", folder / f"{name}.pem")[1]["kid"] for name in names}


def rotate(folder, number, *names, more=()):
    trusted = [argument for name in names for argument in ("--key", folder / f"{name}.pub")]
    return ["key", "rotate", folder / "out", "--number", number, *IDS, *trusted, *more]


def test_from_keys_to_publication(tmp_path, capsys):
    """2 of 3 keys, one of which is replaced: built, shown, signed and verified as a device would."""
    kids = make_keys(capsys, tmp_path, "a", "b", "c", "d")
    out = tmp_path / "out"
    command = rotate(tmp_path, 3, "b", "c", "d", more=["--threshold", "2", "--floor", "50"])
    code, planned, _ = run(capsys, *command, "--dry-run")
    assert code == 0 and planned["would_build"]["number"] == 3 and not out.exists()
    code, built, _ = run(capsys, *command)
    path = built["envelope"]
    trusted = [kids[name] for name in "bcd"]
    assert code == 0 and path == str(out / "fargo-trust-3.suit") and built["keys"] == trusted
    (payload,) = out.glob("*.trust")
    assert payload.stat().st_size < 400
    shown = run(capsys, "release", "show", path)[1]
    assert (shown["version"], shown["sequence"], shown["signed_by"]) == ("trust store 3", 3, [])
    assert shown["trust"] == {"keys": sorted(trusted), "threshold": 2, "floor": 50}
    assert [(c["half"], c["uri"], c["table"]) for c in shown["components"]] == [("trust", payload.name, "")]
    old = [argument for name in "abc" for argument in ("--key", tmp_path / f"{name}.pub")]
    verify = ["release", "verify", path, *old, "--threshold", "2"]
    for signed, code, words in (
        ("a", 1, ["1 valid signature(s) of trusted keys", "0 valid signature(s) of the new trust store's"]),
        ("b", 1, ["1 valid signature(s) of the new trust store's keys, 2 needed"]),
        ("d", 0, []),
    ):
        assert run(capsys, "release", "sign", path, "--key", tmp_path / f"{signed}.pem")[0] == 0
        got, said, _ = run(capsys, *verify)
        assert got == code, said
        problems = json.dumps(said.get("problems", []))
        assert all(word in problems for word in words) and problems.count("needed") == len(words)
    assert said["valid"] == [kids["a"], kids["b"]] and said["unknown"] == []
    payload.write_bytes(payload.read_bytes()[:-1])
    assert "is not the trust that was signed" in json.dumps(run(capsys, *verify)[1])
    payload.unlink()
    assert "No such file" in json.dumps(run(capsys, *verify)[1])
    assert "trust" not in run(capsys, "release", "show", path)[1]


def test_what_people_read(tmp_path, capsys):
    kids = make_keys(capsys, tmp_path, "a")
    assert main([*map(str, rotate(tmp_path, 1, "a"))]) == 0
    said = capsys.readouterr().out
    assert f"trust store 1, 1 of {kids['a']}" in said and "fargo release sign" in said
    assert main(["release", "show", str(tmp_path / "out/fargo-trust-1.suit")]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"^trusts +1 of {kids['a']}$", shown, re.MULTILINE) and "floor" not in shown


@pytest.mark.parametrize(
    ("number", "names", "more", "code", "text"),
    [
        (0, "a", [], 2, "number"),
        (1, "", [], 2, "--key"),
        (1, "a", ["--threshold", "2"], 2, "threshold"),
        (1, "abcd", ["--threshold", "4"], 2, "threshold"),
        (1, "aa", [], 2, "given twice"),
        (1, "a", ["--floor", "-1"], 2, "floor"),
        (1, "a", ["--vendor", "x"], 2, "no UUID"),
        (1, "a", ["--expires", "soon"], 2, "no date"),
        (1, "z", [], 1, "No such file"),
    ],
)
def test_what_a_device_would_refuse_is_not_built(tmp_path, capsys, number, names, more, code, text):
    make_keys(capsys, tmp_path, "a", "b", "c", "d")
    got, failed, errors = run(capsys, *rotate(tmp_path, number, *names, more=more))
    assert got == code and text in json.dumps(failed) + errors
    assert "Traceback" not in errors and not list(tmp_path.glob("out/*.suit"))


def signer():
    return ec.generate_private_key(ec.SECP256R1())


def build(folder, trusted, **more):
    return trust.build(folder, 1, VENDOR, KIND, [key.public_key() for key in trusted], **more)


def test_six_signatures_and_no_more(tmp_path):
    signers = [signer() for _ in range(7)]
    path = build(tmp_path, signers[3:6], threshold=3)
    for key in signers[:6]:
        release.sign(path, key)
    assert path.stat().st_size < 1500
    assert not release.verify(path, [key.public_key() for key in signers[:3]], 3).problems
    with pytest.raises(Failure, match="6 signatures already"):
        release.sign(path, signers[6])
    with pytest.raises(Failure, match="signed with this key already"):
        release.sign(path, signers[0])


def test_eight_keys_fit(tmp_path):
    signers = [signer() for _ in range(8)]
    release.sign(build(tmp_path, signers), signers[0])
    with pytest.raises(Failure, match="1 to 8 keys"):
        build(tmp_path, [*signers, signer()])


async def test_the_device_takes_what_the_desktop_makes(tmp_path):
    old, new = signer(), signer()
    path = build(tmp_path, [new], floor=7)
    for key in (old, new):
        release.sign(path, key)
    rig = Rig()
    rig.trust.known = {keys.kid(old.public_key()): keys.raw(old.public_key())}
    rig.server.files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    rig.server.files["new.suit"] = path.read_bytes()
    offer = await obtain.obtain(rig, rig.progress)
    assert (offer.version, offer.seq) == ("trust store 1", 1) and "nexttrust" in rig.store.files


def test_it_is_no_slot_and_is_published_and_served(tmp_path):
    from fargo.authority import Authority

    old = signer()
    path = build(tmp_path / "out", [old])
    release.sign(path, old)
    with pytest.raises(Failure, match="cannot be flashed"):
        release.label(path.read_bytes())
    release.publish(path, [old.public_key()])
    server = Server(tmp_path / "out", Authority(tmp_path / "ca"))
    for name in ("latest.suit", path.name, next((tmp_path / "out").glob("*.trust")).name):
        assert server.open("/" + name) is not None
