"""Attention on a CPU, where plain products often beat PyTorch's fused kernel.

Registered with transformers' attention interface; models that don't use that interface keep
their own. The measurements are in docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from sklearn_bert.encoder.blockwise import attend_in_blocks
from sklearn_bert.encoder.dropout import dropout as drop

__all__ = ["CPU_ATTENTION", "register_cpu_attention", "use_exact_attention"]

CPU_ATTENTION = "sklearn_bert_cpu"

# Up to these lengths all scores are made at once; above, they outgrow the processor's caches.
_LONGEST_WHOLE = 128
_LONGEST_WHOLE_WITHOUT_GRADIENTS = 32
_LONGEST_WHOLE_BEFORE_FUSED = {torch.float32: 40}
# Rows of so many scores have their softmax in float32, which is faster for short ones.
_SHORT_ROW = 32
# As good as minus infinity in a softmax, and finite in bfloat16.
_HIDDEN = -1e30


def register_cpu_attention() -> None:
    """Make the attention known to transformers under `CPU_ATTENTION`."""
    AttentionInterface.register(CPU_ATTENTION, cpu_attention)
    AttentionMaskInterface.register(CPU_ATTENTION, additive_mask)


def use_exact_attention(model: PreTrainedModel) -> None:
    """Keep autocast out of the first DeBERTa's attention, which can't compute in two precisions.

    Under autocast it fills scores in bfloat16 with the least number of float32. Other models are
    left as they are.
    """
    if model.config.model_type != "deberta":
        return
    for module in model.modules():
        if hasattr(module, "q_bias"):
            module.forward = partial(_exact, module.forward)


def _exact(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    device = next(arg for arg in (*args, *kwargs.values()) if torch.is_tensor(arg)).device
    with torch.autocast(device.type, enabled=False):
        exact = {name: _to_float32(value) for name, value in kwargs.items()}
        return forward(*map(_to_float32, args), **exact)


def _to_float32(value: Any) -> Any:
    rough = torch.is_tensor(value) and value.dtype == torch.bfloat16
    return value.float() if rough else value


def additive_mask(*args: Any, **kwargs: Any) -> torch.Tensor | None:
    """Return transformers' mask as numbers to add, which is done in every layer and must be quick.

    Parameters are those of transformers' mask interface.
    """
    visible = sdpa_mask(*args, **kwargs)
    if visible is None:
        return None
    return torch.zeros(visible.shape, device=visible.device).masked_fill_(~visible, _HIDDEN)


def cpu_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attend in the way that is fastest for these lengths, this precision, and with gradients.

    Parameters and return value are those that transformers' attention interface defines.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    unsupported = kwargs.get("is_causal") or kwargs.get("position_bias") is not None
    if not unsupported and key.shape == query.shape:
        way = _way(query.dtype, query.shape[2], dropout)
        if way is not None:
            return way(query, key, value, attention_mask, scale, dropout), None
    if attention_mask is not None:
        attention_mask = attention_mask.to(query.dtype)
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
    )


def _way(dtype: torch.dtype, length: int, dropout: float) -> Callable[..., torch.Tensor] | None:
    """Return how to attend, or None where PyTorch's fused kernel is faster."""
    # With dropout, PyTorch has no fused kernel on a CPU.
    if dtype != torch.bfloat16 and not dropout:
        return _whole if length <= _LONGEST_WHOLE_BEFORE_FUSED.get(dtype, 0) else None
    longest = _LONGEST_WHOLE if torch.is_grad_enabled() else _LONGEST_WHOLE_WITHOUT_GRADIENTS
    # Blocks divide by the share that is kept.
    return _whole if length <= longest or dropout >= 1 else attend_in_blocks


def _whole(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    dropout: float,
) -> torch.Tensor:
    """Attend with two batched products and a softmax."""
    batch, heads, length, size = query.shape
    flat = (batch * heads, length, size)
    exact = torch.promote_types(query.dtype, torch.float32)
    dtype = exact if length <= _SHORT_ROW else query.dtype
    queries, keys = query.reshape(flat), key.reshape(flat).mT
    scores = torch.baddbmm(query.new_empty(1), queries, keys, beta=0, alpha=scale).to(dtype)
    scores = scores.view(batch, heads, length, length)
    if mask is not None:
        scores = scores.add_(mask.to(dtype))
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    if dropout:
        weights = drop(weights, dropout)
    attended = torch.bmm(weights.view(batch * heads, length, length), value.reshape(flat))
    return attended.view(batch, heads, length, size).transpose(1, 2).contiguous()
