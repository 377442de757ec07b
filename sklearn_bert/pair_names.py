"""The names of the two columns of text pairs, as `fit` saw them.

Pairs whose halves are the other way round are pairs as well, and what is predicted for them is
something else. Names tell, where a table has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_bert.validation import Text, are_pairs, column_names

__all__ = ["ATTRIBUTE", "check_pair_names", "pair_names", "set_pair_names"]

# scikit-learn's name for what it is.
ATTRIBUTE = "feature_names_in_"


def pair_names(X: Any, texts: Sequence[Text]) -> np.ndarray | None:
    """Return the names of the columns of text pairs, None where not all of them are strings.

    Parameters
    ----------
    X : container
        What an estimator was given.
    texts : sequence of Text
        What `check_texts` made of it.

    Returns
    -------
    object ndarray of shape (2,), or None
    """
    names = list(column_names(X)) if are_pairs(texts) else []
    named = bool(names) and all(isinstance(name, str) for name in names)
    return np.array(names, dtype=object) if named else None


def check_pair_names(
    expected: np.ndarray | None, X: Any, texts: Sequence[Text], name: str = "X"
) -> None:
    """Refuse pairs of columns with other names, or in another order, than `fit` saw.

    Raises
    ------
    ValueError
        If both have names, and these differ.
    """
    found = pair_names(X, texts)
    if expected is None or found is None or found.tolist() == expected.tolist():
        return
    names = expected.tolist()
    same = sorted(found) == sorted(names)
    remedy = f"Pass {name}[{names}]." if same else "Rename them, or pass tuples without names."
    raise ValueError(
        f"{name} has text pairs in the columns {found.tolist()}. Accepted: {names}, in this order, "
        f"as the X that was passed to fit. {remedy}"
    )


def set_pair_names(estimator: Any, names: np.ndarray | None) -> None:
    """Have an estimator remember the names, or forget those of an earlier fit."""
    vars(estimator).pop(ATTRIBUTE, None)
    if names is not None:
        setattr(estimator, ATTRIBUTE, names)
