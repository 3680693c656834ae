"""Chains of certificates: `crypto.x509.verify_chain` and what the package `cryptography` makes of good and bad parties."""

import asyncio
import ipaddress
import shutil
import subprocess

import pytest
from certificates import (
    ANY,
    AUTHORITY,
    BITS,
    CLIENT,
    DAY,
    END_ENTITY,
    IDENTITY,
    LEAF,
    MIDDLE,
    NOW,
    ROLE,
    ROOT,
    SERVER,
    UUID,
    Party,
)
from check import raises
from crypto import der, pem, x509
from cryptography import x509 as peer
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st


def check(chain, anchors=(ROOT,), purpose="identity", now=NOW):
    """`verify_chain` for parties."""
    now = int(now.timestamp()) if now else None
    return asyncio.run(x509.verify_chain([p.der for p in chain], [p.der for p in anchors], purpose, now))


def refused(why, *args, **kwargs):
    with raises(ValueError, why):
        check(*args, **kwargs)


def test_good_chains():
    for chain, anchors in (
        ([LEAF, MIDDLE], [ROOT]),
        ([LEAF, MIDDLE, ROOT], [ROOT]),
        ([LEAF, MIDDLE, ROOT], [MIDDLE]),
        ([LEAF], [Party("Other", ca=True), MIDDLE]),
        ([Party("uuid:" + UUID, ROOT)], [ROOT]),
        ([LEAF, MIDDLE], [Party("Root", ca=True), ROOT]),  # a new key under the same name
        ([LEAF, MIDDLE, Party("Root", ca=True)], [ROOT]),
    ):
        for purpose in ("identity", "mfg", "server"):
            assert x509.uuid_of(check(chain, anchors, purpose)) == UUID


def test_leaf_as_generators_make_it():
    # plgd's has no basicConstraints, and a CRL address; its extended key usages are in another order.
    address = peer.CRLDistributionPoints(
        [peer.DistributionPoint([peer.UniformResourceIdentifier("http://a.example/crl")], None, None, None)]
    )
    key_id = peer.AuthorityKeyIdentifier.from_issuer_public_key(MIDDLE.key.public_key())
    extra = [(address, False), (key_id, False)]
    check([Party("uuid:" + UUID, MIDDLE, ekus=(CLIENT, SERVER, IDENTITY), constraints=False, extra=extra), MIDDLE])
    # The root of the reference's onboarding tool has digitalSignature too, and a serial number of 20 random bytes.
    root = Party("Tool", ca=True, usage=("digital_signature", *AUTHORITY), serial=2**159 - 1)
    check([Party("uuid:" + UUID, root)], [root])


def test_four_tiers():
    first = Party("First", ROOT, ca=True, path_len=1)
    second = Party("Second", first, ca=True, path_len=0)
    leaf = Party("uuid:" + UUID, second)
    check([leaf, second, first], [ROOT])
    check([leaf, second, first, ROOT], [ROOT])
    refused("manufacturer", [leaf, second, first], [ROOT], "mfg")  # three tiers there
    third = Party("Third", second, ca=True)
    refused("longer", [Party("uuid:" + UUID, third), third, second, first])
    refused("chain", [leaf, second, first, ROOT, ROOT])


def test_path_length():
    root = Party("Short", ca=True, path_len=0)
    middle = Party("Middle", root, ca=True)
    refused("longer", [Party("uuid:" + UUID, middle), middle], [root])
    check([Party("uuid:" + UUID, root)], [root])
    # A CA that may have no CA below it has made one.
    below = Party("Below", MIDDLE, ca=True)
    refused("longer", [Party("uuid:" + UUID, below), below, MIDDLE])


def test_manufacturers_intermediate():
    for middle in (
        Party("Loose", ROOT, ca=True),
        Party("Longer", ROOT, ca=True, path_len=1),
        Party("No CRL", ROOT, ca=True, path_len=0, usage=("key_cert_sign",)),
    ):
        leaf = Party("uuid:" + UUID, middle)
        check([leaf, middle])
        refused("manufacturer", [leaf, middle], purpose="mfg")


def test_issuer_that_is_no_ca():
    for middle in (
        Party("M", ROOT),
        Party("M", ROOT, usage=AUTHORITY),
        Party("M", ROOT, constraints=False, usage=AUTHORITY),
        Party("M", ROOT, ca=True, usage=("crl_sign", "digital_signature")),
        Party("M", ROOT, ca=True, usage=None),
    ):
        leaf = Party("uuid:" + UUID, middle)
        refused("not a CA", [leaf, middle])
        refused("not a CA", [leaf], [middle])
        refused("not a CA", [leaf, middle], [ROOT, middle])


def test_times():
    late, early = {"begin": NOW + DAY, "end": NOW + 2 * DAY}, {"begin": NOW - 2 * DAY, "end": NOW - DAY}
    for times, why in ((late, "not valid yet"), (early, "expired")):
        refused(why, [Party("uuid:" + UUID, MIDDLE, **times), MIDDLE])
        middle = Party("Middle", ROOT, ca=True, path_len=0, **times)
        leaf = Party("uuid:" + UUID, middle)
        refused(why, [leaf, middle])
        root = Party("R", ca=True, **times)
        refused(why, [Party("uuid:" + UUID, root)], [root])
        check([leaf, middle], now=None)
    check([LEAF, MIDDLE], now=NOW + DAY)
    check([LEAF, MIDDLE], now=NOW - DAY)


def test_end_entities():
    for usage in (
        BITS[:1],
        (*END_ENTITY, "key_encipherment"),
        ("key_agreement",),
        (*END_ENTITY, "decipher_only"),
        None,
    ):
        for purpose, ekus in (("identity", (SERVER, CLIENT, IDENTITY)), ("role", (SERVER, CLIENT, ROLE))):
            refused("key usage", [Party("uuid:" + UUID, ROOT, usage=usage, ekus=ekus)], purpose=purpose)
    for wrong in (
        (SERVER, IDENTITY),
        (CLIENT, IDENTITY),
        (SERVER, CLIENT),
        (SERVER, CLIENT, ROLE),
        (SERVER, CLIENT, ROLE, IDENTITY),
        (SERVER, CLIENT, IDENTITY, ANY),
        (),
    ):
        refused("extended key usage", [Party("uuid:" + UUID, ROOT, ekus=wrong)])
        refused("extended key usage", [Party("uuid:" + UUID, ROOT, ekus=wrong)], purpose="mfg")
    for wrong in ((SERVER, CLIENT, IDENTITY), (SERVER, CLIENT, ROLE, IDENTITY), (SERVER, ROLE), (ROLE,)):
        refused("extended key usage", [Party("x", ROOT, ekus=wrong)], purpose="role")
    assert check([Party("x", ROOT, ekus=(SERVER, CLIENT, ROLE), roles=[("A", "B")])], purpose="role").roles == (
        ("A", "B"),
    )
    refused("CA", [Party("uuid:" + UUID, ROOT, ca=True, usage=END_ENTITY)])


def test_plain_servers():
    check([Party("x", ROOT, ekus=(SERVER,), usage=("digital_signature",))], purpose="server")
    check([Party("x", ROOT, ekus=(SERVER,), usage=None)], purpose="server")
    refused("key usage", [Party("x", ROOT, ekus=(SERVER,), usage=("key_agreement",))], purpose="server")
    for ekus in ((), (CLIENT,), (SERVER, ANY)):
        refused("extended", [Party("x", ROOT, ekus=ekus)], purpose="server")


def test_hosts_of_servers():
    names = [
        peer.DNSName("Release.example"),
        peer.DNSName("*.wild.example"),
        peer.IPAddress(ipaddress.ip_address("192.0.2.7")),
        peer.IPAddress(ipaddress.ip_address("2001:db8::7")),
        peer.RFC822Name("mail.example"),
        peer.UniformResourceIdentifier("uri.example"),
    ]
    server = Party("cn.example", ROOT, ekus=(SERVER,), extra=[(peer.SubjectAlternativeName(names), False)])
    cert = check([server], purpose="server")
    assert cert.alt_names == ("release.example", "*.wild.example", "192.0.2.7")
    for host in ("release.example", "RELEASE.example.", "192.0.2.7"):
        assert x509.names_host(cert, host)
    for host in ("cn.example", "a.wild.example", "192.0.2.70", "mail.example", "uri.example", "2001:db8::7", ""):
        assert not x509.names_host(cert, host)


def test_swapped_issuers_and_foreign_keys():
    other = Party("Root", ca=True)
    refused("signature", [Party("uuid:" + UUID, other)])
    refused("follow", [LEAF, ROOT])
    refused("follow", [LEAF, ROOT, MIDDLE])
    impostor = Party("Middle", ROOT, ca=True, path_len=0)
    refused("signature", [LEAF, impostor])
    refused("follow", [Party("uuid:" + UUID), ROOT])
    refused("not trusted", [Party("uuid:" + UUID)])
    refused("not trusted", [LEAF, MIDDLE, ROOT], [])
    refused("signature", [Party(ROOT.subject, other)])
    # Self-signed under the anchor's name: the anchor's key decides, not the chain's.
    own = Party("Root", ca=True)
    refused("signature", [Party("uuid:" + UUID, own), own])


def test_forged_signatures():
    certificate = LEAF.certificate
    r, s = decode_dss_signature(certificate.signature)
    head = LEAF.der[4 : 4 + len(certificate.tbs_certificate_bytes)] + der.SHA256
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for pair, why in (
        ((r, s), None),
        ((r ^ 1, s), "signature"),
        ((r, s ^ 1), "signature"),
        ((order, s), "signature"),
        ((r, order), "signature"),
        ((0, s), "DER"),
        ((r, 0), "DER"),
        ((r + (1 << 256), s), "DER"),
    ):
        party = Party.__new__(Party)
        party.der = der.encode(0x30, head, der.encode(3, b"\0", encode_dss_signature(*pair)))
        if why:
            refused(why, [party, MIDDLE])
        else:
            assert party.der == LEAF.der


def test_anchor_of_another_algorithm_does_not_hide_the_good_one():
    old = rsa.generate_private_key(65537, 2048)
    p384 = ec.generate_private_key(ec.SECP384R1())
    check([LEAF, MIDDLE], [Party("Root", ca=True, key=old), ROOT])
    check([LEAF, MIDDLE], [Party("Root", ca=True, key=p384), ROOT])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(LEAF.der) - 1), st.integers(1, 255))
def test_no_changed_chain_is_accepted(place, flip):
    data = bytearray(LEAF.der)
    data[place] ^= flip
    party = Party.__new__(Party)
    party.der = bytes(data)
    refused("", [party, MIDDLE])


@pytest.mark.skipif(not shutil.which("openssl"), reason="the command openssl is missing")
def test_openssl_agrees_about_chains(tmp_path):
    """Both accept the chain and both refuse the one whose pathlen is exceeded."""
    below = Party("Below", MIDDLE, ca=True)
    cases = [([LEAF, MIDDLE], True), ([Party("uuid:" + UUID, below), below, MIDDLE], False)]
    for number, (chain, good) in enumerate(cases):
        files = []
        for label, parties in (("root", [ROOT]), ("rest", chain[1:]), ("leaf", chain[:1])):
            files.append(tmp_path / f"{label}{number}.pem")
            files[-1].write_text("".join(pem.encode("CERTIFICATE", party.der) for party in parties))
        command = [
            "openssl",
            "verify",
            "-attime",
            str(int(NOW.timestamp())),
            "-CAfile",
            files[0],
            "-untrusted",
            files[1],
            files[2],
        ]
        run = subprocess.run(command, capture_output=True, check=False)
        assert (run.returncode == 0) is good, run.stderr
        if good:
            check(chain)
        else:
            refused("longer", chain)
