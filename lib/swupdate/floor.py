"""The sequence floor: nothing below it is installed. A phase."""

import cbor
from port import phase, print_exception


def floor(store, nvs, slots):
    """The sequence number below which nothing is installed; raised first when the running slot is confirmed and above.

    It is kept twice: in `store` and in `nvs` (an `esp32.NVS`, or None). A trust store that sets a floor begins anew, under
    another name: what was kept before, and slots that were written before, count no more.
    """
    with phase("swupdate.trust") as trust:
        found = trust.load(store, nvs)
    since, seq = (found["since"], found["floor"]) if found else (0, 0)
    name = "floor%d" % since if since else "floor"
    kept, copied = _kept(store.load(name)), 0
    if nvs:
        buf = bytearray(8)
        try:
            if nvs.get_blob(name, buf) == 8:
                copied = int.from_bytes(buf, "big")
        except OSError:  # was never written
            pass
    seq = max(seq, kept, copied)
    label = slots.label(slots.running)
    if slots.confirmed and label and label.get("trust", 0) >= since:
        seq = max(seq, label["seq"])
    # One of the two is enough, and the next start tries again.
    try:
        if seq > kept:
            store.save(name, cbor.dumps({"v": 1, "seq": seq}))
    except OSError as error:
        print_exception(error)
    try:
        if nvs and seq > copied:
            nvs.set_blob(name, seq.to_bytes(8, "big"))
            nvs.commit()
    except OSError as error:
        print_exception(error)
    return seq


def _kept(data):
    """The number in a record, 0 when it makes no sense."""
    try:
        if data:
            with phase("cbor.decoder") as decoder:
                seq = decoder.decode(data)["seq"]
            return seq if isinstance(seq, int) else 0
    except (ValueError, KeyError, TypeError):
        pass
    return 0
