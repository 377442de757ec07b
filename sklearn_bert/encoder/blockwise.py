"""Attention in blocks of scores, whose memory is used again, with and without gradients.

Scores of a batch of long texts are so large that the system hands out new pages for them in each
layer, which takes longer than the products. Backward, weights are computed again instead of kept,
as in FlashAttention (arXiv 2205.14135). The measurements are in docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from sklearn_bert.encoder.dropout import draw_kept
from sklearn_bert.encoder.softmax import change_to_gradient, softmax_dtype

__all__ = ["attend_in_blocks"]

_SCORES_OF_A_BLOCK = 3_000_000


def attend_in_blocks(
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
        What goes in and out of a softmax has their type; in between it is float32.
    mask : Tensor that broadcasts to (batch, heads, length, length), or None
        Numbers to be added to the scores; no gradient flows to it.
    scale : float
        A factor of the scores.
    dropout : float, default=0.0
        The share of weights that are dropped, less than 1.
    """
    mask = None if mask is None else mask.to(softmax_dtype(query.dtype, query.shape[2]))
    attended: torch.Tensor = _Attention.apply(query, key, value, mask, scale, dropout)
    return attended


class _Room:
    """Memory for the scores of a block, which all blocks use.

    Parameters
    ----------
    query : Tensor of shape (batch, heads, length, size)
        What the blocks are made of.
    """

    def __init__(self, query: torch.Tensor) -> None:
        n_texts, n_rows = _sizes(query.shape)
        n_scores = n_texts * query.shape[1] * n_rows * query.shape[2]
        self._scores = query.new_empty(n_scores)
        self._exact: torch.Tensor | None = None

    def view(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Return some of it, with whatever it holds."""
        return self._scores[: math.prod(shape)].view(shape)

    def softmax(self, scores: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Return the softmax of each row of a view with a mask added, in its place."""
        if softmax_dtype(scores.dtype, scores.shape[-1]) == scores.dtype:
            scores = scores if mask is None else scores.add_(mask)
            return torch.softmax(scores, dim=-1, out=scores)
        if self._exact is None:
            self._exact = torch.empty_like(self._scores, dtype=torch.float32)
        exact = self._exact[: scores.numel()].view(scores.shape)
        exact = exact.copy_(scores) if mask is None else torch.add(scores, mask, out=exact)
        return scores.copy_(torch.softmax(exact, dim=-1, out=exact))


@dataclass
class _Block:
    """Some texts, or some positions of one, with their heads one after another."""

    texts: slice
    rows: slice
    heads: int
    length: int

    @property
    def n_maps(self) -> int:
        return (self.texts.stop - self.texts.start) * self.heads

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.n_maps, self.rows.stop - self.rows.start, self.length

    def whole(self, states: torch.Tensor) -> torch.Tensor:
        """Return all positions of the texts, of shape (maps, length, size)."""
        return states[self.texts].reshape(self.n_maps, self.length, states.shape[-1])

    def part(self, states: torch.Tensor) -> torch.Tensor:
        """Return the block's positions of the texts, of shape (maps, rows, size)."""
        return states[self.texts, :, self.rows].reshape(*self.shape[:2], states.shape[-1])

    def put(self, states: torch.Tensor, found: torch.Tensor) -> None:
        """Write the block's positions into states of shape (batch, heads, length, size)."""
        shape = (-1, self.heads, self.shape[1], found.shape[-1])
        states[self.texts, :, self.rows] = found.view(shape)

    def weights(
        self,
        room: _Room,
        queries: torch.Tensor,
        keys: torch.Tensor,
        mask: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        """Return the softmax of the block's scores."""
        scores = room.view(self.shape)
        torch.baddbmm(scores, queries, keys.mT, beta=0, alpha=scale, out=scores)
        if mask is not None:
            rows = self.rows if mask.shape[2] > 1 else slice(None)
            texts = self.texts if len(mask) > 1 else slice(None)
            mask = mask[texts, :, rows]
        by_head = scores.view(-1, self.heads, *self.shape[1:])
        return room.softmax(by_head, mask).view(self.shape)


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
        batch, heads, length, size = query.shape
        attended = query.new_empty(batch, length, heads, size)
        room = _Room(query)
        kept = []
        with torch.autocast(query.device.type, enabled=False):
            for blocks in _blocks(query.shape):
                keys, values = blocks[0].whole(key), blocks[0].whole(value)
                for block in blocks:
                    weights = block.weights(room, block.part(query), keys, mask, scale)
                    if dropout:
                        kept.append(draw_kept(weights.shape, dropout))
                        weights.mul_(kept[-1])
                    found = torch.bmm(weights, values)
                    found = found.div_(1 - dropout) if dropout else found
                    block.put(attended.transpose(1, 2), found)
        context.save_for_backward(query, key, value, mask, *kept)
        context.scale, context.dropout = scale, dropout
        return attended

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, mask, *kept = context.saved_tensors
        batch, heads, length, size = query.shape
        gradients = [query.new_zeros(batch, length, heads, size).transpose(1, 2) for _ in range(3)]
        gradient = gradient.div(1 - context.dropout).transpose(1, 2)
        rooms = [_Room(query) for _ in range(2)]
        draws = iter(kept)
        for blocks in _blocks(query.shape):
            keys, values = blocks[0].whole(key), blocks[0].whole(value)
            for block in blocks:
                queries, wanted = block.part(query), block.part(gradient)
                weights = block.weights(rooms[0], queries, keys, mask, context.scale)
                change = torch.bmm(wanted, values.mT, out=rooms[1].view(block.shape))
                left = next(draws, None)
                if left is not None:
                    change.mul_(left)
                change = change_to_gradient(change, weights)
                block.put(gradients[0], torch.bmm(change, keys).mul_(context.scale))
                _add(block, gradients[1], torch.bmm(change.mT, queries).mul_(context.scale))
                used = weights if left is None else weights.mul_(left)
                _add(block, gradients[2], torch.bmm(used.mT, wanted))
        return *gradients, None, None, None


def _blocks(shape: torch.Size) -> Iterator[list[_Block]]:
    """Yield the blocks of the same texts together: they share keys and values."""
    batch, heads, length, _ = shape
    n_texts, n_rows = _sizes(shape)
    for text in range(0, batch, n_texts):
        texts = slice(text, min(text + n_texts, batch))
        yield [
            _Block(texts, slice(row, min(row + n_rows, length)), heads, length)
            for row in range(0, length, n_rows)
        ]


def _sizes(shape: torch.Size) -> tuple[int, int]:
    """Return how many texts a block has, and how many positions of each."""
    batch, heads, length, _ = shape
    n_texts = min(batch, max(1, _SCORES_OF_A_BLOCK // (heads * length * length)))
    n_blocks = -(-n_texts * heads * length * length // _SCORES_OF_A_BLOCK)
    return n_texts, -(-length // n_blocks)


def _add(block: _Block, total: torch.Tensor, found: torch.Tensor) -> None:
    """Add to all positions of the block's texts."""
    total[block.texts] += found.view(-1, block.heads, *found.shape[1:])
