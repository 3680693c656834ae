"""The direction of imports: the table of docs/architecture.md, and nothing else."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ALLOWED = {
    "port": set(),
    "cbor": {"port"},
    "crypto": {"port"},
    "coap": {"port"},
    "ocf": {"port", "coap", "cbor"},
    "swupdate": {"port", "cbor", "crypto"},
    "firmware": {"port", "coap", "cbor", "ocf", "swupdate", "board"},
}
# Modules of MicroPython on the ESP32 (and of CPython) that device code may use.
PLATFORM = {"asyncio", "binascii", "deflate", "errno", "gc", "hashlib", "os", "random", "struct", "sys", "time"}
ONLY_PORT = {"micropython", "socket", "tls", "ssl", "select", "ipaddress", "traceback", "typing", "__future__"}


def imported(path):
    """(module, line) of every import of a file, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module, node.lineno
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "phase":
            for arg in node.args:
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str):
                    yield arg.value, node.lineno


def files(package):
    base = ROOT / package if package == "firmware" else ROOT / "lib" / package
    return sorted(base.rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_direction(package):
    assert files(package), f"{package} is empty"
    wrong = []
    for path in files(package):
        for name, line in imported(path):
            top = name.split(".")[0]
            allowed = ALLOWED[package] | {package} | PLATFORM
            if package == "port":
                allowed |= ONLY_PORT
            if package == "swupdate" and path.name == "resource.py":
                allowed.add("ocf")
            if top not in allowed:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_only_port_asks_which_interpreter_this_is():
    asked = [
        str(path.relative_to(ROOT))
        for package in ALLOWED
        if package != "port"
        for path in files(package)
        if "implementation" in path.read_text() or "sys.platform" in path.read_text()
    ]
    assert not asked


def test_the_phases_are_not_imported_by_the_resident_half():
    phased = ("swupdate.install", "crypto", "coap.client", "coap.download", "ocf.introspection")
    resident = [
        path
        for package in ALLOWED
        for path in files(package)
        if "install" not in path.parts and package != "crypto" and path.name not in ("client.py", "download.py")
    ]
    wrong = []
    for path in resident:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            wrong += [f"{path.relative_to(ROOT)}:{node.lineno} {n}" for n in names if n.startswith(phased)]
    # These two are themselves parts of the install phase.
    assert not [w for w in wrong if not w.startswith(("firmware/coap_source.py", "firmware/sources.py"))]


def test_repository_runs_on_the_oldest_python_it_names():
    assert sys.version_info >= (3, 11)
