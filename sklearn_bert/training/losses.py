"""Losses: a mean over samples with their weights, which have a mean of one in the training data.

All are of outputs but the contrastive one, which is of the vectors that the head is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

__all__ = [
    "MISSING_TARGET",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "SquaredError",
    "TaskCrossEntropy",
    "contrastive_loss",
]

# The target of a missing label.
MISSING_TARGET = -100
# What similarities are divided by; docs/decisions/0007-defaults.md has what others gave.
_TEMPERATURE = 0.05


class _SampleLoss(nn.Module, ABC):
    """A loss with one value a sample, before they are averaged."""

    def forward(
        self, outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the mean over samples of their losses times their weights."""
        losses = self.of_samples(outputs, targets)
        return (losses if weights is None else losses * weights).mean()

    @abstractmethod
    def of_samples(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each sample."""


class _SmoothedLoss(_SampleLoss):
    """A loss on labels.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        Share of a target that goes to all classes alike; of a label in a set, to both sides.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing


class CrossEntropy(_SmoothedLoss):
    """Of one softmax."""

    def of_samples(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each sample; 0 where the target is missing."""
        return nn.functional.cross_entropy(
            outputs,
            targets,
            reduction="none",
            label_smoothing=self.label_smoothing,
            ignore_index=MISSING_TARGET,
        )


class BinaryCrossEntropy(_SmoothedLoss):
    """Of a sigmoid for each label, averaged over labels."""

    def of_samples(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each sample."""
        smooth = targets.to(outputs.dtype) * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = nn.functional.binary_cross_entropy_with_logits(outputs, smooth, reduction="none")
        return losses.mean(dim=1)


class TaskCrossEntropy(CrossEntropy):
    """Of a softmax for each task, averaged over the tasks whose label is there.

    Parameters
    ----------
    sizes : sequence of int
        Classes of each task; their outputs lie side by side.
    label_smoothing : float, default=0.0
        Share of a target that goes to all classes of its task alike.
    """

    def __init__(self, sizes: Sequence[int], label_smoothing: float = 0.0) -> None:
        super().__init__(label_smoothing)
        self.sizes = list(sizes)

    def of_samples(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each sample; 0 where all targets are missing."""
        of_sample = super().of_samples
        by_task = torch.stack(
            [
                of_sample(of_task, targets[:, task])
                for task, of_task in enumerate(outputs.split(self.sizes, dim=1))
            ],
            dim=1,
        )
        n_present = (targets != MISSING_TARGET).sum(dim=1)
        return by_task.sum(dim=1) / n_present.clamp_min(1)


class SquaredError(_SampleLoss):
    """Squared error, averaged over outputs."""

    def of_samples(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each sample."""
        return (outputs - targets.to(outputs.dtype)).square().mean(dim=1)


def contrastive_loss(
    vectors: torch.Tensor, classes: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return how much nearer texts of one class could be to each other than to all others.

    The supervised contrastive loss of Khosla et al. (arXiv 2004.11362, L_out) with cosine
    similarities, averaged over the texts that have another of their class beside them.

    Parameters
    ----------
    vectors : Tensor of shape (batch, n_features)
        Of the texts of a batch.
    classes : int Tensor of shape (batch,)
        Their classes.
    weights : Tensor of shape (batch,), optional
        What each text counts in the average. One of weight 0 is as if it were not there.
    """
    if weights is None:
        weights = vectors.new_ones(len(vectors))
    directions = nn.functional.normalize(vectors, dim=1)
    others = (weights > 0) & ~torch.eye(len(classes), dtype=torch.bool, device=vectors.device)
    alike = others & (classes[:, None] == classes)
    n_alike = alike.sum(dim=1)
    similar = directions @ directions.T / _TEMPERATURE
    chances = similar.masked_fill(~others, torch.finfo(similar.dtype).min).log_softmax(dim=1)
    losses = -chances.where(alike, 0.0).sum(dim=1) / n_alike.clamp_min(1)
    counts = weights * (n_alike > 0)
    return (losses * counts).sum() / counts.sum().clamp_min(torch.finfo(counts.dtype).tiny)
