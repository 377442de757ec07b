"""Forks: a child starts with whole stores, whose locks are free and whose files are closed.

A fork copies locks that other threads hold, which nobody would ever release in the child. And it
copies what SQLite knows of its own locks on files, which the system does not give to the child:
the child would read and write without them.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Protocol
from weakref import WeakSet

__all__ = ["Holdable", "hold_during_forks"]


class Holdable(Protocol):
    """A lock, or a store, which can be held like one."""

    def acquire(self) -> Any:
        """Wait until no other thread is at work, and let none begin."""

    def release(self) -> None:
        """Let other threads work again."""


_known: WeakSet[Holdable] = WeakSet()
_knowing = threading.Lock()
_held: list[Holdable] = []
_forking = threading.Lock()


def hold_during_forks(one: Holdable) -> None:
    """Hold a lock or store while the process forks, as long as it lives."""
    with _knowing:
        _known.add(one)


def _before() -> None:
    _forking.acquire()
    # To wait for one can take long, and meanwhile others are made: until there are no more.
    while new := _known_and_not_held():
        _knowing.release()
        for one in new:
            one.acquire()
            _held.append(one)


def _known_and_not_held() -> list[Holdable]:
    """Return what is to be held yet; no other becomes known until `_knowing` is released."""
    _knowing.acquire()
    return [one for one in _known if not any(one is held for held in _held)]


def _after() -> None:
    while _held:
        _held.pop().release()
    _forking.release()
    _knowing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
