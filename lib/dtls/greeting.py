"""A client's first step: ClientHello, until the server has chosen. A phase of `dtls.client`."""

from port import const, urandom

from dtls.alert import Alert
from dtls.wire import Reader, extensions, vector

# Handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2)
_CLIENT_HELLO = const(1)
_SERVER_HELLO = const(2)
_HELLO_VERIFY_REQUEST = const(3)
# Alerts (RFC 5246 section 7.2)
_HANDSHAKE_FAILURE = const(40)
_ILLEGAL_PARAMETER = const(47)
_UNSUPPORTED_EXTENSION = const(110)
# Extensions, and what is in them
_GROUPS = const(10)
_POINT_FORMATS = const(11)
_SIGNATURES = const(13)
_MASTER_SECRET = const(23)
_RENEGOTIATION = const(0xFF01)
_RENEGOTIATION_SCSV = const(0x00FF)
_COOKIE = const(28)  # where the cookie begins in the record of a HelloVerifyRequest
_IN_VAIN = const(2)  # times that ClientHello was sent again before another cookie is taken

# (number, data): the curve P-256, ECDSA with SHA-256, uncompressed points, the extended master secret
_EXTENSIONS = (
    (_GROUPS, b"\0\2\0\x17"),
    (_SIGNATURES, b"\0\2\4\3"),
    (_POINT_FORMATS, b"\1\0"),
    (_MASTER_SECRET, b""),
)
_VERIFY = b"\x16\xfe\xfd\0\0\3"  # of a record: content type, version, epoch; and of a message: HelloVerifyRequest


async def greet(handshake):
    """Have a dtls.client.ClientHandshake agree on a suite with its server. Raises Alert, and as `expect` does."""
    session = handshake.session
    random = urandom(32)
    offered = handshake.credentials.suites()
    suites = vector(2, *(n.to_bytes(2, "big") for n in offered), _RENEGOTIATION_SCSV.to_bytes(2, "big"))
    parts = vector(2, *(n.to_bytes(2, "big") + vector(2, data) for n, data in _EXTENSIONS))
    handshake.offer = b"\xfe\xfd" + random + b"\0", suites + b"\1\0" + parts
    _ask(handshake, b"")
    kind, body = await handshake.expect(_HELLO_VERIFY_REQUEST, _SERVER_HELLO)
    if kind == _HELLO_VERIFY_REQUEST:
        reader = Reader(body)
        reader.take(2)
        cookie = reader.vector(1)
        reader.end()
        if not cookie:
            raise Alert(_ILLEGAL_PARAMETER)
        _ask(handshake, cookie)
        _, body = await handshake.expect(_SERVER_HELLO)
    handshake.cookie = handshake.offer = None  # the server has chosen
    reader = Reader(body)
    version = reader.take(2)
    session.randoms = reader.take(32) + random
    reader.vector(1)
    session.suite = reader.number(2)
    if version != b"\xfe\xfd" or session.suite not in offered or reader.number(1):
        raise Alert(_ILLEGAL_PARAMETER)
    for number, data in extensions(reader):
        if number == _MASTER_SECRET:
            handshake.extended = True
        elif number == _RENEGOTIATION:
            if data != b"\0":
                raise Alert(_HANDSHAKE_FAILURE)
        elif number != _POINT_FORMATS:
            raise Alert(_UNSUPPORTED_EXTENSION)


def _ask(handshake, cookie):
    """Send ClientHello with `cookie`."""
    handshake.cookie = cookie
    handshake._out = 1 if cookie else 0
    handshake.fresh()
    handshake.add(_CLIENT_HELLO, vector(1, cookie).join(handshake.offer))
    handshake.transmit()


def again(handshake, record):
    """Whether `record` is of a server that asks for another cookie instead of choosing: ClientHello goes out with that.

    The first was not this server's, or has changed under way, or was for who was at this address before. It is not
    taken at once: the server may choose in answer to the first yet, and then the transcript must have that.
    """
    if not handshake.cookie or bytes(record[:5]) + bytes(record[13:14]) != _VERIFY:
        return False
    if handshake._tries >= _IN_VAIN and not handshake._inbox and len(record) > _COOKIE:
        cookie = bytes(record[_COOKIE:])
        if record[_COOKIE - 1] == len(cookie) and cookie != handshake.cookie:
            _ask(handshake, cookie)
    return True
