"""Raw deflate (RFC 1951): what differs between the interpreters. A phase."""

import sys

if sys.implementation.name == "micropython":
    from port._inflate_micropython import stream  # noqa: F401
else:
    from port._inflate_cpython import stream  # noqa: F401
