"""Where a package URL must not lead: to this Device itself, or to no single host."""

from port import const

from swupdate.faults import Fault

_GROUPS = const(224)  # from here on IPv4 has multicast, reserved addresses and the broadcast


def refuse(host, own):
    """Raise Fault "url" when `host` is such an address; a name is none. `own`: the IPv4 address of this Device.

    The loopback is this Device itself, unless `own` is in it: then all that there is is in it (the simulated board).
    """
    first, host = _ipv6(host) if ":" in host else _ipv4(host[:-1] if host[-1:] == "." else host)
    if first >= _GROUPS:
        raise Fault("url", "the package URL leads to no single host")
    if host == own or first == 0 or (first == 127 and own[:4] != "127."):
        raise Fault("url", "the package URL leads to this device itself")


def _ipv4(host):
    """The first number of an address in figures (-1: it is a name), and the address."""
    first = host.partition(".")[0]
    return (int(first) if host.replace(".", "").isdigit() else -1), host


def _ipv6(host):
    """The same of an IPv6 address: that of the IPv4 address in it, if there is one."""
    head, mark, tail = host.partition("::")
    if "." in host:  # the last 32 bits may be written as IPv4 does
        return _ipv4(host[host.rfind(":") + 1 :])
    try:
        front = [int(group, 16) for group in head.split(":")] if head else []
        back = [int(group, 16) for group in tail.split(":")] if tail else []
    except ValueError:
        raise Fault("url", "the package URL names no host") from None
    groups = front + [0] * (8 - len(front) - len(back)) + back
    if groups[0] >> 8 == 255:
        return _GROUPS, host
    if len(groups) != 8 or any(groups[:5]) or groups[5] not in (0, 0xFFFF):
        return -1, host
    if groups[5:] == [0, 0, 1]:
        return 127, host
    high, low = groups[6:]
    return high >> 8, "%d.%d.%d.%d" % (high >> 8, high & 255, low >> 8, low & 255)
