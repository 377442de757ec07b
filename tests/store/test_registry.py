import re

import pytest

from sklearn_bert.store import DiskStore, MemoryStore, open_store


def test_one_store_for_memory_and_one_a_folder(tmp_path, monkeypatch):
    assert open_store("memory") is open_store("memory")
    assert isinstance(open_store("memory"), MemoryStore)
    assert open_store(tmp_path) is open_store(str(tmp_path))
    assert isinstance(open_store(tmp_path), DiskStore)
    assert open_store(tmp_path) is not open_store(tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    assert open_store("other") is open_store(tmp_path / "other")
    assert open_store(None) is None


def test_opening_writes_nothing_yet(tmp_path):
    open_store(tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_stores_are_bounded_by_default(tmp_path):
    for cache in ("memory", tmp_path):
        assert 0 < open_store(cache).limit < 2**40


def test_a_file_is_no_folder(tmp_path):
    file = tmp_path / "file"
    file.touch()
    message = (
        f"cache={str(file)!r} can't be used. Accepted: 'memory', None, or the path of a folder"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        open_store(file)
