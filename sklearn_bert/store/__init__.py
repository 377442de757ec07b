"""What was computed before, by key: in memory or on disk.

A store maps a key (bytes) to a value (bytes). It knows nothing of models or texts.
"""

from sklearn_bert.store.aside import is_aside, set_stores_aside
from sklearn_bert.store.base import Store, StoreInfo
from sklearn_bert.store.disk import DiskStore
from sklearn_bert.store.key import Keys
from sklearn_bert.store.memory import MemoryStore
from sklearn_bert.store.registry import open_store

__all__ = [
    "DiskStore",
    "Keys",
    "MemoryStore",
    "Store",
    "StoreInfo",
    "is_aside",
    "open_store",
    "set_stores_aside",
]
