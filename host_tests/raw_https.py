"""An HTTPS server that tells every lie it is asked to tell."""

import socket
import ssl
import threading
import time
from contextlib import suppress

TAG = '"one"'


class Server:
    """Answers each request by `routes[path](stream, headers)`, which returns whether the connection stays.

    Raw bytes, so that every lie can be told. `configure(context)` loads the certificate. `requests`: (path, headers) of
    all, oldest first.
    """

    def __init__(self, configure):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        configure(self.context)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.routes = {}
        self.otherwise = reply(404)  # the route of all other paths
        self.requests = []
        self.connections = 0
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.sockets.append(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        with suppress(OSError, ValueError), self.context.wrap_socket(sock, server_side=True) as stream:
            file = stream.makefile("rb")
            while True:
                line = file.readline().split()
                if len(line) < 3:
                    return
                headers = {}
                while (field := file.readline().strip()) != b"":
                    name, _, value = field.partition(b":")
                    headers[name.decode().lower()] = value.strip().decode()
                path = line[1].decode()
                self.requests.append((path, headers))
                if not self.routes.get(path.partition("?")[0], self.otherwise)(stream, headers):
                    return

    def close(self):
        self.socket.close()
        for sock in self.sockets:
            with suppress(OSError):
                sock.close()


def reply(status, body=b"", *fields, length=None):
    """A route that answers always the same, and keeps the connection."""

    def route(stream, _headers):
        head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}", *fields]
        stream.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        return length is None

    return route


def raw(*pieces, pause=0.0):
    """A route that sends `pieces` as they are, then closes."""

    def route(stream, _headers):
        for piece in pieces:
            stream.sendall(piece)
            time.sleep(pause)
        return False

    return route


def file(body, tag=TAG, cut=None):
    """A route that knows ranges; with `cut`, the connection dies after that many bytes of the body."""

    def route(stream, headers):
        first, last, status = 0, len(body) - 1, 200
        if "range" in headers and headers.get("if-range", tag) == tag:
            first, last = (int(n) for n in headers["range"].removeprefix("bytes=").split("-"))
            status = 206
            if first >= len(body):
                return reply(416)(stream, headers)
            last = min(last, len(body) - 1)
        part = body[first : last + 1]
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(part)}\r\nETag: {tag}\r\n"
        if status == 206:
            head += f"Content-Range: bytes {first}-{last}/{len(body)}\r\n"
        stream.sendall(head.encode() + b"\r\n")
        for at in range(0, len(part), 3840):
            if cut is not None and at >= cut:
                return False
            stream.sendall(part[at : at + 3840])
        return True

    return route
