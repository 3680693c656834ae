"""A Device in memory for the tests of `ocf` and `swupdate`: requests go in, answers come out decoded."""

from cbor import dumps
from cbor.decoder import decode
from coap.message import Refused
from coap_request import Request


class MemoryStore:
    """Records in a dict, with the interface of `firmware.store.Store`."""

    def __init__(self):
        self.records = {}
        self.broken = False

    def load(self, name):
        return self.records.get(name)

    def save(self, name, data):
        if self.broken:
            raise OSError(28)
        self.records[name] = bytes(data)

    def remove(self, name):
        self.records.pop(name, None)


class Open:
    """Everybody may do everything; who asks is anonymous unless the request says otherwise."""

    def check(self, request, resource):
        return True

    def identity(self, request):
        return request.identity


class Ears:
    """Stands where an endpoint is told of changes."""

    def __init__(self):
        self.heard = []

    def notify(self, key):
        self.heard.append(key)


def whole(response):
    """The payload of a Response, also of one in pieces, as bytes."""
    payload = response.payload
    return b"".join(payload) if type(payload) is list else bytes(payload)


def ask(device, code, path, body=None, raw=None, **fields):
    """(code, decoded payload or diagnostic text) of a request to `device`."""
    path, _, query = path.partition("?")
    payload = raw if raw is not None else dumps(body) if body is not None else b""
    request = Request(code, path, query=query.split("&") if query else [], payload=payload, **fields)
    try:
        response = device.handle(request)
    except Refused as refused:
        return refused.code, refused.text
    if response is None:
        return None, None
    payload = whole(response)
    return response.code, decode(payload, max_depth=16, max_items=5000) if payload else None


def get(device, path, **fields):
    """RETRIEVE."""
    return ask(device, 1, path, **fields)


def post(device, path, body=None, **fields):
    """UPDATE."""
    return ask(device, 2, path, body, **fields)
