"""Runs a Source through steps given as JSON, on either interpreter: `micropython fetch.py REPOSITORY <JSON`.

Prints the results as JSON: what a step returned, or the Fault. Ends with how long the loop was blocked at most (ms)
and how
many files more were open at the end than at the start.
"""

import asyncio
import json
import os
import sys
import time

if __name__ == "__main__":
    sys.path[:0] = [sys.argv[1] + "/lib", sys.argv[1] + "/host_tests", sys.argv[1]]

from binascii import hexlify, unhexlify

import swupdate.install.ask  # noqa: F401 - phases: compiling them is not what blocks the loop of a device
import swupdate.install.connect  # noqa: F401
import swupdate.install.head  # noqa: F401
import swupdate.install.reference  # noqa: F401
import swupdate.install.request  # noqa: F401
from port import sleep_ms, ticks_diff, ticks_ms
from swupdate.faults import Fault
from swupdate.install.dns import Resolver
from swupdate.install.https import HttpsSource

process_time = getattr(time, "clock", None) or time.process_time  # seconds: MicroPython's name, CPython's


class Limits:
    connect_s = 1
    read_s = 1


class Owned:
    """What a Device of that UUID was provisioned with and given by its owner, as the composition has it."""

    def __init__(self, uuid, authorities, creds, private=None):
        from ocf.pstat import RFNOP, Pstat
        from ocf.security import Security
        from ocf_rig import MemoryStore

        self.trusted = [unhexlify(der) for der in authorities]
        store = MemoryStore()
        self.security = Security(store, Pstat(store, RFNOP), os.urandom, {})
        self.security.uuid = uuid
        if private:
            store.save("key", unhexlify(private))
        empty = {"id": 1, "type": 8, "usage": "", "key": b"", "chain": [], "role": None}
        for cred in creds:
            full = dict(empty)
            full.update(cred)
            full["key"] = unhexlify(full["key"])
            full["chain"] = [unhexlify(der) for der in full["chain"]]
            self.security.creds.append(full)

    def authorities(self):
        return self.trusted

    def now(self):
        return time.time()

    def credentials(self, host):
        from firmware.trust import ServerTrust

        return ServerTrust(host, self.security, self, self)


def digest(data):
    """A short stand-in for large data that both interpreters can make."""
    import hashlib

    return [len(data), hexlify(hashlib.sha256(data).digest()).decode()]


async def step(source, name, *args):
    if name == "get":
        return digest(await source.get(*args))
    if name == "start":
        url, offset, length, etag = args
        etag = await source.start(url, offset, length, etag and etag.encode())
        return etag and etag.decode()
    if name == "read":
        data = bytearray(args[0])
        view = memoryview(data)
        for at in range(0, len(data), 4096):
            await source.readinto(view[at : at + 4096])
        return digest(data)
    if name == "sleep":
        return await sleep_ms(args[0])
    return await source.close()


async def beat(gaps):
    """How long others keep the loop, in ms: of this process's own time, and of the clock's, which others take, too."""
    own, last = process_time(), ticks_ms()
    while True:
        await sleep_ms(1)
        spent, now = process_time(), ticks_ms()
        gaps[0] = max(gaps[0], int((spent - own) * 1000))
        gaps[1] = max(gaps[1], ticks_diff(now, last))
        own, last = spent, now


def open_files():
    """How many file descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


async def run(spec):
    """The results of `spec["steps"]`, the longest times (ms) that the loop was blocked, and the files left open."""
    await sleep_ms(0)
    before = open_files()
    gaps = [0, 0]
    heart = asyncio.create_task(beat(gaps))
    Limits.connect_s = Limits.read_s = spec.get("limit_s", 1)
    resolver = Resolver(*spec.get("dns", ["127.0.0.1", 9]))
    if spec["url"].startswith("https"):
        source = HttpsSource(spec["url"], [unhexlify(ca) for ca in spec["authorities"]], resolver, Limits)
    elif spec["url"].startswith("coaps"):
        from firmware.sources import open_source

        Limits.read_s = spec["read_s"]
        owned = Owned(**spec["owned"])
        source = open_source(spec["url"], owned, "127.0.0.1", Limits, owned.credentials)
    else:
        from coap.udp import UdpTransport

        from firmware.coap_source import CoapSource

        source = CoapSource(spec["url"], resolver, UdpTransport(port=0), Limits)
    results = []
    for args in spec["steps"]:
        try:
            results.append(await step(source, *args))
        except Fault as fault:
            results.append({"cause": fault.cause, "status": fault.status, "text": fault.text})
    await source.close()
    heart.cancel()
    try:
        await heart
    except asyncio.CancelledError:
        pass
    await sleep_ms(1)
    return {"results": results, "gaps": gaps, "left": open_files() - before}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(sys.stdin.read())))))
