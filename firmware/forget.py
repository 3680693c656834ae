"""All that an owner has left goes, but for the SVRs and the update. A phase of RESET."""

import asyncio

from ocf import core

from firmware import folder


def forget(node):
    """Forget the former owner of `node` (firmware.node). It can be begun again after a power failure. Raises OSError."""
    core.reset(node.names)
    folder.empty(node.data)
    asyncio.create_task(node.app.ask("reset"))
    for endpoint in node.ocf.coap:
        endpoint.drop()
    if node.dtls:
        node.dtls.drop_all()
