"""The skorch net that trains to predict masked tokens; each token counts alike."""

from __future__ import annotations

from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback

from sklearn_bert.training.batches import TrainingData
from sklearn_bert.training.net import FineTuning

__all__ = ["MaskedLMNet"]


class MaskedLMNet(FineTuning, NeuralNet):
    """Trains on masked chunks; its score is the negative cross-entropy of a masked token."""

    score_name = "valid_score"

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [*super()._default_callbacks, (self.score_name, _NegativeLoss())]

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **_: Any) -> None:
        """Have skorch weigh a batch's loss by its masked tokens, not by its chunks."""
        prefix = "train" if training else "valid"
        self.history.record_batch(f"{prefix}_batch_size", len(batch[1]))

    def measure(self: Any, dataset: TrainingData) -> tuple[float, float]:
        """Return the mean loss of a masked token, and the score, of the module as it is now."""
        total, n_tokens = 0.0, 0
        for batch in self.get_iterator(dataset):
            total += self.validation_step(batch)["loss"].item() * len(batch[1])
            n_tokens += len(batch[1])
        return total / n_tokens, -total / n_tokens

    def probabilities(
        self: Any, inputs: dict[str, torch.Tensor], masked: torch.Tensor
    ) -> torch.Tensor:
        """Return probabilities of shape (n_masked, vocabulary) for the masked tokens."""
        with torch.no_grad():
            return self.infer({**inputs, "masked": masked}).softmax(dim=1).cpu()


class _NegativeLoss(Callback):
    """Records the validation loss as a score, of which more is better."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Record it where there is validation data."""
        if "valid_loss" in net.history[-1]:
            net.history.record(net.score_name, -net.history[-1]["valid_loss"])
