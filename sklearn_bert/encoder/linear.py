"""Linear maps on a CPU that go through oneDNN in one step.

PyTorch gives float32 products to MKL, which leaves the long vectors of processors of other makers
than its own alone and then reaches half of what oneDNN does; and at any precision it lays the
weights out anew for each product. What is frozen has its weights laid out once, and the GELU behind
a map computed in the product's own kernel. Measured in docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from transformers.activations import GELUActivation

from sklearn_bert.encoder.execution import has_slow_mkl

__all__ = ["OneDnnLinear", "PackedLinear", "pack_linear", "use_onednn"]

_DTYPES = (torch.float32, torch.bfloat16)
# A linear map and the activation that its module applies to what it gives, by architecture.
_FOLLOWED_BY = (
    ("dense", "intermediate_act_fn"),
    ("lin1", "activation"),
    ("ffn", "activation"),
)
# How many rows the layout of weights is made for; others are as fast.
_ROWS = 2048


class OneDnnLinear(nn.Linear):
    """A linear map computed as a convolution with a window of one, which oneDNN takes over.

    Neither states nor weights are copied: rows of states are pixels with their features last,
    which is a memory format that oneDNN knows. It has gradients, for float32 training.
    """

    @classmethod
    def sharing(cls, linear: nn.Linear) -> OneDnnLinear:
        """Return the same map, with the same parameters and not copies of them."""
        shared = cls(linear.in_features, linear.out_features, device="meta")
        shared.weight, shared.bias = linear.weight, linear.bias
        return shared.train(linear.training)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Apply the map to the last dimension."""
        if states.dtype not in _DTYPES or states.numel() == 0:
            return super().forward(states)
        rows = states.reshape(1, -1, 1, states.shape[-1]).permute(0, 3, 1, 2)
        mapped = F.conv2d(rows, self.weight[:, :, None, None], self.bias)
        return mapped.permute(0, 2, 3, 1).reshape(*states.shape[:-1], self.out_features)


class PackedLinear(nn.Module):
    """A linear map that is never trained, its weights as oneDNN multiplies them.

    Parameters
    ----------
    linear : nn.Linear
        On the CPU, in float32 or bfloat16. Its weights are copied, so that it can be let go of.
    gelu : bool, default=False
        Whether the exact GELU is applied to what the map gives.
    """

    def __init__(self, linear: nn.Linear, gelu: bool = False) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._bias = None if linear.bias is None else linear.bias.detach().clone()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self._activation: tuple[str, list[float], str] = (
            ("gelu", [], "none") if gelu else ("none", [], "")
        )

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Apply the map to the last dimension."""
        mapped: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            states, self._weight, self._bias, *self._activation
        )
        return mapped


def use_onednn(model: nn.Module) -> None:
    """Replace the linear maps of a model on the CPU, where oneDNN is the faster."""
    if not (torch.backends.mkldnn.is_available() and has_slow_mkl()):
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                setattr(parent, name, OneDnnLinear.sharing(child))


def pack_linear(model: nn.Module) -> None:
    """Replace the linear maps of a frozen model on the CPU, and let go of their weights.

    What packs and multiplies is what torch.compile calls, and not public; where a build of PyTorch
    lacks it, the maps are as in training (see `use_onednn`).
    """
    if not _can_pack():
        use_onednn(model)
        return
    for parent in list(model.modules()):
        children = dict(parent.named_children())
        for linear, activation in _FOLLOWED_BY:
            child = children.get(linear)
            if type(child) is nn.Linear and _is_exact_gelu(children.get(activation)):
                setattr(parent, linear, PackedLinear(child, gelu=True))
                setattr(parent, activation, nn.Identity())
                del children[linear]
        for name, child in children.items():
            if type(child) is nn.Linear:
                setattr(parent, name, PackedLinear(child))


def _can_pack() -> bool:
    there = ("_reorder_linear_weight", "_linear_pointwise")
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in there
    )


def _is_exact_gelu(activation: nn.Module | None) -> bool:
    if isinstance(activation, nn.GELU):
        return activation.approximate == "none"
    return isinstance(activation, GELUActivation) and activation.act is F.gelu
