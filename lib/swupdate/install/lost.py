"""Why a connection to an HTTPS server was lost, in words. A phase."""

import asyncio

from port.peer import CERTIFICATE

from swupdate.faults import Fault

_NO_MEMORY = (12, -0x7F00)  # ENOMEM, MBEDTLS_ERR_SSL_ALLOC_FAILED


def fault(error, late):
    """The Fault for what a step of the connection raised; `late`: what the server did when it took too long."""
    if isinstance(error, asyncio.TimeoutError):  # noqa: UP041 - MicroPython has no other. CPython's is an OSError
        return Fault("lost", "the server " + late)
    if isinstance(error, ValueError):
        return Fault("lost", "one of this device's authorities is no certificate")
    if error.errno == CERTIFICATE:
        return Fault("lost", "the server's certificate is refused: %s" % error.args[1])
    if error.errno in _NO_MEMORY:
        return Fault("memory", "not enough memory for a connection to the server")
    return Fault("lost", "the connection to the server failed (%s)" % error)
