"""The last layer of an encoder of which only the first token's state is read.

In that layer only the first token has to ask; the others are asked. So queries, feed-forward part
and norms are needed for one token of each text. Nor do the others need keys and values: a score
q·(Wx) is (qW)·x, and a weighted sum of Wx is W times the weighted sum of x. What is left to do for
each token are two products as wide as there are heads, instead of maps as wide as the states. (The
regrouping is the absorption of multi-head latent attention, arXiv 2405.04434.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from sklearn_bert.encoder.depth import last_layer

__all__ = ["FIRST_TOKEN_POOLINGS", "read_first_token_alone"]

# Those that read nothing else, in the architectures below.
FIRST_TOKEN_POOLINGS = frozenset({"cls", "pooler"})


class _Maps(NamedTuple):
    """The names of an attention's linear maps."""

    query: str
    key: str
    value: str
    output: str | None = None


def read_first_token_alone(model: PreTrainedModel) -> bool:
    """Have a model's last layer compute the first token's state alone, if it is known how.

    Parameters
    ----------
    model : PreTrainedModel
        An encoder. Names of its parameters stay; its last hidden state has one token a text.

    Returns
    -------
    bool
        False if the model is left as it is.
    """
    narrow = _NARROW.get(model.config.model_type)
    if narrow is None or not _is_plain(model.config):
        return False
    narrow(model)
    return True


class _FirstTokenAttention(nn.Module):
    """What the first token attends to, in place of a model's own module of attention.

    Parameters
    ----------
    attention : nn.Module
        The model's own; what it consists of is shared.
    maps : _Maps
        What its linear maps are called.
    size : int
        Features of a head.
    """

    def __init__(self, attention: nn.Module, maps: _Maps, size: int) -> None:
        super().__init__()
        for name, child in attention.named_children():
            self.add_module(name, child)
        self._maps, self._size = maps, size

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        """Return states of shape (batch, 1, hidden), and no weights."""
        query, key, value = (getattr(self, name) for name in self._maps[:3])
        queries = query(hidden_states[:, 0]).unflatten(1, (-1, self._size)) * self._size**-0.5
        # The key's bias adds the same to all scores of a query, which a softmax doesn't see.
        asked = torch.einsum("bhs,hsd->bhd", queries, self._by_head(key.weight))
        weights = self._softmax(torch.bmm(asked, hidden_states.mT), attention_mask)
        seen = torch.bmm(weights.to(hidden_states.dtype), hidden_states)
        attended = torch.einsum("bhd,hsd->bhs", seen, self._by_head(value.weight))
        # Weights add up to 1 unless some are dropped.
        attended = attended + weights.sum(dim=2, keepdim=True) * self._by_head(value.bias)
        attended = attended.flatten(1).unsqueeze(1).to(hidden_states.dtype)
        return (getattr(self, self._maps.output)(attended) if self._maps.output else attended), None

    def _softmax(self, scores: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if mask is not None:
            mask = mask[:, 0, :1]
            if mask.dtype == torch.bool:
                scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
            else:
                scores = scores + mask
        weights: torch.Tensor = self.get_submodule("dropout")(torch.softmax(scores, dim=2))
        return weights

    def _by_head(self, values: torch.Tensor) -> torch.Tensor:
        return values.unflatten(0, (-1, self._size))


def _is_plain(config: Any) -> bool:
    # The feed-forward part takes as many tokens at once as a chunk has, and there is one.
    return (
        not getattr(config, "is_decoder", False)
        and getattr(config, "position_embedding_type", None) in ("absolute", None)
        and getattr(config, "chunk_size_feed_forward", 0) <= 1
    )


def _narrow_bert(model: PreTrainedModel) -> None:
    attention: Any = last_layer(model).attention
    attention.self = _first_token_attention(attention.self, _Maps("query", "key", "value"), model)
    attention.output.register_forward_pre_hook(_with_first_of_residual)


def _narrow_distilbert(model: PreTrainedModel) -> None:
    layer: Any = last_layer(model)
    maps = _Maps("q_lin", "k_lin", "v_lin", "out_lin")
    layer.attention = _first_token_attention(layer.attention, maps, model)
    layer.sa_layer_norm.register_forward_pre_hook(_first_of_sum)


def _first_token_attention(
    attention: nn.Module, maps: _Maps, model: PreTrainedModel
) -> _FirstTokenAttention:
    size = model.config.hidden_size // model.config.num_attention_heads
    return _FirstTokenAttention(attention, maps, size)


def _with_first_of_residual(
    module: nn.Module, args: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    attended, states = args
    return attended, states[:, :1]


def _first_of_sum(module: nn.Module, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    # The model has added the first token's state to those of all.
    return (args[0][:, :1],)


_NARROW: dict[str, Callable[[PreTrainedModel], None]] = {
    "bert": _narrow_bert,
    "camembert": _narrow_bert,
    "distilbert": _narrow_distilbert,
    "electra": _narrow_bert,
    "roberta": _narrow_bert,
    "xlm-roberta": _narrow_bert,
}
