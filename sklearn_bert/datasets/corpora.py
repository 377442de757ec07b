"""The corpora that are fetched: other people's texts, downloaded once and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from csv import Dialect
from typing import Any, Literal

from sklearn.utils import Bunch

from sklearn_bert.datasets.bunch import make_bunch
from sklearn_bert.datasets.download import locate
from sklearn_bert.datasets.reading import Quoted, Unquoted, read_table
from sklearn_bert.datasets.registry import FILES
from sklearn_bert.errors import parameter_error

__all__ = [
    "fetch_chn_hotel",
    "fetch_emotion",
    "fetch_imdb_sample",
    "fetch_mrpc",
    "fetch_online_shopping",
    "fetch_sst2",
]

_POLARITY = ("negative", "positive")
_ADDED_TO_MRPC = "-1"
_CATEGORIES = (
    "书籍",
    "平板",
    "手机",
    "水果",
    "洗发水",
    "热水器",
    "蒙牛",
    "衣服",
    "计算机",
    "酒店",
)


def fetch_sst2(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: Literal["train", "dev", "test", "all"] = "train",
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Fetch the Stanford Sentiment Treebank, binary, sentences (classification).

    Sentences from film reviews: 6,920 for training, 872 for development, 1,821 for testing.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Where downloads are kept; None: ``~/sklearn_bert_data``. A folder that the environment
        variable ``SKLEARN_BERT_DATA`` names is looked into first.
    subset : {"train", "dev", "test", "all"}, default="train"
        Which part; "all": the three in this order.
    download_if_missing : bool, default=True
        Whether to download what is not on this machine.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether to return pandas objects: data and target as Series.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        A Bunch with data (list of str), target (ndarray of int, 0 negative, 1 positive),
        target_names, feature_names, frame (None unless `as_frame`) and DESCR; or the tuple
        ``(data, target)``.

    Raises
    ------
    OSError
        If the files are not at hand and can't be downloaded, or have another content.

    Examples
    --------
    >>> from sklearn_bert.datasets import fetch_sst2
    >>> train = fetch_sst2(subset="train")  # doctest: +SKIP
    >>> len(train.data), train.target_names  # doctest: +SKIP
    (6920, ['negative', 'positive'])
    """
    parts = _parts(subset, ("train", "dev", "test"))
    paths = [f"sst2/{part}.tsv" for part in parts]
    rows = _fetch_rows(paths, None, Unquoted, data_home, download_if_missing)
    texts, labels = zip(*rows, strict=True)
    return make_bunch(
        "sst2", texts, _integers(labels), _POLARITY, return_X_y=return_X_y, as_frame=as_frame
    )


def fetch_emotion(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Fetch short texts labelled with an emotion: anger, fear or joy (classification).

    5,937 English texts, in one part.

    Parameters
    ----------
    data_home, download_if_missing, return_X_y, as_frame
        As for :func:`fetch_sst2`.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        As for :func:`fetch_sst2`; target is an ndarray of str.

    Raises
    ------
    OSError
        If the file is not at hand and can't be downloaded, or has another content.

    Examples
    --------
    >>> from sklearn_bert.datasets import fetch_emotion
    >>> fetch_emotion().target_names  # doctest: +SKIP
    ['anger', 'fear', 'joy']
    """
    rows = _fetch_rows(
        ["emotion/emotion.csv"], ("text", "Emotion"), Quoted, data_home, download_if_missing
    )
    texts, labels = zip(*rows, strict=True)
    return make_bunch(
        "emotion",
        texts,
        labels,
        ("anger", "fear", "joy"),
        return_X_y=return_X_y,
        as_frame=as_frame,
    )


def fetch_mrpc(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: Literal["train", "test", "all"] = "train",
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Fetch the Microsoft Research Paraphrase Corpus (classification of sentence pairs).

    4,076 pairs for training, 1,725 for testing: is the second a paraphrase of the first?

    Parameters
    ----------
    data_home, download_if_missing, return_X_y
        As for :func:`fetch_sst2`.
    subset : {"train", "test", "all"}, default="train"
        Which part; "all": both in this order.
    as_frame : bool, default=False
        Whether to return pandas objects: data as a DataFrame with the columns sentence_1 and
        sentence_2, target as a Series.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        As for :func:`fetch_sst2`; data is a list of tuples of two sentences, target is 1 for a
        paraphrase and 0 otherwise.

    Raises
    ------
    OSError
        If the files are not at hand and can't be downloaded, or have another content.

    Examples
    --------
    >>> from sklearn_bert.datasets import fetch_mrpc
    >>> train = fetch_mrpc()  # doctest: +SKIP
    >>> first, second = train.data[0]  # doctest: +SKIP
    """
    paths = [f"mrpc/msr_paraphrase_{part}.txt" for part in _parts(subset, ("train", "test"))]
    columns = ("Quality", "#1 ID", "#1 String", "#2 String")
    rows = _fetch_rows(paths, columns, Unquoted, data_home, download_if_missing)
    # The owner of the public home put four pairs of their own at the end of the training file.
    rows = [row for row in rows if row[1] != _ADDED_TO_MRPC]
    labels, _, first, second = zip(*rows, strict=True)
    return make_bunch(
        "mrpc",
        list(zip(first, second, strict=True)),
        _integers(labels),
        ("not a paraphrase", "paraphrase"),
        columns=("sentence_1", "sentence_2"),
        return_X_y=return_X_y,
        as_frame=as_frame,
    )


def fetch_imdb_sample(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Fetch 2,000 long film reviews from IMDB (classification).

    231 words on average and up to 1,090: many are longer than a model's limit.

    Parameters
    ----------
    data_home, download_if_missing, return_X_y, as_frame
        As for :func:`fetch_sst2`.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        As for :func:`fetch_sst2`.

    Raises
    ------
    OSError
        If the file is not at hand and can't be downloaded, or has another content.

    Examples
    --------
    >>> from sklearn_bert.datasets import fetch_imdb_sample
    >>> X, y = fetch_imdb_sample(return_X_y=True)  # doctest: +SKIP
    """
    columns = ("text", "label")
    rows = _fetch_rows(["imdb_sample/imdb.csv"], columns, Quoted, data_home, download_if_missing)
    # The published file repeats its header in the middle.
    texts, labels = zip(*(row for row in rows if row != columns), strict=True)
    return make_bunch(
        "imdb_sample", texts, _integers(labels), _POLARITY, return_X_y=return_X_y, as_frame=as_frame
    )


def fetch_chn_hotel(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Fetch 7,766 Chinese hotel reviews, ChnSentiCorp (classification).

    5,322 positive ones, then 2,444 negative ones: shuffle before taking a part. One is empty.

    Parameters
    ----------
    data_home, download_if_missing, return_X_y, as_frame
        As for :func:`fetch_sst2`.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        As for :func:`fetch_sst2`.

    Raises
    ------
    OSError
        If the file is not at hand and can't be downloaded, or has another content.

    Examples
    --------
    >>> from sklearn_bert.datasets import fetch_chn_hotel
    >>> X, y = fetch_chn_hotel(return_X_y=True)  # doctest: +SKIP
    """
    paths = ["chn_hotel/ChnSentiCorp_htl_all.csv"]
    rows = _fetch_rows(paths, ("review", "label"), Quoted, data_home, download_if_missing)
    texts, labels = zip(*rows, strict=True)
    return make_bunch(
        "chn_hotel", texts, _integers(labels), _POLARITY, return_X_y=return_X_y, as_frame=as_frame
    )


def fetch_online_shopping(
    *,
    data_home: str | os.PathLike[str] | None = None,
    categories: str | Iterable[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Fetch 62,774 Chinese shop reviews in ten categories (classification).

    They are ordered by category and class: shuffle before taking a part. One is empty.

    Parameters
    ----------
    data_home, download_if_missing, return_X_y, as_frame
        As for :func:`fetch_sst2`.
    categories : str or iterable of str, default=None
        Which categories, in Chinese; None: all. 书籍 books, 平板 tablets, 手机 mobile phones,
        水果 fruit, 洗发水 shampoo, 热水器 water heaters, 蒙牛 Mengniu (milk), 衣服 clothes,
        计算机 computers, 酒店 hotels.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        As for :func:`fetch_sst2`, and category, an ndarray of str.

    Raises
    ------
    ValueError
        If a category is unknown, or none is chosen.
    OSError
        If the file is not at hand and can't be downloaded, or has another content.

    Examples
    --------
    >>> from sklearn_bert.datasets import fetch_online_shopping
    >>> phones = fetch_online_shopping(categories=["手机"])  # doctest: +SKIP
    """
    chosen = _chosen_categories(categories)
    paths = ["online_shopping/online_shopping_10_cats.zip"]
    columns = ("review", "label", "cat")
    rows = _fetch_rows(paths, columns, Quoted, data_home, download_if_missing)
    texts, labels, kinds = zip(*(row for row in rows if row[2] in chosen), strict=True)
    return make_bunch(
        "online_shopping",
        texts,
        _integers(labels),
        _POLARITY,
        extra={"category": kinds},
        return_X_y=return_X_y,
        as_frame=as_frame,
    )


def _parts(subset: str, available: tuple[str, ...]) -> tuple[str, ...]:
    if subset == "all":
        return available
    if subset not in available:
        raise parameter_error("subset", subset, (*available, "all"))
    return (subset,)


def _chosen_categories(categories: str | Iterable[str] | None) -> tuple[str, ...]:
    if categories is None:
        return _CATEGORIES
    accepted = f"None, or one or more of {', '.join(_CATEGORIES)}"
    if not isinstance(categories, Iterable):
        raise parameter_error("categories", categories, accepted)
    chosen = (categories,) if isinstance(categories, str) else tuple(categories)
    if not chosen or any(category not in _CATEGORIES for category in chosen):
        raise parameter_error("categories", categories, accepted)
    return chosen


def _fetch_rows(
    paths: Sequence[str],
    columns: tuple[str, ...] | None,
    dialect: type[Dialect],
    data_home: str | os.PathLike[str] | None,
    download_if_missing: bool,
) -> list[tuple[str, ...]]:
    """Read the rows of the files one after the other, as `read_table` does for each."""
    return [
        row
        for path in paths
        for row in read_table(
            locate(FILES[path], data_home=data_home, download_if_missing=download_if_missing),
            columns,
            dialect,
        )
    ]


def _integers(labels: Iterable[str]) -> list[int]:
    return [int(label) for label in labels]
