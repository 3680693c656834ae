"""Who begins to observe, and who ends it (RFC 7641 section 4.1): a phase, for the length of one answer."""

from port import ticks_ms

from coap.message import Message


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
    if not found and len(observers) >= endpoint.max_observers:
        return None
    observer = _observer(request)
    observer.key = response.observe
    if found:
        observer.told, observer.count, observer.con_at = found.told, found.count, found.con_at
        observer.waiting, observer.queue = found.waiting, found.queue
        observers[observers.index(found)] = observer
    else:
        observer.told, observer.count, observer.con_at = None, 0, ticks_ms()
        observer.waiting, observer.queue = False, []
        observers.append(observer)
    return endpoint.next_sequence()


def _observer(request):
    """What is needed of `request` for as long as it is an observation: as it is, it would take more memory."""
    observer = Message()
    observer.code, observer.path = request.code, request.path
    observer.peer, observer.token, observer.endpoint = request.peer, request.token, request.endpoint
    observer.accept, observer.ocf_version = request.accept, request.ocf_version
    observer.secure, observer.identity = request.secure, request.identity
    if request.query:
        observer.query = request.query
    if request.block2 is not None:
        observer.block2 = request.block2
    return observer
