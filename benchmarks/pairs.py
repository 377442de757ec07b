"""Sentence pairs: paraphrases of MRPC by fine-tuning, and by features of joint or separate halves.

How to fine-tune was chosen within the training part: `--choose` shows it, and leaves the test set
alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.children import Job, Result, alternate
from benchmarks.report import Report, mean_and_deviation

# Rounds are seeds.
REPEATS = 3

_QUICK_ROWS = 100
_QUICK_EPOCHS = 1
_FINE_TUNED = "BertFineTuneClassifier, fine-tuned"
_JOINT = "BertFeaturizer(pairs='joint')"
_SEPARATE = "BertFeaturizer(pairs='separate')"
_MAJORITY = "always the larger class"
_CANDIDATES: dict[str, dict[str, Any]] = {
    "3 epochs": {"max_epochs": 3},
    "3 epochs, lr=1e-4": {"max_epochs": 3, "lr": 1e-4},
    "5 epochs, lr=1e-4": {"max_epochs": 5, "lr": 1e-4},
    "4 epochs, pooling=['cls', 'mean']": {"max_epochs": 4, "pooling": ["cls", "mean"]},
}
_CHOSEN = "3 epochs"
# A part of the training part, for --choose.
_CHOICE_ROWS = {"train_size": 1200, "test_size": 600}
_LEAST = {"accuracy": 0.72, "f1": 0.82}
_SAID = {"accuracy": "accuracy", "f1": "F1"}
_STRENGTHS = [0.001, 0.01, 0.1, 1.0]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument(
        "--choose", action="store_true", help="compare candidates within the training part"
    )


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    common = {"choose": options.choose, **({"n_rows": _QUICK_ROWS} if options.quick else {})}
    epochs = {"max_epochs": _QUICK_EPOCHS} if options.quick else {}
    if options.choose:
        jobs = {
            name: Job(measure, {"kind": _FINE_TUNED, "parameters": candidate | epochs, **common})
            for name, candidate in _CANDIDATES.items()
        }
    else:
        jobs = {kind: Job(measure, {"kind": kind, **common}) for kind in _KINDS}
        jobs[_FINE_TUNED].settings["parameters"] = _CANDIDATES[_CHOSEN] | epochs
    report.runs = alternate(jobs, options.repeats, seeded=jobs)
    _add_table(report)
    if not options.choose:
        _add_checks(report, checked=not options.quick)


def measure(
    kind: str,
    seed: int,
    choose: bool,
    parameters: dict[str, Any] | None = None,
    n_rows: int | None = None,
) -> Result:
    """Fit one kind of classifier with one seed, and score it."""
    from sklearn.metrics import accuracy_score, f1_score

    X, y, X_test, y_test = _data(choose, seed, n_rows)
    classifier = _KINDS[kind](seed, **(parameters or {}))
    start = time.perf_counter()
    classifier.fit(X, y)
    seconds = time.perf_counter() - start
    predicted = classifier.predict(X_test)
    return {
        "accuracy": float(accuracy_score(y_test, predicted)),
        "f1": float(f1_score(y_test, predicted)),
        "seconds": seconds,
        "train": len(X),
        "test": len(X_test),
    }


def _data(choose: bool, seed: int, n_rows: int | None) -> tuple[list[Any], Any, list[Any], Any]:
    """Return pairs to train on and pairs to score on, with their labels."""
    from sklearn.model_selection import train_test_split

    from sklearn_bert.datasets import fetch_mrpc

    train = fetch_mrpc(subset="train")
    if choose:
        X, X_test, y, y_test = train_test_split(
            train.data, train.target, stratify=train.target, random_state=seed, **_CHOICE_ROWS
        )
    else:
        test = fetch_mrpc(subset="test")
        X, y, X_test, y_test = train.data, train.target, test.data, test.target
    return list(X[:n_rows]), y[:n_rows], list(X_test[:n_rows]), y_test[:n_rows]


def _fine_tuned(seed: int, **parameters: Any) -> Any:
    from sklearn_bert import BertFineTuneClassifier

    return BertFineTuneClassifier(random_state=seed, **parameters)


def _joint(seed: int) -> Any:
    return _on_features(seed, pairs="joint")


def _separate(seed: int) -> Any:
    return _on_features(seed, pairs="separate", normalize=True)


def _on_features(seed: int, **parameters: Any) -> Any:
    """Return a linear classifier of features, its strength found by cross-validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sklearn_bert import BertFeaturizer

    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    strengths = {"logisticregression__C": _STRENGTHS}
    return make_pipeline(
        BertFeaturizer(**parameters), GridSearchCV(classifier, strengths, cv=folds)
    )


def _majority(seed: int) -> Any:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier()


_KINDS: dict[str, Callable[..., Any]] = {
    _FINE_TUNED: _fine_tuned,
    _JOINT: _joint,
    _SEPARATE: _separate,
    _MAJORITY: _majority,
}


def _add_table(report: Report) -> None:
    rows = [
        [
            name,
            *(mean_and_deviation([result[key] for result in rounds]) for key in _SAID),
            f"{statistics.mean(result['seconds'] for result in rounds):.1f}",
        ]
        for name, rounds in report.runs.items()
    ]
    rounds = next(iter(report.runs.values()))
    report.table(
        f"MRPC: fit on {rounds[0]['train']:,} pairs, scored on {rounds[0]['test']:,}; "
        f"{len(rounds)} seeds",
        ["", *_SAID.values(), "seconds"],
        rows,
    )
    report.note(
        "Mean ± standard deviation over seeds. F1 is that of the paraphrases. Features go to "
        "StandardScaler and LogisticRegression, whose C five folds of the training part chose; "
        "separate halves are scaled to unit norm and joined as [u, v, |u - v|, u * v]. Seconds: "
        "mean of fit, the choice of C and the loading of the model included."
    )


def _add_checks(report: Report, checked: bool) -> None:
    means = {
        (name, key): statistics.mean(result[key] for result in rounds)
        for name, rounds in report.runs.items()
        for key in _SAID
    }
    ranking = sorted(report.runs, key=lambda name: -means[name, "accuracy"])
    report.note(f"By accuracy: {', then '.join(ranking)}.")
    for key, least in _LEAST.items() if checked else ():
        mean = means[_FINE_TUNED, key]
        report.check(f"fine-tuned: {_SAID[key]} of at least {least}: {mean:.4f}", mean >= least)
