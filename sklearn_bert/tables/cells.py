"""Columns of cells that may be any string."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["column_of"]


def column_of(values: Any, rows: pd.Index[Any] | None = None) -> pd.Series[Any]:
    """Return a column of labels: as objects if they are strings.

    Strings of Arrow, which pandas makes else, can't have what a cut emoji leaves.
    """
    words = np.asarray(values).dtype.kind in "UO"
    return pd.Series(values, rows, dtype=object if words else None)
