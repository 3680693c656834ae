"""Messages with certificates and signatures, taken apart and put together: a phase of either.

What judges and verifies is in memory when this is not.
"""

from port import const, phase

from dtls.alert import Alert
from dtls.wire import Reader, vector

# Alerts (RFC 5246 section 7.2, RFC 4279 section 6)
_HANDSHAKE_FAILURE = const(40)
_BAD_CERTIFICATE = const(42)
_DECODE_ERROR = const(50)

_ALGORITHM = b"\4\3"  # ECDSA with SHA-256
REQUEST = b"\1\x40\0\2" + _ALGORITHM + b"\0\0"  # an ECDSA certificate, of whatever authority
_MOST = 4  # certificates in a chain


def pack(chain):
    """The body of Certificate; `chain` is a list of DER, empty when there is none."""
    return vector(3, *(vector(3, certificate) for certificate in chain))


def unpack(body):
    """The chain in the body of a Certificate."""
    outer = Reader(body)
    inner = Reader(outer.vector(3))
    outer.end()
    chain = []
    while inner.more:
        if len(chain) == _MOST:
            raise Alert(_BAD_CERTIFICATE)
        chain.append(inner.vector(3))
    return chain


def signed(signature):
    """A signature (64 bytes) as messages have it, with its algorithm before it."""
    with phase("crypto.der") as der:
        return _ALGORITHM + vector(2, der.encode_signature(signature))


def signature(body):
    """The 64 bytes of such a signature. Raises Alert."""
    reader = Reader(body)
    algorithm = reader.take(2)
    data = reader.vector(2)
    reader.end()
    if algorithm != _ALGORITHM:
        raise Alert(_HANDSHAKE_FAILURE)
    with phase("crypto.der") as der:
        try:
            return der.decode_signature(data)
        except ValueError:
            raise Alert(_DECODE_ERROR)
