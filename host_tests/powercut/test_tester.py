"""The tester itself: states are what the flash would be, and the oracle sees what is wrong in them."""

import io
import struct

import pytest
from powercut.oracle import Released, mixed
from powercut.trace import BITS, CLEAN, HALF, Cut, Distinct, Trace, sample

from board.sim.flash import ENTRY, ERASE, PROGRAM, SECTOR, Flash


def trace(tmp_path):
    """Erase, program, program a little, erase: as the simulated flash notes it."""
    start = bytes(SECTOR) + b"\x55" * SECTOR
    image = io.BytesIO(start)
    flash = Flash(image, {"journal": str(tmp_path / "journal")}, None)
    flash.erase(0, SECTOR)
    flash.program(0, bytes(range(256)) * 16)
    flash.program(SECTOR, b"\x11" * 32)
    flash.erase(SECTOR, SECTOR)
    return Trace.read(start, tmp_path / "journal"), image.getvalue()


def test_a_journal_gives_every_state(tmp_path):
    found, last = trace(tmp_path)
    assert [operation[:3] for operation in found.operations] == [
        (ERASE, 0, SECTOR), (PROGRAM, 0, SECTOR), (PROGRAM, SECTOR, 32), (ERASE, SECTOR, SECTOR),
    ]  # fmt: skip
    states = dict(found.states(found.cuts()))
    assert len(states) == 3 * 4 + 1
    assert states[Cut(0)] == found.start and states[Cut(4)] == last
    assert states[Cut(1)] == b"\xff" * SECTOR + b"\x55" * SECTOR
    assert states[Cut(0, HALF)] == b"\xff" * (SECTOR // 2) + bytes(SECTOR // 2) + b"\x55" * SECTOR
    assert states[Cut(2, HALF)] == states[Cut(2)][:SECTOR] + b"\x11" * 16 + b"\x55" * (SECTOR - 16)
    left = states[Cut(0, BITS)][:SECTOR]
    assert set(left) != {0xFF} and 0x100 < sum(8 - byte.bit_count() for byte in left) < 0x1000


def test_a_journal_that_ends_in_the_middle(tmp_path):
    """The process was killed as it wrote: what is not whole was not done."""
    journal = tmp_path / "journal"
    journal.write_bytes(struct.pack(ENTRY, ERASE, 0, SECTOR) + struct.pack(ENTRY, PROGRAM, 0, 64) + bytes(63))
    assert len(Trace.read(bytes(SECTOR), journal)) == 1
    journal.write_bytes(b"\0\1")
    assert len(Trace.read(bytes(SECTOR), journal)) == 0


def test_samples_are_spread_and_repeatable(tmp_path):
    cuts = trace(tmp_path)[0].cuts()
    assert sample(cuts, 5, 1) == sample(cuts, 5, 1) != sample(cuts, 5, 2)
    assert len({*sample(cuts, 5, 1)}) == 5 and sample(cuts, 99, 1) == cuts
    assert str(Cut(3, HALF, Cut(7, CLEAN))) == "after 7, then 4 half"


def test_a_state_is_new_once():
    distinct = Distinct()
    assert [distinct.new(state) for state in (b"a", b"b", b"a")] == [True, True, False]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    from powercut.explore import record

    found = record("update", "frozen", tmp_path_factory.mktemp("recorded") / "home")
    yield found
    found.close()


def test_the_oracle_sees(recorded):
    """Each from the state before the first operation, or after the last, with one thing wrong in it."""
    start, last = recorded.trace.start, recorded._last
    rows = recorded.image(start).rows

    def changed(data, name, at, new):
        where = rows[name].offset + at
        return data[:where] + new + data[where + len(new) :]

    def problems(data):
        return "; ".join(recorded.image(data).wrong_at_any_time())

    assert problems(start) == problems(last) == ""
    assert recorded.image(last).look().version == "1.1.0"
    assert "nothing to start" in problems(changed(start, "ota_0", 0, b"\0"))
    assert "nothing that was released" in problems(changed(start, "app_0", 100, b"\xaa\xaa"))
    assert "looks whole and is not" in problems(changed(last, "app_1", 5000, b"\xaa\xaa"))
    label = recorded.image(last).partition("app_1")[-SECTOR:]
    half = changed(changed(start, "ota_1", 0, b"\xe9"), "app_1", 0, b"\xd2\xcd\x31")
    assert "ota_1 looks whole" in problems(changed(half, "app_1", rows["app_1"].size - SECTOR, label))
    armed = [flash for _, flash in recorded.trace.states(recorded.trace.cuts(()))]
    armed = [flash for flash in armed if recorded.image(flash).look().state in (0, 1)]
    assert armed, "the recording has a trial"
    floor = b"\xa5\x05\x05\x09fargofloorb" + (2).to_bytes(8, "big") + b"\x5a"
    used = recorded.image(armed[0]).partition("nvs").rstrip(b"\xff")
    assert "the floor was raised" in problems(changed(armed[0], "nvs", len(used), floor))
    assert recorded.image(last).lost(recorded.after) == []
    assert recorded.image(start).lost(recorded.after) == ["/update is gone"]


def test_the_app_of_another_version_is_told():
    released = {"1.0.0": Released(b"", b"", 1, "1.0.0"), "1.1.0": Released(b"", b"", 2, "1.0.0")}
    lines = ["info: Fargo, version 1.0.0 in ota_0", "info: the app of 1.0.0", "info: Fargo, version 1.1.0 in ota_1"]
    assert mixed([*lines, "info: the app of 1.0.0"], released) == []
    assert mixed([*lines, "info: the app of 1.1.0"], released) == ["1.1.0 ran, and the app of 1.1.0"]
