"""Text pairs whose halves are encoded each by itself, and what their vectors are joined of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_bert.errors import parameter_error
from sklearn_bert.validation import Text, are_pairs

__all__ = ["PAIRS", "SIDES", "check_pairs", "halves", "sides"]

# As one text that the model reads together, or each half by itself.
PAIRS = ("joint", "separate")
# The names of what `sides` returns.
SIDES = ("first", "second", "difference", "product")


def check_pairs(pairs: str, texts: Sequence[Text], name: str = "X") -> None:
    """Raise where halves are asked for of texts that have none.

    Parameters
    ----------
    pairs : str
        One of `PAIRS`.
    texts : sequence of str or (str, str)
        All of a kind.
    name : str, default="X"
        What the error calls the texts.
    """
    if pairs == "separate" and not are_pairs(texts):
        raise parameter_error("pairs", pairs, "'joint' for single texts", f"{name} has no pairs.")


def halves(texts: Sequence[Text]) -> list[Text]:
    """Return the first halves of all pairs, then the second ones."""
    return [text[side] for side in (0, 1) for text in texts]


def sides(first: Any, second: Any) -> list[Any]:
    """Return what the vectors of two halves are joined of (InferSent, arXiv 1705.02364).

    Parameters
    ----------
    first, second : ndarrays or Tensors of shape (n_pairs, n_features)
        The vectors of the halves.

    Returns
    -------
    list of ndarray or Tensor of shape (n_pairs, n_features)
        In the order of `SIDES`.
    """
    return [first, second, abs(first - second), first * second]
