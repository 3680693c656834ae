"""How a foreign Client gets in: the board's owner gives it rights and a key, with the verb of `fargo` that is for that."""

import itertools
import json
from dataclasses import dataclass

from fargo.cli import main

_files = itertools.count()


@dataclass
class Psk:
    """Who a Client is to the device: its UUID as text, and the key that both know."""

    uuid: str
    key: bytes


def grant(rig, client, rights, printable=False):
    """Give the Client with the UUID `client` a key and `rights` (permission -> hrefs) on the board of `rig`.

    `printable`: a key without zero bytes, for programs that take it as an argument.
    """
    while True:
        path = rig.stage.home / f"psk{next(_files)}"
        for permission, hrefs in rights.items():
            path.unlink(missing_ok=True)
            arguments = ["device", "grant", "--device", rig.stage.address, "--interface", "127.0.0.1", "--json"]
            arguments += ["--identity", str(rig.stage.identity.path), "--client", client, "--psk-out", str(path)]
            arguments += ["--permission", str(permission), *(part for href in hrefs for part in ("--href", href))]
            assert main(arguments) == 0
        value = json.loads(path.read_text())
        assert value["client"] == client
        psk = Psk(client, bytes.fromhex(value["key"]))
        if not printable or 0 not in psk.key:
            return psk


def owner(rig):
    """The owner, who is a Client like others."""
    (known,) = rig.stage.identity.devices.values()
    return Psk(rig.stage.identity.uuid, known.key)
