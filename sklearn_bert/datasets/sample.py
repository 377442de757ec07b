"""The bundled sample: reviews that were written for this package."""

from __future__ import annotations

from importlib import resources
from typing import Any

from sklearn.utils import Bunch

from sklearn_bert.datasets.bunch import make_bunch
from sklearn_bert.datasets.reading import read_table

__all__ = ["load_sample_reviews"]


def load_sample_reviews(
    *, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any]:
    """Load 360 short reviews in three classes (classification).

    They come with the package: nothing is downloaded. 300 are English, 60 Chinese; of each, a
    third is negative, a third neutral, a third positive.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether to return pandas objects: data and target as Series.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        A Bunch with

        data : list of str, or Series
            The texts.
        target : ndarray of str, or Series
            ``"negative"``, ``"neutral"`` or ``"positive"``.
        target_names : list of str
            The three classes.
        feature_names : list of str
            The name of the text column.
        language : ndarray of str
            ``"en"`` or ``"zh"``.
        frame : DataFrame or None
            Columns text, target and language, if `as_frame`.
        DESCR : str
            The description.

        With ``return_X_y=True``: the tuple ``(data, target)``.

    Raises
    ------
    ImportError
        If `as_frame` is set and pandas is not installed.

    Examples
    --------
    >>> from sklearn_bert.datasets import load_sample_reviews
    >>> reviews = load_sample_reviews()
    >>> len(reviews.data), reviews.target_names
    (360, ['negative', 'neutral', 'positive'])
    >>> X, y = load_sample_reviews(return_X_y=True)
    >>> X[1], str(y[1])
    ('Delivered on the date given in the email.', 'neutral')
    """
    source = resources.files(__package__).joinpath("data", "sample_reviews.csv")
    with resources.as_file(source) as path:
        texts, labels, languages = zip(
            *read_table(path, ("text", "label", "language")), strict=True
        )
    return make_bunch(
        "sample_reviews",
        texts,
        labels,
        ("negative", "neutral", "positive"),
        extra={"language": languages},
        return_X_y=return_X_y,
        as_frame=as_frame,
    )
