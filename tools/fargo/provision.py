"""What a board is provisioned with: `fargo.cbor` in its `vfs`, and the WiFi in its NVS (docs/architecture.md, Storage)."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import cbor
from cbor.decoder import decode
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from swupdate import url as urls
from swupdate.faults import Fault

from fargo import keys, onboard, usb
from fargo.console import USAGE, Failure

Record = dict[str, Any]
# Settings that have an option of their own; docs/provisioning.md says what each is.
SETTINGS = ("ntp", "oxms", "trial_s", "led", "button", "held_s", "locked")
_MINIMUM_KEY, _LONGEST_KEY, _LONGEST_NAME, _LONGEST_TEXT = 8, 63, 32, 64

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}")

# The record has the manufacturer's private key in it, and what a board prints may be seen or kept: it is masked with bytes
# that go to the board only. Its digest follows it: what came damaged would be written back. Watchdog: it cannot be stopped,
# and boot.py has it short while the device works.
_LOOK = """
import json, os
from binascii import hexlify, unhexlify
from hashlib import sha256
def masked(data, key):
    data = bytearray(data)
    for at in range(len(data)):
        if at % 32 == 0:
            pad = sha256(key + bytes((at >> 16, at >> 8 & 255, at & 255))).digest()
        data[at] ^= pad[at % 32]
    return data
def look():
    found = {"fargo": False, "record": None, "wifi": None}
    try:
        import esp32, machine
        files = os.listdir("/")
        if "boot.py" not in files or "rescue.py" not in files:
            return found
        machine.WDT(timeout=3600000)
        found["fargo"] = True
        if "fargo.cbor" in files:
            with open("/fargo.cbor", "rb") as file:
                data = file.read()
            found["record"] = str(hexlify(masked(data + sha256(data).digest(), unhexlify(MASK))), "utf-8")
        buf = bytearray(64)
        found["wifi"] = str(buf[:esp32.NVS("wifi").get_blob("ssid", buf)], "utf-8")
    except (ImportError, OSError, ValueError):
        pass
    return found
print("FARGO", json.dumps(look()))
"""
_WRITE = """
import esp32, json, machine, os
from binascii import unhexlify
machine.WDT(timeout=3600000)
def sync():
    if hasattr(os, "sync"):
        os.sync()
def write(record, wifi):
    try:
        if record:
            with open("/fargo.new", "wb") as file:
                file.write(record)
            sync()
            with open("/fargo.new", "rb") as file:
                if file.read() != record:
                    raise OSError(5)
            os.rename("/fargo.new", "/fargo.cbor")
            sync()
        if wifi:
            nvs = esp32.NVS("wifi")
            for name, value in zip(("ssid", "key"), wifi):
                nvs.set_blob(name, value)
            nvs.commit()
    except OSError as error:
        try:
            os.remove("/fargo.new")
        except OSError:
            pass
        return {"error": str(error)}
    return {"error": None}
print("FARGO", json.dumps(write(unhexlify(%r), [unhexlify(part) for part in %r])))
"""


class OnBoard:
    """What the board at `port` was found to hold: `record` (None: it has none), `wifi` (the name; the key is not read).

    The board waits in its REPL until `restart()` or `write()`. Raises Failure when it holds no Fargo. A record that makes no
    sense is a Failure as well, unless `fresh`.
    """

    def __init__(self, port: str, fresh: bool = False) -> None:
        self.port = port
        self.wifi: str | None = None
        self.record: Record | None = None
        usb.interrupt(port)
        try:
            mask = os.urandom(32)
            found = usb.run(port, _LOOK.replace("MASK", repr(mask.hex())))
            self.wifi = found["wifi"]
            if not found["fargo"]:
                hint = "put it there with: fargo board flash; or if it was there, docs/recovery.md keeps its owner"
                raise Failure(f"there is no Fargo on the board at {port}, or not all of it", hint)
            if found["record"] is not None and not fresh:
                self.record = read(_record(found["record"], mask, port))
        except BaseException:
            self.restart()
            raise

    def restart(self) -> None:
        """Let it go on."""
        usb.restart(self.port)

    def write(self, record: Record | None, wifi: tuple[str, str] | None) -> None:
        """Write what is not None, and restart. Raises Failure; then what was there is still there."""
        parts = [part.encode().hex() for part in wifi or ()]
        code = _WRITE % (cbor.dumps(record).hex() if record else "", parts)
        error = usb.run(self.port, code, restart=True)["error"]
        if error:
            raise Failure(f"the board at {self.port} cannot write what it is to hold ({error})", "nothing has changed")


def _record(answer: str, mask: bytes, port: str) -> bytes:
    """The file of the record, which the board at `port` answered. Raises Failure."""
    try:
        data = _masked(bytes.fromhex(answer), mask)
    except ValueError:
        data = b""
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise usb.damaged(port)
    return data[:-32]


def _masked(data: bytes, key: bytes) -> bytes:
    """What `masked` makes on the board; once more, and it is what it was."""
    pads = (hashlib.sha256(key + at.to_bytes(3, "big")).digest() for at in range(0, len(data), 32))
    return bytes(a ^ b for a, b in zip(data, b"".join(pads), strict=False))


def read(data: bytes) -> Record:
    """The record in a file. Raises Failure."""
    try:
        record = decode(data, max_items=1000)
        if isinstance(record, dict) and isinstance(record.get("v"), int) and record["v"] == 1:
            record.setdefault("settings", {})
            return record
    except ValueError:
        pass
    raise Failure("what the board was provisioned with cannot be read", "give everything anew, with --fresh")


def merge(old: Record | None, asked: Mapping[str, Any], settings: Mapping[str, Any]) -> Record:
    """The record with what is `asked` for, and all else as it was. A setting that is None is removed.

    What a record has to have is made up where that makes sense, once. Raises Failure when the rest is missing.
    """
    today = datetime.now(UTC).replace(microsecond=0)
    record: Record = {
        "v": 1, "name": "Fargo", "manufacturer": "", "manufactured": today.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "piid": str(uuid.uuid4()), "url": "", "threshold": 1, "authorities": [], "settings": {},
        **(old or {}), **asked,
    }  # fmt: skip
    record["settings"] = {**record["settings"], **settings}
    record["settings"] = {name: value for name, value in record["settings"].items() if value is not None}
    if not record.get("keys"):
        raise Failure(
            "no release could be trusted: there is no key", "give --key, a public key of your releases", USAGE
        )
    for name, option in (("vendor", "--vendor"), ("class", "--class"), ("manufacturer", "--manufacturer")):
        if not record.get(name):
            raise Failure(f"the board needs a {name}", f"give {option}", USAGE)
    if not 1 <= record["threshold"] <= len(record["keys"]):
        raise Failure(
            f"{record['threshold']} signatures are asked for, and there are {len(record['keys'])} keys",
            "give more of --key, or a lower --threshold", USAGE,
        )  # fmt: skip
    if old and (record["keys"], record["threshold"]) != (old.get("keys"), old.get("threshold")):
        record.pop("trust", None)  # they are no longer those of a trust store
    return record


def changes(old: Record | None, new: Record) -> list[str]:
    """The names of what is different."""
    before = old or {}
    found = [name for name in new if name != "settings" and before.get(name) != new[name]]
    found += [name for name in before if name not in new]
    a, b = before.get("settings", {}), new["settings"]
    return found + [name for name in {**a, **b} if a.get(name) != b.get(name)]


def describe(record: Record | None, wifi: str | None) -> dict[str, Any]:
    """All of it that is no secret."""
    if record is None:
        return {"provisioned": False, "wifi": wifi}
    found: dict[str, Any] = {"provisioned": True, "wifi": wifi}
    for name in ("name", "manufacturer", "model", "manufactured", "piid", "url", "threshold"):
        found[name] = record.get(name)
    for name in ("vendor", "class"):
        found[name] = str(uuid.UUID(bytes=record[name])) if len(record[name]) == 16 else record[name].hex()
    found["keys"] = sorted(kid.hex() for kid in record["keys"])
    found["authorities"] = [_subject(der) for der in record["authorities"]]
    certificate = record.get("mfgcert")
    found["certificate"] = _subject(certificate["chain"][0]) if certificate else None
    found["onboarding_tools"] = [_subject(der) for der in record.get("mfgtrust", [])]
    found["settings"] = record["settings"]
    return found


def _subject(der: bytes) -> str:
    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError:
        return "not readable"
    return f"{certificate.subject.rfc4514_string()}, until {certificate.not_valid_after_utc:%Y-%m-%d}"


# What options say


def text(words: str, option: str) -> str:
    """A name that people read. Raises Failure when it is empty, long, or would do something to a terminal."""
    if not words.isprintable() or not 1 <= len(words.encode()) <= _LONGEST_TEXT:
        raise Failure(f"{option} has 1 to {_LONGEST_TEXT} bytes, all of them printable", "", USAGE)
    return words


def time_server(name: str) -> str:
    """The host name or the address of a time server. Raises Failure."""
    if not _HOST.fullmatch(name):
        raise Failure("--ntp: this is no name of a host", "such as pool.ntp.org", USAGE)
    return name


def wifi(name: str, key: Callable[[], str]) -> tuple[str, str]:
    """Name and key of a network. Raises Failure; the key is in no message."""
    if not 1 <= len(name.encode()) <= _LONGEST_NAME:
        raise Failure("the name of a WiFi has 1 to 32 bytes", "", USAGE)
    secret = key()
    if not _MINIMUM_KEY <= len(secret.encode()) <= _LONGEST_KEY:
        raise Failure("the key of a WiFi has 8 to 63 characters", "open networks are not joined", USAGE)
    return name, secret


def trusted(public: list[ec.EllipticCurvePublicKey]) -> dict[bytes, bytes]:
    """Release keys by their kid."""
    return {keys.kid(key): keys.raw(key) for key in public}


def package_url(text: str) -> str:
    """The vendor's own URL. Raises Failure."""
    try:
        if text:
            urls.parse(text, ("https", "coaps"))
    except Fault as fault:
        raise Failure(f"--url: {fault.text}", "such as https://updates.example.com/fargo.suit", USAGE) from None
    return text


def certificate(chain: list[bytes], key: bytes) -> Record:
    """The manufacturer's certificate, and its key. Raises Failure when they do not belong together."""
    public = ec.derive_private_key(int.from_bytes(key, "big"), ec.SECP256R1()).public_key()
    try:
        if x509.load_der_x509_certificate(chain[0]).public_key() == public:
            return {"chain": chain, "key": key}
    except ValueError:
        pass
    raise Failure("--mfg-key is not the key of the first certificate in --mfg-cert", "", USAGE)


def methods(text: str) -> list[int] | None:
    """Transfer methods, by name; None when it is what a device does without the setting."""
    if text == "all":
        return None
    try:
        return sorted({onboard.METHODS[name.strip()] for name in text.split(",")})
    except KeyError as error:
        words = f"--methods: there is no method {error}"
        raise Failure(words, f"all, or some of {','.join(onboard.METHODS)}", USAGE) from None


def led(text: str) -> list[int] | None:
    """`PIN` or `PIN:low` as [pin, active level]; None for "none". Raises Failure."""
    pin, _, active = text.partition(":")
    if active not in ("", "low", "high"):
        raise Failure(f"--led: {text} is no pin", "such as 2, 2:low or none", USAGE)
    number = button(pin, "--led")
    return None if number is None else [number, 0 if active == "low" else 1]


def button(text: str, option: str = "--button") -> int | None:
    """A pin's number; None for "none". Raises Failure."""
    if text == "none":
        return None
    if not text.isdecimal() or int(text) > 48:
        raise Failure(f"{option}: {text} is no pin", "a number up to 48, or none", USAGE)
    return int(text)
