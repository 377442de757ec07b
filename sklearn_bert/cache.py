"""See, bound and clear what was computed before.

Every function takes the same `cache` that the estimators take: "memory" (the default) is the
store of this process, a path is a store on disk.

Examples
--------
>>> import sklearn_bert
>>> sklearn_bert.cache.clear()
>>> sklearn_bert.cache.info().entries
0
"""

from __future__ import annotations

from sklearn_bert.errors import parameter_error
from sklearn_bert.store.base import Store, StoreInfo
from sklearn_bert.store.registry import CacheSpec, open_store
from sklearn_bert.validation import check_integer

__all__ = ["clear", "info", "set_limit"]


def info(cache: CacheSpec = "memory") -> StoreInfo:
    """Tell how full a store is and how this process used it.

    Parameters
    ----------
    cache : "memory" or path, default="memory"
        The store, as the estimators name it.

    Returns
    -------
    StoreInfo
        With `entries`, `size` and `limit` in bytes, `hits` and `misses`.
    """
    return _store(cache).info()


def clear(cache: CacheSpec = "memory") -> None:
    """Forget everything that a store keeps, and its counts of hits and misses.

    Parameters
    ----------
    cache : "memory" or path, default="memory"
        The store, as the estimators name it.
    """
    _store(cache).clear()


def set_limit(limit: int, cache: CacheSpec = "memory") -> None:
    """Bound a store; the least recently used values go at once if it holds more.

    Parameters
    ----------
    limit : int
        Bytes. 0 keeps nothing. The limit holds for this process.
    cache : "memory" or path, default="memory"
        The store, as the estimators name it.
    """
    check_integer("limit", limit, minimum=0, accepted="a number of bytes, 0 or more")
    _store(cache).limit = limit


def _store(cache: CacheSpec) -> Store:
    store = open_store(cache)
    if store is None:
        raise parameter_error("cache", cache, "'memory', or the path of a folder")
    return store
