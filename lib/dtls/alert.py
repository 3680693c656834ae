"""What ends a handshake (RFC 5246 section 7.2)."""


class Alert(OSError):
    """A fatal alert: `code` (RFC 5246 section 7.2), `received` from the peer or about to be sent."""

    def __init__(self, code, received=False):
        super().__init__("the peer sent alert %d" % code if received else "alert %d" % code)
        self.code = code
        self.received = received
