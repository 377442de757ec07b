"""The module that is trained: the upper part of an encoder, pooling, and a head."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.depth import UpperPart, checkpoint_activations
from sklearn_bert.encoder.freezing import Freezing
from sklearn_bert.encoder.pooling import pool

__all__ = ["ACTIVATIONS", "FineTuneModule", "build_head", "train_where_it_trains"]

# scikit-learn's names of MLPClassifier, and the one that BERT is used to.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
}


class FineTuneModule(nn.Module):
    """Takes token ids, states at a depth or pooled vectors, and returns the head's outputs.

    Parameters
    ----------
    head : nn.Module
        From pooled vectors to outputs; see `build_head`.
    poolings : sequence of str
        How states become one vector; several are concatenated.

    Attributes
    ----------
    encoder : PreTrainedModel, UpperPart or None
        What of the encoder runs in training; None if nothing of it trains, or until `attach`.
    """

    def __init__(self, head: nn.Module, poolings: Sequence[str]) -> None:
        super().__init__()
        self.head = head
        self.poolings = tuple(poolings)
        self.encoder: nn.Module | None
        self.register_module("encoder", None)
        self.encoder_parameters: dict[str, nn.Parameter] = {}
        self._trained: dict[str, torch.Tensor] = {}
        self._autocast: torch.dtype | None = None

    def attach(
        self, checkpoint: Checkpoint, freezing: Freezing, gradient_checkpointing: bool = False
    ) -> None:
        """Load the part of the encoder that trains, with what was trained of it before, if any."""
        self._autocast = checkpoint.dtype if checkpoint.dtype.itemsize == 2 else None
        self.head.to(checkpoint.device, checkpoint.exact_dtype)
        if not freezing.trainable:
            return
        model = checkpoint.trainable_copy()
        if "pooler" not in self.poolings and hasattr(model, "pooler"):
            model.pooler = None
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in freezing.trainable)
            if name in self._trained:
                parameter.data.copy_(self._trained[name])
        # By their names in the whole model, whatever the part calls them.
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        if gradient_checkpointing:
            checkpoint_activations(model)
        self.encoder = model if freezing.depth == 0 else UpperPart(model, freezing.depth)
        self.encoder_parameters = {
            names[id(p)]: p for p in self.encoder.parameters() if p.requires_grad
        }
        self._trained = {}
        self.set_modes()

    def train(self, mode: bool = True) -> FineTuneModule:
        """Put what trains into training mode; what is frozen stays in evaluation mode."""
        # Called before each batch, and not free.
        if mode != self.training:
            super().train(mode)
            self.set_modes()
        return self

    def set_modes(self) -> None:
        """Set each module's mode anew, after a change of what trains."""
        if self.encoder is not None:
            train_where_it_trains(self.encoder, self.training)

    def forward(
        self,
        vectors: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **inputs: torch.Tensor,
    ) -> torch.Tensor:
        """Return the head's outputs, of shape (batch, n_outputs)."""
        if vectors is None:
            vectors = self._pooled(attention_mask, inputs)
        return self.head(vectors)

    def _pooled(
        self, attention_mask: torch.Tensor | None, inputs: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        assert self.encoder is not None
        device = next(iter(inputs.values())).device.type
        with torch.autocast(device, self._autocast, enabled=self._autocast is not None):
            output: Any = self.encoder(attention_mask=attention_mask, **inputs)
        states = output.last_hidden_state
        counted = None if attention_mask is None else attention_mask.bool()
        exact = torch.promote_types(states.dtype, torch.float32)
        pooled = [
            output.pooler_output if pooling == "pooler" else pool(pooling, states, counted)
            for pooling in self.poolings
        ]
        return torch.cat([vector.to(exact) for vector in pooled], dim=1)

    def trained(self) -> dict[str, torch.Tensor]:
        """Return what trains of the encoder, by its names in the whole model."""
        if self.encoder is None:
            return self._trained
        return dict(self.encoder_parameters)

    def trained_parameters(self) -> list[nn.Parameter]:
        """Return all parameters that train: the head's, then the encoder's."""
        return [*self.head.parameters(), *self.encoder_parameters.values()]

    def __getstate__(self) -> dict[str, Any]:
        """Keep what was trained, on the CPU; the rest comes from the checkpoint again."""
        state = self.__dict__.copy()
        state["_modules"] = {"head": _on_cpu(self.head), "encoder": None}
        state["_trained"] = {name: p.detach().cpu() for name, p in self.trained().items()}
        state["encoder_parameters"] = {}
        return state


def build_head(
    n_features: int,
    hidden_layer_sizes: Sequence[int],
    n_outputs: int,
    activation: str,
    dropout: float,
) -> nn.Sequential:
    """Return a linear map or a multi-layer perceptron, with dropout before each linear map.

    The last linear map starts as BERT's do: normal with a standard deviation of 0.02, zero biases.
    """
    sizes = [n_features, *hidden_layer_sizes, n_outputs]
    layers: list[nn.Module] = []
    for number, (inner, outer) in enumerate(pairwise(sizes)):
        if number:
            layers.append(ACTIVATIONS[activation]())
        linear = nn.Linear(inner, outer)
        if number == len(sizes) - 2:
            nn.init.normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
        layers += [nn.Dropout(dropout), linear]
    return nn.Sequential(*layers)


def train_where_it_trains(module: nn.Module, mode: bool) -> None:
    """Set the mode by what trains; modules without parameters go with the one they are in."""
    parameters = list(module.parameters())
    if parameters:
        mode = mode and any(parameter.requires_grad for parameter in parameters)
    module.training = mode
    for child in module.children():
        train_where_it_trains(child, mode)


def _on_cpu(module: nn.Module) -> nn.Module:
    if all(parameter.device.type == "cpu" for parameter in module.parameters()):
        return module
    return copy.deepcopy(module).cpu()
