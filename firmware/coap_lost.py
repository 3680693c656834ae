"""Why a connection or a transfer by CoAP failed, in words. A phase."""

from port import const
from swupdate.faults import Fault

_ALERTS = {  # RFC 5246 section 7.2, RFC 4279 section 6
    20: "the keys of both sides differ",
    51: "the keys of both sides differ",
    40: "it has no key and no certificate for this Device",
    115: "it does not know this Device",
}
_ERROR = const(0x80)  # 4.00 and above; alerts of DTLS have smaller codes


def fault(error):
    """The Fault for an OSError of a transfer.

    It is known by what it has and not by its class: that was loaded in another phase, and is not the one found now.
    """
    code = getattr(error, "code", 0)
    if code >= _ERROR:
        return Fault("status", "the server answered %s" % error, (code >> 5) * 100 + (code & 31))
    if type(error).__name__ == "TransferError":
        return Fault("lost", "the transfer failed: %s" % error)
    return Fault("lost", "the server was lost: %s" % error)


def refused(error, trust, starved):
    """The Fault for an OSError of a handshake; `trust`: the credentials, which may know more. Raises MemoryError when there
    was no answer and `starved`, as many datagrams as there was no memory for.
    """
    why = error if hasattr(error, "code") else ""
    why = getattr(trust, "refused", "") or _ALERTS.get(getattr(error, "code", None), why)
    if not why:
        if starved:
            raise MemoryError("no memory for what the server answered")
        why = "no answer"
    return Fault("lost", "no secured connection with the server: %s" % why)
