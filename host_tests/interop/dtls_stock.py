"""MicroPython's own `tls` over UDP: `micropython dtls_stock.py client|server PORT KEY`.

KEY is a pre-shared one (hexadecimal digits); a client with "-" offers all suites of its build, which it prints first. Then a
client says what became of its handshake with 127.0.0.1:PORT; a server says "ready" and what became of each ClientHello.
Everything polls: the module's timers run in its reads and writes alone.
"""

import io
import select
import socket
import sys
import time
from binascii import unhexlify

import tls

role, port, key = sys.argv[1], int(sys.argv[2]), sys.argv[3]
COOKIE = -0x6A80  # MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED
SAID = b"said by tls"


class Datagrams(io.IOBase):
    """One peer on an unconnected socket, as `wrap_socket` takes it."""

    def __init__(self, sock, peer):
        self.sock, self.peer, self.waiting = sock, peer, []

    def readinto(self, buffer):
        if not self.waiting:
            return None
        data = self.waiting.pop(0)
        buffer[: len(data)] = data
        return len(data)

    def write(self, data):
        self.sock.sendto(data, self.peer)
        return len(data)

    def ioctl(self, request, argument):
        return argument if request == 3 else 0  # MP_STREAM_POLL: always ready

    def setblocking(self, flag):
        pass


def context(kind):
    made = tls.SSLContext(kind)
    made.verify_mode = tls.CERT_NONE
    if kind == tls.PROTOCOL_DTLS_SERVER:
        made.server_psk_keys = {b"stock": unhexlify(key)}
    elif key != "-":
        made.psk_identity, made.psk_key = b"stock", unhexlify(key)
    return made


def until(step, datagrams, sock):
    """Go on with `step()` until something is decided: what it was."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    end = time.ticks_add(time.ticks_ms(), 10_000)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        try:
            got = step()
            if got:
                return "passed %r" % got
        except OSError as error:
            return "cookie" if error.errno == COOKIE else "error %d" % error.errno
        if poll.poll(50):
            data, datagrams.peer = sock.recvfrom(2000)
            datagrams.waiting.append(data)
    return "nothing in 10 s"


def client():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams = Datagrams(sock, socket.getaddrinfo("127.0.0.1", port)[0][-1])
    wrapped = context(tls.PROTOCOL_DTLS_CLIENT).wrap_socket(datagrams, do_handshake_on_connect=False)
    print("client", until(lambda: wrapped.write(SAID), datagrams, sock))


def server():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    made = context(tls.PROTOCOL_DTLS_SERVER)
    print("ready")
    while True:
        data, peer = sock.recvfrom(2000)
        datagrams = Datagrams(sock, peer)
        datagrams.waiting.append(data)
        wrapped = made.wrap_socket(datagrams, server_side=True, do_handshake_on_connect=False, client_id=peer)
        print("server", until(lambda: wrapped.recv(100), datagrams, sock))  # noqa: B023 - not kept


print("suites", *tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT).get_ciphers())
client() if role == "client" else server()
