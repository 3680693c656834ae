"""A stage for the demo and the tests: keys, releases, a server and a simulated board that know each other."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from fargo import bundle, flash, image, keys, onboard, release, trust
from fargo.authority import Authority
from fargo.identity import Identity, Known
from fargo.serve import Server

sys.path.insert(0, str(bundle.ROOT))
from board.sim.simboard import SimBoard  # noqa: E402 - the simulated board is beside the packages, not in one

BYTECODE = 6  # of the .mpy files that mpy-cross 1.29 makes


class Stage:
    """Everything an update needs, in the folder `home`, which is emptied first.

    The board is on a loopback address of its own, and `identity` is who may become its owner. `firmware_size` in bytes;
    `layout` as in fargo.flash; `settings` go into what is provisioned, and so does `manufacturer`: the Device's
    certificate and the authorities of onboarding tools ("mfgcert", "mfgtrust": docs/architecture.md).
    """

    def __init__(
        self,
        home: Path,
        app: Path,
        address: str = "127.7.0.2",
        layout: str = "4MB",
        firmware_size: int = 400_000,
        settings: dict[str, object] | None = None,
        threshold: int = 1,
        server: type[Server] = Server,
        manufacturer: dict[str, object] | None = None,
    ) -> None:
        shutil.rmtree(home, ignore_errors=True)
        self.home = home
        self.releases = home / "releases"
        self.releases.mkdir(parents=True)
        self.app = app
        self.address = address
        self.layout = layout
        self.firmware_size = firmware_size
        self.threshold = threshold
        self.manufacturer = manufacturer or {}
        self.identity = Identity(home / "identity.json")
        self.settings = {"trial_s": 30, "backoff_ms": [300, 600], "ntp": "127.0.0.1", **(settings or {})}
        self.vendor, self.class_id = os.urandom(16), os.urandom(16)
        self.keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
        self.authority = Authority(home / "authority")
        self.server = server(self.releases, self.authority)
        self.flash = home / "board.flash"

    def url(self, version: str, scheme: str = "https") -> str:
        """The package URL of a release on this stage's server."""
        name = f"fargo-{version}.suit"
        return self.server.url(name) if scheme == "https" else self.server.coaps_url(name)

    def firmware(self, version: str) -> bytes:
        """A firmware image for the simulated board, in ESP-IDF's format."""
        return image.build_image(version, size=self.firmware_size)

    def app_image(self, change: dict[str, str] | None = None) -> bytes:
        """The app image: Fargo's device side and the maker's app, with files replaced by `change` (name -> text)."""
        files = bundle.device_files(self.app)
        changed = self.home / "changed"
        shutil.rmtree(changed, ignore_errors=True)
        changed.mkdir()
        for name, text in (change or {}).items():
            files[name] = changed / name
            files[name].parent.mkdir(parents=True, exist_ok=True)
            files[name].write_text(text)
        return bundle.app_image(files)

    def release(
        self,
        version: str,
        sequence: int,
        firmware: bool = False,
        change: dict[str, str] | None = None,
        signers: list[ec.EllipticCurvePrivateKey] | None = None,
        app: bool = True,
        **parameters: Any,
    ) -> Path:
        """Build and sign a release; the path of its envelope. `parameters` go to `fargo.release.build`."""
        envelope = release.build(
            self.releases,
            version,
            sequence,
            vendor=parameters.pop("vendor", self.vendor),
            class_id=parameters.pop("class_id", self.class_id),
            firmware=self.firmware(version) if firmware else None,
            app=self.app_image(change) if app else None,
            bytecode=parameters.pop("bytecode", BYTECODE),
            **parameters,
        )
        for key in signers if signers is not None else self.keys[: self.threshold]:
            release.sign(envelope, key)
        return envelope

    def rotate(
        self,
        number: int,
        trusted: list[ec.EllipticCurvePrivateKey],
        signers: list[ec.EllipticCurvePrivateKey],
        threshold: int = 1,
        floor: int | None = None,
        **parameters: Any,
    ) -> Path:
        """Build the release of a trust store with the keys `trusted`, signed by `signers`; the path of its envelope."""
        envelope = trust.build(
            self.releases, number,
            parameters.pop("vendor", self.vendor), parameters.pop("class_id", self.class_id),
            [key.public_key() for key in trusted], threshold, floor, **parameters,
        )  # fmt: skip
        for key in signers:
            release.sign(envelope, key)
        return envelope

    def provision(self) -> dict[str, object]:
        """What the board is provisioned with."""
        return {
            "v": 1,
            "name": "Fargo demo",
            "manufacturer": "Fargo",
            "model": "Simulated ESP32",
            "manufactured": "2026-01-09T14:30:00Z",
            "piid": "7c9d9c2e-3a6b-4c1f-9a80-6f2f3f5f0b11",
            "vendor": self.vendor,
            "class": self.class_id,
            "url": "",
            "threshold": self.threshold,
            "keys": {keys.kid(key.public_key()): keys.raw(key.public_key()) for key in self.keys},
            "authorities": [self.authority.ca_der()],
            "settings": self.settings,
            **self.manufacturer,
        }

    def flash_factory(
        self, version: str = "1.0.0", sequence: int = 1, vfs_files: dict[str, bytes] | None = None
    ) -> None:
        """Flash a fresh board with a release, as a factory would; `vfs_files` as in `fargo.flash.build_flash`."""
        firmware, app = self.firmware(version), self.app_image()
        envelope = release.build(
            self.home / "factory", version, sequence, vendor=self.vendor, class_id=self.class_id,
            firmware=firmware, app=app, bytecode=BYTECODE,
        )  # fmt: skip
        label = release.label(envelope.read_bytes())
        flash.build_flash(self.flash, self.layout, firmware, app, label, self.provision(), vfs_files)

    def board(self, **options: Any) -> SimBoard:
        """The simulated board with this stage's flash; not powered yet."""
        return SimBoard(self.flash, address=self.address, **options)

    async def own(self, method: str = "just-works") -> Known:
        """Make `identity` the owner of the running board."""
        onboarding = await onboard.begin(self.address, self.identity, "127.0.0.1")
        try:
            return await onboarding.own(method)
        finally:
            await onboarding.network.close()
