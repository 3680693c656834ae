"""Raw deflate (RFC 1951): what differs between the interpreters. A phase."""

import sys

if sys.implementation.name == "micropython":
    from deflate import RAW, DeflateIO

    def stream(raw):
        """A stream of what the bytes of `raw` inflate to, with a window of 1 KB. Raises OSError, EOFError."""
        return DeflateIO(raw, RAW, 10)

else:
    from port._inflate_cpython import stream  # noqa: F401
