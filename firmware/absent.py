"""What stands for a Resource of the app while that is away (firmware.leaving). A phase.

A GET is refused until then, so observers are told the same, and are none any more (RFC 7641 section 4.2).
"""

from coap.message import Refused
from ocf.resource import dressed
from port import const

_UNAVAILABLE = const(0xA3)  # with no Max-Age it says: in 60 s (RFC 7252 sections 5.9.3.4 and 5.10.5)


def properties(_resource):
    """None: what an UPDATE has is not looked at."""
    return


def represent(resource, interface, request):
    """In the batch of all Resources no Property; else a refusal."""
    if request.path != resource.href:
        return dressed(resource, interface, [])
    return update()


def update(*_about):
    """Refused."""
    raise Refused(_UNAVAILABLE, "the app makes room for an update")
