"""libcoap's programs as foreign Clients and as a foreign server: coap-client and coap-server of libcoap3-bin."""

import os
import re
import select
import shutil
import subprocess
import time

import cbor2

PROGRAMS = ("coap-client-openssl", "coap-client-gnutls")
_FORMATS = {"60": "application/cbor", "10000": "10000"}  # as it prints them


def program(name):
    path = shutil.which(name)
    assert path, f"{name} is missing: apt-get install libcoap3-bin"
    return path


class Libcoap:
    """coap-client, once for each request: in a session of its own for `psk`, or in the clear without one.

    `environment` is added to the program's.
    """

    def __init__(self, host, folder, psk=None, name="coap-client-openssl", environment=None, port=None):
        self.host = host if port is None else f"{host}:{port}"
        self.out, self.body = folder / f"{name}-out", folder / f"{name}-body"
        self.scheme = "coaps" if psk else "coap"
        self.command = [program(name if psk else "coap-client-notls")]
        if psk:
            # arguments are bytes to the program: the key is what it is, not a text of it
            self.command += ["-u", psk.uuid, "-k", os.fsdecode(psk.key)]
        self.environment = {**os.environ, **(environment or {})}

    def uri(self, path):
        return f"{self.scheme}://{self.host}/{path}"

    def ask(self, path, *arguments):
        """(payload, what it printed: errors, and more with "-v")"""
        self.out.unlink(missing_ok=True)
        command = [*self.command, "-B", "20", "-o", str(self.out), *arguments, self.uri(path)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True, env=self.environment)
        payload = self.out.read_bytes() if self.out.exists() else b""
        return payload, (done.stdout + done.stderr).decode(errors="replace")

    def ask_until(self, text, path, *arguments):
        """What it printed up to `text`: for an answer that it does not accept, and so would wait on for."""
        command = [*self.command, "-v", "7", "-B", "20", *arguments, self.uri(path)]
        printed = ""
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment
        ) as process:
            while text not in printed:
                line = process.stdout.readline().decode(errors="replace")
                assert line, printed
                printed += line
            process.terminate()
        return printed

    def get(self, path, *arguments):
        payload, error = self.ask(path, "-A", "10000", *arguments)
        assert payload, error
        return cbor2.loads(payload)

    def post(self, path, value, *arguments, method="post", content_format="10000"):
        self.body.write_bytes(value if isinstance(value, bytes) else cbor2.dumps(value))
        return self.ask(path, "-m", method, "-t", content_format, "-f", str(self.body), *arguments)


def answered(printed):
    """The options of each answer, of what "-v 7" prints."""
    return re.findall(r" c:[245]\.\d\d .*?\[ (.*?) \]", printed)


def format_of(number):
    """A content format as it is printed among options."""
    return "Content-Format:" + _FORMATS[number]


def without(folder, *ciphers):
    """What to add to the environment of coap-client-gnutls, that it may not use these: as an administrator forbids them."""
    settings = folder / "gnutls"
    settings.write_text("[overrides]\n" + "".join(f"tls-disabled-cipher = {cipher}\n" for cipher in ciphers))
    return {"GNUTLS_SYSTEM_PRIORITY_FILE": str(settings)}


class Follower:
    """coap-client observing; what it prints are representations one after the other."""

    def __init__(self, libcoap, path):
        command = [*libcoap.command, "-s", "60", "-A", "10000", libcoap.uri(path)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=libcoap.environment
        )
        self.values = []
        self._data = b""

    def until(self, predicate, timeout=40):
        """Read on until one of the values is right."""
        end = time.monotonic() + timeout
        while not any(predicate(value) for value in self.values):
            left = end - time.monotonic()
            assert left > 0 and select.select([self.process.stdout], [], [], left)[0], self.values
            data = self.process.stdout.read1(4096)
            assert data, self.values
            self._data += data
            # without -w no newline stands between two representations; with an empty line at most
            while self._data:
                try:
                    value = cbor2.loads(self._data)
                except (cbor2.CBORDecodeError, ValueError):
                    break
                self.values.append(value)
                self._data = self._data[len(cbor2.dumps(value)) :].lstrip(b"\n")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Server:
    """coap-server on the address `host`, in the clear and over DTLS: what is PUT there can be fetched. In a `with` block.

    `uuid` is the hint that it gives to Clients, and `psk.key` what it shares with whoever it is that asks.
    """

    def __init__(self, host, folder, psk, name="coap-server-openssl"):
        self.uploader = Libcoap(host, folder)
        self.url = f"coaps://{host}:5684/"
        self.command = [program(name), "-A", host, "-d", "100", "-h", psk.uuid, "-k", os.fsdecode(psk.key), "-v", "6"]
        self.log = folder / f"{name}-log"

    def __enter__(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while not self.uploader.ask("", "-B", "1")[0]:
            assert time.monotonic() < end and self.process.poll() is None, self.log.read_text(errors="replace")
        return self

    def __exit__(self, *_exc):
        self.process.kill()
        self.process.wait()

    def put(self, path, data):
        """Store `data`; its URL."""
        _, error = self.uploader.post(path, data, "-b", "1024", method="put", content_format="42")
        assert not error, error
        return self.url + path
