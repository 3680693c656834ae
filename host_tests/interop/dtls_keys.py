"""What an end made of lib/dtls knows, out of a plain dict, for either interpreter."""

from binascii import unhexlify

from crypto import x509


class Keys:
    """The `credentials` of DTLS (docs/architecture.md), as `spec` has them.

    "suites": numbers; "psk": {identity: [key, uuid]} as a server; "own": [identity, key, uuid] as a client; "chain",
    "private" and "anchors" for certificates; "now": unix seconds. Bytes are hexadecimal digits.
    `sessions`: every session that was opened; `gone`: those that are closed.
    """

    def __init__(self, spec):
        self.spec = spec
        self.sessions = []
        self.gone = []

    def suites(self):
        return tuple(self.spec["suites"])

    def hint(self):
        return b"fargo"

    def psk(self, identity):
        for name, (key, uuid) in self.spec.get("psk", {}).items():
            if unhexlify(name) == identity:
                return unhexlify(key), uuid
        return None

    def psk_for(self, _hint, _address):
        own = self.spec.get("own")
        return own and (unhexlify(own[0]), unhexlify(own[1]), own[2])

    def certificate(self):
        chain = [unhexlify(der) for der in self.spec.get("chain", ())]
        return (chain, unhexlify(self.spec["private"])) if chain else None

    async def trust(self, chain):
        anchors = [unhexlify(der) for der in self.spec.get("anchors", ())]
        leaf = await x509.verify_chain(chain, anchors, "identity", self.spec.get("now"))
        return leaf.public, x509.uuid_of(leaf)

    def opened(self, session):
        self.sessions.append(session)

    def closed(self, session):
        self.gone.append(session)
