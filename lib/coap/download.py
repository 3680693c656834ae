"""A large object by Block2 GETs (RFC 7959), several of them outstanding, handed out in order.

RFC 7252 section 4.7 lets a client have one request outstanding unless it controls congestion some other way. This one
starts with one request, takes a request without an answer as a sign of congestion and halves the number that it keeps
outstanding, and adds one after each full window of answers. As TCP does (RFC 5681 section 3.2), it asks again for a
block when three that were asked for later have come, and keeps a third less outstanding. It measures the round trip, and
without such a hint asks again after four of them, then twice as late each time. A request that is asked again is a new
one, so none is kept to be sent once more; and what comes is put where it is wanted, if that is known already.
"""

from port import Event, const, phase, ticks_add, ticks_diff, ticks_ms, urandom

from coap.asking import Reset, Timeout, TransferError, request_options
from coap.message import pack

_CON = const(0)
_RST = const(3)
_GET = const(1)
_CONTENT = const(0x45)
_BLOCK2 = const(23)
_SIZE2 = const(28)
_WINDOW = const(6)  # what the chip's queue of datagrams holds
_MAX_BLOCKS = const(1 << 20)  # what a Block2 option can number
_OVERTAKEN = const(3)  # answers to later requests after which one is taken for lost
_FLOOR_MS = const(150)
_FIRST_MS = const(2000)  # ACK_TIMEOUT, until a round trip was measured
_CEILING_MS = const(8000)
_LOOK_MS = const(100)  # how often at least is looked who is late


class Download:
    """A download of `path` (and `query`, a list of str) from `peer` through a coap.endpoint.Endpoint.

    `window`: requests outstanding at most. `timeout_ms`: how long one block may take. After `start`, `etag` is the
    object's entity tag (bytes or None) and `size` its size in bytes, or None as long as it is not known.
    """

    def __init__(self, endpoint, peer, path, query=(), window=_WINDOW, timeout_ms=20_000):
        self._endpoint = endpoint
        if not endpoint.tokens:
            endpoint.tokens = {}  # its own
        self._peer = peer
        self._options = request_options(path, query)
        self._timeout = timeout_ms
        # By block number modulo their number: None, the _Request under way, the length of what was put into its place,
        # the bytes that came before there was one, or what went wrong.
        self._slots = [None] * window
        self._most = 1  # blocks without a place yet that are asked for
        self._view = None  # what is being filled, and the byte that it begins with
        self._from = 0
        self._timer = None
        self._szx = 6
        self.window = 1  # requests outstanding at most, now
        self._grown = 0
        self._turn = 0  # of the last request that was sent
        self._trip = 0  # ms, smoothed; 0 when not measured yet
        self.at = 0  # next byte to hand out
        self._end = 0  # the byte that is not wanted any more (None: not known)
        self._ask = 0  # next block to ask for
        self._event = Event()
        self.etag = None
        self.size = None

    async def start(self, offset=0, length=None, etag=None):
        """Begin at byte `offset`, for `length` bytes or to the end; the entity tag.

        With `etag`, an object that has another one is a TransferError. Raises coap.seldom.Failed, Timeout, Reset,
        TransferError, all of them OSError.
        """
        self.close()
        if etag is None or etag != self.etag:
            self.size = None  # it may be another object by now
        self.etag = etag
        self._sure = etag is not None
        self.at = offset
        self._end = None if length is None else offset + length
        self._measure()
        self._most = 1  # until somebody reads: code may come into memory before
        self._begun = False
        self._ask = offset >> self._szx + 4
        self._timer = self._endpoint.after(_LOOK_MS, self._look)
        first = not self._trip
        await self.available()
        if first:
            self.window = len(self._slots)
        return self.etag

    async def readinto(self, view, got=None):
        """Fill `view` with the next bytes; `got(count)` hears of them as they come.

        Raises as `start` does; TransferError also when the object has no more.
        """
        done = 0
        if not self._begun:
            self._begun = True
            self._measure()
        self._view, self._from = view, self.at
        try:
            while done < len(view):
                count = min(await self.available(), len(view) - done)
                if not count:
                    raise TransferError("the object ends at byte %d" % self.at)
                bits = self._szx + 4
                block = self.at >> bits
                slot = block % len(self._slots)
                came = self._slots[slot]
                if isinstance(came, bytes):
                    start = self.at - (block << bits)
                    view[done : done + count] = memoryview(came)[start : start + count]
                done += count
                self.at += count
                if self.at >> bits != block:
                    self._slots[slot] = None
                if got:
                    got(count)
        finally:
            self._view = None
        self._pump()

    def size_of_block(self):
        """Bytes of the blocks that are asked for."""
        return 16 << self._szx

    def close(self):
        """Forget what is under way and what has arrived; `start` may follow."""
        for slot in range(len(self._slots)):
            request = self._slots[slot]
            self._slots[slot] = None
            if isinstance(request, _Request):
                request.cancel()
        self._endpoint.cancel(self._timer)

    def _measure(self):
        """Look how much memory there is: whether it takes smaller blocks, with which everything starts anew then."""
        with phase("coap.seldom") as seldom:
            szx, self._most = seldom.room(self._szx, len(self._slots))
        if szx < self._szx:
            self.anew(szx)
            return True
        return False

    async def available(self):
        """Wait for the next bytes: how many `readinto` can give at once, or 0 at the end. Raises as `start` does."""
        while True:
            self._pump()
            bits = self._szx + 4
            block = self.at >> bits
            state = self._slots[block % len(self._slots)]
            if isinstance(state, bytes):
                state = len(state)
            if isinstance(state, int):
                return max(state - self.at + (block << bits), 0)
            if state is None or self.size is not None and self.at >= self.size > 0:
                return 0
            if isinstance(state, Exception):
                raise state
            self._event.clear()
            await self._event.wait()

    def _pump(self):
        """Ask for as many blocks as may be outstanding."""
        bits = self._szx + 4
        most = len(self._slots)
        first = last = self.at >> bits
        if self._view:
            last = self._from + len(self._view) >> bits
        last = min(last + self._most, first + most, _MAX_BLOCKS)
        free = self.window
        for state in self._slots:
            free -= isinstance(state, _Request)
        while free > 0 and self._ask < last:
            if self._end is not None and self._ask << bits >= max(self._end, 1):
                break
            request = self._slots[self._ask % most] = _Request(self, self._ask)
            self._ask += 1
            free -= 1
            request.ask()

    def patience(self, tries):
        """Milliseconds to wait for an answer to a request made for the `tries`th time again."""
        first = max(4 * self._trip, _FLOOR_MS) if self._trip else _FIRST_MS
        return min(first << tries, _CEILING_MS)

    def _look(self):
        """Ask again for what is late; the milliseconds until the next look."""
        now = ticks_ms()
        soonest = _LOOK_MS
        for request in self._slots:
            if isinstance(request, _Request):
                left = ticks_diff(request.due, now)
                if left <= 0:
                    request.cancel()
                    try:
                        self.over(request, None, Timeout("no answer"))
                    except MemoryError:
                        pass  # whoever reads hears of it, or it is late again
                elif left < soonest:
                    soonest = left
        return soonest

    def over(self, request, reply, error=None):
        """A request has come to its end: by `reply`, or by `error`."""
        slot = request.block % len(self._slots)
        if self._slots[slot] is not request:
            return
        now = ticks_ms()
        if reply is None:
            state = error
            if isinstance(state, Timeout):
                self._shrink(self.window // 2)
                if ticks_diff(now, request.began) < self._timeout:
                    request.tries += 1
                    # Twice is no accident: what has come may have found no memory.
                    if request.tries == 2 and self._measure():
                        self._event.set()
                    else:
                        request.ask()
                    return
        else:
            if not request.tries:  # otherwise it is unknown which request was answered (Karn)
                trip = max(ticks_diff(now, request.began), 1)
                self._trip = (7 * self._trip + trip) // 8 if self._trip else trip
            self._grown += 1
            if self._grown >= self.window < len(self._slots):
                self.window += 1
                self._grown = 0
            try:
                state = self._place(request.block, reply)
            except TransferError as error:
                state = error
        self._slots[slot] = state
        self._event.set()
        if isinstance(state, (int, bytes)):
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
                    late.tries += 1
                    late.ask()

    def _shrink(self, window):
        self.window = max(window, 1)
        self._grown = 0

    def _place(self, block, reply):
        """Put the payload where it belongs, and its length; the payload, when there is no place for it yet; None, when
        everything starts anew with smaller blocks."""
        payload = reply.payload
        length = len(payload)
        szx = self._szx
        size = 16 << szx
        option = szx if reply.block2 is None else reply.block2
        more = option & 8
        if (
            reply.code != _CONTENT
            or option & ~8 != block << 4 | szx
            or (length != size if more else length > size)
            or (self._sure and reply.etag != self.etag)
        ):
            with phase("coap.seldom") as seldom:
                return seldom.judge(self, block, reply)
        self.etag = reply.etag
        self._sure = True
        offset = block << szx + 4
        if reply.size2 is not None:
            self.size = reply.size2
        if not more:
            self.size = offset + length
        if self._end is None:
            self._end = self.size
        at = offset - self._from
        if self._view and 0 <= at <= len(self._view) - length:
            self._view[at : at + length] = payload
            return length
        return bytes(payload)

    def anew(self, szx):
        """Go on with smaller blocks."""
        for request in self._slots:
            if isinstance(request, _Request):
                request.cancel()
        self._slots = [None] * len(self._slots)
        self._szx = szx
        self._ask = self.at >> szx + 4


class _Request:
    """The wish for one block, asked for once or several times: for the Endpoint, the reply's taker and the CON under way."""

    def __init__(self, download, block):
        self.download = download
        self.block = block
        self.peer = download._peer
        self.tries = 0
        self.began = ticks_ms()
        self.token = self.mid = None  # of the message that is under way

    def ask(self):
        """Ask for the block. Raises MemoryError, of which whoever reads hears too when nothing will be sent."""
        try:
            self._send()
        except MemoryError as error:
            download = self.download
            if self.token not in download._endpoint.tokens:
                download._slots[self.block % len(download._slots)] = error
                download._event.set()
            raise

    def _send(self):
        download = self.download
        endpoint = download._endpoint
        self.turn = download._turn = download._turn + 1
        self.overtaken = 0
        self.due = ticks_add(ticks_ms(), download.patience(self.tries))
        options = download._options + [(_BLOCK2, self.block << 4 | download._szx)]
        if download.size is None:
            options.append((_SIZE2, 0))
        token, mid = urandom(8), endpoint.next_mid()
        data = endpoint.out[: pack(endpoint.out, _CON, _GET, mid, token, options)]
        self.token, self.mid = token, mid
        endpoint.tokens[token] = self  # from now on it has an end, whatever fails
        endpoint._sent[mid] = self
        endpoint.transport.send(data, self.peer)

    def cancel(self):
        """Forget the message that is under way."""
        endpoint = self.download._endpoint
        endpoint.tokens.pop(self.token, None)
        if endpoint._sent.get(self.mid) is self:  # else it may be another message's by now
            endpoint.abandon(self.mid)

    def take(self, message):
        """The reply: whether it is one."""
        if message.peer != self.peer:
            return False
        self.cancel()
        self.download.over(self, message)
        return True

    def done(self, kind):
        """What came in return for the message itself."""
        if kind == _RST:
            self.finish(Reset("rejected"))

    def finish(self, error):
        """There will be no reply."""
        self.cancel()
        self.download.over(self, None, error)
