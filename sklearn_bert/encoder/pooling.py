"""Token states to one vector: one short function a mode, over the tokens that count.

Long texts come in several windows, so each mode has a second function that joins the vectors of
a text's windows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

__all__ = ["KEPT_POOLINGS", "POOLINGS", "join_windows", "pool"]


def _pool_cls(states: torch.Tensor, counted: torch.Tensor | None) -> torch.Tensor:
    return states[:, 0]


def _pool_mean(states: torch.Tensor, counted: torch.Tensor | None) -> torch.Tensor:
    exact = torch.promote_types(states.dtype, torch.float32)
    if counted is None:
        return states.mean(dim=1, dtype=exact)
    weights = counted.to(exact)
    totals = torch.bmm(weights.unsqueeze(1), states.to(exact)).squeeze(1)
    return totals / weights.sum(dim=1, keepdim=True).clamp_min(1)


def _pool_max(states: torch.Tensor, counted: torch.Tensor | None) -> torch.Tensor:
    if counted is None:
        return states.amax(dim=1)
    # The first token that counts stands in for those that don't: much cheaper than filling.
    batch, length, hidden = states.shape
    positions = torch.arange(length, device=states.device)
    first = counted.byte().argmax(dim=1, keepdim=True)
    starts = length * torch.arange(batch, device=states.device).unsqueeze(1)
    rows = torch.where(counted, positions, first) + starts
    chosen = states.reshape(-1, hidden).index_select(0, rows.flatten())
    return chosen.view(states.shape).amax(dim=1)


def _pool_last(states: torch.Tensor, counted: torch.Tensor | None) -> torch.Tensor:
    if counted is None:
        return states[:, -1]
    positions = torch.arange(states.shape[1], device=states.device)
    last = torch.where(counted, positions, 0).amax(dim=1)
    return states[torch.arange(len(states), device=states.device), last]


_POOL: dict[str, Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]] = {
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


def pool(pooling: str, states: torch.Tensor, counted: torch.Tensor | None) -> torch.Tensor:
    """Pool the states of a batch.

    Parameters
    ----------
    pooling : {"cls", "mean", "max", "last"}
        The mode.
    states : Tensor of shape (batch, length, hidden)
        Token states; sums over them are taken in float32 at least.
    counted : bool Tensor of shape (batch, length), or None
        The tokens that count: no padding, and of the overlap of two windows each token once.
        None means all.

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
