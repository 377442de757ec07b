"""How much work the encoders of this process did: what tests and benchmarks count.

A claim such as "each text is encoded once" is checked against these counts.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from sklearn_bert.store.forks import hold_during_forks

__all__ = ["Work", "count", "count_pass", "counted"]


@dataclass(frozen=True)
class Work:
    """Counts since the process started; subtract two to get what lies between.

    Attributes
    ----------
    models_loaded : int
        Checkpoints read from disk.
    texts : int
        Texts that went into an encoder.
    batches : int
        Forward passes.
    tokens : int
        Tokens that went into an encoder, padding not counted.
    padded_tokens : int
        The same with padding.
    layer_tokens : int
        Padded tokens times the layers that they went through.
    """

    models_loaded: int = 0
    texts: int = 0
    batches: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    layer_tokens: int = 0

    def __sub__(self, earlier: Work) -> Work:
        names = self.__dataclass_fields__
        return Work(**{name: getattr(self, name) - getattr(earlier, name) for name in names})


_work = Work()
_lock = threading.Lock()
hold_during_forks(_lock)


def counted() -> Work:
    """Return the counts so far."""
    return _work


def count(**more: int) -> None:
    """Add to the counts, by name."""
    global _work
    with _lock:
        _work = replace(_work, **{name: getattr(_work, name) + n for name, n in more.items()})


def count_pass(tokens: int, padded_tokens: int, n_layers: int) -> None:
    """Count a forward pass of one batch through `n_layers` layers."""
    count(
        batches=1,
        tokens=tokens,
        padded_tokens=padded_tokens,
        layer_tokens=padded_tokens * n_layers,
    )
