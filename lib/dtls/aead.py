"""Records under AES-128-CCM. Comes into memory with the first session that has such a suite, and stays."""

from crypto.ccm import Ccm


class Aead:
    """AES-128-CCM, with the record's number as the explicit part of the nonce (RFC 6655 section 3)."""

    def __init__(self, key, salt, tag):
        self._ccm = Ccm(key, tag)
        self._salt = salt
        self._tag = tag

    def seal(self, number, content, data):
        """A record of `data`, but for the header, which has its place; `number`: epoch and sequence number (8 bytes)."""
        about = number + bytes((content, 0xFE, 0xFD)) + len(data).to_bytes(2, "big")
        return bytearray(13) + number + self._ccm.seal(self._salt + number, about, bytes(data))

    def open(self, record):
        """The content, or None."""
        size = len(record) - 21 - self._tag
        if size < 0:
            return None
        about = bytes(record[3:11]) + bytes(record[:3]) + size.to_bytes(2, "big")
        return self._ccm.open(self._salt + bytes(record[13:21]), about, record[21:])
