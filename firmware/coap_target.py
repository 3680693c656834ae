"""What a URL stands for over CoAP. A phase."""

from port import phase
from swupdate.faults import Fault


def target(base, url, secure):
    """(host, port, path, list of queries) of what `url` stands for at `base`. Raises Fault."""
    with phase("swupdate.install.reference") as reference:
        _url, host, port, rest = reference.target(base, url, ("coaps" if secure else "coap",))
    path, mark, query = rest.partition("?")
    path = "/".join(_plain(part) for part in path.split("/"))
    return host, port, path, [_plain(part) for part in query.split("&")] if mark else ()


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
