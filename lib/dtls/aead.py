"""Records under AES-128-CCM. Comes into memory with the first session that has such a suite, and stays."""

from crypto.ccm import Ccm


class Aead:
    """AES-128-CCM, with the record's number as the explicit part of the nonce (RFC 6655 section 3)."""

    def __init__(self, key, salt, tag):
        self._ccm = Ccm(key, tag)
        self._salt = salt
        self._tag = tag

    def seal(self, pseudo, data):
        """The protected fragment."""
        number = bytes(pseudo[:8])
        return number + self._ccm.seal(self._salt + number, pseudo + len(data).to_bytes(2, "big"), bytes(data))

    def open(self, pseudo, data):
        """The content, or None."""
        size = len(data) - 8 - self._tag
        if size < 0:
            return None
        return self._ccm.open(self._salt + bytes(data[:8]), pseudo + size.to_bytes(2, "big"), data[8:])
