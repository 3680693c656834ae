"""Why a request that is not whole, or not for an OCF Device, is refused. A phase: loaded when one is."""

from coap.message import Refused


def refuse(bad):
    """Raise Refused for the critical option `bad`; 0 for a datagram that is too long."""
    if bad == 0:
        raise Refused(0x8D, "datagram too long")
    if bad == 35 or bad == 39:
        raise Refused(0xA5, "not a proxy")
    raise Refused(0x82, "option %d" % bad)
