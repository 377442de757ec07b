"""What comes in beside the texts: labels, numbers and weights, one for each text, as arrays.

NumPy makes an array of nearly anything, and of some things silently the wrong one: a NaN among
strings becomes the label "nan", a number a string, and a mask is lost.
"""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from sklearn_bert.validation import is_missing

__all__ = ["as_array", "as_numbers", "check_sample_weight"]


def as_array(name: str, values: Any, n_samples: int, what: str, accepted: str) -> np.ndarray:
    """Return labels, numbers or weights as an array with a row for each text.

    Parameters
    ----------
    name : str
        What errors call the values; it ends with "_val" if they belong to `X_val`.
    values : array-like or sparse matrix
        What was passed. Strings mixed with anything else give an array of objects. Members of a
        string enumeration are their values.
    n_samples : int
        How many texts there are.
    what, accepted : str
        What errors call one of the values, in the plural, and say is accepted.

    Raises
    ------
    TypeError
        If `values` is no array-like.
    ValueError
        If it is ragged, partly masked, or has another length.
    """
    if hasattr(values, "__array__") and not hasattr(values, "shape"):
        values = np.asarray(values)
    n_found = _length(values)
    if n_found is None:
        raise TypeError(f"{name} is a {type(values).__name__}. Accepted: {accepted}.")
    if n_found != n_samples:
        texts = "X_val" if name.endswith("_val") else "X"
        raise ValueError(
            f"{texts} has {n_samples} texts and {name} has {n_found} {what}. Accepted: {accepted}."
        )
    if np.ma.is_masked(values):
        raise ValueError(f"{name} has values that are masked. Accepted: {accepted}. Drop them.")
    if hasattr(values, "toarray"):
        return values.toarray()
    dtypes = getattr(values, "dtypes", ())
    several = len({str(dtype) for dtype in np.atleast_1d(np.asarray(dtypes, dtype=object))}) > 1
    try:
        array = np.asarray(values, dtype=object if several else None)
        if array.dtype.kind == "T":
            # NumPy's strings of any length, which scikit-learn does not know.
            array = array.astype(object)
        if array.dtype.kind in "US" and not hasattr(values, "dtype"):
            array = _strings_or_objects(array, values)
        if array.dtype.kind == "O":
            array = _with_plain_strings(array)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array ({error}). Accepted: {accepted}.") from error
    return array


def as_numbers(name: str, array: np.ndarray, accepted: str) -> np.ndarray:
    """Return an array of numbers as float64; what is missing becomes NaN.

    Raises
    ------
    ValueError
        If some of it is no number, or too big to be a float.
    """
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    items = array.ravel().tolist() if array.dtype.kind == "O" else []
    wrong = [item for item in items if not (isinstance(item, (Real, Decimal)) or is_missing(item))]
    found = f"{type(wrong[0]).__name__}" if wrong else f"an array of {array.dtype}"
    if array.dtype.kind == "O" and not wrong:
        try:
            floats = [np.nan if is_missing(item) else float(item) for item in items]
            return np.array(floats).reshape(array.shape)
        except (OverflowError, ValueError) as error:
            found = str(error)
    raise ValueError(f"{name} has values that are no numbers ({found}). Accepted: {accepted}.")


def check_sample_weight(name: str, weights: Any, n_samples: int) -> np.ndarray | None:
    """Return weights as floats, None for None.

    Raises
    ------
    TypeError
        If `weights` is no array-like.
    ValueError
        If there is not one finite weight of at least 0 for each sample, or if all are 0.
    """
    if weights is None:
        return None
    accepted = f"one finite number of at least 0 for each of the {n_samples} samples, or None"
    array = as_array(name, weights, n_samples, "weights", accepted)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}. Accepted: {accepted}.")
    numbers = as_numbers(name, array, accepted)
    if not np.isfinite(numbers).all() or (numbers < 0).any() or not numbers.any():
        raise ValueError(f"{name} can't be used. Accepted: {accepted}, not all of them zero.")
    return numbers


def _length(values: Any) -> int | None:
    """Return the rows of an array-like, None for what is none."""
    has_keys = hasattr(values, "keys") and not hasattr(values, "toarray")
    if isinstance(values, (str, bytes, bytearray, type)) or has_keys:
        # Of what has keys, tables alone have rows, and sparse matrices.
        return len(values) if hasattr(values, "shape") and hasattr(values, "dtypes") else None
    if hasattr(values, "shape"):
        return int(values.shape[0]) if len(values.shape) else None
    indexed = hasattr(values, "__len__") and hasattr(values, "__getitem__")
    return len(values) if indexed else None


def _strings_or_objects(array: np.ndarray, values: Any) -> np.ndarray:
    """Return strings as they are, and what NumPy made strings of as objects."""
    objects = np.array(values, dtype=object)
    kinds = set(map(type, objects.ravel().tolist()))
    if kinds <= {str, np.str_} or all(issubclass(kind, bytes) for kind in kinds):
        return array
    if not all(issubclass(kind, str) for kind in kinds):
        return objects
    # NumPy took the names of members of an enumeration, cut to the length of their values.
    return _with_plain_strings(objects).astype(str)


def _with_plain_strings(objects: np.ndarray) -> np.ndarray:
    """Return objects with the values of string enumerations in place of their members."""
    items = objects.ravel().tolist()
    if not any(issubclass(kind, str) and kind is not str for kind in set(map(type, items))):
        return objects
    plain = (str.__str__(item) if isinstance(item, str) else item for item in items)
    return np.fromiter(plain, dtype=object, count=len(items)).reshape(objects.shape)
