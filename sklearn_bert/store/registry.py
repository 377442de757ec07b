"""From the `cache` parameter to a store: one per process for memory, one per folder for disk."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from pathlib import Path

from sklearn_bert.errors import parameter_error
from sklearn_bert.store.base import Store
from sklearn_bert.store.disk import FILE_NAME, DiskStore
from sklearn_bert.store.forks import hold_during_forks
from sklearn_bert.store.memory import MemoryStore

__all__ = ["CacheSpec", "open_store"]

CacheSpec = str | os.PathLike[str] | None

_ACCEPTED = "'memory', None, or the path of a folder"
_GIB = 2**30
_MEMORY_SHARE = 0.1
_MEMORY_LEAST = _GIB // 4
_DISK_SHARE = 0.1
_DISK_MOST = 10 * _GIB
# Each open store on disk holds three files; those used longest ago are closed, and open again by
# themselves.
_MOST_OPEN = 8

_stores: dict[str | Path, Store] = {}
_lock = threading.Lock()
hold_during_forks(_lock)


def open_store(cache: CacheSpec) -> Store | None:
    """Return the store that a `cache` parameter means.

    Parameters
    ----------
    cache : "memory", path or None
        "memory" is this process's store, a path a folder for a store on disk, None no store.

    Returns
    -------
    Store or None

    Raises
    ------
    ValueError
        If `cache` is anything else, or a path to something that is not a folder.
    """
    if cache is None:
        return None
    if not isinstance(cache, (str, os.PathLike)) or cache == "":
        raise parameter_error("cache", cache, _ACCEPTED)
    key = "memory" if cache == "memory" else Path(os.path.expanduser(cache)).absolute()
    if isinstance(key, Path) and not _can_be_folder(key):
        raise parameter_error("cache", str(cache), _ACCEPTED)
    with _lock:
        store = _stores.pop(key, None) or _new_store(key)
        _stores[key] = store
        on_disk = [other for other in _stores.values() if isinstance(other, DiskStore)]
        deleted = [other for other in on_disk if other is not store and other.is_deleted]
        for other in [*on_disk[:-_MOST_OPEN], *deleted]:
            other.close_if_idle()
        return store


def _can_be_folder(path: Path) -> bool:
    """Say whether a path is a folder, or could become one."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG
    except ValueError:
        # NUL, or what the file system can't encode.
        return False


def _new_store(key: str | Path) -> Store:
    if isinstance(key, Path):
        return DiskStore(key, limit=_default_disk_limit(key))
    return MemoryStore(limit=max(_MEMORY_LEAST, int(_MEMORY_SHARE * _total_memory())))


def _default_disk_limit(folder: Path) -> int:
    """Return a share of the free space, and no less than what is kept already.

    Evicting gives no space back to the disk: a process that finds it full must not empty what
    others keep.
    """
    # The database, and the log of writes that are not in it yet.
    kept = sum(_size(folder / f"{FILE_NAME}{suffix}") for suffix in ("", "-wal"))
    existing = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))
    return min(_DISK_MOST, max(kept, int(_DISK_SHARE * shutil.disk_usage(existing).free)))


def _size(file: Path) -> int:
    """Bytes of a file that another process may remove at any time."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _total_memory() -> int:
    """Bytes of memory that this process may use, 0 where the system does not tell."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
