"""What only the install phase needs of the network: TLS connections, and who has sent a datagram.

`host_port`, `tls_context`, `tls_connect`, and `CERTIFICATE`, the errno of a certificate that was refused: as the
interpreter's side of them says.
"""

import sys

if sys.implementation.name == "micropython":
    from port._peer_micropython import CERTIFICATE, host_port, tls_connect, tls_context
else:
    from port._cpython import CERTIFICATE, host_port, tls_connect, tls_context  # noqa: F401
