"""Hooks in a model that don't keep alive what they belong to.

A module that holds a method of its owner makes a circle, which is freed when Python next looks for
circles: until then the weights of a fold would stay where they are, on a GPU too.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakMethod

from torch import nn

__all__ = ["arguments_of", "weakly", "wrap_forward"]


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls a bound method, and does nothing when its object is gone."""
    reference = WeakMethod(method)

    def call(*args: Any, **kwargs: Any) -> Any:
        found = reference()
        return None if found is None else found(*args, **kwargs)

    return call


def wrap_forward(module: nn.Module, around: Callable[..., Any]) -> None:
    """Have ``around(forward, *args, **kwargs)`` take the place of a module's `forward`."""
    forward = weakly(module.forward) if inspect.ismethod(module.forward) else module.forward

    def call(*args: Any, **kwargs: Any) -> Any:
        return around(forward, *args, **kwargs)

    module.forward = call


@contextlib.contextmanager
def arguments_of(module: nn.Module) -> Iterator[list[Any]]:
    """Collect the first argument of each call of a module."""
    seen: list[Any] = []
    handle = module.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    try:
        yield seen
    finally:
        handle.remove()
