"""The two slots: which one runs, what `otadata` says of them, their labels, arming and confirming.

`otadata` is read here as ESP-IDF writes it, because MicroPython offers no way to ask for an image's state; it is
written by the SDK alone.
"""

import binascii
import struct

import cbor
from port import const, phase

from swupdate.faults import Fault

_SECTOR = const(4096)
_ENTRY = "<L20sLL"  # sequence, label, state, CRC of the sequence (esp_ota_select_entry_t)
_ENTRY_SIZE = const(32)
_PENDING = const(1)
_NEW = const(0)
_VALID = const(2)
_EIO = const(5)
LABEL_SIZE = const(256)  # what is read of the label's sector
_IMAGE_MAGIC = const(0xE9)
_ROMFS_MAGIC = b"\xd2\xcd\x31"


class Slots:
    """The slots of `board` (see the contract): "ota_0" and "ota_1", each with its `app_N`."""

    def __init__(self, board):
        self._board = board
        self.running = board.running()
        self.other = "ota_1" if self.running == "ota_0" else "ota_0"

    # What there is

    def state(self, slot):
        """The state that `otadata` gives `slot` (esp_ota_img_states_t), or None when it has no valid entry for it."""
        found = None
        best = 0
        entry = bytearray(_ENTRY_SIZE)
        otadata = self._board.otadata()
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

    def valid(self, slot):
        """Whether `slot` looks like one that can be started: both first sectors and the label are there."""
        head = bytearray(3)
        try:
            self.partition(slot, "fw").readblocks(0, head, 0)
            if head[0] != _IMAGE_MAGIC:
                return False
            self.partition(slot, "app").readblocks(0, head, 0)
        except OSError:
            return False
        return bytes(head) == _ROMFS_MAGIC and self.label(slot) is not None

    def partition(self, slot, half):
        """The partition of `half` "fw" or "app" of `slot`."""
        return self._board.partition(slot if half == "fw" else "app" + slot[3:])

    def size(self, half):
        """Bytes that `half` of a slot can hold; the label takes the last sector of "app"."""
        return (self.partition(self.other, half).ioctl(4, 0) - (half == "app")) * _SECTOR

    # What changes

    def pack_label(self, label, sector):
        """Make the sector that says what a slot is; `sector` is a buffer of 4 KB. Raises Fault."""
        size = cbor.encode_into(sector, label)
        if size > LABEL_SIZE:
            raise Fault("invalid", "the label is too long")
        for i in range(size, _SECTOR):
            sector[i] = 0xFF

    def arm(self):
        """Have the other slot tried at the next start. Raises Fault "install" when its image is refused."""
        try:
            self.partition(self.other, "fw").set_boot()
        except OSError as error:
            raise Fault("install", "%s could not be armed: %s" % (self.other, error.args[-1]))  # noqa: B904

    def confirm(self):
        """Keep the running version. Raises OSError.

        Only when it is not kept yet: the SDK marks the slot that is selected, and that need not be the one that runs.
        It erases the entry before it writes it, so when the flash fails between, there is none, which is no confirmation.
        """
        if not self.confirmed:
            running = self.partition(self.running, "fw")
            if self.state(self.running) is None:
                running.set_boot()
            running.mark_app_valid_cancel_rollback()
            if self.state(self.running) != _VALID:
                raise OSError(_EIO, "otadata does not keep what is written")

    roll_back = arm  # the other slot, which ran before, is started again
