"""What one step of an update needs to know of the device: part of the install phase."""

from port import phase


class Trust:
    """Whom this device believes: what was provisioned, or the trust store of a release since then (firmware.terms).

    `number`, `digest` (of its file), `threshold`, `keys()` as in a release; `since`: number of the trust store that set the
    `floor` of sequence numbers last, 0 when none did; `revoked`: kids of keys that were trusted once. What was provisioned
    is read once: the few hundred bytes that are of use cost less than reading it again where memory is short.
    """

    vendor_id: bytes
    class_id: bytes
    number: int
    digest: bytes
    threshold: int
    since: int
    floor: int
    revoked: object
    trusted: dict
    anchors: object

    def __init__(self, path="/fargo.cbor"):
        self._path = path

    def keys(self):
        """The trusted release keys: kid -> 64 bytes."""
        return self.trusted

    def authorities(self):
        """The certificates (DER) that a release server's must chain to, or what firmware.ahead made of them for TLS."""
        return self.anchors

    def read(self):
        """What was provisioned."""
        with phase("firmware.provision") as provision:
            return provision.read(self._path)


class Job:
    """The job of docs/architecture.md (swupdate.install), out of the parts of `node` (firmware.node)."""

    buffers = room = None
    known = endpoint = None  # see firmware.ahead

    def __init__(self, node, url):
        self.url = url
        self.trust = Trust()
        with phase("firmware.terms") as terms:
            terms.believe(self.trust, node.store, node.updater.nvs)
            self.limits = terms.limits(node.settings)
        self.slots = node.slots
        self.store = node.store
        self.clock = node.clock
        self.floor = node.updater.floor
        self._node = node

    async def connect(self):
        """Find the server, and begin a session with one of CoAP, while there is no code that fetches. Raises Fault."""
        with phase("firmware.ahead") as ahead:
            await ahead.begin(self, self._node)

    def close(self):
        """End what `connect` began."""
        if self.endpoint:
            self.endpoint.close()
            self.endpoint = None

    def open(self, url):
        """A Source for `url`. Raises Fault."""
        if self.endpoint and not self.endpoint.transport.sessions:  # the server has said goodbye
            self.close()
        with phase("firmware.sources") as sources:
            board = self._node.board
            return sources.open_source(
                url, self.trust, board.dns(), self.limits, self.credentials, board.address(), board.spare(), self.known,
                self.endpoint,
            )  # fmt: skip

    def credentials(self, host):
        """Those of this Device as a Client of `host`."""
        with phase("firmware.trust") as trust:
            return trust.ServerTrust(host, self._node.security, self.trust, self.clock)
