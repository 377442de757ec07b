"""AdamW with a learning rate for each depth, and no weight decay on biases and norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from sklearn_bert.training.module import FineTuneModule

__all__ = ["MakeOptimizer"]

# Devices on which AdamW has one kernel for a whole step.
_FUSED = ("cpu", "cuda")


@dataclass(frozen=True)
class MakeOptimizer:
    """Makes the optimizer of a module.

    Layer i of n learns with ``lr * layer_lr_decay ** (n - 1 - i)`` (discriminative fine-tuning,
    ULMFiT, arXiv 1801.06146), the embeddings as a layer below the lowest, the head with `head_lr`.
    Biases and norms, the parameters with one dimension, have no weight decay.

    Attributes
    ----------
    places : dict of str to int or None
        Where a text meets each parameter of the encoder; from `parameter_places`.
    n_layers : int
        Layers of the encoder.
    lr, head_lr, layer_lr_decay, weight_decay : float
        As in the estimators.
    """

    places: Mapping[str, int | None]
    n_layers: int
    lr: float
    head_lr: float
    layer_lr_decay: float
    weight_decay: float

    def __call__(self, module: FineTuneModule) -> torch.optim.AdamW:
        """Return the optimizer of what trains in `module`."""
        groups = self.groups(module)
        device = groups[0]["params"][0].device.type
        return torch.optim.AdamW(groups, lr=self.lr, fused=True if device in _FUSED else None)

    def groups(self, module: FineTuneModule) -> list[dict[str, Any]]:
        """Return one group for each place and decay."""
        rated = [(p, "head", self.head_lr) for p in module.head.parameters()]
        rated += [(p, *self._place(name)) for name, p in module.encoder_parameters.items()]
        groups: dict[tuple[str, bool], dict[str, Any]] = {}
        for parameter, place, rate in rated:
            decays = parameter.ndim > 1
            weight_decay = self.weight_decay if decays else 0.0
            empty = {"params": [], "lr": rate, "weight_decay": weight_decay, "name": place}
            groups.setdefault((place, decays), empty)["params"].append(parameter)
        return list(groups.values())

    def _place(self, name: str) -> tuple[str, float]:
        place = self.places[name]
        # What layers share is met from the lowest on; what follows them learns as the highest.
        height = max(-1, min(self.n_layers - 1, 0 if place is None else place))
        rate = self.lr * self.layer_lr_decay ** (self.n_layers - 1 - height)
        return "embeddings" if height < 0 else f"layer.{height}", rate
