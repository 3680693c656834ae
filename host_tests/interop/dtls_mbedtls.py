"""Mbed TLS (python-mbedtls) as an end of DTLS, through its buffers and with its own timers."""

from __future__ import annotations

import asyncio
from typing import Any

from cryptography.hazmat.primitives import serialization
from dtls_ends import AUTHORITY, KEY, LO, NAME, PEER, Own, pem, until
from mbedtls import tls, x509
from mbedtls.pk import ECC
from tunnel import outgoing

NAMES = {
    0xC037: "TLS-ECDHE-PSK-WITH-AES-128-CBC-SHA256",
    0xC0A8: "TLS-PSK-WITH-AES-128-CCM-8",
    0xC0AE: "TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8",
    0xC0AC: "TLS-ECDHE-ECDSA-WITH-AES-128-CCM",
}
_TICK = 0.05  # seconds until its timer is looked at again


def by_key(key: bytes = KEY, identity: str = NAME) -> dict[str, Any]:
    """Settings of Mbed with a shared key, for either role."""
    return {"pre_shared_key": (identity, key), "pre_shared_key_store": {identity: key}, "validate_certificates": False}


def by_certificate(own: Own = PEER) -> dict[str, Any]:
    """Settings of Mbed with certificates of both sides."""
    form = serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    key = ECC.from_DER(own.leaf.key.private_bytes(*form))
    chain = tuple(x509.CRT.from_DER(p.der) for p in (own.leaf, *own.between))
    trusted = tls.TrustStore([x509.CRT.from_PEM(pem(AUTHORITY).decode())])
    return {"certificate_chain": (chain, key), "trust_store": trusted, "validate_certificates": True}


class Mbed(asyncio.DatagramProtocol):
    """One end with one association, on `port`; `async with`. A client connects to `peer`.

    `done` after the handshake; `error` is what it ended with; `got` is what came; `closed` after a close_notify.
    """

    def __init__(self, settings: dict[str, Any], suites: tuple[int, ...], peer: int = 0) -> None:
        configuration = tls.DTLSConfiguration(
            ciphers=[NAMES[suite] for suite in suites],
            lowest_supported_version=tls.DTLSVersion.DTLSv1_2,
            highest_supported_version=tls.DTLSVersion.DTLSv1_2,
            **settings,
        )
        self.peer: Any = (LO, peer) if peer else None
        # The secret of a server's cookies belongs to its context.
        self.context: Any = tls.ClientContext(configuration) if peer else tls.ServerContext(configuration)
        self.buffer: Any = None
        self.done = self.closed = False
        self.error: Exception | None = None
        self.got: list[bytes] = []

    async def __aenter__(self) -> Mbed:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, (LO, 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        if self.peer:
            self.buffer = self.context.wrap_buffers(None)
        self.ticking = asyncio.ensure_future(self._tick())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.ticking.cancel()
        await asyncio.gather(self.ticking, return_exceptions=True)
        self.transport.close()

    async def opens(self) -> None:
        """Wait until the handshake is done."""
        await until(lambda: self.done or self.error, "a handshake of Mbed TLS")
        assert self.done, repr(self.error)

    async def refuses(self) -> str:
        """Wait until the handshake has failed: why."""
        await until(lambda: self.done or self.error, "a refusal by Mbed TLS")
        assert not self.done
        return str(self.error)

    def write(self, data: bytes) -> None:
        self.buffer.write(data)
        self._flush()

    def close(self) -> None:
        """Send close_notify."""
        self.buffer.shutdown()
        self._flush()

    def datagram_received(self, data: bytes, address: Any) -> None:
        if self.buffer is None:
            self._await_hello(address)
        self.buffer.receive_from_network(data)
        self._step()

    def _await_hello(self, address: Any) -> None:
        self.peer = address
        self.buffer = self.context.wrap_buffers()
        self.buffer.setcookieparam(repr(address).encode())

    async def _tick(self) -> None:
        while True:
            if self.buffer is not None:
                self._step()
            await asyncio.sleep(_TICK)

    def _step(self) -> None:
        while not self.done and not self.error:
            try:
                self.buffer.do_handshake()
            except tls.WantReadError:
                self._flush()
                return
            except tls.WantWriteError:
                pass
            except tls.HelloVerifyRequest:
                self._flush()
                self._await_hello(self.peer)
                return
            except Exception as error:  # noqa: BLE001 - whatever Mbed TLS says
                self.error = error
            self._flush()
            self.done = not self.error and self.buffer._handshake_state is tls.HandshakeStep.HANDSHAKE_OVER
        while self.done and not self.closed:
            try:
                data = self.buffer.read(2048)
            except (tls.WantReadError, tls.WantWriteError):
                break
            except Exception as error:  # noqa: BLE001 - whatever Mbed TLS says
                self.error = error
                self.closed = True
            else:
                if not data:
                    break
                self.got.append(bytes(data))
        self._flush()

    def _flush(self) -> None:
        for record in outgoing(self.buffer):
            self.transport.sendto(record, self.peer)
