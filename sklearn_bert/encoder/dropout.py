"""Dropout for training on a CPU, with a quarter of the random numbers.

PyTorch draws a number for each value and spends more time on it than on the sums around it. Sixteen
bits of a draw are enough to tell whether a value is dropped. The measurements are in
docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

import torch
from torch import nn

from sklearn_bert.encoder.randomness import generator

__all__ = ["CpuDropout", "draw_kept", "dropout", "use_cpu_dropout"]

_BITS = 16


def dropout(values: torch.Tensor, p: float) -> torch.Tensor:
    """Set values to 0 with probability `p`, to 1 in 65,536, and scale up the others.

    Parameters
    ----------
    values : Tensor
        On the CPU.
    p : float
        From 0 to 1.
    """
    if p >= 1:
        return values * 0
    return values * (draw_kept(values.shape, p).to(values.dtype) * (1 / (1 - p)))


def draw_kept(shape: torch.Size, p: float) -> torch.Tensor:
    """Draw which values are kept: a boolean tensor, False with probability `p`."""
    n_values = shape.numel()
    draws = torch.empty(-(-n_values // 4), dtype=torch.int64)
    draws.random_(-(2**63), None, generator=generator())
    bits = draws.view(torch.int16)[:n_values].view(shape)
    return bits >= round(p * 2**_BITS) - 2 ** (_BITS - 1)


class CpuDropout(nn.Dropout):
    """A dropout layer that uses `dropout` in training on a CPU."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Drop values in training; pass them on otherwise."""
        if values.device.type != "cpu":
            return super().forward(values)
        return dropout(values, self.p) if self.training and self.p else values


def use_cpu_dropout(model: nn.Module) -> None:
    """Replace the dropout layers of a model on the CPU."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout and child.p < 1:
                setattr(parent, name, CpuDropout(child.p).train(child.training))
