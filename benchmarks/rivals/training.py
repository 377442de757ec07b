"""What all recipes share: one signature, one clock, labels of any kind.

A recipe is called as

    train(texts, labels, folder=..., freeze=..., epochs=..., seed=..., max_length=None)

and returns a `Trained`. It loads what it trains before its clock starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.children import peak_memory

__all__ = ["BATCH_SIZE", "LEARNING_RATE", "Run", "Trained", "encode_labels", "timed", "tokenize"]

BATCH_SIZE = 32
# The default of the Trainer, and what tutorials take or nearly so.
LEARNING_RATE = 5e-5


@dataclass(frozen=True)
class Run:
    """What one call took.

    Attributes
    ----------
    seconds : float
        Wall clock.
    before_bytes, fit_peak_bytes : int
        The most memory that the process had had before, and had had after.
    """

    seconds: float
    before_bytes: int
    fit_peak_bytes: int


@dataclass(frozen=True)
class Trained:
    """What a recipe returns.

    Attributes
    ----------
    run : Run
        The training, with all that it does to the texts.
    predict : callable
        From texts to an array of labels, of the kind that it was trained with.
    precision : str
        What its products were computed in.
    """

    run: Run
    predict: Callable[[Sequence[Any]], np.ndarray]
    precision: str = "float32"


def timed(fit: Callable[[], Any]) -> Run:
    """Call and measure."""
    before_bytes = peak_memory()
    start = time.perf_counter()
    fit()
    seconds = time.perf_counter() - start
    return Run(seconds, before_bytes, peak_memory())


def encode_labels(labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes, and each label as an index into them."""
    classes, targets = np.unique(np.asarray(labels), return_inverse=True)
    return classes, targets.astype(np.int64)


def tokenize(tokenizer: Any, texts: Sequence[Any], **settings: Any) -> Any:
    """Call a tokenizer of transformers with texts, or with pairs."""
    if texts and not isinstance(texts[0], str):
        first, second = (list(part) for part in zip(*texts, strict=True))
        return tokenizer(first, second, **settings)
    return tokenizer(list(texts), **settings)
