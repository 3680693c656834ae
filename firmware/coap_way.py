"""The way to an object of a CoAP server. A phase."""

from port import phase


async def find(transport, resolver, base, url, timeout_ms):
    """(peer, path, queries) of `url` at `base`, for firmware.coap_source. Raises Fault."""
    host, port, path, query = _target(base, url, transport.secure)
    host = await resolver.resolve(host)
    with phase("firmware.coap_connect") as coap:
        return await coap.connect(transport, host, port, timeout_ms), path, query


def _target(base, url, secure):
    with phase("firmware.coap_target") as coap:
        return coap.target(base, url, secure)
