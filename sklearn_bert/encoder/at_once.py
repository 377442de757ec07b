"""Attention with all scores of a batch at once, for short texts.

Its gradients are its own: autograd would keep three arrays of scores where two do, and copy their
gradients several times. The measurements are in docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from sklearn_bert.encoder.dropout import draw_kept
from sklearn_bert.encoder.execution import has_matrix_units
from sklearn_bert.encoder.softmax import change_to_gradient, softmax_dtype

__all__ = ["HIDDEN", "attend_at_once", "with_whole_rows"]

# As good as minus infinity in a softmax, and finite in bfloat16.
HIDDEN = -1e30
# Values of float32 that the processor takes at once. PyTorch's softmax goes over what is left of a
# row value by value, and takes several times as long as over rows filled up with what is hidden.
_VALUES_AT_ONCE = 16


def attend_at_once(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Return what is attended to, of shape (batch, length, heads, size).

    Parameters
    ----------
    query, key, value : Tensor of shape (batch, heads, length, size)
        What goes in and out of a softmax has their type; in between it may be float32.
    mask : Tensor that broadcasts to (batch, heads, length, length), or None
        Numbers to be added to the scores; no gradient flows to it.
    scale : float
        A factor of the scores.
    dropout : float, default=0.0
        The share of weights that are dropped.
    """
    # Above one vector more scores cost more than is saved, unless products are next to nothing.
    if not dropout and (key.shape[2] < _VALUES_AT_ONCE or has_matrix_units()):
        key, value, mask = with_whole_rows(key, value, mask)
    mask = None if mask is None else mask.to(softmax_dtype(query.dtype, key.shape[2]))
    if not torch.is_grad_enabled():
        return _attend(query, key, value, mask, scale, dropout)[0]
    attended: torch.Tensor = _Attention.apply(query, key, value, mask, scale, dropout)
    return attended


def with_whole_rows(
    key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Return keys, values and a mask with hidden positions, so that rows of scores are quick.

    Parameters
    ----------
    key, value : Tensor of shape (batch, heads, length, size)
        They get a multiple of 16 positions.
    mask : Tensor that broadcasts to (batch, heads, length, length), or None
        Numbers to be added to the scores.
    """
    added = -key.shape[2] % _VALUES_AT_ONCE
    if not added:
        return key, value, mask
    if mask is None:
        mask = torch.zeros((1, 1, 1, key.shape[2]), dtype=torch.float32, device=key.device)
    hidden = F.pad(mask, (0, added), value=HIDDEN)
    return F.pad(key, (0, 0, 0, added)), F.pad(value, (0, 0, 0, added)), hidden


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scale: float,
        dropout: float,
    ) -> torch.Tensor:
        attended, *kept = _attend(query, key, value, mask, scale, dropout)
        context.save_for_backward(*kept)
        context.scale, context.factor = scale, _factor(dropout)
        return attended

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        queries, keys, values, weights, kept = context.saved_tensors
        wanted = gradient.transpose(1, 2).flatten(0, 1)
        used = weights if kept is None else weights * kept
        of_values = _product(used.mT, wanted, context.factor)
        change = _product(wanted, values.mT, context.factor)
        change = change_to_gradient(change if kept is None else change.mul_(kept), weights)
        of_queries = _product(change, keys, context.scale)
        of_keys = _product(change.mT, queries, context.scale)
        heads = gradient.shape[2]
        found = (of.unflatten(0, (-1, heads)) for of in (of_queries, of_keys, of_values))
        return *found, None, None, None


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    dropout: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, Any]:
    """Return what is attended to, and what its gradients are made of."""
    batch, heads, length, size = query.shape
    # A copy each, so that a product has the maps of all texts and heads in a row.
    queries, keys, values = (states.flatten(0, 1) for states in (query, key, value))
    with torch.autocast(query.device.type, enabled=False):
        scores = _product(queries, keys.mT, scale)
        weights = _softmax(scores.view(batch, heads, length, -1), mask).view(scores.shape)
        kept = draw_kept(weights.shape, dropout, weights.dtype) if dropout else None
        used = weights if kept is None else weights * kept
        attended = _product(used, values, _factor(dropout)).view(batch, heads, length, size)
    return attended.transpose(1, 2).contiguous(), queries, keys, values, weights, kept


def _factor(dropout: float) -> float:
    """Return what makes up for the weights that are dropped."""
    return 1 / (1 - dropout) if dropout < 1 else 0.0


def _product(left: torch.Tensor, right: torch.Tensor, factor: float) -> torch.Tensor:
    if factor == 1:
        return torch.bmm(left, right)
    return torch.baddbmm(left.new_empty(1), left, right, beta=0, alpha=factor)


def _softmax(scores: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return the softmax of each row with a mask added; the scores are lost."""
    exact = scores.to(softmax_dtype(scores.dtype, scores.shape[-1]))
    if mask is not None:
        exact.add_(mask)
    return torch.softmax(exact, dim=-1, out=exact).to(scores.dtype)
