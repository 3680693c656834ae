"""CBOR and P-256, measured: `micropython bench_cbor.py` or `python bench_cbor.py`. Prints one JSON object a line.

Of each codec call: microseconds (the best of several rounds, so that a busy machine disturbs little) and bytes
allocated: under MicroPython all that one call takes from the heap (of 64-bit words: about half on the chip), under
CPython the highest use at one time, as `tracemalloc` sees it. The peers run in the same process: `json`, which is C in
both. Of a P-256 verification: milliseconds, and the longest that the loop was kept from its other tasks.
"""

import asyncio
import gc
import json
import os
import sys
import time

ROOT = (__file__.rpartition("/")[0] or ".") + "/../.."
sys.path.insert(0, ROOT + "/lib")

from cbor import Encoder, Pairs  # noqa: E402
from cbor.decoder import decode  # noqa: E402
from crypto import p256  # noqa: E402
from crypto.ecdsa import sign  # noqa: E402
from crypto.verify import verify_async  # noqa: E402
from dtls.aead import Aead  # noqa: E402
from dtls.record import Cbc  # noqa: E402

# A softwareupdate representation with all its Properties (oic.if.baseline), 268 bytes of CBOR.
REPRESENTATION = [
    ("rt", ["oic.r.softwareupdate"]),
    ("if", ["oic.if.rw", "oic.if.baseline"]),
    ("nv", "1.10.0"),
    ("purl", "https://updates.example.com/f/lamps.suit"),
    ("swupdateaction", "upgrade"),
    ("swupdatestate", "sva"),
    ("swupdateresult", 0),
    ("lastupdate", "2026-11-20T03:00:00Z"),
    ("signed", "vendor"),
    ("updatetime", "2026-12-01T03:00:00Z"),
    ("p", Pairs([("bm", 3), ("sec", True), ("port", 5684)])),
]
SIZE = 268

# RFC 6979 A.2.5: the key, SHA-256 of "sample", its signature.
KEY = (
    0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6,
    0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299,
)
DIGEST = 0xAF2BDBE1AA9B6EC1E2ADE1D694F41FC71A831D0268E9891562113D8A62ADD1BF
SIGNATURE = (
    0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
    0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
)

if sys.implementation.name == "micropython":
    micros, micros_between = time.ticks_us, time.ticks_diff

    def allocated(work):
        """Bytes that one call takes from the heap."""
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        before = gc.mem_alloc() - (gc.mem_alloc() - before)  # the measurement's own
        work()
        after = gc.mem_alloc()
        gc.enable()
        return after - before

else:
    import tracemalloc

    def micros():
        return time.perf_counter_ns() // 1000

    def micros_between(later, earlier):
        return later - earlier

    def allocated(work):
        """The highest use at one time during one call, in bytes."""
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak


def timed(work, rounds=12, calls=200):
    """Microseconds of one call: the best of `rounds`."""
    best = None
    for _ in range(rounds):
        gc.collect()
        begin = micros()
        for _ in range(calls):
            work()
        spent = micros_between(micros(), begin) / calls
        best = spent if best is None or spent < best else best
    return best


def report(what, **figures):
    print(json.dumps(dict(bench=what, interpreter=sys.implementation.name, **figures)))


def codec():
    buf = bytearray(512)
    encoder = Encoder(buf)

    def encode():
        encoder.reset()
        encoder.pairs(REPRESENTATION, len(REPRESENTATION))

    encode()
    data = bytes(encoder.view())
    assert len(data) == SIZE, len(data)
    plain = decode(data)
    text = json.dumps(plain)
    for what, work in (
        ("cbor_encode", encode),
        ("json_dumps", lambda: json.dumps(plain)),
        ("cbor_decode", lambda: decode(data)),
        ("json_loads", lambda: json.loads(text)),
    ):
        work()
        report(what, us=round(timed(work), 1), bytes=allocated(work), size=SIZE if what[0] == "c" else len(text))


async def loop_watch(gaps):
    """Another task of the loop: notes the longest that it had to wait for its turn."""
    last = micros()
    while True:
        await asyncio.sleep(0)
        now = micros()
        gaps[0] = max(gaps[0], micros_between(now, last))
        last = now


async def signature():
    def number(pair):
        return b"".join(value.to_bytes(32, "big") for value in pair)

    key, digest, signed = number(KEY), number((DIGEST,)), number(SIGNATURE)
    assert await verify_async(key, digest, signed)
    gaps = [0]
    watch = asyncio.create_task(loop_watch(gaps))
    best = worst = None
    for _ in range(20):
        gc.collect()
        await asyncio.sleep(0)
        gaps[0] = 0
        begin = micros()
        assert await verify_async(key, digest, signed)
        spent = micros_between(micros(), begin)
        best = spent if best is None or spent < best else best
        worst = gaps[0] if worst is None or gaps[0] > worst else worst
    watch.cancel()
    report("p256_verify", ms=round(best / 1000, 2), blocked_ms=round(worst / 1000, 2))


def records():
    """Sealing and opening 256 bytes: CCM-8 (RFC 6655), and CBC with HMAC-SHA256 as a record has it."""
    data, pseudo = bytes(256), bytes(11)

    def both(what, one):
        sealed = bytes(one.seal(pseudo, data))
        assert bytes(one.open(pseudo, sealed)) == data
        for verb, work in (("seal", lambda: one.seal(pseudo, data)), ("open", lambda: one.open(pseudo, sealed))):
            report("%s_%s" % (what, verb), us=round(timed(work), 1), bytes=allocated(work))

    both("ccm_8", Aead(bytes(16), bytes(4), 8))
    both("cbc_sha256", Cbc(bytes(32), bytes(16)))


def keys():
    """Key pair, key agreement, signature, in ms."""
    private, public = p256.key_pair(os.urandom)
    for what, work in (
        ("p256_key_pair", lambda: p256.key_pair(os.urandom)),
        ("p256_agree", lambda: p256.agree(private, public)),
        ("p256_sign", lambda: sign(private, bytes(32))),
    ):
        report(what, ms=round(timed(work, 10) / 1000, 2))


codec()
records()
keys()
asyncio.run(signature())
