"""What MicroPython lacks: ECDSA on P-256, and the signatures of COSE that are made with it."""
