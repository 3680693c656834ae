"""The trust store in force, when a release has brought it: whose signatures count, and from where numbers do. A phase.

It is kept twice, in `store` and in `nvs` (an `esp32.NVS`, or None), so that losing `data` brings no revoked key back. Each
copy is sealed by its SHA-256: what is damaged counts for nothing, and of what is whole the highest number does.
"""

import hashlib

import cbor
from cbor.decoder import decode
from port import const, phase

from swupdate.faults import Fault

_LIMIT = const(1536)  # bytes of a record: 8 keys and 16 that were revoked need 1,000
_LEAST = const(48)  # there is seldom one, and no large piece is needed to find that out
_TOO_SHORT = const(-0x110C)  # ESP_ERR_NVS_INVALID_LENGTH
_KEPT = "trust"
_NEXT = "nexttrust"


def load(store, nvs):
    """The record (docs/architecture.md, Storage) of the trust store in force; None: what was provisioned is.

    A copy that is missing, damaged or older is made good.
    """
    copies = (store.load(_KEPT), _blob(nvs))
    best = found = None
    for data in copies:
        record = data and _opened(data)
        if record and (not found or record["n"] > found["n"]):
            best, found = data, record
    if found:
        try:
            if copies[0] != best:
                store.save(_KEPT, best)
            if nvs and copies[1] != best:
                nvs.set_blob(_KEPT, best)
                nvs.commit()
        except OSError:  # one of the two is enough, and the next time it is tried again
            pass
    return found


def stage(store, record):
    """Keep a trust store that was validated, until it is put in force. Raises OSError."""
    body = cbor.dumps(record)
    store.save(_NEXT, body + hashlib.sha256(body).digest())


def staged(store):
    """The record of the trust store that was validated last and is not in force yet, or None."""
    data = store.load(_NEXT)
    return data and _opened(data)


def install(updater):
    """Put the trust store that was validated in force, and the sequence floor that may come with it: the event that tells
    the machine. Raises Fault.
    """
    try:
        found = apply(updater.store, updater.nvs, updater.state["digest"])
    except OSError as error:
        raise Fault("flash", "the trust store could not be written: %s" % error)  # noqa: B904
    if not found:
        raise Fault("invalid", "the package that was ready is no longer there")
    with phase("swupdate.floor") as code:
        updater.floor = code.floor(updater.store, updater.nvs, updater.slots)
    return ("applied", updater.clock.now() or found["built"], "trust store %d is in force" % found["n"])


def apply(store, nvs, manifest):
    """Put the trust store in force that came with the manifest of this digest, if it is not already: its record.

    None when it is not there. Raises OSError, and then the old one is in force.
    """
    record = staged(store)
    if record and record["manifest"] == manifest:
        store.save(_KEPT, store.load(_NEXT))
    record = load(store, nvs)
    if not record or record["manifest"] != manifest:
        return None
    store.remove(_NEXT)
    return record


def _blob(nvs):
    size = _LEAST
    while nvs and size <= _LIMIT:
        buf = bytearray(size)
        try:
            return bytes(memoryview(buf)[: nvs.get_blob(_KEPT, buf)])
        except OSError as error:
            if error.args[0] != _TOO_SHORT:  # was never written, or is not ours
                return None
        size *= 2
    return None


def _opened(data):
    body = data[:-32]
    try:
        if hashlib.sha256(body).digest() != data[-32:]:
            return None
        record = decode(body)
        whole = record["n"] > 0 and record["threshold"] > 0 and record["since"] >= 0 and record["floor"] >= 0
        return record if whole and len(record["keys"]) and len(record["manifest"]) == 32 else None
    except (ValueError, KeyError, TypeError):
        return None
