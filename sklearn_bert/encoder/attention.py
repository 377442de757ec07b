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

from sklearn_bert.encoder.at_once import HIDDEN, attend_at_once, with_whole_rows
from sklearn_bert.encoder.blockwise import attend_in_blocks
from sklearn_bert.encoder.execution import has_matrix_units, has_native_bfloat16
from sklearn_bert.encoder.hooks import wrap_forward

__all__ = ["use_exact_attention", "use_fast_attention"]

# Up to these lengths all scores are made at once; above, they outgrow the processor's caches.
_LONGEST_AT_ONCE = 128
_LONGEST_AT_ONCE_WITHOUT_GRADIENTS = 64
# Above these PyTorch's fused kernel is faster; it uses matrix units, where a processor has them.
_LONGEST_BEFORE_FUSED = {torch.float32: 40}
_LONGEST_BEFORE_MATRIX_UNITS = 63


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
    return nothing.masked_fill_(~visible, HIDDEN)


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
    # Under autocast, norms of queries and keys leave them in another type than values.
    query, key = query.to(value.dtype), key.to(value.dtype)
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


def attend_fused(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Return what is attended to in PyTorch's fused kernel, with rows that it is quick at.

    Parameters are those of `attend_at_once`.
    """
    key, value, mask = with_whole_rows(key, value, mask)
    mask = None if mask is None else mask.to(query.dtype)
    attended = F.scaled_dot_product_attention(query, key, value, mask, dropout, scale=scale)
    return attended.transpose(1, 2).contiguous()


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
    """Return how to attend, or None for PyTorch's fused kernel as transformers calls it."""
    # With dropout, PyTorch has no fused kernel on a CPU. Where that only emulates bfloat16, plain
    # products take up to twenty times as long as the fused kernel, which computes in float32.
    native = dtype == torch.bfloat16 and has_native_bfloat16(torch.device("cpu"))
    if not dropout and not native:
        at_once = length <= _LONGEST_BEFORE_FUSED.get(dtype, 0)
        return attend_at_once if at_once else None
    with_gradients = torch.is_grad_enabled()
    if not dropout and not with_gradients and has_matrix_units():
        return attend_at_once if length <= _LONGEST_BEFORE_MATRIX_UNITS else attend_fused
    longest = _LONGEST_AT_ONCE if with_gradients else _LONGEST_AT_ONCE_WITHOUT_GRADIENTS
    # Blocks divide by the share that is kept.
    return attend_at_once if length <= longest or dropout >= 1 else attend_in_blocks
