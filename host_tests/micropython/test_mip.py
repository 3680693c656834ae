"""What others can have of Fargo: MicroPython's own `mip` installs it from a server of this repository's files."""

import json
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fargo import bundle, packages
from fargo.cli import main
from modules import ROOT, closure

# Used with nothing but the installed folder on the path, and what is frozen into MicroPython.
USE = {
    "cbor": """
import cbor
from cbor.decoder import decode
data = cbor.dumps({"value": [1, -2, "three", b"4", True, None]})
assert decode(data) == {"value": [1, -2, "three", b"4", True, None]}, data
assert decode(bytes((0x82, 1, 2)), strict=True) == [1, 2]
""",
    "coap": """
from coap import message
found = message.parse(b"\\x42\\x01\\x12\\x34ab\\xb5light\\xff\\x01")
assert (found.code, found.mid, bytes(found.token), found.path) == (1, 0x1234, b"ab", "/light")
assert bytes(found.payload) == b"\\x01"
buf = bytearray(64)
size = message.pack(memoryview(buf), 0, 1, 0x1234, b"ab", [(11, "light")], b"\\x01")
assert bytes(buf[:size]) == b"\\x42\\x01\\x12\\x34ab\\xb5light\\xff\\x01", buf
import coap.client, coap.endpoint, coap.udp
""",
    "dtls": """
from dtls.aead import Aead
from dtls.record import Session
here, there = Session("there"), Session("here")
here.write = Aead(b"k" * 16, b"salt", 8)
there.read = Aead(b"k" * 16, b"salt", 8)
record = here.seal(23, b"hello")
assert record[:5] == b"\\x17\\xfe\\xfd\\x00\\x01" and b"hello" not in record
assert bytes(there.unseal(record)) == b"hello"
assert there.unseal(record) is None  # a replay
import dtls.transport, dtls.server, dtls.client
""",
}


class Files(SimpleHTTPRequestHandler):
    """The files of the repository. `strict`: a server that resolves no `..` in an address."""

    strict = False
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        if self.strict and ".." in self.path:
            self.send_error(404)
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """(address, handler's class) of a server that runs."""
    handler = type("Own", (Files,), {"asked": []})
    found = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(ROOT)))
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}", handler
    found.shutdown()
    thread.join()
    found.server_close()


def micropython(script, folder):
    done = subprocess.run(
        ["micropython", "-c", script], capture_output=True, text=True, cwd=folder, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(url, folder):
    """Have `mip` install into the empty `folder`; names of the files that are there then."""
    folder.mkdir()
    said = micropython(f"import mip; mip.install({url!r}, target={str(folder)!r})", folder)
    assert said.splitlines()[-1] == "Done", said
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", packages.ALONE)
def test_a_library_alone(server, tmp_path, name):
    """By its folder's name, from a server that resolves `..`; by its list, from one that does not. It works alone."""
    address, handler = server
    files = install(f"{address}/lib/{name}", tmp_path / "folder")
    handler.strict = True
    assert files == install(f"{address}/lib/{name}.json", tmp_path / "list")
    assert not [path for path in handler.asked if path.endswith("_cpython.py")]
    for folder in ("folder", "list"):
        use = f"import sys\nsys.path[:] = ['.frozen', {str(tmp_path / folder)!r}]\n{USE[name]}\nprint('used')"
        (tmp_path / f"empty-{folder}").mkdir()
        assert micropython(use, tmp_path / f"empty-{folder}") == "used\n"
    needed = closure([path.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path in files])
    assert {module.partition(".")[0] for module in needed} == set(packages.needs(name))


def test_the_device_side(server, tmp_path):
    """All that an app image has of Fargo, byte for byte."""
    address, _ = server
    files = install(f"{address}/package.json", tmp_path / "device")
    own = bundle.own_files()
    assert files == set(own)
    for name, source in own.items():
        assert (tmp_path / "device" / name).read_bytes() == source.read_bytes()
    use = (
        f"import sys\nsys.path[:] = ['.frozen', {str(tmp_path / 'device')!r}]\n"
        "import swupdate.machine, ocf.device, ocf.security, firmware.app, coap.endpoint, dtls.transport\nprint('used')"
    )
    (tmp_path / "empty").mkdir()
    assert micropython(use, tmp_path / "empty") == "used\n"


def test_the_lists_are_what_the_folders_hold():
    stale = [str(path.relative_to(ROOT)) for path, text in packages.packages().items() if path.read_text() != text]
    assert not stale, f"out of date: {', '.join(stale)}; `make mip` writes them"
    known = {str(path) for path in packages.packages()}
    found = {str(path) for pattern in ("*.json", "lib/*.json", "lib/*/package.json") for path in ROOT.glob(pattern)}
    assert found == known


def test_there_is_one_version_number(capsys):
    numbers = {json.loads(path.read_text())["version"] for path in packages.packages()}
    assert main(["version", "--json"]) == 0
    numbers.add(json.loads(capsys.readouterr().out)["version"])
    assert numbers == {bundle.version()}
