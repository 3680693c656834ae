"""The manifest's reader: what the profile says is read, everything else is refused, with words and never otherwise."""

from cbor import Pairs
from cbor.decoder import Tag
from check import raises
from recipe import KIDS, KIND, SECTOR, VENDOR, Recipe, dumps, envelope, payload, sha, sign1, suit_digest, table
from swupdate.faults import Fault
from swupdate.install.envelope import digest, split
from swupdate.install.manifest import Manifest, windows

APP = payload("app", SECTOR + 7, 5)
FW = payload("fw", 2 * SECTOR, 6)


UNKNOWN = "parts that this device does not know"
WRONG = "a value in it is missing or wrong"


def recipe():
    return Recipe([("app", APP)])


def refused(text, manifest):
    """The manifest is refused, as invalid, with `text` in the reason."""
    with raises(Fault, text) as caught:
        Manifest(manifest.manifest() if isinstance(manifest, Recipe) else manifest)
    assert caught.value.result() == 5 and "refused: " in caught.value.text


def not_split(text, data):
    with raises(Fault, text) as caught:
        split(data)
    assert caught.value.result() == 5


def wrapped(blocks, manifest=None, extra=()):
    """An envelope with these authentication blocks."""
    manifest = recipe().manifest() if manifest is None else manifest
    return dumps(Tag(107, Pairs([(2, dumps(blocks)), (3, manifest)] + list(extra))))


def test_what_a_release_says():
    both = Recipe([("fw", FW), ("app", APP)], seq=9, version="2.0.0-ä").set(-5, 1_900_000_000).set(-6, 6, 1)
    data = both.manifest()
    manifest = Manifest(data)
    assert (manifest.seq, manifest.version, manifest.built, manifest.expires) == (
        9, "2.0.0-ä", 1_700_000_000, 1_900_000_000,
    )  # fmt: skip
    fw, app = manifest.components
    assert manifest.component("fw") is fw and manifest.component("app") is app
    assert (fw.half, fw.size, fw.digest, fw.table, fw.bytecode) == ("fw", 2 * SECTOR, sha(FW), sha(table(FW)), 0)
    assert (app.half, app.size, app.digest, app.table, app.bytecode) == ("app", len(APP), sha(APP), sha(table(APP)), 6)
    assert fw.vendor == app.vendor == VENDOR and fw.kind == app.kind == KIND
    assert app.uri.endswith(".bin") and app.table_uri.endswith(".chunks") and app.uri[:32] == app.table_uri[:32]


def test_one_half_is_enough():
    manifest = Manifest(recipe().manifest())
    assert manifest.component("fw") is None and manifest.component("app").size == len(APP)
    assert manifest.expires == 0


def test_envelope():
    data = recipe().manifest()
    found, signed, signatures = split(envelope(data, 1, 2, 3))
    assert found == data and signed == suit_digest(data) and digest(data) == signed[-32:]
    assert [s[0] for s in signatures] == KIDS
    assert [s[1] for s in signatures] == [b"\xa1\x01\x26"] * 3
    assert [len(s[2]) for s in signatures] == [64] * 3


def test_digest_covers_the_head_of_the_byte_string():
    for size in (0, 1, 23, 24, 255, 256, 4000):
        assert digest(bytes(size)) == sha(dumps(bytes(size))), size


def test_too_large():
    long = Recipe([("app", APP)]).set(-2, "x" * 4000).envelope()
    not_split("larger than 4096 bytes", long)
    fits = Recipe([("app", APP)]).set(-2, "x" * (4000 - len(long) + 4096)).envelope()
    assert len(fits) == 4096
    split(fits)


def test_envelope_of_another_shape():
    data = recipe().manifest()
    block = sign1(1, suit_digest(data))
    not_split("no SUIT envelope", dumps({2: b"", 3: b""}))
    not_split("no SUIT envelope", dumps(Tag(108, {2: b"", 3: b""})))
    not_split("no SUIT envelope", dumps(Tag(107, [2, 3])))
    not_split("no SUIT envelope", dumps(Tag(107, Tag(107, {2: b"", 3: b""}))))
    not_split(UNKNOWN, wrapped([suit_digest(data), block], extra=[(9, b"x")]))
    not_split(UNKNOWN, wrapped([suit_digest(data), block], extra=[("#fw", b"x")]))
    not_split(UNKNOWN, dumps(Tag(107, {3: data})))
    not_split(UNKNOWN, dumps(Tag(107, {})))
    not_split(WRONG, dumps(Tag(107, {2: [b""], 3: data})))
    not_split(WRONG, dumps(Tag(107, {2: b"\x80", 3: "text"})))
    not_split("malformed", b"")
    not_split("malformed", envelope(data) + b"\x00")
    not_split("malformed", b"\xd8\x6b\xbf\x02\x40\x03\x40\xff")  # an indefinite length
    not_split("malformed", b"\xd8\x6b\xa2\x02\x40\x02\x40")  # a key twice
    not_split("malformed", b"\xd8\x6b\xa2\x18\x02\x40\x03\x40")  # a head that is not the shortest
    not_split("malformed", b"\xd8\x6b" + b"\x81" * 4000)  # deep
    not_split("malformed", b"\xd8\x6b\x9a\xff\xff\xff\xff")  # long


def test_number_of_signatures():
    data = recipe().manifest()
    signed = suit_digest(data)
    block = sign1(1, signed)
    for blocks in ([], [signed], [signed] + [block] * 4):
        not_split("1 to 3 signatures", wrapped(blocks))
    not_split("1 to 3 signatures", wrapped({0: signed, 1: block}))
    not_split("malformed", wrapped([signed, "text"]))
    not_split("malformed", wrapped([[-16, sha(data)], block]))


def test_digest_of_the_manifest():
    data = recipe().manifest()
    block = sign1(1, suit_digest(data))
    not_split("manifest was changed", wrapped([dumps([-16, sha(data)]), block]))  # without the byte string's head
    not_split("manifest was changed", wrapped([suit_digest(data), block], data[:-1] + bytes((data[-1] ^ 1,))))
    not_split("not SHA-256", wrapped([dumps([-43, bytes(48)]), block]))
    not_split("not SHA-256", wrapped([dumps([-16]), block]))
    not_split("not SHA-256", wrapped([dumps({-16: bytes(32)}), block]))
    not_split("not SHA-256", wrapped([dumps([-16, bytes(31)]), block]))
    not_split("not SHA-256", wrapped([dumps([-16, "x" * 32]), block]))


def test_signatures_of_another_form():
    signed = suit_digest(recipe().manifest())
    es256, kid, rs = b"\xa1\x01\x26", {4: KIDS[0]}, bytes(64)
    for wrong in (
        [es256, kid, None, rs],  # no tag
        Tag(17, [es256, kid, None, rs]),
        Tag(18, {0: es256}),
        Tag(18, []),
        Tag(18, [es256, kid, None]),
        Tag(18, [es256, kid, None, rs, 0]),
        Tag(18, [b"\xa1\x01\x38\x22", kid, None, rs]),  # ES384
        Tag(18, [b"\xa2\x01\x26\x02\x81\x04", kid, None, rs]),  # a critical header
        Tag(18, [b"", kid, None, rs]),
        Tag(18, ["\x01", kid, None, rs]),
        Tag(18, [None, kid, None, rs]),
        Tag(18, [es256, {}, None, rs]),
        Tag(18, [es256, [4], None, rs]),
        Tag(18, [es256, 4, None, rs]),
        Tag(18, [es256, None, None, rs]),
        Tag(18, [es256, {4: "text"}, None, rs]),
        Tag(18, [es256, {4: [1]}, None, rs]),
        Tag(18, [es256, {5: KIDS[0]}, None, rs]),
        Tag(18, [es256, {4: KIDS[0], 1: -7}, None, rs]),
        Tag(18, [es256, kid, signed, rs]),  # not detached
        Tag(18, [es256, kid, False, rs]),
        Tag(18, [es256, kid, None, bytes(63)]),
        Tag(18, [es256, kid, None, bytes(65)]),
        Tag(18, [es256, kid, None, "x" * 64]),
        Tag(18, [es256, kid, None, [0] * 64]),
        Tag(18, [es256, kid, None, None]),
    ):
        not_split("a signature is not of the form", wrapped([signed, dumps(wrong)]))
    not_split("malformed", wrapped([signed, b"\xd2\x84"]))


def test_outer_map():
    refused("another version of the format", _outer((1, 2)))
    refused("another version of the format", _outer((1, None)))
    refused(WRONG, _outer((2, "1")))
    refused(WRONG, _outer((2, None)))
    refused(WRONG, _outer((2, True)))
    refused(WRONG, _outer((2, 0)))
    refused(WRONG, _outer((2, -1)))
    more = recipe()
    more.last = [(23, b"\x80")]  # a command sequence of the draft that the profile has not
    refused(UNKNOWN, more)
    refused("malformed", dumps([1, 1]))
    refused("malformed", b"")


def _outer(pair):
    found = recipe()
    found.outer = [pair if kept[0] == pair[0] else kept for kept in found.outer]
    return found


def test_common():
    some = recipe()
    for common, text in (
        ([(4, b"\x80")], WRONG),
        ([(2, [[b"app"]])], WRONG),
        ([(2, [[b"app"]]), (4, [])], WRONG),
        ([(2, [[b"app"]]), (4, b"\x80"), (1, b"")], UNKNOWN),
        ([(2, [[b"app"]]), (4, b"\x80")], "lacks a condition"),
    ):
        some.common = common
        refused(text, some)
    some.common = None
    some.names = b"app"
    refused(WRONG, some)


def test_components():
    for names in ([], [[b"boot"]], [["app"]], [b"app"], [[b"app", b"x"]], [[[b"app"]]], [[{}]], [[]], [[0]], [None]):
        some = recipe()
        some.names = names
        refused(UNKNOWN, some)
    twice = Recipe([("app", APP), ("app", FW)])
    refused(UNKNOWN, twice)
    three = Recipe([("app", APP), ("fw", FW), ("app", FW)])
    refused(UNKNOWN, three)
    lonely = recipe()
    lonely.names = [[b"app"], [b"fw"]]  # nothing is said of the second
    refused("lacks a condition", lonely)


def test_commands():
    for command in ([24, 15], [6, 15], [18, 2], [-1, 15], ["3", 15], [None, 15], [[3], 15], [31, 0], [32, b"\x80"]):
        some = recipe()
        some.shared = command
        refused(UNKNOWN, some)
    for command in ([3, "15"], [3, None], [21, []], [1, b""]):
        some = recipe()
        some.install = some.install + command
        refused(UNKNOWN, some)
    for index in (1, -1, "0", None, [0], 1 << 40):
        some = recipe()
        some.shared = [12, index]
        refused(UNKNOWN, some)
    odd = recipe()
    odd.validate = [12, 0, 3]
    refused("malformed", odd)
    odd.validate = {12: 0}
    refused("malformed", odd)
    odd.validate = 12
    refused("malformed", odd)


def test_every_condition_and_the_fetch_must_be_there():
    for at in (4, 6):  # of the shared sequence: vendor and class
        some = recipe()
        shared = [12, 0, 20, Pairs(some.parameters[0]), 1, 15, 2, 15]
        some.common = [(2, some.names), (4, dumps(shared[:at] + shared[at + 2 :]))]
        refused("lacks a condition", some)
    some = recipe()
    some.install = some.install[:4] + some.install[6:]
    refused("lacks a condition", some)  # no fetch
    some = recipe()
    some.install, some.validate = some.install[:6], []
    refused("lacks a condition", some)  # no image match
    both = Recipe([("app", APP), ("fw", FW)])
    both.validate, both.install = both.validate[:4], both.install[:-2]
    refused("lacks a condition", both)  # of the second component


def test_parameters():
    for key in (1, 2, 3, 14, -1, -2, -3, -4):
        refused(WRONG, recipe().set(key, None))
        for wrong in (None, [], {}, True):
            some = recipe().set(key, None)
            some.parameters[0].append((key, wrong))
            refused(WRONG, some)
    for key, wrong in ((1, "v" * 16), (14, "1"), (14, b"1"), (-1, "x" * 32), (-2, b"x"), (-3, b"1.0"), (-4, "now")):
        refused(WRONG, recipe().set(key, wrong))
    for key in (0, 5, 12, 19, -8, -100, "1", b"1"):
        refused(UNKNOWN, recipe().set(key, 1))
    some = recipe()
    some.install = [12, 0, 20, {21: 7}, 21, 2, 3, 15]
    refused(WRONG, some)
    some.install = [12, 0, 20, [21, "x"], 21, 2, 3, 15]
    refused(UNKNOWN, some)
    some.install = [12, 0, 20, {21: "x"}, 20, {21: "y"}, 21, 2, 3, 15]
    refused("the same thing twice", some)
    some.install = [12, 0, 20, {21: "x", 14: 3}, 21, 2, 3, 15]
    refused("the same thing twice", some)


def test_values():
    refused(WRONG, recipe().set(14, 0))
    refused(WRONG, recipe().set(14, -1))
    refused(WRONG, recipe().set(-1, bytes(31)))
    refused(WRONG, recipe().set(-6, "6"))
    refused("not SHA-256", recipe().set(3, dumps([-44, bytes(64)])))
    refused("not SHA-256", recipe().set(3, dumps([-16, bytes(33)])))
    refused(WRONG, recipe().set(-4, -1))
    refused(WRONG, recipe().set(-5, "2030"))
    refused(WRONG, recipe().set(-3, ""))
    refused(WRONG, recipe().set(-3, "1" * 65))
    refused(WRONG, recipe().set(-3, "ä" * 33))  # the label has room for bytes, not for characters
    assert Manifest(recipe().set(-3, "ä" * 32).manifest()).version == "ä" * 32


def test_forms():
    size = 4096 + 3 * 32768 - 5  # four windows
    assert [windows(n) for n in (1, 4096, 4097, 4096 + 32768, 4097 + 32768, size)] == [1, 1, 2, 2, 3, 4]
    good = ["a", bytes(8)]
    delta = ["b", b"\x01\x02" * 4, b"d" * 32]
    most = [["c", bytes(8), bytes((i,)) * 32] for i in range(4)] + [good]
    for forms in ([good], [delta], [delta, good], most):
        found = Manifest(recipe().set(14, size).set(-7, forms).manifest()).components[0].forms
        assert found == [tuple((form + [b""])[:3]) for form in forms]
    assert Manifest(recipe().manifest()).components[0].forms == ()
    for wrong in (
        7, {}, [], "x", [7], [[]], [["a"]], [good + [b""]], [good + [b"d" * 31]], [good + [b"d" * 33]],
        [delta + [1]], [[b"a", bytes(8)]], [["a", "12345678"]], [["a", [0, 0, 0, 0]]], [["a", bytes(7)]],
        [["a", bytes(10)]], [["a", b""]], [good, good], [delta, good, delta], [["a", bytes(8), "d" * 32]],
        most + [["e", bytes(8), b"e" * 32]],
    ):  # fmt: skip
        refused(WRONG, recipe().set(14, size).set(-7, wrong))
    store = Recipe([("trust", b"x")])
    store.set(-1, None).set(-2, None).set(-7, [good])
    refused(UNKNOWN, store)


def test_what_is_said_once_is_said_on_the_first_component():
    for key, value in ((-3, "1.0"), (-4, 5), (-5, 5)):
        refused(UNKNOWN, Recipe([("app", APP), ("fw", FW)]).set(key, value, 1))


def test_every_cut_is_refused():
    data = recipe().envelope()
    for size in range(len(data)):
        not_split("refused", data[:size])


def test_every_changed_byte_is_refused_or_changes_only_who_signed():
    data = recipe().envelope()
    good = split(data)
    for at in range(len(data)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            changed = bytearray(data)
            changed[at] ^= flip
            try:
                found = split(bytes(changed))
            except Fault as fault:
                assert fault.result() == 5, at
            else:
                assert found[:2] == good[:2] and found[2] != good[2], at


def test_every_changed_byte_of_a_manifest_is_read_or_refused():
    """As if a trusted signer had signed nonsense: no other error than Fault, whatever it is."""
    data = Recipe([("fw", FW), ("app", APP)]).manifest()
    for at in range(len(data)):
        for value in (data[at] ^ 1, data[at] ^ 0x20, data[at] ^ 0x80, 0xFF, 0x00, 0xF6, 0x80, 0xA0):
            changed = bytearray(data)
            changed[at] = value
            try:
                Manifest(bytes(changed))
            except Fault as fault:
                assert fault.result() == 5, at
