"""Linear maps for float32 on a CPU that go through oneDNN.

PyTorch gives float32 products to MKL, which on processors of other makers than its own reaches
half of what oneDNN does there. The measurements are in docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["OneDnnLinear", "use_onednn"]


class OneDnnLinear(nn.Module):
    """A frozen linear map with its weights in oneDNN's own memory.

    Parameters
    ----------
    linear : Linear
        The map to take the place of, in float32 on the CPU.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        self._weight = linear.weight.detach().to_mkldnn()
        self._bias = None if linear.bias is None else linear.bias.detach().to_mkldnn()

    @property
    def weight(self) -> torch.Tensor:
        """The weights as an ordinary tensor, for models that look at them."""
        return self._weight.to_dense()

    @property
    def bias(self) -> torch.Tensor | None:
        """The bias as an ordinary tensor, for models that look at it."""
        return None if self._bias is None else self._bias.to_dense()

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Apply the map to the last dimension."""
        return F.linear(states.to_mkldnn(), self._weight, self._bias).to_dense()


def use_onednn(model: nn.Module) -> None:
    """Replace the linear maps of a frozen float32 model on the CPU, where oneDNN is at hand."""
    if not torch.backends.mkldnn.is_available():
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                setattr(parent, name, OneDnnLinear(child))
