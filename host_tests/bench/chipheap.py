"""When the Python heap takes what the radio needs: the whole device on a heap that grows as an ESP32's does.

A stock ESP32 begins with one area of 56 KB, takes a second of 56 KB out of ESP-IDF's heap as soon as something finds no
place, and then all that is left in one piece, 35 KB: from then on no packet arrives, until that area is empty and was given
back. Here MicroPython for 32 bits does the same, on areas of these sizes; what the simulated chip's own Python takes is in
the first one. `make chipheap` builds it from Debian's source with chipheap.patch, and tells what each action takes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import micropython32  # noqa: E402

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1] / "build/chipheap"
HOW = "make chipheap (Debian, x86-64, gcc-multilib)"
AREA = 56 * 1024
RADIO = 35 * 1024  # in one piece, with WiFi and a heap of two areas
SHORT = 5  # milliseconds that pass unnoticed, though a chip takes a hundred times as long: packets come again
_LIBRARIES = micropython32.HOME / "usr/lib/i386-linux-gnu"
_MAKE = (
    "FROZEN_MANIFEST=../../debian/config/manifest.py",
    "MICROPY_SSL_AXTLS=0",
    "MICROPY_SSL_MBEDTLS=1",
    "MICROPY_PY_BTREE=0",
    "MICROPY_PY_FFI=0",
    "MICROPY_FORCE_32BIT=1",
)
_WRAPPER = f"""#!/bin/sh
exec "{_LIBRARIES}/ld-linux.so.2" --library-path "{_LIBRARIES}" "{HOME}/micropython.real" "$@"
"""


def there() -> bool:
    """Whether it was built."""
    return (HOME / "micropython").exists()


def build() -> None:
    """Build it. Raises OSError, CalledProcessError."""
    if not micropython32.command():
        micropython32.fetch()
    shutil.rmtree(HOME, ignore_errors=True)
    work = HOME / "work"
    environment = micropython32.apt(work / "apt", ("deb", "deb-src"))

    def run(*command: str | Path, cwd: Path = work, **options: Any) -> None:
        subprocess.run(
            list(map(str, command)), cwd=cwd, check=True, env=environment, stdout=subprocess.DEVNULL, **options
        )

    run("apt-get", "-qq", "update")
    run("apt-get", "-qq", "source", "--download-only", "micropython")
    run("apt-get", "-qq", "download", "libmbedtls-dev")
    for package in work.glob("*.deb"):
        run("dpkg-deb", "-x", package, work / "headers")
    (original,) = work.glob("*.orig.tar.xz")
    run("tar", "xf", original)
    (source,) = work.glob("micropython-*/")
    (debian,) = work.glob("*.debian.tar.xz")
    run("tar", "xf", debian, cwd=source)
    series = (source / "debian/patches/series").read_text().split()
    for patch in [source / "debian/patches" / name for name in series] + [HERE / "chipheap.patch"]:
        run("patch", "-s", "-p1", "-i", patch, cwd=source)
    (work / "lib").mkdir()
    for name in ("mbedtls", "mbedx509", "mbedcrypto"):
        (found,) = (path for path in _LIBRARIES.glob(f"lib{name}.so.*") if path.is_symlink())
        (work / f"lib/lib{name}.so").symlink_to(found)
    jobs = f"-j{os.cpu_count()}"
    run("make", "-s", jobs, cwd=source / "mpy-cross", stderr=subprocess.DEVNULL)
    flags = f"-DMICROPY_FLOAT_USE_NATIVE_FLT16=0 -Wno-error -I{work}/headers/usr/include"
    link = f"-L{work}/lib -Wl,--allow-shlib-undefined"
    run("make", "-s", jobs, *_MAKE, f"CFLAGS_EXTRA={flags}", f"LDFLAGS_EXTRA={link}", cwd=source / "ports/unix")
    shutil.copy(source / "ports/unix/build-standard/micropython", HOME / "micropython.real")
    shutil.rmtree(work)
    (HOME / "micropython").write_text(_WRAPPER)
    (HOME / "micropython").chmod(0o755)


def taken(lines: list[str]) -> int:
    """How often, in the log of a board, a third area was taken for so long that packets were lost."""
    times = 0
    for at, line in enumerate(lines):
        if re.match(r"area 3: \d+ bytes taken", line):
            back = next(
                (found for later in lines[at:] if (found := re.match(r"area 3: .* after (\d+) ms", later))), None
            )
            times += back is None or int(back.group(1)) > SHORT
    return times


def measure(wanted: list[str], address: str) -> dict[str, int | None]:
    """For each of the actions of bench_memory how often the radio's memory was taken; None when it did not succeed."""
    os.environ["MICROPYTHON32"] = str(HOME / "micropython")
    micropython32.use()
    import bench_memory
    import live

    found: dict[str, int | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        rig = live.Rig(Path(folder) / "stage", (live.ROOT / "examples/lamp/app.py").read_text(), address)
        first = AREA + rig.not_the_device(rig.chip[1])
        os.environ["MICROPY_AREAS"] = f"{first},{AREA}"
        rig.stage.release("1.1.0", 2, firmware=True)
        trials = bench_memory.Trials(rig, "/lamp")
        with rig.stage.server:
            for name in wanted or ["ownership", *trials.actions]:
                passed, _names = trials.passes(name, (first + AREA + RADIO) // 1024)
                found[name] = taken(rig.board.lines) if passed else None
                print(f"{name}: {found[name] if passed else 'failed'}", file=sys.stderr)
        rig.close()
    return found


def main() -> None:
    """The command: builds what is not there, and measures; with `--measure` it only measures."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--measure"]:
        arguments = arguments[1:]
        if not there():
            print(json.dumps({"bench": "chipheap", "missing": HOW}))
            return
    elif not there():
        try:
            build()
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(HOME, ignore_errors=True)
            sys.exit(
                f"MicroPython could not be built: {error}\nIt takes apt-get install gcc-multilib patch, and Debian's source."
            )
    print(json.dumps({"bench": "chipheap", "taken": measure(arguments, "127.9.2.8")}))


if __name__ == "__main__":
    main()
