"""The module that predicts masked tokens: a whole encoder and its head over the vocabulary."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.depth import checkpoint_activations
from sklearn_bert.encoder.freezing import Freezing
from sklearn_bert.encoder.hooks import weakly, wrap_forward
from sklearn_bert.encoder.language_model import trainable_language_model
from sklearn_bert.encoder.loading import set_weights
from sklearn_bert.training.module import (
    as_arrays,
    as_tensors,
    count_trainable,
    train_where_it_trains,
)

__all__ = ["MaskedLMModule"]


class MaskedLMModule(nn.Module):
    """Takes masked token ids and returns logits over the vocabulary, for the masked tokens alone.

    A map to the vocabulary costs as much as a small encoder, and nobody asks for the logits of
    the other tokens: what leaves the encoder are the states of masked tokens only, whatever the
    architecture does with them then.

    Attributes
    ----------
    model : PreTrainedModel or None
        Encoder and head; None until `attach`.
    head : nn.ParameterList
        The parameters that are the head's own. A map that is tied to the embeddings is theirs.
    encoder_parameters : dict of str to Parameter
        Those of the encoder that train, by their names in the encoder.
    has_pretrained_head : bool
        Whether the head came with the weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.model: Any
        self.register_module("model", None)
        self.head = nn.ParameterList()
        self.encoder_parameters: dict[str, nn.Parameter] = {}
        self.has_pretrained_head = False
        self._trained: dict[str, torch.Tensor] = {}
        self._run = threading.local()
        self._autocast: torch.dtype | None = None
        self._exact = torch.float32

    def attach(
        self, checkpoint: Checkpoint, freezing: Freezing, gradient_checkpointing: bool = False
    ) -> None:
        """Load the model, with what was trained of it before, if any."""
        self._autocast = checkpoint.dtype if checkpoint.dtype.itemsize == 2 else None
        self._exact = checkpoint.exact_dtype
        model, self.has_pretrained_head = trainable_language_model(checkpoint)
        set_weights(model, self._trained)
        of_encoder = dict(model.base_model.named_parameters())
        for name, parameter in of_encoder.items():
            parameter.requires_grad_(name in freezing.trainable)
        own = {id(parameter) for parameter in of_encoder.values()}
        self.head = nn.ParameterList(p for p in model.parameters() if id(p) not in own)
        self.encoder_parameters = {n: p for n, p in of_encoder.items() if p.requires_grad}
        if gradient_checkpointing:
            checkpoint_activations(model.base_model)
        wrap_forward(model.base_model, weakly(self._encode))
        train_where_it_trains(model, self.training)
        self.model = model
        self._trained = {}

    def train(self, mode: bool = True) -> MaskedLMModule:
        """Put what trains into training mode; what is frozen stays in evaluation mode."""
        if mode != self.training:
            super().train(mode)
            if self.model is not None:
                train_where_it_trains(self.model, mode)
        return self

    def forward(self, masked: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (n_masked, vocabulary), in the order of the tokens.

        Parameters
        ----------
        masked : bool Tensor of shape (batch, length)
            The tokens to predict.
        **inputs : Tensor
            What the model takes.
        """
        self._run.masked = masked
        # Without gradients the head is exact: bfloat16 would make probabilities of tokens equal.
        rounds = torch.is_grad_enabled()
        try:
            with self._autocasting(masked.device, rounds):
                logits = self.model(**inputs).logits
        finally:
            self._run.masked = None
        return logits[0].to(self._exact)

    def _encode(self, forward: Callable[..., Any], *args: Any, **inputs: Any) -> BaseModelOutput:
        masked = self._run.masked
        with self._autocasting(masked.device):
            states = forward(*args, **inputs)[0]
        return BaseModelOutput(last_hidden_state=states[masked][None].to(self._exact))

    def _autocasting(self, device: torch.device, enabled: bool = True) -> torch.autocast:
        enabled = enabled and self._autocast is not None
        return torch.autocast(device.type, self._autocast, enabled=enabled)

    def trained(self) -> dict[str, torch.Tensor]:
        """Return what trains, by its names in the model."""
        if self.model is None:
            return self._trained
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def n_trainable_parameters(self) -> int:
        """Count what trains."""
        return count_trainable(self.trained_parameters())

    def trained_parameters(self) -> list[nn.Parameter]:
        """Return all parameters that train: the head's, then the encoder's."""
        return [*self.head, *self.encoder_parameters.values()]

    def __getstate__(self) -> dict[str, Any]:
        """Keep what was trained as arrays, which know no device; the rest is found again."""
        state = self.__dict__.copy()
        state["_modules"] = {"model": None, "head": nn.ParameterList()}
        state["_trained"] = as_arrays(self.trained())
        state["encoder_parameters"] = {}
        del state["_run"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._run = threading.local()
        self._trained = as_tensors(state["_trained"])
