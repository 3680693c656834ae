"""What is the same for all tests of a session is made once: the linked code of images, and a quick `micropython`."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.util
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fargo import bundle

_LAUNCHER = """#!/bin/sh
exec "{python}" -I -S -c 'import sys; sys.path.append("{folder}"); import micropython_run
sys.argv[0] = "micropython"
sys.exit(micropython_run.run_main(sys.argv))' "$@"
"""


def link_once(folder: Path) -> None:
    """Have what becomes of the same sources for the same app linked once, by whichever process needs it first.

    It takes five seconds of processor time. `folder` is shared by all processes of this session, and by no other session:
    the linker is the same for all of them.
    """
    folder.mkdir(exist_ok=True)
    bundle._short = functools.lru_cache(4)(_kept(bundle._short.__wrapped__, folder))


def _kept(link: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    @functools.wraps(link)  # who changes how it is linked asks for that one
    def linked(files: tuple[tuple[str, bytes], ...], *names: frozenset[str]) -> Any:
        asked = pickle.dumps((files, [sorted(each) for each in names]))
        with open(folder / hashlib.sha256(asked).hexdigest(), "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # who comes second waits, and finds it made
            file.seek(0)
            found = file.read()
            if not found:
                found = pickle.dumps(link(files, *names))
                file.write(found)
                file.flush()
        return pickle.loads(found)

    return linked


def quick_micropython(folder: Path) -> None:
    """Put a `micropython` first on PATH that is the one of PyPI without the command around it.

    That one is a script in Python, of which each start of a board would wait for all that `site` does.
    """
    command, program = shutil.which("micropython"), importlib.util.find_spec("micropython_run")
    if (
        not command
        or not program
        or not program.origin
        or b"micropython_unix" not in Path(command).read_bytes()[:4096]
    ):
        return
    folder.mkdir(exist_ok=True)
    script = folder / "micropython"
    script.write_text(_LAUNCHER.format(python=sys.executable, folder=Path(program.origin).parent))
    script.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
