"""A head on a frozen encoder: its learning rate and epochs, beside linear models on features.

No test row is scored: of the rows to train on some are fitted, and others, the same for all rates,
are scored.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.children import Job, Result, alternate
from benchmarks.quality_tasks import TASKS, Split
from benchmarks.report import Report

# Seeds are repeats enough.
REPEATS = None

_PARTS = ("sst2", "emotion", "mrpc", "imdb_sample", "chn_hotel")
_QUICK_PARTS = ("sst2",)
_RATES = ("auto", 1e-3, 3e-3, 1e-2, 3e-2)
_SIZES = (30, 100, 1000)
_QUICK_SIZES = (32,)
_SCORED = 500
_QUICK_SCORED = 32
_EPOCHS = (3, 10, 20)
_QUICK_EPOCHS = (1,)
_SEEDS = (0, 1, 2)
_LINEAR = "on features"


@dataclass(frozen=True)
class _Head:
    """A kind of head.

    Attributes
    ----------
    title : str
        Its name in tables.
    parameters : dict of str to Any
        What is not at its default.
    predicts_numbers : bool
        Whether it is the regressor's, for which two classes are 0 and 1, and not a classifier's.
    """

    title: str
    parameters: dict[str, Any] = field(default_factory=dict)
    predicts_numbers: bool = False


_HEADS = {
    "linear": _Head("linear"),
    "hidden": _Head("hidden_layer_sizes=(128,)", {"hidden_layer_sizes": (128,)}),
    "wide": _Head("pooling=['cls', 'max', 'mean']", {"pooling": ["cls", "max", "mean"]}),
    "numbers": _Head("regressor", predicts_numbers=True),
}
_OF_NUMBERS = ("sst2", "mrpc")


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    settings = {
        "sizes": _QUICK_SIZES if options.quick else _SIZES,
        "epochs": _QUICK_EPOCHS if options.quick else _EPOCHS,
        "seeds": _SEEDS[:1] if options.quick else _SEEDS,
        "n_scored": _QUICK_SCORED if options.quick else _SCORED,
    }
    parts = _QUICK_PARTS if options.quick else _PARTS
    report.runs = alternate({part: Job(measure, {"part": part, **settings}) for part in parts}, 1)
    trainings = list(itertools.product(settings["sizes"], settings["epochs"]))
    for name, head in _HEADS.items():
        found = {part: report.runs[part][0]["scores"] for part in parts if _suits(head, part)}
        score = "coefficient of determination" if head.predicts_numbers else "accuracy"
        title = f"{head.title}: {score}, mean over seeds and corpora"
        _add_table(report, title, name, list(found.values()), trainings)
        if name == "linear":
            for part, scores in found.items():
                title = f"{head.title}, {TASKS[part].title}: {score}, mean over seeds"
                _add_table(report, title, name, [scores], trainings)
    report.note(
        f"BertFineTuneClassifier(freeze='all'), all else at its default, and, {_LINEAR}, "
        f"LogisticRegression(max_iter=1000) on vectors of BertFeaturizer() with the same pooling; "
        f"the regressor has classes as 0 and 1, and RidgeCV. Neither knows epochs. Scored "
        f"on {settings['n_scored']} rows of those to train on, which no fit has; seeds "
        f"{list(settings['seeds'])} draw both."
    )


def _suits(head: _Head, part: str) -> bool:
    return part in _OF_NUMBERS or not head.predicts_numbers


def _add_table(
    report: Report, title: str, head: str, found: list[Result], trainings: list[tuple[int, int]]
) -> None:
    """Add scores by rate and, beside each other, numbers of rows and epochs."""
    rows = []
    for rate in (*_RATES, _LINEAR):
        keys = [_key(head, size, None if rate == _LINEAR else n, rate) for size, n in trainings]
        means = [statistics.mean(value for run in found for value in run[key]) for key in keys]
        rows.append([str(rate), *(f"{mean:.3f}" for mean in (*means, statistics.mean(means)))])
    columns = [f"{size:,} rows, {epochs} epochs" for size, epochs in trainings]
    report.table(title, ["head_lr", *columns, "mean"], rows)


def _key(head: str, size: int, epochs: int | None, rate: float | str) -> str:
    return f"{head}, {size} rows, {epochs} epochs, {rate}"


def measure(
    part: str,
    sizes: tuple[int, ...],
    epochs: tuple[int, ...],
    seeds: tuple[int, ...],
    n_scored: int,
) -> dict[str, Any]:
    """Score heads on a corpus, for each number of rows, epochs, and rate."""
    whole = TASKS[part].fetch()
    scores: dict[str, list[float]] = {}
    for seed, size in itertools.product(seeds, sizes):
        split = _held_out(whole, size, n_scored, seed)
        for key, estimator in _estimators(part, size, epochs, seed):
            fitted = estimator.fit(split.X, split.y)
            scores.setdefault(key, []).append(fitted.score(split.X_test, split.y_test))
    return {"scores": scores}


def _estimators(
    part: str, size: int, epochs: tuple[int, ...], seed: int
) -> Iterator[tuple[str, Any]]:
    for name, head in _HEADS.items():
        if _suits(head, part):
            yield _key(name, size, None, _LINEAR), _on_features(head)
            for n_epochs, rate in itertools.product(epochs, _RATES):
                yield _key(name, size, n_epochs, rate), _tuned(head, n_epochs, rate, seed)


def _tuned(head: _Head, max_epochs: int, rate: float | str, seed: int) -> Any:
    from sklearn_bert import BertFineTuneClassifier, BertFineTuneRegressor

    kind = BertFineTuneRegressor if head.predicts_numbers else BertFineTuneClassifier
    settings = {"head_lr": rate, "max_epochs": max_epochs, "random_state": seed}
    return kind(freeze="all", **settings, **head.parameters)


def _on_features(head: _Head) -> Any:
    import numpy as np
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline

    from sklearn_bert import BertFeaturizer

    ridge, logistic = RidgeCV(np.logspace(-2, 3, 12)), LogisticRegression(max_iter=1000)
    featurizer = BertFeaturizer(pooling=head.parameters.get("pooling", "mean"))
    return make_pipeline(featurizer, ridge if head.predicts_numbers else logistic)


def _held_out(whole: Split, n_rows: int, n_scored: int, seed: int) -> Split:
    """Return so many rows to fit, and others of those to train on to score."""
    from sklearn.model_selection import train_test_split

    X, X_held, y, y_held = train_test_split(
        whole.X, whole.y, test_size=n_scored, stratify=whole.y, random_state=seed
    )
    X, _, y, _ = train_test_split(X, y, train_size=n_rows, stratify=y, random_state=seed)
    return Split(X, y, X_held, y_held)
