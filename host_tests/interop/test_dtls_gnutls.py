"""lib/dtls and GnuTLS, each as client and as server; its server is the one that can do without cookies.

Its server says nothing to whom it refuses, so there are no alerts of its own here.
"""

import contextlib

import pytest
from dtls_ends import (
    AUTHORITY,
    BY_KEY,
    ECDHE_PSK,
    ECDSA_8,
    KEY,
    LO,
    NAME,
    PEER,
    SUITES,
    THEIRS,
    WRONG,
    End,
    fragments,
    free_port,
    pem,
    program,
    spec_for,
    spec_of_keys,
    until,
)

PACKAGE = "apt-get install gnutls-bin"
HELLO_VERIFY_REQUEST = 3
NAMES = {
    0xC037: "+ECDHE-PSK:+AES-128-CBC:+SHA256",
    0xC0A8: "+PSK:+AES-128-CCM-8:+AEAD",
    0xC0AE: "+ECDHE-ECDSA:+AES-128-CCM-8:+AEAD",
    0xC0AC: "+ECDHE-ECDSA:+AES-128-CCM:+AEAD",
}
suites = pytest.mark.parametrize("suite", SUITES, ids=hex)


def priority(suite):
    return (
        "--priority=NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:-CIPHER-ALL:-MAC-ALL:-GROUP-ALL:+GROUP-SECP256R1:"
        + NAMES[suite]
    )


def certificates(folder):
    key, leaf, between = PEER.files(folder)
    (folder / "authority.pem").write_bytes(pem(AUTHORITY))
    leaf.write_bytes(leaf.read_bytes() + between.read_bytes())
    return ("--x509keyfile", key, "--x509certfile", leaf, "--x509cafile", folder / "authority.pem")


def client(folder, port, suite, key=KEY):
    own = ("--pskusername", NAME, "--pskkey", key.hex()) if suite in BY_KEY else certificates(folder)
    # The certificate names a Device, no host.
    own += () if suite in BY_KEY else ("--no-ca-verification",)
    return program("gnutls-cli", "--udp", "-p", port, LO, priority(suite), *own, package=PACKAGE)


@contextlib.asynccontextmanager
async def server(folder, suite, *more):
    """(the program, its port): what is sent comes back."""
    port = free_port()
    (folder / "keys").write_text(f"{NAME}:{KEY.hex()}\n")
    own = ("--pskpasswd", folder / "keys") if suite in BY_KEY else (*certificates(folder), "--require-client-cert")
    async with program(
        "gnutls-serv", "--udp", "--echo", "-p", port, priority(suite), *own, *more, package=PACKAGE
    ) as it:
        await it.prints("IPv4 0.0.0.0 port")
        yield it, port


@suites
async def test_gnutls_asks_our_server(tmp_path, suite):
    async with End(spec_for(suite), server=True) as ours, client(tmp_path, ours.port, suite) as theirs:
        await until(lambda: ours.keys.sessions)
        (session,) = ours.keys.sessions
        assert (session.suite, session.uuid) == (suite, THEIRS)
        if suite == ECDHE_PSK:  # gnutls-cli 3.7 crashes when it prints about such a session: that is all there is
            return
        await theirs.prints("Handshake was completed")
        assert "extended master secret" in theirs.text
        theirs.say("said by GnuTLS")
        await theirs.prints("SLTunG yb dias")
        theirs.process.stdin.close()  # it ends with close_notify
        await until(lambda: ours.keys.gone == [session])


@pytest.mark.parametrize("more", [(), ("--nocookie",)], ids=["cookie", "no-cookie"])
@suites
async def test_our_client_asks_gnutls(tmp_path, suite, more):
    async with server(tmp_path, suite, *more) as (_, port), End(spec_for(suite), server=False) as ours:
        session = await ours.connect(port)
        assert bool(fragments(ours.wire.received, HELLO_VERIFY_REQUEST)) is not bool(more)
        assert (session.suite, session.uuid) == (suite, THEIRS)
        ours.transport.send(b"said by us\n", session)
        await ours.heard(b"said by us\n")
        ours.transport.drop(session)


async def test_gnutls_understands_our_alerts(tmp_path):
    async with End(spec_of_keys(), server=True) as ours:
        async with client(tmp_path, ours.port, ECDHE_PSK, WRONG) as theirs:
            await theirs.prints("Received alert [20]")
        async with client(tmp_path, ours.port, ECDSA_8) as theirs:
            await theirs.prints("Received alert [40]")
        await ours.at_rest()
        assert not ours.keys.sessions
