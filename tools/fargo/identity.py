"""Who this operator is, and the keys shared with devices: one file that nobody else can read."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import uuid as uuids
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from fargo.console import Failure

VERSION = 1
_FILE = "identity.json"

IdentityOption = Annotated[
    Path | None,
    typer.Option("--identity", envvar="FARGO_IDENTITY", help="File (or its folder) with the own UUID and the keys."),
]


def default_path() -> Path:
    """Where the identity is kept: FARGO_IDENTITY, else fargo/identity.json in the user's configuration folder."""
    if os.environ.get("FARGO_IDENTITY"):
        return Path(os.environ["FARGO_IDENTITY"])
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "fargo" / _FILE


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
    """The operator's UUID and `devices` (by UUID), in the file `path`, or in that folder.

    Every change is written at once, as a whole; what another program has written meanwhile stays. Raises Failure when the
    file is no identity, or others can read it.
    """

    _kept = True

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()
        if self.path.is_dir():
            self.path = self.path / _FILE
        self.uuid = str(uuids.uuid4())
        self.devices: dict[str, Known] = {}
        self._load()

    @classmethod
    def nobody(cls) -> Identity:
        """One that knows no device and is kept nowhere."""
        identity = cls(Path(os.devnull) / "nobody")
        identity._kept = False
        return identity

    @property
    def raw(self) -> bytes:
        """The UUID as it names this operator in a handshake."""
        return raw(self.uuid)

    def find(self, name: bytes) -> Known | None:
        """The device whose UUID has these 16 bytes."""
        return next((known for known in self.devices.values() if raw(known.uuid) == name), None)

    def named(self, device: str) -> Known | None:
        """The one device of this UUID or name, if there is exactly one."""
        found = [known for known in self.devices.values() if device.lower() == known.uuid or device == known.name]
        return found[0] if len(found) == 1 else None

    def met(self, uuid: str, address: str) -> None:
        """A device that is known was found at this address."""
        if uuid in self.devices and self.devices[uuid].address != address:
            with contextlib.suppress(OSError), self._locked():  # not worth a failure
                if uuid in self.devices:
                    self.devices[uuid].address = address
                    self._save()

    def remember(self, known: Known) -> None:
        """Keep a device's key."""
        with self._locked():
            self.devices[known.uuid] = known
            self._save()

    def forget(self, uuid: str) -> None:
        """Drop a device's key; nothing when there is none."""
        with self._locked():
            if self.devices.pop(uuid, None):
                self._save()

    def keep(self) -> None:
        """Write the own UUID, if there is no file yet: it must not be another one the next time."""
        with self._locked():
            if not self.path.exists():
                self._save()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Read the file as it is now, and keep other programs from changing it."""
        if not self._kept:
            yield
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path.with_name(self.path.name + ".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._load()
            yield
        finally:
            os.close(descriptor)

    def _save(self) -> None:
        """Never readable by others, never half-written."""
        if not self._kept:
            return
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
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _load(self) -> None:
        if not self.path.exists():
            return
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & 0o077:
            raise Failure(
                f"{self.path} can be read by others", f"It holds the keys of your devices: chmod 600 {self.path}"
            )
        try:
            value: Any = json.loads(self.path.read_text())
            if value["v"] < 1:
                raise ValueError
            own = str(uuids.UUID(value["uuid"]))
            found = {}
            for d in value["devices"]:
                device = str(uuids.UUID(d["uuid"]))
                words = [str(d.get(name, "")) for name in ("name", "address", "method")]
                found[device] = Known(device, bytes.fromhex(d["key"]), *words)
                if len(found[device].key) not in (16, 32):
                    raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Failure(f"{self.path} holds no identity", "Restore it, or move it away to begin anew.") from None
        self.uuid, self.devices = own, found
