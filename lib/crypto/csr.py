"""PKCS#10 certification requests (RFC 2986) for the Resource `/oic/sec/csr`."""

import hashlib

from crypto.der import P256, SHA256, encode, encode_signature
from crypto.ecdsa import sign_async


async def make(private, public, name):
    """DER of a request for the key pair (32 and 64 bytes) with the subject CN=`name` (1 to 64 characters).

    Signed with ecdsa-with-SHA256, without attributes. Raises ValueError for another name.
    """
    if not 0 < len(name) <= 64:
        raise ValueError("a name has 1 to 64 characters")
    subject = encode(0x30, encode(0x31, encode(0x30, b"\x06\x03\x55\x04\x03", encode(12, name.encode()))))
    info = encode(0x30, b"\x02\x01\x00", subject, P256, public, b"\xa0\x00")
    signature = encode_signature(await sign_async(private, hashlib.sha256(info).digest()))
    return encode(0x30, info, SHA256, encode(3, b"\0", signature))
