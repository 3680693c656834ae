"""PEM, and certification requests with a key pair made here."""

import hashlib

from check import raises
from crypto import certificate, csr, der, p256, pem
from crypto.verify import verify
from port import urandom

BLOCK = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"


def test_text():
    assert pem.encode("CERTIFICATE", b"\0\1\2") == BLOCK
    lines = pem.encode("X Y", bytes(100)).split("\n")
    assert lines[0] == "-----BEGIN X Y-----" and lines[-2:] == ["-----END X Y-----", ""]
    assert [len(line) for line in lines[1:-2]] == [64, 64, 8]


def test_goes_round():
    for size in (1, 2, 3, 47, 48, 49, 2048):
        data = bytes(i & 255 for i in range(size))
        assert pem.decode(pem.encode("CERTIFICATE", data)) == [data]


def test_what_is_tolerated():
    for text in (
        BLOCK.replace("\n", "\r\n"),
        BLOCK[:-1],
        BLOCK + "\0\0",
        "subject=x\n\n" + BLOCK + "behind it",
        BLOCK.replace("AAEC", "AA\n EC"),
        BLOCK.encode(),
        memoryview(BLOCK.encode()),
        b"\xff" + BLOCK.encode(),
    ):
        assert pem.decode(text) == [b"\0\1\2"]


def test_several_blocks_and_labels():
    key = BLOCK.replace("CERTIFICATE", "EC PRIVATE KEY").replace("AAEC", "AAED")
    assert pem.decode(BLOCK + "between\n" + key + BLOCK) == [b"\0\1\2"] * 2
    assert pem.decode(key + BLOCK, "EC PRIVATE KEY") == [b"\0\1\3"]
    assert pem.decode(key + BLOCK, None) == [b"\0\1\3", b"\0\1\2"]
    # A block of another label may be broken inside, but not without an end.
    assert pem.decode(key.replace("AAED", "A*") + BLOCK) == [b"\0\1\2"]
    assert len(pem.decode(BLOCK * 8)) == 8


def test_what_is_refused():
    for text, why in (
        ("", "no PEM"),
        ("AAEC", "no PEM"),
        (BLOCK.replace("CERTIFICATE", "X"), "no PEM"),
        (BLOCK[:40], "no end"),
        (BLOCK[:15], "no end"),
        (BLOCK.replace("END CERT", "END KERT"), "no end"),
        (BLOCK * 9, "too many"),
        (BLOCK + " " * 16384, "too long"),
        (BLOCK.replace("AAEC", "A*EC"), ""),
        (BLOCK.replace("AAEC", "AAE"), ""),
        (BLOCK.replace("AAEC", ""), ""),
        (BLOCK.replace("AAEC", "AAEC===="), ""),
        (BLOCK.replace("AAEC", "AAF="), ""),  # bits behind the last byte
        (BLOCK.replace("AAEC", "Proc-Type: 4,ENCRYPTED\n\nAAEC"), ""),
        (BLOCK.replace("-----END", "-----BEGIN CERTIFICATE-----\n-----END"), ""),
    ):
        with raises(ValueError, why):
            pem.decode(text)


async def test_request():
    private, public = p256.key_pair(urandom)
    name = "uuid:01234567-89ab-cdef-0123-456789abcdef"
    data = await csr.make(private, public, name)
    assert len(data) < 300
    request = der.only(data)
    info = request.whole()
    assert request.whole() == der.SHA256
    unused, signature = request.bits()
    request.end()
    assert unused == 0
    assert verify(public, hashlib.sha256(info).digest(), der.decode_signature(signature))
    reader = der.only(info)
    assert reader.unsigned() == 0
    assert certificate.attribute(reader.whole()) == name
    assert reader.whole() == der.P256 + public
    assert reader.read(0xA0) == b""
    reader.end()


async def test_names_of_requests():
    private, public = p256.key_pair(urandom)
    for name in ("", "x" * 65):
        with raises(ValueError, "name"):
            await csr.make(private, public, name)
    assert "\xe4".encode() * 64 in await csr.make(private, public, "\xe4" * 64)
