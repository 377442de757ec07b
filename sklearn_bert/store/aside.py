"""Work that leaves nothing in a store: on texts that will not come again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["is_aside", "set_stores_aside"]

_aside: ContextVar[bool] = ContextVar("aside", default=False)


@contextmanager
def set_stores_aside() -> Iterator[None]:
    """Have this thread encode as if there were no store."""
    before = _aside.set(True)
    try:
        yield
    finally:
        _aside.reset(before)


def is_aside() -> bool:
    """Say whether this thread is to use no store now."""
    return _aside.get()
