"""Softmax of scores and its gradient on a CPU, in the precision in which each is fastest.

PyTorch's kernels at 16 bits take what is left of a row after whole vectors value by value, which
takes several times as long as at float32, there and back. The measurements are in
docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

import torch

__all__ = ["change_to_gradient", "softmax_dtype"]

# Values of 16 bits that the processor takes at once.
_VALUES_AT_ONCE = 32


def softmax_dtype(dtype: torch.dtype, width: int) -> torch.dtype:
    """Return in what the softmax of rows of `width` scores is fastest."""
    slow = width <= _VALUES_AT_ONCE or width % _VALUES_AT_ONCE > 0
    return torch.float32 if dtype.itemsize == 2 and slow else dtype


def change_to_gradient(gradient: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Turn the gradient of a softmax's rows into that of its scores, in the same place.

    Autograd's own kernel, which no public function calls: it goes over scores once where sums and
    products go four times, and rounds what comes out alone.

    Parameters
    ----------
    gradient, weights : Tensor of shape (..., width)
        The softmax is `weights`. Both of the same type, and without gaps.
    """
    # From a whole vector on, what is left of a row costs no more than to go by float32.
    if weights.dtype.itemsize == 2 and weights.shape[-1] < _VALUES_AT_ONCE:
        return gradient.copy_(change_to_gradient(gradient.float(), weights.float()))
    return torch.ops.aten._softmax_backward_data.out(
        gradient, weights, -1, weights.dtype, grad_input=gradient
    )
