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

from port import const, phase, sleep_ms, spent, wait_for

from swupdate.faults import Fault
from swupdate.install.pace import Pace

_LINE = const(512)
_REDIRECTS = const(3)
_DRAIN = const(1024)  # a shorter rest of an answer is read to keep the connection, a longer one closes it


class HttpsSource:
    """A Source (docs/architecture.md) over HTTPS.

    `url` is what relative URLs are resolved against; `authorities` a list of DER certificates; `resolver` has
    `async resolve(name) -> numeric address`, and may refuse it. `limits` may have `connect_s` (name and connection,
    and once more for the request: 10), `read_s` (15): the whole head of an answer must come within it, and of a body at
    least something; and what Pace takes from it.

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
        self._asked = None  # the URL that was asked for last, and what it stands for
        self._target = None
        self._head = None  # of the answer, on its way out of `_timed`
        self._whole = None  # (url, etag, size) of an object that comes whole though a range was asked for

    async def get(self, url, limit, buf=None):
        """The object at `url`, whole, at most `limit` bytes: a memoryview, of `buf` when that is given and has room."""
        size = await self._request(url, limit)
        data = memoryview(buf if buf and len(buf) >= size else bytearray(size))[:size]
        await self.readinto(data)
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
        return await self._request(url, (offset, length, etag))

    def _locate(self, url):
        """Know whom to ask for `url` before the code that asks is in memory. Raises Fault."""
        if url != self._asked:
            with phase("swupdate.install.reference") as reference:
                self._target = reference.target(self._base, url, ("https",))
                spent(reference)
            self._asked = url

    async def _request(self, url, what):
        """Ask for `what` of `url` (swupdate.install.request), following redirects: what that brings."""
        self._locate(url)
        self._whole = None
        target = self._target
        for _ in range(_REDIRECTS + 1):
            if self._stream and (self._left > _DRAIN or self._server != target[1:3]):
                await self.close()
            kept = self._stream
            try:
                await self._skip(self._left)
                await self._exchange(target, what)
            except Fault:
                if not kept:
                    raise
                # The server may have closed the kept connection just before: once more, on a new one.
                await self._exchange(target, what)
            with phase("swupdate.install.request") as request:
                target, found = await request.judge(self, target, url, what)
                spent(request)
                request = None  # see swupdate.install.bring
            if target is None:
                return found
        raise _lost("redirects more than %d times" % _REDIRECTS)

    async def _exchange(self, target, what):
        """Ask, and have what the head of the answer says in `_head`: all of it one after the other in memory."""
        late = "cannot be reached within %d s"
        if self._stream is None:
            with phase("swupdate.install.connect") as code:
                await self._timed(code.connect(self, *target[1:3]), self._connect_s, late)
                spent(code)
                code = None
        with phase("swupdate.install.ask") as code:
            await self._timed(code.send(self, target, what), self._connect_s, late)
            spent(code)
            code = None
        with phase("swupdate.install.head") as code:
            late = "is silent or too slow: no whole answer within %d s"
            await self._timed(code.read(self), self._read_s, late)
            spent(code)
            code = None

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


def _lost(text):
    return Fault("lost", "the server " + text)
