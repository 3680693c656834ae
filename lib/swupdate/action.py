"""One step of an action, and the memory for it: a phase, in memory for as long as the step takes."""

from port import const, phase, piece

_CHUNK = const(4096)
_EARLY = const(1792)  # bytes of the next one, or of windows that are not inflated yet
_TLS = const(1920)  # what TLS connections have in common


async def perform(updater, effect, what, pieces):
    """Run the step `what`, or reboot into the slot `what`; the event that says what came of it, or None.

    `pieces`: both of the reserve. The buffers are these where they are large enough: a heap with code in it may have no
    others, and would have none after a check if they were not kept during that.
    """
    if effect != "run":
        pieces.clear()
        with phase("swupdate.restart") as restart:
            return await restart.restart(updater, what)
    chunk = early = room = None
    if what == "install":
        pieces.clear()
    else:
        chunk, early = pieces
        if len(chunk) < _CHUNK:
            pieces.clear()
            chunk = None
        if len(early) < _EARLY:
            early = piece(_EARLY)
        room = [piece(_TLS)]  # no name keeps it: who connects clears the list
        if updater.ask:
            updater.asked = what
            try:
                await updater.ask(what)  # the app may have all other memory
            except MemoryError:  # beside these there is none for the code that asks
                chunk = early = room = None
                pieces.clear()
                await updater.ask(what)
        if what == "obtain":
            chunk, early = chunk or bytearray(_CHUNK), early or bytearray(_EARLY)
        if not (room and room[0]):
            room = [piece(_TLS)]
    with phase("swupdate.work") as work:
        buffers = (chunk, early) if chunk and early else None
        early = None  # without the other it would be held for nothing
        return await work.attempt(updater, what, buffers, room)
