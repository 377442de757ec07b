"""Texts that occur twice, or nearly: in two folds they flatter the scores."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from sklearn_bert.validation import Text, well_formed

__all__ = ["SIMILARITY", "Duplicates", "find_duplicates"]

# Cosine from which on two texts are near-duplicates.
SIMILARITY = 0.9
_NGRAMS = (3, 5)
_HASHED_TO = 2**20
# Characters that are looked at: of all texts, so that memory stays bounded, and of one that is cut
# at least.
_CHARACTERS, _LEAST_CHARACTERS = 20_000_000, 60
# Entries of a block of products, which bounds memory.
_BLOCK_ENTRIES = 4_000_000
_EXAMPLES = 20


@dataclass(frozen=True)
class Duplicates:
    """Rows whose text, or nearly the same, lies in another fold too.

    Attributes
    ----------
    exact, near : bool ndarray of shape (n_samples,)
        Which rows have the same text in another fold, and which have nearly the same there and
        not the same.
    n_contradictions : int
        Distinct texts that occur with different labels, in whatever folds.
    pairs : list of dict
        Some near-duplicates: ``rows``, ``similarity``, ``folds`` and ``same_label``, the most
        similar ones first.
    """

    exact: np.ndarray
    near: np.ndarray
    n_contradictions: int
    pairs: list[dict[str, Any]]

    @property
    def any(self) -> np.ndarray:
        """Rows with either."""
        return self.exact | self.near


def find_duplicates(texts: Sequence[Text], y: np.ndarray, folds: np.ndarray) -> Duplicates:
    """Find texts that occur in several folds.

    Texts are the same if they are so without regard to case, width of characters and white space.
    They are nearly the same if their vectors of hashed character 3- to 5-grams, weighted by TF-IDF,
    have a cosine of 0.9 or more. All such pairs are found, without comparing all with all: texts
    so alike must share one of the rare n-grams without which a vector is too short for such a
    cosine (Bayardo, Ma and Srikant, "Scaling up all pairs similarity search",
    WWW 2007). Where there are more than 20 million characters in all, only the first ones of the
    longest texts are looked at.

    Parameters
    ----------
    texts : sequence of str or (str, str)
        The texts; a pair counts as one text.
    y : ndarray of shape (n_samples,)
        Labels.
    folds : int ndarray of shape (n_samples,)
        The fold in which each is tested.

    Returns
    -------
    Duplicates
    """
    numbers: dict[str, int] = {}
    distinct = np.array([numbers.setdefault(_plain(t), len(numbers)) for t in texts], dtype=int)
    # How often each distinct text is in each fold.
    present = np.zeros((len(numbers), int(folds.max()) + 1), dtype=int)
    np.add.at(present, (distinct, folds), 1)
    counts = present.sum(axis=1)
    exact = counts[distinct] > present[distinct, folds]
    # Which folds have a text nearly like each.
    near = np.zeros_like(present, dtype=bool)
    first_row = np.unique(distinct, return_index=True)[1]
    pairs: list[dict[str, Any]] = []
    for one, other, similarity in _alike(list(numbers)):
        np.logical_or.at(near, one, present[other] > 0)
        np.logical_or.at(near, other, present[one] > 0)
        pairs += _described(one, other, similarity, first_row, folds, y)
        pairs = sorted(pairs, key=lambda pair: -pair["similarity"])[:_EXAMPLES]
    elsewhere = near[distinct].sum(axis=1) > near[distinct, folds]
    labels = np.unique(np.stack([distinct, np.unique(y, return_inverse=True)[1]]), axis=1)
    contradictions = int((np.bincount(labels[0]) > 1).sum())
    return Duplicates(exact, elsewhere & ~exact, contradictions, pairs)


def _plain(text: Text) -> str:
    joined = text if isinstance(text, str) else "\n".join(text)
    return " ".join(unicodedata.normalize("NFKC", well_formed(joined)).casefold().split())


def _described(
    one: np.ndarray,
    other: np.ndarray,
    similarity: np.ndarray,
    first_row: np.ndarray,
    folds: np.ndarray,
    y: np.ndarray,
) -> list[dict[str, Any]]:
    best = np.argsort(-similarity, kind="stable")[:_EXAMPLES]
    rows = [(int(first_row[one[i]]), int(first_row[other[i]])) for i in best]
    return [
        {
            "rows": (a, b),
            "similarity": float(similarity[i]),
            "folds": (int(folds[a]), int(folds[b])),
            "same_label": bool(y[a] == y[b]),
        }
        for i, (a, b) in zip(best, rows, strict=True)
    ]


def _alike(texts: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield pairs of nearly the same texts, in blocks: two numbers and their similarity."""
    hashing = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=_NGRAMS,
        n_features=_HASHED_TO,
        alternate_sign=False,
        dtype=np.float32,
    )
    each = _looked_at(np.array([len(text) for text in texts]))
    counted = hashing.transform(text[:each] for text in texts)
    vectors = TfidfTransformer(sublinear_tf=True).fit_transform(counted)
    vectors = sparse.csr_matrix(vectors)
    prefixes = _prefixes(vectors)
    transposed = prefixes.T.tocsr()
    n_products = prefixes @ np.asarray(prefixes.getnnz(axis=0), dtype=np.int64)
    start = 0
    while start < len(texts):
        within = np.cumsum(n_products[start:])
        stop = start + max(1, int(np.searchsorted(within, _BLOCK_ENTRIES, side="right")))
        candidates = sparse.triu(prefixes[start:stop] @ transposed, k=start + 1).tocoo()
        one, other = candidates.row + start, candidates.col
        similarity = _cosines(vectors, one, other)
        enough = similarity >= SIMILARITY
        yield one[enough], other[enough], similarity[enough]
        start = stop


def _looked_at(lengths: np.ndarray) -> int:
    """Return where longer texts are cut, so that all have `_CHARACTERS` at most."""
    lengths = np.sort(lengths)
    n_longer = np.arange(len(lengths), 0, -1)
    shorter = np.cumsum(lengths) - lengths
    # The shortest stay whole, as many as can; the others share what these leave.
    n_whole = int(np.searchsorted(shorter + lengths * n_longer, _CHARACTERS, side="right"))
    if n_whole == len(lengths):
        return int(lengths[-1])
    share = (_CHARACTERS - int(shorter[n_whole])) // int(n_longer[n_whole])
    return max(share, _LEAST_CHARACTERS)


def _prefixes(vectors: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return which entries are needed for a cosine of `SIMILARITY`, the rarest n-grams first.

    What is left out of a vector is too short to reach the cosine by itself, with any vector.
    """
    frequency = np.asarray(vectors.getnnz(axis=0))
    rows = np.repeat(np.arange(vectors.shape[0]), np.diff(vectors.indptr))
    # By row, within it the most frequent first, ties by column so that all rows agree.
    order = np.lexsort((-vectors.indices, -frequency[vectors.indices], rows))
    squares = np.cumsum(vectors.data[order].astype(np.float64) ** 2)
    before_row = np.concatenate([[0.0], squares])[vectors.indptr[:-1]]
    so_far = squares - np.repeat(before_row, np.diff(vectors.indptr))
    # A little below the bound, so that rounding leaves no pair out.
    needed = order[so_far >= SIMILARITY**2 - 1e-6]
    entries = (np.ones(len(needed), dtype=np.int64), (rows[needed], vectors.indices[needed]))
    return sparse.csr_matrix(entries, shape=vectors.shape)


def _cosines(vectors: sparse.csr_matrix, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    found = np.empty(len(one))
    for start in range(0, len(one), 10_000):
        part = slice(start, start + 10_000)
        products = vectors[one[part]].multiply(vectors[other[part]])
        found[part] = np.asarray(products.sum(axis=1)).ravel()
    return found
