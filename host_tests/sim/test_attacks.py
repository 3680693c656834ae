"""Attacks with a release, by their names in the catalogues of TUF and Uptane: each refused, with its own reason.

Attacks with time, with repetition and with a second update are in test_attacks_time.py and test_attacks_order.py.
"""

import pytest
from cbor import Pairs
from cbor.decoder import Tag
from cryptography.hazmat.primitives.asymmetric import ec
from fargo import image, romfs, suit
from recipe import dumps, table
from sim.attack_rig import all_refused, by, file, part, recipe, refused, renamed, serve, signed, updated_board
from sim.rig import ISAC, ISVV, LAMP, compiled

REFUSED = "the release is refused: "
NOBODY = REFUSED + "0 valid signature(s) of trusted keys, 1 needed"
FORM = REFUSED + "a signature is not of the form that this device knows (ES256)"
UNKNOWN = REFUSED + "it has parts that this device does not know"
STRANGER = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """One board for all, which was updated once."""
    with updated_board(tmp_path_factory.mktemp("board")) as rig:
        yield rig


async def test_the_release_that_all_others_are_made_of_is_taken(rig):
    """Otherwise the refusals below would prove nothing."""
    async with rig.client() as client:
        for halves in (("app",), ("fw", "app")):
            swu = await client.run(serve(rig, signed(rig, recipe(rig, *halves))), ISVV)
            assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("sva", 0, "2.0.0")


# Arbitrary software installation


def unsigned(rig):
    return suit.envelope(recipe(rig).manifest(), [])


def by_a_stranger(rig):
    data = recipe(rig).manifest()
    return signed(rig, data, by(STRANGER, data))


def in_anothers_name(rig):
    """The stranger's signature under the name of a trusted key."""
    data = recipe(rig).manifest()
    block, kid = by(STRANGER, data), signers_name(by(rig.stage.keys[0], data))
    return signed(rig, data, block.replace(signers_name(block), kid))


def signers_name(block):
    return suit.signers([block])[0]


def over_another_digest(rig):
    return signed(rig, recipe(rig), by(rig.stage.keys[0], recipe(rig).manifest()))


def changed_after_signing(rig):
    made = recipe(rig)
    block = by(rig.stage.keys[0], made.manifest())
    return signed(rig, made.set(-3, "2.0.1"), block)


def manifest_swapped(rig):
    """The signed digest, and another manifest under it."""
    old, new = signed(rig, recipe(rig)), signed(rig, recipe(rig))
    old_manifest, new_manifest = suit.opened(old)[0], suit.opened(new)[0]
    assert len(old_manifest) == len(new_manifest)
    return old.replace(old_manifest, new_manifest)


def one_bit(at):
    def flipped(rig):
        data = recipe(rig).manifest()
        block = bytearray(by(rig.stage.keys[0], data))
        block[at] ^= 1
        return signed(rig, data, bytes(block))

    return flipped


def no_signature_at_all(rig):
    data = recipe(rig).manifest()
    return signed(rig, data, by(rig.stage.keys[0], data)[:-64] + bytes(64))


def another_algorithm(rig):
    data = recipe(rig).manifest()
    return signed(rig, data, by(rig.stage.keys[0], data).replace(b"\x43\xa1\x01\x26", b"\x43\xa1\x01\x27"))


ARBITRARY = {
    "unsigned": (unsigned, REFUSED + "it must have 1 to 3 signatures"),
    "by a stranger": (by_a_stranger, NOBODY),
    "by a stranger, in the name of a trusted key": (in_anothers_name, NOBODY),
    "signature over another release": (over_another_digest, NOBODY),
    "changed after it was signed": (changed_after_signing, NOBODY),
    "manifest swapped": (manifest_swapped, REFUSED + "its manifest was changed"),
    "wrongly signed, r": (one_bit(-64), NOBODY),
    "wrongly signed, s": (one_bit(-1), NOBODY),
    "signature of zeros": (no_signature_at_all, NOBODY),
    "signature of another algorithm": (
        another_algorithm,
        REFUSED + "a signature is not of the form that this device knows (ES256)",
    ),
}


async def test_arbitrary_installation(rig):
    """Unsigned, or signed by others, or something else than what was signed."""
    await all_refused(rig, ARBITRARY)


async def test_key_threshold(make):
    """2 of 3: one signature is not enough, nor are two by one key, nor one and a stranger's."""
    rig = make(threshold=2)
    one, two, three = rig.stage.keys
    reason = REFUSED + "%d valid signature(s) of trusted keys, 2 needed"
    async with rig.client() as client:
        for keys, valid in (((one,), 1), ((three,), 1), ((one, one), 1), ((two, two, two), 1), ((one, STRANGER), 1),
                            ((STRANGER, STRANGER), 0)):  # fmt: skip
            data = recipe(rig).manifest()
            envelope = signed(rig, data, *[by(key, data) for key in keys])
            await refused(rig, client, serve(rig, envelope), reason % valid)
        data = recipe(rig).manifest()
        envelope = signed(rig, data, by(three, data), by(two, data))
        assert (await client.run(serve(rig, envelope), ISVV))["swupdatestate"] == "sva"


# Rollback, fast-forward


async def test_rollback(rig):
    """To the version before, though it is still in the other slot, and to one between."""
    old = rig.stage.release("1.0.1", 2, change={"extra.txt": "old"}).read_bytes()
    reason = "version %s is older than what was installed (rollback)"
    async with rig.client() as client:
        for version, envelope in (("1.0.1", old), ("2.0.0", signed(rig, recipe(rig, seq=49)))):
            await refused(rig, client, serve(rig, envelope), reason % version)
            swu = await client.run(serve(rig, envelope), ISAC)  # to a check it is nothing new
            assert (swu["swupdatestate"], swu["swupdateresult"], swu["nv"]) == ("idle", 0, "")


async def test_another_release_with_the_number_of_the_running_one(rig):
    async with rig.client() as client:
        reason = "another release has the sequence number 50 of the running one"
        await refused(rig, client, serve(rig, signed(rig, recipe(rig, seq=50))), reason)


@pytest.mark.parametrize("seq", [1_000_051, 1 << 32, (1 << 64) - 1])
async def test_fast_forward(rig, seq):
    """The number that would lock all later releases out is refused, and so is what would come near it."""
    async with rig.client() as client:
        url = serve(rig, signed(rig, recipe(rig, seq=seq)))
        await refused(rig, client, url, "the sequence number is too far ahead")


# Mix and match


@pytest.mark.parametrize("suffix", [".bin", ".chunks"])
async def test_mix_and_match_of_files(rig, suffix):
    """Another release's file under the name of this one's: the firmware of one with the app of the other."""
    here, other = rig.stage.firmware("2.1" + suffix), rig.stage.firmware("2.2" + suffix)
    made, path = recipe(rig, "fw", "app", fw=here), file(rig, here, suffix)
    right = path.read_bytes()
    wrong = other if suffix == ".bin" else table(other)
    assert len(right) == len(wrong) and right != wrong
    reason = {
        ".bin": "a part of fw is not what was signed",
        ".chunks": "the table of chunks of fw is not the one that was signed",
    }[suffix]
    path.write_bytes(wrong)
    try:
        async with rig.client() as client:
            await refused(rig, client, serve(rig, signed(rig, made)), reason, payload=True)
    finally:
        path.write_bytes(right)


async def test_mix_and_match_of_components(rig):
    """Digests exchanged in the envelope: by who has no key, and by a signer's mistake."""
    app = romfs.build({"main.mpy": compiled("main.py", LAMP / "app.py")})  # one that the firmware's place can hold
    made = recipe(rig, "fw", "app", app=app)
    block = by(rig.stage.keys[0], made.manifest())
    renamed(renamed(made, app, 0), part(rig, "fw"), 1)
    async with rig.client() as client:
        await refused(rig, client, serve(rig, signed(rig, made, block)), NOBODY)
        await refused(rig, client, serve(rig, signed(rig, made)), "the app is no ROMFS image", payload=True)


# Wrong software, signed by the right key


def other_chip(rig):
    made, data = recipe(rig, "fw"), image.build_image("2.0.0", size=60_000, chip="esp32s3")
    for suffix, content in ((".bin", data), (".chunks", table(data))):
        file(rig, data, suffix).write_bytes(content)
    return renamed(made, data, 0)


WRONG_DEVICE = {
    "vendor": (lambda rig: recipe(rig).set(1, bytes(16)), "the release is for the devices of another vendor"),
    "vendor of one half": (
        lambda rig: recipe(rig, "fw", "app").set(1, bytes(16), 1),
        "the release is for the devices of another vendor",
    ),
    "class": (lambda rig: recipe(rig).set(2, bytes(16)), "the release is for another class of device"),
    "class of one half": (
        lambda rig: recipe(rig, "fw", "app").set(2, bytes(16), 1),
        "the release is for another class of device",
    ),
    "bytecode of the app": (
        lambda rig: recipe(rig).set(-6, 5),
        "the app needs bytecode version 5, the firmware has 6",
    ),
    "bytecode of the firmware": (
        lambda rig: recipe(rig, "fw").set(-6, 7),
        "the app needs bytecode version 6, the firmware has 7",
    ),
    "chip": (other_chip, "the firmware is for another chip"),
}


async def test_wrong_device(rig):
    """The chip is not in the manifest but in the image, which is looked at before it could be started."""
    await all_refused(rig, WRONG_DEVICE, payload="chip")


# Extraneous dependencies: a release cannot bring, or have done, what the profile does not know


def named(*names):
    def make(rig):
        made = recipe(rig, *["app"] * len(names))
        made.names = [[name] for name in names]
        return made

    return make


def with_command(*commands):
    def make(rig):
        made = recipe(rig)
        made.install += commands
        return made

    return make


def with_manifest_key(rig):
    made = recipe(rig)
    made.last = [(23, dumps([]))]  # SUIT's text
    return made


def with_common_key(rig):
    made = recipe(rig)
    made.common = [(1, dumps({})), (2, made.names), (4, dumps(shared_of(made)))]  # SUIT's dependencies
    return made


def shared_of(made):
    return [12, 0, 20, Pairs(made.parameters[0]), 1, 15, 2, 15]


def fetched_twice(rig):
    made = recipe(rig)
    made.install += [20, {21: "other.bin"}]
    return made


def payload_inside(rig):
    """In the envelope, where nobody signs it."""
    manifest, digest, blocks = suit.opened(signed(rig, recipe(rig)))
    return dumps(Tag(107, Pairs([(2, dumps([digest, *blocks])), (3, manifest), ("#payload", b"x")])))


EXTRANEOUS = {
    "a payload in the envelope": (payload_inside, UNKNOWN),
    "a third component": (named(b"fw", b"app", b"vfs"), UNKNOWN),
    "a component of another name": (named(b"boot"), UNKNOWN),
    "no component": (named(), UNKNOWN),
    "a component twice": (named(b"app", b"app"), UNKNOWN),
    "a dependency": (with_common_key, UNKNOWN),
    "a text": (with_manifest_key, UNKNOWN),
    "a parameter": (lambda rig: recipe(rig).set(19, 1), UNKNOWN),
    "a parameter of ours to come": (lambda rig: recipe(rig).set(-99, 1), UNKNOWN),
    "the command to write": (with_command(18, 15), UNKNOWN),
    "the command to invoke": (with_command(23, 2), UNKNOWN),
    "the command to try each": (with_command(15, [dumps([]), dumps([])]), UNKNOWN),
    "the command to run a sequence": (with_command(32, dumps([21, 2])), UNKNOWN),
    "a component that is none": (with_command(12, 1), UNKNOWN),
    "a second source": (fetched_twice, REFUSED + "it says the same thing twice"),
}


async def test_extraneous(rig):
    """Refused as a whole: a device must not guess at what it does not know."""
    await all_refused(rig, EXTRANEOUS)
