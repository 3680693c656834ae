"""The record of the time that has passed for certain (firmware.clock). A phase of the start."""

from cbor.decoder import decode


def load(store):
    """Unix seconds; 0 when there is no record that makes sense."""
    data = store.load("clock")
    try:
        seen = decode(data)["seen"] if data else 0
        return seen if isinstance(seen, int) else 0
    except (ValueError, KeyError, TypeError):
        return 0
