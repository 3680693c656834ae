"""The record layer beside MicroPython's own: `micropython bench_records.py`. Prints one JSON object a line.

Records of 1,024 bytes, sealed by one end and opened by the other, both in this process, no network: lib/dtls, which is
bytecode over cryptolib and hashlib, and `tls`, which is Mbed TLS in C, as DTLS over datagrams in memory. The cipher
that both have is AES-128-CBC with HMAC-SHA256, which Mbed TLS opens in constant time, and lib/dtls does not; beside it
CCM here, and GCM there.
"""

import gc
import io
import json
import sys
import time

sys.path.insert(0, (__file__.rpartition("/")[0] or ".") + "/../../lib")

import tls  # noqa: E402
from dtls.keys import derive  # noqa: E402
from dtls.record import Session  # noqa: E402

SIZE = 1024
RECORDS = 2000
DATA = bytes(range(256)) * 4
CBC, GCM = "TLS-PSK-WITH-AES-128-CBC-SHA256", "TLS-PSK-WITH-AES-128-GCM-SHA256"
APPLICATION = 23
WANT_READ = 2
COOKIE = -0x6A80


class Ours:
    def __init__(self, suite):
        self.client, self.server = Session(("192.0.2.1", 1)), Session(("192.0.2.2", 2))
        for session, serves in ((self.client, False), (self.server, True)):
            session.suite = suite
            session.randoms = bytes(64)
            derive(session, bytes(48), None, serves)
            session.open = True

    def send(self):
        return bytes(self.server.unseal(memoryview(self.client.seal(APPLICATION, DATA))))


class Datagrams(io.IOBase):
    """What `wrap_socket` takes: reads what the other end has written."""

    def __init__(self):
        self.waiting = []

    def readinto(self, buffer):
        if not self.waiting:
            return None
        data = self.waiting.pop(0)
        buffer[: len(data)] = data
        return len(data)

    def write(self, data):
        self.other.waiting.append(bytes(data))
        return len(data)

    def ioctl(self, request, argument):
        return argument if request == 3 else 0  # MP_STREAM_POLL: always ready

    def setblocking(self, flag):
        pass


class Theirs:
    def __init__(self, cipher):
        near, far = Datagrams(), Datagrams()
        near.other, far.other = far, near
        client, server = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT), tls.SSLContext(tls.PROTOCOL_DTLS_SERVER)
        for made in (client, server):
            made.verify_mode = tls.CERT_NONE
        client.psk_identity, client.psk_key = b"bench", bytes(range(16))
        server.server_psk_keys = {b"bench": bytes(range(16))}
        for made in (client, server):
            made.set_ciphers([cipher])
        self.client = client.wrap_socket(near, do_handshake_on_connect=False)
        self.server = None
        for _ in range(40):  # the first ClientHello is answered with a cookie, and by another object
            if self.server is None and far.waiting:
                self.server = server.wrap_socket(
                    far, server_side=True, do_handshake_on_connect=False, client_id=b"client"
                )
            try:
                if self.client.write(b"ready"):
                    break
            except OSError as error:
                raise RuntimeError("the client's handshake failed: %r" % error)  # noqa: B904
            try:
                if self.server:
                    self.server.read(1)
            except OSError as error:
                if error.errno != COOKIE:
                    raise
                self.server = None
        assert self.server.recv(100) == b"ready" and self.server.cipher()[0] == cipher

    def send(self):
        self.client.write(DATA)
        return self.server.recv(SIZE)


def rate(ends):
    """Records a second."""
    assert ends.send() == DATA
    gc.collect()
    began = time.ticks_us()
    for _ in range(RECORDS):
        ends.send()
    return RECORDS * 1_000_000 // time.ticks_diff(time.ticks_us(), began)


figures = {
    "cbc_per_s": rate(Ours(0xC037)),
    "ccm_8_per_s": rate(Ours(0xC0AE)),
    "tls_cbc_per_s": rate(Theirs(CBC)),
    "tls_gcm_per_s": rate(Theirs(GCM)),
}
print(json.dumps(dict(bench="records", size=SIZE, **figures)))
