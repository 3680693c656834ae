"""What MicroPython lacks: ECDSA on P-256, the signatures of COSE that are made with it, and comparing secrets.

Import what you need: `crypto.p256`, `crypto.cose`, `crypto.compare`.
"""
