"""What is done before the code that fetches is in memory: the server's name is looked up, and a session with a server of
CoAP or what one of HTTPS is told from is begun. A phase.
"""

import asyncio

from coap.endpoint import Endpoint
from port import phase, wait_for
from swupdate.faults import Fault


async def begin(job, node):
    """Make `known` and `endpoint` of `job` (firmware.job), which has limits. Raises Fault.

    A URL that is not fetched with is left to whoever opens it.
    """
    scheme = job.url.partition(":")[0].lower()
    if scheme not in ("https", "coaps"):
        return
    if scheme == "https":  # first of all: it is a large piece
        with phase("firmware.tls") as tls:
            tls.prepare(job)
    elif job.room:
        job.room.clear()
    host, port = _server(job.url, scheme)
    name = host[:-1] if scheme == "https" and host[-1:] == "." else host  # as whoever connects will ask for it
    job.known = name, await _find(name, node.board, job.limits.connect_s)
    if scheme == "coaps":
        transport = _transport(job.credentials(host))
        job.endpoint = Endpoint(transport, out=node.ocf.out)
        asyncio.create_task(job.endpoint.run())  # ends when the job is closed
        with phase("firmware.coap_connect") as coap:
            await coap.connect(transport, job.known[1], port, job.limits.read_s * 1000)


# Each of these has what it needs in memory for itself alone.


def _server(url, scheme):
    with phase("swupdate.url") as urls:
        return urls.parse(url.partition("#")[0], (scheme,))[1:3]


async def _find(name, board, seconds):
    """The address of `name`."""
    try:
        with phase("firmware.resolver") as code:
            return await wait_for(code.Resolver(board.dns(), board.address()).resolve(name), seconds)
    except asyncio.TimeoutError:  # noqa: UP041 - another class on MicroPython
        raise Fault("lost", "the server cannot be reached within %d s" % seconds) from None


def _transport(credentials):
    with phase("firmware.sources") as sources:
        return sources.transport(credentials)
