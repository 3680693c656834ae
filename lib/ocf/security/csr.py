"""The Device's identity key, and the request for a certificate. A phase."""

from coap.message import Refused
from crypto import csr, pem
from crypto.p256 import key_pair_async
from port import const

_INTERNAL = const(0xA0)


async def request(security):
    """A certificate request (PEM) for the identity key, which is made when there is none."""
    data = security.store.load("key") or b""
    uuid = security.uuid
    if len(data) != 96:
        private, public = await key_pair_async(security.random)
        if security.uuid != uuid:
            raise Refused(_INTERNAL, "the Device was reset")
        data = security.store.load("key") or b""
    if len(data) != 96:  # nobody else has made one meanwhile
        data = private + public
        try:
            security.store.save("key", data)
        except OSError as error:
            raise Refused(_INTERNAL, "the key could not be stored: %s" % error)  # noqa: B904
    der = await csr.make(data[:32], data[32:], "uuid:" + uuid)
    return pem.encode("CERTIFICATE REQUEST", der)
