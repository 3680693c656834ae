"""What `coap.client` and `coap.download` ask with: the options of a request, and how it fails."""

from port import const

_OCF_CBOR = const(10000)
_OCF_1_0 = const(2048)


class Timeout(OSError):
    """No answer came in time."""


class Reset(OSError):
    """The peer rejected the message with a RST."""


class TransferError(OSError):
    """A body in blocks changed under way, is out of order, or too long."""


def request_options(path, query=(), accept=None, options=()):
    """The options of a request for `path` ("/oc/swu"), for an Exchange."""
    made = list(options)
    if len(path) > 1:
        made += [(11, part) for part in path[1:].split("/")]
    made += [(15, text) for text in query]
    if accept is not None:
        made.append((17, accept))
        if accept == _OCF_CBOR:
            made.append((2049, _OCF_1_0))
    return made
