"""Messages with certificates: a phase, loaded for a handshake that has them.

What signs, what verifies and what judges certificates take turns in memory.
"""

from hashlib import sha256

from port import const, phase

from dtls.alert import Alert
from dtls.wire import Reader, vector

# Alerts (RFC 5246 section 7.2, RFC 4279 section 6)
_HANDSHAKE_FAILURE = const(40)
_BAD_CERTIFICATE = const(42)
_DECODE_ERROR = const(50)
_DECRYPT_ERROR = const(51)

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


async def peer(credentials, body):
    """(public key, uuid) of the peer whose Certificate has this body; the key is None for a Client that may have none."""
    chain = unpack(body)
    try:
        return await credentials.trust(chain)
    except ValueError:
        raise Alert(_BAD_CERTIFICATE if chain else _HANDSHAKE_FAILURE)


async def sign(private, *parts):
    """The signature over `parts`, with its algorithm before it."""
    signature = await _signed(private, _digest(parts))
    with phase("crypto.der") as der:
        return _ALGORITHM + vector(2, der.encode_signature(signature))


async def _signed(private, digest):
    with phase("crypto.ecdsa") as ecdsa:
        return await ecdsa.sign_async(private, digest)


async def verify(public, body, *parts):
    """Check such a signature. Raises Alert."""
    reader = Reader(body)
    algorithm = reader.take(2)
    signature = reader.vector(2)
    reader.end()
    if algorithm != _ALGORITHM:
        raise Alert(_HANDSHAKE_FAILURE)
    signature = _decoded(signature)
    with phase("crypto.verify") as code:
        if not await code.verify_async(public, _digest(parts), signature):
            raise Alert(_DECRYPT_ERROR)


def _decoded(signature):
    with phase("crypto.der") as der:
        try:
            return der.decode_signature(signature)
        except ValueError:
            raise Alert(_DECODE_ERROR)


def _digest(parts):
    state = sha256()
    for part in parts:
        state.update(part)
    return state.digest()
