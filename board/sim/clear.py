"""The test transport's composition: every Resource in the clear, for the simulated board and nothing else.

It takes the place of `firmware/main.py` in images that tests and the demo build. It is in no release for a board.
"""

import asyncio

from ocf.pstat import RFNOP
from port import phase

from board import Board
from firmware.node import Limits, Node


class ClearAccess:
    """Everybody may do everything, and nobody is authenticated."""

    def check(self, request, resource):
        """Yes."""
        return True

    def identity(self, request):
        """Nobody."""
        return


class ClearNode(Node):
    """A device that is treated as owned and operational from the first start."""

    schemes = ("https", "coaps", "coap")
    first_state = RFNOP

    def access(self):
        """Everything is allowed."""
        return ClearAccess()

    def urls(self, resource, request):
        """Everything is reached in the clear."""
        return ["coap://%s:5683" % self.board.address()]

    def open(self, url):
        """Adds clear CoAP to the product's sources."""
        if not url.startswith("coap:"):
            return super().open(url)
        with phase("firmware.coap_source", "firmware.sources") as (coap, sources):
            return coap.CoapSource(url, sources.Resolver(self.board.dns()), Limits(self.provision.settings))


def run():
    """Build the device and serve until the power goes."""
    asyncio.run(ClearNode(Board()).run())
