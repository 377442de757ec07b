"""How long texts are, in tokens, against what the encoder reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sklearn_bert.encoder.frozen import FrozenEncoder
from sklearn_bert.encoder.tokenization import portions
from sklearn_bert.validation import Text, n_characters

__all__ = ["Lengths", "count_tokens"]

# Beyond any model's limit; a tokenizer needs one.
_NO_LIMIT = 10**7
_BINS = 12


@dataclass(frozen=True)
class Lengths:
    """Tokens of each text, special tokens included.

    Attributes
    ----------
    tokens : int ndarray of shape (n_samples,)
        Before anything is cut.
    max_length : int
        What the encoder reads of a text.
    """

    tokens: np.ndarray
    max_length: int

    @property
    def n_cut(self) -> int:
        """Texts that lose their ends."""
        return int((self.tokens > self.max_length).sum())

    def histogram(self) -> tuple[np.ndarray, np.ndarray]:
        """Return counts and the edges between them; each bin has its lower edge and not its upper.

        Returns
        -------
        counts : int ndarray of shape (n_bins,)
        edges : int ndarray of shape (n_bins + 1,)
        """
        step = max(1, -(-(int(self.tokens.max()) + 1) // _BINS))
        edges = np.arange(0, int(self.tokens.max()) + 1 + step, step)
        return np.histogram(self.tokens, edges)[0], edges


def count_tokens(encoder: FrozenEncoder, texts: Sequence[Text]) -> Lengths:
    """Return the lengths of texts, tokenizing some at a time."""
    tokenizer = encoder.checkpoint.text_tokenizer(_NO_LIMIT, "truncate")
    sizes = np.array([n_characters(text) for text in texts])
    tokens = np.empty(len(texts), dtype=np.int64)
    for part in portions(np.arange(len(texts)), sizes):
        tokens[part] = tokenizer.windows([texts[i] for i in part]).lengths
    return Lengths(tokens, encoder.max_length)
