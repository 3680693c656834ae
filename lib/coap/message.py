"""CoAP messages: what stands in a datagram (RFC 7252 section 3), read strictly and written into the caller's buffer.

Codes are numbers as on the wire: class << 5 | detail, so 0x45 is 2.05 and 0x84 is 4.04.
"""

from port import const

# Constants with an underscore are folded by the compiler and cost nothing; each module names those that it uses.
_URI_HOST = const(3)
_ETAG = const(4)
_URI_PATH = const(11)
_URI_QUERY = const(15)
_MAX_OPTIONS = const(32)

# Options that hold a number: where they go, and how many bytes they may have (RFC 7252 table 4, 7641, 7959, OCF).
_NUMBERS = const((6, 7, 12, 14, 17, 23, 27, 28, 60, 2049, 2053))
_NAMES = (
    "observe", "port", "content_format", "max_age", "accept", "block2", "block1", "size2", "size1", "ocf_version",
    "ocf_version",
)  # fmt: skip
_LENGTHS = b"\x03\x02\x02\x04\x02\x03\x03\x04\x04\x02\x02"


class BadMessage(ValueError):
    """A message format error (RFC 7252 section 3); what has it is rejected."""


class Refused(Exception):
    """Raised by a handler: `code` (0x84 is 4.04) and, as diagnostic payload, `text` go back to the Client."""

    def __init__(self, code, text=""):
        super().__init__(text)
        self.code = code
        self.text = text


class Response:
    """What a handler answers.

    `payload`: bytes, or a memoryview that stays valid until the handler is called again, or str (a
    diagnostic text, cut after 128 characters), or a list of pieces of 256 bytes, but for the last, of a long answer.
    `observe`: the key of `Endpoint.notify`; set on a 2.05 of a GET it makes that GET an observation when the Client
    asked for one. `options`: further (number, value) pairs, value int, str or bytes. One with number 23 (Block2) says
    that the handler has cut the payload itself. `etag` (1 to 8 bytes) is used when the payload goes out in blocks;
    without it a digest is.
    """

    def __init__(self, code, payload=b"", content_format=None, observe=None, options=(), ocf_version=2048, etag=None):
        self.code = code
        self.payload = payload
        self.content_format = content_format
        self.observe = observe
        self.options = options
        self.ocf_version = ocf_version
        self.etag = etag


class Message:
    """A message received: request or reply.

    `code`, `path` ("/oc/swu"), `query` (list of str), `payload` (bytes); `observe`, `content_format`, `accept`,
    `max_age`, `block1`, `block2`, `size1`, `size2`, `ocf_version` (int or None), `etag` (bytes or None), `options`
    (all of them, a list of (number, bytes)), `bad` (the number of a critical option that is unknown or malformed, or
    None); `peer`, `multicast`, `secure`, `identity`, `endpoint`: where it came from. As `Request(code, path,
    name=value...)` it can be made by hand.
    """

    type = 0  # 0 CON, 1 NON, 2 ACK, 3 RST
    mid = 0
    token = payload = b""
    query = options = ()
    observe = content_format = accept = max_age = block1 = block2 = size1 = size2 = ocf_version = etag = bad = None
    peer = identity = endpoint = entry = None
    multicast = secure = acked = False

    def __init__(self, code, path="/", **fields):
        self.code = code
        self.path = path
        for name in fields:
            setattr(self, name, fields[name])


Request = Message


def parse(data):
    """The message in `data` (bytes-like), or None when it is to be ignored silently: shorter than a header or not
    version 1.

    Raises BadMessage for everything that RFC 7252 section 3 calls a message format error.
    """
    end = len(data)
    if end < 4 or data[0] >> 6 != 1:
        return None
    code = data[1]
    message = Message(code)
    message.type = data[0] >> 4 & 3
    message.mid = data[2] << 8 | data[3]
    length = data[0] & 15
    at = 4 + length
    if length > 8 or at > end or (code == 0 and end > 4):
        raise BadMessage
    message.token = bytes(data[4:at])
    number = 0
    path = ""
    message.query = query = []
    message.options = options = []
    while at < end:
        first = data[at]
        at += 1
        if first == 0xFF:
            if at == end:
                raise BadMessage
            message.payload = bytes(data[at:])
            break
        delta = first >> 4
        if delta > 12:
            delta, at = _extended(data, at, end, delta)
        length = first & 15
        if length > 12:
            length, at = _extended(data, at, end, length)
        number += delta
        if at + length > end or number > 65535 or len(options) == _MAX_OPTIONS:
            raise BadMessage
        value = bytes(data[at : at + length])
        at += length
        repeated = delta == 0 and len(options) > 0
        options.append((number, value))
        good = not number & 1  # an elective option that is not understood is ignored
        if number in _NUMBERS:
            index = _NUMBERS.index(number)
            # One too many or too long counts as not understood (RFC 7252 sections 5.4.3 and 5.4.5).
            if length <= _LENGTHS[index] and not repeated:
                setattr(message, _NAMES[index], int.from_bytes(value, "big"))
                good = True
        elif number in (_URI_PATH, _URI_QUERY):
            try:
                text = str(value, "utf-8")
                if length < 256:
                    good = True
                    if number == _URI_PATH:
                        path += "/" + text
                    else:
                        query.append(text)
            except ValueError:  # UnicodeError
                pass
        elif number == _ETAG:
            if 0 < length < 9 and not repeated:
                message.etag = value
        elif number == _URI_HOST:
            good = 0 < length < 256 and not repeated
        if not good and message.bad is None:
            message.bad = number
    message.path = path or "/"
    return message


def _extended(data, at, end, value):
    """The real value of a delta or length nibble above 12, and where reading goes on."""
    if value == 15 or at + value - 12 > end:
        raise BadMessage
    if value == 13:
        return data[at] + 13, at + 1
    return (data[at] << 8 | data[at + 1]) + 269, at + 2


def uint(value):
    """`value` in as few bytes as it takes: none for 0 (RFC 7252 section 3.2)."""
    count = 0
    while value >> 8 * count:
        count += 1
    return value.to_bytes(count, "big")


def _head(view, at, value):
    """Write the extended part of a delta or length; its nibble and where writing goes on."""
    if value < 13:
        return value, at
    if value < 269:
        view[at] = value - 13
        return 13, at + 1
    view[at] = value - 269 >> 8
    view[at + 1] = value - 269 & 0xFF
    return 14, at + 2


def pack(view, kind, code, mid, token=b"", options=(), payload=b""):
    """Write a message into `view` (a memoryview); the number of bytes written.

    `options` is a list of (number, value), value int, str or bytes; it is put in order in place, equal numbers keep
    theirs. Raises ValueError or IndexError when `view` is too small.
    """
    for i in range(1, len(options)):
        while i and options[i - 1][0] > options[i][0]:
            options[i - 1], options[i] = options[i], options[i - 1]
            i -= 1
    view[0] = 0x40 | kind << 4 | len(token)
    view[1] = code
    view[2] = mid >> 8
    view[3] = mid & 0xFF
    at = 4 + len(token)
    view[4:at] = token
    last = 0
    for number, value in options:
        if isinstance(value, int):
            value = uint(value)
        elif isinstance(value, str):
            value = value.encode()
        delta, after = _head(view, at + 1, number - last)
        length, after = _head(view, after, len(value))
        view[at] = delta << 4 | length
        at = after + len(value)
        view[after:at] = value
        last = number
    if payload:
        view[at] = 0xFF
        end = at + 1 + len(payload)
        view[at + 1 : end] = payload
        at = end
    return at
