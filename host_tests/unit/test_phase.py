"""`port.phase` on the desktop, where other threads import too."""

import sys
import threading

import pytest
from port import phase, reserve


def test_what_another_thread_imports_meanwhile_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "slow_module.py").write_text("import slow_gate\nslow_gate.begun.set()\nslow_gate.go.wait(10)\n")
    (tmp_path / "slow_gate.py").write_text("import threading\nbegun, go = threading.Event(), threading.Event()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import slow_gate

    (tmp_path / "phased_root.py").write_text("import slow_gate\nslow_gate.load()\n")
    errors = []

    def load():
        try:
            import slow_module  # noqa: F401
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=load)

    def begin():  # called while the phase imports
        thread.start()
        assert slow_gate.begun.wait(10)

    slow_gate.load = begin
    with phase("phased_root"):
        pass
    assert "phased_root" not in sys.modules
    slow_gate.go.set()
    thread.join(10)
    assert not errors and "slow_module" in sys.modules
    del sys.modules["slow_module"], sys.modules["slow_gate"]


def test_a_module_that_cannot_be_had_is_a_want_of_memory(tmp_path, monkeypatch):
    """As MicroPython sees it: its file system says that there is no such file when it has no memory to look."""
    (tmp_path / "lacking_root.py").write_text("import sys\nimport no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MemoryError, match="no_such_module"), phase("lacking_root"):
        pass
    assert "lacking_root" not in sys.modules


def test_what_could_not_be_loaded_gets_the_reserve(tmp_path, monkeypatch):
    """Code that answers is what it is held back for; without it there is MemoryError, and nothing is left behind."""
    (tmp_path / "scarce.py").write_text(
        "from port import reserve\nif reserve._held or not reserve.size: raise MemoryError\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(reserve, "size", 4096)
    monkeypatch.setattr(reserve, "_lent", 0)
    reserve.take()
    with phase("scarce") as scarce:
        assert scarce.reserve is reserve and not reserve.good()
        reserve.take()
        assert reserve.good() and reserve._bytes == 4096
    assert "scarce" not in sys.modules
    reserve.let_go()
    reserve.size = 0
    with pytest.raises(MemoryError), phase("scarce"):
        pass
    assert "scarce" not in sys.modules
