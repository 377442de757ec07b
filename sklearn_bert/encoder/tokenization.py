"""Texts to token ids, and token ids to padded batches of like length.

A text that is longer than the limit is cut, or split into overlapping windows. Everything after
tokenization works on windows; a text that fits is one window.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer

from sklearn_bert.validation import Text, are_pairs, n_characters, well_formed

__all__ = [
    "LONG_TEXT",
    "Batch",
    "TextTokenizer",
    "Windows",
    "batch_size",
    "padded_length",
    "portions",
    "types_single_texts",
]

LONG_TEXT = ("truncate", "chunk")

# Bounds on what is tokenized at once, so that memory does not grow with the number of texts.
_PORTION_TEXTS = 2048
_PORTION_CHARACTERS = 1_000_000
_OVERLAP_SHARE = 4
# Lengths are padded so that this many leading bits differ: in training, whose batches are small and
# of many shapes, fewer.
_LENGTH_BITS = 5
_COARSE_LENGTH_BITS = 3
_ROWS = 64
# Padded tokens with which a pass is fast on any device, and from which on a batch ends where texts
# are shorter than this share of the longest.
_PLENTY = 16_384
_LEAST_SHARE = 0.9


@dataclass(frozen=True)
class Windows:
    """The token ids of some texts.

    Attributes
    ----------
    ids : list of ndarray
        Token ids of each window, special tokens included.
    type_ids : list of ndarray or None
        Token types, where the model has them and they are not all 0.
    owner : ndarray of shape (n_windows,)
        The text that a window belongs to, ascending.
    counted : ndarray of shape (n_windows, 2)
        First and one past the last token that counts in pooling.
    cut : ndarray of shape (n_texts,)
        Whether a text lost its end.
    """

    ids: list[np.ndarray]
    type_ids: list[np.ndarray] | None
    owner: np.ndarray
    counted: np.ndarray
    cut: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window."""
        return np.array([len(ids) for ids in self.ids])


@dataclass(frozen=True)
class Batch:
    """Windows padded to one length, as tensors.

    Attributes
    ----------
    inputs : dict of str to Tensor
        What the encoder takes; no attention mask where nothing is padded.
    counted : bool Tensor of shape (batch, length), or None
        The tokens that count in pooling; None where all do.
    tokens, padded_tokens : int
        Without and with padding.
    """

    inputs: dict[str, torch.Tensor]
    counted: torch.Tensor | None
    tokens: int
    padded_tokens: int


class TextTokenizer:
    """A fast tokenizer with its limit, safe to share between threads.

    Parameters
    ----------
    serialized : str
        The tokenizer as JSON, from the function of this name.
    max_length : int
        Tokens of a window, special tokens included.
    long_text : {"truncate", "chunk"}
        What happens to longer texts.
    pad_id : int
        The id to pad with.
    with_type_ids : bool
        Whether the model takes token types.
    truncation_side : {"right", "left"}, default="right"
        Which end of a longer text is cut.
    multiple : int, default=1
        What lengths of batches are a multiple of.
    split_special_tokens : bool, default=False
        Whether special tokens within texts are words as any other.
    """

    def __init__(
        self,
        serialized: str,
        max_length: int,
        long_text: str,
        pad_id: int,
        with_type_ids: bool,
        truncation_side: str = "right",
        multiple: int = 1,
        split_special_tokens: bool = False,
    ) -> None:
        self._tokenizer = Tokenizer.from_str(serialized)
        self._tokenizer.encode_special_tokens = split_special_tokens
        self._tokenizer.no_padding()
        specials = self._tokenizer.num_special_tokens_to_add(False)
        self._chunk = long_text == "chunk"
        self._overlap = (max_length - specials) // _OVERLAP_SHARE if self._chunk else 0
        self._tokenizer.no_truncation()
        if self._chunk:
            self._tokenizer.enable_truncation(max_length, stride=self._overlap)
        self._max_length = max_length
        self._truncation_side = truncation_side
        self._multiple = multiple
        self.pad_id = pad_id
        self._with_type_ids = with_type_ids
        self._types_single_texts = with_type_ids and types_single_texts(self._tokenizer)
        probe = self._tokenizer.encode("a").special_tokens_mask
        self._prefix = probe.index(0) if 0 in probe else 0
        self._suffix = specials - self._prefix

    def windows(self, texts: Sequence[Text]) -> Windows:
        """Tokenize texts or pairs, in bulk."""
        pairs = are_pairs(texts)
        encodings = self._tokenizer.encode_batch_fast(
            [tuple(map(well_formed, text)) for text in texts]
            if pairs
            else [well_formed(str(text)) for text in texts]
        )
        pieces = [[encoding, *encoding.overflowing] for encoding in encodings]
        flat = [piece for of_text in pieces for piece in of_text]
        ids = [np.array(piece.ids or [self.pad_id], dtype=np.int64) for piece in flat]
        type_ids = None
        if self._with_type_ids if pairs else self._types_single_texts:
            type_ids = [np.array(piece.type_ids or [0], dtype=np.int64) for piece in flat]
        # None where texts are split into windows; elsewhere each is one row.
        cut = np.array([len(encoding) > self._max_length for encoding in encodings])
        for row in np.flatnonzero(cut):
            kept = _kept(encodings[row], self._max_length, self._truncation_side)
            for rows in filter(None, (ids, type_ids)):
                rows[row] = rows[row][kept]
        return Windows(
            ids=ids,
            type_ids=type_ids,
            owner=np.repeat(np.arange(len(texts)), [len(of_text) for of_text in pieces]),
            counted=self._counted(pieces, ids),
            cut=cut,
        )

    def all_windows(self, texts: Sequence[Text]) -> Windows:
        """Tokenize any number of texts, some at a time."""
        sizes = np.array([n_characters(text) for text in texts])
        parts = [
            self.windows([texts[i] for i in part])
            for part in portions(np.arange(len(texts)), sizes)
        ]
        firsts = np.cumsum([0, *(len(part.cut) for part in parts[:-1])])
        return Windows(
            ids=[ids for part in parts for ids in part.ids],
            type_ids=None
            if parts[0].type_ids is None
            else [ids for part in parts for ids in part.type_ids or ()],
            owner=np.concatenate([part.owner + n for part, n in zip(parts, firsts, strict=True)]),
            counted=np.concatenate([part.counted for part in parts]),
            cut=np.concatenate([part.cut for part in parts]),
        )

    def batch_end(self, lengths: np.ndarray, start: int, budget: int) -> int:
        """Return where a batch ends that starts at `start` of descending `lengths`."""
        longest = self.padded_length(int(lengths[start]))
        stop = min(len(lengths), start + batch_size(longest, budget))
        # A batch that is large enough ends where texts begin to need a mask, or much padding.
        least = start + -(-_PLENTY // longest)
        for shortest in (longest, _LEAST_SHARE * lengths[start]):
            like = int(np.searchsorted(-lengths[:stop], -shortest, side="right"))
            if like >= least:
                return like
        return min(stop, least)

    def padded_length(self, length: int, coarse: bool = False) -> int:
        """Return the length that a batch is padded to whose longest window has `length`."""
        padded = padded_length(length, self._max_length, coarse)
        return min(self._max_length, -(-padded // self._multiple) * self._multiple)

    def batch(self, windows: Windows, chosen: np.ndarray, coarse: bool = False) -> Batch:
        """Pad the chosen windows to one length; see `padded_length`."""
        ids = [windows.ids[i] for i in chosen]
        lengths = np.array([len(row) for row in ids])
        positions = np.arange(self.padded_length(int(lengths.max()), coarse))
        present = positions < lengths[:, None]
        spans = windows.counted[chosen]
        counted = (positions >= spans[:, :1]) & (positions < spans[:, 1:])
        inputs = {"input_ids": _padded(ids, present, self.pad_id)}
        if windows.type_ids is not None:
            inputs["token_type_ids"] = _padded([windows.type_ids[i] for i in chosen], present, 0)
        if not present.all():
            inputs["attention_mask"] = torch.from_numpy(present.astype(np.int64))
        all_count = bool(counted.all())
        return Batch(
            inputs,
            None if all_count else torch.from_numpy(counted),
            int(lengths.sum()),
            present.size,
        )

    def _counted(self, pieces: list[list[Encoding]], ids: list[np.ndarray]) -> np.ndarray:
        """Say which tokens of each window count: each token of a text once."""
        if not self._chunk:
            ends = np.array([len(row) for row in ids])
            return np.column_stack([np.zeros_like(ends), ends])
        return np.array([span for of_text in pieces for span in self._spans(of_text)])

    def _spans(self, pieces: list[Encoding]) -> Iterator[tuple[int, int]]:
        for number, piece in enumerate(pieces):
            length = max(1, len(piece.ids))
            start = 0 if number == 0 else self._prefix + (self._overlap + 1) // 2
            is_last = number == len(pieces) - 1
            yield start, length if is_last else length - self._suffix - self._overlap // 2


def portions(
    order: np.ndarray, sizes: np.ndarray, first: int = _PORTION_TEXTS
) -> Iterator[np.ndarray]:
    """Split `order` into parts that are small enough to tokenize at once.

    Parameters
    ----------
    order : ndarray of int
        Numbers of texts.
    sizes : ndarray of int
        Characters of each text.
    first : int, default=2048
        Texts in the first part; each of the next has up to twice as many as the one before.
    """
    start = 0
    while start < len(order):
        part = order[start : start + first]
        fits = int(np.searchsorted(np.cumsum(sizes[part]), _PORTION_CHARACTERS, side="right"))
        part = part[: max(1, fits)]
        yield part
        start += len(part)
        first = min(2 * first, _PORTION_TEXTS)


def padded_length(length: int, limit: int, coarse: bool = False) -> int:
    """Return the length to pad to: a little more than `length`, so that few lengths occur.

    The step grows with the length and adds a few per cent at most, or some more if `coarse`. A new
    shape is not free: on a CPU the library that multiplies matrices first makes a kernel for it.
    """
    bits = _COARSE_LENGTH_BITS if coarse else _LENGTH_BITS
    step = 1 << max(0, (length - 1).bit_length() - bits)
    return min(limit, -(-length // step) * step)


def batch_size(length: int, budget: int) -> int:
    """Return how many windows of a padded length make a batch of at most `budget` tokens.

    Where it can be, their tokens are a multiple of `_ROWS`, again so that few shapes occur.
    """
    fit = max(1, budget // length)
    unit = _ROWS // math.gcd(length, _ROWS)
    return fit // unit * unit or fit


def serialized(tokenizer: Tokenizer) -> str:
    """Return a tokenizer as JSON, without padding and truncation, which every call sets anew.

    Whether a file has them depends on who saved it, and on the version of transformers.
    """
    padding, truncation = tokenizer.padding, tokenizer.truncation
    tokenizer.no_padding()
    tokenizer.no_truncation()
    try:
        return str(tokenizer.to_str())
    finally:
        if padding is not None:
            tokenizer.enable_padding(**padding)
        if truncation is not None:
            tokenizer.enable_truncation(**truncation)


def types_single_texts(tokenizer: Tokenizer) -> bool:
    """Say whether tokens of single texts are not all of type 0, which models take for granted."""
    return any(tokenizer.encode("a").type_ids)


def _kept(encoding: Encoding, max_length: int, side: str) -> np.ndarray:
    """Say which tokens of a longer text or pair are left: "longest_first" of the library.

    That makes windows of what is cut too, of a pair each of one half with each of the other: its
    time and memory grow with the square of the length.
    """
    sequences = np.array(encoding.sequence_ids, dtype=float)
    halves = [np.flatnonzero(sequences == half) for half in (0, 1)]
    first, second = map(len, halves)
    room = max_length - int(np.isnan(sequences).sum())
    shorter = min(first, second, room // 2)
    sizes = (shorter, room - shorter) if first <= second else (room - shorter, shorter)
    kept = np.isnan(sequences)
    for half, size in zip(halves, sizes, strict=True):
        kept[half[len(half) - size :] if side == "left" else half[:size]] = True
    return kept


def _padded(rows: list[np.ndarray], present: np.ndarray, fill: int) -> torch.Tensor:
    padded = np.full(present.shape, fill, dtype=np.int64)
    padded[present] = np.concatenate(rows)
    return torch.from_numpy(padded)


_PARALLELISM = "TOKENIZERS_PARALLELISM"
_set_for_fork = False


def _before_fork() -> None:
    """Have a child tokenize without threads, which do not survive a fork, and without a warning.

    The tokenizers library reads the variable in the child; what the user set is left alone.
    """
    global _set_for_fork
    _set_for_fork = _PARALLELISM not in os.environ
    if _set_for_fork:
        os.environ[_PARALLELISM] = "false"


def _after_fork_in_parent() -> None:
    if _set_for_fork:
        os.environ.pop(_PARALLELISM, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
