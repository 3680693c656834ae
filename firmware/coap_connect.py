"""What a CoAP source needs before it can ask: what a URL stands for, and a session with the server there. A phase."""

from port import phase
from port.sockets import address
from swupdate.faults import Fault

_ALERTS = {  # RFC 5246 section 7.2, RFC 4279 section 6
    20: "the keys of both sides differ",
    51: "the keys of both sides differ",
    40: "it has no key and no certificate for this Device",
    115: "it does not know this Device",
}


async def connect(base, url, resolver, transport, peer, timeout_ms, trust):
    """(peer, path, list of queries) of what `url` stands for at `base`; see CoapSource. `peer`: of the last one, or None.

    Raises Fault, OSError.
    """
    with phase("swupdate.install.reference", "swupdate.url") as (references, urls):
        schemes = ("coaps" if transport.secure else "coap",)
        _scheme, host, port, rest = urls.parse(references.locate(base, url), schemes)
    server = address(await resolver.resolve(host), port)
    if not transport.secure:
        peer = server
    elif not peer or not peer.open or peer.address != server:
        try:
            peer = await transport.connect(server, timeout_ms)
        except OSError as error:
            why = error if hasattr(error, "code") else "no answer"
            why = getattr(trust, "refused", "") or _ALERTS.get(getattr(error, "code", None), why)
            raise Fault("lost", "no secured connection with the server: %s" % why) from None
    path, mark, query = rest.partition("?")
    path = "/".join(_plain(part) for part in path.split("/"))
    return peer, path, [_plain(part) for part in query.split("&")] if mark else ()


def _plain(text):
    """`text` without percent encoding; what is no UTF-8, or would be two segments of a path, is Fault "url"."""
    head, *parts = text.split("%")
    data = head.encode()
    for part in parts:
        data += bytes((int(part[:2], 16),)) + part[2:].encode()
    try:
        plain = str(data, "utf-8")
    except ValueError:
        plain = "/"
    if "/" in plain and "/" not in text:
        raise Fault("url", "the package URL holds a character that CoAP cannot carry")
    return plain
