"""The columns in which results are shown, and which of them a narrow terminal has room for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sklearn_bert.comparison.clock import duration
from sklearn_bert.comparison.running import METRICS, CandidateResult

__all__ = ["GAP", "HEADINGS", "cells_of", "columns_for", "name_width", "size_of"]

HEADINGS = ("precision", "recall", "F1", "accuracy", "fit", "predict 1,000", "size", "encoded")
# Characters between columns.
GAP = 2
# How wide each gets, and in which order they are left out where there is no room: the last first.
_WIDTHS = (13, 13, 13, 13, 10, 13, 8, 9)
_IMPORTANCE = ("F1", "fit", "predict 1,000", "accuracy", "size", "recall", "precision", "encoded")
_LONGEST_NAME = 40


def cells_of(result: CandidateResult) -> list[str]:
    """Return what the columns say of a result."""
    scores = [f"{values.mean():.3f} ± {values.std():.3f}" for values in map(result.values, METRICS)]
    return [
        *scores,
        duration(result.fit_time),
        duration(result.predict_time),
        size_of(result.pickle_bytes),
        f"{result.texts_encoded:,}",
    ]


def columns_for(width: int, names: Sequence[str], scoring: str) -> list[int]:
    """Return the positions of the columns that there is room for, the score that decides always.

    Parameters
    ----------
    width : int
        Characters in a line.
    names : sequence of str
        The candidates.
    scoring : str
        One of `METRICS`.

    Examples
    --------
    >>> from sklearn_bert.comparison.columns import HEADINGS, columns_for
    >>> for width in (80, 120, 200):
    ...     print([HEADINGS[column] for column in columns_for(width, ["A name"], "f1_macro")])
    ['F1', 'accuracy', 'fit', 'predict 1,000', 'size']
    ['precision', 'recall', 'F1', 'accuracy', 'fit', 'predict 1,000', 'size', 'encoded']
    ['precision', 'recall', 'F1', 'accuracy', 'fit', 'predict 1,000', 'size', 'encoded']
    """
    decides = METRICS.index(scoring)
    order = [decides, *(column for column in map(HEADINGS.index, _IMPORTANCE) if column != decides)]
    left = width - name_width(names)
    found: list[int] = []
    for column in order:
        left -= GAP + _WIDTHS[column]
        if left < 0 and found:
            break
        found.append(column)
    return sorted(found)


def name_width(names: Sequence[str]) -> int:
    """Return how many characters names get at least; more only if there is room."""
    return min(_LONGEST_NAME, max(map(len, ["candidate", *names])))


def size_of(n_bytes: float) -> str:
    """Return bytes as a reader says them, a dash for NaN: of what has no size.

    Examples
    --------
    >>> from sklearn_bert.comparison.columns import size_of
    >>> [size_of(n_bytes) for n_bytes in (512, 20_480, 91_000_000)]
    ['512 B', '20.5 kB', '91.0 MB']
    """
    if math.isnan(n_bytes):
        return "–"
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"
