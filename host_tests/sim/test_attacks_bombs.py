"""Envelopes that are made to cost the device its memory, its stack or its time: result 5, at once, and nothing else."""

import pytest
from cbor import Pairs
from cbor.decoder import Tag
from recipe import dumps
from sim.attack_rig import all_refused, by, recipe, refused, serve, signed, updated_board
from sim.rig import ISAC

HEAP = "448k"  # the simulated board's default
SLOW = 10.0  # seconds: a refusal that takes longer is as bad as what it refuses
REFUSED = "the release is refused: "
WRONG = REFUSED + "a value in it is missing or wrong"


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """One board for all, which was updated once."""
    with updated_board(tmp_path_factory.mktemp("board"), heap=HEAP) as rig:
        yield rig


def head(major, n):
    """The head of a CBOR item that announces `n`, however large."""
    return bytes((major << 5 | 27,)) + n.to_bytes(8, "big")


def manifest(data):
    """An envelope that is right, around this in the place of the manifest."""
    return lambda rig: signed(rig, data)


def authentication(data):
    """An envelope with this in the place of digest and signatures."""
    return lambda rig: dumps(Tag(107, Pairs([(2, data), (3, recipe(rig).manifest())])))


def envelope(data):
    return lambda rig: data


def signatures(count):
    def make(rig):
        data = recipe(rig).manifest()
        return signed(rig, data, *[by(rig.stage.keys[0], data)] * count)

    return make


def commands(count):
    """An install sequence of so many commands more."""

    def make(rig):
        made = recipe(rig)
        made.install += [3, 15] * count
        return made

    return make


def nested(rig):
    """A manifest in a byte string, in a byte string, in a byte string ..."""
    data = recipe(rig).manifest()
    while len(data) < 3500:
        data = dumps(data)
    return signed(rig, data)


def malformed(what, offset):
    return REFUSED + "it is malformed (%s at byte %d)" % (what, offset)


HUGE = 1 << 62
DEEP, MANY = "nested too deeply", "too many items"
ENDS, ENDLESS = "the data ends too early", "a head that may not be here"

BOMBS = {
    "nothing": (envelope(b""), malformed(ENDS, 0)),
    "arrays in arrays": (envelope(b"\x81" * 4000), malformed(DEEP, 9)),
    "tags in tags": (envelope(b"\xd8\x6b" * 2000), malformed(DEEP, 18)),
    "maps in maps": (manifest(b"\xa1\x01" * 1500), malformed(DEEP, 17)),
    "arrays in arrays, in the signatures": (authentication(b"\x81" * 3000), malformed(DEEP, 9)),
    "byte strings in byte strings": (nested, REFUSED + "it is malformed"),
    "an array of very many": (manifest(head(4, HUGE)), malformed(MANY, 9)),
    "a map of very many": (manifest(head(5, HUGE)), malformed(MANY, 9)),
    "a byte string that is longer than all": (manifest(head(2, HUGE)), malformed(ENDS, 0)),
    "a text that is longer than all": (manifest(head(3, HUGE)), malformed(ENDS, 0)),
    "3,000 small items": (manifest(b"\x99\x0b\xb8" + bytes(3000)), malformed(MANY, 3)),
    "a map without an end": (envelope(b"\xd8\x6b\xbf"), malformed(ENDLESS, 2)),
    "an array without an end": (manifest(b"\x9f" + bytes(3000)), malformed(ENDLESS, 0)),
    "a byte string without an end": (manifest(b"\x5f" + b"\x41a" * 1000), malformed(ENDLESS, 0)),
    "the same key twice": (manifest(b"\xa2\x01\x01\x01\x01"), malformed("a duplicate key", 4)),
    "a number in a long form": (manifest(b"\xa1\x18\x01\x01"), malformed("a head that is not the shortest", 1)),
    "a float": (
        manifest(b"\xa1\x01\xfb" + bytes(8)),
        malformed("a float or simple value that may not be here", 2),
    ),
    "a number without bounds": (manifest(b"\xa1\x02\xc2\x59\x0b\xb8" + b"\xff" * 3000), WRONG),
    "a negative sequence number": (lambda rig: recipe(rig, seq=-5), WRONG),
    "a version of 65 bytes": (lambda rig: recipe(rig).set(-3, "v" * 65), WRONG),
    "a version of 2,500 bytes": (lambda rig: recipe(rig).set(-3, "v" * 2500), WRONG),
    "a version of nothing": (lambda rig: recipe(rig).set(-3, ""), WRONG),
    "4 signatures": (signatures(4), REFUSED + "it must have 1 to 3 signatures"),
    "25 signatures": (signatures(25), REFUSED + "it must have 1 to 3 signatures"),
    "150 commands too many": (commands(150), malformed(MANY, 3)),
}


async def test_envelope_bombs(rig):
    """Depth, counts, lengths, endless items, sizes: the same result for each, soon, without the memory being used up."""
    await all_refused(rig, BOMBS, within=SLOW)


async def test_a_payload_of_any_size(rig):
    """Nothing is reserved by its announced size."""
    async with rig.client() as client:
        url = serve(rig, signed(rig, recipe(rig).set(14, HUGE)))
        await refused(rig, client, url, f"version 2.0.0 does not fit: app has {HUGE} bytes, the slot 192512", 3)


@pytest.mark.parametrize("scheme", ["https", "coaps"])
async def test_the_largest_envelope(rig, scheme):
    """4,096 bytes are taken and one more is not, whatever signed it; what follows it is not even read."""
    size = len(signed(rig, padded(rig, 0)))
    async with rig.client() as client:
        url = located(rig, serve(rig, signed(rig, padded(rig, 4096 - size))), scheme)
        assert (await client.run(url, ISAC))["swupdatestate"] == "nsa", await client.reason()
        for more in (1, 60_000):
            url = located(rig, serve(rig, signed(rig, padded(rig, 4096 - size)) + bytes(more)), scheme)
            size_told = f"{url} has {4096 + more} bytes, more than the 4096 that it may have"
            reason = size_told if scheme == "https" else f"{url} has more than the 4096 bytes that it may have"
            await refused(rig, client, url, reason)


def padded(rig, more):
    """A release whose URIs are long by so many bytes."""
    made = recipe(rig)
    made.install[3] = {21: made.install[3][21] + "?" + "x" * (1000 + more)}
    return made


def located(rig, url, scheme):
    name = url.rpartition("/")[2]
    return url if scheme == "https" else rig.stage.server.coaps_url(name)
