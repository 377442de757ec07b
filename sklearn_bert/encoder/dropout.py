"""Dropout for training on a CPU, with a quarter of the random numbers.

PyTorch draws a number for each value and spends more time on it than on the sums around it. Sixteen
bits of a draw are enough to tell whether a value is dropped. What is kept is a factor of 0 or 1:
products with booleans take several times as long. The measurements are in
docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sklearn_bert.encoder.randomness import generator

__all__ = ["CpuDropout", "draw_kept", "dropout", "use_cpu_dropout"]

_PART, _DRAW = np.iinfo(np.int16), np.iinfo(np.int64)


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
    return values * draw_kept(values.shape, p, values.dtype).mul_(1 / (1 - p))


def draw_kept(shape: torch.Size, p: float, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    """Draw which values are kept: 1, or 0 with probability `p`.

    NumPy draws, seeded by a draw of the fit's generator: PyTorch takes half as long again.
    """
    n_values = shape.numel()
    seed = torch.randint(_DRAW.max, (), generator=generator()).item()
    draws = np.random.Generator(np.random.SFC64(int(seed))).integers(
        _DRAW.min, _DRAW.max, size=-(-n_values // 4), dtype=np.int64, endpoint=True
    )
    bits = torch.from_numpy(draws.view(np.int16)[:n_values]).view(shape)
    least = min(round(p * 2**_PART.bits) + _PART.min, _PART.max)
    return torch.ge(bits, least, out=torch.empty(shape, dtype=dtype))


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
