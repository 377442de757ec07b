"""Attention, by device.

On a CPU plain products often beat PyTorch's fused kernel; on a GPU those of its fused kernels are
taken that need no preparation for each new shape. Registered with transformers' attention
interface; models that don't use that interface keep their own. The measurements are in
docs/decisions/0004-cpu-speed.md and 0009-gpu-speed.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from sklearn_bert.encoder.blockwise import attend_in_blocks, softmax_dtype
from sklearn_bert.encoder.dropout import dropout as drop
from sklearn_bert.encoder.execution import has_native_bfloat16
from sklearn_bert.encoder.hooks import wrap_forward

__all__ = ["use_exact_attention", "use_fast_attention"]

# Up to these lengths all scores are made at once; above, they outgrow the processor's caches.
_LONGEST_WHOLE = 128
_LONGEST_WHOLE_WITHOUT_GRADIENTS = 64
_LONGEST_WHOLE_BEFORE_FUSED = {torch.float32: 40}
# Values of float32 that the processor takes at once. PyTorch's softmax of rows with fewer goes
# value by value, and takes several times as long as that of rows filled up with what is hidden.
_LEAST_ROW = 16
# As good as minus infinity in a softmax, and finite in bfloat16.
_HIDDEN = -1e30


def use_fast_attention(model: PreTrainedModel, device: torch.device) -> None:
    """Have a model attend in the way that is fastest on a device, if transformers lets it."""
    if device.type not in _WAYS or not getattr(model, "_supports_attention_backend", False):
        return
    attention, mask = _WAYS[device.type]
    name = f"sklearn_bert_{device.type}"
    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, mask)
    model.set_attn_implementation(name)


def use_exact_attention(model: PreTrainedModel) -> None:
    """Keep autocast out of the first DeBERTa's attention, which can't compute in two precisions.

    Under autocast it fills scores in bfloat16 with the least number of float32. Other models are
    left as they are.
    """
    if model.config.model_type != "deberta":
        return
    for module in model.modules():
        if hasattr(module, "q_bias"):
            wrap_forward(module, _exact)


def _exact(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    device = next(arg for arg in (*args, *kwargs.values()) if torch.is_tensor(arg)).device
    with torch.autocast(device.type, enabled=False):
        exact = {name: _to_float32(value) for name, value in kwargs.items()}
        return forward(*map(_to_float32, args), **exact)


def _to_float32(value: Any) -> Any:
    rough = torch.is_tensor(value) and value.dtype == torch.bfloat16
    return value.float() if rough else value


def boolean_mask(*args: Any, **kwargs: Any) -> torch.Tensor | None:
    """Return transformers' mask, without asking whether it is needed.

    It is where it is given, and an answer would have to be waited for until a GPU is idle.
    Parameters are those of transformers' mask interface.
    """
    if kwargs.get("attention_mask") is not None and "allow_is_bidirectional_skip" in kwargs:
        kwargs["allow_is_bidirectional_skip"] = False
    mask: torch.Tensor | None = sdpa_mask(*args, **kwargs)
    return mask


def additive_mask(*args: Any, **kwargs: Any) -> torch.Tensor | None:
    """Return transformers' mask as numbers to add, which is done in every layer and must be quick.

    Parameters are those of transformers' mask interface.
    """
    visible = boolean_mask(*args, **kwargs)
    if visible is None:
        return None
    nothing = torch.zeros(visible.shape, dtype=torch.float32, device=visible.device)
    return nothing.masked_fill_(~visible, _HIDDEN)


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
    # Without a mask, transformers has modules say so whose texts are read from one side.
    one_sided = kwargs.get("is_causal")
    if one_sided is None:
        one_sided = attention_mask is None and getattr(module, "is_causal", True)
    unsupported = one_sided or kwargs.get("position_bias") is not None
    if not unsupported and key.shape == query.shape:
        way = _way(query.dtype, query.shape[2], dropout)
        if way is not None:
            return way(query, key, value, attention_mask, scale, dropout), None
    if attention_mask is not None:
        attention_mask = attention_mask.to(query.dtype)
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
    )


_choosing_kernels = threading.Lock()
# Without cuDNN's, which makes a plan for each new shape: up to a tenth of a second each time, for
# a kernel that is a few per cent of a pass faster.
_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def gpu_attention(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, None]:
    """Attend with one of PyTorch's own kernels, which are ready for any shape.

    Parameters and return value are those that transformers' attention interface defines.
    """
    # What is chosen holds for the process; threads must not restore what another one chose.
    with _choosing_kernels, sdpa_kernel(_KERNELS):
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(*args, **kwargs)
    return found


# By type of device.
_WAYS = {"cpu": (cpu_attention, additive_mask), "cuda": (gpu_attention, boolean_mask)}


def _way(dtype: torch.dtype, length: int, dropout: float) -> Callable[..., torch.Tensor] | None:
    """Return how to attend, or None where PyTorch's fused kernel is faster."""
    # With dropout, PyTorch has no fused kernel on a CPU. Where that only emulates bfloat16, plain
    # products take up to twenty times as long as the fused kernel, which computes in float32.
    native = dtype == torch.bfloat16 and has_native_bfloat16(torch.device("cpu"))
    if not dropout and not native:
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
    if length < _LEAST_ROW and not dropout:
        key, value, mask = _with_hidden(key, value, mask)
    width = key.shape[2]
    n_maps = batch * heads
    dtype = softmax_dtype(query.dtype, width)
    queries = query.reshape(n_maps, length, size)
    keys = key.reshape(n_maps, width, size).mT
    scores = torch.baddbmm(query.new_empty(1), queries, keys, beta=0, alpha=scale).to(dtype)
    scores = scores.view(batch, heads, length, width)
    if mask is not None:
        scores = scores.add_(mask.to(dtype))
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    if dropout:
        weights = drop(weights, dropout)
    values = value.reshape(n_maps, width, size)
    attended = torch.bmm(weights.view(n_maps, length, width), values)
    return attended.view(batch, heads, length, size).transpose(1, 2).contiguous()


def _with_hidden(
    key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Add hidden positions to short texts, so that rows of scores are long enough."""
    added = _LEAST_ROW - key.shape[2]
    if mask is None:
        mask = torch.zeros((1, 1, 1, key.shape[2]), dtype=torch.float32, device=key.device)
    hidden = F.pad(mask, (0, added), value=_HIDDEN)
    return F.pad(key, (0, 0, 0, added)), F.pad(value, (0, 0, 0, added)), hidden
