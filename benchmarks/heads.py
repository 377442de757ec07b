"""A head on a frozen encoder: its learning rate and epochs, beside LogisticRegression.

No test row is scored: of the rows to train on some are fitted, and others, the same for all rates,
are scored.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from benchmarks.children import Job, Result, alternate
from benchmarks.quality_tasks import TASKS, Split
from benchmarks.report import Report

# Seeds are repeats enough.
REPEATS = None

_PARTS = ("sst2", "emotion", "mrpc")
_QUICK_PARTS = ("sst2",)
_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
_SIZES = (100, 1000)
_QUICK_SIZES = (32,)
_SCORED = 600
_EPOCHS = (3, 10, 20)
_QUICK_EPOCHS = (1,)
_SEEDS = (0, 1, 2)
_LINEAR = "LogisticRegression"


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    settings = {
        "sizes": _QUICK_SIZES if options.quick else _SIZES,
        "epochs": _QUICK_EPOCHS if options.quick else _EPOCHS,
        "seeds": _SEEDS[:1] if options.quick else _SEEDS,
    }
    parts = _QUICK_PARTS if options.quick else _PARTS
    report.runs = alternate({part: Job(measure, {"part": part, **settings}) for part in parts}, 1)
    for size in settings["sizes"]:
        for epochs in settings["epochs"]:
            report.table(
                f"{size:,} rows, {epochs} epochs: accuracy, means over seeds",
                ["head_lr", *(TASKS[part].title for part in parts), "mean"],
                [_row(report.runs, size, epochs, name) for name in (*map(str, _RATES), _LINEAR)],
            )
    report.note(
        f"BertFineTuneClassifier(freeze='all'), all else at its default, and "
        f"{_LINEAR}(max_iter=1000) on vectors of BertFeaturizer(), which knows no epochs. Scored "
        f"on {_SCORED} rows of those to train on, which no fit has; seeds "
        f"{list(settings['seeds'])} draw both."
    )


def _row(runs: dict[str, list[Result]], size: int, epochs: int, name: str) -> list[str]:
    means = [
        statistics.mean(run["scores"][_key(size, None if name == _LINEAR else epochs, name)])
        for (run,) in runs.values()
    ]
    return [name, *(f"{mean:.4f}" for mean in means), f"{statistics.mean(means):.4f}"]


def _key(size: int, epochs: int | None, name: str) -> str:
    return f"{size} rows, {epochs} epochs, {name}"


def measure(
    part: str, sizes: tuple[int, ...], epochs: tuple[int, ...], seeds: tuple[int, ...]
) -> dict[str, Any]:
    """Score heads on a corpus, for each number of rows, epochs, and rate."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from sklearn_bert import BertFeaturizer, BertFineTuneClassifier

    whole = TASKS[part].fetch()
    scores: dict[str, list[float]] = {}
    for seed in seeds:
        for size in sizes:
            split = _held_out(whole, size, seed)
            linear = make_pipeline(BertFeaturizer(), LogisticRegression(max_iter=1000))
            heads = {
                _key(size, n_epochs, str(rate)): BertFineTuneClassifier(
                    freeze="all",
                    head_lr=rate,
                    max_epochs=n_epochs,
                    random_state=seed,
                )
                for n_epochs in epochs
                for rate in _RATES
            }
            for name, classifier in {_key(size, None, _LINEAR): linear, **heads}.items():
                fitted = classifier.fit(split.X, split.y)
                scores.setdefault(name, []).append(fitted.score(split.X_test, split.y_test))
    return {"scores": scores}


def _held_out(whole: Split, n_rows: int, seed: int) -> Split:
    """Return so many rows to fit, and others of those to train on to score."""
    from sklearn.model_selection import train_test_split

    X, X_held, y, y_held = train_test_split(
        whole.X, whole.y, test_size=_SCORED, stratify=whole.y, random_state=seed
    )
    X, _, y, _ = train_test_split(X, y, train_size=n_rows, stratify=y, random_state=seed)
    return Split(X, y, X_held, y_held)
