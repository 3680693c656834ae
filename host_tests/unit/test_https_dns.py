"""Name resolution against a server that may be strange, and the CoAP Source against aiocoap, on both interpreters."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import aiocoap
import aiocoap.resource
import pytest
from link import HOST, Link, NameServer
from loopback import port as free_port

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "host_tests/micropython/fetch.py"
BODY = bytes((i * 31 ^ i >> 7) & 0xFF for i in range(100_000))


def digest(data):
    return [len(data), hashlib.sha256(data).hexdigest()]


@pytest.fixture(params=["cpython", "micropython"])
def fetch(request):
    """fetch(url, *steps, dns=..., limit_s=...): the results of the steps; nothing is waited for longer than `limit_s`."""
    command = [sys.executable] if request.param == "cpython" else [shutil.which("micropython"), "-X", "heapsize=1m"]

    def run(url, *steps, limit_s=20, **spec):
        spec.update(limit_s=limit_s, url=url, authorities=[], steps=steps)
        done = subprocess.run(
            [*command, str(RUNNER), str(ROOT)],
            input=json.dumps(spec), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        outcome = json.loads(done.stdout)
        assert outcome["left"] == 0 or request.param == "cpython"
        return outcome["results"]

    return run


# Names. The URL's port is closed: what matters is whether the connection is tried.

URL = "https://update.example.org:9/x"
NAMES = {"update.example.org": "127.0.0.1"}
REACHED = "connection to the server failed"


def outcome(fetch, names, url=URL, **more):
    return fetch(url, ["get", url, 9], dns=[HOST, names.port], **more)[0]["text"]


def test_name_is_found(fetch):
    with NameServer(NAMES) as names:
        assert REACHED in outcome(fetch, names)
        assert "update2.example.org was not found" in outcome(fetch, names, URL.replace("update", "update2"))
        assert len({query[:2] for query, _ in names.queries} | {port for _, port in names.queries}) == 4


def test_strange_packets_before_the_answer(fetch):
    def script(query, answer):
        lie = answer[:-4] + b"\1\2\3\4"
        return [
            b"",
            b"x",
            query,
            b"\0\0" + lie[2:],
            lie[:-1],
            lie.replace(b"example", b"exbmple"),
            b"\xff" * 600,
            answer,
        ]

    with NameServer(NAMES, script) as names:
        assert REACHED in outcome(fetch, names)
        assert len(names.queries) == 1


def test_lost_answer_is_asked_for_again(fetch):
    answers = []

    def script(_query, answer):
        answers.append(answer)
        return [answer] if len(answers) > 1 else []

    with NameServer(NAMES, script) as names:
        assert "within 1 s" in outcome(fetch, names, limit_s=1)  # in all, and a try takes two
        assert REACHED in outcome(fetch, names)


def test_server_that_fails(fetch):
    with NameServer(NAMES, lambda _query, answer: [answer[:3] + b"\x82" + answer[4:]]) as names:
        assert "within 1 s" in outcome(fetch, names, limit_s=1)
        assert len(names.queries) == 2


def test_figures_ask_nobody(fetch):
    with NameServer(NAMES) as names:
        assert REACHED in outcome(fetch, names, "https://127.0.0.1:9/x")
        assert "not found" in outcome(fetch, names, "https://127.0.0.256:9/x")
        assert not names.queries


# CoAP


class Payload(aiocoap.resource.Resource):
    async def render_get(self, _request):
        message = aiocoap.Message(payload=BODY)
        message.opt.etag = b"\x01\x02"
        return message


class Broken(aiocoap.resource.Resource):
    def __init__(self, code):
        super().__init__()
        self.code = code

    async def render_get(self, _request):
        return aiocoap.Message(code=self.code, payload=b"no")


@pytest.fixture(scope="module")
def coap():
    """The port of an aiocoap server."""
    loop = asyncio.new_event_loop()

    async def begin():
        site = aiocoap.resource.Site()
        site.add_resource(["a b", "payload"], Payload())
        site.add_resource(["broken"], Broken(aiocoap.SERVICE_UNAVAILABLE))
        site.add_resource(["forbidden"], Broken(aiocoap.FORBIDDEN))
        port = free_port()
        return await aiocoap.Context.create_server_context(site, bind=(HOST, port), transports=["udp6"]), port

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    context, port = asyncio.run_coroutine_threadsafe(begin(), loop).result()
    yield port
    asyncio.run_coroutine_threadsafe(context.shutdown(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_coap_object_and_ranges(coap, fetch):
    url = f"coap://{HOST}:{coap}/a%20b/payload"
    got = fetch(
        url,
        ["get", url, 100_000],
        ["get", url, 99_999],
        ["start", "payload", 5_000, 50_000, None],
        ["read", 50_000],
        ["start", "/a%20b/payload", 99_990, 10, "\x01\x02"],
        ["read", 10],
        ["start", "payload", 0, 10, "other"],
    )
    assert got[0] == digest(BODY)
    assert got[1]["cause"] == "invalid"
    assert got[2:6] == ["\x01\x02", digest(BODY[5_000:55_000]), "\x01\x02", digest(BODY[99_990:])]
    assert got[6]["cause"] == "lost" and "changed" in got[6]["text"]


def test_coap_errors_are_statuses(coap, fetch):
    base = f"coap://{HOST}:{coap}/"
    got = fetch(base, *([kind, path, *rest] for path in ("nothing", "broken", "forbidden")
                        for kind, rest in (("get", [9]), ("start", [0, 9, None]))))  # fmt: skip
    assert [(g["cause"], g["status"]) for g in got] == [("status", s) for s in (404, 404, 503, 503, 403, 403)]


def test_coap_server_that_is_not_there(fetch):
    with Link(loss=1) as link:
        got = fetch(f"coap://{HOST}:{link.udp(9)}/x", ["get", "x", 9], limit_s=1)
    assert got[0]["cause"] == "lost"


def test_coap_over_a_bad_line(coap, fetch):
    with Link(rtt_ms=10, loss=0.03, seed=5) as link:
        url = f"coap://{HOST}:{link.udp(coap)}/a%20b/payload"
        assert fetch(url, ["start", url, 0, 60_000, None], ["read", 60_000])[1] == digest(BODY[:60_000])
        assert link.lost > 1


def test_coap_url_that_is_none(fetch):
    got = fetch(
        "coap://127.0.0.1/",
        ["get", "https://127.0.0.1/", 9],
        ["get", "a%2Fb", 9],
        ["get", "a%ff", 9],
        ["get", "a%0", 9],
    )
    assert [g["cause"] for g in got] == ["scheme", "url", "url", "url"]
