"""Properties of releases: what the tool builds the device reads the same; of what was signed nothing may be changed."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fargo import keys, suit
from hypothesis import given, settings
from hypothesis import strategies as st
from swupdate.faults import Fault
from swupdate.install import envelope as sealed
from swupdate.install import manifest as profile
from swupdate.install.signatures import verified

KEY = ec.derive_private_key(7, ec.SECP256R1())
digests = st.binary(min_size=32, max_size=32)
uris = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80)
versions = st.text(min_size=1, max_size=40).filter(lambda text: 0 < len(text.encode()) <= 64 and "\0" not in text)


def parts(halves):
    return st.tuples(
        *(
            st.builds(
                suit.Part,
                st.just(half),
                st.integers(1, 1 << 32),
                digests,
                uris,
                digests,
                uris,
                st.integers(0, 1 << 16),
            )
            for half in halves
        )
    )


halves = st.sampled_from((("fw",), ("app",), ("fw", "app"), ("app", "fw"))).flatmap(parts)
times = st.integers(0, 1 << 40)


@given(versions, st.integers(1, (1 << 62) - 1), digests, digests, halves, times, times)
def test_any_manifest_of_the_tool_is_read_the_same(version, sequence, vendor, kind, carried, built, expires):
    data = suit.manifest(version, sequence, vendor[:16], kind[:16], list(carried), built, expires)
    found = profile.Manifest(data)
    assert (found.version, found.seq, found.built, found.expires) == (version, sequence, built, expires)
    assert len(found.components) == len(carried)
    for part in carried:
        read = found.component(part.half)
        assert (read.vendor, read.kind) == (vendor[:16], kind[:16])
        for name in ("half", "size", "digest", "uri", "table", "table_uri", "bytecode"):
            assert getattr(read, name) == getattr(part, name), name
    envelope = suit.envelope(data, [suit.sign(suit._digest(sealed.digest(data)), KEY)])
    manifest, digest, signatures = sealed.split(envelope)
    assert (manifest, len(signatures)) == (data, 1) and digest[-32:] == sealed.digest(data)


TRUSTED = {keys.kid(KEY.public_key()): keys.raw(KEY.public_key())}


def signed():
    part = suit.Part("app", 5000, bytes(32), "a.bin", bytes(range(32)), "a.chunks", 6)
    data = suit.manifest("1.2.3", 7, b"v" * 16, b"c" * 16, [part], 1_700_000_000)
    return suit.envelope(data, [suit.sign(suit._digest(sealed.digest(data)), KEY)])


ENVELOPE = signed()


def accepted(envelope):
    """What the device takes for signed."""
    return asyncio.run(verified(envelope, TRUSTED, 1))


def test_as_it_was_signed_it_is_taken():
    manifest, digest = accepted(ENVELOPE)
    assert profile.Manifest(manifest).version == "1.2.3" and digest == sealed.digest(manifest)


@pytest.mark.parametrize("change", [1, 0x20, 0x80, 0xFF])
def test_every_byte_of_a_signed_envelope_counts(change):
    """Each one changed, in four ways: refused, with result 5."""
    for at in range(len(ENVELOPE)):
        changed = bytearray(ENVELOPE)
        changed[at] ^= change
        with pytest.raises(Fault) as caught:
            accepted(bytes(changed))
        assert caught.value.cause == "invalid"


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_other_bytes_are_taken(draw):
    """Anything cut out, put in or put elsewhere."""
    first, last = sorted(draw.draw(st.tuples(*[st.integers(0, len(ENVELOPE))] * 2)))
    put = draw.draw(st.binary(max_size=20) | st.just(ENVELOPE[first:last] * 2))
    changed = ENVELOPE[:first] + put + ENVELOPE[last:]
    if changed != ENVELOPE:
        with pytest.raises(Fault):
            accepted(changed)
