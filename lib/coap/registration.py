"""Who begins to observe, and who ends it (RFC 7641 section 4.1): a phase, for the length of one answer."""

from port import ticks_ms


def register(endpoint, request, response):
    """Take up, renew or end the observation that `request` is about; the Observe option of the answer, or None."""
    observers = endpoint.observers
    found = None
    for observer in observers:
        if observer.token == request.token and observer.peer == request.peer:
            found = observer
    if request.observe or response.code != 0x45 or response.observe is None or (request.block2 or 0) >> 4:
        if found:
            observers.remove(found)
        return None
    if found:
        request.told, request.count, request.con_at = found.told, found.count, found.con_at
        request.waiting, request.queue = found.waiting, found.queue
        observers[observers.index(found)] = request
    elif len(observers) < endpoint.max_observers:
        request.told, request.count, request.con_at = None, 0, ticks_ms()
        request.waiting, request.queue = False, []
        observers.append(request)
    else:
        return None
    request.key = response.observe
    request.options = request.entry = None  # not needed any more
    return endpoint.next_sequence()
