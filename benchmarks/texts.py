"""Texts to measure with: corpora without repeats, as many as asked for, or of a length asked for.

What is made of other texts is made the same way every time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

__all__ = ["CORPORA", "OF_LENGTH", "corpus_texts", "texts_of_length"]

CORPORA = ("sst2", "emotion", "imdb", "mixed")
# Followed by a number of tokens, the name of a corpus that is made of SST-2's sentences.
OF_LENGTH = "tokens: "
_MIXED = ("sst2", "emotion", "imdb")
# Of each corpus in the mixture, where no number is asked for: as many as the smallest has.
_MIXED_PART = 2000
_N_OF_LENGTH = 8192


def corpus_texts(
    corpus: str, n: int | None = None, folder: str | None = None
) -> tuple[list[str], int]:
    """Return distinct texts of a corpus.

    Parameters
    ----------
    corpus : str
        One of `CORPORA`: training sentences of SST-2, emotion, IMDB's sample; or equal parts of
        these, shuffled. Or `OF_LENGTH` and a number, which is how long all texts are.
    n : int or None
        How many. Where a corpus has fewer, halves of two of its texts are joined, which keeps
        lengths alike. None is all there are.
    folder : str or None
        Of the model whose tokens are counted; None is the embedded one.

    Returns
    -------
    texts : list of str
    n_made : int
        How many of them were made of others.
    """
    if corpus.startswith(OF_LENGTH):
        texts, _, _ = texts_of_length(
            n or _N_OF_LENGTH, int(corpus.removeprefix(OF_LENGTH)), folder
        )
        return texts, len(texts)
    if corpus != "mixed":
        return _enough(_distinct(corpus), n, random.Random(corpus))
    texts = []
    n_made = 0
    wanted = len(_MIXED) * _MIXED_PART if n is None else n
    for i, part in enumerate(_MIXED):
        # The first parts have one more where the number does not divide.
        share = (wanted + len(_MIXED) - 1 - i) // len(_MIXED)
        some, made = _enough(_distinct(part), share, random.Random(part))
        texts += some
        n_made += made
    random.Random(0).shuffle(texts)
    return texts, n_made


def texts_of_length(
    n: int, length: int, folder: str | None = None
) -> tuple[list[str], list[int], int]:
    """Make `n` texts of at most and almost `length` tokens, of SST-2's sentences.

    Parameters
    ----------
    n, length : int
        How many, and how long.
    folder : str or None
        Of the model whose tokens are counted; None is the embedded one.

    Returns
    -------
    texts : list of str
    labels : list of int
        Those of the sentences that the texts start in.
    tokens : int
        How many all texts have, special tokens included.
    """
    texts: list[str] = []
    labels: list[int] = []
    total = 0
    words: list[str] = []
    label, tokens = 0, 2
    for word, n_tokens, of_sentence in _words(folder):
        if words and tokens + n_tokens > length:
            texts.append(" ".join(words))
            labels.append(label)
            total += tokens
            words, tokens = [], 2
            if len(texts) == n:
                break
        if not words:
            label = of_sentence
        words.append(word)
        tokens += n_tokens
    return texts, labels, total


def _distinct(corpus: str) -> list[str]:
    from sklearn_bert import datasets

    fetch: dict[str, Any] = {
        "sst2": datasets.fetch_sst2,
        "emotion": datasets.fetch_emotion,
        "imdb": datasets.fetch_imdb_sample,
    }
    return list(dict.fromkeys(fetch[corpus]().data))


def _enough(texts: list[str], n: int | None, draw: random.Random) -> tuple[list[str], int]:
    """Return the first `n` texts, and how many had to be made."""
    if n is None or n <= len(texts):
        return texts[:n], 0
    known = dict.fromkeys(texts)
    made = (text for text in _joined_halves(texts, draw) if text not in known)
    while len(known) < n:
        known.update(dict.fromkeys(islice(made, n - len(known))))
    return list(known), n - len(texts)


def _joined_halves(texts: Sequence[str], draw: random.Random) -> Iterator[str]:
    """Yield the first half of a text with the second half of another, without end."""
    split = [text.split() for text in texts]
    while True:
        first, second = draw.choice(split), draw.choice(split)
        yield " ".join([*first[: (len(first) + 1) // 2], *second[(len(second) + 1) // 2 :]])


def _words(folder: str | None) -> Iterator[tuple[str, int, int]]:
    """Yield words of SST-2 with their numbers of tokens and labels, again and again.

    Each time the sentences come in another order, so that no text comes twice.
    """
    from transformers import AutoTokenizer

    from benchmarks.embedded import model_folder
    from sklearn_bert.datasets import fetch_sst2

    sentences, labels = fetch_sst2(subset="train", return_X_y=True)
    split = [sentence.split() for sentence in sentences]
    vocabulary = sorted({word for words in split for word in words})
    tokenizer = AutoTokenizer.from_pretrained(folder or model_folder())
    encoded = tokenizer(vocabulary, add_special_tokens=False)["input_ids"]
    n_tokens = {word: len(ids) for word, ids in zip(vocabulary, encoded, strict=True)}
    draw = random.Random(0)
    order = list(range(len(sentences)))
    while True:
        draw.shuffle(order)
        for i in order:
            for word in split[i]:
                yield word, n_tokens[word], int(labels[i])
