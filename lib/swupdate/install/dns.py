"""A name's IPv4 address by DNS over UDP (RFC 1035), without blocking the loop: `getaddrinfo` of the device would.

The answer is not authenticated and need not be: whoever it leads to must show a certificate. What is checked is what
keeps a stranger off the path from answering: a random ID and source port, the server's own address and the question itself.
"""

import asyncio

from port import const, readable, urandom, wait_for
from port.peer import host_port
from port.sockets import address, udp_socket

from swupdate.faults import Fault

_PORT = const(53)
_TRIES = const(3)
_WAIT_S = const(2)
_PACKET = const(512)  # RFC 1035 4.2.1; no EDNS, so no server may send more
_RECORDS = const(24)
_ALIASES = const(8)
_POINTERS = const(16)
_TYPE_A = const(1)
_TYPE_CNAME = const(5)


class Resolver:
    """Names through the server `server` (numeric), as `HttpsSource` wants it."""

    def __init__(self, server, port=_PORT):
        self._server = server
        self._port = port

    async def resolve(self, name):
        """The numeric address of `name`; see `resolve`."""
        return await resolve(name, self._server, self._port)


async def resolve(name, server, port=_PORT):
    """The IPv4 address of `name`, asked of `server`:`port` (numeric); an address in figures is returned as it is.

    Three tries of 2 s. Raises Fault "lost".
    """
    figures = literal(name)
    if figures is not None:
        return figures
    if not server:
        raise Fault("lost", "the name %s was not found: the network named no name server" % name)
    reason = "the name server does not answer"
    for _ in range(_TRIES):
        try:
            return await wait_for(_ask(name, server, port), _WAIT_S)
        except asyncio.TimeoutError:  # noqa: UP041 - MicroPython has no other
            pass
        except OSError as error:
            reason = "the name server cannot be asked (%s)" % error
            await asyncio.sleep(_WAIT_S / 4)
        except _Failed as error:
            reason = "the name server failed (code %d)" % error.args[0]
            await asyncio.sleep(_WAIT_S / 4)
    raise Fault("lost", "the name %s was not found: %s" % (name, reason))


class _Failed(Exception):
    """The server answered that it has a problem of its own: worth another try."""


async def _ask(name, server, port):
    query = question(name, urandom(2))
    sock = _socket()
    try:
        to = address(server, port)
        sock.sendto(query, to)
        origin = host_port(to)
        while True:
            await readable(sock)
            packet, sender = sock.recvfrom(_PACKET)
            if host_port(sender) != origin:
                continue
            try:
                code, found = answer(packet, query)
            except ValueError:  # not an answer to this question: the real one may still come
                continue
            if found:
                return found
            if code not in (0, 3):
                raise _Failed(code)
            raise Fault("lost", "the name %s was not found" % name)
    finally:
        sock.close()


def _socket():
    for _ in range(4):
        try:
            # lwIP counts its ports upwards: a guess away for a stranger who has seen one.
            return udp_socket(port=0xC000 | int.from_bytes(urandom(2), "big") & 0x3FFF)
        except OSError:  # in use
            pass
    return udp_socket()


def literal(host):
    """`host` when it is an IPv4 or IPv6 address in figures, None when it is a name. Raises Fault "lost" when
    neither."""
    if ":" in host:
        head, mark, tail = host.partition("::")
        groups = [g for part in (head, tail) if part for g in part.split(":")]
        good = len(groups) < 8 if mark else len(groups) == 8
        for group in groups:
            good = good and 0 < len(group) < 5 and all(c in "0123456789abcdefABCDEF" for c in group)
        if good:
            return host
    else:
        parts = host.split(".")
        if not (parts[-1] or "-").isdigit():
            return None
        if len(parts) == 4 and all(p.isdigit() and len(p) < 4 and int(p) < 256 and str(int(p)) == p for p in parts):
            return host
    raise Fault("lost", "the name %s was not found: it is no address and no name" % host)


def question(name, ident):
    """The query for the A record of `name`. Raises Fault "lost" for what is no name (labels of 1 to 63, 253 in
    all)."""
    if name.endswith("."):
        name = name[:-1]
    query = bytearray(ident + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    for label in name.encode().split(b"."):
        if not 0 < len(label) < 64 or len(name) > 253:
            raise Fault("lost", "the name %s was not found: it is no name" % name)
        query.append(len(label))
        query.extend(label)
    query.extend(b"\0\0\x01\0\x01")
    return bytes(query)


def answer(packet, query):
    """(response code, address or None) of a packet that answers `query`. Raises ValueError when it does not."""
    end = len(query)
    if (
        packet[:2] != query[:2]
        or len(packet) < end
        or packet[2] & 0xF8 != 0x80
        or packet[4:6] != b"\0\1"
        or packet[12:end].lower() != query[12:].lower()
    ):
        raise ValueError("another question")
    code = packet[3] & 15
    if code:
        return code, None
    wanted, _ = _name(query, 12)
    records = []
    at = end
    for _ in range(min(packet[6] << 8 | packet[7], _RECORDS)):
        owner, at = _name(packet, at)
        body = at + 10
        if body > len(packet):
            raise ValueError("cut off")
        at = body + (packet[body - 2] << 8 | packet[body - 1])
        if at > len(packet):
            raise ValueError("cut off")
        if packet[body - 8 : body - 6] == b"\0\1":
            records.append((owner, packet[body - 10] << 8 | packet[body - 9], body, at - body))
    for _ in range(_ALIASES):
        alias = None
        for owner, kind, body, length in records:
            if owner != wanted:
                continue
            if kind == _TYPE_A and length == 4:
                return 0, "%d.%d.%d.%d" % tuple(packet[body : body + 4])
            if kind == _TYPE_CNAME:
                alias, _ = _name(packet, body)
        if alias is None:
            break
        wanted = alias
    return 0, None


def _name(packet, at):
    """(labels in lower case, offset behind the name); a pointer leads only backwards, so this ends."""
    labels = []
    behind = None
    size = 0
    for _ in range(_POINTERS + 128):
        if at >= len(packet):
            break
        length = packet[at]
        if length == 0:
            return labels, at + 1 if behind is None else behind
        if length >= 0xC0:
            if at + 1 >= len(packet):
                break
            target = (length & 0x3F) << 8 | packet[at + 1]
            if behind is None:
                behind = at + 2
            if target >= at or target < 12:
                break
            at = target
            continue
        size += length + 1
        if length > 63 or size > 254 or at + 1 + length > len(packet):
            break
        labels.append(bytes(packet[at + 1 : at + 1 + length]).lower())
        at += 1 + length
    raise ValueError("a name that is none")
