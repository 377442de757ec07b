"""What fine-tuning trains on: texts with encoded targets and weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sklearn_bert.validation import Text

__all__ = ["Samples", "Targets"]


@dataclass(frozen=True)
class Targets:
    """Encoded targets of a task, and what the head needs to know of them.

    Attributes
    ----------
    y : ndarray of shape (n_samples, ...)
        What the loss takes.
    n_outputs : int
        Outputs of the head.
    fitted : dict of str to object
        Attributes that the estimator gets.
    """

    y: np.ndarray
    n_outputs: int
    fitted: dict[str, Any]


@dataclass(frozen=True)
class Samples:
    """Texts with encoded targets and weights: a training set or validation data."""

    texts: list[Text]
    y: np.ndarray
    weights: np.ndarray | None

    def take(self, rows: np.ndarray) -> Samples:
        """Return some of the samples."""
        weights = None if self.weights is None else self.weights[rows]
        return Samples([self.texts[row] for row in rows], self.y[rows], weights)

    def weighted(self, more: np.ndarray | None) -> Samples:
        """Return the samples with more weights, all of them scaled to a mean of 1."""
        given = [weights for weights in (self.weights, more) if weights is not None]
        if not given:
            return self
        # No sum of weights that are at most 1 is too big for a float.
        weights = np.prod([weights / (weights.max() or 1) for weights in given], axis=0)
        if not weights.any():
            raise ValueError(
                "class_weight leaves no sample to train on: all that sample_weight leaves have a "
                "weight of 0. Accepted: weights that leave some above 0."
            )
        return replace(self, weights=weights / weights.mean())
