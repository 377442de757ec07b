"""What comes in: any container of texts or text pairs, and parameters, checked with clear errors.

`check_texts` turns every accepted container into one list; the rest of the package sees only
that list. The small `check_*` functions each hold one kind of parameter to its meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias, TypeVar

import numpy as np

from sklearn_bert.errors import parameter_error, shown

__all__ = [
    "Text",
    "are_pairs",
    "as_float",
    "check_choice",
    "check_integer",
    "check_no_missing",
    "check_number",
    "check_target_given",
    "check_texts",
    "check_verbose",
    "column_names",
    "is_missing",
    "is_word",
    "n_characters",
    "one_or_list",
    "well_formed",
]

Text: TypeAlias = str | tuple[str, str]
T = TypeVar("T")

_ACCEPTED = (
    "a list, tuple, NumPy array, pandas or polars Series, or pyarrow array of strings; "
    "for text pairs a list of 2-tuples, a DataFrame or an array with two columns"
)
_NO_VECTORIZER = " Pass the texts themselves: no vectorizer comes before."
_BYTES = (bytes, bytearray)
_WORDS = (list, np.ndarray)
_SHOWN = 5
_WIDTH = 60


def check_texts(X: Any, name: str = "X") -> list[Text]:
    """Return the texts or text pairs in `X` as a list.

    Parameters
    ----------
    X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
        A list, tuple, NumPy array, pandas or polars Series or pyarrow array; for pairs a list of
        2-tuples, a DataFrame, Table or array with two columns. One column counts as single texts.
    name : str, default="X"
        What errors call `X`.

    Returns
    -------
    list of str, or list of (str, str)
        Plain Python strings, in the order of `X`.

    Raises
    ------
    TypeError
        If `X` is no container of strings, or some of its items are not strings.
    ValueError
        If `X` is empty, has missing values, or has more than two columns.
    """
    columns = _columns(X, name)
    if len(columns) not in (1, 2):
        raise ValueError(
            f"{name} has {len(columns)} columns. Accepted: one column of texts, or two columns for "
            f"text pairs. Select them first, for example with ColumnTransformer."
        )
    if len(columns[0]) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) in {name} while a minimum of 1 is required. "
            f"Pass at least one text; an empty string counts as one."
        )
    if len(columns) == 2:
        _check_halves(X, columns, name)
    strings = [_strings(column, name) for column in columns]
    return list(strings[0]) if len(strings) == 1 else list(zip(*strings, strict=True))


def column_names(X: Any) -> Sequence[Any]:
    """Return what the columns of a table are called; of what has no names nothing."""
    names = getattr(X, "column_names", getattr(X, "columns", None))
    return () if names is None else names


def are_pairs(texts: Sequence[Text]) -> bool:
    """Say whether what `check_texts` returned are text pairs."""
    return not isinstance(texts[0], str)


def well_formed(text: str) -> str:
    """Replace lone surrogates, which UTF-8 can't carry; a cut emoji leaves one."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise unless `value` is one of `choices`, which are strings or booleans."""
    choices = list(choices)
    kinds = (bool, np.bool_) if isinstance(choices[0], bool) else str
    if not isinstance(value, kinds) or value not in choices:
        raise parameter_error(name, value, choices)


def check_integer(name: str, value: Any, *, minimum: int, accepted: str) -> None:
    """Raise unless `value` is an integer (a bool is not) of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise parameter_error(name, value, accepted)


def check_number(
    name: str,
    value: Any,
    *,
    minimum: float,
    below: float = math.inf,
    accepted: str,
) -> None:
    """Raise unless `value` is a finite number with ``minimum <= value < below``."""
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not number or not minimum <= as_float(value) < below:
        raise parameter_error(name, value, accepted)


def as_float(number: Any) -> float:
    """Return a number as a float, an infinite one if it is too big."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def check_verbose(value: Any) -> None:
    """Raise unless `value` is 0 or 1, or a boolean."""
    if not isinstance(value, (Integral, np.bool_)) or value not in (0, 1):
        raise parameter_error("verbose", value, "0 or 1")


def is_word(value: Any, word: str) -> bool:
    """Say whether a value of any kind is a certain word; an array, say, can't be compared to it."""
    return isinstance(value, str) and value == word


def check_no_missing(name: str, values: Any) -> None:
    """Raise if some of the labels in `values` are None or NaN."""
    missing = [i for i, value in enumerate(values) if is_missing(value)]
    if missing:
        raise ValueError(
            f"{name} has {len(missing)} missing value(s) (None or NaN), the first at position(s) "
            f"{_positions(missing)}. Drop these rows."
        )


def check_target_given(name: str, y: Any) -> None:
    """Raise if there are no targets."""
    if y is None:
        raise ValueError(
            f"This estimator requires {name} to be passed, but the target {name} is None."
        )


def n_characters(text: Text) -> int:
    """Return the characters of a text, or of both texts of a pair."""
    return len(text) if isinstance(text, str) else sum(map(len, text))


def one_or_list(name: str, value: T | Sequence[T]) -> list[T]:
    """Return `value` as a list, whether it is one item or a list or tuple of them."""
    if not isinstance(value, (list, tuple)):
        return [value]  # type: ignore[list-item]
    if not value:
        raise parameter_error(name, value, "one item, or a list with at least one")
    return list(value)


def _columns(X: Any, name: str) -> list[list[Any]]:
    """Split any accepted container into its columns, each a list."""
    for accepts, split in _CONTAINERS:
        if accepts(X):
            return split(X, name)
    hint = ""
    if isinstance(X, str):
        hint = " Pass [text] for a single text."
    elif hasattr(X, "tocsr"):  # scipy.sparse
        hint = _NO_VECTORIZER
    raise TypeError(f"{name} is a {type(X).__name__}. Accepted: {_ACCEPTED}.{hint}")


def _array_columns(X: np.ndarray, name: str) -> list[list[Any]]:
    if isinstance(X, np.matrix):
        raise TypeError(f"{name} is a matrix. Accepted: {_ACCEPTED}. Convert it with np.asarray.")
    if X.ndim not in (1, 2):
        raise ValueError(f"{name} is an array with {X.ndim} dimensions. Accepted: {_ACCEPTED}.")
    if X.dtype.kind not in "OUTV":
        hint = _NO_VECTORIZER if X.dtype.kind in "biufc" else ""
        raise TypeError(
            f"{name} is an array of {X.dtype}, not of strings. Accepted: {_ACCEPTED}.{hint}"
        )
    return [X.tolist()] if X.ndim == 1 else [column.tolist() for column in X.T]


def _sequence_columns(X: Sequence[Any], name: str) -> list[list[Any]]:
    items = list(X)
    if not any(issubclass(kind, tuple) for kind in set(map(type, items))):
        return [items]
    width = _n_halves(items[0])
    for position, item in enumerate(items):
        if _n_halves(item) != width:
            raise ValueError(
                f"{name}[{position}]={shown(item, _WIDTH)} does not match "
                f"{name}[0]={shown(items[0], _WIDTH)}. Accepted: strings everywhere, or "
                f"2-tuples of strings everywhere."
            )
    return [list(column) for column in zip(*items, strict=True)]


def _n_halves(item: Any) -> int | None:
    return len(item) if isinstance(item, tuple) else None


def _is_plain_sequence(X: Any) -> bool:
    return (
        hasattr(X, "__len__")
        and hasattr(X, "__getitem__")
        and not hasattr(X, "keys")
        and not hasattr(X, "ndim")
        and not isinstance(X, (str, bytes, bytearray, memoryview, range, type))
    )


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda X: not isinstance(X, type) and all(hasattr(X, name) for name in names)


# Containers are told apart by what they can do, so that no optional library is imported.
_CONTAINERS: list[tuple[Callable[[Any], bool], Callable[[Any, str], list[list[Any]]]]] = [
    (lambda X: isinstance(X, np.ndarray), _array_columns),
    # pandas.DataFrame
    (_has("iloc", "columns"), lambda X, name: [X.iloc[:, i].tolist() for i in range(X.shape[1])]),
    # polars.DataFrame
    (_has("get_columns"), lambda X, name: [column.to_list() for column in X.get_columns()]),
    # pyarrow.Table, RecordBatch
    (
        _has("itercolumns", "schema"),
        lambda X, name: [column.to_pylist() for column in X.itercolumns()],
    ),
    # pyarrow.Array, ChunkedArray
    (_has("to_pylist"), lambda X, name: [X.to_pylist()]),
    # polars.Series
    (_has("to_list", "rechunk"), lambda X, name: [X.to_list()]),
    # pandas.Series, pandas.Index, pandas extension arrays
    (_has("isna", "tolist"), lambda X, name: [X.tolist()]),
    (_is_plain_sequence, _sequence_columns),
]


def _check_halves(X: Any, columns: list[list[Any]], name: str) -> None:
    """Raise if one of two columns, alone, is of another kind, as scores beside texts are."""
    have_texts = list(map(_may_have_texts, columns))
    if all(have_texts) or not any(have_texts):
        return
    odd, texts = have_texts.index(False), have_texts.index(True)
    item = next(item for item in columns[odd] if not is_missing(item))
    labels = column_names(X)
    if len(labels):
        selected = f"{name}[{shown(labels[texts], _WIDTH)}]"
    elif isinstance(X, np.ndarray):
        selected = f"{name}[:, {texts}]"
    else:
        selected = f"[pair[{texts}] for pair in {name}]"
    raise TypeError(
        f"{name} has two columns, which are read as text pairs, and column "
        f"{shown(labels[odd] if len(labels) else odd, _WIDTH)} has no texts: its first item "
        f"{shown(item, _WIDTH)} is a {type(item).__name__}. Accepted: one column of texts, or two "
        f"for text pairs. For single texts select their column, for example {selected}."
    )


def _may_have_texts(column: list[Any]) -> bool:
    """Say whether a column has strings or what `_remedy` makes strings of, or is missing."""
    kinds = (str, *_BYTES, *_WORDS)
    return any(isinstance(item, kinds) for item in column) or all(map(is_missing, column))


def _strings(column: list[Any], name: str) -> list[str]:
    """Return the column as plain strings, or raise for what is missing or is no string."""
    if set(map(type, column)) == {str}:
        return column
    missing = [i for i, item in enumerate(column) if is_missing(item)]
    if missing:
        raise ValueError(
            f"{name} has {len(missing)} missing value(s), the first at position(s) "
            f"{_positions(missing)}. Drop these rows, or fill them: '' is accepted as a text."
        )
    wrong = [i for i, item in enumerate(column) if not isinstance(item, str)]
    if wrong:
        item = column[wrong[0]]
        raise TypeError(
            f"{name} has {len(wrong)} item(s) that are not strings, the first at position(s) "
            f"{_positions(wrong)}: {name}[{wrong[0]}]={shown(item, _WIDTH)} is a "
            f"{type(item).__name__}. Accepted: {_ACCEPTED}. {_remedy(item, column, name)}"
        )
    # Not str(item): a member of a string Enum is a text, and has a str of its own.
    return [str.__str__(item) for item in column]


def is_missing(item: Any) -> bool:
    """Say whether an item is None, NaN or what pandas has for these."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, (float, np.floating)) and bool(np.isnan(item))


def _remedy(item: Any, column: list[Any], name: str) -> str:
    if isinstance(item, _BYTES):
        return "Decode bytes first: text.decode('utf-8')."
    if all(map(_is_pair, column)):
        return (
            f"If these are pairs, pass [tuple(pair) for pair in {name}]; if they are lists of "
            f"words, join them: ' '.join(words)."
        )
    if isinstance(item, _WORDS):
        return "Join lists of words first: ' '.join(words). Pairs are 2-tuples."
    if isinstance(item, dict):
        key = next((key for key, value in item.items() if isinstance(value, str)), "text")
        return f"Pass the texts of the items: [item[{key!r}] for item in {name}]."
    return "Convert first: str(value)."


def _is_pair(item: Any) -> bool:
    """Say whether an item is two texts: JSON makes lists of tuples, and a Series keeps them."""
    two = isinstance(item, (list, tuple)) and len(item) == 2
    return two and all(isinstance(half, str) for half in item)


def _positions(found: list[int]) -> str:
    shown = ", ".join(map(str, found[:_SHOWN]))
    return f"{shown}, ..." if len(found) > _SHOWN else shown
