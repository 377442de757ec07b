"""The layers of any encoder, and its lower part: run up to a depth, see every state on the way.

One mechanism serves all architectures. A hook in front of every layer sees that layer's input,
which is the hidden state of the depth below it; at the depth asked for, the hook ends the pass.
So embeddings, masks, rotary angles and position biases stay each model's own business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from numbers import Integral
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from sklearn_bert.errors import ModelLoadError, parameter_error

__all__ = ["LowerPart", "resolve_layer"]

Visit = Callable[[int, torch.Tensor], None]


class LowerPart:
    """Runs a model from its embeddings up to any depth.

    Depth 0 is the output of the embeddings (after a projection, where the model has one); depth
    i the output of layer i; at the full depth, as in transformers, after a final norm.

    Parameters
    ----------
    model : PreTrainedModel
        An encoder. Gets one hook a layer, which is idle outside `run`.

    Attributes
    ----------
    n_layers : int
        Number of layers that a text passes.
    shares_layers : bool
        Whether several layers are the same module (ALBERT).
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.n_layers = int(model.config.num_hidden_layers)
        layers = _find_layers(model, self.n_layers)
        self.shares_layers = len(layers) < self.n_layers
        self._run = threading.local()
        for layer in layers:
            layer.register_forward_pre_hook(self._before_layer, with_kwargs=True)

    def run(self, inputs: dict[str, torch.Tensor], depth: int, visit: Visit) -> torch.Tensor | None:
        """Run `inputs` up to `depth`, calling `visit(i, states)` for every depth i passed.

        Parameters
        ----------
        inputs : dict of str to Tensor
            What the model takes.
        depth : int
            From 0 to `n_layers`; layers above are not run.
        visit : callable
            Called in ascending order, `depth` included, with states of shape
            (batch, length, hidden).

        Returns
        -------
        Tensor of shape (batch, hidden) or None
            The pooler's output, where the model has a pooler and the depth is full.
        """
        self._run.passed, self._run.depth, self._run.visit = 0, depth, visit
        try:
            output = self.model(**inputs)
        except _DepthReached:
            return None
        finally:
            self._run.visit = None
        visit(self.n_layers, output.last_hidden_state)
        pooled: torch.Tensor | None = getattr(output, "pooler_output", None)
        return pooled

    def _before_layer(
        self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        visit = getattr(self._run, "visit", None)
        if visit is None:
            return
        visit(self._run.passed, args[0] if args else kwargs["hidden_states"])
        if self._run.passed == self._run.depth:
            raise _DepthReached
        self._run.passed += 1


class _DepthReached(Exception):
    """Ends a forward pass at the depth that was asked for; never leaves this module."""


def resolve_layer(layer: Any, n_layers: int) -> int:
    """Return the depth that a `layers` index means, counted from the end if negative.

    Raises
    ------
    ValueError
        If `layer` is no integer, or the model has no such hidden state.
    """
    if isinstance(layer, bool) or not isinstance(layer, Integral):
        raise parameter_error("layers", layer, "an integer, or a list of integers")
    layer = int(layer)
    if not -n_layers - 1 <= layer <= n_layers:
        raise parameter_error(
            "layers",
            layer,
            f"0 (embeddings) to {n_layers} (last layer), or -1 (last layer) to {-n_layers - 1}",
            f"The model has {n_layers} layers.",
        )
    return layer % (n_layers + 1)


def _find_layers(model: nn.Module, n_layers: int) -> list[nn.Module]:
    """Return the modules that a text passes one after another.

    They lie in the outermost list of modules that is as long as the model is deep, or, where
    layers are shared, in the outermost list there is.
    """
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    full = [modules for modules in lists if len(modules) == n_layers]
    if not (full or lists):
        raise ModelLoadError(
            f"{type(model).__name__} has no list of layers, so it can't be run up to a depth. "
            f"Accepted: encoders such as BERT, RoBERTa, DistilBERT, ELECTRA, ALBERT, MPNet, "
            f"DeBERTa or ModernBERT."
        )
    return list((full or lists)[0])
