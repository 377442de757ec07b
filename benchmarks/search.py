"""GridSearchCV over poolings, layers and C: the whole search beside one pass plus the fits alone.

315 fits on SST-2 sentences. The store is cold when the search starts, and each distinct text has
to go through the encoder exactly once.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

from benchmarks.children import Job, alternate
from benchmarks.report import Report, median, spread

_TEXTS = 2000
_QUICK_TEXTS = 300
_WARM_UP_TEXTS = 64
_FOLDS = 5
_POOLINGS = ["cls", "mean", "max"]
_LAYERS = list(range(7))
_C = [0.01, 0.1, 1.0]
_BOUND = 1.5


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    n_texts = {"n_texts": _QUICK_TEXTS if options.quick else _TEXTS}
    jobs = {"search": Job(search, n_texts), "parts": Job(parts, n_texts)}
    report.runs = alternate(jobs, options.repeats)
    searches, alone = report.runs["search"], report.runs["parts"]
    first = searches[0]
    total = median(searches, "seconds")
    floor = median([{"seconds": r["pass_seconds"] + r["fit_seconds"]} for r in alone], "seconds")
    report.table(
        f"Seconds, median of {options.repeats} [least..most]",
        ["", "seconds"],
        [
            ["GridSearchCV, store cold", spread([r["seconds"] for r in searches], 2)],
            ["one pass over the distinct texts", spread([r["pass_seconds"] for r in alone], 2)],
            [
                f"{first['fits']} fits and scores alone",
                spread([r["fit_seconds"] for r in alone], 2),
            ],
            ["the search / (pass + fits)", f"{total / floor:.3f}"],
        ],
    )
    report.note(
        f"The bound on the ratio is {_BOUND}. Best of the grid: {first['best']}, "
        f"accuracy {first['best_score']:.4f}; the fits alone find {alone[0]['best_score']:.4f}."
    )
    encoded = sorted({result["encoded"] for result in searches})
    report.check(
        f"each of {first['distinct']:,} distinct texts was encoded once: {encoded} encoded",
        encoded == [first["distinct"]],
    )


def search(n_texts: int) -> dict[str, Any]:
    """Time the whole search, as a user writes it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline

    from sklearn_bert import BertFeaturizer
    from sklearn_bert.encoder import work

    texts, labels = _prepare(n_texts)
    pipeline = Pipeline([("bert", BertFeaturizer()), ("clf", LogisticRegression(max_iter=200))])
    grid = {"bert__pooling": _POOLINGS, "bert__layers": _LAYERS, "clf__C": _C}
    grid_search = GridSearchCV(pipeline, grid, cv=_folds(), refit=False)
    before = work.counted()
    start = time.perf_counter()
    grid_search.fit(texts, labels)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "fits": len(grid_search.cv_results_["params"]) * _FOLDS,
        "encoded": (work.counted() - before).texts,
        "distinct": len(set(texts)),
        "best": grid_search.best_params_,
        "best_score": float(grid_search.best_score_),
    }


def parts(n_texts: int) -> dict[str, Any]:
    """Time what no search can do without: one plain pass, and the fits on finished features."""
    from sklearn_bert import BertFeaturizer

    texts, labels = _prepare(n_texts)
    distinct = list(dict.fromkeys(texts))
    one_pass = BertFeaturizer(cache=None)
    start = time.perf_counter()
    one_pass.transform(distinct)
    pass_seconds = time.perf_counter() - start
    features = [
        BertFeaturizer(pooling=pooling, layers=layer).transform(texts)
        for pooling in _POOLINGS
        for layer in _LAYERS
    ]
    splits = list(_folds().split(texts, labels))
    start = time.perf_counter()
    best = max(_mean_score(X, labels, splits, c) for X in features for c in _C)
    fit_seconds = time.perf_counter() - start
    return {"pass_seconds": pass_seconds, "fit_seconds": fit_seconds, "best_score": best}


def _mean_score(X: Any, labels: Any, splits: list[tuple[Any, Any]], c: float) -> float:
    from sklearn.linear_model import LogisticRegression

    scores = [
        LogisticRegression(C=c, max_iter=200)
        .fit(X[train], labels[train])
        .score(X[test], labels[test])
        for train, test in splits
    ]
    return float(sum(scores) / len(scores))


def _prepare(n_texts: int) -> tuple[list[str], Any]:
    """Return texts and labels; the model is loaded and warm, the store is empty."""
    from sklearn.exceptions import ConvergenceWarning

    from sklearn_bert import BertFeaturizer, cache
    from sklearn_bert.datasets import fetch_sst2

    warnings.simplefilter("ignore", ConvergenceWarning)
    texts, labels = fetch_sst2(subset="train", return_X_y=True)
    BertFeaturizer().transform(texts[-_WARM_UP_TEXTS:])
    cache.clear()
    return texts[:n_texts], labels[:n_texts]


def _folds() -> Any:
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
