"""The Random PIN transfer method: a PIN is shown, and its key derived. A phase."""

import asyncio

from crypto.prf import pbkdf2
from port import const

from ocf.security import raw

_DIGITS = const(8)
_ROUNDS = const(1000)
_KEY = const(16)


def begin(security):
    """Show a new PIN. Handshakes are answered as soon as its key is there."""
    pin = ""
    while len(pin) < _DIGITS:
        byte = security.random(1)[0]
        if byte < 250:  # every digit as likely as the others
            pin += str(byte % 10)
    security.settings["pin"](pin)
    asyncio.create_task(_derive(security, pin.encode()))


async def _derive(security, pin):
    key = await pbkdf2(pin, raw(security.uuid), _ROUNDS, _KEY)
    if security.oxmsel == 1 and security.doc is None:
        security.pin_key = key
