"""Whoever has texts encoded may look up between two batches: at a clock, for example."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["before_batch", "check_before_batches"]

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def check_before_batches(check: Callable[[], None]) -> Iterator[None]:
    """Have this thread call `check` before each batch that passes frozen layers.

    What it raises ends the pass. What was computed by then stays in the store, if there is one.
    """
    before = _check.set(check)
    try:
        yield
    finally:
        _check.reset(before)


def before_batch() -> None:
    """Call what is to be called before a batch, if anything is."""
    check = _check.get()
    if check is not None:
        check()
