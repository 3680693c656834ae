"""lib/dtls and OpenSSL, each as client and as server.

OpenSSL does four of our five suites. The fifth, 0xFF00 (ECDH_anon), has no foreign implementation that can be had here:
OpenSSL's anonymous suites are others, with another MAC. It is held against the recorded handshakes of OCF's reference tool.
"""

import contextlib
import errno
import json

import pytest
from dtls.alert import Alert
from dtls_ends import (
    AUTHORITY,
    BAD_CERTIFICATE,
    BAD_RECORD_MAC,
    BY_CERTIFICATE,
    BY_KEY,
    CERTIFICATE_EXPIRED,
    DEVICE,
    ECDHE_PSK,
    ECDSA_8,
    EXPIRED,
    HANDSHAKE_FAILURE,
    KEY,
    LO,
    MIDDLE,
    NAME,
    OURS,
    PEER,
    STRANGER,
    SUITES,
    THEIRS,
    UNKNOWN_CA,
    UNKNOWN_PSK_IDENTITY,
    WRONG,
    End,
    Own,
    device,
    fragments,
    free_port,
    padded,
    party,
    pem,
    program,
    spec_for,
    spec_of_keys,
    until,
)

CIPHERS = {
    0xC037: "ECDHE-PSK-AES128-CBC-SHA256",
    0xC0A8: "PSK-AES128-CCM8",
    0xC0AE: "ECDHE-ECDSA-AES128-CCM8",
    0xC0AC: "ECDHE-ECDSA-AES128-CCM",
}
NO_EXTENDED = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nOptions = -ExtendedMasterSecret\n"
SERVER_HELLO, HELLO_VERIFY_REQUEST, CERTIFICATE = 2, 3, 11
EXTENDED = b"\0\x17\0\0"  # the extension extended_master_secret
suites = pytest.mark.parametrize("suite", SUITES, ids=hex)
extended = pytest.mark.parametrize("extended", [True, False], ids=["ems", "no-ems"])


def alert(number):
    """How OpenSSL reports a fatal alert."""
    return f"SSL alert number {number}\n"


class OpenSSL:
    """What its two programs are to know."""

    def __init__(self, folder):
        self.folder = folder
        self.arguments = []
        self.env = None

    def suites(self, *suites):
        self.arguments += ["-dtls1_2", "-cipher", ":".join([*(CIPHERS[s] for s in suites), "@SECLEVEL=0"])]
        return self

    def key(self, key=KEY, identity=NAME):
        self.arguments += ["-psk", key.hex(), "-psk_identity", identity]
        return self

    def certificate(self, own=PEER):
        """Its own, and whom it trusts."""
        key, leaf, between = own.files(self.folder)
        self.arguments += ["-cert", leaf, "-key", key, *(("-cert_chain", between) if own.between else ())]
        return self.trusting()

    def trusting(self):
        (self.folder / "authority.pem").write_bytes(pem(AUTHORITY))
        self.arguments += ["-CAfile", self.folder / "authority.pem", "-verify_return_error"]
        return self

    def knowing(self, suite):
        """What is needed for `suite`."""
        self.suites(suite)
        return self.key() if suite in BY_KEY else self.certificate()

    def plain(self):
        """Without the extended master secret (this version has no option of s_client for that)."""
        path = self.folder / "openssl.cnf"
        path.write_text(NO_EXTENDED)
        self.env = {"OPENSSL_CONF": str(path)}
        return self

    def also(self, *arguments):
        self.arguments += arguments
        return self

    @contextlib.asynccontextmanager
    async def client(self, port):
        async with self._run("s_client", "-connect", f"{LO}:{port}", "-verify", "4") as running:
            yield running

    @contextlib.asynccontextmanager
    async def server(self):
        """(the program, its port)"""
        verify = ("-Verify", "4") if "-cert" in self.arguments else ("-nocert",)
        async with self._run("s_server", "-accept", f"{LO}:0", *verify) as running:
            await running.prints("\nACCEPT ")
            await until(lambda: "\n" in running.text.partition("\nACCEPT ")[2], "the port's end")
            yield running, int(running.text.partition("\nACCEPT ")[2].split()[0].rpartition(":")[2])

    def _run(self, *arguments):
        return program("openssl", *arguments, *self.arguments, package="apt-get install openssl", env=self.env)


@pytest.fixture
def openssl(tmp_path):
    return OpenSSL(tmp_path)


# OpenSSL's client, our server


@extended
@suites
async def test_openssl_asks_our_server(openssl, suite, extended):
    openssl.knowing(suite)
    async with End(spec_for(suite), server=True) as ours:
        async with (openssl if extended else openssl.plain()).client(ours.port) as theirs:
            await theirs.prints(f"Extended master secret: {'yes' if extended else 'no'}")
            assert f"Cipher is {CIPHERS[suite]}" in theirs.text
            assert "Protocol  : DTLSv1.2" in theirs.text
            assert "error" not in theirs.text
            if suite in BY_CERTIFICATE:
                assert "Verify return code: 0 (ok)" in theirs.text and "CN = uuid:" + OURS in theirs.text
            await until(lambda: ours.keys.sessions)
            (session,) = ours.keys.sessions
            assert (session.suite, session.uuid, session.open) == (suite, THEIRS, True)
            theirs.say("said by OpenSSL")
            await theirs.prints("LSSnepO yb dias")
            assert ours.got == [b"said by OpenSSL\n"]
            theirs.say("Q")  # close_notify
            await until(lambda: ours.keys.gone == [session])
        assert not session.open and not ours.transport.sessions


@pytest.mark.parametrize("suite", [ECDHE_PSK, ECDSA_8], ids=hex)
async def test_our_server_s_close_notify_ends_openssl_s_client(openssl, suite):
    async with End(spec_for(suite), server=True) as ours, openssl.knowing(suite).client(ours.port) as theirs:
        await until(lambda: ours.keys.sessions)
        await theirs.prints("Extended master secret")
        ours.transport.drop(ours.keys.sessions[0])
        assert await theirs.ends() == 0 and "\nclosed\n" in theirs.text


async def refused(openssl, spec, says):
    """OpenSSL's client says why, when our server does not want it or it our server; nothing of it is left with us."""
    async with End(spec, server=True) as ours:
        async with openssl.client(ours.port) as theirs:
            await theirs.prints(says)
        await ours.at_rest()
        assert not ours.keys.sessions and not ours.transport.sessions and not ours.got


@pytest.mark.parametrize("suite", BY_KEY, ids=hex)
async def test_a_wrong_key_is_bad_record_mac_to_openssl(openssl, suite):
    await refused(openssl.suites(suite).key(WRONG), spec_of_keys(), alert(BAD_RECORD_MAC))


@pytest.mark.parametrize("suite", BY_KEY, ids=hex)
async def test_an_unknown_identity_is_told_to_openssl(openssl, suite):
    await refused(openssl.suites(suite).key(identity="somebody"), spec_of_keys(), alert(UNKNOWN_PSK_IDENTITY))


async def test_no_common_suite_is_told_to_openssl(openssl):
    await refused(openssl.suites(ECDSA_8).certificate(), spec_of_keys(), alert(HANDSHAKE_FAILURE))


@pytest.mark.parametrize(
    "own",
    [
        Own(party("uuid:" + THEIRS, STRANGER), STRANGER),
        Own(party("uuid:" + THEIRS, MIDDLE, **EXPIRED), MIDDLE),
        Own(party("uuid:" + THEIRS, MIDDLE)),  # the one between is missing
        Own(party("uuid:" + THEIRS, MIDDLE, ekus=("1.3.6.1.5.5.7.3.2",)), MIDDLE),  # not for OCF
    ],
    ids=["untrusted", "expired", "cut", "purpose"],
)
async def test_a_certificate_we_refuse_is_told_to_openssl_s_client(openssl, own):
    await refused(openssl.suites(ECDSA_8).certificate(own), DEVICE.spec(AUTHORITY), alert(BAD_CERTIFICATE))


async def test_a_client_of_openssl_without_a_certificate_is_refused(openssl):
    openssl.suites(ECDSA_8).trusting()
    await refused(openssl, DEVICE.spec(AUTHORITY), alert(HANDSHAKE_FAILURE))


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (Own(party("uuid:" + OURS, STRANGER), STRANGER), "self-signed certificate in certificate chain"),
        (Own(party("uuid:" + OURS, MIDDLE, **EXPIRED), MIDDLE), "certificate has expired"),
    ],
    ids=["untrusted", "expired"],
)
async def test_openssl_s_alert_ends_our_server_s_handshake(openssl, own, why):
    await refused(openssl.suites(ECDSA_8).certificate(), own.spec(AUTHORITY), why)


@pytest.mark.parametrize("suite", [ECDHE_PSK, ECDSA_8], ids=hex)
async def test_openssl_s_client_begins_anew_from_the_same_port(openssl, suite):
    """It was killed, and nothing is heard of the session that was."""
    openssl.knowing(suite).also("-bind", f"{LO}:{free_port()}")
    async with End(spec_for(suite), server=True) as ours:
        async with openssl.client(ours.port):
            await until(lambda: ours.keys.sessions)
        async with openssl.client(ours.port) as theirs:
            await until(lambda: len(ours.keys.sessions) == 2)
            theirs.say("once more")
            await theirs.prints("erom ecno")
        old, new = ours.keys.sessions
        assert old.address == new.address and ours.keys.gone == [old] and not old.open
        assert list(ours.transport.sessions.values()) == [new]


@pytest.mark.parametrize("identity", ["x", "Grüße aus dem Keller", "0" * 128], ids=["one", "utf-8", "128"])
async def test_identities_as_openssl_s_client_gives_them(openssl, identity):
    openssl.suites(ECDHE_PSK).key(identity=identity)
    async with End(spec_of_keys(identity=identity.encode()), server=True) as ours, openssl.client(ours.port):
        await until(lambda: ours.keys.sessions)


async def test_openssl_s_client_in_fragments(openssl):
    """Its certificates and those of ours do not fit into its datagrams of 300 bytes, nor into ours of 1200."""
    big = Own(party("uuid:" + OURS, MIDDLE, extra=padded(1400)), MIDDLE)
    own = Own(party("uuid:" + THEIRS, MIDDLE, extra=padded(1000)), MIDDLE)
    openssl.suites(ECDSA_8).certificate(own).also("-mtu", "300")
    async with End(big.spec(AUTHORITY), server=True, together=True) as ours, openssl.client(ours.port) as theirs:
        await theirs.prints("Verify return code: 0 (ok)")
        theirs.say("in pieces")
        await theirs.prints("seceip ni")
        assert len(fragments(ours.wire.received, CERTIFICATE)) >= 6
        assert len(fragments(ours.wire.sent, CERTIFICATE)) >= 2
        assert max(map(len, ours.wire.received)) <= 300


# Our client, OpenSSL's server

listening = pytest.mark.parametrize("listen", [True, False], ids=["listen", "accept"])


@listening
@extended
@suites
async def test_our_client_asks_openssl(openssl, suite, extended, listen):
    openssl.knowing(suite)
    if listen:  # the cookie before a connection is made (DTLSv1_listen)
        openssl.also("-listen")
    if not extended:
        openssl.plain()
    async with openssl.server() as (theirs, port), End(spec_for(suite), server=False) as ours:
        session = await ours.connect(port)
        assert (session.suite, session.uuid, session.open) == (suite, THEIRS, True)
        assert ours.keys.sessions == [session]
        await theirs.prints("CIPHER is " + CIPHERS[suite])
        # OpenSSL wants a cookie either way; GnuTLS can do without (test_dtls_gnutls.py).
        assert len(fragments(ours.wire.received, HELLO_VERIFY_REQUEST)) == 1
        (hello,) = fragments(ours.wire.received, SERVER_HELLO)
        assert (EXTENDED in hello) is extended
        if suite in BY_CERTIFICATE:
            assert "depth=0 CN = uuid:" + OURS in theirs.text and "verify error" not in theirs.text
        ours.transport.send(b"said by us\n", session)
        await theirs.prints("said by us")
        theirs.say("and answered")
        await ours.heard(b"and answered\n")
        # Its server closes the socket first when it is told to end, so a close_notify comes from this side alone.
        ours.transport.drop(session)
        await theirs.prints("\nDONE\n")
        assert "ERROR" not in theirs.text


async def refused_by(openssl, spec, timeout_ms=15_000):
    """The error that our client's connection to OpenSSL's server ends with, and what the server says."""
    async with openssl.server() as (theirs, port), End(spec, server=False) as ours:
        with pytest.raises(OSError) as error:
            await ours.connect(port, timeout_ms)
        await ours.at_rest()
        assert not ours.keys.sessions and not ours.transport.sessions
        if isinstance(error.value, Alert):
            await theirs.prints("ERROR")
        return error.value, theirs.text


async def test_no_common_suite_is_told_by_openssl(openssl):
    error, _ = await refused_by(openssl.suites(ECDSA_8).certificate(), spec_of_keys())
    assert (error.code, error.received) == (HANDSHAKE_FAILURE, True)


@pytest.mark.parametrize(
    "own",
    [
        Own(party("uuid:" + THEIRS, STRANGER), STRANGER),
        Own(party("uuid:" + THEIRS, MIDDLE, **EXPIRED), MIDDLE),
        Own(party("uuid:" + THEIRS, MIDDLE)),
    ],
    ids=["untrusted", "expired", "cut"],
)
async def test_a_certificate_we_refuse_is_told_to_openssl_s_server(openssl, own):
    error, text = await refused_by(openssl.suites(ECDSA_8).certificate(own), DEVICE.spec(AUTHORITY))
    assert (error.code, error.received) == (BAD_CERTIFICATE, False)
    assert alert(BAD_CERTIFICATE) in text


@pytest.mark.parametrize(
    ("own", "code"),
    [
        (Own(party("uuid:" + OURS, STRANGER), STRANGER), UNKNOWN_CA),
        (Own(party("uuid:" + OURS, MIDDLE, **EXPIRED), MIDDLE), CERTIFICATE_EXPIRED),
    ],
    ids=["untrusted", "expired"],
)
async def test_openssl_s_alert_ends_our_client_s_handshake(openssl, own, code):
    error, _ = await refused_by(openssl.suites(ECDSA_8).certificate(), own.spec(AUTHORITY))
    assert (error.code, error.received) == (code, True)


@pytest.mark.parametrize("suite", BY_KEY, ids=hex)
async def test_a_wrong_key_with_openssl_s_server_ends_in_time(openssl, suite):
    """OpenSSL says nothing about a Finished that it cannot read."""
    error, _ = await refused_by(openssl.suites(suite).key(), spec_of_keys(key=WRONG), 1500)
    assert not isinstance(error, Alert) and error.args[0] == errno.ETIMEDOUT


async def test_openssl_s_server_in_fragments(openssl):
    big = Own(party("uuid:" + OURS, MIDDLE, extra=padded(1400)), MIDDLE)
    own = Own(party("uuid:" + THEIRS, MIDDLE, extra=padded(1000)), MIDDLE)
    openssl.suites(ECDSA_8).certificate(own).also("-mtu", "300")
    async with openssl.server() as (theirs, port), End(big.spec(AUTHORITY), server=False, together=True) as ours:
        session = await ours.connect(port)
        assert len(fragments(ours.wire.received, CERTIFICATE)) >= 6
        assert len(fragments(ours.wire.sent, CERTIFICATE)) >= 2
        assert max(map(len, ours.wire.received)) <= 300
        ours.transport.send(b"in pieces\n", session)
        await theirs.prints("in pieces")


# Under MicroPython


@pytest.mark.parametrize("suite", [ECDHE_PSK, ECDSA_8], ids=hex)
async def test_openssl_asks_a_device(openssl, suite):
    port = free_port()
    openssl.knowing(suite)
    async with device("server", port, spec_for(suite)) as ours, openssl.client(port) as theirs:
        await ours.prints('"opened": %d' % suite)
        theirs.say("said by OpenSSL")
        await theirs.prints("LSSnepO yb dias")
        theirs.say("Q")
        await ours.prints('"closed": %d' % suite)


@pytest.mark.parametrize("suite", [ECDHE_PSK, ECDSA_8], ids=hex)
async def test_a_device_asks_openssl(openssl, suite):
    openssl.knowing(suite)
    async with openssl.server() as (theirs, port), device("client", port, spec_for(suite)) as ours:
        await theirs.prints("asked by a device")
        theirs.say("told by OpenSSL")
        assert await ours.ends() == 0
        assert '{"answer": "told by OpenSSL\\n"}' in ours.text
        await theirs.prints("\nDONE\n")


async def test_alerts_of_a_device_and_of_openssl(openssl):
    port = free_port()
    openssl.suites(ECDHE_PSK).key(WRONG)
    async with device("server", port, spec_of_keys()), openssl.client(port) as theirs:
        await theirs.prints(alert(BAD_RECORD_MAC))
    async with openssl.server() as (_, port), device("client", port, spec_for(ECDSA_8)) as ours:
        assert await ours.ends() == 0
        assert json.loads(ours.text) == {"alert": HANDSHAKE_FAILURE, "received": True}
