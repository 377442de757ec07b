"""GridSearchCV over poolings, layers and C: beside one pass plus the fits alone, and other tools.

SST-2 sentences. The store is cold when a search starts, and each distinct text has to go through
the encoder exactly once. Other tools have neither poolings nor layers to choose, so the same
pipelines are searched over C; so are vectors that the first of them encoded once, beforehand, in
its float32 and, where that is native, in the bfloat16 that ours takes.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

from benchmarks.arguments import at_least
from benchmarks.children import Job, alternate
from benchmarks.embedded import auto_precision
from benchmarks.report import Report, median, spread
from benchmarks.rivals.encoders import ENCODERS, REFERENCE, STEPS, sentence_transformers

REPEATS = 2

_TEXTS = 2000
_QUICK_TEXTS = 100
# For the searches beside other tools, which take minutes with these.
_FEW_TEXTS = 300
_QUICK_FEW_TEXTS = 20
# The first of them have five of each class, one for each fold.
_LEAST_TEXTS = 10
_WARM_UP_TEXTS = 64
_FOLDS = 5
_POOLINGS = ["cls", "mean", "max"]
_LAYERS = list(range(7))
_C = [0.01, 0.1, 1.0]
_BOUND = 1.5
_OURS = "ours"
_ALL_OURS = "ours, over poolings and layers too"
_BEFOREHAND = {
    "float32": f"{REFERENCE}, encoded once beforehand",
    "bfloat16": f"{REFERENCE} in bfloat16, encoded once beforehand",
}
# How many times as long others have to take.
_LEAST_TIMES = 20
_BOUNDED = ("sentence-transformers", "skrub TextEncoder", "embetter SentenceEncoder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument(
        "--tools",
        nargs="*",
        choices=list(STEPS),
        default=list(STEPS),
        help="to search beside (default all)",
    )
    parser.add_argument(
        "--texts",
        type=at_least(_LEAST_TEXTS),
        metavar="N",
        help=f"for the tools' searches, at least {_LEAST_TEXTS} (default {_FEW_TEXTS})",
    )


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    n_texts = {"n_texts": _QUICK_TEXTS if options.quick else _TEXTS}
    few = {"n_texts": options.texts or (_QUICK_FEW_TEXTS if options.quick else _FEW_TEXTS)}
    jobs = {"search": Job(search, n_texts), "parts": Job(parts, n_texts)}
    jobs |= {name: Job(search_c, {**few, "tool": name}) for name in (_OURS, *options.tools)}
    precisions = dict.fromkeys(["float32", auto_precision("cpu")])
    jobs |= {
        _BEFOREHAND[dtype]: Job(search_vectors, {**few, "dtype": dtype}) for dtype in precisions
    }
    jobs[_ALL_OURS] = Job(search, few)
    report.runs = alternate(jobs, options.repeats)
    _add_parts(report)
    _add_tools(report, options.tools)
    if not options.quick:
        _add_checks(report, options.tools)


def _add_parts(report: Report) -> None:
    searches, alone = report.runs["search"], report.runs["parts"]
    first = searches[0]
    report.table(
        f"{first['texts']:,} texts, {first['fits']} fits: seconds, median of {len(searches)} "
        f"[least..most]",
        ["", "seconds"],
        [
            ["GridSearchCV, store cold", spread([r["seconds"] for r in searches], 2)],
            ["one pass over the distinct texts", spread([r["pass_seconds"] for r in alone], 2)],
            [
                f"{first['fits']} fits and scores alone",
                spread([r["fit_seconds"] for r in alone], 2),
            ],
            ["the search / (pass + fits)", f"{_times_the_floor(report):.3f}"],
        ],
    )
    report.note(
        f"Best of the grid: {first['best']}, accuracy {first['best_score']:.4f}; the fits alone "
        f"find {alone[0]['best_score']:.4f}."
    )
    encoded = sorted({result["encoded"] for result in searches})
    report.check(
        f"each of {first['distinct']:,} distinct texts was encoded once: {encoded} encoded",
        encoded == [first["distinct"]],
    )


def _times_the_floor(report: Report) -> float:
    """Return the time of a search / that of what no search can do without."""
    floor = median(
        [{"seconds": r["pass_seconds"] + r["fit_seconds"]} for r in report.runs["parts"]], "seconds"
    )
    return median(report.runs["search"], "seconds") / floor


def _add_tools(report: Report, tools: list[str]) -> None:
    ours = median(report.runs[_OURS], "seconds")
    first, over_all = report.runs[_OURS][0], report.runs[_ALL_OURS]
    rows = []
    beforehand = [name for name in _BEFOREHAND.values() if name in report.runs]
    for name in (_OURS, *tools, *beforehand):
        results = report.runs[name]
        rows.append(
            [
                name,
                f"{results[0]['encoded']:,}",
                spread([result["seconds"] for result in results], 2),
                f"{median(results, 'seconds') / ours:.1f}",
                f"{results[0]['best_score']:.4f}",
            ]
        )
    report.table(
        f"{first['texts']:,} texts, the same Pipeline and search over C: {first['fits']} fits",
        ["", "texts encoded", "seconds", "times ours", "accuracy"],
        rows,
    )
    report.note(
        f"All encode with their own pooling of the last layer, so candidates and fits are the "
        f"same; seconds are linear in texts. Encoded once beforehand: the search gets an array, "
        f"so layers and poolings are no candidates, and what is fitted takes no texts. Ours over "
        f"{len(_POOLINGS)} poolings and {len(_LAYERS)} layers too: {over_all[0]['fits']} fits in "
        f"{median(over_all, 'seconds'):.2f} s, accuracy {over_all[0]['best_score']:.4f}. skrub "
        f"loads its model in each fit, embetter in each clone, as they do for anyone; the other "
        f"tools are steps that share one loaded model."
    )


def _add_checks(report: Report, tools: list[str]) -> None:
    ratio = _times_the_floor(report)
    report.check(
        f"the search takes at most {_BOUND} times as long as one pass and the fits alone: "
        f"{ratio:.3f}",
        ratio <= _BOUND,
    )
    ours = median(report.runs[_OURS], "seconds")
    for name in _BOUNDED:
        if name in tools:
            times = median(report.runs[name], "seconds") / ours
            report.check(
                f"the same search with {name} inside takes at least {_LEAST_TIMES} times as long: "
                f"{times:.1f}",
                times >= _LEAST_TIMES,
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
        "texts": len(texts),
        "distinct": len(set(texts)),
        "best": grid_search.best_params_,
        "best_score": float(grid_search.best_score_),
    }


def search_c(n_texts: int, tool: str) -> dict[str, Any]:
    """Time a search over C alone, with ours or with another tool in the pipeline."""
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    from sklearn_bert import BertFeaturizer
    from sklearn_bert.encoder import work

    texts, labels = _prepare(n_texts)
    step = BertFeaturizer() if tool == _OURS else STEPS[tool]()
    passed = 0

    def count(X: Any) -> Any:
        nonlocal passed
        passed += len(X)
        return X

    pipeline = Pipeline(
        [
            ("count", FunctionTransformer(count)),
            ("bert", step),
            ("clf", LogisticRegression(max_iter=200)),
        ]
    )
    X = pd.Series(texts, name="text")
    if tool != _OURS:
        # Starts what a first call starts, such as threads.
        ENCODERS[tool]().encode(texts[:_WARM_UP_TEXTS])
    grid_search = GridSearchCV(pipeline, {"clf__C": _C}, cv=_folds(), refit=False)
    before = work.counted()
    start = time.perf_counter()
    grid_search.fit(X, labels)
    seconds = time.perf_counter() - start
    encoded = (work.counted() - before).texts if tool == _OURS else passed
    return _found(tool, grid_search, seconds, len(texts), encoded)


def search_vectors(n_texts: int, dtype: str) -> dict[str, Any]:
    """Time encoding once with the reference, and the search over C on the vectors."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    texts, labels = _prepare(n_texts)
    encoder = sentence_transformers(dtype=dtype)
    encoder.encode(texts[:_WARM_UP_TEXTS])
    grid_search = GridSearchCV(
        LogisticRegression(max_iter=200), {"C": _C}, cv=_folds(), refit=False
    )
    start = time.perf_counter()
    grid_search.fit(encoder.encode(texts), labels)
    seconds = time.perf_counter() - start
    return _found(_BEFOREHAND[dtype], grid_search, seconds, len(texts), len(texts))


def _found(
    tool: str, grid_search: Any, seconds: float, n_texts: int, n_encoded: int
) -> dict[str, Any]:
    """Return the result of a search over C."""
    return {
        "tool": tool,
        "seconds": seconds,
        "fits": len(grid_search.cv_results_["params"]) * _FOLDS,
        "texts": n_texts,
        "encoded": n_encoded,
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
