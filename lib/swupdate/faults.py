"""Why an update step failed, and the one table from a cause to a result of OCF's Table 5."""

# cause: swupdateresult
RESULTS = {
    "memory": 2,  # not enough RAM
    "space": 3,  # does not fit the slot
    "flash": 3,  # the flash refused to be erased or written
    "lost": 4,  # name not resolved, no route, TLS refused, connection lost, too slow
    "invalid": 5,  # envelope, signature, conditions, digest
    "url": 6,  # no URL, or not a fully qualified one
    "scheme": 7,  # a protocol that this device does not fetch with
    "install": 8,  # arming, trial, health or rollback
}


class Fault(Exception):
    """A step of an update failed.

    `cause` is a key of RESULTS, or "status" with `status` 400 to 600 (the transport's answer, reported as it is); a
    `status` beside another cause says that it is the server's file that is wrong, and not the way to it;
    `text` says in words what happened, for people.
    """

    def __init__(self, cause, text, status=0):
        super().__init__(text)
        self.cause = cause
        self.text = text
        self.status = status

    def result(self):
        """The value of `swupdateresult` for this fault."""
        if self.cause == "status":
            return self.status
        return RESULTS[self.cause]
