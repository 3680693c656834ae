"""Handshakes of lib/dtls that end badly or late, and what is left of sessions that are over, in simulated time."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
import simtime
from coap.client import Client
from coap.endpoint import Endpoint
from coap.message import Response
from crypto.ccm import Ccm
from dtls.alert import Alert
from dtls.record import Cbc
from dtls.transport import DtlsTransport
from dtls_peers import CLIENT, SERVER, SUITES, Credentials, Pair
from lossy import Datagram, Network, Way

WRAP = 2**30 / 1000  # seconds after which `ticks_ms` begins anew


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_a_storm(suite: int) -> None:
    """A fifth lost, and much doubled and overtaken, both ways at the same time: it takes longer, and that is all."""

    async def weather(seed: int) -> float:
        pair = Pair(suite)
        pair.network.random.seed(seed)
        pair.network.fate = pair.network.chance
        pair.network.way = Way(0.2, 0.2, 0, 0.2, held=2, jitter=0.3)
        await pair.ready()
        began = asyncio.get_running_loop().time()
        session = await pair.connect()
        took = asyncio.get_running_loop().time() - began
        pair.network.way = Way()
        await asyncio.sleep(10)
        pair.same_keys(session)
        pair.at_rest()
        await pair.talk(session)
        await pair.close()
        return took

    times = sorted(simtime.run(weather(seed)) for seed in range(25))
    assert times[len(times) // 2] < 10 and times[-1] < 63


@pytest.mark.parametrize("jitter", [0, 1])
@pytest.mark.parametrize("delay", [0.4, 1.5, 3, 5])
@pytest.mark.parametrize("suite", [0xC0A8, 0xC0AE])
def test_a_network_slower_than_the_timers(suite: int, delay: float, jitter: float) -> None:
    """Everything is sent again before it is answered; nobody answers what was sent again for ever."""

    async def main() -> None:
        pair = Pair(suite)
        network = pair.network
        network.fate = network.chance
        network.way = Way(delay=delay, jitter=jitter)
        await pair.ready()
        began = asyncio.get_running_loop().time()
        session = await pair.connect()
        assert asyncio.get_running_loop().time() - began < 6 * (delay + jitter) + 4
        assert network.counts["sent"] < (100 if suite == 0xC0AE else 50)
        await asyncio.sleep(70)
        before = network.counts["sent"]
        await asyncio.sleep(70)
        assert network.counts["sent"] == before
        pair.same_keys(session)
        pair.at_rest()
        network.way = Way()
        await pair.talk(session)
        await pair.close()

    simtime.run(main())


@pytest.mark.parametrize("back", [0.05, 0.005])
@pytest.mark.parametrize("suite", [0xC0A8, 0xC037, 0xC0AE])
def test_a_client_begins_anew_from_the_same_port_at_any_moment(suite: int, back: float) -> None:
    """It loses power when the datagram `number` is sent, and is `back` before or after that has arrived.

    If before, it is told what the one before it asked for: the wrong cookie, which it finds out after two timers, or a
    choice of keys, which fails, and the next attempt must succeed.
    """

    async def main(number: int) -> bool:
        def fate(datagram: Datagram) -> list[tuple[float, bytes]]:
            if datagram.number == number:
                end.unplug()
                cut.set()
            return [(0.01, datagram.data)]

        cut = asyncio.Event()
        pair = Pair(suite, fate)
        end = pair.client_end
        await pair.ready()
        first = asyncio.ensure_future(pair.connect())
        waiter = asyncio.ensure_future(cut.wait())
        done, _ = await asyncio.wait((waiter, first), timeout=2, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        end.unplug()
        await asyncio.sleep(back)
        pair.restart_client()
        began = asyncio.get_running_loop().time()
        try:
            session = await pair.connect()
        except Alert:
            assert number > 1 and back < 0.01
            session = await pair.connect()
        waited = 3 if number < 2 and back < 0.01 else 1
        assert asyncio.get_running_loop().time() - began < waited + 0.3
        await asyncio.sleep(65)
        pair.same_keys(session)
        await pair.talk(session)
        await pair.close()
        return first in done

    number = 0
    while not simtime.run(main(number)):
        number += 1
    assert number == (9 if suite == 0xC0AE else 6)


@pytest.mark.parametrize("suite", [0xC0A8, 0xC037])
def test_data_comes_once_however_often_and_late_its_datagram_does(suite: int) -> None:
    async def main() -> None:
        def fate(datagram: Datagram) -> list[tuple[float, bytes]]:
            again = (0.02, 0.5, 30) if datagram.data[0] == 23 else ()
            return [(delay, datagram.data) for delay in (0.01, *again)]

        pair = Pair(suite, fate)
        session = await pair.connect()
        sent = [b"%d" % i for i in range(100)]
        for data in sent:
            pair.client.send(data, session)
            await asyncio.sleep(0.2)
        await asyncio.sleep(40)
        echoes = [pair.inbox.get_nowait() for _ in range(pair.inbox.qsize())]
        assert echoes == [b"echo " + data for data in sent]
        await pair.close()

    simtime.run(main())


def test_another_pre_shared_key_is_told_with_the_second_finished() -> None:
    async def main() -> None:
        pair = Pair(0xC0A8)
        pair.credentials[1].psk_for = lambda hint, address: (b"client", bytes(16), "server")  # type: ignore[method-assign]
        began = asyncio.get_running_loop().time()
        with pytest.raises(Alert) as caught:
            await pair.connect()
        assert caught.value.code == 20 and caught.value.received
        assert asyncio.get_running_loop().time() - began < 1.2
        await asyncio.sleep(1)
        assert not pair.client.sessions and not pair.server.sessions
        pair.at_rest()
        await pair.close()

    simtime.run(main())


@pytest.mark.parametrize("before", [0.005, 0.015, 0.025, 0.035])
def test_the_counter_of_milliseconds_begins_anew_in_a_handshake(before: float) -> None:
    """A cookie of the time before it is good after it."""

    async def main() -> None:
        pair = Pair(0xC0A8)
        await pair.ready()
        began = asyncio.get_running_loop().time()
        session = await pair.connect()
        assert asyncio.get_running_loop().time() - began < 0.1
        await pair.talk(session)
        await pair.close()

    simtime.run(main(), WRAP - 0.2 - before)


def test_two_cookies_are_not_two_handshakes() -> None:
    """ClientHello was sent again before it was answered, and the server's cookies change in between: the first is used."""

    async def main() -> None:
        pair = Pair(0xC0A8)
        pair.network.fate = pair.network.chance
        pair.network.way = Way(delay=0.6)
        await pair.ready()
        session = await pair.connect()
        await asyncio.sleep(10)
        pair.same_keys(session)
        await pair.close()

    simtime.run(main(), 2**17 / 1000 - 0.2 - 1.1)


@pytest.mark.parametrize("suite", [0xC0A8, 0xC037])
def test_a_closed_session_has_no_keys(suite: int) -> None:
    """An endpoint remembers whom it answered (RFC 7252 section 4.5): of a peer that is gone, a name and no keys."""

    async def main() -> None:
        network = Network()
        server = DtlsTransport(network.end(SERVER), Credentials("server", (suite,)))
        endpoint = Endpoint(server, lambda request: Response(0x44))
        task = asyncio.ensure_future(endpoint.run())
        for _ in range(5):
            transport = DtlsTransport(network.end(CLIENT), Credentials("client", (suite,)), False)
            client = Client(Endpoint(transport))
            running = asyncio.ensure_future(client.endpoint.run())
            session = await transport.connect(SERVER)
            assert (await client.request(session, 2, "/")).code == 0x44
            assert keys() > 0
            client.endpoint.close()
            await asyncio.gather(running, return_exceptions=True)
            await asyncio.sleep(1)
            assert not server.sessions
            del transport, client, session
            assert keys() == 0
        endpoint.close()
        await asyncio.gather(task, return_exceptions=True)

    def all_keys() -> list[Any]:
        gc.collect()
        return [one for one in gc.get_objects() if isinstance(one, Ccm | Cbc)]

    def keys() -> int:
        return sum(all(one is not old for old in before) for one in all_keys())

    before = all_keys()  # of other tests
    simtime.run(main())
