"""A store on disk: a second process encodes nothing, and n_jobs=2 scores as n_jobs=1 does."""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.children import Job, Result, run_job
from benchmarks.kept import working_folder
from benchmarks.report import Report, spread

REPEATS = 1

_TEXTS = 2000
_QUICK_TEXTS = 80
_WARM_UP_TEXTS = 64
_GRID = {"bert__pooling": ["cls", "mean", "max"], "bert__layers": [5, 6]}
_FIRST, _SECOND = "first process, folder empty", "second process, same folder"
_ONE, _TWO = "GridSearchCV n_jobs=1, same folder", "GridSearchCV n_jobs=2, same folder"
_COLD = "GridSearchCV n_jobs=2, folder empty"


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    n_texts = _QUICK_TEXTS if options.quick else _TEXTS
    rounds = [_round(n_texts, number) for number in range(options.repeats)]
    report.runs = {name: [results[name] for results in rounds] for name in rounds[0]}
    report.table(
        f"{n_texts:,} texts",
        ["", "seconds", "texts encoded"],
        [
            [name, spread([r["seconds"] for r in results], 2), str(results[0].get("encoded", ""))]
            for name, results in report.runs.items()
        ],
    )
    scores = rounds[0][_ONE]["scores"]
    cold = max(_difference(results[_ONE], results[_COLD]) for results in rounds)
    report.note(f"Mean scores of the {len(scores)} candidates: {', '.join(map(str, scores))}.")
    report.note(
        f"With n_jobs=2 and an empty folder, processes encode in other batches, so vectors differ "
        f"by rounding; the largest difference of a score is {cold:.4f}."
    )
    again = max(results[_SECOND]["encoded"] for results in rounds)
    report.check(f"the second process encodes nothing: {again} texts encoded", again == 0)
    report.check(
        "the second process gets the same vectors",
        all(results[_FIRST]["sum"] == results[_SECOND]["sum"] for results in rounds),
    )
    report.check(
        "GridSearchCV gives identical scores with n_jobs=1 and n_jobs=2",
        all(_difference(results[_ONE], results[_TWO]) == 0 for results in rounds),
    )


def encode(n_texts: int, folder: str, empty: bool = False) -> Result:
    """Encode with a store in `folder`, which is emptied before if so said."""
    from sklearn_bert import BertFeaturizer
    from sklearn_bert.encoder import work

    texts, _ = _data(n_texts)
    if empty:
        _remove(folder)
    before = work.counted()
    start = time.perf_counter()
    vectors = BertFeaturizer(cache=folder).transform(texts)
    seconds = time.perf_counter() - start
    encoded = (work.counted() - before).texts
    return {"seconds": seconds, "encoded": encoded, "sum": float(vectors.sum(dtype=np.float64))}


def search(n_texts: int, folder: str, n_jobs: int, empty: bool = False) -> Result:
    """Search over poolings and layers with a store in `folder`, emptied before if so said."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from sklearn_bert import BertFeaturizer

    texts, labels = _data(n_texts)
    if empty:
        _remove(folder)
    steps = [
        ("bert", BertFeaturizer(cache=folder)),
        ("scale", StandardScaler()),
        ("clf", LogisticRegression(C=0.01, max_iter=1000)),
    ]
    grid_search = GridSearchCV(Pipeline(steps), _GRID, cv=5, n_jobs=n_jobs, refit=False)
    start = time.perf_counter()
    grid_search.fit(texts, labels)
    seconds = time.perf_counter() - start
    results = grid_search.cv_results_
    by_fold = [results[f"split{fold}_test_score"].tolist() for fold in range(5)]
    return {
        "seconds": seconds,
        "scores": results["mean_test_score"].round(4).tolist(),
        "scores_by_fold": by_fold,
    }


def _round(n_texts: int, number: int) -> dict[str, Result]:
    with working_folder(f"stores-{number}") as root:
        used = {"n_texts": n_texts, "folder": str(Path(root, "used"))}
        empty = {"n_texts": n_texts, "folder": str(Path(root, "empty"))}
        return {
            # What was broken off may have left something there.
            _FIRST: run_job(Job(encode, {**used, "empty": True})),
            _SECOND: run_job(Job(encode, used)),
            _ONE: run_job(Job(search, {**used, "n_jobs": 1})),
            _TWO: run_job(Job(search, {**used, "n_jobs": 2})),
            _COLD: run_job(Job(search, {**empty, "n_jobs": 2, "empty": True})),
        }


def _remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _difference(one: Result, two: Result) -> float:
    return float(np.abs(np.subtract(one["scores_by_fold"], two["scores_by_fold"])).max())


def _data(n_texts: int) -> tuple[list[str], Any]:
    """Return texts and labels; the model is loaded and warm."""
    from sklearn_bert import BertFeaturizer
    from sklearn_bert.datasets import fetch_sst2

    texts, labels = fetch_sst2(subset="train", return_X_y=True)
    BertFeaturizer(cache=None).transform(texts[-_WARM_UP_TEXTS:])
    return texts[:n_texts], labels[:n_texts]
