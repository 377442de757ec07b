"""The corpora of the benchmark quality: what is trained on, and what is scored on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["SIZES", "TASKS", "Split", "Task", "load", "unknown_share"]

# Training rows.
SIZES = ["100", "1000", "all"]
_TEST_SHARE = {"emotion": 0.3, "imdb_sample": 0.2, "chn_hotel": 0.2}
# Which rows are scored on is the same for all seeds.
_SPLIT_SEED = 2024


@dataclass(frozen=True)
class Split:
    """Samples to train on and samples to score on.

    Attributes
    ----------
    X, X_test : list of str or of (str, str)
    y, y_test : ndarray
    """

    X: list[Any]
    y: np.ndarray
    X_test: list[Any]
    y_test: np.ndarray


@dataclass(frozen=True)
class Task:
    """A corpus.

    Attributes
    ----------
    title : str
        Its name in tables.
    fetch : callable
        Returns the whole split.
    characters : bool
        Whether TF-IDF counts characters, since words are not set apart by spaces.
    pairs : bool
        Whether samples are text pairs.
    """

    title: str
    fetch: Callable[[], Split]
    characters: bool = False
    pairs: bool = False


def load(part: str, n_rows: int | None, n_test: int | None, seed: int) -> Split:
    """Return as many rows to train on as asked for, in the proportions of the classes.

    Parameters
    ----------
    part : str
        One of `TASKS`.
    n_rows : int or None
        Rows to train on, which the seed draws; None is all.
    n_test : int or None
        Rows to score on; None is all.
    seed : int
        Fixes the draw.
    """
    from sklearn.model_selection import train_test_split

    whole = TASKS[part].fetch()
    X, y = whole.X, whole.y
    if n_rows is not None and n_rows < len(X):
        X, _, y, _ = train_test_split(X, y, train_size=n_rows, stratify=y, random_state=seed)
    return Split(X, y, whole.X_test[:n_test], whole.y_test[:n_test])


def unknown_share(texts: list[Any], tokenizer: Any) -> float:
    """Return what part of the tokens the vocabulary does not have."""
    from benchmarks.rivals.training import tokenize

    encoded = tokenize(tokenizer, texts, add_special_tokens=False)["input_ids"]
    tokens = np.concatenate([np.asarray(ids, dtype=np.int64) for ids in encoded])
    return float(np.mean(tokens == tokenizer.unk_token_id))


def _sst2() -> Split:
    from sklearn_bert.datasets import fetch_sst2

    train, test = fetch_sst2(subset="train"), fetch_sst2(subset="test")
    return Split(list(train.data), train.target, list(test.data), test.target)


def _mrpc() -> Split:
    from sklearn_bert.datasets import fetch_mrpc

    train, test = fetch_mrpc(subset="train"), fetch_mrpc(subset="test")
    return Split(list(train.data), train.target, list(test.data), test.target)


def _emotion() -> Split:
    from sklearn_bert.datasets import fetch_emotion

    return _split("emotion", *fetch_emotion(return_X_y=True))


def _imdb_sample() -> Split:
    from sklearn_bert.datasets import fetch_imdb_sample

    return _split("imdb_sample", *fetch_imdb_sample(return_X_y=True))


def _chn_hotel() -> Split:
    from sklearn_bert.datasets import fetch_chn_hotel

    return _split("chn_hotel", *fetch_chn_hotel(return_X_y=True))


def _split(part: str, texts: Any, labels: np.ndarray) -> Split:
    from sklearn.model_selection import train_test_split

    X, X_test, y, y_test = train_test_split(
        list(texts),
        labels,
        test_size=_TEST_SHARE[part],
        stratify=labels,
        random_state=_SPLIT_SEED,
    )
    return Split(X, y, X_test, y_test)


TASKS = {
    "sst2": Task("SST-2", _sst2),
    "emotion": Task("emotion", _emotion),
    "mrpc": Task("MRPC, pairs", _mrpc, pairs=True),
    "imdb_sample": Task("imdb_sample", _imdb_sample),
    "chn_hotel": Task("chn_hotel, Chinese", _chn_hotel, characters=True),
}
