"""One step of an action, and the memory for it: a phase, in memory for as long as the step takes."""

from port import const, phase, piece

_CHUNK = const(4096)
_EARLY = const(1792)  # bytes of the next one, or of windows that are not inflated yet
_TLS = const(1920)  # what TLS connections have in common


async def perform(updater, effect, what, pieces):
    """Run the step `what`, or reboot into the slot `what`; the event that says what came of it, or None.

    `pieces`: both of the reserve, and what is to be it afterwards. The buffers are these where they are large enough: a heap
    with code in it may have no others, and would have none after a check if they were not kept during that.
    """
    if effect != "run":
        pieces.clear()
        with phase("swupdate.restart") as restart:
            return await restart.restart(updater, what)
    room = [b""]  # no name keeps what is in it: who connects clears the list
    if what == "install":
        pieces.clear()
    else:
        if len(pieces[0]) < _CHUNK:
            pieces[0] = b""
        if len(pieces[1]) < _EARLY:
            pieces[1] = piece(_EARLY)
        room[0] = piece(_TLS)
        if updater.ask:
            updater.asked = what
            try:
                await updater.ask(what)  # the app may have all other memory
            except MemoryError:  # beside these there is none for the code that asks
                pieces[0] = pieces[1] = room[0] = b""
                await updater.ask(what)
        # Where the app was there may be some, and then the next step has them, too.
        pieces[0] = pieces[0] or piece(_CHUNK)
        pieces[1] = pieces[1] or piece(_EARLY)
        if not (pieces[0] and pieces[1]):
            if what == "obtain":
                raise MemoryError
            pieces.clear()  # one without the other would be held for nothing
        room[0] = room[0] or piece(_TLS)
    with phase("swupdate.work") as work:
        return await work.attempt(updater, what, pieces, room)
