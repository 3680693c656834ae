"""What an UPDATE of /oc/swu asks for, read and judged. A phase."""

from swupdate import itself, rfc3339, url
from swupdate.faults import Fault

_SCHEMES = ("https", "coaps")


def event(updater, purl, action, when):
    """The event for the machine. Raises ValueError when `when` is text, and neither a time nor "now" or "none"."""
    if isinstance(when, str) and when not in ("now", "none"):
        when = rfc3339.parse(when)
    fault = None
    if purl:
        try:
            _scheme, host, _port, _path = url.parse(purl, updater.settings.get("schemes", _SCHEMES))
            itself.refuse(host, updater.settings.get("address", str)())
        except Fault as error:
            fault = (error.result(), error.text)
    return ("update", purl, action, when, fault, updater.facts())
