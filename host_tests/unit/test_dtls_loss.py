"""Handshakes of lib/dtls over a bad network, in simulated time: every datagram lost, doubled, overtaken, late or changed.

Client and server are both ours, so that each case tests one role as the sender and the other as the receiver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import simtime
from dtls_peers import BY_CERTIFICATE, CLIENT, SERVER, SUITES, Pair, label
from lossy import Datagram, Fate, flip

HOP = 0.01  # seconds
SLACK = 0.3  # of what a handshake may take beyond its timers: the shortest time between two transmissions
CHIP = 0.55  # seconds a multiplication, as the ESP32; a verification takes twice that
SLOWEST = 1.2
PASSED = {1: 1.5, 2: 3.5, 4: 15.5}  # timers that have fired (after 1, 3, 7 and 15 s) -> seconds

CURVES = [SUITES[name] for name in ("anon", "ecdhe_psk", "certificates")]  # what a slow chip is slow at

Key = tuple[Any, Any]  # (receiver, label)


def plain(_datagram: Datagram) -> list[tuple[float, bytes]]:
    return [(HOP, _datagram.data)]


def key_of(datagram: Datagram) -> Key:
    return datagram.to, label(datagram.data)


def at(key: Key, times: int, effect: Callable[[Datagram], list[tuple[float, bytes]]]) -> Fate:
    """`effect` is the fate of the datagram `key` the first `times` that it is sent."""
    seen = 0

    def fate(datagram: Datagram) -> list[tuple[float, bytes]]:
        nonlocal seen
        if key_of(datagram) != key or seen == times:
            return plain(datagram)
        seen += 1
        return effect(datagram)

    return fate


def overtaken(key: Key) -> Fate:
    """The datagram `key` waits until the next in its direction has passed."""
    state: list[Datagram | None] = []

    def fate(datagram: Datagram) -> list[tuple[float, bytes]]:
        if not state and key_of(datagram) == key:
            state.append(datagram)
            return []
        held = state[0] if state else None
        if held and held.to == datagram.to:
            state[0] = None
            return [(HOP, datagram.data), (HOP + 0.001, held.data)]
        return plain(datagram)

    return fate


async def shake(suite: int, fate: Fate | None = None, slow: tuple[float, float] = (0, 0), late: float = 0) -> float:
    """A handshake that must succeed, and all that belongs to it; the seconds that it took.

    `late`: seconds after which the last datagram arrives.
    """
    loop = asyncio.get_running_loop()
    pair = Pair(suite, fate or plain, slow)
    await pair.ready()
    began = loop.time()
    session = await pair.connect()
    took = loop.time() - began
    pair.same_keys(session)
    pair.at_rest()
    await pair.talk(session)
    await asyncio.sleep(late + 2)
    pair.same_keys(session)
    pair.at_rest()
    await pair.talk(session)
    await pair.close()
    return took


def watched(suite: int, slow: tuple[float, float] = (0, 0)) -> tuple[list[Key], float, int]:
    """The datagrams of a handshake over a good network, the seconds that it takes, and how many were sent more than once."""
    found: list[Key] = []
    again = 0

    def fate(datagram: Datagram) -> list[tuple[float, bytes]]:
        nonlocal again
        key = key_of(datagram)
        if datagram.data[0] in (20, 22):
            if key in found:
                again += 1
            else:
                found.append(key)
        return plain(datagram)

    took = simtime.run(shake(suite, fate, slow))
    return found, took, again


def within(good: float, lost: int) -> float:
    """When a handshake that takes `good` seconds must be over though something was lost so often.

    Timers double, so each loss costs the time that has passed, and a second.
    """
    return 2**lost * good + 2**lost - 1 + SLACK


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_a_good_network_needs_no_timer(suite: int) -> None:
    found, took, again = watched(suite)
    assert [key[0] for key in found][:3] == [SERVER, CLIENT, SERVER]
    assert len(found) == (9 if suite in BY_CERTIFICATE else 6)
    assert took == pytest.approx(6 * HOP, abs=0.01) and not again


@pytest.mark.parametrize("suite", CURVES)
def test_timers_fire_while_a_slow_chip_calculates(suite: int) -> None:
    _, took, again = watched(suite, (SLOWEST, SLOWEST))
    assert took > 2 * SLOWEST and again >= (10 if suite in BY_CERTIFICATE else 2)


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_each_datagram_lost_doubled_overtaken_or_late(suite: int) -> None:
    each_datagram(suite, (0, 0))


@pytest.mark.parametrize("slow", [(CHIP, 0), (0, CHIP), (SLOWEST, SLOWEST)], ids=["server", "client", "both"])
@pytest.mark.parametrize("suite", CURVES)
def test_the_same_on_slow_chips(suite: int, slow: tuple[float, float]) -> None:
    each_datagram(suite, slow)


def each_datagram(suite: int, slow: tuple[float, float]) -> None:
    """Whatever happens to one datagram, the handshake is over when its timers allow."""
    found, good, _ = watched(suite, slow)
    late = []
    for key in found:
        cases = [
            ("lost", at(key, 1, lambda d: []), 1, 0),
            ("lost twice", at(key, 2, lambda d: []), 2, 0),
            ("doubled", at(key, 1, lambda d: [(HOP, d.data), (HOP, d.data)]), 0, 0),
            ("doubled late", at(key, 1, lambda d: [(HOP, d.data), (good + 8, d.data)]), 0, good + 8),
            ("overtaken", overtaken(key), 1, 0),
        ]
        for timers, seconds in PASSED.items():
            cases.append((f"late by {timers} timers", at(key, 1, lambda d, s=seconds: [(s, d.data)]), 1, seconds))
        for name, fate, lost, seconds in cases:
            took = simtime.run(shake(suite, fate, slow, seconds))
            if took > within(good, lost):
                late.append((name, key, took))
    assert not late, f"good: {good}, late: {late}"


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_each_flight_arrives_backwards(suite: int) -> None:
    """Each record in a datagram of its own, the last first: what comes early is kept, but for pieces of a certificate."""

    def fate(datagram: Datagram) -> list[tuple[float, bytes]]:
        if datagram.data[0] == 23:
            return plain(datagram)
        nonlocal at
        at = max(at - 0.001, 0.01)  # the datagrams of a flight, too
        records = []
        rest = datagram.data
        while rest:
            size = 13 + int.from_bytes(rest[11:13], "big")
            records.append(rest[:size])
            rest = rest[size:]
        return [(HOP + at - 0.0001 * i, record) for i, record in enumerate(records)]

    at = 0.09  # seconds that the next datagram is held
    took = simtime.run(shake(suite, fate))
    assert took < (8 if suite in BY_CERTIFICATE else 0.7)


_BODY = 5  # index of the first spot that is not in a record's header


def spots(data: bytes) -> list[int]:
    """Bits of each record: of its type, version, epoch, number, length, and of its first, a middle and its last byte."""
    found = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 11 : at + 13], "big")
        found += [8 * (at + i) + i % 8 for i in (0, 2, 4, 10, 12, 13, 13 + size // 2, 12 + size)]
        at += 13 + size
    return found


async def changed(suite: int, key: Key, spot: int) -> bool:
    """A handshake of which one bit was changed under way: whether it succeeded. If not, the next must."""
    loop = asyncio.get_running_loop()
    pair = Pair(suite, at(key, 1, lambda d: [(HOP, flip(d.data, spots(d.data)[spot]))]))
    await pair.ready()
    began = loop.time()
    try:
        session = await pair.connect()
        assert loop.time() - began < within(6 * HOP, 2)  # two timers until another cookie is taken
        fine = True
    except OSError:
        assert not pair.client.sessions and loop.time() - began < 70 + SLACK
        fine = False
        await asyncio.sleep(64)  # the other end may have to find out by its timers
        session = await pair.connect()
    pair.same_keys(session)
    pair.at_rest()
    await pair.talk(session)
    await pair.close()
    return fine


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_each_datagram_changed(suite: int) -> None:
    """What is protected, or was changed in a record's header, is as if lost.

    A message in the clear cannot be told from what was meant: then both ends have the same keys, or none.
    """
    found, _, _ = watched(suite)
    for key in found:
        for i, record in enumerate(key[1]):
            for spot in range(8):
                fine = simtime.run(changed(suite, key, 8 * i + spot))
                clear = record[:2] == (22, 0) and key != found[0]  # the first ClientHello is only asked for its cookie
                assert fine or clear and spot >= _BODY, (key, record, spot)


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_the_line_breaks_for_good_in_each_flight(suite: int) -> None:
    found, _, _ = watched(suite)

    async def broken(key: Key) -> None:
        gone = False

        def fate(datagram: Datagram) -> list[tuple[float, bytes]]:
            nonlocal gone
            gone = gone or key_of(datagram) == key
            return [] if gone else plain(datagram)

        loop = asyncio.get_running_loop()
        pair = Pair(suite, fate)
        await pair.ready()
        began = loop.time()
        with pytest.raises(OSError):
            await pair.connect()
        assert loop.time() - began < 63 + SLACK
        assert not pair.client.sessions
        await asyncio.sleep(64)
        pair.at_rest()
        if key != found[-1]:
            assert not pair.server.sessions
        else:  # the server knows that the Client is there, and hears no more of it
            assert len(pair.server.sessions) == 1
            await asyncio.sleep(605)
            assert not pair.server.sessions
        pair.at_rest()
        await pair.close()

    for key in found:
        simtime.run(broken(key))
