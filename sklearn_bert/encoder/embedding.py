"""Word embeddings for training: only rows that occur are trained, and gradients are made once.

A vocabulary has tens or hundreds of thousands of tokens, of which the texts of a fit have a part.
The rows of the others have no gradient, ever: an optimizer that goes over them would do nothing but
decay them. `RowsInUse` leaves them out.

A batch touches some hundred rows. PyTorch makes a dense gradient of zeros for it, tens of megabytes
of new pages from the system. On a CPU, `CpuEmbedding` keeps one as long as training goes on, and
clears only the rows that were touched. The measurements are in docs/decisions/0004-cpu-speed.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["CpuEmbedding", "RowsInUse", "is_plain", "use_cpu_embeddings"]

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
        trains = torch.is_grad_enabled() and self.weight.requires_grad
        if not trains or self.weight.device.type != "cpu":
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


class RowsInUse(CpuEmbedding):
    """A word embedding of which only some rows are a parameter: those that texts have.

    Its state, to save and to load, is that of all rows.

    Parameters
    ----------
    embedding : nn.Embedding
        All rows, plain (see `is_plain`); its weights are copied.
    ids : int Tensor of shape (n,)
        The rows in use, without repeats; that of padding is one of them in any case. While
        gradients are computed, no others are looked up.
    """

    weight: nn.Parameter

    def __init__(self, embedding: nn.Embedding, ids: torch.Tensor) -> None:
        in_use = torch.zeros(embedding.num_embeddings, dtype=torch.bool, device=ids.device)
        in_use[ids] = True
        if embedding.padding_idx is not None:
            in_use[embedding.padding_idx] = True
        order = torch.argsort(~in_use, stable=True).to(embedding.weight.device)
        places = torch.argsort(order)
        pad = None if embedding.padding_idx is None else int(places[embedding.padding_idx])
        super().__init__(int(in_use.sum()), embedding.embedding_dim, pad, device="meta")
        self._order, self._places = order, places
        # One piece of memory, those in use in front: what is trained is trained in it.
        self._all = embedding.weight.detach()[order]
        rows = self._all[: self.num_embeddings]
        self.weight = nn.Parameter(rows, embedding.weight.requires_grad)

    @property
    def n_left_out(self) -> int:
        """Values of the rows that are not in use, if the others train."""
        return (self._all.numel() - self.weight.numel()) if self.weight.requires_grad else 0

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Look rows up, any of them where no gradients are computed."""
        places = self._places[ids]
        if torch.is_grad_enabled() and self.weight.requires_grad:
            return super().forward(places)
        return F.embedding(places, self._all)

    def whole(self) -> torch.Tensor:
        """Return all rows in the order of the vocabulary, as they are now."""
        return self._all[self._places]

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        destination[f"{prefix}weight"] = self.whole()

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        name = f"{prefix}weight"
        whole = state_dict.get(name)
        if whole is not None and whole.shape == self._all.shape:
            self._all.copy_(whole[self._order.to(whole.device)])
            state_dict = {**state_dict, name: self.weight}
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def is_plain(embedding: nn.Module) -> TypeGuard[nn.Embedding]:
    """Say whether an embedding looks rows up and does nothing else."""
    return (
        isinstance(embedding, nn.Embedding)
        and type(embedding) in (nn.Embedding, CpuEmbedding)
        and embedding.max_norm is None
        and not embedding.scale_grad_by_freq
        and not embedding.sparse
    )


def use_cpu_embeddings(model: nn.Module) -> None:
    """Replace the large, plain embeddings of a model on the CPU."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if is_plain(child) and child.weight.numel() >= _LARGE:
                setattr(parent, name, CpuEmbedding.sharing(child))
