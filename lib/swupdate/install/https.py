"""Objects from an HTTPS server (RFC 9110, 9112), whole or in ranges, over one connection at a time that is kept open.

The server must show a certificate for the URL's host that chains to the job's authorities. What it sends is
believed by nobody:
the signatures and digests above this module decide. So the rules here only bound what a bad server can cost.

* A range is asked for with `Range`, and with `If-Range` when an entity tag is known and strong. 206 must be that
  very range.
* 200 to a range: the server has no ranges. What lies before the range is read and dropped; a further range that
  begins behind the
  last one continues in the same answer, so such a server costs one whole download and not one for every range.
* An answer without `Content-Length`, with `Transfer-Encoding` or with a `Content-Encoding` is refused.
* At most 3 redirects, to https only; another host needs a certificate of its own from the same authorities.
* A server that is silent, or slower than swupdate.install.pace bears, is given up.
"""

import asyncio

from port import const, phase, sleep_ms, wait_for

from swupdate.faults import Fault
from swupdate.install.pace import Pace

_LINE = const(512)
_HEADERS = const(4096)
_REDIRECTS = const(3)
_DRAIN = const(1024)  # a shorter rest of an answer is read to keep the connection, a longer one closes it


class HttpsSource:
    """A Source (docs/architecture.md) over HTTPS.

    `url` is what relative URLs are resolved against; `authorities` a list of DER certificates; `resolver` has
    `async resolve(name) -> numeric address`, and may refuse it. `limits` may have `connect_s` (name, connection and
    request: 10), `read_s` (15): the whole head of an answer must come within it, and of a body at least something; and
    what Pace takes from it.

    Every method may raise Fault: "lost", "status" (the server's 400 to 599), "url", "scheme".
    """

    def __init__(self, url, authorities, resolver, limits=None):
        self._base = url
        self._authorities = authorities
        self._resolver = resolver
        self._connect_s = getattr(limits, "connect_s", 10)
        self._read_s = getattr(limits, "read_s", 15)
        self._pace = Pace(limits)
        self._stream = None
        self._server = None  # (host, port) of the open connection
        self._buffer = memoryview(bytearray(_LINE))
        self._low = self._high = 0  # what of the buffer is not read yet
        self._left = 0  # bytes of the answer's body that are still to come
        self._keep = True  # the connection stays when they have come
        self._home = None  # what the URL of the source stands for
        self._asked = None  # the URL that was asked for last, and what it stands for
        self._target = None
        self._whole = None  # (url, etag, size) of an object that comes whole though a range was asked for

    async def get(self, url, limit):
        """The object at `url`, whole, at most `limit` bytes: a bytearray."""
        head = await self._request(url, "")
        if head.status != 200:
            raise _lost("answered %d" % head.status)
        if head.length > limit:
            raise Fault("invalid", "%s has %d bytes, more than the %d that it may have" % (url, head.length, limit))
        data = bytearray(head.length)
        await self.readinto(memoryview(data))
        return data

    async def start(self, url, offset, length, etag=None):
        """Begin `length` bytes at `offset` of the object at `url`; its entity tag (bytes) or None.

        With `etag` (from an earlier `start`), an object that is another one now is Fault "lost".
        """
        if self._whole:
            same, tag, size = self._whole
            skip = offset + self._left - size
            if same == url and etag in (None, tag) and 0 <= skip <= self._left - length:
                await self._skip(skip)
                return tag
        extra = "Range: bytes=%d-%d\r\n" % (offset, offset + length - 1)
        if etag and etag[:1] == b'"':
            extra += "If-Range: %s\r\n" % str(etag, "ascii")
        head = await self._request(url, extra)
        if etag and head.etag and head.etag != etag:
            raise _lost("has another file at this address now")
        if head.status == 206:
            if head.range != (offset, offset + length - 1) or head.length != length:
                raise _lost("sent another range than asked for", 416)
        elif head.status != 200:
            raise _lost("answered %d" % head.status)
        elif head.length < offset + length:
            raise _lost("has a file of %d bytes only" % head.length, 416)
        else:
            await self._skip(offset)
            self._whole = url, head.etag, head.length
        return head.etag

    async def readinto(self, view):
        """Fill `view` with the next bytes of the object."""
        if len(view) > self._left:
            raise _lost("was asked for more than it announced")
        at = min(len(view), self._high - self._low)
        view[:at] = self._buffer[self._low : self._low + at]
        self._low += at
        self._left -= at
        self._pace.begin()
        if at < len(view):
            at += self._there(view[at:])
        while at < len(view):
            at += await self._timed(self._more(view[at:]), self._read_s, "sent nothing within %d s")
        if not self._left and not self._keep:
            await self.close()

    def rest(self):
        """Nothing is asked for soon."""

    async def close(self):
        """Close the connection; the Source can be used again."""
        stream, self._stream = self._stream, None
        self._left = self._low = self._high = 0
        self._whole = None
        if stream:
            await stream.close()

    def _there(self, view):
        """What has come of the body, without a turn of the loop: how many bytes."""
        try:
            return self._got(self._stream.take(view)) or 0
        except OSError:  # whoever waits for more hears of it
            return 0

    async def _more(self, view):
        """Some bytes of the body, at least one: how many."""
        count = self._got(await self._stream.readinto(view))
        if not count:
            raise _lost("closed the connection with %d bytes missing" % self._left)
        return count

    def _got(self, count):
        if count:
            self._left -= count
            self._pace.got(count)
        return count

    async def _skip(self, count):
        scratch = memoryview(bytearray(min(count, _LINE)))
        while count:
            part = scratch[: min(count, len(scratch))]
            await self.readinto(part)
            await sleep_ms(0)
            count -= len(part)

    async def _timed(self, step, seconds, late):
        """Run one step; whatever fails closes the connection, and is a Fault. `late`: what to say when it takes longer."""
        try:
            return await wait_for(step, seconds)
        except (asyncio.TimeoutError, OSError, ValueError) as error:  # noqa: UP041 - MicroPython has no other
            with phase("swupdate.install.lost") as lost:
                fault = lost.fault(error, late % seconds)
        except Fault as error:
            fault = error
        except asyncio.CancelledError:
            await self.close()
            raise
        await self.close()
        raise fault

    async def _request(self, url, extra):
        """Ask for `url`, following redirects: the Head of an answer that is not one."""
        if url != self._asked:
            self._target = self._beside(url) or _target(self._base, url)
            self._asked = url
        target = self._target
        self._whole = None
        for _ in range(_REDIRECTS + 1):
            base, host, port, path = target
            if self._stream and (self._left > _DRAIN or self._server != (host, port)):
                await self.close()
            kept = self._stream
            try:
                await self._skip(self._left)
                head = await self._exchange(host, port, path, extra)
            except Fault:
                if not kept:
                    raise
                # The server may have closed the kept connection just before: once more, on a new one.
                head = await self._exchange(host, port, path, extra)
            self._left = head.length
            self._keep = head.keep
            refused = head.refused or (head.length < 0 and "does not say how long its answer is")
            if refused:
                await self.close()
            if head.status >= 400:
                raise Fault("status", "the server answered %d" % head.status, head.status)
            if head.location and head.status in (301, 302, 303, 307, 308):
                target = _target(base, head.location)
            elif refused:
                raise _lost(refused)
            else:
                return head
        raise _lost("redirects more than %d times" % _REDIRECTS)

    def _beside(self, name):
        """What a plain file name stands for, without the rules for URLs: they would come into memory with all the rest."""
        for c in name:
            if not ("a" <= c <= "z" or "0" <= c <= "9" or c in "-._"):
                return None
        if not name.strip("."):
            return None
        if self._home is None:
            self._home = _target(self._base, "")
        url, host, port, path = self._home
        return url[: url.rindex("/") + 1] + name, host, port, path[: path.rindex("/") + 1] + name

    async def _exchange(self, host, port, path, extra):
        await self._timed(self._send(host, port, path, extra), self._connect_s, "cannot be reached within %d s")
        return await self._timed(self._head(), self._read_s, "is silent or too slow: no whole answer within %d s")

    async def _send(self, host, port, path, extra):
        if self._stream is None:
            self._low = self._high = 0
            with phase("swupdate.install.connect") as connect:
                self._stream = await connect.connect(self._resolver, host, port, self._authorities)
            self._server = host, port
        shown = "[%s]" % host if ":" in host else host
        if port != 443:
            shown += ":%d" % port
        await self._stream.write(
            (
                "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: fargo\r\nAccept-Encoding: identity\r\n%s\r\n"
                % (path, shown, extra)
            ).encode()
        )

    async def _head(self):
        budget = _HEADERS
        head = None
        self._pace.begin()
        while True:
            line = await self._line()
            budget -= len(line) + 2
            if budget < 0:
                raise _lost("sent an endless header")
            if head is None:
                head = Head(line)
            elif line:
                head.add(line)
            elif head.status >= 200:
                self._pace.got(0)
                return head
            else:
                head = None  # 1xx is followed by the real answer

    async def _line(self):
        """The next line of the header, without its end."""
        seen = self._low
        while True:
            for at in range(seen, self._high):
                if self._buffer[at] == 10:
                    line = bytes(self._buffer[self._low : at])
                    self._low = at + 1
                    return line[:-1] if line[-1:] == b"\r" else line
            size = self._high - self._low
            if size == len(self._buffer):
                raise _lost("sent a header of more than %d characters" % size)
            if self._low:
                self._buffer[:size] = bytes(self._buffer[self._low : self._high])
                self._low, self._high = 0, size
            seen = size
            count = await self._stream.readinto(self._buffer[size:])
            if not count:
                raise _lost("closed the connection before it answered")
            self._high += count


class Head:
    """What is of interest in an answer's header. Raises Fault "lost" for what is no header."""

    def __init__(self, line):
        code = line[9:12]
        if line[:7] != b"HTTP/1." or line[8:9] != b" " or len(line[12:13].strip()) or not _digits(code, 3):
            raise _lost("does not answer in HTTP")
        self.status = int(code)
        if not 100 <= self.status < 600:
            raise _lost("answered %d" % self.status)
        self.keep = line[7:8] != b"0"
        self.length = -1  # not known
        self.refused = self.etag = self.location = self.range = None  # refused: why the body cannot be used

    def add(self, line):
        """One header line."""
        name, mark, value = line.partition(b":")
        if not mark or not name or name != name.strip():
            raise _lost("sent a header that is none")
        name = name.lower()
        value = value.strip()
        if name == b"content-length":
            if not _digits(value, 9) or self.length not in (-1, int(value)):
                raise _lost("sent a Content-Length that is none")
            self.length = int(value)
        elif name == b"transfer-encoding":
            self.refused = "sends without a length (chunked)"
        elif name == b"content-encoding" and value.lower() != b"identity":
            self.refused = "sends the file in another encoding"
        elif name == b"connection" and value.lower() == b"close":
            self.keep = False
        elif name == b"etag" and 0 < len(value) <= 64:
            for byte in value:
                if not 32 < byte < 127:
                    return
            self.etag = value
        elif name == b"location":
            try:
                self.location = value.decode()
            except ValueError:
                raise _lost("redirects to what is no URL") from None
        elif name == b"content-range":
            unit, _, value = value.partition(b" ")
            first, _, last = value.partition(b"/")[0].partition(b"-")
            if unit.lower() == b"bytes" and _digits(first, 9) and _digits(last, 9):
                self.range = int(first), int(last)


def _target(base, reference):
    with phase("swupdate.install.connect") as connect:
        return connect.target(base, reference)


def _digits(value, most):
    return 0 < len(value) <= most and value.isdigit()


def _lost(text, status=0):
    return Fault("lost", "the server " + text, status)
