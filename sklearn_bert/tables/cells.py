"""Cells: columns of those that may be any string, and what is neither text nor label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sklearn_bert.errors import TableError, shown

__all__ = ["check_cells", "column_of"]

_WIDTH = 60
# What Parquet and JSON have besides, whose `str` nobody wrote, and what to do with it.
_BYTES = (bytes, bytearray), "bytes", "Decode bytes first: cell.decode('utf-8')."
_LISTS = (list, tuple, np.ndarray), "a list", "Join lists first: ' '.join(cell)."
_OBJECTS = (dict,), "an object", "Make a column of what is wanted of it."


def check_cells(
    chunk: pd.DataFrame,
    columns: Sequence[str],
    path: str | os.PathLike[str],
    n_before: int,
    of_lists: str = _LISTS[2],
) -> None:
    """Raise for a cell that is no string, number, boolean or date, and not missing.

    Parameters
    ----------
    chunk : DataFrame
        Rows of a file.
    columns : sequence of str
        Those to look through.
    path : str or path
        The file.
    n_before : int
        How many of its rows are before these.
    of_lists : str
        What to do with lists.

    Raises
    ------
    TableError
        If there is one.
    """
    for name in columns:
        for row, cell in enumerate(chunk[name].tolist(), n_before + 1):
            for kinds, what, remedy in (_BYTES, (*_LISTS[:2], of_lists), _OBJECTS):
                if isinstance(cell, kinds):
                    raise TableError(
                        f"{os.fspath(path)}, row {row}: {name!r} is {what}, {shown(cell, _WIDTH)}. "
                        f"Accepted: strings, numbers, booleans and dates. {remedy}"
                    )


def column_of(values: Any, rows: pd.Index[Any] | None = None) -> pd.Series[Any]:
    """Return a column of labels: as objects if they are strings.

    Strings of Arrow, which pandas makes else, can't have what a cut emoji leaves.
    """
    words = np.asarray(values).dtype.kind in "UO"
    return pd.Series(values, rows, dtype=object if words else None)
