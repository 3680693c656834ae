"""What was provisioned: who this device is and whom it trusts. Read-only to the device."""

import cbor

_PATH = "/fargo.cbor"


class Provision:
    """The content of `fargo.cbor` (docs/architecture.md, Storage), and the install phase's `job.trust`.

    Keys and certificates are read from the file again whenever they are needed, so that they cost no memory between. The
    keys and their threshold hold until a release brings a newer trust store (firmware.terms).
    Raises ValueError when the file is none, OSError when there is none.
    """

    def __init__(self, path=_PATH):
        self._path = path
        record = self._read()
        try:
            self.name = record["name"]
            self.manufacturer = record["manufacturer"]
            self.manufactured = record["manufactured"]
            self.piid = record["piid"]
            self.vendor_id = record["vendor"]
            self.class_id = record["class"]
            self.threshold = record["threshold"]
        except KeyError as error:
            raise ValueError("fargo.cbor lacks %s" % error)  # noqa: B904
        if not isinstance(self.threshold, int) or self.threshold < 1:
            raise ValueError("fargo.cbor asks for no signature")
        self.number, self.digest = record.get("trust", (0, b""))  # of the trust store that the keys are
        self.model = record.get("model")
        self.url = record.get("url", "")
        self.settings = record.get("settings", {})

    def keys(self):
        """The trusted release keys: kid -> 64 bytes."""
        return self._read()["keys"]

    def authorities(self):
        """The certificates (DER) that a release server's must chain to."""
        return self._read()["authorities"]

    def certificate(self):
        """(chain of DER, private key of 32 bytes) of the manufacturer's certificate for this device, or None."""
        found = self._read().get("mfgcert")
        return found and (found["chain"], found["key"])

    def manufacturers(self):
        """The authorities (DER) of the onboarding tools that may use the manufacturer's certificates."""
        return self._read().get("mfgtrust", [])

    def _read(self):
        with open(self._path, "rb") as file:
            record = cbor.decode(file.read(), max_items=1000)
        if not isinstance(record, dict) or not isinstance(record.get("v"), int) or record["v"] < 1:
            raise ValueError("fargo.cbor is not a provisioning record")
        return record
