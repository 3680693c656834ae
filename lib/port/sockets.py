"""UDP sockets and their addresses: whoever has made one needs this no more. A part of phases.

`address(host, port)` and `udp_socket(host, port)`: as the interpreter's side of them says.
"""

import sys

if sys.implementation.name == "micropython":
    from port._sockets_micropython import address, udp_socket
else:
    from port._cpython import address, udp_socket  # noqa: F401
