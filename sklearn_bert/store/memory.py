"""A store in this process's memory: least recently used out first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from sklearn_bert.store.base import Store, StoreInfo
from sklearn_bert.store.forks import hold_during_forks

__all__ = ["MemoryStore"]


class MemoryStore(Store):
    """Keeps values in memory, up to a limit in bytes.

    Parameters
    ----------
    limit : int
        Bytes that may be kept.

    Examples
    --------
    >>> from sklearn_bert.store import MemoryStore
    >>> store = MemoryStore(limit=10_000)
    >>> store.put_many([b"key"], [b"value"])
    >>> store.get_many([b"key", b"other"])
    [b'value', None]
    """

    # What Python spends on an entry beside the bytes of its key and value.
    overhead = 160

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._values: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0
        self._hits = 0
        self._misses = 0
        hold_during_forks(self)

    def entry_bytes(self, n_bytes: Any) -> Any:
        """Return the bytes that an entry takes of the limit, from those of its key and value."""
        return n_bytes + self.overhead

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none."""
        with self._lock:
            values = [self._values.get(key) for key in keys]
            for key, value in zip(keys, values, strict=True):
                if value is not None:
                    self._values.move_to_end(key)
            found = sum(value is not None for value in values)
            self._hits += found
            self._misses += len(values) - found
        return values

    def contains_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Say for each key whether there is a value; this counts neither as hit nor as miss."""
        with self._lock:
            return [key in self._values for key in keys]

    def put_many(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Keep each value under its key; the least recently used make room."""
        with self._lock:
            for key, value in zip(keys, values, strict=True):
                if key in self._values:
                    self._size -= self._entry_size(key, self._values.pop(key))
                self._values[key] = value
            self._size += sum(map(len, keys)) + sum(map(len, values)) + self.overhead * len(keys)
            self._shrink()

    def clear(self) -> None:
        """Forget everything, the hit and miss counts too."""
        with self._lock:
            self._values.clear()
            self._size = self._hits = self._misses = 0

    def info(self) -> StoreInfo:
        """Tell how full the store is and how it was used."""
        with self._lock:
            return StoreInfo(len(self._values), self._size, self._limit, self._hits, self._misses)

    @property
    def limit(self) -> int:
        """Bytes that may be kept."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        with self._lock:
            self._limit = limit
            self._shrink()

    def acquire(self) -> None:
        """Wait until no other thread is at work, and let none begin."""
        self._lock.acquire()

    def release(self) -> None:
        """Let other threads work again."""
        self._lock.release()

    def _shrink(self) -> None:
        while self._size > self._limit:
            key, value = self._values.popitem(last=False)
            self._size -= self._entry_size(key, value)

    def _entry_size(self, key: bytes, value: bytes) -> int:
        return len(key) + len(value) + self.overhead
