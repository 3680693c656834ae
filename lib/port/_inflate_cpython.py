"""CPython's side of `port.inflate`."""

import zlib


class stream:
    """A stream of what the bytes of `raw` inflate to, with a window of 1 KB. Raises OSError, EOFError."""

    def __init__(self, raw):
        self._raw = raw
        self._inflate = zlib.decompressobj(-10)

    def readinto(self, view):
        """Fill `view`, or as much of it as there is until the end of the stream: how many bytes."""
        done = 0
        while done < len(view):
            data = self._raw.read()
            try:
                part = self._inflate.decompress(data, len(view) - done)
            except zlib.error as error:
                raise OSError(22, str(error)) from None
            left = self._inflate.unconsumed_tail or self._inflate.unused_data
            self._raw.seek(-len(left), 1)
            view[done : done + len(part)] = part
            done += len(part)
            if self._inflate.eof:
                break
            if not part and not data:
                raise EOFError
        return done
