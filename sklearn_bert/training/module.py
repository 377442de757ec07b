"""The module that is trained: the upper part of an encoder, pooling, and a head."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.depth import UpperPart, checkpoint_activations
from sklearn_bert.encoder.dropout import CpuDropout
from sklearn_bert.encoder.embedding import RowsInUse, is_plain
from sklearn_bert.encoder.first_token import FIRST_TOKEN_POOLINGS, read_first_token_alone
from sklearn_bert.encoder.freezing import Freezing
from sklearn_bert.encoder.loading import set_weights
from sklearn_bert.encoder.pairs import SIDES, sides
from sklearn_bert.encoder.pooling import Counted, pool
from sklearn_bert.encoder.randomness import generator

__all__ = [
    "ACTIVATIONS",
    "FineTuneModule",
    "as_arrays",
    "as_tensors",
    "build_head",
    "count_trainable",
    "head_settings",
    "n_features",
    "restore_head",
    "train_where_it_trains",
]

# scikit-learn's names of MLPClassifier, and the one that BERT is used to.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
}


class _Narrowed(NamedTuple):
    """A word embedding that rows of it stand in for, and the name of its weights."""

    name: str
    embedding: nn.Embedding
    rows: RowsInUse


class FineTuneModule(nn.Module):
    """Takes token ids, states at a depth or pooled vectors, and returns the head's outputs.

    Parameters
    ----------
    head : nn.Sequential
        From pooled vectors to outputs; see `build_head`.
    poolings : sequence of str
        How states become one vector; several are concatenated.
    pairs : {"joint", "separate"}, default="joint"
        With "separate", a row of a batch is the two halves of a pair, whose vectors are joined.

    Attributes
    ----------
    encoder : PreTrainedModel, UpperPart or None
        What of the encoder runs in training; None if nothing of it trains, or until `attach`.
    encoder_parameters : dict of str to Parameter
        What trains of the encoder at any time, by its names in the whole model.
    """

    def __init__(self, head: nn.Sequential, poolings: Sequence[str], pairs: str = "joint") -> None:
        super().__init__()
        self.head: nn.Sequential = head
        self.poolings = tuple(poolings)
        self.pairs = pairs
        self.encoder: nn.Module | None
        self.register_module("encoder", None)
        self.encoder_parameters: dict[str, nn.Parameter] = {}
        self._parts: dict[int, nn.Module] = {}
        self._narrowed: _Narrowed | None = None
        self._trained: dict[str, torch.Tensor] = {}
        self._autocast: torch.dtype | None = None

    def attach(
        self,
        checkpoint: Checkpoint,
        freezing: Freezing,
        gradient_checkpointing: bool = False,
        depths: Collection[int] = (),
    ) -> None:
        """Load the part of the encoder that trains, with what was trained of it before, if any.

        Parameters
        ----------
        checkpoint : Checkpoint
            The pretrained encoder.
        freezing : Freezing
            What trains at any time.
        gradient_checkpointing : bool, default=False
            Whether activations are computed twice instead of kept.
        depths : collection of int
            Above that of `freezing`, where `enter` will have the part begin.
        """
        self._autocast = checkpoint.dtype if checkpoint.dtype.itemsize == 2 else None
        self.head.to(checkpoint.device, checkpoint.exact_dtype)
        if not freezing.trainable:
            return
        model = checkpoint.trainable_copy()
        if "pooler" not in self.poolings and hasattr(model, "pooler"):
            model.pooler = None
        if FIRST_TOKEN_POOLINGS.issuperset(self.poolings):
            read_first_token_alone(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in freezing.trainable)
        set_weights(model, self._trained)
        # By their names in the whole model, whatever the part calls them.
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        if gradient_checkpointing:
            checkpoint_activations(model)
        self._parts = {
            depth: UpperPart(model, depth) if depth else model
            for depth in {freezing.depth, *depths} - {checkpoint.n_layers}
        }
        checkpoint.settle(nn.ModuleList(self._parts.values()))
        whole = self._parts[freezing.depth]
        self.encoder_parameters = {names[id(p)]: p for p in whole.parameters() if p.requires_grad}
        self._trained = {}
        self.enter(freezing)

    def narrow(self, ids: torch.Tensor) -> None:
        """Train those rows of the word embeddings alone that are in use, until `widen`.

        Parameters
        ----------
        ids : int Tensor of shape (n,)
            The tokens of all texts, without repeats.
        """
        whole: Any = self._parts.get(0)
        if whole is None:
            return
        embedding = whole.get_input_embeddings()
        names = [n for n, p in self.encoder_parameters.items() if p is embedding.weight]
        if names and is_plain(embedding):
            rows = RowsInUse(embedding, ids)
            embedding.weight.data = rows.weight.new_empty(0)
            whole.set_input_embeddings(rows)
            self._narrowed = _Narrowed(names[0], embedding, rows)
            self.encoder_parameters[names[0]] = rows.weight

    def widen(self) -> None:
        """Put all rows of the word embeddings back."""
        narrowed, self._narrowed = self._narrowed, None
        if narrowed is not None:
            whole: Any = self._parts[0]
            narrowed.embedding.weight.data = narrowed.rows.whole()
            whole.set_input_embeddings(narrowed.embedding)
            self.encoder_parameters |= {narrowed.name: whole.get_input_embeddings().weight}

    def enter(self, freezing: Freezing) -> None:
        """Train what `freezing` says, of what is attached, and run what lies above its depth."""
        for name, parameter in self.encoder_parameters.items():
            parameter.requires_grad_(name in freezing.trainable)
        self.encoder = self._parts.get(freezing.depth)
        self.set_modes()

    def settle(self, freezing: Freezing) -> None:
        """Let go of what is not of `freezing`, and never trained: stages that were not reached."""
        parameters = self.encoder_parameters.items()
        self.encoder_parameters = {n: p for n, p in parameters if n in freezing.trainable}
        self._parts = {
            depth: part for depth, part in self._parts.items() if depth >= freezing.depth
        }
        self.enter(freezing)

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

    def forward(self, vectors: torch.Tensor | None = None, **inputs: torch.Tensor) -> torch.Tensor:
        """Return the head's outputs, of shape (batch, n_outputs)."""
        if self.pairs == "joint":
            return self.head(self._pooled(inputs) if vectors is None else vectors)
        if vectors is None:
            of_halves = {name: tensor.flatten(0, 1) for name, tensor in inputs.items()}
            vectors = self._pooled(of_halves).unflatten(0, (-1, 2))
        return self.head(torch.cat(sides(*vectors.unbind(1)), dim=1))

    def _pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        assert self.encoder is not None
        device = next(iter(inputs.values())).device.type
        with torch.autocast(device, self._autocast, enabled=self._autocast is not None):
            output: Any = self.encoder(**inputs)
        states = output.last_hidden_state
        mask = inputs.get("attention_mask")
        counted = None if mask is None else Counted(mask.bool())
        exact = torch.promote_types(states.dtype, torch.float32)
        pooled = [
            output.pooler_output if pooling == "pooler" else pool(pooling, states, counted)
            for pooling in self.poolings
        ]
        return torch.cat([vector.to(exact) for vector in pooled], dim=1)

    def trained(self) -> dict[str, torch.Tensor]:
        """Return what trains of the encoder, by its names in the whole model."""
        trained: dict[str, torch.Tensor] = dict(self.encoder_parameters)
        if self._narrowed is not None:
            trained[self._narrowed.name] = self._narrowed.rows.whole()
        return trained or self._trained

    def n_trainable_parameters(self) -> int:
        """Count what trains, rows of word embeddings that happen not to occur included."""
        count = count_trainable(self.trained_parameters())
        left_out = 0 if self._narrowed is None else self._narrowed.rows.n_left_out
        return count + left_out

    def trained_parameters(self) -> list[nn.Parameter]:
        """Return all parameters that train: the head's, then the encoder's."""
        return [*self.head.parameters(), *self.encoder_parameters.values()]

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the weights under the same names in each stage of a training."""
        with self._whole():
            state: dict[str, Any] = super().state_dict(*args, **kwargs)
        return state

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Take the weights of any stage of a training over."""
        with self._whole():
            return super().load_state_dict(*args, **kwargs)

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """Have all that trains at any time in the encoder, whatever part of it runs now."""
        runs = self.encoder
        self.encoder = self._parts[min(self._parts)] if self._parts else runs
        try:
            yield
        finally:
            self.encoder = runs

    def __getstate__(self) -> dict[str, Any]:
        """Keep what was trained as arrays, which know no device; the rest is found again."""
        state = self.__dict__.copy()
        state["_modules"] = {"head": None, "encoder": None}
        state["_head"] = head_settings(self.head), as_arrays(self.head.state_dict())
        state["_trained"] = as_arrays(self.trained())
        state["encoder_parameters"] = {}
        state["_narrowed"] = None
        state["_parts"] = {}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        settings, weights = state.pop("_head")
        super().__setstate__(state)
        self._trained = as_tensors(state["_trained"])
        self.head = restore_head(settings, as_tensors(weights)).train(self.training)


def n_features(hidden_size: int, poolings: Sequence[str], pairs: str) -> int:
    """Return the width of what a head is given."""
    return hidden_size * len(poolings) * (len(SIDES) if pairs == "separate" else 1)


def count_trainable(parameters: Iterable[nn.Parameter]) -> int:
    """Count the values of the parameters that train."""
    return sum(p.numel() for p in parameters if p.requires_grad)


def build_head(
    n_features: int,
    hidden_layer_sizes: Sequence[int],
    n_outputs: int,
    activation: str,
    dropout: float,
    linear: Callable[..., nn.Linear] | None = None,
) -> nn.Sequential:
    """Return a linear map or a multi-layer perceptron, with dropout before each linear map.

    The last linear map starts as BERT's do: normal with a standard deviation of 0.02, zero biases;
    unless `linear` makes them.
    """
    linear = linear or _new_linear
    sizes = [n_features, *hidden_layer_sizes, n_outputs]
    layers: list[nn.Module] = []
    for number, (inner, outer) in enumerate(pairwise(sizes)):
        if number:
            layers.append(ACTIVATIONS[activation]())
        is_last = number == len(sizes) - 2
        layers += [CpuDropout(dropout), linear(inner, outer, is_last)]
    return nn.Sequential(*layers)


def restore_head(settings: dict[str, Any], weights: Mapping[str, torch.Tensor]) -> nn.Sequential:
    """Return the head that had these settings and weights.

    Nothing is allocated for sizes that the weights do not have.

    Raises
    ------
    RuntimeError
        If the weights are others.
    """
    head = build_head(**settings, linear=_linear_without_weights)
    head.load_state_dict(dict(weights), assign=True)
    return head


def head_settings(head: nn.Sequential) -> dict[str, Any]:
    """Return what `build_head` was called with."""
    linears = [layer for layer in head if isinstance(layer, nn.Linear)]
    names = {kind: name for name, kind in ACTIVATIONS.items()}
    activations = [names[type(layer)] for layer in head if type(layer) in names]
    return {
        "n_features": linears[0].in_features,
        "hidden_layer_sizes": [linear.out_features for linear in linears[:-1]],
        "n_outputs": linears[-1].out_features,
        "activation": activations[0] if activations else "relu",
        "dropout": next(layer.p for layer in head if isinstance(layer, nn.Dropout)),
    }


def set_dropout(head: nn.Sequential, p: float) -> None:
    """Have a head drop another share of values."""
    for layer in head:
        if isinstance(layer, nn.Dropout):
            layer.p = p


def _new_linear(inner: int, outer: int, is_last: bool) -> nn.Linear:
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, inner, outer, dtype=torch.float32)
    # Not by torch.nn.init: transformers replaces it while another thread loads a model.
    weight, bias = linear.weight.data, linear.bias.data
    if is_last:
        weight.normal_(std=0.02, generator=generator())
        bias.zero_()
        return linear
    # As PyTorch starts linear maps.
    bound = inner**-0.5
    weight.uniform_(-bound, bound, generator=generator())
    bias.uniform_(-bound, bound, generator=generator())
    return linear


def _linear_without_weights(inner: int, outer: int, is_last: bool) -> nn.Linear:
    return nn.Linear(inner, outer, device="meta")


def train_where_it_trains(module: nn.Module, mode: bool) -> None:
    """Set the mode by what trains; modules without parameters go with the one they are in."""
    parameters = list(module.parameters())
    if parameters:
        mode = mode and any(parameter.requires_grad for parameter in parameters)
    module.training = mode
    for child in module.children():
        train_where_it_trains(child, mode)


def as_arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return tensors as what a pickle can hold: arrays know no device."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def as_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Return what `as_arrays` was given, on the CPU."""
    # Copies: what a pickle or a deep copy hands over may be read-only, or another's.
    return {name: torch.tensor(array) for name, array in arrays.items()}
