"""lib/dtls and Mbed TLS (python-mbedtls), each as client and as server, and what either does about a lost datagram."""

import asyncio
import contextlib

import pytest
from dtls.alert import Alert
from dtls_ends import (
    AUTHORITY,
    BAD_CERTIFICATE,
    BAD_RECORD_MAC,
    BY_KEY,
    DEVICE,
    ECDHE_PSK,
    ECDSA_8,
    EXPIRED,
    HANDSHAKE_FAILURE,
    MIDDLE,
    OURS,
    STRANGER,
    SUITES,
    THEIRS,
    UNKNOWN_PSK_IDENTITY,
    WRONG,
    End,
    Own,
    device,
    free_port,
    party,
    spec_for,
    spec_of_keys,
    until,
)
from dtls_mbedtls import Mbed, by_certificate, by_key

ALERTED = "[0x7780]"  # MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE
suites = pytest.mark.parametrize("suite", SUITES, ids=hex)
two_suites = pytest.mark.parametrize("suite", [ECDHE_PSK, ECDSA_8], ids=hex)


def settings(suite):
    return by_key() if suite in BY_KEY else by_certificate()


@contextlib.asynccontextmanager
async def mbed_asks(suite, **wire):
    """(our server, the client of Mbed TLS)"""
    async with (
        End(spec_for(suite), server=True, **wire) as ours,
        Mbed(settings(suite), (suite,), ours.port) as theirs,
    ):
        yield ours, theirs


@contextlib.asynccontextmanager
async def we_ask(suite, **wire):
    """(our client, the server of Mbed TLS)"""
    async with Mbed(settings(suite), (suite,)) as theirs, End(spec_for(suite), server=False, **wire) as ours:
        yield ours, theirs


async def talk(ours, theirs, suite):
    """Both speak, and Mbed TLS ends it with its close_notify."""
    (session,) = ours.keys.sessions
    assert (session.suite, session.uuid, session.open) == (suite, THEIRS, True)
    theirs.write(b"said by Mbed TLS")
    await until(lambda: ours.got == [b"said by Mbed TLS"])
    ours.transport.send(b"said by us", session)
    await until(lambda: theirs.got and theirs.got[-1] == b"said by us")
    theirs.close()
    await until(lambda: ours.keys.gone == [session])
    assert not session.open and not ours.transport.sessions


@suites
async def test_mbed_tls_asks_our_server(suite):
    async with mbed_asks(suite) as (ours, theirs):
        await theirs.opens()
        await until(lambda: ours.keys.sessions)
        await talk(ours, theirs, suite)


@suites
async def test_our_client_asks_mbed_tls(suite):
    async with we_ask(suite) as (ours, theirs):
        await ours.connect(theirs.port)
        await theirs.opens()
        await talk(ours, theirs, suite)


@two_suites
async def test_our_close_notify_ends_mbed_tls_s_session(suite):
    async with mbed_asks(suite) as (ours, theirs):
        await until(lambda: ours.keys.sessions)
        await theirs.opens()
        ours.transport.drop(ours.keys.sessions[0])
        await until(lambda: theirs.closed)
    async with we_ask(suite) as (ours, theirs):
        session = await ours.connect(theirs.port)
        await theirs.opens()
        ours.transport.drop(session)
        await until(lambda: theirs.closed)


# Refusals


@pytest.mark.parametrize(
    ("spec", "foreign", "suite"),
    [
        (spec_of_keys(), by_key(WRONG), ECDHE_PSK),
        (spec_of_keys(), by_key(WRONG), 0xC0A8),
        (spec_of_keys(), by_key(identity="somebody"), ECDHE_PSK),
        (spec_of_keys(), by_certificate(), ECDSA_8),
        (DEVICE.spec(AUTHORITY), by_certificate(Own(party("uuid:" + THEIRS, STRANGER), STRANGER)), ECDSA_8),
        (DEVICE.spec(AUTHORITY), by_certificate(Own(party("uuid:" + THEIRS, MIDDLE, **EXPIRED), MIDDLE)), ECDSA_8),
    ],
    ids=["key", "key-ccm", "identity", "suite", "untrusted", "expired"],
)
async def test_mbed_tls_understands_that_our_server_refuses(spec, foreign, suite):
    async with End(spec, server=True) as ours, Mbed(foreign, (suite,), ours.port) as theirs:
        assert ALERTED in await theirs.refuses()
        await ours.at_rest()
        assert not ours.keys.sessions and not ours.transport.sessions


async def refused_by(foreign, spec, suite):
    """The alert that our client's connection ends with, and what Mbed TLS says."""
    async with Mbed(foreign, (suite,)) as theirs, End(spec, server=False) as ours:
        with pytest.raises(Alert) as error:
            await ours.connect(theirs.port)
        await ours.at_rest()
        assert not ours.keys.sessions and not ours.transport.sessions
        return error.value, await theirs.refuses()


@pytest.mark.parametrize(
    ("foreign", "spec", "suite", "code"),
    [
        (by_key(), spec_of_keys(key=WRONG), ECDHE_PSK, BAD_RECORD_MAC),
        (by_key(), spec_of_keys(key=WRONG), 0xC0A8, BAD_RECORD_MAC),
        (by_key(), spec_of_keys(identity=b"somebody"), ECDHE_PSK, UNKNOWN_PSK_IDENTITY),
        (by_certificate(), spec_of_keys(), ECDSA_8, HANDSHAKE_FAILURE),
    ],
    ids=["key", "key-ccm", "identity", "suite"],
)
async def test_our_client_understands_that_mbed_tls_refuses(foreign, spec, suite, code):
    error, _ = await refused_by(foreign, spec, suite)
    assert (error.code, error.received) == (code, True)


@pytest.mark.parametrize(
    "own",
    [Own(party("uuid:" + OURS, STRANGER), STRANGER), Own(party("uuid:" + OURS, MIDDLE, **EXPIRED), MIDDLE)],
    ids=["untrusted", "expired"],
)
async def test_mbed_tls_does_not_trust_us(own):
    """Our client is told so; our server sees the handshake end."""
    error, _ = await refused_by(by_certificate(), own.spec(AUTHORITY), ECDSA_8)
    assert error.received
    async with End(own.spec(AUTHORITY), server=True) as ours, Mbed(by_certificate(), (ECDSA_8,), ours.port) as theirs:
        assert "[0x2700]" in await theirs.refuses()  # MBEDTLS_ERR_X509_CERT_VERIFY_FAILED
        await ours.at_rest()
        assert not ours.keys.sessions


@pytest.mark.parametrize(
    "own",
    [
        Own(party("uuid:" + THEIRS, STRANGER), STRANGER),
        Own(party("uuid:" + THEIRS, MIDDLE, **EXPIRED), MIDDLE),
    ],
    ids=["untrusted", "expired"],
)
async def test_mbed_tls_understands_that_our_client_refuses(own):
    error, said = await refused_by(by_certificate(own), DEVICE.spec(AUTHORITY), ECDSA_8)
    assert (error.code, error.received) == (BAD_CERTIFICATE, False)
    assert ALERTED in said


# Losses: each datagram of a handshake is lost once, on its first way. Both implementations have their timers.


async def complete(begin, suite, lost=None, **wire):
    """A handshake that loses datagram number `lost[1]` of those that we send (`lost[0]`) or are to receive.

    How many there were each way, until both had said something.
    """
    losing = False

    def lose(sent, number):
        nonlocal losing
        losing |= (sent, number) == lost
        return (sent, number) == lost

    async with begin(suite, lose=lose, **wire) as (ours, theirs):
        if begin is we_ask:
            await ours.connect(theirs.port)
        await theirs.opens()
        await until(lambda: ours.keys.sessions)
        count = len(ours.wire.sent), len(ours.wire.received)
        await talk(ours, theirs, suite)
    assert losing is (lost is not None)
    return count


@two_suites
@pytest.mark.parametrize("begin", [mbed_asks, we_ask])
async def test_a_datagram_of_any_flight_is_lost(begin, suite):
    sent, received = await complete(begin, suite)
    assert sent >= 3 and received >= 5  # ... and every flight is among them
    lost = [(True, number) for number in range(sent)] + [(False, number) for number in range(received)]
    await asyncio.gather(*(complete(begin, suite, one) for one in lost))


@two_suites
@pytest.mark.parametrize("begin", [mbed_asks, we_ask])
async def test_every_datagram_comes_a_second_time(begin, suite):
    """In both directions; nothing is taken twice."""
    await complete(begin, suite, twice=True)


# Under MicroPython


@two_suites
async def test_mbed_tls_asks_a_device(suite):
    port = free_port()
    async with device("server", port, spec_for(suite)) as ours, Mbed(settings(suite), (suite,), port) as theirs:
        await theirs.opens()
        theirs.write(b"said by Mbed TLS")
        await until(lambda: theirs.got == [b"SLT debM yb dias"])
        theirs.close()
        await ours.prints('"closed": %d' % suite)


@two_suites
async def test_a_device_asks_mbed_tls(suite):
    async with Mbed(settings(suite), (suite,)) as theirs, device("client", theirs.port, spec_for(suite)) as ours:
        await until(lambda: theirs.got == [b"asked by a device\n"])
        theirs.write(b"told by Mbed TLS")
        assert await ours.ends() == 0 and '{"answer": "told by Mbed TLS"}' in ours.text
        await until(lambda: theirs.closed)
