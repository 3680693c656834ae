"""Access to Resources. Today's policy serves in the clear what OCF demands in the clear, and nothing else."""

from port import const

_RFOTM = const(1)
_GET = const(1)
_POST = const(2)
_DOXM = "/oic/sec/doxm"


class SecuredOnly:
    """The product's policy until credentials exist: authenticated Clients only.

    Save for discovery and, before there is an owner (RFOTM), what onboarding begins with.

    `pstat` gives the onboarding state. A policy is asked `check(request, resource)` before anything is done, again for
    every notification, and `identity(request)` for the name of an authenticated Client, or None.
    """

    def __init__(self, pstat):
        self._pstat = pstat

    def check(self, request, resource):
        """Whether `request` may do to `resource` what its method says."""
        if request.secure and request.identity:
            return True
        href = resource.href
        if request.code == _GET:
            if href in ("/oic/res", "/oic/d", "/oic/p"):
                return True
        elif request.code != _POST or href != _DOXM:
            return False
        return self._pstat.state == _RFOTM and href in (_DOXM, "/oic/sec/pstat")

    def identity(self, request):
        """Who asks: a name that the transport vouches for, or None."""
        return request.identity if request.secure else None
