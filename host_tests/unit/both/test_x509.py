"""Certificates: what is read from them, and chains. Throwaway certificates made with the package `cryptography`."""

from check import Turns, raises
from crypto import certificate, x509
from crypto.der import SHA256, encode
from crypto.pem import decode

# 1. Self-signed until 2059; 2. by 1, pathlen 0; 3. by 2, identity; 4. by 1, roles.
ROOT = """MIIBPDCB4qADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCVRlc3QgUm9v
dDAgFw0yNDAyMjkxMjAwMDFaGA8yMDU5MDEwMjAzMDQwNVowFDESMBAGA1UEAwwJ
VGVzdCBSb290MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKwMpooAY1F8FPWI3
VdC2E8y5UVWPdoaw4jI5jm8oRd7qFeCgjCNcihTtPJwMWDirwgPr+TBOzPuZyeI8
b426KqMjMCEwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwCgYIKoZI
zj0EAwIDSQAwRgIhAJ5CKmeb+LO8iNTeW5Jv+ZNGBBN0uMMhiKC0+VsMMw/IAiEA
kk/n0z69vI1NC5bt6hxTlOhdJ7wfmpLPz9J1vmF71Sk="""
INTERMEDIATE = """MIIBRDCB66ADAgECAgECMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCVRlc3QgUm9v
dDAeFw0yNDAyMjkxMjAwMDFaFw00OTEyMzEyMzU5NTlaMBwxGjAYBgNVBAMMEVRl
c3QgSW50ZXJtZWRpYXRlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE3fA8zfWl
6iy3tlH8wvJUhBUO+2LYfCgcZX8tYYcLDfXkE4LLbN85YwvF0rYNlaHMVWmDxhf6
Vl2hY/NEiASzoaMmMCQwEgYDVR0TAQH/BAgwBgEB/wIBADAOBgNVHQ8BAf8EBAMC
AQYwCgYIKoZIzj0EAwIDSAAwRQIhAKy67HjCNhxbEUBu1T64Gy96GK1HvyMrDDxE
BsL1DOwjAiBJj7iHxS6Qvl8KklPdEuDXMxKMkCQOYMSMLrfxAOU0Ug=="""
LEAF = """MIIBgzCCASqgAwIBAgIJAN6tvu8AESIzMAoGCCqGSM49BAMCMBwxGjAYBgNVBAMM
EVRlc3QgSW50ZXJtZWRpYXRlMB4XDTI0MDIyOTEyMDAwMVoXDTQ5MTIzMTIzNTk1
OVowNDEyMDAGA1UEAwwpdXVpZDowMTIzNDU2Ny04OUFCLWNkZWYtMDEyMy00NTY3
ODlhYmNkZWYwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAR4dzFcpeNYCB7Wztfg
av/Qiis2vXSqPIsdv/LdPVFv/XSZaGrTZ9TGoviQ9e3zEWymuCp5uGJd+Jccx/+g
8gYDoz0wOzAOBgNVHQ8BAf8EBAMCA4gwKQYDVR0lBCIwIAYIKwYBBQUHAwEGCCsG
AQUFBwMCBgorBgEEAYLefAEGMAoGCCqGSM49BAMCA0cAMEQCIH4U5vFk0Z6frGAM
Jwa3ybQ4BH6qJQAvLOe3bLop2vTBAiB/ozLpY60P0D+27zCxJZzNG+ZliGnWAwUE
O2Q0htd+oA=="""
ROLE = """MIIB9DCCAZqgAwIBAgIUAIAAAAAAAAAAAAAAAAAAAAAAAAMwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJVGVzdCBSb290MB4XDTI0MDIyOTEyMDAwMVoXDTQ5MTIzMTIz
NTk1OVowNDEyMDAGA1UEAwwpdXVpZDowMTIzNDU2Ny04OWFiLWNkZWYtMDEyMy00
NTY3ODlhYmNkZWYwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT4UtQxMAPJ+elh
/1wxd/BXCaDaeYMj069dTt2r+1WEHNWGkLtVC9jam3LemaByFGzYBuyocOMe3i91
J3JkRj2Ro4GpMIGmMA4GA1UdDwEB/wQEAwIDiDApBgNVHSUEIjAgBggrBgEFBQcD
AQYIKwYBBQUHAwIGCisGAQQBgt58AQcwWwYDVR0RBFQwUqQpMCcxFjAUBgNVBAMM
DW9pYy5yb2xlLmRvb3IxDTALBgNVBAsMBEhvbWWCCXguZXhhbXBsZaQaMBgxFjAU
BgNVBAMMDW9pYy5yb2xlLmxhbXAwDAYDVR0TAQH/BAIwADAKBggqhkjOPQQDAgNI
ADBFAiAAyw5mt1BwG4as08Chf5oc9LNHOqHC/aQloOuhhKkL3gIhAIjowtlbxfXG
1m++cVFbwGwqE+oF7ZljJxMbNFqF71Mq"""


def der(text):
    return decode("-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----" % text)[0]


ROOT = der(ROOT)
INTERMEDIATE = der(INTERMEDIATE)
LEAF = der(LEAF)
ROLE = der(ROLE)
PUBLIC = (
    "7877315ca5e358081ed6ced7e06affd08a2b36bd74aa3c8b1dbff2dd3d516ffd"
    "7499686ad367d4c6a2f890f5edf3116ca6b82a79b8625df8971cc7ffa0f20603"
)
UUID = "01234567-89ab-cdef-0123-456789abcdef"
BEGIN = 1709208001  # 2024-02-29 12:00:01
END = 2524607999  # 2049-12-31 23:59:59
NOW = 1800000000


def changed(data, old, new):
    """`data` with its only `old` replaced by `new` of the same length."""
    assert len(old) == len(new) and len(data.split(old)) == 2
    return data.replace(old, new)


class Cert:
    def __init__(self, name):
        self.name = name


def test_leaf_is_read():
    cert = certificate.parse(LEAF)
    assert cert.name == "uuid:01234567-89AB-cdef-0123-456789abcdef" and x509.uuid_of(cert) == UUID
    assert cert.public == bytes(int(PUBLIC[i : i + 2], 16) for i in range(0, 128, 2))
    assert cert.serial == 0xDEADBEEF00112233
    assert (cert.not_before, cert.not_after) == (BEGIN, END)
    assert cert.ca is False and cert.path_len is None
    assert cert.key_usage == 0x8800
    assert cert.ekus == ("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.44924.1.6")
    assert cert.roles == () and len(cert.signature) == 64
    assert cert.issuer_name == certificate.attribute(cert.issuer) == "Test Intermediate"
    assert cert.tbs[0] == 0x30 and bytes(cert.tbs) in LEAF


def test_authorities_are_read():
    root, intermediate = certificate.parse(ROOT), certificate.parse(INTERMEDIATE)
    assert root.ca is True and root.path_len is None and root.key_usage == 0x0600 and root.ekus == ()
    assert root.subject == root.issuer == intermediate.issuer and root.name == "Test Root"
    assert intermediate.ca is True and intermediate.path_len == 0
    assert root.not_after == 2808702245  # 2059-01-02 03:04:05, a GeneralizedTime


def test_roles_are_read():
    cert = certificate.parse(ROLE)
    assert cert.roles == (("Home", "oic.role.door"), ("", "oic.role.lamp"))
    assert cert.serial == 2**151 + 3
    assert cert.alt_names == ("x.example",)
    assert x509.names_host(cert, "X.example.") and x509.names_host(cert, "x.example")
    for host in ("", "example", "a.x.example", "x.example\0", "oic.role.door"):
        assert not x509.names_host(cert, host), host


def test_input_may_be_a_view_that_changes_later():
    buffer = bytearray(LEAF)
    cert = certificate.parse(memoryview(buffer))
    for i in range(len(buffer)):
        buffer[i] = 0
    assert x509.uuid_of(cert) == UUID and cert.tbs[0] == 0x30


def test_every_cut_is_refused():
    for size in range(len(ROLE)):
        with raises(ValueError):
            certificate.parse(ROLE[:size])
    with raises(ValueError):
        certificate.parse(ROLE + b"\0")


def test_every_flipped_byte_is_refused_or_read():
    data = bytearray(ROLE)
    for i in range(len(data)):
        for flip in (1, 0x20, 0x80, 0xFF):
            data[i] ^= flip
            try:
                certificate.parse(data)
            except ValueError:
                pass
            data[i] ^= flip


def test_what_is_not_supported_is_refused():
    with raises(ValueError, "too long"):
        certificate.parse(bytes(2049))
    with raises(ValueError, "SHA-256"):  # ecdsa-with-SHA384
        certificate.parse(ROOT.replace(SHA256, SHA256[:-1] + b"\x03"))
    with raises(ValueError, "P-256"):  # secp256k1 in place of prime256v1, lengths kept
        certificate.parse(changed(ROOT, b"\x2a\x86\x48\xce\x3d\x03\x01\x07", b"\x2a\x86\x48\xce\x3d\x03\x01\x0a"))
    with raises(ValueError, "version"):
        certificate.parse(changed(ROOT, b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"))
    with raises(ValueError, "critical"):  # keyUsage becomes the unknown 2.5.29.99
        certificate.parse(changed(LEAF, b"\x55\x1d\x0f", b"\x55\x1d\x63"))
    assert certificate.parse(changed(LEAF, b"\x55\x1d\x25", b"\x55\x1d\x63")).ekus == ()  # not critical: passed over
    unknown = b"\x55\x1d\x63"
    with raises(ValueError, "twice"):
        certificate.parse(changed(changed(ROLE, b"\x55\x1d\x25", unknown), b"\x55\x1d\x11", unknown))
    with raises(ValueError):  # an extended key usage that is no OBJECT IDENTIFIER
        certificate.parse(changed(LEAF, b"\x06\x08\x2b\6\1\5\5\7\3\2", b"\x0d\x08\x2b\6\1\5\5\7\3\2"))
    with raises(ValueError):  # BOOLEAN that is neither left out nor 0xFF
        certificate.parse(changed(LEAF, b"\x55\x1d\x0f\x01\x01\xff", b"\x55\x1d\x0f\x01\x01\x01"))


def test_null_behind_the_algorithm_is_accepted():
    # As older Mbed TLS writes it, in both places; the lengths around it grow.
    outer = LEAF[4:]
    tbs_length = outer[2] << 8 | outer[3]
    tbs = outer[4 : 4 + tbs_length].replace(SHA256, b"\x30\x0c" + SHA256[2:] + b"\5\0")
    signature = outer[4 + tbs_length + len(SHA256) :]
    both = encode(0x30, encode(0x30, tbs), b"\x30\x0c" + SHA256[2:] + b"\5\0", signature)
    assert certificate.parse(both).name == certificate.parse(LEAF).name
    with raises(ValueError):
        certificate.parse(encode(0x30, encode(0x30, tbs), SHA256, signature))


def test_times():
    for text, seconds in (
        (b"240229120001Z", BEGIN),
        (b"700101000000Z", 0),
        (b"691231235959Z", -1),
        (b"000301000000Z", 951868800),
        (b"491231235959Z", END),
    ):
        cert = certificate.parse(ROOT.replace(b"240229120001Z", text))
        assert cert.not_before == seconds, (text, cert.not_before)
    for text in (
        b"230229120001Z",  # no leap year
        b"240431120001Z",
        b"241301120001Z",
        b"240001120001Z",
        b"240200120001Z",
        b"240229240001Z",
        b"240229126001Z",
        b"240229120060Z",
        b"240229120001+",
        b"24022912000 Z",
        b"2402291200-1Z",
    ):
        with raises(ValueError):
            certificate.parse(ROOT.replace(b"240229120001Z", text))
    for month in range(1, 13):
        first = certificate.parse(ROOT.replace(b"240229120001Z", b"25%02d01000000Z" % month)).not_before
        assert (first - 1735689600) // 86400 == (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)[month - 1]


def test_uuid_of():
    assert x509.uuid_of(Cert("UUID:" + UUID.upper())) == UUID
    for name in (
        "",
        UUID,
        "uuid:" + UUID[:-1],
        "uuid:" + UUID + "0",
        "uuid:" + UUID[:-1] + "g",
        "uuid:" + UUID.replace("-", "0"),
        "uuid:" + UUID[:4] + " " + UUID[5:],
        "uuid:0-1234567-89ab-cdef-0123-456789abcde",
        "x uuid:" + UUID,
    ):
        with raises(ValueError, "uuid"):
            x509.uuid_of(Cert(name))


def name(*pairs):
    sets = [encode(0x31, encode(0x30, bytes((6, 3, 0x55, 4, n)), encode(tag, text))) for n, tag, text in pairs]
    return encode(0x30, *sets)


def test_attributes_of_names():
    both = name((11, 0x13, b"Home"), (3, 0x0C, b"r\xc3\xb4le"))
    assert certificate.attribute(both) == "r\xf4le" and certificate.attribute(both, 11) == "Home"
    assert certificate.attribute(both, 10) == ""
    assert certificate.attribute(name()) == ""
    assert certificate.attribute(name((3, 0x1E, b"\0A"))) == ""  # BMPString: not read
    with raises(ValueError, "twice"):
        certificate.attribute(name((3, 0x0C, b"one"), (3, 0x0C, b"two")))
    with raises(ValueError):
        certificate.attribute(name((3, 0x0C, b"\xc3")))
    with raises(ValueError):
        certificate.attribute(both + b"\0")


async def refused(why, chain, anchors, purpose="identity", now=NOW):
    try:
        await x509.verify_chain(chain, anchors, purpose, now)
    except ValueError as error:
        assert why in str(error), error
    else:
        raise AssertionError("accepted, expected: " + why)


async def test_chains_that_hold():
    for chain, anchors in (
        ([LEAF, INTERMEDIATE], [ROOT]),
        ([LEAF, INTERMEDIATE, ROOT], [ROOT]),
        ([LEAF, INTERMEDIATE], [ROLE, b"", INTERMEDIATE]),
        ([LEAF], [INTERMEDIATE]),
    ):
        leaf = await x509.verify_chain(chain, anchors, "identity", NOW)
        assert x509.uuid_of(leaf) == UUID
    for purpose, now in (("mfg", None), ("server", END)):
        found = await x509.verify_chain([LEAF, INTERMEDIATE], [ROOT], purpose, now)
        assert found.public == certificate.parse(LEAF).public
    role = await x509.verify_chain([ROLE], [ROOT], "role", BEGIN)
    assert role.roles[0] == ("Home", "oic.role.door")


async def test_chains_that_do_not_lead_to_an_anchor():
    await refused("chain", [], [ROOT])
    await refused("chain", [LEAF, INTERMEDIATE, ROOT, ROOT, ROOT], [ROOT])
    await refused("not trusted", [LEAF], [ROOT])
    await refused("not trusted", [LEAF, INTERMEDIATE, ROOT], [])
    await refused("follow", [LEAF, ROOT], [ROOT])
    await refused("follow", [LEAF, ROLE, INTERMEDIATE], [ROOT])
    # The name is right and the key is another: the root's, under the name of the intermediate.
    await refused(
        "signature",
        [LEAF],
        [changed(INTERMEDIATE, certificate.parse(INTERMEDIATE).public, certificate.parse(ROOT).public)],
    )


async def test_forged_signatures():
    for data, place in ((LEAF, -1), (LEAF, -70), (INTERMEDIATE, -1)):
        forged = bytearray(data)
        forged[place] ^= 1
        chain = [bytes(forged), INTERMEDIATE] if data is LEAF else [LEAF, bytes(forged)]
        await refused("", chain, [ROOT])
    await refused("signature", [changed(LEAF, b"89AB", b"89AC"), INTERMEDIATE], [ROOT])
    # A point that is not on the curve
    key = certificate.parse(INTERMEDIATE).public
    await refused("signature", [LEAF], [changed(INTERMEDIATE, key, key[:-1] + bytes((key[-1] ^ 1,)))])


async def test_validity():
    chain = [LEAF, INTERMEDIATE]
    await x509.verify_chain(chain, [ROOT], "identity", BEGIN)
    await x509.verify_chain(chain, [ROOT], "identity", END)
    await refused("not valid yet", chain, [ROOT], "identity", BEGIN - 1)
    await refused("expired", chain, [ROOT], "identity", END + 1)
    await x509.verify_chain(chain, [ROOT], "identity", None)
    await refused("expired", [LEAF], [INTERMEDIATE.replace(b"491231235959Z", b"251231235959Z")])


async def test_purposes():
    usage = "extended key usage"
    await refused(usage, [LEAF, INTERMEDIATE], [ROOT], "role")
    await refused(usage, [ROLE], [ROOT], "identity")
    await refused(usage, [ROLE], [ROOT], "mfg")
    await refused("is a CA", [INTERMEDIATE], [ROOT])
    await refused("is a CA", [ROOT], [ROOT])
    # digitalSignature alone, or with keyCertSign; what a signature does not cover is looked at first
    for bits in (b"\x07\x80", b"\x02\x84"):
        other = changed(LEAF, b"\x03\x02\x03\x88", b"\x03\x02" + bits)
        await refused("wrong key usage", [other, INTERMEDIATE], [ROOT])
    # serverAuth and clientAuth are needed; anyExtendedKeyUsage is not allowed
    for old, new in ((b"\5\5\7\3\1", b"\5\5\7\3\x09"), (b"\5\5\7\3\2", b"\5\5\7\3\x09")):
        await refused(usage, [changed(LEAF, old, new), INTERMEDIATE], [ROOT])
    # clientAuth becomes anyExtendedKeyUsage and a short unknown one, in the same length
    await refused(
        usage,
        [changed(LEAF, b"\x06\x08\x2b\6\1\5\5\7\3\2", b"\x06\x04\x55\x1d\x25\0\x06\x02\x2b\6")],
        [INTERMEDIATE],
        "server",
    )


async def test_issuers_that_may_not_issue():
    # keyCertSign off
    usage = b"\x55\x1d\x0f\x01\x01\xff\x04\x04\x03\x02\x01"
    await refused("not a CA", [LEAF], [changed(INTERMEDIATE, usage + b"\x06", usage + b"\x02")])
    # pathlen -1 is no DER; an intermediate for manufacturers has pathlen 0
    await refused("DER", [LEAF], [changed(INTERMEDIATE, b"\xff\x02\x01\x00", b"\xff\x02\x01\xff")])
    await refused(
        "manufacturer", [LEAF, changed(INTERMEDIATE, b"\xff\x02\x01\x00", b"\xff\x02\x01\x01")], [ROOT], "mfg"
    )


async def test_the_loop_runs_on_meanwhile():
    async with Turns() as turns:
        await x509.verify_chain([LEAF], [INTERMEDIATE], "identity", NOW)
    assert turns.count > 50
