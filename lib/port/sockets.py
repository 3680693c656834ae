"""UDP sockets and their addresses: whoever has made one needs this no more. A part of phases.

`address(host, port)` and `udp_socket(host, port)`: as the interpreter's side of them says.
"""

import sys

from port import phase

if sys.implementation.name == "micropython":
    from port._sockets_micropython import address, udp_socket
else:
    from port._cpython import address, udp_socket  # noqa: F401


def udp_sockets(host, port, groups, interface, group_port):
    """A socket at `host` and `port`, and one for each multicast group, joined on `interface`. Raises OSError."""
    found = [udp_socket(host, port)]
    try:
        for group in groups:
            with phase("port.group") as code:
                found.append(code.group_socket(group, group_port, interface))
    except OSError:
        for sock in found:
            sock.close()
        raise
    return found
