"""Releases from the desktop to the device: built, signed, verified, shown, published, obtained."""

import hashlib
import json
import os
import shutil

import cbor2
import pytest
import taylor
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from fargo import image, keys, release, suit
from fargo.console import Failure
from install_rig import Rig
from recipe import KIND, VENDOR, payload
from swupdate.faults import Fault
from swupdate.install import envelope as sealed
from swupdate.install import obtain

FW = image.build_image("1.1.0", size=16_384)
APP = payload("app", 9_000, 3)


@pytest.fixture(scope="module")
def signers():
    return [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]


def public(signers):
    return [key.public_key() for key in signers]


def build(folder, **more):
    values = {"version": "1.1.0", "sequence": 2, "vendor": VENDOR, "class_id": KIND, "firmware": FW, "app": APP}
    return release.build(folder, **{**values, **more})


def device(folder, signers, threshold=1):
    """A device that trusts `signers`, and a server of what is in `folder`; its package URL is the envelope's."""
    rig = Rig()
    rig.trust.known = {keys.kid(key): keys.raw(key) for key in public(signers)}
    rig.trust.threshold = threshold
    for path in folder.iterdir():
        rig.server.files[path.name] = path.read_bytes()
    rig.server.files["new.suit"] = rig.server.files.get("fargo-1.1.0.suit")
    return rig


def problems(path, signers, threshold=1):
    return "; ".join(release.verify(path, public(signers), threshold).problems)


# The whole way


async def test_from_the_desktop_into_the_slot(tmp_path, signers):
    path = build(tmp_path)
    release.sign(path, signers[0])
    assert problems(path, signers) == ""
    rig = device(tmp_path, signers)
    offer = await obtain.obtain(rig, rig.progress)
    assert (offer.version, offer.seq) == ("1.1.0", 2) and rig.holds(FW, APP)
    # A slot that the factory flashes says the same of itself as one that was updated.
    label = release.label(path.read_bytes())
    assert len(label) == 4096
    assert cbor2.loads(label.rstrip(b"\xff")) == rig.slots.label("ota_1")


@pytest.mark.parametrize("half", ["firmware", "app"])
async def test_one_half(tmp_path, signers, half):
    path = build(tmp_path, **{half: None})
    release.sign(path, signers[2])
    rig = device(tmp_path, signers)
    await obtain.obtain(rig, rig.progress)
    assert rig.holds(rig.fw if half == "firmware" else FW, rig.app if half == "app" else APP)
    with pytest.raises(Failure, match="cannot be flashed"):
        release.label(path.read_bytes())


@pytest.mark.parametrize("who", [(0,), (2,), (0, 1), (1, 2), (2, 0), (0, 1, 2)])
async def test_two_of_three(tmp_path, signers, who):
    path = build(tmp_path)
    for index in who:
        release.sign(path, signers[index])
    rig = device(tmp_path, signers, threshold=2)
    if len(who) >= 2:
        assert problems(path, signers, 2) == ""
        assert (await obtain.check(rig)).seq == 2
    else:
        assert "1 valid signature(s) of trusted keys, 2 needed" in problems(path, signers, 2)
        with pytest.raises(Fault, match="2 needed"):
            await obtain.check(rig)


def test_signed_on_another_machine(tmp_path, signers):
    """Only the envelope travels."""
    path = build(tmp_path / "here")
    (tmp_path / "there").mkdir()
    there = tmp_path / "there/envelope"
    shutil.copy(path, there)
    release.sign(there, signers[0])
    assert "No such file" in problems(there, signers)
    shutil.copy(there, path)
    assert problems(path, signers) == ""


def test_files(tmp_path, signers):
    path = build(tmp_path)
    release.sign(path, signers[0])
    found = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert len(found) == 5 and found.pop("fargo-1.1.0.suit")
    for data in (FW, APP):
        name = hashlib.sha256(data).hexdigest()[:32] + ".bin"
        assert found.pop(name) == data
        padded = data + b"\xff" * (-len(data) % 4096)
        digests = [hashlib.sha256(padded[at : at + 4096]).digest()[:16] for at in range(0, len(padded), 4096)]
        table = b"".join(digests)
        assert found.pop(hashlib.sha256(table).hexdigest()[:32] + ".chunks") == table
    assert not found


def test_the_same_input_makes_the_same_release(tmp_path):
    first = build(tmp_path / "a", built=1_700_000_000)
    second = build(tmp_path / "b", built=1_700_000_000)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"firmware": None, "app": None}, "firmware, an app, or both"),
        ({"vendor": b"v"}, "16 bytes"),
        ({"class_id": bytes(17)}, "16 bytes"),
        ({"version": ""}, "1 to 64 bytes"),
        ({"version": "1\n2"}, "all of them printable"),
        ({"version": "ä" * 33}, "1 to 64 bytes"),
        ({"sequence": 0}, "positive"),
        ({"version": "../1"}, "there is a /"),
        ({"app": b""}, "empty"),
    ],
)
def test_what_is_not_built(tmp_path, more, text):
    with pytest.raises(Failure, match=text) as caught:
        build(tmp_path, **more)
    assert caught.value.code == 2 and not list(tmp_path.iterdir())


# Signing


def test_signatures_have_their_limits(tmp_path, signers):
    path = build(tmp_path)
    release.sign(path, signers[0])
    with pytest.raises(Failure, match="with this key already"):
        release.sign(path, signers[0])
    release.sign(path, signers[1])
    release.sign(path, signers[2])
    before = path.read_bytes()
    with pytest.raises(Failure, match="3 signatures already"):
        release.sign(path, ec.generate_private_key(ec.SECP256R1()))
    assert path.read_bytes() == before and len(release.show(path)["signed_by"]) == 3


def test_what_was_changed_is_not_signed(tmp_path, signers):
    path = build(tmp_path)
    data = bytearray(path.read_bytes())
    at = data.index(b"1.1.0")
    data[at] = ord("9")
    path.write_bytes(data)
    with pytest.raises(Failure, match="changed after it was built"):
        release.sign(path, signers[0])
    for junk in (
        b"",
        b"\xff",
        b"\xd8\x6b\x01",
        cbor2.dumps(cbor2.CBORTag(107, {2: b"\x80", 3: b"\xa0"})),
        os.urandom(99),
    ):
        path.write_bytes(junk)
        for step in (lambda: release.sign(path, signers[0]), lambda: release.show(path)):
            with pytest.raises(Failure):
                step()
        assert release.verify(path, public(signers)).problems


# Tampering: the desktop's verification and the device agree


async def test_every_field_of_the_manifest_is_signed(tmp_path, signers):
    """Each value is changed in turn, and the digest over the manifest made right again: the signature tells."""
    path = build(tmp_path, bytecode=6, expires=1_900_000_000, built=1_700_000_000)
    release.sign(path, signers[0])
    data, _, signatures = suit.opened(path.read_bytes())
    fields = [b"1.1.0", VENDOR, KIND, hashlib.sha256(FW).digest(), hashlib.sha256(APP).digest()]
    fields += [hashlib.sha256(FW).hexdigest()[:32].encode(), cbor2.dumps(1_700_000_000), cbor2.dumps(1_900_000_000)]
    fields += [cbor2.dumps(len(FW)), cbor2.dumps(len(APP)), b"\x02\x02\x03", b"\x25\x06"]
    for value in fields:
        at = data.index(value) + len(value) - 1
        changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        path.write_bytes(suit.envelope(changed, signatures))
        assert "is wrong" in problems(path, signers) or "refused" in problems(path, signers), value
        with pytest.raises(Fault) as caught:
            await obtain.check(device(tmp_path, signers))
        assert caught.value.result() == 5, value


async def test_every_byte_of_an_envelope(tmp_path, signers):
    """Whatever byte is changed: the desktop reports it, and the device, if it says yes, says the same as before."""
    path = build(tmp_path, firmware=None)
    release.sign(path, signers[0])
    good = path.read_bytes()
    rig = device(tmp_path, signers)
    for at in range(0, len(good), 3):
        bad = bytearray(good)
        bad[at] ^= 0x10
        path.write_bytes(bad)
        assert problems(path, signers), at
        rig.server.files["new.suit"] = bytes(bad)
        with pytest.raises(Fault) as caught:
            await obtain.check(rig)
        assert caught.value.result() == 5, at


def test_files_that_were_changed(tmp_path, signers):
    path = build(tmp_path)
    release.sign(path, signers[0])
    shown = release.show(path)["components"]
    for name, text in [(c["uri"], "is not the") for c in shown] + [(c["table"], "is not the table") for c in shown]:
        data = (tmp_path / name).read_bytes()
        for changed in (data[:-1], data + b"\xff", data[:-1] + bytes((data[-1] ^ 1,))):
            (tmp_path / name).write_bytes(changed)
            assert text in problems(path, signers)
        (tmp_path / name).unlink()
        assert f"{name}: No such file" in problems(path, signers)
        (tmp_path / name).write_bytes(data)
    assert problems(path, signers) == ""


def test_a_table_of_another_payload(tmp_path, signers):
    """Signed, but wrong: the maker is told before any device is."""
    path = build(tmp_path, firmware=None)
    table = release.chunk_table(payload("app", 9_000, 4))
    part = release.show(path)["components"][0]
    (tmp_path / part["table"]).write_bytes(table)
    digest = hashlib.sha256(APP).digest()
    wrong = suit.Part("app", len(APP), digest, part["uri"], hashlib.sha256(table).digest(), part["table"])
    path.write_bytes(suit.envelope(suit.manifest("1.1.0", 2, VENDOR, KIND, [wrong], 1), []))
    release.sign(path, signers[0])
    assert "does not belong to" in problems(path, signers)


def test_a_release_never_opens_what_is_elsewhere(tmp_path, signers):
    part = suit.Part("app", 5, bytes(32), "../secret", bytes(32), "/etc/passwd")
    path = tmp_path / "x.suit"
    path.write_bytes(suit.envelope(suit.manifest("1", 2, VENDOR, KIND, [part], 1), []))
    release.sign(path, signers[0])
    assert problems(path, signers).count("not beside the envelope") == 2


def test_strangers_and_expiry(tmp_path, signers):
    path = build(tmp_path, expires=1_800_000_000)
    for key in signers[:2]:
        release.sign(path, key)
    report = release.verify(path, public(signers[1:]), now=1_799_999_999)
    assert not report.problems and len(report.valid) == 1
    assert report.unknown == [keys.kid(signers[0].public_key()).hex()]  # counts for nothing, and does no harm
    assert release.verify(path, public(signers), now=1_800_000_001).problems == ["it has expired"]


def test_publish(tmp_path, signers):
    path = build(tmp_path)
    with pytest.raises(Failure, match="1 to 3 signatures"):
        release.publish(path, public(signers))
    release.sign(path, signers[0])
    with pytest.raises(Failure, match="2 needed"):
        release.publish(path, public(signers), 2)
    assert not (tmp_path / "latest.suit").exists()
    assert release.publish(path, public(signers)).read_bytes() == path.read_bytes()


# Second opinions


def test_taylor_agrees_on_the_values(tmp_path):
    """The same content by an independent encoder. It knows the shared sequence alone, no parameters below zero, and
    sorts keys by their names: so the values are compared, sequence by sequence."""
    path = build(tmp_path)
    ours = cbor2.loads(suit.opened(path.read_bytes())[0])
    our_common = cbor2.loads(ours[3])
    shared, validate, install = [], [], []
    for index, part in enumerate(release.show(path)["components"]):
        digest = {"algorithm": "sha256", "digest": part["digest"]}
        ids = {"vendor-id": VENDOR.hex(), "class-id": KIND.hex()}
        select = {"suit-directive-set-component-index": index}
        shared += [
            select,
            {"suit-directive-override-parameters": {**ids, "image-digest": digest, "image-size": part["size"]}},
            {"suit-condition-vendor-identifier": 15},
            {"suit-condition-class-identifier": 15},
        ]
        match = {"suit-condition-image-match": 15}
        install += [
            select, {"suit-directive-override-parameters": {"uri": part["uri"]}}, {"suit-directive-fetch": 2}, match,
        ]  # fmt: skip
        validate += [select, match]
    for sequence, our_sequence in ((shared, our_common[4]), (validate, ours[7]), (install, ours[20])):
        common = {"suit-components": [[b"fw".hex()], [b"app".hex()]], "suit-shared-sequence": sequence}
        theirs = taylor.encode_manifest(json.dumps({"version": 1, "sequence-number": 2, "suit-common": common}))
        decoded = cbor2.loads(cbor2.loads(theirs))
        assert {key: decoded[key] for key in (1, 2)} == {key: ours[key] for key in (1, 2)}
        decoded = cbor2.loads(decoded[3])
        assert decoded[2] == our_common[2]
        assert commands(decoded[4]) == commands(our_sequence)


def commands(data):
    """A command sequence as comparable pairs, without parameters below zero."""
    items = cbor2.loads(data)
    found = []
    for command, argument in zip(items[::2], items[1::2], strict=True):
        if command == 20:
            argument = {key: value for key, value in argument.items() if key > 0}
        found.append((command, argument))
    return found


def test_taylor_signs_what_we_verify(tmp_path, signers):
    """Digest over the byte string and Sig_structure: its signature stands under our rules. (It gives no kid.)"""
    pem = signers[0].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    content = {"version": 1, "sequence-number": 7}
    content["suit-common"] = {"suit-components": [["00"]], "suit-shared-sequence": []}
    outer = cbor2.loads(taylor.build_envelope(json.dumps(content), key_pem=pem.decode()))
    assert outer.tag == 107
    digest, block = cbor2.loads(outer.value[2])
    assert sealed.digest(outer.value[3]) == cbor2.loads(digest)[1] == digest[-32:]
    protected, _, detached, both = cbor2.loads(block).value
    assert (protected, detached, len(both)) == (suit.PROTECTED, None, 64)
    der = encode_dss_signature(int.from_bytes(both[:32], "big"), int.from_bytes(both[32:], "big"))
    signers[0].public_key().verify(der, suit.to_be_signed(protected, digest), ec.ECDSA(hashes.SHA256()))


def test_cbor2_reads_the_envelope_as_we_do(tmp_path, signers):
    path = build(tmp_path, bytecode=6, expires=1_900_000_000, built=1_700_000_000)
    release.sign(path, signers[0])
    outer = cbor2.loads(path.read_bytes())
    digest, block = cbor2.loads(outer.value[2])
    protected, unprotected, detached, both = cbor2.loads(block).value
    assert cbor2.loads(digest) == [-16, hashlib.sha256(cbor2.dumps(outer.value[3])).digest()]
    assert (cbor2.loads(protected), detached, len(both)) == ({1: -7}, None, 64)
    assert unprotected == {4: keys.kid(signers[0].public_key())}
    shared = cbor2.loads(cbor2.loads(cbor2.loads(outer.value[3])[3])[4])
    table = release.chunk_table(FW)
    assert shared[:3] == [12, 0, 20] and shared[3] == {
        1: VENDOR, 2: KIND, 3: cbor2.dumps([-16, hashlib.sha256(FW).digest()]), 14: len(FW),
        -1: hashlib.sha256(table).digest(), -2: hashlib.sha256(table).hexdigest()[:32] + ".chunks",
        -3: "1.1.0", -4: 1_700_000_000, -5: 1_900_000_000, -6: 6,
    }  # fmt: skip
    assert len(path.read_bytes()) < 1024
