# Whether an app is what its slot's label says, and what is left to do when it is not, or cannot be run. Lives beside
# boot.py in `vfs`, never updated.

import esp32
import machine

_PENDING, _INVALID, _ABORTED = 1, 3, 4


def _state(slot):
    """The state of `slot` in otadata, or None."""
    import binascii
    import struct

    otadata = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="otadata")[0]
    found = best = None
    entry = bytearray(32)
    for sector in (0, 1):
        otadata.readblocks(sector, entry, 0)
        seq, _, state, crc = struct.unpack("<L20sLL", entry)
        good = binascii.crc32(entry[:4], 0xFFFFFFFF) & 0xFFFFFFFF == crc
        if good and (best is None or seq > best) and "ota_%d" % ((seq - 1) & 1) == slot:
            best, found = seq, state
    return found


def sound(slot):
    """Whether the app of `slot` has the SHA-256 that the label behind it gives. True when no label says anything."""
    import hashlib

    app = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="app" + slot[3:])[0]
    last = app.ioctl(4, 0) - 1
    buf = bytearray(4096)
    app.readblocks(last, buf, 0)
    at = buf.find(b"\x63app\x82")  # in CBOR: "app": [size, 32 bytes]
    if at < 0 or not 0x18 < buf[at + 5] < 0x1B:
        return True
    count = 1 << (buf[at + 5] - 0x18)
    left = int.from_bytes(buf[at + 6 : at + 6 + count], "big")
    at += 6 + count
    digest = bytes(buf[at + 2 : at + 34])
    if buf[at : at + 2] != b"\x58\x20" or left > last * 4096:
        return True
    sha = hashlib.sha256()
    sector = 0
    while left > 0:
        app.readblocks(sector, buf, 0)
        sha.update(memoryview(buf)[: min(left, 4096)])
        left -= 4096
        sector += 1
    return sha.digest() == digest


def _whole(slot):
    """Whether `slot` looks as if it could be started, and its app is sound."""
    kinds = ((esp32.Partition.TYPE_APP, slot, b"\xe9"), (esp32.Partition.TYPE_DATA, "app" + slot[3:], b"\xd2\xcd\x31"))
    for kind, label, magic in kinds:
        head = bytearray(len(magic))
        found = esp32.Partition.find(kind, label=label)
        if not found:
            return False
        found[0].readblocks(0, head, 0)
        if head != magic:
            return False
    return sound(slot)


def run():
    """A slot on trial: restart, and the bootloader goes back. Else the other slot, when it is whole: once a power on.

    Returns when there is nothing else to start.
    """
    running = esp32.Partition(esp32.Partition.RUNNING).info()[4]
    other = "ota_1" if running == "ota_0" else "ota_0"
    if _state(running) == _PENDING:
        print("error: rescue: the version on trial cannot be run, going back")
        machine.reset()
    tried = _state(other) in (_INVALID, _ABORTED)
    if tried and machine.reset_cause() != machine.PWRON_RESET:  # two that cannot be run must not take turns for ever
        print("error: rescue:", other, "was tried and could not be run either")
    elif _whole(other):
        try:
            esp32.Partition.find(esp32.Partition.TYPE_APP, label=other)[0].set_boot()
            print("warning: rescue: trying", other)
            machine.reset()
        except OSError as error:
            print("error: rescue:", other, "was refused:", error)
    print("error: rescue: nothing else to start")
