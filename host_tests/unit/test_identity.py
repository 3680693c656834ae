"""The operator's identity: a file that only its owner reads, whole at any time."""

import json
import multiprocessing
import os
import stat

import pytest
from fargo.console import Failure
from fargo.identity import Identity, Known, default_path, write_secret

UUID = "11111111-2222-4333-8444-555555555555"
KEY = bytes(range(16))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fargo" / "identity.json"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_nothing_is_written_before_there_is_something_to_keep(path):
    identity = Identity(path)
    assert not path.parent.exists()
    identity.keep()
    assert Identity(path).uuid == identity.uuid
    assert identity.uuid != Identity(path.with_name("other.json")).uuid


def test_devices_are_kept_and_forgotten(path):
    identity = Identity(path)
    identity.remember(Known(UUID, KEY, "lamp", "192.0.2.7:5683", "jw"))
    again = Identity(path)
    assert (again.uuid, again.devices) == (identity.uuid, identity.devices)
    known = again.devices[UUID]
    assert (known.key, known.name, known.address, known.owned) == (KEY, "lamp", "192.0.2.7:5683", True)
    assert again.find(bytes.fromhex(UUID.replace("-", ""))) is known
    assert again.find(bytes(16)) is None
    again.forget(UUID)
    again.forget(UUID)
    assert Identity(path).devices == {}


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_nobody_else_can_read_it_whatever_the_umask(path, mask):
    old = os.umask(mask & 0o077)
    try:
        Identity(path).remember(Known(UUID, KEY))
    finally:
        os.umask(old)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert all(mode(file) == 0o600 for file in path.parent.iterdir())


@pytest.mark.parametrize("bits", [0o604, 0o640, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(path, bits):
    Identity(path).keep()
    path.chmod(bits)
    with pytest.raises(Failure, match="can be read by others") as caught:
        Identity(path)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "7",
        '{"v": 1}',
        '{"v": 1, "uuid": "x", "devices": []}',
        '{"v": 1, "uuid": 5, "devices": []}',
        json.dumps({"v": 0, "uuid": UUID, "devices": []}),
        json.dumps({"v": 1, "uuid": UUID, "devices": [{"uuid": UUID}]}),
        json.dumps({"v": 1, "uuid": UUID, "devices": [{"uuid": UUID, "key": "00"}]}),
        json.dumps({"v": 1, "uuid": UUID, "devices": {"a": 1}}),
        json.dumps({"v": 1, "uuid": UUID, "devices": [{"uuid": UUID, "key": "zz" * 16}]}),
    ],
)
def test_what_is_no_identity_is_refused_and_left_as_it_is(path, text):
    path.parent.mkdir()
    write_secret(path, text)
    with pytest.raises(Failure, match="holds no identity"):
        Identity(path)
    assert path.read_text() == text


def test_a_later_version_is_read(path):
    path.parent.mkdir()
    device = {"uuid": UUID, "key": KEY.hex(), "colour": "red"}
    write_secret(path, json.dumps({"v": 2, "uuid": UUID, "devices": [device], "more": 1}))
    assert Identity(path).devices[UUID].key == KEY


def _remember(path, number):
    identity = Identity(path)
    for i in range(10):
        identity.remember(Known(f"00000000-0000-4000-8000-{number:06d}{i:06d}", KEY))


def test_programs_that_write_at_the_same_time_lose_nothing(path):
    Identity(path).keep()
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_remember, args=(path, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len(Identity(path).devices) == 40


def test_a_write_that_fails_leaves_the_old_file(path, monkeypatch):
    identity = Identity(path)
    identity.remember(Known(UUID, KEY))
    before = path.read_bytes()

    def broken(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError):
        identity.forget(UUID)
    assert path.read_bytes() == before


def test_keys_do_not_show(path):
    known = Known(UUID, KEY)
    assert KEY.hex() not in repr(known) and repr(KEY) not in repr(known)


def test_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("FARGO_IDENTITY", raising=False)
    assert default_path() == tmp_path / "fargo" / "identity.json"
    monkeypatch.setenv("FARGO_IDENTITY", str(tmp_path / "mine"))
    assert default_path() == tmp_path / "mine"
    assert Identity(tmp_path).path == tmp_path / "identity.json"


def test_a_secret_is_never_written_over(tmp_path):
    write_secret(tmp_path / "psk", "a")
    assert mode(tmp_path / "psk") == 0o600
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "psk", "b")
