"""Whatever a Client sends: an answer, or a refusal that changes nothing."""

import copy
import sys
from pathlib import Path

import cbor2
from coap.message import Refused
from coap_request import Request
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent / "both"))

import test_ocf_device as both  # noqa: E402 - the same device as there
from ocf.pstat import RFNOP, RFOTM, SRESET, Pstat  # noqa: E402
from ocf_rig import MemoryStore  # noqa: E402

names = st.sampled_from(("value", "mode", "level", "name", "watts", "note", "gain", "key", "tags", "more", "rt", "x"))
plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), 1 << 63), st.floats(), st.text(max_size=6), st.binary(max_size=6),
    st.sampled_from(("a", "b", 0, 1, 100, 101)),
)  # fmt: skip
values = st.recursive(
    plain, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=2), v, max_size=3), max_leaves=6
)
bodies = st.dictionaries(names | st.integers(0, 3), values, max_size=4)

RULES = {
    "value": lambda v: isinstance(v, bool),
    "mode": lambda v: v in ("a", "b"),
    "level": lambda v: type(v) is int and 0 <= v <= 100,
    "name": lambda v: isinstance(v, str) and len(v) <= 4,
    "gain": lambda v: type(v) in (int, float) and 0 <= v <= 1,
    "key": lambda v: isinstance(v, bytes) and len(v) <= 4,
    "tags": lambda v: isinstance(v, list) and len(v) <= 2,
    "more": lambda v: isinstance(v, dict) and len(v) <= 2,
}


def send(device, path, payload, **fields):
    """The code of the answer."""
    try:
        return device.handle(Request(2, path, payload=payload, **fields)).code
    except Refused as refused:
        assert refused.text
        return refused.code


@settings(deadline=None)
@given(bodies)
def test_an_update_is_taken_as_a_whole_or_not_at_all(body):
    device = both.device()
    light = device.find("/light")
    before = copy.deepcopy(light.get())
    code = send(device, "/light", cbor2.dumps(body))
    good = all(name in RULES and RULES[name](value) for name, value in body.items())
    if good and all(isinstance(v, (bool, int, float, str, bytes)) for v in body.values()):
        assert code == 0x44  # what is nested may also be refused for what is in it
    if not good:
        assert code == 0x80
    if code == 0x44:
        assert dict(light.get()) | body == dict(light.get())
    else:
        assert light.get() == before


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes(payload):
    device = both.device()
    before = copy.deepcopy(device.find("/light").get())
    code = send(device, "/light", payload)
    assert code in (0x44, 0x80)
    if code == 0x80:
        assert device.find("/light").get() == before


fields = st.fixed_dictionaries(
    {},
    optional={
        "dos": st.fixed_dictionaries({}, optional={"s": st.integers(1, 6) | plain, "p": st.booleans()}) | plain,
        "om": st.integers(-1, 8) | plain,
        "tm": st.sampled_from((0, 1, 64, 128, 256, 65535, 65536)) | plain,
        "rowneruuid": st.sampled_from(("", both.DI, both.DI[:-1], "0" * 36)) | plain,
        "cm": st.integers(0, 448),
        "isop": st.booleans(),
    },
)


@settings(deadline=None)
@given(st.sampled_from((RFOTM, RFNOP, SRESET)), fields, st.booleans(), st.booleans())
def test_pstat_is_changed_as_a_whole_or_not_at_all(state, body, busy, broken):
    store = MemoryStore()
    pstat = Pstat(store, state)
    device = both.device()
    device.add(pstat)
    pstat.on_tm = lambda bits: (0xA3, "busy") if busy else None
    before = pstat.get()
    store.broken = broken
    if body.get("dos", {}) is not None and isinstance(body.get("dos"), dict) and body["dos"].get("s") == 0:
        del body["dos"]  # RESET needs a running loop
    code = send(device, "/oic/sec/pstat", cbor2.dumps(body))
    assert code in (0x44, 0x80, 0xA0, 0xA3)
    if code != 0x44:
        assert pstat.get() == before
    store.broken = False
    again = Pstat(store, state)
    assert (again.state, again.om, again.rowneruuid) == (pstat.state, pstat.om, pstat.rowneruuid)
