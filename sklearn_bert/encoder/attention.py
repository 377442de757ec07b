"""Attention for short texts on a CPU, where plain products beat PyTorch's fused kernel.

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

from sklearn_bert.encoder.dropout import dropout as drop

__all__ = ["CPU_ATTENTION", "register_cpu_attention", "use_exact_attention"]

CPU_ATTENTION = "sklearn_bert_cpu"

# Up to these lengths; above, the scores outgrow the processor's caches and the fused kernel wins.
_LONGEST_UNFUSED = {torch.bfloat16: 192, torch.float32: 40}
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
    """Attend with two batched products and a float32 softmax while the texts are short.

    Parameters and return value are those that transformers' attention interface defines.
    """
    batch, heads, length, size = query.shape
    longest = _LONGEST_UNFUSED.get(query.dtype, 0)
    # With dropout, PyTorch has no fused kernel on a CPU.
    longest = length if dropout else longest
    unsupported = kwargs.get("is_causal") or kwargs.get("position_bias") is not None
    if unsupported or length > longest or key.shape != query.shape:
        if attention_mask is not None:
            attention_mask = attention_mask.to(query.dtype)
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    flat = (batch * heads, length, size)
    scores = torch.bmm(query.reshape(flat), key.reshape(flat).transpose(1, 2))
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    scores = scores.view(batch, heads, length, length)
    scores = scores.mul_(size**-0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores.add_(attention_mask)
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    if dropout:
        weights = drop(weights, dropout)
    attended = torch.bmm(weights.view(batch * heads, length, length), value.reshape(flat))
    return attended.view(batch, heads, length, size).transpose(1, 2).contiguous(), None
