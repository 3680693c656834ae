"""The message layer and the server side of CoAP (RFC 7252 sections 4, 5 and 8) on one transport."""

import asyncio
from random import getrandbits

from port import const, phase, print_exception, reserve, sleep_ms, ticks_diff, ticks_ms, urandom

from coap import block
from coap.message import BadMessage, Refused, Response, pack, parse
from coap.observe import Observing

_CON = const(0)
_NON = const(1)
_ACK = const(2)
_RST = const(3)
_GET = const(1)
_MAX_DATAGRAM = const(1280)
_OCF_CBOR = const(10000)
_EXCHANGE_LIFETIME = const(247_000)  # ms in which a message ID stands for one message (RFC 7252 section 4.8.2)
_RECENT = const(32)  # messages remembered for de-duplication
_RECENT_BYTES = const(4096)  # of replies kept for them
_TASKS = const(8)  # requests whose answer takes time, and multicast requests whose answer waits
_LONG = const(60_000)  # ms
_FREE = const(3)  # bytes that may be sent for one received
_SENT = const(32)  # CON messages under way


class Endpoint(Observing):
    """CoAP over `transport`; requests go to `handler(request) -> Response | None | coroutine of one`.

    A handler that raises Refused answers with its code and text; any other exception is printed and answered 5.00.
    Settings (keyword arguments, in ms where not a number of things): `ack_timeout`, `max_retransmit`, `leisure` (the
    longest delay of an answer to a multicast), `separate_after` (a slower answer is acknowledged first and sent by
    itself), `max_observers`, `con_every` (the oldest that an observer's last acknowledged notification may be),
    `max_body` (bytes of a request in blocks), `transfer_timeout` (an unfinished transfer in blocks is forgotten), `rate`
    (bytes a millisecond that may go out beyond three times what requests had, `burst` of them saved up at most: while none
    are left requests are not heard; 0: no limit).
    `out` is where messages are put together: endpoints of one loop may share it, for each is sent before anybody waits.
    `requests` counts the requests taken. `tokens` maps the token of an own request to `reply(message) -> bool`
    (coap.client).
    """

    ack_timeout = 2000
    max_retransmit = 4
    leisure = 2000
    separate_after = 1000
    max_observers = 8
    con_every = 60_000
    max_body = 4096
    transfer_timeout = 30_000
    rate = 0
    burst = 24_576
    parts = bodies = ()  # of transfers in blocks (coap.block)
    tokens = {}  # until there is an own request
    _closed = False

    def __init__(self, transport, handler=None, out=None, **settings):
        self.transport = transport
        self.handler = handler
        for name in settings:
            getattr(Endpoint, name)  # AttributeError for one that does not exist
            setattr(self, name, settings[name])
        self.requests = 0
        self.out = out or memoryview(bytearray(_MAX_DATAGRAM))
        self._mid = int.from_bytes(urandom(2), "big")
        self._recent = []  # [peer, mid, ticks, reply], oldest first
        self._sent = {}
        self._timers = []
        self._waiting = []  # (peer, token) of multicast requests that will be answered
        self._tasks = []
        self._receiving = 0  # how many of them are in `run`
        if self.rate:
            self._left, self._counted = self.burst, ticks_ms()
        self.observers = []

    # Life

    async def run(self, group=0):
        """Receive until `close()`. Nothing that a peer sends or a handler raises ends it.

        `group`: the number of a multicast group of the transport; the task of 0 begins one for each.
        """
        task = asyncio.current_task()
        self._receiving += 1
        try:
            self._tasks.append(task)
            if not group:
                for n in range(getattr(self.transport, "groups", 0)):
                    asyncio.create_task(self.run(n + 1))
            while not self._closed:
                try:
                    # No name keeps a datagram until the next.
                    self.receive(*await (self.transport.receive(group) if group else self.transport.receive()))
                    reserve.take(True)
                except MemoryError:
                    reserve.let_go()  # for when the message comes again
                    await sleep_ms(10)
                except Exception as error:
                    print_exception(error)
                    await sleep_ms(10)
            await sleep_ms(0)  # where CPython delivers the cancellation when a handler has closed the endpoint
        except asyncio.CancelledError:
            if not self._closed:
                raise
        finally:
            self._receiving -= 1
            if task in self._tasks:
                self._tasks.remove(task)
            self.close()  # whichever ends: nobody else would notice that of a group

    def close(self):
        """End `run()` and all that is under way, and close the transport."""
        self._closed = True
        try:
            self._timers.clear()
            for sending in list(self._sent.values()):
                if sending.done:
                    sending.done(None)
            self._sent.clear()
            for exchange in list(self.tokens.values()):
                exchange.finish(OSError("endpoint closed"))
        finally:  # also where there is no memory for that
            for task in self._tasks:
                try:
                    task.cancel()  # `run` calls again when it has stopped receiving
                except RuntimeError:
                    pass  # it is the one that closes: it ends by itself
            if not self._receiving:
                self.transport.close()

    def spawn(self, coroutine):
        """Run `coroutine` as a task that ends with the endpoint; None, or a Response when too many are running."""
        if len(self._tasks) - self._receiving >= _TASKS:
            coroutine.close()
            return Response(0xA3, "busy")
        self._tasks.append(asyncio.create_task(self._guard([coroutine])))
        return None

    async def _guard(self, box):
        try:
            await box.pop()  # so that nothing is kept of it: see port.create_task
        except Exception as error:
            print_exception(error)
        finally:
            self._tasks.remove(asyncio.current_task())

    # Messages out

    def empty(self, kind, mid, peer):
        """Send an empty ACK or RST; its bytes."""
        data = bytes((0x40 | kind << 4, 0, mid >> 8, mid & 0xFF))
        self.transport.send(data, peer)
        return data

    # Messages in

    def receive(self, data, peer, multicast=False):
        """Take one datagram."""
        try:
            message = parse(data)
        except BadMessage:
            if not data[0] & 0x30 and not multicast:
                self.empty(_RST, data[2] << 8 | data[3], peer)
            return
        if message is None:
            return
        message.peer = peer
        if multicast:
            message.multicast = True
        kind = message.type
        code = message.code
        if kind == _CON and multicast:  # RFC 7252 section 8.1
            return
        if kind >= _ACK:
            self._answered(message, kind, code)
        elif 0 < code < 32 and self.handler:
            self._request(message, len(data))
        elif 0x40 <= code < 0xC0 and code >> 5 != 3:
            known = self._find(message)
            if known:
                self.transport.send(known[3], peer)
                return
            taker = self.tokens.get(message.token)
            if taker and message.bad is None and taker.take(message):
                if kind == _CON:
                    self._remember(message)[3] = self.empty(_ACK, message.mid, peer)
            elif not multicast:
                self.empty(_RST, message.mid, peer)
        elif kind == _CON:  # a ping, a reserved code, or a request where there is no server
            self.empty(_RST, message.mid, peer)

    def _answered(self, message, kind, code):
        mid = message.mid
        sending = self._sent.get(mid)
        if kind == _RST and not code:
            self.told(message.peer, mid, kind)
        elif 0 < code < 0x40:
            return
        if sending and sending.peer == message.peer:
            if code and message.bad is None:  # piggy-backed
                taker = self.tokens.get(message.token)
                if taker:
                    taker.take(message)
            if sending.done:
                sending.done(kind)
            self.abandon(mid)  # only now: who had no memory to hear of it hears of the answer to another transmission

    def _find(self, message):
        mid = message.mid
        for entry in reversed(self._recent):
            if entry[1] == mid and entry[0] == message.peer:
                age = ticks_diff(ticks_ms(), entry[2])
                return entry if 0 <= age < _EXCHANGE_LIFETIME else None
        return None

    def _remember(self, message):
        entry = message.entry
        if entry is None:
            entry = message.entry = [message.peer, message.mid, ticks_ms(), b""]
            recent = self._recent
            recent.append(entry)
            if len(recent) > _RECENT:
                recent.pop(0)
            # A duplicate of a message whose reply had to be dropped is ignored: it is never processed again.
            excess = -_RECENT_BYTES
            for old in recent:
                excess += len(old[3])
            for old in recent:
                if excess > 0:
                    excess -= len(old[3])
                    old[3] = b""
        return entry

    # Requests

    def _request(self, message, length):
        if self.rate and not self._affordable(length):
            return  # the Client asks again (RFC 7252 section 4.2)
        known = self._recent and self._find(message)
        if known:
            if message.type == _CON and known[3]:
                self.transport.send(known[3], message.peer)
            return
        self.requests += 1
        message.endpoint = self
        message.secure = self.transport.secure
        message.identity = self.transport.identity(message.peer)
        if message.multicast:
            which = (message.peer, message.token)
            if message.bad is None and which not in self._waiting and len(self._waiting) < _TASKS:
                self.after(self.leisure * getrandbits(10) // 1024, self._late, message, which)
                self._waiting.append(which)
        elif message.bad is not None and message.type == _NON:
            self.empty(_RST, message.mid, message.peer)  # RFC 7252 section 5.4.1
        else:
            if length > _MAX_DATAGRAM:
                message.bad = 0
            self._serve(message)

    def _affordable(self, length):
        """Whether a request of this length may be answered: addresses are easily forged (RFC 7252 section 11.3)."""
        now = ticks_ms()
        passed = ticks_diff(now, self._counted)
        if not 0 <= passed < _LONG:  # after days of silence it means nothing
            passed = _LONG
        self._counted = now
        sent, self.transport.bytes_sent = self.transport.bytes_sent, 0
        self._left = min(self._left + passed * self.rate + _FREE * length - sent, self.burst)
        return self._left > 0

    def _late(self, message, which):
        self._waiting.remove(which)
        self._serve(message)

    def _serve(self, message):
        # GET changes nothing, so a duplicate is answered anew and needs no memory (RFC 7252 section 4.5).
        if message.code != _GET:
            self._remember(message)
        response = self.call(message)
        if hasattr(response, "send"):
            self._remember(message)
            coroutine = response
            response = self.spawn(self._slow(message, coroutine))
            if not response:
                return
            coroutine.close()
        self._respond(message, response)

    async def _slow(self, message, coroutine):
        timer = self.after(self.separate_after, self._acknowledge, message)
        try:
            response = await self.outcome(coroutine)
        finally:
            self.cancel(timer)
        self._respond(message, response)

    def _acknowledge(self, message):
        if message.type == _CON:
            message.acked = True
            message.entry[3] = self.empty(_ACK, message.mid, message.peer)

    def call(self, message):
        """The handler's answer to `message` (also a coroutine of one); what it raises becomes a Response."""
        try:
            if message.bad is not None:
                with phase("coap.refusal") as code:
                    code.refuse(message.bad)
            answer = None
            if message.block1 is not None or (message.block2 or 0) > 6:
                answer = block.take(self, message)
            return answer or self.handler(message)
        except Exception as error:
            return self._failure(error)

    async def outcome(self, coroutine):
        """The Response of a handler's coroutine."""
        try:
            return await coroutine
        except Exception as error:
            return self._failure(error)

    def _failure(self, error):
        if isinstance(error, Refused):
            return Response(error.code, error.text)
        if isinstance(error, MemoryError):
            reserve.let_go()
            return Response(0xA3)
        print_exception(error)
        return Response(0xA0)

    def _respond(self, message, response):
        if response is None or (message.multicast and response.code >= 0x80):
            return
        response = block.cut(self, message, response)
        entry = message.entry
        sequence = None
        if message.code == _GET and message.observe is not None and not message.multicast:
            with phase("coap.registration") as code:
                sequence = code.register(self, message, response)
        mid = message.mid
        kind = _ACK
        if message.type == _NON or message.acked:
            mid = self.next_mid()
            kind = message.type
            if len(self._sent) >= _SENT:
                kind = _NON
        data = self.compose(kind, mid, message, response, sequence)
        if kind == _CON:
            self.send_con(message.peer, mid, data)
            return
        self.transport.send(data, message.peer)
        if kind == _ACK and entry:
            entry[3] = bytes(data)

    def compose(self, kind, mid, request, response, sequence):
        """The answer to `request` as a datagram, in the endpoint's buffer until the next one."""
        payload = response.payload
        if isinstance(payload, str):
            payload = payload[:128].encode()
        options = list(response.options)
        if sequence is not None:
            options.append((6, sequence))
        content_format = response.content_format
        if payload and content_format is not None:
            options.append((12, content_format))
            # The option is critical: a client that does not speak OCF's versions would have to reject the answer.
            if content_format == _OCF_CBOR and request.ocf_version is not None:
                options.append((2053, response.ocf_version))
        if request.block1 is not None:
            options.append((27, request.block1))
        try:
            length = pack(self.out, kind, response.code, mid, request.token, options, payload)
        except (ValueError, IndexError) as error:  # options and payload of a handler that do not fit
            print_exception(error)
            length = pack(self.out, kind, 0xA0, mid, request.token)
        return self.out[:length]
