"""Which releases may be installed: signatures and conditions, each refused with its own words and before any payload."""

from check import raises
from install_rig import Rig
from port import bytecode_version
from recipe import KIDS, PUBLIC, SECTOR, Recipe, dumps, envelope, payload, sha, sign1, suit_digest
from swupdate.faults import Fault
from swupdate.install import obtain

APP = payload("app", SECTOR + 7, 5)
FW = payload("fw", 2 * SECTOR, 6)


def recipe(seq=2, **more):
    return Recipe([("app", APP)], seq, **more)


async def refused(rig, recipe, text, result=5, *secrets):
    """`check` and `obtain` refuse the release with these words, and nothing but its envelope is asked for."""
    if isinstance(recipe, Recipe):
        rig.offer(recipe, *secrets)
    else:
        rig.server.files["new.suit"] = recipe
    for step in (obtain.check(rig), obtain.obtain(rig, rig.progress)):
        rig.server.log.clear()
        with raises(Fault, text) as caught:
            await step
        assert caught.value.result() == result
        assert [entry[0] for entry in rig.server.log] == ["new.suit"]
        assert rig.server.open == 0
    assert not rig.flash.log and not rig.store.files and not rig.told


async def accepted(rig, recipe, *secrets):
    rig.offer(recipe, *secrets)
    rig.server.log.clear()
    offer = await obtain.check(rig)
    assert offer.version == "1.1.0" and offer.manifest == sha(dumps(recipe.manifest()))
    assert [entry[0] for entry in rig.server.log] == ["new.suit"] and rig.server.open == 0
    assert not rig.flash.log
    return offer


# Signatures


async def test_one_trusted_key():
    offer = await accepted(Rig(), recipe(), 2)
    assert (offer.seq, offer.built) == (2, 1_700_000_000)


async def test_nobody_is_trusted():
    rig = Rig()
    rig.trust.known.clear()
    await refused(rig, recipe(), "0 valid signature(s) of trusted keys, 1 needed")


async def test_an_unknown_key_counts_for_nothing_and_does_no_harm():
    rig = Rig()
    del rig.trust.known[KIDS[0]]
    await refused(rig, recipe(), "0 valid signature(s)", 5, 1)
    await accepted(rig, recipe(), 1, 2)


async def test_two_of_three():
    rig = Rig()
    rig.trust.threshold = 2
    for secrets in ((1,), (2,), (3,)):
        await refused(rig, recipe(), "1 valid signature(s) of trusted keys, 2 needed", 5, *secrets)
    for secrets in ((1, 2), (1, 3), (2, 3), (3, 2), (1, 2, 3)):
        await accepted(rig, recipe(), *secrets)
    rig.trust.threshold = 3
    await refused(rig, recipe(), "2 valid signature(s)", 5, 1, 3)
    await accepted(rig, recipe(), 1, 2, 3)


async def test_one_key_counts_once():
    """Signed twice with one key; and one key known by two names."""
    rig = Rig()
    rig.trust.threshold = 2
    await refused(rig, recipe(), "1 valid signature(s)", 5, 1, 1)
    rig.trust.known[b"another."] = PUBLIC[0]
    digest = suit_digest(recipe().manifest())
    await refused(rig, recipe(), "2 needed", 5, 1, sign1(1, digest, b"another."))


async def test_a_threshold_of_nothing_is_one():
    rig = Rig()
    rig.trust.threshold = 0
    await accepted(rig, recipe(), 1)
    rig.trust.known.clear()
    await refused(rig, recipe(), "0 valid signature(s)")


async def test_wrong_signatures():
    rig = Rig()
    data = recipe().manifest()
    other = suit_digest(recipe(3).manifest())
    await refused(rig, envelope(data, sign1(1, other)), "0 valid signature(s)")  # of another release
    await refused(rig, envelope(data, sign1(1, suit_digest(data), KIDS[1])), "0 valid signature(s)")  # another's name
    good = sign1(1, suit_digest(data))
    for at in (-1, -40, -64):
        bad = bytearray(good)
        bad[at] ^= 1
        await refused(rig, envelope(data, bytes(bad)), "0 valid signature(s)")
    await refused(rig, envelope(data, good[:-64] + bytes(64)), "0 valid signature(s)")
    rig.trust.threshold = 2
    bad[-1] ^= 1
    await refused(rig, envelope(data, good, sign1(2, other), bytes(bad)), "1 valid signature(s)")


async def test_what_is_not_signed_is_not_even_read():
    """A manifest that is nonsense, by nobody: the signature is what is missing."""
    rig = Rig()
    rig.trust.known.clear()
    await refused(rig, envelope(b"\xff\xff"), "0 valid signature(s)")
    rig = Rig()
    await refused(rig, envelope(b"\xff\xff"), "malformed")


# Conditions


async def test_for_other_devices():
    await refused(Rig(), recipe().set(1, b"V" * 16), "another vendor")
    await refused(Rig(), recipe().set(2, b"C" * 16), "another class of device")
    both = Recipe([("app", APP), ("fw", FW)])
    await refused(Rig(), both.set(2, b"C" * 16, 1), "another class of device")
    await refused(Rig(), recipe(0x7FFFFFFFFFFFFFFF).set(1, b"v" * 15), "another vendor")  # told before the number


async def test_up_to_date():
    rig = Rig()
    rig.running["manifest"] = sha(dumps(recipe(1).manifest()))
    rig.fill("ota_0", "app_0", rig.fw, rig.app, rig.running)
    rig.offer(recipe(1))
    assert await obtain.check(rig) is None
    assert await obtain.obtain(rig, rig.progress) is None
    assert not rig.flash.log and [entry[0] for entry in rig.server.log] == ["new.suit"] * 2


async def test_another_release_with_the_running_number():
    await refused(Rig(), recipe(1), "another release has the sequence number 1")


async def test_older():
    """For a check it is nothing newer; installing it would be going back."""
    rig = Rig()
    rig.running["seq"] = 5
    rig.fill("ota_0", "app_0", rig.fw, rig.app, rig.running)
    rig.floor = 5
    for seq in (1, 4):
        rig.offer(recipe(seq))
        assert await obtain.check(rig) is None
        with raises(Fault, "version 1.1.0 is older than what was installed (rollback)") as caught:
            await obtain.obtain(rig, rig.progress)
        assert caught.value.result() == 5
    await accepted(rig, recipe(6))
    assert not rig.flash.log


async def test_the_floor_holds_when_an_older_version_runs():
    """The bootloader fell back: what was confirmed may come back, and nothing below it."""
    rig = Rig()
    rig.floor = 5
    rig.offer(recipe(4))
    assert await obtain.check(rig) is None
    with raises(Fault, "rollback"):
        await obtain.obtain(rig, rig.progress)
    await accepted(rig, recipe(5))
    await accepted(rig, recipe(6))


async def test_a_slot_without_label():
    rig = Rig()
    rig.flash.data["app_0"][-SECTOR:] = b"\xff" * SECTOR
    rig.floor = 0
    await accepted(rig, recipe(1))
    rig.floor = 7
    rig.offer(recipe(6))
    with raises(Fault, "rollback"):
        await obtain.check(rig, True)


async def test_fast_forward():
    rig = Rig()
    await accepted(rig, recipe(1001))
    await refused(rig, recipe(1002), "too far ahead")
    await refused(rig, recipe(0xFFFFFFFFFFFFFFFF), "too far ahead")
    rig.floor = 10
    await accepted(rig, recipe(1010))


async def test_size_of_the_slot():
    rig = Rig()
    room = {"app": 5 * SECTOR, "fw": 5 * SECTOR}  # the last sector of app_N is the label's
    for half in ("app", "fw"):
        await accepted(rig, Recipe([(half, payload(half, room[half], 3))]))
        text = "version 1.1.0 does not fit: %s has 20481 bytes, the slot 20480" % half
        await refused(rig, Recipe([(half, payload(half, room[half] + 1, 3))]), text, 3)
    await refused(rig, recipe().set(14, 1 << 60), "does not fit", 3)


async def test_bytecode():
    runs = bytecode_version()
    rig = Rig()
    other = runs + 1
    both = Recipe([("app", APP), ("fw", FW)])
    await accepted(rig, recipe())  # not said
    await accepted(rig, both.set(-6, other, 0).set(-6, other, 1))
    text = "the app needs bytecode version %d, the firmware has %d"
    await refused(rig, both.set(-6, 99, 1), text % (other, 99))
    await refused(rig, recipe().set(-6, other), text % (other, runs))
    if runs:
        await accepted(rig, recipe().set(-6, runs))
        await accepted(rig, Recipe([("fw", FW)]).set(-6, runs))
        # The app that runs now would not on this firmware.
        await refused(rig, Recipe([("fw", FW)]).set(-6, other), text % (runs, other))


async def test_expiry():
    rig = Rig()
    rig.clock.time = 1_800_000_000
    await accepted(rig, recipe().set(-5, 1_800_000_000))
    await accepted(rig, recipe())
    rig.clock.time = 1_800_000_001
    await refused(rig, recipe().set(-5, 1_800_000_000), "version 1.1.0 has expired")
    await refused(rig, recipe().set(-5, 1), "expired")


async def test_expiry_while_the_time_is_not_known():
    """Not installed, and worth another try; but what has expired for certain is refused for good."""
    rig = Rig()
    await accepted(rig, recipe())
    rig.clock.floor = 1_800_000_000
    await refused(rig, recipe().set(-5, 1_800_000_000), "version 1.1.0 expires, and the time is not known", 4)
    rig.clock.floor += 1
    await refused(rig, recipe().set(-5, 1_800_000_000), "version 1.1.0 has expired")


async def test_proof_that_an_update_can_come():
    """For a trial: any envelope that is signed will do, also that of the release that runs."""
    rig = Rig()
    for seq in (1, 2):
        rig.offer(recipe(seq))
        await obtain.prove(rig)
    rig.trust.known.clear()
    with raises(Fault, "0 valid signature(s)"):
        await obtain.prove(rig)
    rig.server.files.clear()
    with raises(Fault, "404") as caught:
        await obtain.prove(rig)
    assert caught.value.result() == 404
    assert rig.server.open == 0
