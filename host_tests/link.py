"""A network between two programs of this machine: proxies that delay, lose and slow down, and a name server.

Runs in a thread of its own; the same seed loses the same datagrams. `with Link(rtt_ms=20, loss=0.01) as link:
port = link.udp(5683)` gives a port of 127.0.0.1 behind which port 5683 is 20 ms away.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

HOST = "127.0.0.1"
_PIECE = 1440  # bytes of one TCP segment


class _Thread:
    """A loop in a thread, for the length of a `with` block."""

    def __enter__(self) -> Any:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        self.run(self.begin())
        return self

    def __exit__(self, *_exc: object) -> None:
        self.run(self.end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(step, self.loop).result()

    async def begin(self) -> None:
        pass

    async def end(self) -> None:
        pass


class Link(_Thread):
    """`rtt_ms`: added to every round trip. `loss`: of datagrams, 0 to 1, each way. `rate`: bytes a second each way.

    `window`: bytes of a TCP connection that may be on their way in one direction (the chip: 5760). `cut()` breaks
    all TCP
    connections and loses all datagrams until `mend()`. `datagrams` and `lost` count.
    """

    def __init__(
        self, rtt_ms: float = 0, loss: float = 0, rate: float | None = None, window: int = 65536, seed: int = 1
    ) -> None:
        self.rtt_ms = rtt_ms
        self.loss = loss
        self.rate = rate
        self.window = window
        self.datagrams = self.lost = 0
        self._random = random.Random(seed)
        self._free = [0.0, 0.0]  # when each direction has sent what was given to it
        self._down = False
        self._transports: list[asyncio.DatagramTransport] = []
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()

    def udp(self, port: int) -> int:
        """A port whose datagrams go to `port`."""
        return int(self.run(self._udp(port)))

    def tcp(self, port: int) -> int:
        """A port whose connections go to `port`."""
        return int(self.run(self._tcp(port)))

    def cut(self) -> None:
        """Break the line."""
        self._down = True
        self.loop.call_soon_threadsafe(self._break)

    def mend(self) -> None:
        """The line is whole again, for new connections."""
        self._down = False

    def _break(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def end(self) -> None:
        self._break()
        for server in self._servers:
            server.close()
        for transport in self._transports:
            transport.close()

    def _arrival(self, size: int, way: int) -> float:
        """When (loop time) something of `size` bytes that is sent now arrives."""
        now = self.loop.time()
        if self.rate:
            now = self._free[way] = max(now, self._free[way]) + size / self.rate
        return now + self.rtt_ms / 2000

    # Datagrams

    async def _udp(self, port: int) -> int:
        transport, _ = await self.loop.create_datagram_endpoint(lambda: _Near(self, port), (HOST, 0))
        self._transports.append(transport)
        return int(transport.get_extra_info("sockname")[1])

    def carry(self, data: bytes, way: int, send: Any, *where: Any) -> None:
        """Take a datagram on its way to `send(data, *where)`."""
        self.datagrams += 1
        if self._down or self._random.random() < self.loss:
            self.lost += 1
            return
        self.loop.call_at(self._arrival(len(data), way), self._deliver, send, data, *where)

    def _deliver(self, send: Any, *arguments: Any) -> None:
        if not self._down:
            send(*arguments)

    # Connections

    async def _tcp(self, port: int) -> int:
        server = await asyncio.start_server(lambda r, w: self._connection(r, w, port), HOST, 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self._writers.add(writer)
        try:
            if self._down:
                return
            await asyncio.sleep(self.rtt_ms / 1000)  # SYN and its answer
            far_reader, far_writer = await asyncio.open_connection(HOST, port)
            self._writers.add(far_writer)
            for end in (writer, far_writer):
                end.transport.set_write_buffer_limits(0)
                sock = end.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await asyncio.gather(self._pipe(reader, far_writer, 0), self._pipe(far_reader, writer, 1))
            finally:
                far_writer.transport.abort()
                self._writers.discard(far_writer)
        except (OSError, asyncio.CancelledError):  # the line was cut, or the test is over
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int) -> None:
        """One direction: at most `window` bytes are under way, counting until the news of their arrival is back."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        room = asyncio.Event()
        under_way = 0

        def arrived(size: int) -> None:
            nonlocal under_way
            under_way -= size
            room.set()

        async def deliver() -> None:
            while True:
                at, data = await queue.get()
                await asyncio.sleep(at - self.loop.time())
                if not data:
                    with suppress(OSError):
                        writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
                self.loop.call_later(self.rtt_ms / 2000, arrived, len(data))

        task = asyncio.ensure_future(deliver())
        try:
            while True:
                while under_way >= self.window:
                    room.clear()
                    await room.wait()
                data = await reader.read(min(_PIECE, self.window - under_way))
                under_way += len(data)
                queue.put_nowait((self._arrival(len(data), way), data))
                if not data:
                    await task
                    return
        finally:
            task.cancel()


class _Near(asyncio.DatagramProtocol):
    """The near side of a UDP proxy: each peer gets a socket of its own towards the far side."""

    def __init__(self, link: Link, port: int) -> None:
        self.link = link
        self.port = port
        self.far: dict[Any, socket.socket] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        for sock in self.far.values():
            self.link.loop.remove_reader(sock)
            sock.close()

    def datagram_received(self, data: bytes, peer: Any) -> None:
        sock = self.far.get(peer)
        if sock is None:
            sock = self.far[peer] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.connect((HOST, self.port))
            self.link.loop.add_reader(sock, self.back, sock, peer)
        self.link.carry(data, 0, self.out, sock)

    def out(self, data: bytes, sock: socket.socket) -> None:
        with suppress(OSError):
            sock.send(data)

    def back(self, sock: socket.socket, peer: Any) -> None:
        with suppress(OSError):
            while True:
                self.link.carry(sock.recv(65536), 1, self.transport.sendto, peer)


class NameServer(_Thread):
    """Answers queries for A records from `names`; `script(query, answer)`, if given, says what datagrams really go
    out."""

    def __init__(self, names: dict[str, str], script: Any = None) -> None:
        self.names = names
        self.script = script
        self.queries: list[tuple[bytes, int]] = []  # packet, source port
        self.port = 0

    async def begin(self) -> None:
        self._transport, _ = await self.loop.create_datagram_endpoint(lambda: _Names(self), (HOST, 0))
        self.port = self._transport.get_extra_info("sockname")[1]

    async def end(self) -> None:
        self._transport.close()

    def answer(self, query: bytes) -> bytes:
        """The honest answer."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        address = self.names.get(".".join(labels))
        head = query[:2] + struct.pack(">HHHHH", 0x8180 if address else 0x8183, 1, 1 if address else 0, 0, 0)
        if not address:
            return head + query[12:]
        return head + query[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(address)


class _Names(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self.server = server

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer: Any) -> None:
        self.server.queries.append((data, peer[1]))
        answer = self.server.answer(data)
        for packet in self.server.script(data, answer) if self.server.script else [answer]:
            self.transport.sendto(packet, peer)
