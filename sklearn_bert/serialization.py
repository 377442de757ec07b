"""Values of parameters and fitted attributes as JSON, and back; nothing in it can run code.

What JSON has no word for becomes an object with its "type": arrays, tuples, dicts with keys of any
kind, and the few classes that the caller names.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["from_json", "to_json"]

_DTYPES = {
    np.dtype(name).name: np.dtype(name)
    for name in ("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "O")
}
# NumPy finds the width that the items need.
_TEXT = "str"


def to_json(value: Any) -> Any:
    """Return a value as what the `json` module writes.

    Parameters
    ----------
    value : object
        None, a boolean, number or string; a list, tuple, dict, frozenset, array or dataclass of
        such; or a range, which comes back as a list.

    Raises
    ------
    TypeError
        If it is, or contains, something else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"type": "float", "value": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if _is_plain(value):
        return {name: to_json(item) for name, item in value.items()}
    for kind, encode in _ENCODERS.items():
        if isinstance(value, kind):
            return encode(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        named = {name: to_json(item) for name, item in fields.items()}
        return {"type": type(value).__name__, "fields": named}
    raise TypeError(f"{value!r} of type {type(value).__name__} has no form in JSON.")


def from_json(value: Any, classes: Mapping[str, type] | None = None) -> Any:
    """Return what `to_json` was given.

    Parameters
    ----------
    value : object
        What the `json` module read.
    classes : dict of str to type, default=None
        The dataclasses that may occur, by name.

    Raises
    ------
    ValueError, TypeError, KeyError
        If it is nothing that `to_json` returns.
    """
    if isinstance(value, list):
        return [from_json(item, classes) for item in value]
    if not isinstance(value, dict):
        return value
    if _is_plain(value):
        return {name: from_json(item, classes) for name, item in value.items()}
    kind = value["type"]
    if kind in _DECODERS:
        return _DECODERS[kind](value, classes)
    if kind not in (classes or {}):
        raise ValueError(f"type {kind!r} is not known here.")
    fields = {name: from_json(item, classes) for name, item in value["fields"].items()}
    return (classes or {})[kind](**fields)


def _is_plain(value: Any) -> bool:
    """Return whether a dict can be taken for itself, in both directions."""
    return isinstance(value, dict) and all(isinstance(k, str) and k != "type" for k in value)


def _array_to_json(array: np.ndarray) -> dict[str, Any]:
    dtype = _TEXT if array.dtype.kind == "U" else array.dtype.name
    if dtype != _TEXT and dtype not in _DTYPES:
        raise TypeError(f"An array of dtype {array.dtype} has no form in JSON.")
    return {"type": "array", "dtype": dtype, "items": to_json(array.tolist())}


def _array_from_json(value: dict[str, Any], classes: Any) -> np.ndarray:
    dtype = np.dtype(np.str_) if value["dtype"] == _TEXT else _DTYPES[value["dtype"]]
    return np.array(from_json(value["items"], classes), dtype=dtype)


_ENCODERS: dict[type, Callable[[Any], Any]] = {
    range: list,
    tuple: lambda value: {"type": "tuple", "items": to_json(list(value))},
    frozenset: lambda value: {"type": "frozenset", "items": to_json(sorted(value))},
    dict: lambda value: {"type": "dict", "items": [to_json(list(item)) for item in value.items()]},
    np.ndarray: _array_to_json,
}
_DECODERS: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    "float": lambda value, _: float(value["value"]),
    "tuple": lambda value, classes: tuple(from_json(value["items"], classes)),
    "frozenset": lambda value, classes: frozenset(from_json(value["items"], classes)),
    "dict": lambda value, classes: dict(from_json(value["items"], classes)),
    "array": _array_from_json,
}
