"""Names that every device comes to know are in the image's module for them, and are asked for by it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from fargo import bundle, flat, known
from modules import ROOT


def trees(folder: Path) -> tuple[dict[str, ast.Module], dict[str, str]]:
    files = bundle.device_files(ROOT / "examples/lamp")
    called = {module: name for name, some in bundle.joined(files).items() for module in some}
    linked = bundle.shortened(files, folder)
    return {flat.module(name): ast.parse(path.read_text()) for name, path in linked.items()}, called


def told(tree: ast.Module) -> list[set[str]]:
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [set(text.split()) for text in texts if text.endswith(" ") and len(text) > 100]


def test_names_of_what_a_start_loads_are_known(tmp_path: Path) -> None:
    found, called = trees(tmp_path)
    (names,) = told(found[called[known.MODULE]])
    for module in ("firmware.start", "firmware.begin", "ocf.security.load", "dtls.server"):
        assert called[module] in names
    assert "getaddrinfo" in names  # of port.sockets
    assert called["cbor.decoder"] in names  # what they import


def test_names_of_the_app_are_known(tmp_path: Path) -> None:
    """They come with its code at every start, and would lie amidst what it leaves to an update."""
    found, called = trees(tmp_path)
    names = told(found[called[known.MODULE]])[0]
    assert {"Lamp", "brightness"} & names


def test_it_asks_for_each_name() -> None:
    asked: list[str] = []
    source = (ROOT / "firmware/known.py").read_text()
    scope: dict[str, Any] = {"hasattr": lambda _what, name: asked.append(name)}
    exec(compile(source, "known.py", "exec"), scope)
    scope["_ask"]("a bc ")
    assert asked == ["a", "bc"]


def test_without_a_build_there_is_nothing_to_know() -> None:
    from firmware import known as phase

    phase.learn()
