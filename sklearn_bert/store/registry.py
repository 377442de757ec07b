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
from sklearn_bert.store.disk import DiskStore
from sklearn_bert.store.memory import MemoryStore

__all__ = ["CacheSpec", "open_store"]

CacheSpec = str | os.PathLike[str] | None

_ACCEPTED = "'memory', None, or the path of a folder"
_GIB = 2**30
_MEMORY_SHARE = 0.1
_MEMORY_LEAST = _GIB // 4
_DISK_SHARE = 0.1
_DISK_MOST = 10 * _GIB

_stores: dict[str | Path, Store] = {}
_lock = threading.Lock()


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
        if key not in _stores:
            _stores[key] = _new_store(key)
        return _stores[key]


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
    existing = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))
    return min(_DISK_MOST, int(_DISK_SHARE * shutil.disk_usage(existing).free))


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
