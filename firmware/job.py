"""What one step of an update needs to know of the device: part of the install phase."""

from port import const, phase

_CHUNK = const(4096)


class Limits:
    """Bounds of a fetch; a record of settings may change them. Seconds, bytes a second; `jump` is of the sequence number."""

    def __init__(self, settings):
        self.connect_s = settings.get("connect_s", 10)
        self.read_s = settings.get("read_s", 15)
        self.min_bps = settings.get("min_bps", 200)
        self.lag_s = settings.get("lag_s", 60)
        self.jump = settings.get("jump", 1_000_000)


class Trust:
    """Whom this device believes: what was provisioned, or the trust store of a release since then.

    Its keys and certificates are read from the file again whenever they are needed, so that they cost no memory between.
    `number`, `digest` (of its file), `threshold`, `keys()` as in a release; `since`: number of the trust store that set the
    `floor` of sequence numbers last, 0 when none did; `revoked`: kids of keys that were trusted once.
    """

    def __init__(self, store, nvs, path="/fargo.cbor"):
        self._path = path
        self._keys = None
        found = self._read()
        self.vendor_id, self.class_id = found["vendor"], found["class"]
        self.number, self.digest = found["trust"]
        self.threshold = found["threshold"]
        self.since, self.floor, self.revoked = 0, 0, ()
        with phase("swupdate.trust") as trust:
            found = trust.load(store, nvs)
        if found:
            self.since, self.floor, self.revoked = found["since"], found["floor"], found["revoked"]
            if found["n"] >= self.number:
                self.number, self.digest, self.threshold = found["n"], found["digest"], found["threshold"]
                self._keys = found["keys"]

    def keys(self):
        """The trusted release keys: kid -> 64 bytes."""
        return self._keys or self._read()["keys"]

    def authorities(self):
        """The certificates (DER) that a release server's must chain to."""
        return self._read()["authorities"]

    def _read(self):
        with phase("firmware.provision") as provision:
            return provision.read(self._path)


class Job:
    """The job of docs/architecture.md (swupdate.install), out of the parts of `node` (firmware.node)."""

    buffers = None

    def __init__(self, node, url):
        self.url = url
        self.trust = Trust(node.store, node.updater.nvs)
        self.slots = node.slots
        self.store = node.store
        self.clock = node.clock
        self.floor = node.updater.floor
        self.limits = Limits(node.settings)
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
