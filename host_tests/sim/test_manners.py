"""How a device behaves towards people: its LED, its button, its PIN and what its log says, on the whole simulated board.

Patterns are told apart by how long the LED is on: no other lights it for a second at a time.
"""

import asyncio
import base64
import contextlib
import json
import re
import time

import aiocoap
import pytest
from fargo import onboard
from fargo.cli import main
from sim.rig import PSTAT, UPGRADE, WAIT, Rig

LED, BUTTON, HELD_S = 2, 0, 3
LINE = re.compile(r"(debug|info|warning|error): \S")
OTHER = ("bootloader: ", "MPY: ")  # what a chip says before any code of ours


def lit(rig, start=0):
    """How long the LED was on, each time since event `start`; it lights at level 0."""
    events = [(level, when) for number, level, when in rig.board.pins[start:] if number == LED]
    return [b[1] - a[1] for a, b in zip(events, events[1:], strict=False) if a[0] == 0 and b[0] == 1]


async def shows(rig, predicate, timeout=WAIT):
    """Wait until the LED flashes so."""
    start = len(rig.board.pins)
    async with asyncio.timeout(timeout):
        while not any(predicate(seconds) for seconds in lit(rig, start)):
            await asyncio.sleep(0.05)


def slow(seconds):
    return seconds > 0.9


def quick(seconds):
    return seconds < 0.6


async def own_by_pin(rig, capsys, drawing):
    """Become the owner with what `fargo board pin` shows; the PIN."""
    command = ["board", "pin", "--port", rig.board.port, "--json", "--svg", str(drawing)]
    shown = asyncio.create_task(asyncio.to_thread(main, command))
    onboarding = await onboard.begin(rig.stage.address, rig.stage.identity, "127.0.0.1")
    try:
        async with asyncio.timeout(WAIT):
            while not shown.done():  # what a device says before the port is open is lost: it makes another PIN
                await onboarding.select(onboard.METHODS["pin"])
                await asyncio.wait([shown], timeout=6)
        assert await shown == 0 and drawing.read_bytes().startswith(b"<?xml")
        code = json.loads(capsys.readouterr().out)["pin"]
        await onboarding.own("pin", code)
    finally:
        await onboarding.network.close()
    return code


@pytest.fixture
def rig(tmp_path):
    settings = {"led": [LED, 0], "button": BUTTON, "held_s": HELD_S}
    rig = Rig(tmp_path / "rig", owned=False, settings=settings, board={"usb": True}).start()
    yield rig
    rig.stop()


async def test_light_button_pin_and_log(rig, capsys, tmp_path):
    board, stage = rig.board, rig.stage
    await shows(rig, slow)  # unowned
    code = await own_by_pin(rig, capsys, tmp_path / "pin.svg")
    (known,) = stage.identity.devices.values()
    await shows(rig, quick)  # normal
    stage.release("1.1.0", 2)
    async with rig.client() as client:
        at = len(board.pins)
        assert (await client.update(stage.url("1.1.0"), UPGRADE, "now")).code == aiocoap.CHANGED
        await client.until(lambda v: v["swupdateresult"] == 1 and v["swupdateaction"] == "idle")
        assert await client.version() == "1.1.0"
        assert sum(quick(seconds) for seconds in lit(rig, at)) > 3, "updating, trial, normal"
        # Short presses do nothing.
        for _ in range(2):
            board.hold(BUTTON)
            await asyncio.sleep(HELD_S * 0.3)  # both together, and the pause, are still short
            board.hold(BUTTON, False)
            await asyncio.sleep(0.3)
        assert (await client.get(PSTAT))["dos"]["s"] == 3
    start, began = len(board.lines), time.monotonic()
    board.hold(BUTTON)
    await rig.log("the button was held: RESET", start)
    assert time.monotonic() - began >= HELD_S * 0.95
    await rig.log("onboarding: RFOTM", start)
    await shows(rig, slow)  # unowned again, the button still held: once is enough
    board.hold(BUTTON, False)
    assert sum("the button was held" in line for line in board.lines) == 1
    stage.identity.forget(known.uuid)
    await stage.own()
    # The log: lines with levels, and no secret in them.
    lines = [line for line in board.lines if not line.startswith(OTHER)]
    assert [line for line in lines if not LINE.match(line)] == []
    assert sum(code in line for line in lines) == 1, "the PIN is shown once"
    owners = [known.key, *(device.key for device in stage.identity.devices.values())]
    secrets = ["no secret"]  # the WiFi's key, as fargo.flash gives it
    for key in owners:
        secrets += [key.hex(), base64.b64encode(key).decode()[:20], repr(key)[2:-1]]
    assert len(owners) == 2
    assert [line for line in lines for secret in secrets if secret.lower() in line.lower()] == []


FORGOTTEN = """
import asyncio


async def fail():
    raise ValueError("in a task\\nthat nobody waits for")


async def main(device):
    asyncio.create_task(fail())
    await asyncio.sleep(100000)
"""


async def test_a_pin_that_does_not_exist_is_no_end_and_a_lock_leaves_no_way_in(tmp_path):
    """Nor is a task of the app that fails. Pin 8 is the flash's own.

    Locked, the board goes on whatever is typed; it is not provisioned by USB any more.
    """
    settings = {"led": [8, 1], "button": BUTTON, "locked": True}
    (tmp_path / "app").mkdir()
    (tmp_path / "app/app.py").write_text(FORGOTTEN)
    rig = Rig(tmp_path / "rig", settings=settings, board={"usb": True}, app=tmp_path / "app")
    rig.board.hold(BUTTON)  # held, or stuck, when the power comes
    rig.start()
    try:
        assert [line for line in rig.board.lines if line.startswith("warning: a pin of LED or button cannot be used")]
        line = rig.board.wait_log("in a task that nobody waits for", WAIT)
        assert line.startswith("error: Traceback") and all(LINE.match(x) for x in rig.board.lines[1:]), rig.board.lines
        with open(rig.board.port, "wb", buffering=0) as port:
            for _ in range(3):
                port.write(b"\r\x03\x03\x01\x04")
                await asyncio.sleep(0.2)
        async with rig.client() as client:
            assert await client.version() == "1.0.0"
        said = "".join(rig.board.lines)
        assert rig.board.resets == ["power"] and "stopped from the keyboard" not in said and "raw REPL" not in said
    finally:
        with contextlib.suppress(OSError):
            rig.stop()
