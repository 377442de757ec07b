"""Which texts make a batch: of like length, in an order that the seed fixes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from sklearn_bert.training.inputs import Inputs

__all__ = ["Batches", "LabelledTexts", "TrainingData"]

# So many batches are drawn at random and sorted by length together.
_BATCHES_SORTED_TOGETHER = 50


class TrainingData(Protocol):
    """What batches are made of."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each sample."""

    def batch(self, chosen: np.ndarray) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return what the module takes for the chosen samples, and their targets."""

    def __len__(self) -> int: ...


class LabelledTexts(Dataset):
    """Some rows of inputs, with targets and weights.

    Parameters
    ----------
    inputs : Inputs
        All texts.
    rows : int ndarray of shape (n_samples,)
        Those that belong to this data set.
    targets : ndarray of shape (n_samples, ...) or None
        Encoded targets.
    weights : ndarray of shape (n_samples,) or None
        What each sample counts.
    """

    def __init__(
        self,
        inputs: Inputs,
        rows: np.ndarray,
        targets: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        self.inputs = inputs
        self.rows = rows
        self.y = torch.zeros(len(rows)) if targets is None else torch.from_numpy(targets)
        self.weights = None if weights is None else torch.from_numpy(weights)

    @property
    def X(self) -> LabelledTexts:
        """The data set itself, where skorch's scoring asks for the inputs alone."""
        return self

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each sample."""
        return self.inputs.lengths[self.rows]

    def batch(self, chosen: np.ndarray) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return what the module takes for the chosen samples, and their targets."""
        inputs = self.inputs.batch(self.rows[chosen])
        positions = torch.from_numpy(chosen)
        if self.weights is not None:
            inputs["sample_weight"] = self.weights[positions]
        return inputs, self.y[positions]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        inputs, target = self.batch(np.array([i]))
        return {name: tensor[0] for name, tensor in inputs.items()}, target[0]


class Batches:
    """An iterator over batches, as skorch takes it.

    Parameters
    ----------
    dataset : TrainingData
        What to iterate over.
    batch_size : int
        Texts in a batch.
    generator : numpy.random.Generator or None
        Fixes the order, another one each time; None keeps the order of the data set, as whoever
        compares predictions with it needs.
    """

    def __init__(
        self,
        dataset: TrainingData,
        batch_size: int,
        generator: np.random.Generator | None = None,
        **ignored: Any,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
        for chosen in self._chosen():
            yield self.dataset.batch(chosen)

    def _chosen(self) -> Iterator[np.ndarray]:
        n, size = len(self.dataset), self.batch_size
        if self.generator is None:
            for start in range(0, n, size):
                yield np.arange(start, min(n, start + size))
            return
        order = self.generator.permutation(n)
        lengths = self.dataset.lengths
        together = size * _BATCHES_SORTED_TOGETHER
        batches = []
        for start in range(0, n, together):
            part = order[start : start + together]
            part = part[np.argsort(-lengths[part], kind="stable")]
            batches += np.split(part, _ends(len(part), size, self.generator))
        for i in self.generator.permutation(len(batches)):
            yield batches[i]


def _ends(n: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """Return where batches of `n` sorted texts end, but for the last.

    One that is not full is any of them: were it the last, the shortest texts would be in it each
    time, and each of them would count for as much as many others.
    """
    n_full, rest = divmod(n, size)
    sizes = [size] * n_full
    if rest:
        sizes.insert(int(generator.integers(n_full + 1)), rest)
    return np.cumsum(sizes)[:-1]
