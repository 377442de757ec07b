"""Unlabelled texts as one sequence of tokens, cut into chunks: nothing is lost, nothing is padded.

Texts follow each other with a separator between, across the borders of chunks (FULL-SENTENCES,
RoBERTa, arXiv 1907.11692).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from sklearn_bert.encoder.tokenization import portions
from sklearn_bert.errors import parameter_error
from sklearn_bert.validation import well_formed

__all__ = ["Chunk", "Corpus", "CorpusTokenizer", "Segmenter"]

# From a text to its words, in order; what is between them may be left out.
Segmenter = Callable[[str], Sequence[str]]

_NO_WORD = -1


@dataclass(frozen=True)
class Chunk:
    """Tokens that the model sees together.

    Attributes
    ----------
    ids : int64 ndarray of shape (n_tokens,)
        Special tokens included.
    words : int64 ndarray of shape (n_tokens,)
        The word that each token belongs to; -1 for special tokens, which are never masked.
    """

    ids: np.ndarray
    words: np.ndarray


@dataclass(frozen=True)
class Corpus:
    """All texts as one sequence of tokens, with a separator between two texts.

    Attributes
    ----------
    ids, words : int64 ndarray of shape (n_tokens,)
        As of a `Chunk`.
    """

    ids: np.ndarray
    words: np.ndarray


class CorpusTokenizer:
    """A fast tokenizer without a limit, and what masking has to know of the vocabulary.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        Left as it is.

    Attributes
    ----------
    mask_id, pad_id : int
        Special tokens.
    ordinary_ids : int64 ndarray of shape (n_ordinary,)
        The vocabulary without special tokens.
    prefix, suffix : int64 ndarray
        Special tokens before and after each chunk.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.encode_special_tokens = tokenizer.split_special_tokens
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if tokenizer.mask_token_id is None:
            raise parameter_error(
                "model",
                tokenizer.name_or_path,
                "a model whose tokenizer has a mask token, such as [MASK] of BERT's",
                "Models that write texts from left to right have none.",
            )
        self.mask_id = int(tokenizer.mask_token_id)
        self.pad_id = int(tokenizer.pad_token_id or 0)
        special = set(tokenizer.all_special_ids)
        added = self._tokenizer.get_added_tokens_decoder()
        special |= {number for number, token in added.items() if token.special}
        self._special_ids = np.array(sorted(special))
        vocabulary = set(self._tokenizer.get_vocab().values())
        self.ordinary_ids = np.array(sorted(vocabulary - special), dtype=np.int64)
        self.prefix, self.suffix = self._ends()
        known = (tokenizer.sep_token_id, tokenizer.eos_token_id)
        separators = [number for number in known if number is not None]
        self._separator = np.array(separators[:1], dtype=np.int64)

    def corpus(self, texts: Sequence[str], whole_words: bool, segmenter: Any = None) -> Corpus:
        """Tokenize texts into one sequence.

        Parameters
        ----------
        texts : sequence of str
            In the order that they follow each other.
        whole_words : bool
            Whether all tokens of a word have one number; else each token has its own.
        segmenter : callable or None
            From a text to its words; None takes the tokenizer's.
        """
        ids: list[np.ndarray] = []
        words: list[np.ndarray] = []
        n_words = 0
        for text, encoding in self._encodings(texts, with_words=whole_words):
            if not len(encoding):
                continue
            if ids:
                ids.append(self._separator)
                words.append(np.full_like(self._separator, _NO_WORD))
            keys = _keys(text, encoding, segmenter) if whole_words else None
            ids.append(np.array(encoding.ids, dtype=np.int64))
            words.append(n_words + _numbers(keys, len(encoding)))
            n_words = int(words[-1][-1]) + 1
        joined = np.concatenate([np.empty(0, dtype=np.int64), *ids])
        numbers = np.concatenate([np.empty(0, dtype=np.int64), *words])
        numbers[np.isin(joined, self._special_ids)] = _NO_WORD
        return Corpus(joined, numbers)

    def chunks(self, corpus: Corpus, chunk_length: int) -> list[Chunk]:
        """Cut a corpus into chunks of so many tokens, special tokens included; the last is shorter.

        Parameters
        ----------
        corpus : Corpus
            All texts.
        chunk_length : int
            More than the special tokens of a chunk.
        """
        inner = chunk_length - len(self.prefix) - len(self.suffix)
        before, after = (np.full_like(ends, _NO_WORD) for ends in (self.prefix, self.suffix))
        return [
            Chunk(
                np.concatenate([self.prefix, corpus.ids[start : start + inner], self.suffix]),
                np.concatenate([before, corpus.words[start : start + inner], after]),
            )
            for start in range(0, len(corpus.ids), inner)
        ]

    def _encodings(self, texts: Sequence[str], with_words: bool) -> Iterator[tuple[str, Encoding]]:
        # The fast way forgets where tokens come from.
        encode = self._tokenizer.encode_batch if with_words else self._tokenizer.encode_batch_fast
        for part in portions(np.arange(len(texts)), np.array([len(text) for text in texts])):
            wanted = [well_formed(texts[i]) for i in part]
            yield from zip(wanted, encode(wanted, add_special_tokens=False), strict=True)

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        probe = self._tokenizer.encode("a")
        inner = [i for i, special in enumerate(probe.special_tokens_mask) if not special]
        ids = np.array(probe.ids, dtype=np.int64)
        if not inner:
            return ids[:0], ids[:0]
        return ids[: inner[0]], ids[inner[-1] + 1 :]


def _numbers(keys: np.ndarray | None, n_tokens: int) -> np.ndarray:
    """Count the words of a text from 0: tokens in a row with one key are a word."""
    if keys is None:
        return np.arange(n_tokens)
    starts = np.ones(n_tokens, dtype=np.int64)
    starts[1:] = (keys[1:] != keys[:-1]) | (keys[1:] == _NO_WORD)
    return np.cumsum(starts) - 1


def _keys(text: str, encoding: Encoding, segmenter: Segmenter | None) -> np.ndarray:
    """Say for each token what word it is from, -1 where none."""
    if segmenter is None:
        return np.array([_NO_WORD if word is None else word for word in encoding.word_ids])
    of_characters = np.append(_words_of_characters(text, segmenter), _NO_WORD)
    # By the last character: the first may be a space. A space alone has no character, and stands
    # where the next word begins.
    return of_characters[[max(start, end - 1) for start, end in encoding.offsets]]


def _words_of_characters(text: str, segmenter: Segmenter) -> np.ndarray:
    """Say for each character what word it is in, -1 where none."""
    numbers = np.full(len(text), _NO_WORD)
    start = 0
    for number, word in enumerate(segmenter(text)):
        found = text.find(word, start) if isinstance(word, str) else -1
        if found < 0:
            raise parameter_error(
                "word_segmenter",
                segmenter,
                "a callable from a text to the list of its words, as they stand in it and in "
                "their order, such as jieba.lcut",
                f"It returned {word!r}, which does not follow in {text[start : start + 40]!r}.",
            )
        # Some tokenizers have spaces, as tokens or in tokens, and count them to what follows.
        first = start + len(text[start:found].rstrip())
        start = found + len(word)
        numbers[first:start] = number
    return numbers
