"""Word embeddings for training on a CPU, whose gradient is not made anew for each step.

A batch touches some hundred of tens of thousands of rows. PyTorch makes a dense gradient of zeros
for it, tens of megabytes of new pages from the system, which is a twentieth of a step. Here one is
kept as long as training goes on, and only the rows that were touched are cleared. The measurements
are in docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["CpuEmbedding", "use_cpu_embeddings"]

# Below so many values a new gradient costs nothing worth speaking of.
_LARGE = 1_000_000


class CpuEmbedding(nn.Embedding):
    """An embedding that writes its gradient into memory that it keeps while it trains."""

    _gradient: torch.Tensor | None = None
    _touched: list[torch.Tensor]

    @classmethod
    def sharing(cls, embedding: nn.Embedding) -> CpuEmbedding:
        """Return the same embedding, with the same parameter and not a copy of it."""
        shared = cls(
            embedding.num_embeddings,
            embedding.embedding_dim,
            embedding.padding_idx,
            device="meta",
        )
        shared.weight = embedding.weight
        return shared.train(embedding.training)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Look the rows up."""
        if not (torch.is_grad_enabled() and self.weight.requires_grad):
            return super().forward(ids)
        # Autograd asks for a gradient only where an input wants one, and the weights must not:
        # it would add up a dense one for them.
        wanted = torch.empty(0, requires_grad=True)
        found: torch.Tensor = _Lookup.apply(wanted, self, ids)
        return found

    def train(self, mode: bool = True) -> CpuEmbedding:
        """Let go of the gradient's memory when training ends."""
        if not mode:
            self._gradient = None
        super().train(mode)
        return self

    def add_gradient(self, ids: torch.Tensor, gradient: torch.Tensor) -> None:
        """Add the gradient of rows to that of the weights."""
        rows = ids.reshape(-1)
        values = gradient.reshape(len(rows), -1).to(self.weight.dtype)
        if self.padding_idx is not None:
            kept = rows != self.padding_idx
            rows, values = rows[kept], values[kept]
        if self.weight.grad is None:
            self.weight.grad = self._cleared()
        if self.weight.grad is self._gradient:
            self._touched.append(rows)
        self.weight.grad.index_add_(0, rows, values)

    def _cleared(self) -> torch.Tensor:
        if self._gradient is None:
            self._gradient = torch.zeros_like(self.weight)
        else:
            self._gradient.index_fill_(0, torch.cat(self._touched), 0)
        self._touched = []
        return self._gradient


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, wanted: torch.Tensor, embedding: CpuEmbedding, ids: torch.Tensor
    ) -> torch.Tensor:
        context.embedding = embedding
        context.save_for_backward(ids)
        return F.embedding(ids, embedding.weight.detach())

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[None, None, None]:
        (ids,) = context.saved_tensors
        context.embedding.add_gradient(ids, gradient)
        return None, None, None


def use_cpu_embeddings(model: nn.Module) -> None:
    """Replace the large, plain embeddings of a model on the CPU."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Embedding) and _is_large_and_plain(child):
                setattr(parent, name, CpuEmbedding.sharing(child))


def _is_large_and_plain(embedding: nn.Embedding) -> bool:
    return (
        type(embedding) is nn.Embedding
        and embedding.weight.numel() >= _LARGE
        and embedding.max_norm is None
        and not embedding.scale_grad_by_freq
        and not embedding.sparse
    )
