"""The Random PIN transfer method: a PIN is shown, and its key derived. A phase."""

from crypto.prf import pbkdf2
from port import const, create_task

from ocf.uuids import raw

_DIGITS = const(8)
_ROUNDS = const(1000)
_KEY = const(16)
_TRIES = const(5)  # handshakes that one PIN is good for


def begin(security):
    """Show a new PIN. Handshakes are answered as soon as its key is there."""
    pin = ""
    while len(pin) < _DIGITS:
        byte = security.random(1)[0]
        if byte < 250:  # every digit as likely as the others
            pin += str(byte % 10)
    security.settings["pin"](pin)
    security.pin_key = None
    security.pin_tries = _TRIES
    if security.pin_task:
        security.pin_task.cancel()
    security.pin_task = create_task(_derive(security, pin.encode()))


async def _derive(security, pin):
    key = await pbkdf2(pin, raw(security.uuid), _ROUNDS, _KEY)
    security.pin_task = None
    if security.oxmsel == 1 and security.doc is None:
        security.pin_key = key
