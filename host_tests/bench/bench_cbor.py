"""CBOR and P-256, measured: `micropython bench_cbor.py` or `python bench_cbor.py`. Prints one JSON object a line.

Of each codec call: microseconds (the best of several rounds, so that a busy machine disturbs little) and bytes
allocated: under MicroPython all that one call takes from the heap (of 64-bit words: about half on the chip), under
CPython the highest use at one time, as `tracemalloc` sees it. The peers run in the same process: `json`, which is C in
both, and under CPython the last cbor2 that is Python, when bench/peers.py has fetched it. Of a P-256 verification:
milliseconds, and the longest that the loop was kept from its other tasks.
"""

import asyncio
import gc
import json
import os
import sys
import time

ROOT = (__file__.rpartition("/")[0] or ".") + "/../.."
sys.path[:0] = [ROOT + "/lib", ROOT + "/host_tests/bench"]

from cbor import Encoder  # noqa: E402
from cbor.decoder import decode  # noqa: E402
from crypto import ecdh, p256  # noqa: E402
from crypto.ecdsa import sign  # noqa: E402
from crypto.verify import verify_async  # noqa: E402
from dtls.aead import Aead  # noqa: E402
from dtls.record import Cbc  # noqa: E402
from samples import DIGEST, PUBLIC, REPRESENTATION, SIGNATURE, SIZE  # noqa: E402

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


def timed(work, rounds=6, calls=200):
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


def python_cbor2():
    """The peer of the codec, or None."""
    if sys.implementation.name == "micropython":
        return None
    import peers

    if not peers.use():
        return None
    import cbor2

    assert hasattr(cbor2.dumps, "__code__"), "this cbor2 is not Python"
    return cbor2


def codec():
    peer = python_cbor2()
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
    works = [
        ("cbor_encode", encode),
        ("json_dumps", lambda: json.dumps(plain)),
        ("cbor_decode", lambda: decode(data)),
        ("json_loads", lambda: json.loads(text)),
    ]
    if peer:
        assert peer.loads(data) == plain
        works += [("cbor2_encode", lambda: peer.dumps(plain)), ("cbor2_decode", lambda: peer.loads(data))]
    for what, work in works:
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
    assert await verify_async(PUBLIC, DIGEST, SIGNATURE)
    gaps = [0]
    watch = asyncio.create_task(loop_watch(gaps))
    best = worst = None
    for _ in range(20):
        gc.collect()
        await asyncio.sleep(0)
        gaps[0] = 0
        begin = micros()
        assert await verify_async(PUBLIC, DIGEST, SIGNATURE)
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
        ("p256_agree", lambda: ecdh.agree(private, public)),
        ("p256_sign", lambda: sign(private, bytes(32))),
    ):
        report(what, ms=round(timed(work, 5, 4) / 1000, 2))


codec()
if sys.implementation.name == "micropython":
    records()
    keys()
    asyncio.run(signature())
