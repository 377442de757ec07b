"""What training draws its random numbers from: a generator for each fit.

PyTorch's own generators belong to the process, so fits in threads would take numbers from each
other. Whatever of ours draws in training (first weights, dropout on a CPU) asks `generator` where
from.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

__all__ = ["generator", "own_randomness", "same_draws", "shared_draws"]

_thread = threading.local()


def generator() -> torch.Generator:
    """Return what this thread draws from on the CPU: its fit's, or else PyTorch's own."""
    found: torch.Generator = getattr(_thread, "generator", torch.default_generator)
    return found


@contextlib.contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Give this thread a seeded generator, and leave PyTorch's own as they were found.

    PyTorch's own are seeded too, for what can't be told where to draw from: dropout on a GPU, or
    in an architecture that has it elsewhere than in layers. Fits in threads share these.

    Parameters
    ----------
    seed : int
        Fixes all draws.
    device : torch.device
        Where the model is.
    """
    outer = generator()
    _begin(seed, device)
    try:
        _thread.generator = torch.Generator().manual_seed(seed)
        yield
    finally:
        _thread.generator = outer
        _end()


def same_draws() -> tuple[Any, Any]:
    """Return contexts for two passes, of which the second draws what the first drew."""
    state = generator().get_state()

    @contextlib.contextmanager
    def again() -> Iterator[None]:
        now = generator().get_state()
        generator().set_state(state)
        try:
            yield
        finally:
            generator().set_state(now)

    return contextlib.nullcontext(), again()


@contextlib.contextmanager
def shared_draws() -> Iterator[None]:
    """Have PyTorch's own generator draw what this thread's would, and leave it as it was found.

    For code of others that can't be told where to draw from. Of several threads one at a time may
    run such code; a fit that begins meanwhile leaves the generator alone.
    """
    global _drawing
    with _lock:
        _found.setdefault("cpu", _as_found(torch.device("cpu")))
        state = torch.default_generator.get_state()
        torch.default_generator.set_state(generator().get_state())
        _drawing += 1
    try:
        yield
    finally:
        with _lock:
            _drawing -= 1
            torch.default_generator.set_state(state)
            _put_back_if_over()


class _Shared(NamedTuple):
    """A generator of PyTorch's own."""

    get_state: Callable[[], torch.Tensor]
    set_state: Callable[[torch.Tensor], Any]
    manual_seed: Callable[[int], Any]


_lock = threading.Lock()
# How many fits run, how much code of others draws, and the states that the first of them found.
_running = _drawing = 0
_found: dict[str, tuple[_Shared, torch.Tensor]] = {}


def _begin(seed: int, device: torch.device) -> None:
    global _running
    with _lock:
        _running += 1
        for name in {"cpu", str(device)}:
            shared, _ = _found.setdefault(name, _as_found(torch.device(name)))
            if name != "cpu" or not _drawing:
                shared.manual_seed(seed)


def _end() -> None:
    global _running
    with _lock:
        _running -= 1
        _put_back_if_over()


def _put_back_if_over() -> None:
    if not _running and not _drawing:
        for shared, state in _found.values():
            shared.set_state(state)
        _found.clear()


def _as_found(device: torch.device) -> tuple[_Shared, torch.Tensor]:
    shared = _shared(device)
    return shared, shared.get_state()


def _shared(device: torch.device) -> _Shared:
    if device.type == "mps":
        return _Shared(torch.mps.get_rng_state, torch.mps.set_rng_state, torch.mps.manual_seed)
    on_gpu = device.type == "cuda"
    own = torch.cuda.default_generators[device.index] if on_gpu else torch.default_generator
    return _Shared(own.get_state, own.set_state, own.manual_seed)
