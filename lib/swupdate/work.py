"""The work of one action: the install phase, entered again when the connection was lost or memory short. A phase."""

from port import const, phase, print_exception, sleep_ms, ticks_diff, ticks_ms, urandom

from swupdate.faults import Fault

_TELL_MS = const(1000)
_CHUNK = const(4096)  # as swupdate.action has them
_EARLY = const(1792)


async def attempt(updater, what, buffers, room):
    """Do "check", "obtain" or "install" and return the event that tells the machine what came of it. Never raises.

    `buffers`: a list of those to obtain, which are made anew when there is no other memory for a connection; `room`: one
    with a piece that gives way to what a connection takes.
    """
    updater.attempts = 0
    try:
        return await _try(updater, what, buffers, room)
    except Fault as error:
        fault = error
    except MemoryError as error:
        print_exception(error)
        fault = Fault("memory", "not enough memory")
    except OSError as error:
        fault = Fault("lost", "connection lost: %s" % error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the device goes on and says so
        print_exception(error)
        fault = Fault("install", "%s: %s" % (type(error).__name__, error))
    valid = what == "install" and fault.cause != "invalid" and _valid(updater.slots)
    return ("failed", fault.result(), fault.text, valid)


def _valid(slots):
    with phase("swupdate.arming") as arming:
        return arming.valid(slots, slots.other)


async def _try(updater, what, buffers, room):
    """Once, and again when the connection was lost or memory short, which may pass; settings of `updater` (all optional):

    "retries" (2) in a row that bring nothing more than what was there before, "attempts" (50) in all, and "backoff_ms"
    ((1000, 4000)) before the first retry in a row, the second, and so on.
    """
    settings = updater.settings
    backoff = settings.get("backoff_ms", (1000, 4000))
    furthest = vain = 0
    tell = teller(updater)
    while True:
        updater.attempts += 1
        tell(0, 0)
        try:
            url = updater.state["purl"] or settings.get("url")
            return await _once(updater, what, url, buffers, room, tell)
        except (Fault, OSError, MemoryError) as error:
            vain += 1
            if updater.done > furthest:
                furthest, vain = updater.done, 0
            if (
                getattr(error, "cause", "lost") != "lost"
                or vain > settings.get("retries", 2)
                or updater.attempts >= settings.get("attempts", 50)
                or updater.doing != what  # it was cancelled, and what closed the connection failed
            ):
                raise
        pause = backoff[min(max(vain, 1), len(backoff)) - 1]
        await sleep_ms(pause + pause * urandom(1)[0] // 512)  # up to half as much again: a fleet must not come at once


async def _once(updater, what, url, buffers, room, tell):
    slots = updater.slots
    if what == "install":
        label = slots.label(slots.other)
        if not label or bytes(label["manifest"]) != updater.state["digest"]:
            with phase("swupdate.trust") as trust:
                return trust.install(updater)
    elif not url:
        raise Fault("url", "there is no package URL, and none is built in")
    job = None
    while not job:
        try:
            job = await _connected(updater, what, url, buffers, room)
        except MemoryError:
            if not buffers or updater.doing != what:  # as in `_try`
                raise
            buffers.clear()  # once more, with their memory
    try:
        if what == "obtain" and not buffers:  # a check does without
            buffers += [bytearray(_CHUNK), bytearray(_EARLY)]
        return await _done(updater, what, job, tell)
    finally:
        job.close()


async def _connected(updater, what, url, buffers, room):
    job = updater.make_job(url)
    job.buffers, job.room = buffers, room
    if updater.state["tries"]:
        job.found = lambda done: _found(updater, done)
    ready = what == "install"
    try:
        if not ready:
            await job.connect()
            ready = True
    finally:
        if not ready:
            job.close()
    return job


async def _done(updater, what, job, tell):
    with phase("swupdate.install.obtain") as install:
        if what == "install":
            done = install.verify(job)
            if hasattr(done, "send"):
                await done
            return ("verified", updater.slots.other)
        if what == "check":
            return ("checked", _offer(await install.check(job)))
        return ("obtained", _offer(await install.obtain(job, tell)))


def teller(updater):
    """`progress(done, total)` in bytes: tells those who watch at most once a second, or when 5 % more is done."""
    told = [0, 0]

    def progress(done, total):
        updater.done, updater.total = done, total
        now = ticks_ms()
        if 0 < done < total and done - told[1] < total // 20 and ticks_diff(now, told[0]) < _TELL_MS:
            return
        told[:] = now, done
        try:
            for watcher in updater.progress_watchers:
                watcher()
        except MemoryError:  # they hear of the next
            pass

    return progress


def _found(updater, done):
    try:
        updater.feed(("found", done))
    except MemoryError:  # then the last reset counts
        pass


def _offer(found):
    """What the machine keeps of an offer: nothing of the phase may outlive it."""
    return (found.version, found.seq, bytes(found.manifest)) if found else None
