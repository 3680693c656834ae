"""Why a transfer by CoAP failed, in words. A phase."""

from coap.download import Failed
from coap.exchange import TransferError
from swupdate.faults import Fault


def fault(error):
    """The Fault for an OSError of a transfer."""
    if isinstance(error, Failed):
        status = (error.code >> 5) * 100 + (error.code & 31)
        return Fault("status", "the server answered %s" % error, status)
    if isinstance(error, TransferError):
        return Fault("lost", "the transfer failed: %s" % error)
    return Fault("lost", "the server was lost: %s" % error)
