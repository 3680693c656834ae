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

    # What is as here takes no memory in an answer.
    options = ()
    ocf_version = 2048
    etag = None

    def __init__(self, code, payload=b"", content_format=None, observe=None, options=(), ocf_version=2048, etag=None):
        self.code = code
        self.payload = payload
        self.content_format = content_format
        self.observe = observe
        if options:
            self.options = options
        if ocf_version != 2048:
            self.ocf_version = ocf_version
        if etag:
            self.etag = etag


class Message:
    """A message received: request or reply.

    `code`, `path` ("/oc/swu"), `query` (list of str, or an empty tuple), `payload` (bytes); `observe`, `content_format`,
    `accept`, `max_age`, `block1`, `block2`, `size1`, `size2`, `ocf_version` (int or None), `etag` (bytes or None), `bad`
    (the number of a critical option that is unknown or malformed, or None); `peer`, `multicast`, `secure`, `identity`,
    `endpoint`: where it came from.
    """

    # What is as here takes no memory in a message.
    type = 0  # 0 CON, 1 NON, 2 ACK, 3 RST
    mid = code = 0
    token = payload = b""
    path = "/"
    query = ()
    observe = content_format = accept = max_age = block1 = block2 = size1 = size2 = ocf_version = etag = bad = None
    peer = identity = endpoint = entry = None
    multicast = secure = acked = False
    # Of an observer (coap.observe)
    key: object
    told: int
    count: int
    con_at: int
    waiting: bool
    queue: list


def parse(data):
    """The message in `data` (bytes-like), or None when it is to be ignored silently: shorter than a header or not
    version 1.

    Raises BadMessage for everything that RFC 7252 section 3 calls a message format error.
    """
    end = len(data)
    if end < 4 or data[0] >> 6 != 1:
        return None
    message = Message()
    message.code = code = data[1]
    message.mid = data[2] << 8 | data[3]
    first = data[0]
    if first & 0x30:
        message.type = first >> 4 & 3
    length = first & 15
    at = 4 + length
    if length > 8 or at > end or (code == 0 and end > 4):
        raise BadMessage
    message.token = bytes(data[4:at])
    number = count = 0
    path = bytearray()
    query = bad = None
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
        value = data[at : at + length]
        at += length
        count += 1
        if at > end or number > 65535 or count > _MAX_OPTIONS:
            raise BadMessage
        repeated = delta == 0 and count > 1
        good = not number & 1  # an elective option that is not understood is ignored
        if number == _URI_PATH:
            good = length < 256
            path += b"/"
            path += value
        elif number in _NUMBERS:
            index = _NUMBERS.index(number)
            # One too many or too long counts as not understood (RFC 7252 sections 5.4.3 and 5.4.5).
            if length <= _LENGTHS[index] and not repeated:
                setattr(message, _NAMES[index], int.from_bytes(value, "big"))
                good = True
        elif number == _URI_QUERY:
            if query is None:
                message.query = query = []
            try:
                query.append(str(value, "utf-8"))
                good = length < 256
            except ValueError:  # UnicodeError
                pass
        elif number == _ETAG:
            if 0 < length < 9 and not repeated:
                message.etag = bytes(value)
        elif number == _URI_HOST:
            good = 0 < length < 256 and not repeated
        if not good and bad is None:
            message.bad = bad = number
    if path:
        try:
            message.path = str(path, "utf-8")
        except ValueError:
            if bad is None:
                message.bad = _URI_PATH
    return message


def _extended(data, at, end, value):
    """The real value of a delta or length nibble above 12, and where reading goes on."""
    if value == 15 or at + value - 12 > end:
        raise BadMessage
    if value == 13:
        return data[at] + 13, at + 1
    return (data[at] << 8 | data[at + 1]) + 269, at + 2


def _head(view, at, value):
    """Write the extended part of a delta or length above 12; its nibble and where writing goes on."""
    if value < 269:
        view[at] = value - 13
        return 13, at + 1
    value -= 269
    view[at] = value >> 8
    view[at + 1] = value & 0xFF
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
        if type(value) is int:
            # As few bytes as it takes, none for 0 (RFC 7252 section 3.2); no option has more than 4.
            value = value.to_bytes((value > 0) + (value > 0xFF) + (value > 0xFFFF) + (value > 0xFFFFFF), "big")
        elif type(value) is str:
            value = value.encode()
        delta = number - last
        last = number
        length = len(value)
        end = at + 1
        if delta > 12:
            delta, end = _head(view, end, delta)
        nibble = length
        if length > 12:
            nibble, end = _head(view, end, length)
        view[at] = delta << 4 | nibble
        at = end + length
        view[end:at] = value
    if payload:
        view[at] = 0xFF
        end = at + 1 + len(payload)
        view[at + 1 : end] = payload
        at = end
    return at
