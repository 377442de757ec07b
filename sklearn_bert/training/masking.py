"""Which tokens are hidden, and what the model sees in their place (BERT, arXiv 1810.04805)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from sklearn_bert.encoder.corpus import Chunk

__all__ = ["MaskedChunks", "Masking"]

# Of the chosen tokens: what share becomes the mask, and what share any token; the rest stays.
_SHARE_MASK, _SHARE_RANDOM = 0.8, 0.1
# Fixed masks are drawn from it, whatever seed a training has.
_FIXED_SEED = 1810_04805


@dataclass(frozen=True)
class Masking:
    """How chunks are masked.

    Attributes
    ----------
    probability : float
        Share of a chunk's tokens that is to be predicted, special tokens not counted; at least one
        word is.
    mask_id : int
        The mask token.
    ordinary_ids : int64 ndarray of shape (n_ordinary,)
        What random tokens are drawn from.
    """

    probability: float
    mask_id: int
    ordinary_ids: np.ndarray

    def draw(self, chunk: Chunk, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids that the model sees, and which tokens it has to predict.

        The tokens of a word are chosen together. What is seen in place of each is drawn by itself:
        the mask for 80 %, a random token for 10 %, the token itself for 10 %.

        Returns
        -------
        ids : int64 ndarray of shape (n_tokens,)
        chosen : bool ndarray of shape (n_tokens,)
        """
        chosen = self._choose(chunk.words, generator)
        places = np.flatnonzero(chosen)
        share = generator.random(len(places))
        random_ids = generator.choice(self.ordinary_ids, size=len(places))
        hidden = share < _SHARE_MASK
        replaced = ~hidden & (share < _SHARE_MASK + _SHARE_RANDOM)
        ids = chunk.ids.copy()
        ids[places[hidden]] = self.mask_id
        ids[places[replaced]] = random_ids[replaced]
        return ids, chosen

    def _choose(self, words: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Take words in random order, leaving out those that would make it too many tokens."""
        maskable = np.flatnonzero(words >= 0)
        _, of_token, sizes = np.unique(words[maskable], return_inverse=True, return_counts=True)
        wanted = max(1, round(self.probability * len(maskable)))
        taken = np.zeros(len(sizes), dtype=bool)
        n_taken = 0
        for word in generator.permutation(len(sizes)):
            if n_taken == 0 or n_taken + sizes[word] <= wanted:
                taken[word] = True
                n_taken += sizes[word]
            if n_taken >= wanted:
                break
        chosen = np.zeros(len(words), dtype=bool)
        chosen[maskable] = taken[of_token]
        return chosen


class MaskedChunks(Dataset):
    """Chunks with masks, drawn anew each time or always the same.

    Chunks of special tokens alone are left out: they have nothing to predict.

    Parameters
    ----------
    chunks : sequence of Chunk
        All chunks.
    masking : Masking
        How they are masked.
    pad_id : int
        The id to pad with.
    generator : numpy.random.Generator or None
        Draws the masks; None fixes that of each chunk, independent of any seed.
    """

    def __init__(
        self,
        chunks: Sequence[Chunk],
        masking: Masking,
        pad_id: int,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.chunks = [chunk for chunk in chunks if (chunk.words >= 0).any()]
        self.masking = masking
        self.pad_id = pad_id
        self.generator = generator

    @property
    def X(self) -> MaskedChunks:
        """The data set itself, where skorch's scoring asks for the inputs alone."""
        return self

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each chunk."""
        return np.array([len(chunk.ids) for chunk in self.chunks])

    def batch(self, chosen: np.ndarray) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return what the module takes for some chunks, and the ids of the hidden tokens."""
        longest = max(len(self.chunks[row].ids) for row in chosen)
        shape = (len(chosen), longest)
        ids = np.full(shape, self.pad_id, dtype=np.int64)
        truth = ids.copy()
        masked, present = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        for number, row in enumerate(chosen):
            chunk = self.chunks[row]
            part = number, slice(len(chunk.ids))
            ids[part], masked[part] = self.masking.draw(chunk, self._generator_of(int(row)))
            truth[part], present[part] = chunk.ids, True
        inputs = {"input_ids": torch.from_numpy(ids), "masked": torch.from_numpy(masked)}
        if not present.all():
            inputs["attention_mask"] = torch.from_numpy(present.astype(np.int64))
        return inputs, torch.from_numpy(truth[masked])

    def _generator_of(self, row: int) -> np.random.Generator:
        return self.generator or np.random.default_rng((_FIXED_SEED, row))

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, i: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        inputs, target = self.batch(np.array([i]))
        return {name: tensor[0] for name, tensor in inputs.items()}, target
