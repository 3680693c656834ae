"""What was provisioned: who this device is and whom it trusts. A phase: it is read again whenever it is needed."""

from cbor.decoder import decode


def read(path="/fargo.cbor"):
    """The record (docs/architecture.md, Storage), with all that may be left out of it.

    Raises ValueError when the file is none, OSError when there is none.
    """
    with open(path, "rb") as file:
        record = decode(file.read(), max_items=1000)
    if not isinstance(record, dict) or not isinstance(record.get("v"), int) or record["v"] < 1:
        raise ValueError("fargo.cbor is not a provisioning record")
    for name in ("name", "manufacturer", "manufactured", "piid", "vendor", "class", "threshold"):
        if name not in record:
            raise ValueError("fargo.cbor lacks " + name)
    if not isinstance(record["threshold"], int) or record["threshold"] < 1:
        raise ValueError("fargo.cbor asks for no signature")
    found = {"model": None, "url": "", "settings": {}, "trust": (0, b""), "mfgcert": None, "mfgtrust": []}
    found.update(record)
    return found
