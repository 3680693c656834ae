"""Who this operator is, and the keys shared with devices: one file that nobody else can read."""

from __future__ import annotations

import json
import os
import stat
import uuid as uuids
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fargo.console import Failure

VERSION = 1


def default_path() -> Path:
    """Where the identity is kept: FARGO_IDENTITY, else fargo/identity.json in the user's configuration folder."""
    if os.environ.get("FARGO_IDENTITY"):
        return Path(os.environ["FARGO_IDENTITY"])
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "fargo" / "identity.json"


def raw(uuid: str) -> bytes:
    """The 16 bytes of a UUID."""
    return uuids.UUID(uuid).bytes


def write_secret(path: Path, text: str) -> None:
    """A new file that only its owner can read, from its first moment on. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@dataclass
class Known:
    """A device that this operator shares a key with. `method` is how that came about: "jw", "rdp", "mfgcert", "shared"."""

    uuid: str
    key: bytes
    name: str = ""
    address: str = ""
    method: str = ""

    @property
    def owned(self) -> bool:
        """Whether this operator is the device's owner."""
        return self.method != "shared"

    def __repr__(self) -> str:  # a key must not appear in a traceback
        return f"Known({self.uuid}, {self.name!r})"


class Identity:
    """The operator's UUID and `devices` (by UUID). Every change is written at once, as a whole.

    Raises Failure when the file is no identity, or others can read it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()
        self.devices: dict[str, Known] = {}
        if self.path.exists():
            self._load()
        else:
            self.uuid = str(uuids.uuid4())

    @classmethod
    def nobody(cls) -> Identity:
        """One that knows no device and is kept nowhere."""
        return cls(Path(os.devnull) / "nobody")

    @property
    def raw(self) -> bytes:
        """The UUID as it names this operator in a handshake."""
        return raw(self.uuid)

    def find(self, name: bytes) -> Known | None:
        """The device whose UUID has these 16 bytes."""
        return next((known for known in self.devices.values() if raw(known.uuid) == name), None)

    def remember(self, known: Known) -> None:
        """Keep a device's key."""
        self.devices[known.uuid] = known
        self.save()

    def forget(self, uuid: str) -> None:
        """Drop a device's key; nothing when there is none."""
        if self.devices.pop(uuid, None):
            self.save()

    def save(self) -> None:
        """Write the file: never readable by others, never half-written."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        value = {
            "v": VERSION,
            "uuid": self.uuid,
            "devices": [
                {"uuid": k.uuid, "key": k.key.hex(), "name": k.name, "address": k.address, "method": k.method}
                for k in self.devices.values()
            ],
        }
        new = self.path.with_name(self.path.name + ".new")
        new.unlink(missing_ok=True)
        write_secret(new, json.dumps(value, indent=1) + "\n")
        os.replace(new, self.path)

    def _load(self) -> None:
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & 0o077:
            raise Failure(
                f"{self.path} can be read by others", f"It holds the keys of your devices: chmod 600 {self.path}"
            )
        try:
            value: Any = json.loads(self.path.read_text())
            if value["v"] < 1:
                raise ValueError
            self.uuid = str(uuids.UUID(value["uuid"]))
            for d in value["devices"]:
                device = str(uuids.UUID(d["uuid"]))
                self.devices[device] = Known(
                    device, bytes.fromhex(d["key"]), d.get("name", ""), d.get("address", ""), d.get("method", "")
                )
        except (ValueError, KeyError, TypeError):
            raise Failure(f"{self.path} holds no identity", "Restore it, or move it away to begin anew.") from None
