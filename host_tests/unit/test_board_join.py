"""How the board's file joins a WiFi, over stand-ins for the chip's modules: pauses that grow, and differ by chance.

And what it makes of a chip without memory.
"""

import asyncio
import importlib.util
import sys
import types

import pytest
from modules import ROOT
from port import reserve

from firmware import node


class Radio:
    """A WLAN that joins at try number `joins`, and an NVS with the name and key, or without."""

    def __init__(self, joins, fails=(), provisioned=True):
        self.joins, self.fails, self.provisioned = joins, fails, provisioned
        self.tries = []  # when, in seconds
        self.now = 0.0
        self.settings = {}

    def active(self, on):
        assert on

    def config(self, **settings):
        self.settings |= settings

    def connect(self, name, key):
        assert (name, key) == ("home", "sesame, open")
        self.tries.append(self.now)
        if len(self.tries) in self.fails:
            raise OSError("Wifi Internal State Error")

    def isconnected(self):
        return len(self.tries) >= self.joins

    def get_blob(self, name, buf):
        if not self.provisioned:
            raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
        value = {"ssid": b"home", "key": b"sesame, open"}[name]
        buf[: len(value)] = value
        return len(value)

    async def sleep_ms(self, ms):
        assert ms <= 100, "it looks often enough to be seen joined at once"
        self.now += ms / 1000
        await asyncio.sleep(0)


def of_the_chip(monkeypatch, name, modules):
    """The module `name` of the ESP32, over stand-ins for `modules`."""
    for module, names in modules.items():
        monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**names))
    spec = importlib.util.spec_from_file_location(name + "_of_the_chip", ROOT / f"board/esp32/{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def join(monkeypatch):
    def run(radio, seconds=None):
        modules = {"esp32": {"NVS": lambda _name: radio}, "machine": {}, "vfs": {}, "board": {"Data": None}}
        module = of_the_chip(monkeypatch, "board_start", modules)
        module.sleep_ms = radio.sleep_ms

        async def work():
            task = asyncio.create_task(module.join(radio))
            while not task.done() and (seconds is None or radio.now < seconds):
                await asyncio.sleep(0)
            done = task.done()
            task.cancel()
            return done

        return asyncio.run(work())

    return run


def test_pauses_grow_and_differ_by_chance(join):
    found = []
    for _ in range(8):
        radio = Radio(joins=7)
        assert join(radio)
        found.append([b - a for a, b in zip(radio.tries, radio.tries[1:], strict=False)])
        assert radio.settings["reconnects"] == 1
    for pauses in found:
        for pause, shortest in zip(pauses, (10, 20, 40, 60, 60, 60), strict=True):
            assert shortest - 0.2 <= pause <= 1.5 * shortest + 0.2
    assert len({round(pauses[3]) for pauses in found}) > 2, "a house full of devices does not ask all at once"


def test_a_radio_that_is_not_ready_is_asked_again(join, capsys):
    radio = Radio(joins=3, fails=(1, 2))
    assert join(radio) and len(radio.tries) == 3
    assert "sesame" not in capsys.readouterr().out


def test_without_a_wifi_it_waits_and_says_so(join, capsys):
    radio = Radio(joins=1, provisioned=False)
    assert not join(radio, seconds=120)
    said = capsys.readouterr().out.splitlines()
    assert 2 <= len(said) <= 5 and all(line.startswith("warning: no WiFi provisioned yet? (") for line in said)


@pytest.mark.parametrize("at", ["join", "log", "task"])
async def test_a_lost_network_waits_for_the_memory_to_join_it(monkeypatch, at):
    """Wherever there is none: the device serves on, lets the reserve go and tries again."""
    told, tries, fed = [], [], []
    short = [MemoryError] * 2

    class Board:
        joined = False

        def address(self):
            return "192.0.2.1"

        async def join(self):
            tries.append(len(told))
            want("join")
            self.joined = True

    board = Board()

    def want(what):
        if what == at and short:
            raise short.pop()

    def log(_level, text):
        want("log")
        told.append(text)

    def join():
        want("task")
        return node.Node._join(device)

    async def sleep_ms(_ms):
        for _ in range(3):  # a turn for who joins
            await asyncio.sleep(0)
        if board.joined or len(fed) > 99:
            raise asyncio.CancelledError

    monkeypatch.setattr(node, "sleep_ms", sleep_ms)
    device = types.SimpleNamespace(
        board=board, dtls=True, watchdog=types.SimpleNamespace(feed=lambda: fed.append(len(told))), _joining=False,
        log=log, reboot=lambda: told.append("restart"), _join=join,
    )  # fmt: skip
    with pytest.raises(asyncio.CancelledError):
        await node.Node.feed(device)
    assert len(fed) > 2, "it is fed meanwhile"
    assert not short and len(tries) == (3 if at == "join" else 1)
    assert told == ["the network is lost"] * len(tries) + ["the network is joined again"]


async def test_a_chip_without_memory_even_to_say_so_serves_on(monkeypatch):
    """What asks for the radio's memory takes some, and so does a line of the log: the reserve goes before."""
    logged, fed = [], []
    short = [MemoryError] * 3

    def info(_capabilities):
        if short:
            raise short.pop()
        return [(113_840, 50_000, 50_000, 50_000)]

    def log(_level, text):
        if reserve._held:
            raise MemoryError
        logged.append(text)

    async def sleep_ms(_ms):
        if reserve._held and not short:
            raise asyncio.CancelledError

    modules = {
        "esp32": {"HEAP_DATA": 4, "idf_heap_info": info}, "machine": {},
        "network": {"STA_IF": 0, "WLAN": lambda _interface: None},
    }  # fmt: skip
    monkeypatch.setattr(reserve, "deaf", of_the_chip(monkeypatch, "board", modules).Board().deaf, raising=False)
    monkeypatch.setattr(reserve, "lent", 0)
    monkeypatch.setattr(reserve, "_held", bytearray(4096))
    monkeypatch.setattr(reserve, "size", 4096)
    monkeypatch.setattr(node, "sleep_ms", sleep_ms)
    device = types.SimpleNamespace(
        dtls=None, watchdog=types.SimpleNamespace(feed=lambda: fed.append(len(logged))), log=log
    )
    with pytest.raises(asyncio.CancelledError):
        await node.Node.feed(device)
    assert logged == ["the radio has no memory"] and fed and reserve.good()
