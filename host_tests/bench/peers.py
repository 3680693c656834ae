"""Others' work that `make bench` compares with and that nothing else here needs: fetched once with pip, into
build/peers.

detools and heatshrink2 (deltas), the last cbor2 in Python, and from the tests in detools' source the two builds of
MicroPython for the ESP8266, whose delta is a budget. Where they cannot be had, the table says what was not measured.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build/peers"
HOW = "a network on which pip can fetch packages"
PINS = ("detools==0.53.0", "heatshrink2==0.15.0", "cbor2==5.9.0")
SOURCE = "detools==0.53.0"
# SHA-256 of what is in HOME: the builds 1.9.4 and 1.10.
PAIR = {
    "esp8266-20180511-v1.9.4.bin": "4dc1317a65b3d9b5a856fff2ba8a46d974d3088482e4674770009f04f3fa0521",
    "esp8266-20190125-v1.10.bin": "5f52137297f7dbbb3a301998ad710d8f33bef070395991081c95937ee2c56137",
}


def pair() -> tuple[bytes, bytes]:
    """(base, what came after it). Raises OSError when they were not fetched or are not what they should be."""
    found = []
    for name, digest in PAIR.items():
        data = (HOME / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise OSError(f"{name} is not what it was")
        found.append(data)
    return found[0], found[1]


def use() -> bool:
    """Have them importable, before what is installed; whether they are there."""
    if not (HOME / "ready").exists():
        return False
    sys.path.insert(0, str(HOME))
    return True


def fetch() -> None:
    """Fetch them, if they are not there. Raises OSError, CalledProcessError."""
    if (HOME / "ready").exists() and (HOME / "ready").read_text() == " ".join(PINS):
        return
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    pure = {**os.environ, "CBOR2_BUILD_C_EXTENSION": "0"}
    said = {"check": True, "env": pure, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    subprocess.run([*pip, "install", "--target", str(HOME), "--no-binary", "cbor2", *PINS], **said)
    source = HOME / "source"
    subprocess.run([*pip, "download", "--no-deps", "--no-binary", "detools", "--dest", str(source), SOURCE], **said)
    (archive,) = source.glob("detools-*.tar.gz")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            name = Path(member.name).name
            if name in PAIR and (file := tar.extractfile(member)):
                (HOME / name).write_bytes(file.read())
    shutil.rmtree(source)
    pair()
    (HOME / "ready").write_text(" ".join(PINS))
