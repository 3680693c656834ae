"""MicroPython with the ESP32's word size, for the figures of memory: `make heap32` fetches it.

Debian 13 has the unix port for i386 (1.25), which an x86-64 Linux runs as it is. Words of 4 bytes, blocks of 16, integers in
digits of 16 bits and 7 bytes a name are as on the chip; what differs: floats are double (in the same block), there is no
WiFi, and TLS takes its memory from the C library. It is taken apart in build/, nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build/micropython32"
HOW = "make heap32 (Debian, x86-64), or MICROPYTHON32= the command of a MicroPython with 32-bit words"
_SUITE = "trixie"
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_WRAPPER = """#!/bin/sh
lib="${0%/*}/usr/lib/i386-linux-gnu"
exec "$lib/ld-linux.so.2" --library-path "$lib" "${0%/*}/usr/bin/micropython" "$@"
"""


def command() -> str | None:
    """The command of a 32-bit MicroPython; None when there is none. Ends the program when it is none."""
    named = os.environ.get("MICROPYTHON32")
    path = named or str(HOME / "micropython")
    if not named and not Path(path).exists():
        return None
    try:
        done = subprocess.run(
            [path, "-c", "import sys; print(sys.maxsize)"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        sys.exit(f"{path} does not run: {error}")
    if done.stdout.strip() != str(2**31 - 1):
        sys.exit(f"{path} is no MicroPython with 32-bit words: {(done.stdout + done.stderr).strip()[:200]}")
    return shutil.which(path) or path


def use() -> bool:
    """Put it first on PATH as `micropython`, where the simulated board finds its interpreter; whether there is one."""
    found = command()
    if not found:
        return False
    folder = Path(found).parent
    if Path(found).name != "micropython":
        folder = ROOT / "build/micropython32-named"
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "micropython"
        script.write_text(f'#!/bin/sh\nexec "{Path(found).absolute()}" "$@"\n')
        script.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return True


def _mirror() -> str:
    """Where this machine has its Debian packages from."""
    form = ["--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages"]
    done = subprocess.run(["apt-get", "indextargets", *form], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        label, _, uri = line.partition("|")
        if label == "Debian":
            return uri
    raise OSError("apt-get knows no mirror of Debian (apt-get update)")


def apt(home: Path, kinds: Iterable[str], architecture: str | None = None) -> dict[str, str]:
    """The environment of an apt that has its folders in `home`, for "deb" or "deb-src" packages. Raises OSError."""
    for folder in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/lib/dpkg"):
        (home / folder).mkdir(parents=True)
    (home / "var/cache/apt/archives/partial").mkdir(parents=True)
    (home / "var/lib/dpkg/status").touch()
    mirror = _mirror()
    (home / "etc/apt/sources.list").write_text(
        "".join(f"{kind} [signed-by={_KEYS}] {mirror} {_SUITE} main\n" for kind in kinds)
    )
    chosen = (
        f'APT::Architecture "{architecture}";\nAPT::Architectures {{ "{architecture}"; }};\n' if architecture else ""
    )
    (home / "apt.conf").write_text(
        f'Dir "{home}";\n{chosen}APT::Sandbox::User "root";\nAcquire::Languages "none";\nDebug::NoLocking "true";\n'
    )
    return {**os.environ, "APT_CONFIG": str(home / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"}


def fetch() -> None:
    """Fetch the packages with an apt of its own folders, and take them apart. Raises OSError, CalledProcessError."""
    shutil.rmtree(HOME, ignore_errors=True)
    folder = HOME / "apt"
    environment = apt(folder, ["deb"], "i386")
    for arguments in (["update"], ["install", "--yes", "--download-only", "--no-install-recommends", "micropython"]):
        subprocess.run(["apt-get", "-qq", *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)
    for package in (folder / "var/cache/apt/archives").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(HOME)], check=True)
    shutil.rmtree(folder)
    (HOME / "micropython").write_text(_WRAPPER)
    (HOME / "micropython").chmod(0o755)


def main() -> None:
    """The command."""
    if not command():
        try:
            fetch()
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(HOME, ignore_errors=True)
            sys.exit(f"MicroPython for 32 bits could not be fetched: {error}\nWithout Debian's packages: {HOW}")
    print(f"{command()} has 32-bit words.")


if __name__ == "__main__":
    main()
