"""What one step of an update needs to know of the device: part of the install phase."""

from port import const, phase

_CHUNK = const(4096)


class Job:
    """The job of docs/architecture.md (swupdate.install), out of the parts of `node` (firmware.node)."""

    buffers = None

    def __init__(self, node, url):
        self.url = url
        with phase("firmware.terms") as terms:
            self.trust = terms.trust(node.provision, node.store, node.updater.nvs)
            self.limits = terms.limits(node.provision.settings)
        self.slots = node.slots
        self.store = node.store
        self.clock = node.clock
        self.floor = node.updater.floor
        self._node = node

    def reserve(self):
        """Make the two buffers of the payload, early: when all code is loaded the heap may have no such pieces left."""
        self.buffers = (bytearray(_CHUNK), bytearray(_CHUNK))

    def open(self, url):
        """A Source for `url`. Raises Fault."""
        with phase("firmware.sources") as sources:
            board = self._node.board
            return sources.open_source(
                url, self.trust, board.dns(), self.limits, self._credentials, board.address()
            )  # fmt: skip

    def _credentials(self, host):
        with phase("firmware.trust") as trust:
            return trust.ServerTrust(host, self._node.security, self.trust, self.clock)
