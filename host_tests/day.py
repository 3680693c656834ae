"""A day of a device's in simulated time: clients come, ask, fall silent, lose power and come again over a bad network.

`python host_tests/day.py --hours 24 --seed 1 2 3` (make day) prints a line a day and fails with the first thing that is
wrong: an answer that belongs to another question, a request done twice, a session too many, a table that grows, a task
left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import sys
import time
from collections import Counter
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "lib")]

import simtime
from coap.asking import TransferError
from coap.client import Client
from coap.endpoint import Endpoint
from coap.message import Refused, Response
from dtls.transport import DtlsTransport
from dtls_peers import SERVER, SUITES, Credentials
from lossy import Network, Way
from port import sleep_ms

COUNTED = (
    *("handshakes", "failed handshakes", "exchanges", "answered", "unanswered", "broken transfers", "refused"),
    *("observations", "notifications", "silences", "closed", "powered off"),
    *("sent", "lost", "doubled", "held", "changed"),
)
LIMIT = 6  # sessions: fewer than there are clients
TICK = 30  # seconds between two states of what is observed
WRAP = 2**30 / 1000  # seconds after which `ticks_ms` begins anew: in the middle of the day
MOST = (
    600,
    20_000,
)  # things and bytes that the tables may hold: their limits, with two bodies of 4 KB and 4 KB of replies
AFTERWARDS = 300, 6000  # who was answered last, with what
CONTENT, CHANGED = 0x45, 0x44
_BODY = 3000
# What the network is like, an hour each: to the server, and from it.
WEATHER = [
    (Way(0.02, 0.01, 0.005, 0.02, jitter=0.03), Way(0.02, 0.01, 0.005, 0.02, jitter=0.03)),
    (Way(0.1, 0.05, 0.02, 0.05, jitter=0.2), Way(0.15, 0.05, 0.02, 0.05, jitter=0.2)),
    (Way(0.2, 0.1, 0.03, 0.1, held=8, jitter=0.5), Way(0.1, 0.1, 0.03, 0.1, held=8, jitter=0.5)),
    (Way(0.25, 0.05, 0.02, 0.05, held=40, jitter=0.3), Way(0.3, 0.05, 0.02, 0.05, held=40, jitter=0.3)),
]


def body(number: int) -> bytes:
    """The long answer to question `number`."""
    return random.Random(number).randbytes(_BODY)


@dataclass
class Ledger:
    """What has happened: `counts`, and how often each request that must be done once was done."""

    counts: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    wrong: list[str] = field(default_factory=list)

    def number(self) -> int:
        """A number for a question that nobody had before."""
        self.asked += 1
        return self.asked


class House:
    """The device."""

    def __init__(self, network: Network, ledger: Ledger) -> None:
        self.ledger = ledger
        self.tick = 0
        self.most = 0
        self.credentials = Credentials("house", tuple(SUITES.values()))
        self.transport = DtlsTransport(network.end(SERVER), self.credentials, limit=LIMIT)
        self.endpoint = Endpoint(self.transport, self.handle)
        self.transport.closed = self.endpoint.drop
        self.task = asyncio.ensure_future(self.endpoint.run())
        self.ticking = asyncio.ensure_future(self.ticks())

    async def ticks(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self.tick += 1
            self.endpoint.notify("tick")
            self.most = max(self.most, len(self.credentials.sessions), len(self.transport.sessions))

    def handle(self, request: Any) -> Any:
        who = request.identity or "nobody"
        self.most = max(self.most, len(self.credentials.sessions))
        if request.path == "/tick":
            return Response(CONTENT, b"%d" % self.tick, observe="tick")
        question = request.query[0]
        if request.path == "/name":
            return Response(CONTENT, f"{who} asked {question}".encode())
        if request.path == "/long":
            return Response(CONTENT, body(int(question)))
        self.ledger.done[question] += 1
        if self.ledger.done[question] > 1:
            self.ledger.wrong.append(f"{question} of {who} was done twice")
        if request.path == "/slow":
            return self.slow(who, question)
        if request.path == "/digest" and bytes(request.payload) != body(int(question)):
            self.ledger.wrong.append(f"{question} of {who}: another body came")
        return Response(CHANGED, f"{who} did {question}".encode())

    async def slow(self, who: str, question: str) -> Response:
        await sleep_ms(3000)
        if int(question) % 10 == 0:
            raise Refused(0x83, f"{who} may not {question}")
        return Response(CHANGED, f"{who} did {question}".encode())

    async def close(self) -> None:
        self.ticking.cancel()
        self.endpoint.close()
        await asyncio.gather(self.task, self.ticking, return_exceptions=True)


class Visitor:
    """A client, always from the same address. What it does is drawn from `dice`."""

    def __init__(self, network: Network, house: House, ledger: Ledger, number: int, suite: int, seed: int) -> None:
        self.network = network
        self.house = house
        self.counts = ledger.counts
        self.ledger = ledger
        self.name = "nobody" if suite == 0xFF00 else f"visitor {number}"
        self.address = (f"10.0.1.{number}", 40000)
        self.suite = suite
        self.dice = random.Random(seed)
        self.session: Any = None

    def start(self) -> None:
        """Power on."""
        self.end = self.network.end(self.address)
        self.transport = DtlsTransport(self.end, Credentials(self.name, (self.suite,)), False)
        self.endpoint = Endpoint(self.transport)
        self.client = Client(self.endpoint)
        self.task = asyncio.ensure_future(self.endpoint.run())
        self.session = None

    async def stop(self, politely: bool) -> None:
        """Power off; `politely`: with close_notify."""
        if not politely:
            self.end.unplug()
        self.endpoint.close()
        await asyncio.gather(self.task, return_exceptions=True)

    async def live(self, until: float) -> None:
        """Come, ask and go, again and again."""
        loop = asyncio.get_running_loop()
        self.start()
        while loop.time() < until:
            for _ in range(self.dice.randint(5, 40)):
                if loop.time() < until and await self.connected():
                    await self.ask()
                await asyncio.sleep(self.dice.expovariate(1 / 15))
            fate = self.dice.random()
            if fate < 0.35:
                self.counts["silences"] += 1
                await asyncio.sleep(self.dice.uniform(300, 1500))
            else:
                self.counts["closed" if fate < 0.65 else "powered off"] += 1
                await self.stop(fate < 0.65)
                await asyncio.sleep(self.dice.expovariate(1 / 5))
                self.start()
        await self.stop(True)

    async def connected(self) -> bool:
        """Whether there is a session; one is made if not."""
        if self.session and self.session.open:
            return True
        try:
            self.session = await self.transport.connect(SERVER)
            self.counts["handshakes"] += 1
            if self.session.suite != self.suite or self.session.uuid not in ("house", None):
                self.ledger.wrong.append(f"{self.name} speaks with {self.session.uuid}")
        except OSError:
            self.counts["failed handshakes"] += 1
            await asyncio.sleep(self.dice.expovariate(1 / 5))
        return bool(self.session and self.session.open)

    async def ask(self) -> None:
        """One exchange of some kind."""
        kinds = self.observe, self.get, self.long, self.post, self.slow, self.digest
        kind = self.dice.choices(kinds, (6, 40, 8, 30, 10, 6))[0]
        self.counts["exchanges"] += 1
        try:
            await kind(str(self.ledger.number()))
        except TransferError:
            self.counts["broken transfers"] += 1
        except OSError:
            self.counts["unanswered"] += 1
            if self.session.open:  # the server may have given the session up, and its alert was lost
                self.transport.drop(self.session)

    async def get(self, question: str) -> None:
        reply = await self.client.request(self.session, 1, "/name", [question])
        self.check(question, reply, CONTENT, f"{self.name} asked {question}".encode())

    async def long(self, question: str) -> None:
        reply = await self.client.request(self.session, 1, "/long", [question])
        self.check(question, reply, CONTENT, body(int(question)))

    async def post(self, question: str, path: str = "/do", payload: bytes = b"") -> None:
        reply = await self.client.request(self.session, 2, path, [question], payload)
        if reply.code in (0x88, 0xA3):  # blocks forgotten when a session ended, or too much to do
            self.counts["refused"] += 1
            return
        code, text = CHANGED, f"{self.name} did {question}"
        if path == "/slow" and int(question) % 10 == 0:
            code, text = 0x83, f"{self.name} may not {question}"
        self.check(question, reply, code, text.encode())
        if self.ledger.done[question] != 1:
            self.ledger.wrong.append(f"{question} was answered and done {self.ledger.done[question]} times")

    async def slow(self, question: str) -> None:
        await self.post(question, "/slow")

    async def digest(self, question: str) -> None:
        await self.post(question, "/digest", body(int(question)))

    async def observe(self, question: str) -> None:
        self.counts["observations"] += 1
        observation = await self.client.observe(self.session, "/tick")
        last = -1
        try:
            for _ in range(self.dice.randint(1, 6)):
                reply = await asyncio.wait_for(anext(observation), 5 * TICK)
                now = int(bytes(reply.payload))
                if reply.code != CONTENT or not last <= now <= self.house.tick:
                    self.ledger.wrong.append(f"{self.name} observed {now} after {last} at {self.house.tick}")
                last = now
                self.counts["notifications"] += 1
        except (TimeoutError, StopAsyncIteration):
            self.counts["observations ended"] += 1
        finally:
            await observation.close()

    def check(self, question: str, reply: Any, code: int, payload: bytes) -> None:
        self.counts["answered"] += 1
        if reply.code != code or bytes(reply.payload) != payload:
            text = bytes(reply.payload)[:60]
            self.ledger.wrong.append(f"{question} of {self.name} was answered {reply.code:#x} {text!r}")


def weigh(*roots: Any) -> tuple[int, int]:
    """What is kept, in things and in bytes, by objects of coap, dtls and crypto and all that they hold."""
    things = size = 0
    seen = set()
    todo = list(roots)
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, bytes | bytearray | memoryview):
            size += len(one)
        elif isinstance(one, dict):
            things += len(one)
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set):
            things += len(one)
            todo += one
        elif type(one).__module__.partition(".")[0] in ("coap", "crypto", "dtls"):
            todo += vars(one).values()
    return things, size


async def day(hours: float, clients: int, seed: int) -> tuple[Counter[str], list[tuple[int, int]]]:
    """Counts, and what the tables weighed each hour (a quarter of an hour, when the day is short)."""
    loop = asyncio.get_running_loop()
    ledger = Ledger()
    network = Network(seed)
    house = House(network, ledger)
    await asyncio.sleep(1)
    tasks, empty = len(asyncio.all_tasks()), weigh(house.endpoint)
    dice = random.Random(seed)
    until = loop.time() + hours * 3600
    # Two thirds use the suite without elliptic curves, which take this computer's time and none of the day's.
    suites = [list(SUITES.values())[i // 3 % 5] if i % 3 == 0 else SUITES["psk"] for i in range(clients)]
    dice.shuffle(suites)
    visitors = [Visitor(network, house, ledger, i, suite, seed * 100 + i) for i, suite in enumerate(suites)]
    lives = [asyncio.ensure_future(visitor.live(until)) for visitor in visitors]
    weights = []
    step = 3600 if hours >= 4 else 900
    while loop.time() < until:
        to, back = WEATHER[len(weights) % len(WEATHER)]
        network.way = back
        network.ways[SERVER] = to
        await asyncio.sleep(step)
        weights.append(weigh(house.endpoint))
        assert house.most <= LIMIT and not ledger.wrong, (house.most, ledger.wrong[:5])
    await asyncio.gather(*lives)
    # The device is as good as new: each client is served at once.
    network.way, network.ways = Way(), {}
    for visitor in visitors:
        visitor.start()
        assert await visitor.connected(), visitor.name
        await visitor.get(str(ledger.number()))
        await visitor.stop(True)
    await asyncio.sleep(700)  # sessions whose close_notify was lost are given up
    assert not ledger.wrong and not house.transport.sessions and not house.credentials.sessions
    assert len(asyncio.all_tasks()) == tasks, asyncio.all_tasks()
    weights.append(weigh(house.endpoint))
    await house.close()
    await asyncio.sleep(1)
    assert len(asyncio.all_tasks()) == 1, asyncio.all_tasks()
    return ledger.counts + network.counts, [empty, *weights]


@dataclass
class Report:
    """What a day was like."""

    hours: float
    seed: int
    counts: Counter[str]
    weights: list[tuple[int, int]]  # of the tables: before, then each hour, then afterwards
    seconds: float  # of this computer's

    def __str__(self) -> str:
        told = ", ".join(f"{self.counts[name]} {name}" for name in COUNTED)
        before, *_, after = self.weights
        return (
            f"{self.hours:g} h, seed {self.seed}: {told}; kept at most {self.most[0]} things and {self.most[1]} bytes,"
            f" {before[0]} and {before[1]} before, {after[0]} and {after[1]} afterwards; {self.seconds:.0f} s"
        )

    @property
    def most(self) -> tuple[int, int]:
        """The most that the tables weighed while the clients were there."""
        busy = self.weights[1:-1]
        return max(weight[0] for weight in busy), max(weight[1] for weight in busy)


def simulate(hours: float, clients: int, seed: int) -> Report:
    """Live a day. Raises AssertionError with what was wrong."""
    began = time.perf_counter()
    random.seed(seed)
    printed = io.StringIO()
    with redirect_stderr(printed):  # where product code prints exceptions that it did not expect
        counts, weights = simtime.run(day(hours, clients, seed), WRAP - hours * 1800)
    assert not printed.getvalue(), printed.getvalue()
    report = Report(hours, seed, counts, weights, time.perf_counter() - began)
    for weight, bound in ((report.most, MOST), (weights[-1], AFTERWARDS)):
        assert weight[0] <= bound[0] and weight[1] <= bound[1], report
    assert counts["answered"] > 0.85 * (counts["exchanges"] - counts["observations"]), report
    return report


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--clients", type=int, default=9)
    parser.add_argument("--seed", type=int, nargs="+", default=[int(time.time())])
    chosen = parser.parse_args()
    for seed in chosen.seed:
        print(simulate(chosen.hours, chosen.clients, seed), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
