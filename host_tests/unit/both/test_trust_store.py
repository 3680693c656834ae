"""Trust stores: which are taken, which are refused and why, how they are kept, and from where sequence numbers count."""

from check import raises
from install_rig import Rig
from port import phase
from recipe import KIDS, SECTOR, Recipe, dumps, envelope, key, payload, sha, sign1, suit_digest
from swupdate import trust
from swupdate.faults import Fault
from swupdate.install import obtain
from swupdate.install.envelope import split
from swupdate.install.manifest import Manifest

APP = payload("app", SECTOR + 7, 5)


def store(secrets=(4,), n=1, threshold=1, **more):
    """The file of a trust store with the keys of `secrets`."""
    content = {"v": 1, "n": n, "keys": dict([key(secret) for secret in secrets]), "threshold": threshold}
    content.update(more)
    return dumps(content)


def recipe(data=None, seq=1):
    """A release of a trust store."""
    found = Recipe([("trust", store() if data is None else data)], seq, version="trust store %d" % seq)
    return found.set(-1, None).set(-2, None)


def nothing_changed(rig):
    return not rig.flash.log and not rig.store.files and not rig.told and rig.server.open == 0


async def refused(rig, recipe, text, *secrets):
    """Neither obtained nor kept, for this reason."""
    rig.offer(recipe, *secrets)
    with raises(Fault, text) as caught:
        await obtain.obtain(rig, rig.progress)
    assert caught.value.result() == 5
    assert nothing_changed(rig)


async def taken(rig, recipe, *secrets):
    """Obtained and kept: its record."""
    rig.offer(recipe, *secrets)
    rig.server.log.clear()
    offer = await obtain.obtain(rig, rig.progress)
    assert len(rig.server.log) == 2 and rig.server.open == 0 and not rig.flash.log
    assert list(rig.store.files) == ["nexttrust"]
    record = trust.staged(rig.store)
    assert record["manifest"] == offer.manifest and rig.told == [(offer.parts[0].size, offer.parts[0].size)]
    return record


# Who must have signed


async def test_old_keys_and_new_keys_sign():
    for secrets in ((1, 4), (4, 3), (2, 9, 4), (1, 2, 3, 4, 5, 6)):
        record = await taken(Rig(), recipe(), *secrets)
        assert record["n"] == 1 and record["keys"] == dict([key(4)]) and record["threshold"] == 1
        assert sorted(record["revoked"]) == sorted(KIDS) and (record["since"], record["floor"]) == (0, 0)
    await refused(Rig(), recipe(), "0 valid signature(s) of trusted keys, 1 needed", 4)
    await refused(Rig(), recipe(), "0 valid signature(s) of the new trust store's keys, 1 needed", 1, 2, 3)
    await refused(Rig(), recipe(), "0 valid signature(s) of trusted keys, 1 needed", 5, 6)


async def test_thresholds_of_both():
    """2 of 3 old ones, and 2 of 3 new ones: with four signatures, or with fewer where keys stay."""
    rig = Rig()
    rig.trust.threshold = 2
    new = recipe(store((4, 5, 6), threshold=2))
    await refused(rig, new, "1 valid signature(s) of trusted keys, 2 needed", 1, 4, 5, 6)
    await refused(rig, new, "1 valid signature(s) of trusted keys, 2 needed", 1, 1, 4, 5)
    await refused(rig, new, "1 valid signature(s) of the new trust store's keys, 2 needed", 1, 2, 3, 4)
    await refused(rig, new, "1 valid signature(s) of the new trust store's keys, 2 needed", 1, 2, 4, 4)
    await taken(rig, new, 1, 3, 6, 5)
    rig = Rig()
    rig.trust.threshold = 2
    shared = recipe(store((2, 3, 4), threshold=2))
    await refused(rig, shared, "1 valid signature(s) of the new trust store's keys", 1, 2)
    record = await taken(rig, shared, 2, 3)
    assert record["revoked"] == [KIDS[0]]
    rig = Rig()
    await refused(rig, recipe(store((2, 3, 4), threshold=3)), "2 valid signature(s) of the new", 2, 3)
    await taken(rig, recipe(store((2, 3, 4), threshold=3)), 2, 3, 4)


async def test_signatures_of_other_releases():
    """Of another manifest, damaged, or under another's name: neither old nor new keys have signed."""
    data, other = recipe().manifest(), suit_digest(recipe(seq=2).manifest())
    rig = Rig()
    rig.offer(recipe(), 1, 4)
    bad = bytearray(sign1(4, suit_digest(data)))
    bad[-1] ^= 1
    for signature in (sign1(4, other), sign1(1, suit_digest(data), key(4)[0]), bytes(bad)):
        rig.server.files["new.suit"] = envelope(data, 1, signature)
        with raises(Fault, "0 valid signature(s) of the new"):
            await obtain.obtain(rig, rig.progress)
    assert nothing_changed(rig)


async def test_what_was_revoked_is_named():
    rig = Rig()
    rig.trust.revoked = [KIDS[2]]
    del rig.trust.known[KIDS[2]]
    app = Recipe([("app", APP)])
    words = "0 valid signature(s) of trusted keys, 1 needed; it names a key that was revoked"
    await refused(rig, app, words, 3)
    await refused(rig, app, words, 5, 3)
    await refused(rig, recipe(), words, 3, 4)
    rig.offer(app, 5)
    with raises(Fault) as caught:
        await obtain.check(rig)
    assert "revoked" not in str(caught.value)
    rig.trust.threshold = 2
    await refused(rig, app, "1 valid signature(s) of trusted keys, 2 needed; it names a key that was revoked", 1, 3)


# Its number, and the other conditions


async def test_numbers():
    """They are their own: neither the running version's number nor the floor has to do with them."""
    rig = Rig()
    rig.floor = rig.running["seq"] = 900
    rig.fill("ota_0", "app_0", rig.fw, rig.app, rig.running)
    await taken(rig, recipe(), 1, 4)
    rig = Rig()
    rig.trust.number, rig.trust.digest = 5, sha(store(n=5))
    for seq, text in (
        (4, "version trust store 4 is older than what was installed (rollback)"),
        (1, "rollback"),
        (1006, "too far ahead"),
        (0xFFFFFFFFFFFFFFFF, "too far ahead"),
    ):
        await refused(rig, recipe(store(n=seq), seq), text, 1, 4)
    await refused(
        rig, recipe(store((6,), n=5), 5), "another release has the sequence number 5 of the trust store", 1, 6
    )
    rig.offer(recipe(store(n=4), 4), 1, 4)
    assert await obtain.check(rig) is None
    rig.offer(recipe(store(n=5), 5).set(-4, 1_700_000_001), 1, 4)  # built again: the same trust store
    assert await obtain.check(rig) is None and await obtain.obtain(rig, rig.progress) is None
    for seq in (6, 1005):
        rig.store.files.clear()
        rig.told.clear()
        await taken(rig, recipe(store(n=seq), seq), 1, 4)


async def test_for_other_devices_or_too_late():
    await refused(Rig(), recipe().set(1, b"V" * 16), "another vendor", 1, 4)
    await refused(Rig(), recipe().set(2, b"C" * 16), "another class of device", 1, 4)
    rig = Rig()
    rig.clock.time = 1_800_000_001
    await refused(rig, recipe().set(-5, 1_800_000_000), "has expired", 1, 4)
    await taken(rig, recipe().set(-5, 1_800_000_001), 1, 4)


async def test_a_check_fetches_the_envelope_alone():
    rig = Rig().offer(recipe(), 1)  # whether its own keys agree is seen when it is obtained
    offer = await obtain.check(rig)
    assert (offer.version, offer.seq) == ("trust store 1", 1)
    assert [entry[0] for entry in rig.server.log] == ["new.suit"] and nothing_changed(rig)


async def test_not_during_a_trial():
    rig = Rig().offer(recipe(), 1, 4)
    entry = b"\x01\x00\x00\x00" + b"\xff" * 20 + b"\x01\x00\x00\x00" + b"\x9a\x98\x43\x47"  # pending; CRC of 1
    rig.flash.data["otadata"][: len(entry)] = entry
    with raises(Fault, "still on trial"):
        await obtain.obtain(rig, rig.progress)
    assert nothing_changed(rig) and not rig.server.log


# The manifest


def test_it_comes_alone_and_without_a_table():
    manifest = Manifest(recipe().manifest())
    part = manifest.component("trust")
    assert (part.half, part.table, part.table_uri, part.bytecode) == ("trust", b"", "", 0)
    assert part.digest == sha(store()) and manifest.component("app") is None
    for half in ("app", "fw"):
        for parts in ([("trust", store()), (half, APP)], [(half, APP), ("trust", store())]):
            at = 0 if parts[0][0] == "trust" else 1
            with raises(Fault, "a trust store comes alone"):
                Manifest(Recipe(parts).set(-1, None, at).set(-2, None, at).manifest())
    for number, value in ((-1, bytes(32)), (-2, "x"), (-6, 6)):
        with raises(Fault, "parts that this device does not know"):
            Manifest(recipe().set(number, value).manifest())
    for number, value in ((14, 0), (3, b"x"), (1, None), (2, None), (-3, None), (-4, None)):
        with raises(Fault):
            Manifest(recipe().set(number, value).manifest())


def test_six_signatures_for_it_and_three_for_all_else():
    assert len(split(recipe().envelope(1, 2, 3, 4, 5, 6))[2]) == 6
    with raises(Fault, "1 to 6 signatures"):
        split(recipe().envelope(1, 2, 3, 4, 5, 6, 7))
    with raises(Fault, "1 to 3 signatures"):
        split(Recipe([("app", APP)]).envelope(1, 2, 3, 4))


# Its file


async def test_the_file_is_the_one_that_was_signed():
    """Though another would be one that its keys have agreed to."""
    for wrong in (store((5,)), store() + b"x", store()[:-1], b""):
        rig = Rig().offer(recipe(), 1, 4, 5)
        (name,) = [name for name in rig.server.files if name.endswith(".bin")]
        rig.server.files[name] = wrong
        with raises(Fault, "more than it may have" if len(wrong) > len(store()) else "not the one that was signed"):
            await obtain.obtain(rig, rig.progress)
        assert nothing_changed(rig), wrong


async def test_larger_than_it_may_be():
    """Not even asked for."""
    rig = Rig()
    await refused(rig, recipe(store() + bytes(1537 - len(store()))), "more than 1536 bytes", 1, 4)
    assert [entry[0] for entry in rig.server.log] == ["new.suit"]


async def test_a_file_that_makes_no_sense():
    """Signed by all, and refused."""
    kid, public = key(4)
    off = public[:-1] + bytes((public[-1] ^ 1,))
    nine = dict([key(secret) for secret in range(1, 10)])
    for data, text in (
        (b"", "greater"), (b"\xff", "malformed"), (dumps([]), "malformed"), (store() + b"\x00", "malformed"),
        (store(other=1), "parts that this device does not know"), (store(v=2), "another version"),
        (store(n=2), "its number is not"), (store(n=None), "its number is not"),
        (store(keys={}), "1 to 8 keys"), (store(keys=[]), "1 to 8 keys"), (store(keys=nine), "1 to 8 keys"),
        (store(threshold=0), "threshold"), (store(threshold=2), "threshold"), (store(threshold=True), "threshold"),
        (store(threshold="1"), "threshold"), (store((1, 2, 3, 4), threshold=4), "threshold"),
        (store(floor=-1), "floor"), (store(floor=True), "floor"), (store(floor="5"), "floor"),
        (store(floor=1 << 62), "floor"), (store(floor=None), "floor"),
        (store(keys={kid: public[:63]}), "a key that is none"), (store(keys={kid: "x" * 64}), "a key that is none"),
        (store(keys={sha(off)[:8]: off}), "a key that is none"), (store(keys={b"8 bytes!": public}), "a key that is none"),
        (store(keys={"kid": public}), "a key that is none"), (store(keys={0: public}), "a key that is none"),
        (store(keys={sha(bytes(64))[:8]: bytes(64)}), "a key that is none"),
    ):  # fmt: skip
        some = recipe(data)
        if not data:
            with raises(Fault):
                Manifest(some.manifest())
            continue
        await refused(Rig(), some, text, 1, 4)
    await refused(Rig(), recipe(store(n=2)), "its number is not that of its release", 1, 4)


async def test_every_changed_byte_is_refused_or_says_something_else():
    """As if all had signed nonsense: no other error than Fault."""
    good = store((4, 5), threshold=2, floor=7)
    with phase("swupdate.install.trust") as reader:
        for at in range(len(good)):
            for value in (good[at] ^ 1, good[at] ^ 0x20, 0xFF, 0x00, 0xF6, 0xA0):
                data = bytearray(good)
                data[at] = value
                try:
                    keys, threshold, floor = reader.read(bytes(data), 1)
                    assert keys and threshold in (1, 2) and (floor is None or floor >= 0)
                except Fault as fault:
                    assert fault.result() == 5, at


async def test_the_floor_of_the_one_before_goes_on():
    rig = Rig()
    rig.trust.number, rig.trust.since, rig.trust.floor = 3, 2, 50
    found = await taken(rig, recipe(store(n=4), 4), 1, 4)
    assert (found["since"], found["floor"]) == (2, 50)
    rig.store.files.clear()
    rig.told.clear()
    found = await taken(rig, recipe(store(n=4, floor=0), 4), 1, 4)
    assert (found["since"], found["floor"]) == (4, 0)
