"""Records in a folder, and the app's folder beside them."""

import pytest

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
