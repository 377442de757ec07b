"""Attention for short texts in bfloat16 on a CPU, where plain products beat the fused kernel.

Registered with transformers' attention interface; models that don't use that interface keep
their own. The measurements are in docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

__all__ = ["CPU_ATTENTION", "register_cpu_attention"]

CPU_ATTENTION = "sklearn_bert_cpu"

# Above this length the scores no longer fit the processor's caches and the fused kernel wins.
_LONGEST_UNFUSED = 384


def register_cpu_attention() -> None:
    """Make the attention known to transformers under `CPU_ATTENTION`."""
    AttentionInterface.register(CPU_ATTENTION, cpu_attention)
    AttentionMaskInterface.register(CPU_ATTENTION, sdpa_mask)


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
    """Attend with two batched products and a float32 softmax while the texts are short.

    Parameters and return value are those that transformers' attention interface defines.
    """
    length = query.shape[2]
    unsupported = dropout or kwargs.get("is_causal") or kwargs.get("position_bias") is not None
    if unsupported or length > _LONGEST_UNFUSED or key.shape != query.shape:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    batch, heads, _, size = query.shape
    flat = (batch * heads, length, size)
    scale = size**-0.5 if scaling is None else scaling
    scores = torch.bmm(query.reshape(flat), key.reshape(flat).transpose(1, 2))
    weights = scores.to(torch.promote_types(scores.dtype, torch.float32)).mul_(scale)
    if attention_mask is not None:
        hidden = ~attention_mask.expand(batch, heads, length, length).reshape(scores.shape)
        weights = weights.masked_fill_(hidden, torch.finfo(weights.dtype).min)
    weights = torch.softmax(weights, dim=-1).to(value.dtype)
    attended = torch.bmm(weights, value.reshape(flat)).view(batch, heads, length, size)
    return attended.transpose(1, 2).contiguous(), None
