import os
import re
import shutil
from pathlib import Path

import psutil
import pytest

from sklearn_bert.store import DiskStore, MemoryStore, open_store, registry


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


def test_few_stores_hold_files_at_once(tmp_path):
    stores = [open_store(tmp_path / str(number)) for number in range(30)]
    for number, store in enumerate(stores):
        assert open_store(tmp_path / str(number)) is store
        store.put_many([b"key"], [b"value"])
    files = [file for file in psutil.Process().open_files() if str(tmp_path) in file.path]
    # Each holds its database, the log of writes, and what processes share.
    assert 0 < len(files) <= 8 * 3
    assert all(store.get_many([b"key"]) == [b"value"] for store in stores)


def test_deleted_files_are_closed_when_another_store_is_opened(tmp_path):
    open_store(tmp_path / "deleted").put_many([b"key"], [b"value"])
    shutil.rmtree(tmp_path / "deleted")
    open_store(tmp_path / "other")
    # Deleted files go by their old name, with a word behind it.
    links = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists()]
    names = [file.path for file in psutil.Process().open_files()] + links
    assert not [name for name in names if str(tmp_path) in name]


def test_a_disk_that_is_nearly_full_does_not_empty_what_is_kept(tmp_path, monkeypatch):
    keys = [str(number).encode() for number in range(100)]
    kept = open_store(tmp_path)
    kept.put_many(keys, [b"value" * 1000] * 100)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    monkeypatch.setattr(registry, "_stores", {})
    other = open_store(tmp_path)
    assert other.limit >= kept.info().size
    other.put_many([b"other"], [b"value"])
    assert sum(other.contains_many(keys)) >= 80
    other.close()
