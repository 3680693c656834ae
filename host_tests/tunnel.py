"""DTLS for Clients that have none, by Mbed TLS (python-mbedtls) and nothing of ours.

A Tunnel is for a Client: it sends clear CoAP to the tunnel's port, and each of its ports gets a session of its own.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from mbedtls import tls

SUITE = "TLS-ECDHE-PSK-WITH-AES-128-CBC-SHA256"
PORT = 5684
# Seconds without an answer after which the device is taken to have restarted, and after which a handshake begins anew.
# Where its starts are not known that is all there is to go by; where they are, a busy machine gets the time that it needs.
_SILENT, _SILENT_UNKNOWN = 8.0, 0.8
_HANDSHAKE, _HANDSHAKE_UNKNOWN = 4.0, 1.0
_WAITING = 16  # datagrams kept meanwhile


def outgoing(buffer: Any) -> Iterator[bytes]:
    """What is to be sent, record by record."""
    data = bytes(buffer.peek_outgoing(65536))
    while len(data) >= 13:
        size = 13 + int.from_bytes(data[11:13], "big")
        yield data[:size]
        buffer.consume_outgoing(size)
        data = data[size:]


class _Association:
    """What belongs to one port of the Client."""

    def __init__(self, tunnel: Tunnel, client: Any) -> None:
        self.tunnel = tunnel
        self.client = client
        self.waiting: list[bytes] = []
        self.buffer: Any = None
        self.done = False
        self.starts = -1
        self.began = self.asked = 0.0
        # A port of its own: to the device it is another peer.
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.connect(tunnel.device)

    def begin(self) -> None:
        """A new session, whatever was before."""
        self.done = False
        self.starts = self.tunnel.starts()
        self.began = time.monotonic()
        self.tunnel.begun += 1
        context = tls.ClientContext(self.tunnel.configuration)
        self.buffer = context.wrap_buffers(None)
        self.step()

    def step(self) -> None:
        """Go on with the handshake, and send what waits when it is complete."""
        while not self.done:
            try:
                self.buffer.do_handshake()  # one step of it
            except tls.WantWriteError:
                pass
            except tls.WantReadError:
                self.flush()  # a flight that was repeated
                break
            except Exception:
                self.flush()
                self.buffer = None  # refused: begun again with the next datagram
                self.tunnel.refused += 1
                return
            self.flush()
            self.done = self.buffer._handshake_state is tls.HandshakeStep.HANDSHAKE_OVER
        if self.done and self.waiting:
            waiting, self.waiting = self.waiting, []
            for data in waiting:
                self.send(data)

    def flush(self) -> None:
        """Send what Mbed TLS has put together."""
        for record in outgoing(self.buffer):
            try:
                self.sock.send(record)
            except OSError:
                pass

    def send(self, data: bytes) -> None:
        """Data of the Client's."""
        now = time.monotonic()
        lost = self.done and self.asked and now - self.asked > self.tunnel.silent
        if self.buffer is None or lost or self.starts != self.tunnel.starts():
            self.asked = 0.0
            self.waiting.append(data)
            self.begin()
        elif not self.done:
            if len(self.waiting) < _WAITING:
                self.waiting.append(data)
            if now - self.began > self.tunnel.patience:
                self.begin()
        else:
            if data[0] & 0x30 == 0:  # a confirmable message wants an answer, others do not
                self.asked = self.asked or now
            self.buffer.write(data)
            self.flush()

    def receive(self) -> None:
        """Datagrams of the device's."""
        while True:
            try:
                data = self.sock.recv(2048)
            except OSError:  # nothing more, or nobody listens there now
                return
            if self.buffer is None:
                continue
            self.buffer.receive_from_network(data)
            if not self.done:
                self.step()
                continue
            while True:
                try:
                    plain = self.buffer.read(2048)
                except (tls.WantReadError, tls.WantWriteError):
                    break
                except Exception:  # closed by the device, or not to be read
                    self.buffer = None
                    break
                if not plain:  # nothing more; the session is as it was
                    break
                self.asked = 0.0
                self.tunnel.sock.sendto(plain, self.client)


class Tunnel:
    """Between a Client in the clear and the device at `host`; use it in a `with` block.

    `identity` is the Client's UUID as text, `key` what it shares with the device. `port` is where the Client sends to.
    `starts()`, where known, counts the device's: after another one there is no session to be asked for. `configuration`
    takes the place of the key. `patience`: seconds after which a handshake begins anew, when the Client sends again.
    `begun` counts handshakes, `refused` those that ended with an error.
    """

    def __init__(
        self,
        host: str,
        identity: str,
        key: bytes,
        port: int = PORT,
        starts: Callable[[], int] | None = None,
        configuration: Any = None,
        patience: float = 0,
    ) -> None:
        self.device = (host, port)
        self.starts = starts or (lambda: 0)
        self.silent = _SILENT if starts else _SILENT_UNKNOWN
        self.patience = patience or (_HANDSHAKE if starts else _HANDSHAKE_UNKNOWN)
        self.begun = self.refused = 0
        self.configuration = configuration or tls.DTLSConfiguration(
            pre_shared_key=(identity, key),
            ciphers=[SUITE],
            validate_certificates=False,
            lowest_supported_version=tls.DTLSVersion.DTLSv1_2,
            highest_supported_version=tls.DTLSVersion.DTLSv1_2,
        )
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.associations: dict[Any, _Association] = {}
        self._open = True
        self._thread = threading.Thread(target=self._run, name="tunnel", daemon=True)

    def __enter__(self) -> Tunnel:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open = False
        self._thread.join(5)
        self.sock.close()
        for association in self.associations.values():
            association.sock.close()

    def _run(self) -> None:
        while self._open:
            socks = [self.sock, *(a.sock for a in self.associations.values())]
            ready, _, _ = select.select(socks, [], [], 0.1)
            for association in list(self.associations.values()):
                if association.sock in ready:
                    association.receive()
                elif association.buffer is not None and not association.done:
                    association.step()  # Mbed TLS looks at its timer only then
            if self.sock in ready:
                try:
                    data, client = self.sock.recvfrom(2048)
                except OSError:
                    continue
                if client not in self.associations:
                    self.associations[client] = _Association(self, client)
                self.associations[client].send(data)
