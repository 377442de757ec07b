"""Hand labelled texts over in scikit-learn's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.utils import Bunch


def make_bunch(
    name: str,
    texts: Sequence[str] | Sequence[tuple[str, ...]],
    target: Sequence[int] | Sequence[str],
    target_names: Sequence[str],
    *,
    return_X_y: bool,
    as_frame: bool,
    columns: Sequence[str] = ("text",),
    extra: Mapping[str, Sequence[str]] | None = None,
) -> Bunch | tuple[Any, Any]:
    """Pack texts and labels into what scikit-learn's loaders return.

    Parameters
    ----------
    name : str
        The data set, which names its description too.
    texts : sequence of str or of tuple of str
        The texts, or tuples with one text for each of `columns`.
    target : sequence of int or str
        The labels.
    target_names : sequence of str
        The names of the classes.
    return_X_y, as_frame : bool
        As in scikit-learn.
    columns : sequence of str, default=("text",)
        The names of the text columns.
    extra : mapping of str to sequence of str, default=None
        What else is known of each text, by name.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        The Bunch, or ``(data, target)``.
    """
    data: Any = list(texts)
    labels: Any = np.asarray(target)
    known = {key: np.asarray(values) for key, values in (extra or {}).items()}
    frame = None
    if as_frame:
        frame = _pandas().DataFrame(data, columns=list(columns)).assign(target=labels, **known)
        # One text column is handed over as a Series: it is an X that estimators take as it is.
        data = frame[columns[0]] if len(columns) == 1 else frame[list(columns)]
        labels = frame["target"]
    if return_X_y:
        return data, labels
    return Bunch(
        data=data,
        target=labels,
        target_names=list(target_names),
        feature_names=list(columns),
        frame=frame,
        DESCR=_description(name),
        **known,
    )


def _description(name: str) -> str:
    return resources.files(__package__).joinpath("descr", f"{name}.rst").read_text("utf-8")


def _pandas() -> ModuleType:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "as_frame=True needs pandas, which is not installed: `pip install pandas`, or leave "
            "as_frame=False."
        ) from error
    return pandas
