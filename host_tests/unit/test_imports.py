"""The direction of imports: the table of docs/architecture.md, and nothing else."""

import sys

import pytest
from modules import ROOT, closure, imports, phases, resident, roots

ALLOWED = {
    "port": set(),
    "cbor": {"port"},
    "crypto": {"port"},
    "coap": {"port"},
    "dtls": {"port", "crypto"},
    "ocf": {"port", "coap", "cbor", "crypto"},
    "swupdate": {"port", "cbor", "crypto"},
    "firmware": {"port", "coap", "cbor", "crypto", "dtls", "ocf", "swupdate", "board", "board_start", "app"},
}
# Modules of MicroPython on the ESP32 (and of CPython) that device code may use.
PLATFORM = {
    "asyncio", "binascii", "builtins", "deflate", "errno", "gc", "hashlib", "io", "os", "random", "struct", "sys", "time",
}  # fmt: skip
ONLY_PORT = {
    "micropython", "socket", "tls", "ssl", "select", "ipaddress", "traceback", "typing", "__future__", "cryptolib",
    "cryptography", "threading", "zlib",
}  # fmt: skip
# What no idle device may hold.
PHASED = (
    "swupdate.install", "swupdate.machine", "swupdate.feeding", "swupdate.action", "swupdate.work", "swupdate.status",
    "swupdate.otadata", "firmware.known", "firmware.start", "firmware.parts", "firmware.begin", "firmware.settle",
    "firmware.events",
    "firmware.asking", "firmware.leaving", "firmware.absent", "coap.refusal",
    "crypto.p256", "crypto.curve", "crypto.verify", "crypto.x509", "crypto.chain", "crypto.reading",
    "crypto.ecdh", "coap.seldom", "dtls.inbox",
    "crypto.certificate", "crypto.der", "crypto.ecdsa", "crypto.cose", "crypto.prf", "dtls.server", "dtls.client",
    "dtls.handshake", "dtls.aead", "crypto.ccm", "dtls.certificates", "coap.client", "coap.download", "coap.transfer",
    "coap.registration", "dtls.cookie",
    "ocf.core", "ocf.update", "swupdate.declared",
    "ocf.introspection", "ocf.discovery", "ocf.refusal", "ocf.onboarding", "ocf.recorded", "ocf.status", "ocf.uuids",
    "ocf.security.",
)  # fmt: skip


def imported(path):
    """(module, line) of everything that a file brings into memory."""
    yield from imports(path)
    yield from phases(path)


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
            if package == "swupdate" and path.name in ("resource.py", "declared.py", "status.py"):
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


def test_an_idle_device_holds_no_phase():
    stays = resident()
    assert {"firmware.node", "dtls.transport", "ocf.security", "swupdate.manager"} <= stays
    assert not [name for name in stays if name.startswith(PHASED)]
    assert stays.isdisjoint(roots())


def test_what_phases_catch_stays():
    """A phase that is left takes along what it loaded: another would catch by a class that nobody raises any more."""
    assert {"swupdate.faults", "coap.message", "cbor", "dtls.alert"} <= resident()


def test_every_module_is_resident_or_of_a_phase():
    known = resident() | closure(roots()) | {"port._cpython", "port._inflate_cpython", "coap.client", "coap.exchange"}
    there = {
        str(path.relative_to(base)).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for base, folder in ((ROOT / "lib", "."), (ROOT, "firmware"))
        for path in (base / folder).rglob("*.py")
    }
    assert there == {name for name in known if not name.startswith("board")}


def test_repository_runs_on_the_oldest_python_it_names():
    assert sys.version_info >= (3, 11)
