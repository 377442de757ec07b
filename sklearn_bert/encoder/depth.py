"""The layers of any encoder: its lower part up to a depth, and its upper part from a depth on.

One mechanism serves all architectures. A hook in front of every layer sees that layer's input,
which is the hidden state of the depth below it; at the depth asked for, the hook ends the pass.
The upper part is a view of the model without the layers below, and a hook in front of its first
layer hands in their states. So embeddings, masks, rotary angles and position biases stay each
model's own business.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from numbers import Integral
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from sklearn_bert.encoder.execution import without_autocast
from sklearn_bert.encoder.hooks import weakly, wrap_forward
from sklearn_bert.encoder.randomness import same_draws
from sklearn_bert.errors import architecture_error, parameter_error

__all__ = [
    "LowerPart",
    "UpperPart",
    "cast_states",
    "checkpoint_activations",
    "last_layer",
    "parameter_places",
    "resolve_layer",
]

# Modules that follow the layers, by name.
_AFTER_LAYERS = ("pooler", "final_norm")

Visit = Callable[[int, torch.Tensor], None]


class LowerPart:
    """Runs a model from its embeddings, or from states at a depth, up to any higher depth.

    Depth 0 is the output of the embeddings (after a projection, where the model has one); depth
    i the output of layer i; at the full depth, as in transformers, after a final norm.

    Parameters
    ----------
    model : PreTrainedModel
        An encoder. Gets one hook a layer, which is idle outside `run`.
    start : int, default=0
        The depth to start at. Above 0, `run` takes ``states`` and ``attention_mask``.

    Attributes
    ----------
    start : int
        As given.
    n_layers : int
        Number of layers that a text passes.
    shares_layers : bool
        Whether several layers are the same module (ALBERT).
    """

    def __init__(self, model: PreTrainedModel, start: int = 0) -> None:
        self.model = model
        self.start = start
        self.n_layers = int(model.config.num_hidden_layers)
        layers = _find_layers(model)
        self.shares_layers = _share(model, layers)
        self._run = threading.local()
        self._upper = UpperPart(model, start) if start else None
        for layer in layers[start:]:
            layer.register_forward_pre_hook(weakly(self._before_layer), with_kwargs=True)

    def run(self, inputs: dict[str, torch.Tensor], depth: int, visit: Visit) -> torch.Tensor | None:
        """Run `inputs` up to `depth`, calling `visit(i, states)` for every depth i passed.

        Parameters
        ----------
        inputs : dict of str to Tensor
            What the model takes.
        depth : int
            From `start` to `n_layers`; layers above are not run.
        visit : callable
            Called in ascending order, `depth` included, with states of shape
            (batch, length, hidden).

        Returns
        -------
        Tensor of shape (batch, hidden) or None
            The pooler's output, where the model has a pooler and the depth is full.

        Raises
        ------
        ModelLoadError
            If the text passed other modules than the layers that were found.
        """
        device = next(iter(inputs.values())).device
        self._run.passed, self._run.depth, self._run.visit = self.start, depth, visit
        output = None
        with without_autocast(device):
            try:
                output = (self._upper or self.model)(**inputs)
            except _DepthReached:
                if depth < self.n_layers:
                    return None
            finally:
                self._run.visit = None
            if output is None or self._run.passed != self.n_layers:
                raise architecture_error(
                    self.model, f"a text does not pass {self.n_layers} layers one after another"
                )
            visit(self.n_layers, output.last_hidden_state)
        pooled: torch.Tensor | None = getattr(output, "pooler_output", None)
        return pooled

    def _before_layer(
        self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        visit = getattr(self._run, "visit", None)
        if visit is None:
            return
        visit(self._run.passed, _states_of(args, kwargs))
        if self._run.passed == self._run.depth:
            raise _DepthReached
        self._run.passed += 1


class UpperPart(nn.Module):
    """The layers of a model above a depth, which take the states at that depth.

    Parameters
    ----------
    model : PreTrainedModel
        An encoder. It is left as it is; the part shares its parameters.
    start : int
        The depth that states are given at, at least 1.

    Attributes
    ----------
    model : PreTrainedModel
        A view of the model without embeddings of tokens and without the layers below.
    start : int
        As given.
    """

    def __init__(self, model: PreTrainedModel, start: int) -> None:
        super().__init__()
        layers = _find_layers(model)
        self.start = start
        self.model = _view_above(model, layers, start)
        self._run = threading.local()
        layers[start].register_forward_pre_hook(weakly(self._hand_in), with_kwargs=True)

    def forward(self, states: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Any:
        """Return the model's output for states of shape (batch, length, hidden)."""
        width = self.model.get_input_embeddings().embedding_dim
        nothing = torch.zeros(1, dtype=states.dtype, device=states.device)
        self._run.given = states
        try:
            return self.model(
                inputs_embeds=nothing.expand(*states.shape[:2], width),
                attention_mask=attention_mask,
            )
        finally:
            self._run.given = None

    def _hand_in(
        self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        given = getattr(self._run, "given", None)
        return None if given is None else _with_states(given, args, kwargs)


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


def _share(model: PreTrainedModel, layers: list[nn.Module]) -> bool:
    """Say whether the layers share weights; ALBERT's count as such however many groups it has."""
    fewer = len(layers) < int(model.config.num_hidden_layers)
    return fewer or hasattr(model.config, "num_hidden_groups")


def _find_layers(model: PreTrainedModel) -> list[nn.Module]:
    """Return the modules that a text passes one after another.

    They lie in the outermost list of modules that is as long as the model is deep, or, where
    layers are shared, in the outermost list there is.
    """
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    n_layers = int(model.config.num_hidden_layers)
    full = [modules for modules in lists if len(modules) == n_layers]
    if not (full or lists):
        raise architecture_error(model, "it has no list of layers")
    return list((full or lists)[0])


def last_layer(model: PreTrainedModel) -> nn.Module:
    """Return the module that a text passes last, but for what follows the layers."""
    return _find_layers(model)[-1]


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Have each layer compute its activations again in the backward pass instead of keeping them.

    transformers' own way has changed its name between versions, and would hand in states twice.
    """
    for layer in _find_layers(model):
        wrap_forward(layer, _checkpointed)


def cast_states(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Have the layers get states in `dtype`, as they get kept ones.

    Under autocast on a CPU, sums and norms keep the type of their states, which after embeddings is
    float32.
    """

    def cast(
        layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return _with_states(_states_of(args, kwargs).to(dtype), args, kwargs)

    layers = _find_layers(model)
    layers[0].register_forward_pre_hook(cast, with_kwargs=True)


def _states_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """Return the states that a layer is called with: the first argument, or by their name."""
    states: torch.Tensor = args[0] if args else kwargs["hidden_states"]
    return states


def _with_states(
    states: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a layer's arguments with other states."""
    if args:
        return (states, *args[1:]), kwargs
    return args, kwargs | {"hidden_states": states}


def _checkpointed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=same_draws, **kwargs)


def parameter_places(model: PreTrainedModel) -> dict[str, int | None]:
    """Say for each parameter where a text meets it.

    Returns
    -------
    dict of str to int or None
        -1 for the embeddings, i for layer i, the number of layers for what comes after them, None
        for what several layers share.
    """
    n_layers = int(model.config.num_hidden_layers)
    layers = _find_layers(model)
    shared = _share(model, layers)
    numbers = {id(p): i for i, layer in enumerate(layers) for p in layer.parameters()}
    places: dict[str, int | None] = {}
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        if id(parameter) in numbers:
            places[name] = None if shared else numbers[id(parameter)]
        elif any(part.startswith("embedding") for part in parts):
            places[name] = -1
        else:
            places[name] = n_layers if parts[0] in _AFTER_LAYERS else None
    return places


def _view_above(module: Any, layers: list[nn.Module], start: int) -> Any:
    """Copy the tree of modules without the layers below `start`; parameters are shared."""
    view = _shallow(module)
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList) and list(child) == layers:
            view._modules[name] = nn.ModuleList(layers[start:])
        elif name == "conv" and any(isinstance(c, nn.ModuleList) for c in module.children()):
            # DeBERTa's convolution follows the first layer.
            view._modules[name] = None
        else:
            view._modules[name] = _view_above(child, layers, start)
    if isinstance(module, PreTrainedModel):
        weight = module.get_input_embeddings().weight
        nothing = nn.Embedding.from_pretrained(torch.zeros_like(weight[:1]), freeze=True)
        view.set_input_embeddings(nothing)
    return view


def _shallow(module: nn.Module) -> Any:
    """Return a module with the same parameters and attributes, whose children can be changed."""
    copied = module.__class__.__new__(module.__class__)
    copied.__dict__ = module.__dict__.copy()
    copied.__dict__["_modules"] = OrderedDict(module._modules)
    return copied
