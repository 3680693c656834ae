"""The two slots: which one runs, what `otadata` says of them, their labels. Arming and confirming: `swupdate.arming`.

`otadata` is read here as ESP-IDF writes it, because MicroPython offers no way to ask for an image's state; it is
written by the SDK alone.
"""

import binascii
import struct

from port import const, phase

_SECTOR = const(4096)
_ENTRY = "<L20sLL"  # sequence, label, state, CRC of the sequence (esp_ota_select_entry_t)
_ENTRY_SIZE = const(32)
_PENDING = const(1)
_NEW = const(0)


class Slots:
    """The slots of `board` (see the contract): "ota_0" and "ota_1", each with its `app_N`."""

    def __init__(self, board):
        self._board = board
        self.running = board.running()
        self.other = "ota_1" if self.running == "ota_0" else "ota_0"

    def state(self, slot):
        """The state that `otadata` gives `slot` (esp_ota_img_states_t), or None when it has no valid entry for it."""
        found = None
        best = 0
        entry = bytearray(_ENTRY_SIZE)
        otadata = self._board.partition("otadata")
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

    @property
    def confirmed(self):
        """Whether the running version is here to stay. Not when only the other slot has an entry: that is started next."""
        state = self.state(self.running)
        return self.state(self.other) is None if state is None else state not in (_NEW, _PENDING)

    def label(self, slot):
        """What `slot` is (a dict, see the contract), or None when it says nothing that makes sense."""
        with phase("swupdate.label") as label:
            return label.read(self.partition(slot, "app"))

    def partition(self, slot, half):
        """The partition of `half` "fw" or "app" of `slot`."""
        # No label is put together: MicroPython would look for each among all names, and this is asked for every sector.
        return self._board.partition(slot if half == "fw" else "app_0" if slot == "ota_0" else "app_1")

    def size(self, half):
        """Bytes that `half` of a slot can hold; the label takes the last sector of "app"."""
        return (self.partition(self.other, half).ioctl(4, 0) - (half == "app")) * _SECTOR
