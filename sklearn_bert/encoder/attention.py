"""Attention on a CPU, where plain products often beat PyTorch's fused kernel.

Registered with transformers' attention interface; models that don't use that interface keep
their own. The measurements are in docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

import math
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

# Up to these lengths all scores are made at once; above, they outgrow the processor's caches.
_LONGEST_WHOLE = {torch.bfloat16: 192, torch.float32: 40}
# With nothing to keep for gradients, bfloat16 goes on in blocks of so many scores.
_LONGEST_WHOLE_BEFORE_BLOCKS = 32
_SCORES_OF_A_BLOCK = 1_000_000
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
    length, size = query.shape[2:]
    scale = size**-0.5 if scaling is None else scaling
    unsupported = kwargs.get("is_causal") or kwargs.get("position_bias") is not None
    if not unsupported and key.shape == query.shape:
        if (
            query.dtype == torch.bfloat16
            and not torch.is_grad_enabled()
            and length > _LONGEST_WHOLE_BEFORE_BLOCKS
        ):
            return _in_blocks(query, key, value, attention_mask, scale), None
        # With dropout, PyTorch has no fused kernel on a CPU.
        if dropout or length <= _LONGEST_WHOLE.get(query.dtype, 0):
            return _whole(query, key, value, attention_mask, scale, dropout), None
    if attention_mask is not None:
        attention_mask = attention_mask.to(query.dtype)
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
    )


def _whole(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    dropout: float,
) -> torch.Tensor:
    """Attend with two batched products and a float32 softmax."""
    batch, heads, length, size = query.shape
    flat = (batch * heads, length, size)
    scores = torch.bmm(query.reshape(flat), key.reshape(flat).transpose(1, 2))
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    scores = scores.view(batch, heads, length, length).mul_(scale)
    if mask is not None:
        scores = scores.add_(mask)
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    if dropout:
        weights = drop(weights, dropout)
    attended = torch.bmm(weights.view(batch * heads, length, length), value.reshape(flat))
    return attended.view(batch, heads, length, size).transpose(1, 2).contiguous()


def _in_blocks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
) -> torch.Tensor:
    """Attend for some texts, or some positions of one, at a time, in memory used again.

    What goes in and out of a softmax of bfloat16 is bfloat16; in between it is float32.
    """
    batch, heads, length, size = query.shape
    n_texts = min(batch, max(1, _SCORES_OF_A_BLOCK // (heads * length * length)))
    n_blocks = max(1, round(n_texts * heads * length * length / _SCORES_OF_A_BLOCK))
    n_rows = -(-length // n_blocks)
    memory = query.new_empty(n_texts * heads * n_rows * length)
    attended = query.new_empty(batch, length, heads, size)
    mask = None if mask is None else mask.to(query.dtype)
    for text in range(0, batch, n_texts):
        texts = slice(text, min(text + n_texts, batch))
        flat = ((texts.stop - text) * heads, length, size)
        queries, values = query[texts].reshape(flat), value[texts].reshape(flat)
        keys = key[texts].reshape(flat).transpose(1, 2)
        for row in range(0, length, n_rows):
            rows = slice(row, min(row + n_rows, length))
            shape = (flat[0], rows.stop - row, length)
            scores = memory[: math.prod(shape)].view(shape)
            torch.baddbmm(scores, queries[:, rows], keys, beta=0, alpha=scale, out=scores)
            if mask is not None:
                scores.view(-1, heads, *shape[1:]).add_(mask[texts, :, rows])
            torch.softmax(scores, dim=-1, out=scores)
            found = torch.bmm(scores, values).view(-1, heads, shape[1], size)
            attended[texts, rows] = found.transpose(1, 2)
    return attended
