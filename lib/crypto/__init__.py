"""What MicroPython lacks: ECDSA on P-256, the signatures of COSE that are made with it, and comparing secrets.

Import what you need: `crypto.p256`, `crypto.cose`, `crypto.equal`.
"""


def equal(a, b):
    """Whether two bytes-like values are equal, in a time that depends on their lengths alone, not on their content."""
    if len(a) != len(b):
        return False
    different = 0
    for i in range(len(a)):
        different |= a[i] ^ b[i]
    return different == 0
