"""Token states to one vector: one short function a mode, over the tokens that count.

Long texts come in several windows, so each mode has a second function that joins the vectors of
a text's windows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch

__all__ = ["KEPT_POOLINGS", "POOLINGS", "Counted", "join_windows", "pool"]


class Counted:
    """Which tokens of a batch count; what poolings need to know of it is found out once.

    Parameters
    ----------
    mask : bool Tensor of shape (batch, length)
        No padding, and of the overlap of two windows each token once.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self._mask = mask

    @cached_property
    def weights(self) -> torch.Tensor:
        """1 for what counts, else 0; of shape (batch, 1, length)."""
        return self._mask.unsqueeze(1).float()

    @cached_property
    def numbers(self) -> torch.Tensor:
        """How many tokens count, at least 1; of shape (batch, 1)."""
        return self.weights.sum(dim=2).clamp_min(1)

    @cached_property
    def rows(self) -> torch.Tensor:
        """The tokens of all texts, the first one that counts in place of each that does not."""
        batch, length = self._mask.shape
        positions = torch.arange(length, device=self._mask.device)
        starts = length * torch.arange(batch, device=self._mask.device).unsqueeze(1)
        first = self._mask.byte().argmax(dim=1, keepdim=True)
        return (torch.where(self._mask, positions, first) + starts).flatten()

    @cached_property
    def last(self) -> torch.Tensor:
        """The last token that counts, of each text; its number among the tokens of all texts."""
        batch, length = self._mask.shape
        positions = torch.arange(length, device=self._mask.device)
        starts = length * torch.arange(batch, device=self._mask.device)
        return torch.where(self._mask, positions, 0).amax(dim=1) + starts


def _pool_cls(states: torch.Tensor, counted: Counted | None) -> torch.Tensor:
    return states[:, 0]


def _pool_mean(states: torch.Tensor, counted: Counted | None) -> torch.Tensor:
    exact = torch.promote_types(states.dtype, torch.float32)
    if counted is None:
        return states.mean(dim=1, dtype=exact)
    totals = torch.bmm(counted.weights.to(exact), states.to(exact)).squeeze(1)
    return totals / counted.numbers


def _pool_max(states: torch.Tensor, counted: Counted | None) -> torch.Tensor:
    if counted is None:
        return states.amax(dim=1)
    # Much cheaper than filling what doesn't count.
    chosen = states.flatten(0, 1).index_select(0, counted.rows)
    return chosen.view(states.shape).amax(dim=1)


def _pool_last(states: torch.Tensor, counted: Counted | None) -> torch.Tensor:
    if counted is None:
        return states[:, -1]
    return states.flatten(0, 1).index_select(0, counted.last)


_POOL: dict[str, Callable[[torch.Tensor, Counted | None], torch.Tensor]] = {
    "cls": _pool_cls,
    "mean": _pool_mean,
    "max": _pool_max,
    "last": _pool_last,
}


def _join_first(vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return vectors[0]


def _join_mean(vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.average(vectors, axis=0, weights=counts).astype(vectors.dtype)


def _join_max(vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return vectors.max(axis=0)


def _join_last(vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return vectors[-1]


_JOIN: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "cls": _join_first,
    "mean": _join_mean,
    "max": _join_max,
    "last": _join_last,
    "pooler": _join_first,
}

POOLINGS = tuple(_JOIN)
# Those that cost next to nothing beside the pass, and that people compare with one another.
KEPT_POOLINGS = ("cls", "mean", "max")


def pool(pooling: str, states: torch.Tensor, counted: Counted | None) -> torch.Tensor:
    """Pool the states of a batch.

    Parameters
    ----------
    pooling : {"cls", "mean", "max", "last"}
        The mode.
    states : Tensor of shape (batch, length, hidden)
        Token states; sums over them are taken in float32 at least.
    counted : Counted or None
        The tokens that count; None means all.

    Returns
    -------
    Tensor of shape (batch, hidden)
    """
    return _POOL[pooling](states, counted)


def join_windows(pooling: str, vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Join the vectors of one text's windows.

    Parameters
    ----------
    pooling : {"cls", "mean", "max", "last", "pooler"}
        The mode.
    vectors : ndarray of shape (windows, hidden)
        The pooled vectors, in the order of the windows.
    counts : ndarray of shape (windows,)
        How many tokens count in each window.

    Returns
    -------
    ndarray of shape (hidden,)
    """
    return vectors[0] if len(vectors) == 1 else _JOIN[pooling](vectors, counts)
