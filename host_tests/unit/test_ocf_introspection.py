"""Introspection data as another CBOR implementation reads it, against what the Resources declare and answer."""

import io
import sys
from pathlib import Path

import cbor2
import pytest
from coap_request import Request

sys.path.insert(0, str(Path(__file__).parent / "both"))

import test_ocf_device as both  # noqa: E402 - the same device as there
from ocf import Property, Resource  # noqa: E402
from ocf.core import maintenance  # noqa: E402
from ocf.pstat import RFNOP, Pstat  # noqa: E402
from ocf_rig import MemoryStore, whole  # noqa: E402

TYPES = {
    "boolean": bool, "integer": int, "number": (int, float), "string": str, "array": list, "object": dict,
}  # fmt: skip


@pytest.fixture
def device():
    """A device with every kind of Property."""
    found = both.device()
    found.add(Pstat(MemoryStore(), RFNOP))
    found.add(maintenance(None, None))
    return found


def read(device, path):
    """RETRIEVE, decoded by cbor2."""
    path, _, query = path.partition("?")
    payload = whole(device.handle(Request(1, path, query=[query] if query else [])))
    file = io.BytesIO(payload)
    value = cbor2.load(file)
    assert not file.read(), "something follows"
    return value


def conforms(schema, value):
    """Assert that `value` is as `schema` says, as far as our schemas go."""
    assert isinstance(value, TYPES[schema["type"]])
    if schema["type"] in ("integer", "number"):
        assert not isinstance(value, bool)
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value)
    if "enum" in schema:
        assert value in schema["enum"]
    if "maxLength" in schema:
        assert len(value) <= schema["maxLength"]
    if schema["type"] == "array" and schema["items"]:
        for item in value:
            conforms(schema["items"], item)
    if "properties" in schema:
        assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"])
        for name, item in value.items():
            conforms(schema["properties"][name], item)


def test_every_answer_conforms_to_its_own_schema(device):
    document = read(device, "/oc/introspection")
    assert document["swagger"] == "2.0" and document["info"] == {"title": "Fargo", "version": "1.0.0"}
    hrefs = {resource.href for resource in device.resources} - {"/oic/res", "/oc/introspection"}
    assert set(document["paths"]) == hrefs
    used = set()
    for href, methods in document["paths"].items():
        resource = device.find(href)
        (interfaces,) = methods["get"]["parameters"]
        assert interfaces["enum"] == list(resource.interfaces)
        name = methods["get"]["responses"]["200"]["schema"]["$ref"].split("/")[-1]
        for interface in interfaces["enum"]:
            conforms(document["definitions"][name], read(device, f"{href}?if={interface}"))
        used.add(name)
        if "post" in methods:
            body = methods["post"]["parameters"][1]
            assert body["in"] == "body" and body["required"] is True
            used.add(body["schema"]["$ref"].split("/")[-1])
    assert used == set(document["definitions"])


def test_definitions_say_what_is_declared(device):
    definitions = read(device, "/oc/introspection")["definitions"]
    light = definitions["oic.r.switch.binary"]
    fields = light["properties"]
    assert fields["value"] == {"type": "boolean"}
    assert fields["mode"] == {"type": "string", "enum": ["a", "b"]}
    assert fields["level"] == {"type": "integer", "minimum": 0, "maximum": 100}
    assert fields["name"] == {"type": "string", "maxLength": 4}
    assert fields["watts"] == {"type": "number", "readOnly": True}
    assert fields["gain"] == {"type": "number", "minimum": 0, "maximum": 1}
    assert fields["key"] == {"type": "string", "maxLength": 4}
    assert fields["tags"] == {"type": "array", "items": {}}
    assert fields["rt"]["items"]["enum"] == ["oic.r.switch.binary"] and fields["if"]["readOnly"] is True
    assert light["required"] == ["value", "mode", "level", "name", "watts"]
    update = definitions["oic.r.switch.binary-update"]
    assert set(update["properties"]) == {"value", "mode", "level", "name", "gain", "key", "tags", "more"}
    assert "required" not in update
    assert "oic.wk.d-update" not in definitions


def test_needed_in_an_update_and_a_stricter_model(device):
    class Timer(Resource):
        href, rt = "/timer", ("x.timer",)
        properties = (Property("at", str, "rw", needed=True, max_length=255, declared_length=64, format="date-time"),)

    device.add(Timer(at=""))
    definitions = read(device, "/oc/introspection")["definitions"]
    assert definitions["x.timer-update"]["required"] == ["at"]
    assert definitions["x.timer"]["properties"]["at"] == {"type": "string", "maxLength": 64, "format": "date-time"}


def test_resources_of_one_type_share_a_definition_only_when_they_are_the_same(device):
    class Other(Resource):
        href, rt = "/other", ("oic.r.switch.binary",)
        properties = (Property("value", bool, "rw"),)

    second = both.light()
    second.href = "/second"
    device.add(second)
    device.add(Other(value=True))
    document = read(device, "/oc/introspection")
    names = {
        href: document["paths"][href]["get"]["responses"]["200"]["schema"]["$ref"]
        for href in ("/light", "/second", "/other")
    }
    assert names["/light"] == names["/second"] == "#/definitions/oic.r.switch.binary"
    assert names["/other"] == "#/definitions/oic.r.switch.binary-other"
    assert list(document["definitions"]["oic.r.switch.binary-other"]["properties"]) == ["rt", "if", "value"]


def test_many_resources(device):
    for i in range(20):
        one = both.light()
        one.href = f"/light/{i}"
        device.add(one)
    assert len(read(device, "/oc/introspection")["paths"]) == 27
    assert len(read(device, "/oic/res")) == 28
