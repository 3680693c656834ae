"""The program in gocoap/, built and spoken with: a Client of plgd's CoAP library on pion's DTLS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "gocoap"
BUILD = Path(__file__).resolve().parents[2] / "build/gocoap"
WAIT = 60  # seconds: more than any command takes on a slow machine


def build() -> Path:
    """Build and vet the program; what is built already is not built again. The first time takes about a minute."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    assert go, (
        "Go is missing: version 1.26 or later, as go.dev has it; Debian's golang-go is older (Makefile, packages)"
    )
    BUILD.mkdir(parents=True, exist_ok=True)
    program = BUILD / "client"
    environment = os.environ | {"CGO_ENABLED": "0"}
    for command in (["vet", "-mod=readonly", "./..."], ["build", "-mod=readonly", "-o", str(program), "."]):
        done = subprocess.run([go, *command], cwd=HERE, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"go {command[0]}: {done.stderr}"
    return program


class Failed(Exception):
    """A command that the Client could not carry out; `code` is the Device's answer ("4.01"), if it was that."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["error"])
        self.code = answer.get("code")


class GoClient:
    """One run of the program, by `command`. `seen` has the notifications of each path, oldest first."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._news = threading.Condition()
        self._answers: list[dict[str, Any]] = []
        self._over = False
        self.seen: dict[str, list[Any]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> GoClient:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._news:
                if answer.get("event") == "notification":
                    self.seen.setdefault(answer["path"], []).append(answer.get("error") or answer["value"])
                else:
                    self._answers.append(answer)
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def do(self, what: str, **more: Any) -> Any:
        """Carry out a command (gocoap/main.go); its value. Raises Failed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()
        with self._news:
            if not self._news.wait_for(lambda: self._answers or self._over, WAIT):
                raise TimeoutError(what)
            if not self._answers:
                raise RuntimeError(f"the program ended in {what}")
            answer = self._answers.pop(0)
        assert answer["do"] == what
        if not answer["ok"]:
            raise Failed(answer)
        return answer["value"]

    def get(self, path: str, *query: str) -> Any:
        """A representation."""
        return self.do("get", path=path, query=list(query))

    def update(self, path: str, **values: Any) -> Any:
        """UPDATE; the representation that came back, or None."""
        return self.do("update", path=path, value=values)

    def notified(self, path: str, predicate: Callable[[Any], Any], timeout: float = WAIT) -> Any:
        """The first notification for which `predicate` holds; those before count as well. Raises TimeoutError."""
        with self._news:
            found: list[Any] = []

            def look() -> bool:
                found[:] = [value for value in self.seen.get(path, []) if predicate(value)]
                return bool(found)

            if not self._news.wait_for(look, timeout):
                raise TimeoutError(f"{path}: {self.seen.get(path)}")
            return found[0]

    def again(self, what: str, timeout: float = WAIT, **more: Any) -> Any:
        """Carry out a command once the Device, which restarts, can be reached."""
        end = time.monotonic() + timeout
        while True:
            try:
                return self.do(what, **more)
            except Failed:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
