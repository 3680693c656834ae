"""Records in a folder, and the app's folder beside them."""

import os

import pytest
from cbor.decoder import DecodeError, decode

from firmware import folder
from firmware.store import Store


def test_a_record_is_the_old_or_the_new_one(tmp_path, monkeypatch):
    store = Store(str(tmp_path))
    assert store.load("name") is None
    store.save("name", b"old")
    monkeypatch.setattr("os.rename", lambda *_paths: (_ for _ in ()).throw(OSError(28, "the power fails")))
    with pytest.raises(OSError):
        store.save("name", b"new")
    assert store.load("name") == b"old"


def test_a_record_that_cannot_be_read_is_damaged_and_not_missing(tmp_path, monkeypatch):
    store = Store(str(tmp_path))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name in ("empty", "folder"):
        with pytest.raises(DecodeError):
            decode(store.load(name))
    assert store.load("none") is None


def test_the_room_that_is_kept_gives_way_and_comes_back(tmp_path, monkeypatch):
    free = [100_000]
    monkeypatch.setattr(os, "statvfs", lambda _path: (1, 1, 1 << 20, free[0]))
    store = Store(str(tmp_path))
    store.keep_room()
    assert (tmp_path / "room").stat().st_size == 24576
    with store.open("chunks.fw", "wb"):
        assert (tmp_path / "room").exists()
    free[0] = 8000
    with store.open("chunks.fw", "rb"):
        assert (tmp_path / "room").exists()
    with store.open("chunks.fw", "wb"):
        assert not (tmp_path / "room").exists()
    store.keep_room()
    assert not (tmp_path / "room").exists()
    free[0] = (1 << 20) + 1  # LittleFS has counted more blocks than there are
    store.keep_room()
    assert not (tmp_path / "room").exists()


def test_a_removed_record_leaves_nothing_even_where_the_power_failed_while_it_was_written(tmp_path):
    store = Store(str(tmp_path))
    store.save("cred", b"key")
    (tmp_path / "cred.new").write_bytes(b"another key")
    (tmp_path / "credit").write_bytes(b"another record")
    store.remove("cred")
    store.remove("cred")
    assert [path.name for path in tmp_path.iterdir()] == ["credit"]


def test_the_apps_folder_is_made_once_and_emptied(tmp_path):
    path = folder.made(str(tmp_path / "app"))
    assert folder.made(path) == path
    (tmp_path / "app/deep/deeper").mkdir(parents=True)
    (tmp_path / "app/deep/deeper/file").write_text("x")
    (tmp_path / "app/file").write_text("x")
    folder.empty(path)
    assert list((tmp_path / "app").iterdir()) == []
