"""A large object by Block2 GETs (RFC 7959), several of them outstanding, handed out in order.

RFC 7252 section 4.7 lets a client have one request outstanding unless it controls congestion some other way. This one
starts with one request, takes a request without an answer as a sign of congestion and halves the number that it keeps
outstanding, and adds one after each full window of answers. As TCP does (RFC 5681 section 3.2), it asks again for a
block when three that were asked for later have come, and keeps a third less outstanding. It measures the round trip, and
without such a hint asks again after four of them, then twice as late each time.
"""

from asyncio import Event

from port import const, ticks_diff, ticks_ms, urandom

from coap.exchange import Exchange, Timeout, TransferError, request_options

_GET = const(1)
_CONTENT = const(0x45)
_BLOCK2 = const(23)
_SIZE2 = const(28)
_BLOCK = const(1024)
_DATAGRAM = const(1500)
_BESIDE = const(4)  # datagrams that are being received, opened and read while a block waits in its slot
_WINDOW = const(6)  # what the chip's queue of datagrams holds
_MAX_BLOCKS = const(1 << 20)  # what a Block2 option can number
_OVERTAKEN = const(3)  # answers to later requests after which one is taken for lost
_FLOOR_MS = const(150)
_FIRST_MS = const(2000)  # ACK_TIMEOUT, until a round trip was measured
_CEILING_MS = const(8000)


class Failed(TransferError):
    """The server answered with an error: `code` is its code as on the wire (0x84 is 4.04)."""

    def __init__(self, code, text=""):
        super().__init__("%d.%02d %s" % (code >> 5, code & 31, text))
        self.code = code


class Download:
    """A download of `path` (and `query`, a list of str) from `peer` through a coap.endpoint.Endpoint.

    `window`: requests outstanding at most. `timeout_ms`: how long one block may take. After `start`, `etag` is the
    object's entity tag (bytes or None) and `size` its size in bytes, or None as long as it is not known.
    """

    def __init__(self, endpoint, peer, path, query=(), window=_WINDOW, timeout_ms=20_000):
        self._endpoint = endpoint
        self._peer = peer
        self._options = request_options(path, query)
        self._timeout = timeout_ms
        # By block number modulo `_most`: None, the Request under way, the length that arrived, or what went wrong.
        self._slots = [None] * window
        self._most = 0  # slots that there is memory for
        self._ring = []  # a block for each slot
        self._szx = 6
        self.window = 1  # requests outstanding at most, now
        self._grown = 0
        self._turn = 0  # of the last request that was sent
        self._trip = 0  # ms, smoothed; 0 when not measured yet
        self._at = self._end = 0  # next byte to hand out, and the byte that is not wanted any more (None: not known)
        self._ask = 0  # next block to ask for
        self._event = Event()
        self.etag = None
        self.size = None

    async def start(self, offset=0, length=None, etag=None):
        """Begin at byte `offset`, for `length` bytes or to the end; the entity tag.

        With `etag`, an object that has another one is a TransferError. Raises Failed, Timeout, Reset,
        TransferError, all of
        them OSError.
        """
        self.close()
        self.etag = etag
        self._sure = etag is not None
        self._at = offset
        self._end = None if length is None else offset + length
        self._make_room()
        self._ask = offset >> self._szx + 4
        first = not self._trip
        await self.available()
        if first:
            self.window = self._most
        return self.etag

    async def readinto(self, view):
        """Fill `view` with the next bytes. Raises as `start` does; TransferError also when the object has no more."""
        done = 0
        while done < len(view):
            count = min(await self.available(), len(view) - done)
            if not count:
                raise TransferError("the object ends at byte %d" % self._at)
            bits = self._szx + 4
            block = self._at >> bits
            slot = block % self._most
            start = self._at - (block << bits)
            view[done : done + count] = memoryview(self._ring[slot])[start : start + count]
            done += count
            self._at += count
            if self._at >> bits != block:
                self._slots[slot] = None
        self._pump()

    def close(self):
        """Forget what is under way and what has arrived; `start` may follow."""
        for slot in range(len(self._slots)):
            request = self._slots[slot]
            self._slots[slot] = None
            if isinstance(request, _Request):
                request.cancel()

    def _make_room(self):
        """A block for each slot, as long as there is memory for what comes in beside them; for one of them in any case."""
        while len(self._ring) < len(self._slots):
            try:
                beside = [bytearray(_DATAGRAM) for _ in range(_BESIDE)] if self._ring else None  # noqa: F841
                self._ring.append(bytearray(_BLOCK))
            except MemoryError:
                if not self._ring:
                    raise
                break
        self._most = len(self._ring)

    async def available(self):
        """Wait for the next bytes: how many `readinto` can give at once, or 0 at the end. Raises as `start` does."""
        while True:
            self._pump()
            bits = self._szx + 4
            block = self._at >> bits
            state = self._slots[block % self._most]
            if isinstance(state, int):
                return max(state - self._at + (block << bits), 0)
            if state is None or self.size is not None and self._at >= self.size > 0:
                return 0
            if isinstance(state, Exception):
                raise state
            self._event.clear()
            await self._event.wait()

    def _pump(self):
        """Ask for as many blocks as may be outstanding."""
        bits = self._szx + 4
        first = self._at >> bits
        free = self.window
        for state in self._slots:
            free -= isinstance(state, _Request)
        while free > 0 and self._ask < first + self._most and self._ask < _MAX_BLOCKS:
            if self._end is not None and self._ask << bits >= max(self._end, 1):
                break
            slot = self._ask % self._most
            request = self._slots[slot] = _Request(self, self._ask)
            self._ask += 1
            free -= 1
            request.ask()

    def patience(self, tries):
        """Milliseconds to wait for an answer to a request made for the `tries`th time again."""
        first = max(4 * self._trip, _FLOOR_MS) if self._trip else _FIRST_MS
        return min(first << tries, _CEILING_MS)

    def over(self, request, exchange):
        """An exchange has ended."""
        slot = request.block % self._most
        if self._slots[slot] is not request:
            return
        now = ticks_ms()
        reply = exchange.reply
        if reply is None:
            state = exchange.error
            if isinstance(state, Timeout):
                self._shrink(self.window // 2)
                if ticks_diff(now, request.began) < self._timeout:
                    request.again()
                    return
        else:
            if not request.tries:  # otherwise it is unknown which request was answered (Karn)
                trip = max(ticks_diff(now, request.began), 1)
                self._trip = (7 * self._trip + trip) // 8 if self._trip else trip
            self._grown += 1
            if self._grown >= self.window < self._most:
                self.window += 1
                self._grown = 0
            try:
                state = self._place(request.block, slot, reply)
            except TransferError as error:
                state = error
        self._slots[slot] = state
        self._event.set()
        if isinstance(state, int):
            self._overtake(request.turn)
            self._pump()

    def _overtake(self, turn):
        """What was asked for before `turn` is late."""
        for late in self._slots:
            if isinstance(late, _Request) and late.turn < turn:
                late.overtaken += 1
                if late.overtaken == _OVERTAKEN:
                    self._shrink(self.window * 2 // 3)
                    late.cancel()
                    late.again()

    def _shrink(self, window):
        self.window = max(window, 1)
        self._grown = 0

    def _place(self, block, slot, reply):
        """Put the payload where it belongs; its length, or None when everything starts anew with smaller blocks."""
        code = reply.code
        if code >= 0x80:
            text = reply.payload
            try:
                text = str(text[:64], "utf-8")
            except ValueError:
                text = ""
            raise Failed(code, text)
        payload = reply.payload
        length = len(payload)
        bits = self._szx + 4
        option = reply.block2 or 0
        szx = option & 7
        if reply.block2 is None:
            szx = self._szx
        elif szx == 7 or szx > self._szx:
            raise TransferError("a block of another size")
        offset = option >> 4 << szx + 4
        if code != _CONTENT or offset != block << bits:
            raise TransferError("another block than asked for")
        if self._sure and reply.etag != self.etag:
            raise TransferError("the object changed under way")
        self.etag = reply.etag
        self._sure = True
        if szx < self._szx:
            self.close()
            self._szx = szx
            self._ask = self._at >> szx + 4
            return None
        size = 1 << bits
        more = option & 8
        if length != size if more else length > size:
            raise TransferError("a block of the wrong length")
        if reply.size2 is not None:
            self.size = reply.size2
        if not more:
            self.size = offset + length
        if self._end is None:
            self._end = self.size
        self._ring[slot][:length] = payload
        return length


class _Request:
    """The wish for one block, asked for once or several times."""

    def __init__(self, download, block):
        self.download = download
        self.block = block
        self.tries = 0
        self.began = ticks_ms()
        self.token = None  # of the exchange that is under way

    def cancel(self):
        exchange = self.download._endpoint.tokens.get(self.token)
        if exchange:
            exchange.cancel()

    def again(self):
        self.tries += 1
        self.ask()

    def ask(self):
        """Ask for the block. Raises MemoryError, of which whoever reads hears too when nothing will be sent."""
        try:
            self._send()
        except MemoryError as error:
            download = self.download
            if self.token not in download._endpoint.tokens:
                download._slots[self.block % download._most] = error
                download._event.set()
            raise

    def _send(self):
        download = self.download
        self.turn = download._turn = download._turn + 1
        self.overtaken = 0
        options = download._options + [(_BLOCK2, self.block << 4 | download._szx)]
        if download.size is None:
            options.append((_SIZE2, 0))
        self.token = urandom(8)
        Exchange(
            download._endpoint, download._peer, _GET, options,
            timeout_ms=download.patience(self.tries), done=self._done, token=self.token,
        )  # fmt: skip

    def _done(self, exchange):
        self.download.over(self, exchange)
