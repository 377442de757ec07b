"""Linear maps on a CPU that go through oneDNN in one step.

PyTorch gives float32 products to MKL, which on processors of other makers than its own reaches
half of what oneDNN does there; at bfloat16 it writes the bias first and adds the product to it.
The measurements are in docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["OneDnnLinear", "use_onednn"]

_DTYPES = (torch.float32, torch.bfloat16)


class OneDnnLinear(nn.Linear):
    """A linear map computed as a convolution with a window of one, which oneDNN takes over.

    Neither states nor weights are copied: rows of states are pixels with their features last,
    which is a memory format that oneDNN knows.
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


def use_onednn(model: nn.Module) -> None:
    """Replace the linear maps of a model on the CPU, where PyTorch has oneDNN."""
    if not torch.backends.mkldnn.is_available():
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                setattr(parent, name, OneDnnLinear.sharing(child))
