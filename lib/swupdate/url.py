"""`purl`: a fully qualified URL (RFC 3986), checked by its syntax alone: no host is looked up. See also `itself`."""

from port import const

from swupdate.faults import Fault

_MAX = const(255)  # more than the model's 64, which real package URLs exceed

PORTS = {"https": 443, "coaps": 5684, "coap": 5683}


def parse(url, schemes):
    """(scheme, host, port, rest) of `url`; `host` without brackets, `rest` the path with its query, at least "/".

    `schemes` are those that may be used. Raises Fault "url" (result 6) when `url` is not a fully qualified URL, and
    Fault "scheme" (result 7) when it names another protocol.
    """
    if len(url) > _MAX:
        raise _fault("is longer than %d characters" % _MAX)
    for c in url:
        if not "!" <= c <= "~" or c in '"<>\\^`{|}#':
            raise _fault("holds a character that a URL cannot")
    scheme, mark, rest = url.partition("://")
    if not mark or not scheme[:1].isalpha() or not _only(scheme, "+-."):
        raise _fault("is not fully qualified")
    scheme = scheme.lower()
    if scheme not in schemes:
        raise Fault("scheme", "this device does not fetch with %s" % scheme)
    end = len(rest)
    for c in "/?":
        if c in rest:
            end = min(end, rest.index(c))
    host, port = _authority(rest[:end], PORTS[scheme])
    rest = rest[end:]
    _check(rest)
    return scheme, host, port, rest if rest[:1] == "/" else "/" + rest


# Several functions, for the code of each is a piece of the heap.


def _check(rest):
    """Refuse a path and query with what they cannot have."""
    parts = rest.split("%")
    for part in parts[1:]:
        if len(part) < 2 or not _only(part[:2], "", "abcdef"):
            raise _fault("has a % without two hexadecimal digits")
    for c in rest:
        if c in "[]":
            raise _fault("holds a character that a URL cannot")


def _authority(authority, port):
    """(host, port), where `port` is the one of the scheme."""
    if "@" in authority:
        raise _fault("holds user information")
    if authority[:1] == "[":
        host, mark, tail = authority[1:].partition("]")
        good = mark and host.count(":") > 1 and _only(host, ":.", "abcdef")
    else:
        host, mark, tail = authority.partition(":")
        tail = mark + tail
        good = _only(host, "-._") and all(
            0 < len(label) < 64 for label in (host[:-1] if host[-1:] == "." else host).split(".")
        )
    if not good:
        raise _fault("names no host")
    return host, _port(tail) if tail else port


def _port(tail):
    digits = tail[1:]
    if tail[0] != ":" or not 0 < len(digits) < 6 or not _only(digits, "", "") or not 0 < int(digits) < 65536:
        raise _fault("has a bad port")
    return int(digits)


def _only(text, others, letters="abcdefghijklmnopqrstuvwxyz"):
    """Whether `text` has nothing but digits, `letters` of either case and `others`, and at least one of them."""
    for c in text.lower():
        if not "0" <= c <= "9" and c not in letters and c not in others:
            return False
    return text != ""


def _fault(text):
    return Fault("url", "the package URL " + text)
