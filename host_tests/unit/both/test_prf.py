"""HMAC-SHA256, the PRF of TLS 1.2 and PBKDF2 by published vectors; comparing secrets; OCF's owner PSK."""

from check import Turns, unhex
from crypto import equal, hashed, padded
from crypto.prf import owner_psk, p_hash, pbkdf2, prf

# RFC 4231 section 4: (key, data, code)
HMACS = (
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (
        b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
)  # fmt: skip

# The vector for P_SHA256 that circulates since the working group's mailing list of 2009: 100 bytes, four rounds.
SECRET = unhex("9bbe436ba940f017b17652849a71db35")
SEED = unhex("a0ba9f936cda311827a6f796ffd5198c")
PRF = unhex(
    "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17"
    "abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66"
)

# RFC 7914 section 11 (its first 32 bytes), and RFC 6070's inputs with SHA-256: (password, salt, rounds, key)
PBKDF2 = (
    (b"passwd", b"salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
    (b"password", b"salt", 1, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"),
    (b"password", b"salt", 2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"),
    (b"password", b"salt", 4096, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"),
)


def hmac(key, *parts):
    return hashed(padded(key), *parts)


def test_hmac():
    for key, data, code in HMACS:
        code = unhex(code)
        assert hmac(key, data)[: len(code)] == code


def test_hmac_of_parts_and_of_many_messages():
    for key, data, code in HMACS:
        code = unhex(code)
        key = padded(bytearray(key))
        for cut in (0, 1, len(data) // 2, len(data)):
            assert hashed(key, data[:cut], memoryview(data)[cut:])[: len(code)] == code
        assert hashed(key, data + b"\0")[: len(code)] != code
        assert hashed(key, data)[: len(code)] == code


def test_a_key_of_one_block_is_not_hashed_and_a_longer_one_is():
    block = bytes(range(64))
    assert hmac(block, b"x") == hmac(block[:], b"x") != hmac(block[:63], b"x")
    assert hmac(block[:63] + b"\0", b"x") == hmac(block[:63], b"x")  # filled up with zeros
    assert hmac(block + b"\0", b"x") != hmac(block, b"x")


def test_prf():
    assert prf(SECRET, b"test label", SEED, 100) == PRF
    assert p_hash(SECRET, b"test label" + SEED, 100) == PRF
    for n in (0, 1, 12, 31, 32, 33, 48, 64, 96):  # every length is the beginning of a longer one
        assert prf(SECRET, b"test label", SEED, n) == PRF[:n]
    assert prf(SECRET, b"test labem", SEED, 12) != PRF[:12]


async def test_pbkdf2():
    for password, salt, rounds, key in PBKDF2:
        assert await pbkdf2(password, salt, rounds, 32) == unhex(key)
    assert await pbkdf2(b"password", b"salt", 2, 16) == unhex(PBKDF2[2][3])[:16]


async def test_the_loop_runs_during_pbkdf2():
    async with Turns() as turns:
        await pbkdf2(b"12345678", bytes(16), 1000, 16)
    assert turns.count >= 100, turns.count


def test_the_owners_psk_binds_all_that_it_is_made_of():
    """What goes into it is that of OCF; the same by other code is in unit/test_capture_handshakes.py."""
    master, randoms = bytes(range(48)), bytes(range(64))
    owner, device = b"o" * 16, b"d" * 16
    found = [owner_psk(master, randoms, 96, b"oic.sec.doxm.jw", owner, device)]
    block = p_hash(master, b"key expansion" + randoms, 96)
    assert found[0] == p_hash(block, b"oic.sec.doxm.jw" + owner + device, 16) and len(found[0]) == 16
    found.append(owner_psk(master, randoms, 40, b"oic.sec.doxm.jw", owner, device))
    found.append(owner_psk(master, randoms, 96, b"oic.sec.doxm.rdp", owner, device))
    found.append(owner_psk(master, randoms, 96, b"oic.sec.doxm.jw", device, owner))
    found.append(owner_psk(master, randoms[32:] + randoms[:32], 96, b"oic.sec.doxm.jw", owner, device))
    found.append(owner_psk(bytes(48), randoms, 96, b"oic.sec.doxm.jw", owner, device))
    assert len(set(found)) == len(found)


def test_equal_looks_at_every_byte():
    data = bytes(range(32))
    for kind in (bytes, bytearray, memoryview):
        assert equal(data, kind(data)) and equal(kind(data), data)
    for place in range(len(data)):
        for bit in (1, 0x80):
            other = bytearray(data)
            other[place] ^= bit
            assert not equal(data, other) and not equal(memoryview(other), data)
    other = bytearray(data)  # two differences that a sum or an exclusive or of all would not see
    other[3] ^= 4
    other[9] ^= 4
    assert not equal(data, other)
    assert not equal(data, data + b"\0") and not equal(data, data[:-1]) and not equal(b"", b"\0") and equal(b"", b"")
