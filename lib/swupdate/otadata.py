"""What `otadata` says of a slot. A phase.

It is read as ESP-IDF writes it, because MicroPython offers no way to ask for an image's state; it is written by the SDK
alone.
"""

import binascii
import struct

from port import const

_ENTRY = "<L20sLL"  # sequence, label, state, CRC of the sequence (esp_ota_select_entry_t)
_ENTRY_SIZE = const(32)


def state(otadata, slot):
    """The state that the partition `otadata` gives `slot`, or None when it has no valid entry for it."""
    found = None
    best = 0
    entry = bytearray(_ENTRY_SIZE)
    for sector in (0, 1):
        try:
            otadata.readblocks(sector, entry, 0)
        except OSError:  # says as little as one that is damaged
            continue
        seq, _, state, crc = struct.unpack(_ENTRY, entry)
        # The ROM's CRC begins with all ones, as zlib's does when it is told to go on from them.
        good = 0 < seq < 0xFFFFFFFF and binascii.crc32(entry[:4], 0xFFFFFFFF) & 0xFFFFFFFF == crc
        if good and seq > best and slot == "ota_%d" % ((seq - 1) & 1):
            found, best = state, seq
    return found
