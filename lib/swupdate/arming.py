"""Which slot is started: whether one could be, arming the other, keeping the one that runs. A part of phases."""

from port import const

from swupdate.faults import Fault

_VALID = const(2)
_EIO = const(5)
_IMAGE_MAGIC = const(0xE9)
_ROMFS_MAGIC = b"\xd2\xcd\x31"


def valid(slots, slot):
    """Whether `slot` looks like one that can be started: both first sectors and the label are there."""
    head = bytearray(3)
    try:
        slots.partition(slot, "fw").readblocks(0, head, 0)
        if head[0] != _IMAGE_MAGIC:
            return False
        slots.partition(slot, "app").readblocks(0, head, 0)
    except OSError:
        return False
    return bytes(head) == _ROMFS_MAGIC and slots.label(slot) is not None


def arm(slots):
    """Have the other slot tried at the next start, also the one that ran before. Raises Fault "install" when its
    image is refused."""
    slots.kept = False
    try:
        slots.partition(slots.other, "fw").set_boot()
    except OSError as error:
        raise Fault("install", "%s could not be armed: %s" % (slots.other, error.args[-1]))  # noqa: B904


def confirm(slots):
    """Keep the running version. Raises OSError.

    Only when it is not kept yet: the SDK marks the slot that is selected, and that need not be the one that runs.
    It erases the entry before it writes it, so when the flash fails between, there is none, which is no confirmation.
    """
    if not slots.confirmed:
        running = slots.partition(slots.running, "fw")
        if slots.state(slots.running) is None:
            running.set_boot()
        running.mark_app_valid_cancel_rollback()
        if slots.state(slots.running) != _VALID:
            raise OSError(_EIO, "otadata does not keep what is written")
