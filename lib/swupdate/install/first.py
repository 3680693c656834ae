"""What is erased first and written last, so that half a slot can never look like a whole one. A phase."""

import cbor
from port import const

from swupdate.faults import Fault
from swupdate.install.writer import SlotWriter

_HEAD = const(36)  # of an image: its header, the first segment's, and what the application's description begins with
_DESCRIPTION_MAGIC = b"\x32\x54\xcd\xab"  # esp_app_desc_t
_ROMFS_MAGIC = b"\xd2\xcd\x31"
_CHUNK = const(4096)
_LABEL_SIZE = const(288)  # as much of it is read by swupdate.label


def pack_label(label, sector):
    """Make the sector that says what a slot is; `sector` is a buffer of 4 KB. Raises Fault."""
    size = cbor.encode_into(sector, label)
    if size > _LABEL_SIZE:
        raise Fault("invalid", "the label is too long")
    for i in range(size, _CHUNK):
        sector[i] = 0xFF


class Edges(SlotWriter):
    """Writes what makes a slot look whole: the first sector of both halves, and the label.

    Order: `begin` before anything else is written; when all of it is there `label`, and `first` for "app" and last of
    all for "fw". All raise Fault "flash".
    """

    def begin(self):
        """Make sure that the other slot cannot be taken for a whole one. Costs no erase where it already cannot."""
        for half in ("fw", "app"):
            self._erase(half, 0)
        self._erase("app", self._label())

    def label(self, sector):
        """Say what the slot will be."""
        self.put("app", self._label(), sector)

    def first(self, half, chunk):
        """Program the first sector: from now on this half looks whole."""
        try:
            self.put(half, 0, chunk)
        except BaseException:
            self.begin()
            raise

    def _label(self):
        return self.other("app").ioctl(4, 0) - 1

    def _erase(self, half, index):
        other = self.other(half)

        def erase():
            other.ioctl(6, index)
            return self.blank(other, index)

        if not self.blank(other, index):
            self.twice(erase, half, index)


def begin(job):
    """Make the other slot nothing. Raises Fault."""
    Edges(job.slots).begin()


def label(job, offer, running):
    """Say what the slot will be: all but the first sectors is there. `running`: the label of the running one.

    Raises Fault.
    """
    label = {"v": 1, "seq": offer.seq, "version": offer.version, "manifest": offer.manifest, "built": offer.built}
    if offer.trust:
        label["trust"] = offer.trust
    if offer.expires:
        label["expires"] = offer.expires
    for half in ("app", "fw"):
        part = offer.part(half)
        label[half] = [part.size, part.digest] if part else [running[half][0], bytes(running[half][1])]
    buf = job.buffers[0]
    pack_label(label, buf)
    Edges(job.slots, offer.clean).label(buf)


def write(job, offer, half, fetched):
    """Write the first sector of `half`: what was `fetched` and stands in the first buffer, or the running slot's."""
    slots, buf = job.slots, job.buffers[0]
    running = slots.partition(slots.running, half)
    if fetched:
        _look_at(half, buf, running)
    else:
        running.readblocks(0, buf)
    Edges(slots, offer.clean).first(half, buf)


def _look_at(half, chunk, running):
    """Refuse an image that is none, or is for another chip, with words rather than with the bootloader's number."""
    if half == "app":
        if bytes(chunk[:3]) != _ROMFS_MAGIC:
            raise Fault("invalid", "the app is no ROMFS image")
        return
    head = bytearray(16)
    running.readblocks(0, head, 0)
    if chunk[0] != 0xE9 or bytes(chunk[32:_HEAD]) != _DESCRIPTION_MAGIC:
        raise Fault("invalid", "the firmware is no application image")
    if chunk[12:14] != head[12:14]:
        raise Fault("invalid", "the firmware is for another chip")
