"""What every store can do, and how it tells about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Store", "StoreInfo"]


@dataclass(frozen=True)
class StoreInfo:
    """How full a store is and how it was used by this process.

    Attributes
    ----------
    entries : int
        Number of values kept.
    size : int
        Bytes kept, keys and values.
    limit : int
        Bytes that may be kept; the least recently used go first.
    hits, misses : int
        Look-ups by this process that found a value, and that did not.
    """

    entries: int
    size: int
    limit: int
    hits: int
    misses: int


class Store(ABC):
    """A bounded map from keys to values, safe to share between threads."""

    @abstractmethod
    def entry_bytes(self, n_bytes: Any) -> Any:
        """Return the bytes that an entry takes of the limit.

        Parameters
        ----------
        n_bytes : int or int ndarray
            Those of its key and value.
        """

    @abstractmethod
    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none."""

    @abstractmethod
    def contains_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Say for each key whether there is a value; this counts neither as hit nor as miss."""

    @abstractmethod
    def put_many(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Keep each value under its key, as far as the limit allows."""

    @abstractmethod
    def clear(self) -> None:
        """Forget everything, the hit and miss counts too."""

    @abstractmethod
    def info(self) -> StoreInfo:
        """Tell how full the store is and how it was used."""

    @property
    @abstractmethod
    def limit(self) -> int:
        """Bytes that may be kept."""

    @limit.setter
    @abstractmethod
    def limit(self, limit: int) -> None: ...
