"""What a batch is made of, by depth: token ids, kept states, or pooled vectors.

All texts of a fit are one object, of which training and validation data are rows. Where pairs are
read each half by itself, a row is two texts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch

from sklearn_bert.encoder.frozen import FrozenEncoder, Kind
from sklearn_bert.encoder.pairs import halves
from sklearn_bert.encoder.tokenization import Windows
from sklearn_bert.validation import Text

__all__ = ["Inputs", "keep_frozen", "make_inputs"]


class Inputs(ABC):
    """Texts, as the module takes them.

    Attributes
    ----------
    lengths : int ndarray of shape (n_rows,)
        Tokens that the module sees of each row.
    n_cut : int
        Texts that lost their ends.
    """

    lengths: np.ndarray
    n_cut: int

    @property
    def n_texts(self) -> int:
        """How many texts the model reads."""
        return len(self.lengths)

    @abstractmethod
    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Return what the module takes for some texts."""

    def ids(self) -> torch.Tensor | None:
        """Return the tokens that batches can have, without repeats; None where they have none."""
        return None


class TokenInputs(Inputs):
    """Token ids, for an encoder whose embeddings or lowest layer train."""

    def __init__(self, encoder: FrozenEncoder, texts: Sequence[Text]) -> None:
        self._tokenizer = encoder.tokenizer()
        self._windows = self._tokenizer.all_windows(texts)
        self.lengths = self._windows.lengths
        self.n_cut = int(self._windows.cut.sum())

    def ids(self) -> torch.Tensor:
        """Return the tokens that batches can have, without repeats."""
        found = [*self._windows.ids, np.array([self._tokenizer.pad_id])]
        return torch.from_numpy(np.unique(np.concatenate(found)))

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Return token ids, and what goes with them."""
        return self._tokenizer.batch(self._windows, rows, coarse=True).inputs


class StateInputs(Inputs):
    """States at a depth, from the store where it has them."""

    def __init__(self, encoder: FrozenEncoder, texts: Sequence[Text], depth: int) -> None:
        self._encoder = encoder
        self._depth = depth
        self._windows: Windows = encoder.tokenizer().all_windows(texts)
        self._keys = encoder.keys().of_texts(texts) if encoder.store else []
        self.lengths = self._windows.lengths
        self.n_cut = int(self._windows.cut.sum())
        encoder.keep_states(texts, depth)

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Return states, with a mask where there is padding."""
        states, mask = self._encoder.states(self._keys, self._windows, rows, self._depth)
        return {"states": states} if mask is None else {"states": states, "attention_mask": mask}


class VectorInputs(Inputs):
    """Pooled vectors, for a head alone."""

    def __init__(
        self, encoder: FrozenEncoder, texts: Sequence[Text], poolings: Sequence[str]
    ) -> None:
        vectors, self.n_cut = encoder.pooled(texts, _of_last_layer(encoder, poolings))
        self._vectors = torch.from_numpy(vectors.reshape(len(texts), -1))
        self._vectors = self._vectors.to(encoder.checkpoint.exact_dtype)
        self.lengths = np.ones(len(texts), dtype=np.int64)

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Return the vectors."""
        return {"vectors": self._vectors.index_select(0, torch.from_numpy(rows))}


class SeparateInputs(Inputs):
    """Pairs whose halves are texts by themselves: a batch has two texts a row.

    Parameters
    ----------
    of_halves : Inputs
        The first halves of all pairs, then the second ones.
    """

    def __init__(self, of_halves: Inputs) -> None:
        self._of_halves = of_halves
        # Both are padded to the length of the longer one.
        self.lengths = 2 * np.maximum(*np.split(of_halves.lengths, 2))
        self.n_cut = of_halves.n_cut

    @property
    def n_texts(self) -> int:
        """How many texts the model reads: two a pair."""
        return self._of_halves.n_texts

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Return what the module takes for some pairs, of shapes (n_rows, 2, ...)."""
        both = np.column_stack([rows, rows + len(self.lengths)]).ravel()
        of_halves = self._of_halves.batch(both)
        return {name: tensor.unflatten(0, (-1, 2)) for name, tensor in of_halves.items()}

    def ids(self) -> torch.Tensor | None:
        """Return the tokens that batches can have, without repeats; None where they have none."""
        return self._of_halves.ids()


def make_inputs(
    encoder: FrozenEncoder,
    texts: Sequence[Text],
    poolings: Sequence[str],
    depth: int,
    encoder_trains: bool,
    pairs: str = "joint",
) -> Inputs:
    """Return the texts as the module takes them.

    Parameters
    ----------
    encoder : FrozenEncoder
        The frozen part, with its store.
    texts : sequence of str or (str, str)
        All that will be needed.
    poolings : sequence of str
        For a head alone.
    depth : int
        How many of the lowest layers are frozen.
    encoder_trains : bool
        Whether anything of the encoder trains.
    pairs : {"joint", "separate"}, default="joint"
        Whether pairs are read together, or each half by itself.
    """
    if pairs == "separate":
        of_halves = make_inputs(encoder, halves(texts), poolings, depth, encoder_trains)
        return SeparateInputs(of_halves)
    if not encoder_trains:
        return VectorInputs(encoder, texts, poolings)
    if depth == 0:
        return TokenInputs(encoder, texts)
    return StateInputs(encoder, texts, depth)


def keep_frozen(
    encoder: FrozenEncoder,
    texts: Sequence[Text],
    poolings: Sequence[str],
    depth: int,
    encoder_trains: bool,
    pairs: str = "joint",
) -> None:
    """Have in the store, as far as it has room, what `make_inputs` reads there.

    Parameters are those of `make_inputs`.
    """
    if encoder.store is None:
        return
    if pairs == "separate":
        texts = halves(texts)
    if not encoder_trains:
        encoder.pooled(texts, _of_last_layer(encoder, poolings))
    elif depth > 0:
        encoder.keep_states(texts, depth)


def _of_last_layer(encoder: FrozenEncoder, poolings: Sequence[str]) -> list[Kind]:
    return [Kind(encoder.checkpoint.n_layers, pooling) for pooling in poolings]
