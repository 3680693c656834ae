"""AES as the platform has it (SP 800-38A), and AES-CCM on top of it (SP 800-38C), good and tampered with."""

from check import unhex
from crypto.ccm import Ccm
from port import aes

# SP 800-38A, F.1.1 and F.2.1
KEY = unhex("2b7e151628aed2a6abf7158809cf4f3c")
PLAIN = unhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
ECB = unhex(
    "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
    "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4"
)
CBC = unhex(
    "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
    "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"
)
IV = bytes(range(16))

# SP 800-38C, example 3: the nonce has 12 bytes, and so the length field 3, as in TLS
CCM_KEY = bytes(range(0x40, 0x50))
NONCE = bytes(range(0x10, 0x1C))
AAD = bytes(range(20))
DATA = bytes(range(0x20, 0x38))
EXAMPLE = unhex("e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5484392fbc1b09951")

# Made with OpenSSL; the same key and nonce, 13 bytes of `AAD`, as TLS has: (length of 00 01 02.., authenticator, the end)
MADE = (
    (0, 8, "b9dbe9858f64bce7"),
    (0, 16, "6cdc69ebbb1452d152daf7924cd811a9"),
    (1, 8, "c3fa18cd0a6a52f6f8"),
    (1, 16, "c35a39f992dbd018faefc1ee1c97a1dd7c"),
    (15, 8, "5abb3ccaccedb7c72cadc634dc048d49"),
    (15, 16, "5abb3ccaccedb7c7186b66e9064c30f288f9683a9f1f7838"),
    (16, 8, "bb3ccaccedb7c72bfad41f641f6b2c8d"),
    (16, 16, "bb3ccaccedb7c72b416a3f7b9606c1f8e3bae74c72be08fb"),
    (17, 8, "3ccaccedb7c72b411a2e634ea1bdb7e7"),
    (17, 16, "3ccaccedb7c72b41ce6ceac468bd6da72e4b5aaa0f7d6269"),
    (40, 8, "8c57cf400e0218cee81e93141182c5b5"),
    (40, 16, "8c57cf400e0218ce6083fc7473fa48fbe7506fb02914567e"),
    (300, 8, "7066427bf7715a694819e73e7a69d2dc"),
    (300, 16, "7066427bf7715a6943df44cd6b9b44200d8475221f4b2d62"),
)


def test_aes_ecb():
    assert aes(KEY, 1).encrypt(PLAIN) == ECB and aes(KEY, 1).decrypt(ECB) == PLAIN
    cipher = aes(KEY, 1)  # one for many blocks, as `Ccm` uses it
    for at in range(0, 64, 16):
        assert cipher.encrypt(PLAIN[at : at + 16]) == ECB[at : at + 16]


def test_aes_cbc():
    assert aes(KEY, 2, IV).encrypt(PLAIN) == CBC and aes(KEY, 2, IV).decrypt(CBC) == PLAIN
    cipher = aes(KEY, 2, IV)  # the last block is the next one's vector
    assert cipher.encrypt(PLAIN[:32]) + cipher.encrypt(PLAIN[32:]) == CBC


def test_ccm_of_sp_800_38c():
    ccm = Ccm(CCM_KEY, 8)
    assert ccm.seal(NONCE, AAD, DATA) == EXAMPLE
    assert ccm.open(NONCE, AAD, EXAMPLE) == DATA


def test_ccm_of_every_length_that_matters():
    for size, tag, end in MADE:
        ccm = Ccm(CCM_KEY, tag)
        data = bytes([i & 255 for i in range(size)])
        sealed = ccm.seal(NONCE, AAD[:13], data)
        end = unhex(end)
        assert len(sealed) == size + tag and sealed[-len(end) :] == end, size
        assert ccm.open(NONCE, AAD[:13], sealed) == data
        assert ccm.open(NONCE, AAD[:13], memoryview(sealed)) == data  # as records are given


def test_one_bit_that_is_not_what_was_sealed_is_refused():
    for tag in (8, 16):
        ccm = Ccm(CCM_KEY, tag)
        sealed = ccm.seal(NONCE, AAD, DATA)
        assert ccm.open(NONCE, AAD, sealed) == DATA
        for bit in range(8 * len(sealed)):  # data and authenticator
            assert ccm.open(NONCE, AAD, flipped(sealed, bit)) is None
        for bit in range(8 * len(AAD)):
            assert ccm.open(NONCE, flipped(AAD, bit), sealed) is None
        for bit in range(8 * len(NONCE)):
            assert ccm.open(flipped(NONCE, bit), AAD, sealed) is None
        for bit in range(0, 128, 9):
            assert Ccm(flipped(CCM_KEY, bit), tag).open(NONCE, AAD, sealed) is None


def test_a_length_that_is_not_what_was_sealed_is_refused():
    for tag in (8, 16):
        ccm = Ccm(CCM_KEY, tag)
        sealed = ccm.seal(NONCE, AAD, DATA)
        for size in range(len(sealed)):
            assert ccm.open(NONCE, AAD, sealed[:size]) is None
        for more in (b"\0", bytes(16)):
            assert ccm.open(NONCE, AAD, sealed + more) is None
            assert ccm.open(NONCE, AAD, more + sealed) is None
        assert ccm.open(NONCE, AAD + b"\0", sealed) is None
        assert ccm.open(NONCE, AAD[:-1], sealed) is None


def test_empty_data_is_still_authenticated():
    for tag in (8, 16):
        ccm = Ccm(CCM_KEY, tag)
        sealed = ccm.seal(NONCE, AAD, b"")
        assert len(sealed) == tag and ccm.open(NONCE, AAD, sealed) == b""
        for bit in range(8 * tag):
            assert ccm.open(NONCE, AAD, flipped(sealed, bit)) is None
        assert ccm.open(NONCE, AAD[1:], sealed) is None


def test_an_authenticator_of_another_length_is_another_one():
    """The length goes into what is authenticated: a long one cut short is none (RFC 3610 section 2.2)."""
    long = Ccm(CCM_KEY, 16).seal(NONCE, AAD, DATA)
    short = Ccm(CCM_KEY, 8).seal(NONCE, AAD, DATA)
    assert long[: len(DATA)] == short[: len(DATA)] and long[len(DATA) :][:8] != short[len(DATA) :]
    assert Ccm(CCM_KEY, 8).open(NONCE, AAD, long[:-8]) is None


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_aes_works_in_place():
    plain = bytes(range(32))
    expected = aes(bytes(16), 2, bytes(16)).encrypt(plain)
    buf = memoryview(bytearray(b"head" + plain))[4:]
    aes(bytes(16), 2, bytes(16)).encrypt(buf, buf)
    assert bytes(buf) == expected
    aes(bytes(16), 2, bytes(16)).decrypt(buf, buf)
    assert bytes(buf) == plain
