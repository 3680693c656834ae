"""What is made of HMAC-SHA256: the PRF of TLS 1.2, PBKDF2, and OCF's owner PSK. In phases."""

from port import const, sleep_ms

from crypto import hashed, padded

_YIELD = const(8)  # rounds of PBKDF2 between two turns of the loop


def p_hash(secret, seed, n):
    """P_SHA256 (RFC 5246 section 5): `n` bytes."""
    key = padded(secret)
    a = seed
    out = b""
    while len(out) < n:
        a = hashed(key, a)
        out += hashed(key, a, seed)
    return out[:n]


def prf(secret, label, seed, n):
    """The pseudorandom function of TLS 1.2 with SHA-256 (RFC 5246 section 5): `n` bytes."""
    return p_hash(secret, label + seed, n)


async def pbkdf2(password, salt, rounds, n):
    """PBKDF2 with HMAC-SHA256 (RFC 8018 section 5.2) for at most 32 bytes; the loop runs in between."""
    key = padded(password)
    u = hashed(key, salt, b"\0\0\0\1")
    total = int.from_bytes(u, "big")
    for i in range(1, rounds):
        u = hashed(key, u)
        total ^= int.from_bytes(u, "big")
        if i % _YIELD == 0:
            await sleep_ms(0)
    return total.to_bytes(32, "big")[:n]


def owner_psk(master, randoms, length, oxm, owner, device):
    """The PSK (16 bytes) that owner and Device derive from their onboarding session (OCF Security, owner PSK).

    `master` secret, `randoms` of server and client (64 bytes), `length` of the session's key block; `oxm` names the
    transfer method in ASCII, `owner` and `device` are UUIDs of 16 bytes.
    """
    block = prf(master, b"key expansion", randoms, length)
    return p_hash(block, oxm + owner + device, 16)
