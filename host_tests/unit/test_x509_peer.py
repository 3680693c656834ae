"""`crypto.x509`, `crypto.csr` and `crypto.pem` against the package `cryptography` and the command `openssl`."""

import asyncio
import datetime
import os
import shutil
import subprocess

import pytest
from certificates import (
    ANY,
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
    bytes_of,
    key_usage,
    name,
)
from check import raises
from crypto import certificate, csr, der, p256, pem, x509
from cryptography import x509 as peer
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "party",
    [
        ROOT,
        MIDDLE,
        LEAF,
        Party(name("uuid:" + UUID, "unit", ORGANIZATION_NAME="org", COUNTRY_NAME="DE"), ROOT),
        Party(name(None, "no CN"), ROOT, usage=BITS[:1]),
        Party("Größe", ROOT, usage=BITS, ekus=(ANY,), constraints=False),
        Party("x", ROOT, ekus=(ROLE,), roles=[("Home", "oic.role.a"), (None, "oic.role.b")]),
        Party("x", ROOT, usage=None, ekus=(), constraints=False),
        Party("long", ca=True, path_len=3, begin=datetime.datetime(1999, 12, 31), end=datetime.datetime(9999, 12, 31)),
        Party(
            "old", begin=datetime.datetime(1950, 1, 1, 1, 2, 3), end=datetime.datetime(2050, 1, 1), serial=2**159 - 1
        ),
        Party("more", ROOT, extra=[(peer.SubjectKeyIdentifier(bytes(20)), False), (peer.OCSPNoCheck(), False)]),
    ],
    ids=lambda party: party.subject.rfc4514_string(),
)
def test_reads_what_the_peer_reads(party):
    theirs, mine = party.certificate, certificate.parse(party.der)
    extensions = {extension.oid.dotted_string: extension.value for extension in theirs.extensions}
    numbers = theirs.public_key().public_numbers()
    assert mine.public == numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    assert mine.subject == theirs.subject.public_bytes() and mine.issuer == theirs.issuer.public_bytes()
    names = theirs.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert mine.name == (names[0].value if names else "")
    assert mine.not_before == theirs.not_valid_before_utc.timestamp()
    assert mine.not_after == theirs.not_valid_after_utc.timestamp()
    assert mine.serial == theirs.serial_number
    assert mine.tbs == theirs.tbs_certificate_bytes
    r, s = decode_dss_signature(theirs.signature)
    assert mine.signature == r.to_bytes(32, "big") + s.to_bytes(32, "big")
    constraints = extensions.get("2.5.29.19")
    assert mine.ca is bool(constraints and constraints.ca)
    assert mine.path_len == (constraints and constraints.path_length)
    usage = extensions.get("2.5.29.15")
    if usage is None:
        assert mine.key_usage is None
    else:
        for number, bit in enumerate(BITS):
            assert bool(mine.key_usage & 0x8000 >> number) is getattr(usage, "_" + bit), bit
    assert mine.ekus == tuple(oid.dotted_string for oid in extensions.get("2.5.29.37", ()))
    alternatives = extensions.get("2.5.29.17", ())
    roles = [a.value for a in alternatives if isinstance(a, peer.DirectoryName)]
    assert mine.roles == tuple(
        tuple(
            "".join(a.value for a in role.get_attributes_for_oid(oid))
            for oid in (NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME)
        )
        for role in roles
    )


def test_other_algorithms_are_refused():
    p384 = ec.generate_private_key(ec.SECP384R1())
    old = rsa.generate_private_key(65537, 2048)
    for party in (
        Party("x", ca=True, key=p384),
        Party("x", ca=True, key=old),
        Party("x", ca=True, algorithm=hashes.SHA384()),
        Party("x", ROOT, key=old),
    ):
        with raises(ValueError):
            certificate.parse(party.der)


def test_unknown_critical_extension():
    for extension in (
        peer.UnrecognizedExtension(peer.ObjectIdentifier("1.3.6.1.4.1.51414.1.0"), b"\x30\x00"),
        peer.NameConstraints([peer.DNSName("a.example")], None),
    ):
        certificate.parse(Party("x", ROOT, ca=True, extra=[(extension, False)]).der)
        with raises(ValueError, "critical"):
            certificate.parse(Party("x", ROOT, ca=True, extra=[(extension, True)]).der)


def test_too_many_extensions_and_too_long():
    extra = [(peer.UnrecognizedExtension(peer.ObjectIdentifier(f"1.2.{n}"), b""), False) for n in range(20)]
    certificate.parse(Party("x", extra=extra[:13]).der)
    with raises(ValueError, "too many"):
        certificate.parse(Party("x", extra=extra).der)
    big = peer.UnrecognizedExtension(peer.ObjectIdentifier("1.2.3"), bytes(2048))
    with raises(ValueError, "too long"):
        certificate.parse(Party("x", extra=[(big, False)]).der)


def test_two_common_names():
    two = peer.Name(
        [peer.NameAttribute(NameOID.COMMON_NAME, value) for value in ("uuid:" + UUID, "uuid:" + UUID[::-1])]
    )
    with raises(ValueError, "twice"):
        certificate.parse(Party(two, ROOT).der)


FULL = Party("uuid:" + UUID, ROOT, ekus=(SERVER, CLIENT, ROLE), roles=[("Home", "oic.role.a"), (None, "oic.role.b")])


def grown(data, tags=(0x30, 0x31, 0xA0, 0xA3, 0xA4, 0x04)):
    """Every certificate that is `data` and a NULL at the end of one element: SEQUENCEs, SETs, what wraps an extension."""
    reader = der.Reader(data)
    before = b""
    while reader.more():
        tag, whole, content = reader.take()
        rest = bytes(data[len(before) + len(whole) :])
        # keyIdentifiers are OCTET STRINGs of bytes, extensions are OCTET STRINGs of a SEQUENCE or a BIT STRING
        if tag in tags and len(content) and (tag != 4 or content[0] in (0x30, 3)):
            yield before + der.encode(tag, content, b"\5\0") + rest
            for inner in grown(bytes(content)):
                yield before + der.encode(tag, inner) + rest
        before += bytes(whole)


def test_nothing_may_follow_in_an_element():
    plain = Party("uuid:" + UUID, ROOT)
    for party in (plain, MIDDLE):
        count = 0
        for data in grown(party.der):
            count += 1
            with raises(ValueError):
                certificate.parse(data)
        assert count > 20
    # A key of another length, and a signature with a bit too few
    with raises(ValueError):
        certificate.parse(plain.der.replace(b"\x03\x42\x00\x04", b"\x03\x42\x01\x04"))
    outer = der.only(plain.der)
    head = outer.whole() + outer.whole()
    signature = bytes(outer.bits()[1])
    assert certificate.parse(der.encode(0x30, head, der.encode(3, b"\0", signature))).serial
    for wrong in (der.encode(3, b"\1", signature[:-1], b"\0"), der.encode(3, b"\0", signature, b"\0")):
        with raises(ValueError):
            certificate.parse(der.encode(0x30, head, wrong))


def test_cut_anywhere():
    for party in (LEAF, ROOT, FULL):
        for size in range(len(party.der)):
            with raises(ValueError):
                certificate.parse(party.der[:size])


def read_or_refuse(data):
    try:
        cert = certificate.parse(data)
    except ValueError:
        return
    assert len(cert.public) == len(cert.signature) == 64
    try:
        x509.uuid_of(cert)
    except ValueError:
        pass


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from([LEAF.der, ROOT.der, FULL.der]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_changed_bytes_raise_nothing_but_value_error(data, changes):
    data = bytearray(data)
    for place, value in changes:
        data[place % len(data)] = value
    read_or_refuse(data)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([LEAF.der, FULL.der]), st.integers(0, 700), st.integers(0, 12), st.binary(max_size=12))
def test_spliced_bytes_raise_nothing_but_value_error(data, place, gone, put):
    read_or_refuse(data[:place] + put + data[place + gone :])


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data):
    for read in (certificate.parse, der.decode_signature, der.oid, certificate.attribute):
        try:
            read(data)
        except ValueError:
            pass
    try:
        pem.decode(data)
    except ValueError:
        pass


@given(st.integers(1, 2**256 - 1), st.integers(1, 2**256 - 1))
def test_signatures_go_round(r, s):
    rs = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert der.encode_signature(rs) == encode_dss_signature(r, s)
    assert der.decode_signature(encode_dss_signature(r, s)) == rs


@given(st.from_regex(r"\A[0-2](\.[0-9]{1,2}){1}(\.[0-9]{1,9}){0,4}\Z"))
def test_object_identifiers(text):
    try:
        oid = peer.ObjectIdentifier(text)
    except ValueError:
        return
    extension = peer.ExtendedKeyUsage([oid])
    body = der.only(extension.public_bytes()).read(6)
    if len(body) <= 40:
        assert der.oid(body) == oid.dotted_string


def test_pem_is_the_peers():
    chain = [LEAF, MIDDLE, ROOT]
    text = "".join(party.certificate.public_bytes(serialization.Encoding.PEM).decode() for party in chain)
    assert pem.decode(text) == [party.der for party in chain]
    assert "".join(pem.encode("CERTIFICATE", party.der) for party in chain) == text


def request():
    private, public = p256.key_pair(os.urandom)
    return asyncio.run(csr.make(private, public, "uuid:" + UUID)), public


def test_request_is_read_by_the_peer():
    data, public = request()
    theirs = peer.load_der_x509_csr(data)
    assert theirs.is_signature_valid
    assert theirs.subject == name("uuid:" + UUID)
    numbers = theirs.public_key().public_numbers()
    assert public == numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    assert theirs.signature_hash_algorithm.name == "sha256" and len(theirs.extensions) == 0
    # What a CA makes of it is an identity certificate of this device.
    issued = (
        peer.CertificateBuilder()
        .subject_name(theirs.subject)
        .issuer_name(ROOT.subject)
        .public_key(theirs.public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(key_usage(END_ENTITY), True)
        .add_extension(peer.ExtendedKeyUsage([peer.ObjectIdentifier(e) for e in (SERVER, CLIENT, IDENTITY)]), False)
        .sign(ROOT.key, hashes.SHA256())
    )
    party = Party.__new__(Party)
    party.der = bytes_of(issued)
    leaf = asyncio.run(x509.verify_chain([party.der], [ROOT.der], "identity", int(NOW.timestamp())))
    assert leaf.public == public and x509.uuid_of(leaf) == UUID


@pytest.mark.skipif(not shutil.which("openssl"), reason="the command openssl is missing")
def test_request_is_read_by_openssl():
    data, _public = request()
    command = ["openssl", "req", "-verify", "-noout", "-subject", "-text"]
    run = subprocess.run(
        command, input=pem.encode("CERTIFICATE REQUEST", data).encode(), capture_output=True, check=False
    )
    text = (run.stdout + run.stderr).decode()
    assert run.returncode == 0 and "verify OK" in text, text
    assert "uuid:" + UUID in text and "ecdsa-with-SHA256" in text
