"""Release servers that lose connections where they are told to, and what was fetched from them: for the proofs of resuming.

What is measured is the server's: the byte at which each answer begins, and how many of it were sent. A connection that
the server closes delivers all that was sent before, so these are the bytes that the board had received.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import raw_https
from coap.message import Response
from sim.rig import Faulty, Rig

CHUNK = 4096
PIECE = 3840  # as `fargo serve`: one TLS record
ETAG = 4
HANDED = 4096  # bytes that a server hands to its own system at once, which takes twice as much with all that it notes


class Raw(raw_https.Server):
    """The releases of a rig over HTTPS, by the raw server: `lies` (part of a path -> route) answer in its place.

    `cuts`: the nth answer with payload ends, with its connection, after so many bytes of it (None: it does not).
    `answers`: [name, first byte, bytes sent] of each answer with payload, oldest first. `tag`: of all files. `pause`:
    seconds before each piece. `ranges`: whether it has ranges. `when_cut` is called after all of such an answer was sent,
    and before its connection ends: what it changes is so when the board comes again, however soon.
    """

    def __init__(self, rig: Rig, names: tuple[str, ...] = ("127.0.0.1",)) -> None:
        certificate, key = rig.stage.authority.server([*names])
        super().__init__(lambda context: context.load_cert_chain(certificate, key))
        # What a board that is slow has not taken yet waits here, and would count as sent: little, therefore.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, HANDED)
        self.folder = rig.stage.releases
        self.otherwise = self.file
        self.lies: dict[str, Any] = {}
        self.cuts: Iterator[int | None] = iter(())
        self.answers: list[list[Any]] = []
        self.tag = '"one"'
        self.pause = 0.0
        self.ranges = True
        self.when_cut: Callable[[], Any] = lambda: None

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def url(self, version: str) -> str:
        """The package URL of a release."""
        return f"https://127.0.0.1:{self.port}/fargo-{version}.suit"

    def file(self, stream: Any, headers: dict[str, str]) -> bool:
        """The route of every file that there is."""
        path = self.requests[-1][0]
        for part, lie in self.lies.items():
            if part in path:
                return lie(stream, headers)
        try:
            body = (self.folder / path[1:]).read_bytes()
        except OSError:
            return raw_https.reply(404)(stream, headers)
        first, end, status = 0, len(body), 200
        if self.ranges and "range" in headers and headers.get("if-range", self.tag) == self.tag:
            first, last = (int(n) for n in headers["range"].removeprefix("bytes=").split("-"))
            if first >= end:
                return raw_https.reply(416)(stream, headers)
            status, end = 206, min(last + 1, end)
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {end - first}\r\nETag: {self.tag}\r\n"
        if status == 206:
            head += f"Content-Range: bytes {first}-{end - 1}/{len(body)}\r\n"
        stream.sendall(head.encode() + b"\r\n")
        return self.send(stream, path[1:], first, body[first:end])

    def send(self, stream: Any, name: str, first: int, part: bytes) -> bool:
        """The body, up to where it is cut; whether the connection stays."""
        cut = None
        answer = [name, first, 0]
        if name.endswith(".bin"):
            cut = next(self.cuts, None)
            self.answers.append(answer)
        for at in range(0, len(part) if cut is None else min(cut, len(part)), PIECE):
            piece = part[at : min(at + PIECE, cut or len(part))]
            if self.pause:
                time.sleep(self.pause)
            stream.sendall(piece)
            answer[2] += len(piece)
        if cut is None or cut > len(part):
            return True
        self.when_cut()
        return False


def again(answers: list[list[Any]]) -> list[int]:
    """For each answer, how many of its bytes had been received before."""
    found = []
    received: dict[str, set[int]] = {}
    for name, start, sent in answers:
        before = received.setdefault(name, set())
        now = set(range(start, start + sent))
        found.append(len(now & before))
        before |= now
    return found


class Turning(Faulty):
    """`turns`: after so many blocks of payload over CoAP the entity tag is another one, and so on.

    `blocks`: [name, number, size exponent] of each block of payload that was answered, oldest first. `largest`: size
    exponent of the blocks that it gives. `silent`: it answers no payload any more.
    """

    turns: Iterator[int] = iter(())
    largest = 6
    silent = False

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.blocks: list[tuple[str, int, int]] = []
        self.turned: list[int] = []  # how many blocks had been answered before each turn
        self._left: int | None = None

    def answer(self, request: Any) -> Any:
        """As the server's, but for payload."""
        if not request.path.endswith(".bin"):
            return super().answer(request)
        if self.silent:
            return None
        if self._left is None:
            self._left = next(self.turns, 1 << 30)
        if self._left == 0:
            self.turned.append(len(self.blocks))
            self._left = next(self.turns, 1 << 30)
        self._left -= 1
        block, exponent = request.block2 >> 4, request.block2 & 7
        if exponent > self.largest:
            block, exponent = block << exponent - self.largest, self.largest
            request.block2 = block << 4 | exponent
        response = super().answer(request)
        self.blocks.append((Path(request.path).name, block, exponent))
        tag = bytes([len(self.turned) & 255])
        options = [(number, tag + value[1:] if number == ETAG else value) for number, value in response.options]
        return Response(response.code, response.payload, options=options, ocf_version=None)
