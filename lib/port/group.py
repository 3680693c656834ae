"""Sockets of multicast groups: a phase of the start.

`group_socket(group, port, interface)`: as the interpreter's side of it says.
"""

import sys

if sys.implementation.name == "micropython":
    from port._group_micropython import group_socket
else:
    from port._cpython import group_socket  # noqa: F401
