"""`ocf`: Resources, Interfaces, validation, discovery, core Resources, introspection."""

from cbor import EncodeError, dumps
from check import raises
from coap.endpoint import Endpoint
from coap.message import Refused
from coap_request import Request
from ocf import Property, Resource, core
from ocf.device import Device
from ocf_rig import Ears, MemoryStore, Open, ask, get, post

DI = "12345678-1234-1234-1234-123456789abc"


class Light(Resource):
    href, rt = "/light", ("oic.r.switch.binary",)
    properties = (
        Property("value", bool, "rw"),
        Property("mode", str, "rw", enum=("a", "b")),
        Property("level", int, "rw", minimum=0, maximum=100),
        Property("name", str, "rw", max_length=4),
        Property("watts", float),
        Property("note", str, optional=True),
        Property("gain", float, "rw", optional=True, minimum=0, maximum=1),
        Property("key", bytes, "rw", optional=True, max_length=4),
        Property("tags", list, "rw", optional=True, max_length=2),
        Property("more", dict, "rw", optional=True, max_length=2),
    )
    note = gain = key = tags = more = None


def light():
    return Light(value=False, mode="a", level=1, name="", watts=1.5)


def device():
    d = Device(Open(), DI)
    d.endpoints = lambda resource, request: ["coap://127.0.0.1:5683"]
    store = MemoryStore()
    d.add(core.discovery())
    con = d.add(core.configuration(store))
    d.add(core.device_info(con, "Fargo", DI, "1.0.0"))
    d.add(core.platform(DI, "Maker", "1.0.0"))
    d.add(core.introspection())
    d.add(core.introspection_data("Fargo", "1.0.0"))
    d.add(light())
    return d


def test_an_answer_is_put_together_where_its_representation_was_written():
    d = device()
    endpoint = Endpoint(None, d.handle, d.out)
    d.find("/light").note = "".join(chr(97 + i % 26) for i in range(880))
    for token, options in ((b"", []), (b"12345678", [(4, b"12345678")])):
        request = Request(1, "/light", token=token, ocf_version=2048)
        response = d.handle(request)
        response.options = options
        payload = bytes(response.payload)
        assert len(payload) > 900
        data = bytes(endpoint.compose(2, 7, request, response, 1 << 20))
        assert data[-len(payload) - 1 :] == b"\xff" + payload and data[1] == 0x45


def test_a_maker_adds_a_resource_in_under_ten_lines():
    lit = []

    class Lamp(Resource):
        href, rt = "/lamp", ("oic.r.switch.binary",)
        properties = (Property("value", bool, "rw"),)

        def update(self, values):
            super().update(values)
            lit.append(self.value)

    d = device()
    d.add(Lamp(value=False))
    assert post(d, "/lamp", {"value": True}) == (0x44, None)
    assert lit == [True] and get(d, "/lamp") == (0x45, {"value": True})


def test_declared_order_is_kept_on_the_wire():
    d = device()
    payload = bytes(d.handle(Request(1, "/light", query=[])).payload)
    places = [payload.find(dumps(name)) for name in ("value", "mode", "level", "name", "watts")]
    assert places == sorted(places) and places[0] == 1


def test_interfaces():
    d = device()
    plain = {"value": False, "mode": "a", "level": 1, "name": "", "watts": 1.5}
    assert get(d, "/light") == (0x45, plain)
    assert get(d, "/light?if=oic.if.rw") == (0x45, plain)
    code, base = get(d, "/light?if=oic.if.baseline")
    assert code == 0x45 and base["rt"] == ["oic.r.switch.binary"] and base["if"] == ["oic.if.rw", "oic.if.baseline"]
    assert get(d, "/light?if=oic.if.ll")[0] == 0x80
    assert get(d, "/light?if=nonsense")[0] == 0x80 and post(d, "/light?if=oic.if.r", {"level": 2})[0] == 0x80
    assert post(d, "/light?if=oic.if.baseline", {"level": 2})[0] == 0x44 and d.find("/light").level == 2
    assert post(d, "/oic/d?if=oic.if.baseline", {})[0] == post(d, "/oic/res", {})[0] == 0x85
    assert post(d, "/oic/d", {"n": "x"})[0] == 0x85


def test_a_reading_interface_of_a_resource_that_can_be_written():
    class Both(Resource):
        href, rt, interfaces = "/both", ("x.both",), ("oic.if.rw", "oic.if.r", "oic.if.baseline")
        properties = (Property("value", int, "rw"), Property("unset", str))
        unset = None

    d = device()
    d.add(Both(value=1))
    assert get(d, "/both?if=oic.if.r") == (0x45, {"value": 1, "unset": None})
    assert post(d, "/both?if=oic.if.r", {"value": 2})[0] == 0x80 and d.find("/both").value == 1


def test_types_of_resources_can_be_asked_for():
    d = device()
    assert get(d, "/light?rt=oic.r.switch.binary")[0] == get(d, "/oic/d?rt=oic.d.fargo&if=oic.if.r")[0] == 0x45
    assert get(d, "/light?rt=oic.r.none")[0] == get(d, "/oic/d?rt=oic.r.none")[0] == 0x80
    assert get(d, "/oic/d?rt=oic.r.none", multicast=True) == (None, None)
    assert post(d, "/light?rt=oic.r.none", {"level": 9})[0] == 0x80 and d.find("/light").level == 1


def test_a_resource_without_values_is_an_empty_map():
    class Bare(Resource):
        href, rt = "/bare", ("x.bare",)
        properties = (Property("note", str, optional=True),)
        note = None

    d = device()
    d.add(Bare())
    assert d.handle(Request(1, "/bare")).payload == b"\xa0"


def test_representations_larger_than_the_buffer():
    class Long(Resource):
        href, rt = "/long", ("x.long",)
        properties = (Property("text", str, max_length=3000), Property("more", list))

    for size in (16, 64, 1024):
        d = Device(Open(), DI)
        d.buf = d.buf[:size]
        d.endpoints = lambda resource, request: ["coap://127.0.0.1:5683", "coaps://127.0.0.1:5684"]
        d.add(core.discovery())
        d.add(Long(text="a" * 2000, more=list(range(300))))
        assert get(d, "/long")[1] == {"text": "a" * 2000, "more": list(range(300))}
        links = get(d, "/oic/res")[1]
        assert [entry["href"] for entry in links] == ["/oic/res", "/long"]
        assert [e["ep"] for e in links[1]["eps"]] == ["coap://127.0.0.1:5683", "coaps://127.0.0.1:5684"]
        assert get(d, "/oic/res?if=oic.if.b")[1][0]["rep"]["text"] == "a" * 2000
        assert get(d, "/oic/res?if=oic.if.baseline")[1][0]["links"] == links


def test_more_than_can_be_sent_is_an_error_and_not_a_crash():
    class Long(Resource):
        href, rt = "/long", ("x.long",)
        properties = (Property("text", str),)

    d = Device(Open(), DI)
    d.add(core.discovery())
    long = d.add(Long(text="a" * 20000))
    for path in ("/long", "/oic/res?if=oic.if.b"):
        with raises(EncodeError):
            get(d, path)
    long.text = "b"
    for i in range(40):
        one = Long(text="a" * 500)
        one.href = "/long/%d" % i
        d.add(one)
    with raises(EncodeError, "too large"):
        get(d, "/oic/res?if=oic.if.b")
    assert len(get(d, "/oic/res")[1]) == 42
    assert get(d, "/long")[1] == {"text": "b"}


def test_rules_that_do_not_exist_are_not_overlooked():
    with raises(TypeError, "maxlength"):
        Property("name", str, maxlength=4)


def test_no_range_has_room_for_what_is_no_number():
    for bound in ({"minimum": 0}, {"maximum": 0}):
        d = device()
        d.add(Resource(href="/gain", properties=(Property("gain", float, "rw", **bound),)))
        code, why = post(d, "/gain", {"gain": float("nan")})
        assert code == 0x80 and "out of range" in why


def test_refusals_name_the_property_and_change_nothing():
    d = device()
    for body, word in (
        ({"value": 1}, "value"),
        ({"value": True, "mode": "c"}, "mode"),
        ({"value": True, "level": 101}, "level"),
        ({"value": True, "level": -1}, "level"),
        ({"value": True, "level": True}, "level"),
        ({"value": True, "level": "1"}, "level"),
        ({"value": True, "name": "12345"}, "name"),
        ({"value": True, "watts": 2.0}, "watts is read-only"),
        ({"value": True, "level": 1.0}, "level"),
        ({"value": True, "level": None}, "level"),
        ({"value": None}, "value"),
        ({"value": True, "mode": "c", "rt": []}, "mode"),
        ({"value": True, "gain": True}, "gain"),
        ({"value": True, "gain": "1"}, "gain"),
        ({"value": True, "gain": 1.5}, "gain"),
        ({"value": True, "gain": -1}, "gain"),
        ({"value": True, "gain": float("nan")}, "gain"),
        ({"value": True, "key": "text"}, "key"),
        ({"value": True, "key": b"12345"}, "key"),
        ({"value": True, "tags": [1, 2, 3]}, "tags"),
        ({"value": True, "more": []}, "more"),
        ({"value": True, "more": {"a": 1, "b": 2, "c": 3}}, "more"),
        ({"value": True, "nonsense": 1}, "nonsense"),
        ({"value": True, "n" * 200: 1}, "n" * 32 + " is not"),
        ({"value": True, 7: 1}, "not text"),
        ({"value": True, "rt": []}, "rt"),
    ):
        code, text = post(d, "/light", body)
        assert code == 0x80 and word in text, (body, code, text)
        assert d.find("/light").value is False
    assert post(d, "/light", {"gain": 1, "key": b"1234", "tags": [1, 2], "more": {"a": 1}})[0] == 0x44
    for raw in (b"", b"\xff", b"\x80", b"\x01", b"\xa1\x61a", b"\xa0\x00", b"\xbf"):
        assert ask(d, 2, "/light", raw=raw)[0] == 0x80, raw
    assert d.find("/light").value is False
    assert ask(d, 2, "/light", raw=b"\xa0" * 5000)[0] == 0x8D
    assert ask(d, 2, "/light", raw=b"\xa1\x64mode\x63\xff\xfe\xfd")[0] == 0x80  # text that is not UTF-8


def test_what_must_be_there():
    class Timer(Resource):
        href, rt = "/timer", ("x.timer",)
        properties = (Property("at", int, "rw", needed=True), Property("what", str, "rw"))

    d = device()
    timer = d.add(Timer(at=0, what=""))
    assert post(d, "/timer", {"what": "x"}) == (0x80, "at is missing") and timer.what == ""
    assert post(d, "/timer", {})[0] == 0x80 and post(d, "/timer", {"at": 1})[0] == 0x44


def test_an_update_is_answered_as_the_resource_likes():
    class Echo(Resource):
        href, rt = "/echo", ("x.echo",)
        properties = (Property("value", int, "rw"),)

        def update(self, values):
            if values["value"] == 7:
                raise Refused(0xA3, "not now")
            super().update(values)
            return True

    d = device()
    d.add(Echo(value=0))
    assert post(d, "/echo", {"value": 5}) == (0x44, {"value": 5})
    assert post(d, "/echo?if=oic.if.baseline", {"value": 6}) == (0x44, {"value": 6})
    assert post(d, "/echo", {"value": 7}) == (0xA3, "not now") and get(d, "/echo")[1] == {"value": 6}


def test_delete_is_for_those_who_define_it():
    class List(Resource):
        href, rt = "/list", ("x.list",)

        def delete(self, request):
            if request.query:
                raise Refused(0x84, "no such entry")

    d = device()
    d.add(List())
    assert ask(d, 4, "/list") == (0x42, None) and ask(d, 4, "/list?id=1") == (0x84, "no such entry")


def test_formats_methods_and_unknown_paths():
    d = device()
    assert post(d, "/light", {"level": 2}, content_format=60)[0] == 0x44
    assert post(d, "/light", {"level": 3}, content_format=10000)[0] == 0x44
    assert post(d, "/light", {"level": 4}, content_format=50)[0] == 0x8F
    assert get(d, "/light", accept=50)[0] == 0x86
    assert post(d, "/light", {"level": 9}, accept=50)[0] == 0x86 and d.find("/light").level == 3
    for accept, form in ((None, 10000), (10000, 10000), (60, 60)):
        answer = d.handle(Request(1, "/light", accept=accept))
        assert answer.content_format == form and answer.ocf_version == 2048
    assert ask(d, 3, "/light", {})[0] == 0x85 and ask(d, 4, "/light")[0] == 0x85
    assert get(d, "/nowhere")[0] == 0x84


def test_discovery_links():
    d = device()
    code, links = get(d, "/oic/res")
    assert code == 0x45 and len(links) == 6
    by = {entry["href"]: entry for entry in links}
    assert by["/light"]["anchor"] == "ocf://" + DI and by["/light"]["p"] == {"bm": 3}
    assert by["/light"]["eps"] == [{"ep": "coap://127.0.0.1:5683"}]
    assert by["/oic/res"]["rel"] == ["self"] and "/oc/introspection" not in by
    assert [entry["href"] for entry in get(d, "/oic/res?rt=oic.wk.p")[1]] == ["/oic/p"]
    assert [entry["href"] for entry in get(d, "/oic/res?rt=oic.wk.p&rt=oic.d.fargo")[1]] == ["/oic/d", "/oic/p"]
    assert by["/oc/wk/introspection"]["p"] == {"bm": 1} and by["/light"]["if"] == ["oic.if.rw", "oic.if.baseline"]
    code, base = get(d, "/oic/res?if=oic.if.baseline")
    assert base[0]["rt"] == ["oic.wk.res"] and len(base[0]["links"]) == 6


def test_discovery_without_a_match():
    d = device()
    assert get(d, "/oic/res?rt=oic.r.none")[0] == 0x80
    assert get(d, "/oic/res?rt=oic.r.none", multicast=True) == (None, None)
    assert get(d, "/nowhere", multicast=True) == get(d, "/oc/introspection", multicast=True) == (None, None)
    assert ask(d, 2, "/light", {"value": True}, multicast=True) == (None, None)
    assert d.find("/light").value is False


def test_batch_and_its_observation():
    d = device()
    ears = Ears()
    d.coap.append(ears)
    code, batch = get(d, "/oic/res?if=oic.if.b")
    assert code == 0x45
    by = {entry["href"]: entry["rep"] for entry in batch}
    assert by["/light"]["value"] is False and by["/light"]["rt"] == ["oic.r.switch.binary"]
    post(d, "/light", {"value": True})
    assert ears.heard == ["/light", "/oic/res?if=oic.if.b"]
    for query, key in (("", "/oic/res"), ("if=oic.if.b", "/oic/res?if=oic.if.b"), ("if=oic.if.baseline", "/oic/res")):
        assert d.handle(Request(1, "/oic/res", query=[query])).observe == key
    assert d.handle(Request(1, "/light", query=["if=oic.if.baseline"])).observe == "/light"
    assert d.handle(Request(1, "/oc/introspection")).observe is None
    ears.heard.clear()
    d.find("/oc/introspection").notify()
    assert ears.heard == ["/oc/introspection"]
    ears.heard.clear()
    d.add(core.maintenance(None, None))
    assert ears.heard == ["/oic/res", "/oic/res?if=oic.if.b"]
    assert post(d, "/light", {"value": 1})[0] == 0x80 and len(ears.heard) == 2  # a refusal is no news


def test_core_resources():
    d = device()
    code, info = get(d, "/oic/d")
    assert info["di"] == DI and info["sv"] == "1.0.0" and info["n"] == "Fargo" and info["icv"] == "ocf.2.2.5"
    assert get(d, "/oic/d?if=oic.if.baseline")[1]["rt"] == ["oic.wk.d", "oic.d.fargo"]
    assert get(d, "/oic/p")[1] == {"pi": DI, "mnmn": "Maker", "mnfv": "1.0.0"}
    assert post(d, "/oc/con", {"n": "Kitchen"}) == (0x44, {"n": "Kitchen"})
    assert get(d, "/oic/d")[1]["n"] == "Kitchen"
    core.reset(d.find("/oc/con"))
    assert get(d, "/oc/con")[1] == {"n": ""}


def test_a_name_that_cannot_be_stored_is_not_taken():
    store = MemoryStore()
    d = Device(Open(), DI)
    con = d.add(core.configuration(store))
    store.broken = True
    assert post(d, "/oc/con", {"n": "Kitchen"})[0] == 0xA0 and con.n == ""


def test_maintenance():
    done = []
    d = Device(Open(), DI)
    d.add(core.maintenance(lambda: done.append("fr"), lambda: done.append("rb")))
    assert post(d, "/oic/mnt", {"rb": True}) == (0x44, {"fr": False, "rb": False}) and done == ["rb"]
    post(d, "/oic/mnt", {"fr": True})
    post(d, "/oic/mnt", {"fr": False})
    assert done == ["rb", "fr"]


def test_introspection_is_made_from_the_declarations():
    import sys

    d = device()
    assert get(d, "/oc/wk/introspection")[1]["urlInfo"] == [
        {"protocol": "coap", "content-type": "application/cbor", "url": "coap://127.0.0.1:5683/oc/introspection"}
    ]
    code, data = get(d, "/oc/introspection")
    assert code == 0x45 and data["swagger"] == "2.0"
    fields = data["definitions"]["oic.r.switch.binary"]["properties"]
    assert fields["level"] == {"type": "integer", "minimum": 0, "maximum": 100}
    assert fields["watts"]["readOnly"] is True and fields["name"]["maxLength"] == 4
    assert "post" in data["paths"]["/light"] and "post" not in data["paths"]["/oic/d"]
    assert "ocf.introspection" not in sys.modules


def test_an_authenticated_exchange_is_seen():
    seen = []
    d = device()
    d.seen = seen.append
    get(d, "/light")
    get(d, "/light", identity="owner")
    post(d, "/light", {"value": 3}, identity="owner")
    assert seen == ["owner"]


def test_two_resources_cannot_share_a_path():
    d = device()
    with raises(ValueError):
        d.add(light())
