"""What an UPDATE of /oc/swu asks for, read and judged. A phase."""

from port import const

from swupdate import itself, rfc3339, url
from swupdate.faults import Fault

_BAD_REQUEST = const(0x80)
_SCHEMES = ("https", "coaps")


def event(updater, purl, action, when):
    """(the event for the machine, None), or (None, the refusal) for words that are no time."""
    if isinstance(when, str) and when not in ("now", "none"):
        try:
            when = rfc3339.parse(when)
        except ValueError as error:
            return None, (_BAD_REQUEST, "updatetime: %s" % error)
    fault = None
    if purl:
        try:
            _scheme, host, _port, _path = url.parse(purl, updater.settings.get("schemes", _SCHEMES))
            itself.refuse(host, updater.settings.get("address", str)())
        except Fault as error:
            fault = (error.result(), error.text)
    return ("update", purl, action, when, fault), None
