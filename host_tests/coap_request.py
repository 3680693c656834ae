"""CoAP messages for tests: requests made by hand, and the options of a datagram as they stand there."""

from coap.message import Message


def Request(code, path="/", **fields):  # noqa: N802 - like the class that it makes one of
    """A request as if it had been received."""
    request = Message()
    request.code = code
    request.path = path
    for name in fields:
        setattr(request, name, fields[name])
    return request


def options_of(datagram):
    """[(number, bytes)] of a message that is well-formed."""
    at = 4 + (datagram[0] & 15)
    number = 0
    found = []
    while at < len(datagram) and datagram[at] != 0xFF:
        head = [datagram[at] >> 4, datagram[at] & 15]
        at += 1
        for i in range(2):
            size = max(head[i] - 12, 0)  # of what follows for it
            if size:
                head[i] = int.from_bytes(bytes(datagram[at : at + size]), "big") + (13 if size == 1 else 269)
                at += size
        number += head[0]
        found.append((number, bytes(datagram[at : at + head[1]])))
        at += head[1]
    return found
