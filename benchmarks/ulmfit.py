"""ULMFiT's ablation (arXiv 1801.06146) with BERT: which of its methods help on few rows.

Each method is added to the one before it. A round is a seed, all else is the same.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from typing import Any

from benchmarks.arguments import at_least
from benchmarks.children import Job, Result, alternate
from benchmarks.quality_tasks import load
from benchmarks.report import Report, mean_and_deviation

# Rounds are seeds.
REPEATS = 5

_ROWS = {"sst2": 1000, "emotion": 1500}
_QUICK_ROWS = 32
# One of each class.
_LEAST_ROWS = 3
_QUICK_TEST_ROWS = 50
# The encoder has six layers: the eighth epoch is the first in which all of it trains.
_EPOCHS = 8
_QUICK_EPOCHS = 3
_PLAIN = {"lr_schedule": "constant", "warmup": 0}
_GRADUAL = {"gradual_unfreezing": True}
_DISCRIMINATIVE = {"layer_lr_decay": 1 / 2.6}
_SLANTED = {"lr_schedule": "slanted_triangular", "warmup": 0.1}
_WHOLE, _DEFAULTS = "gradual + discriminative + slanted", "this package's defaults"
_VARIANTS: dict[str, dict[str, Any]] = {
    "full": _PLAIN,
    "last": {**_PLAIN, "freeze": "all"},
    "gradual": {**_PLAIN, **_GRADUAL},
    "gradual + discriminative": {**_PLAIN, **_GRADUAL, **_DISCRIMINATIVE},
    _WHOLE: {**_GRADUAL, **_DISCRIMINATIVE, **_SLANTED},
    _DEFAULTS: {},
}
# The second has to be better than the first if the method is to hold here.
_STEPS = [
    ("last", "full"),
    ("full", "gradual"),
    ("gradual", "gradual + discriminative"),
    ("gradual + discriminative", _WHOLE),
    ("full", _WHOLE),
    (_DEFAULTS, _WHOLE),
]
# A mean difference of so many standard errors is taken for one.
_STANDARD_ERRORS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument(
        "--part", nargs="+", choices=list(_ROWS), default=list(_ROWS), help="default both"
    )
    rows = ", ".join(f"{n:,} of {corpus}" for corpus, n in _ROWS.items())
    parser.add_argument(
        "--rows",
        type=at_least(_LEAST_ROWS),
        metavar="N",
        help=f"training rows, at least {_LEAST_ROWS} (default {rows})",
    )


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    quick = {"n_test": _QUICK_TEST_ROWS, "epochs": _QUICK_EPOCHS} if options.quick else {}
    jobs = {}
    for corpus in options.part:
        n_rows = options.rows or (_QUICK_ROWS if options.quick else _ROWS[corpus])
        jobs[corpus] = Job(measure, {"corpus": corpus, "n_rows": n_rows, **quick})
    report.runs = alternate(jobs, options.repeats, seeded=jobs)
    for corpus, rounds in report.runs.items():
        _add_table(report, corpus, rounds)
        _add_findings(report, corpus, rounds)
    report.note(
        "full: all trains, at a constant rate; last: the head alone; gradual: the head alone in "
        "the first epoch, one layer more in each that follows; discriminative: rates fall by 2.6 "
        "from layer to layer; slanted: rates rise over a tenth of the steps, then fall in a line "
        "to 1/32. Mean ± standard deviation over seeds. Seconds: means, of fits that found "
        "nothing kept. Gains: means of differences within seeds ± their standard error; those of "
        f"less than {_STANDARD_ERRORS} standard errors are undecided."
    )


def measure(
    corpus: str, seed: int, n_rows: int, n_test: int | None = None, epochs: int = _EPOCHS
) -> Result:
    """Fit each variant with one seed, nothing kept from the one before, and score it."""
    from sklearn.metrics import accuracy_score, f1_score

    from sklearn_bert import BertFineTuneClassifier, cache
    from sklearn_bert.encoder import work

    # The seed is that of training: the rows are the same for all.
    split = load(corpus, n_rows, n_test, seed=0)
    X, y, X_test, y_test = split.X, split.y, split.X_test, split.y_test
    # Loads the model.
    BertFineTuneClassifier(max_epochs=1).fit(X[:64], y[:64])
    fits = {}
    for name, parameters in _VARIANTS.items():
        cache.clear()
        classifier = BertFineTuneClassifier(max_epochs=epochs, random_state=seed, **parameters)
        before, start = work.counted(), time.perf_counter()
        classifier.fit(X, y)
        seconds, done = time.perf_counter() - start, work.counted() - before
        predicted = classifier.predict(X_test)
        fits[name] = {
            "seconds": seconds,
            "encoded": done.texts,
            "accuracy": float(accuracy_score(y_test, predicted)),
            "f1": float(f1_score(y_test, predicted, average="macro")),
        }
    return {
        "fits": fits,
        "seed": seed,
        "train": len(X),
        "test": len(X_test),
        "epochs": epochs,
        "computed_in": classifier.precision_,
    }


def _add_table(report: Report, corpus: str, rounds: list[Result]) -> None:
    first = rounds[0]
    rows = [
        [
            name,
            mean_and_deviation(_values(rounds, name, "accuracy")),
            mean_and_deviation(_values(rounds, name, "f1")),
            f"{statistics.mean(_values(rounds, name, 'seconds')):.1f}",
            f"{first['fits'][name]['encoded']:,}",
        ]
        for name in _VARIANTS
    ]
    report.table(
        f"{corpus}: fit on {first['train']:,} texts, {first['epochs']} epochs, scored on "
        f"{first['test']:,}; {len(rounds)} seeds; {first['computed_in']}",
        ["", "accuracy", "macro F1", "seconds", "texts encoded"],
        rows,
    )


def _add_findings(report: Report, corpus: str, rounds: list[Result]) -> None:
    """Say of each step whether it is an improvement here, by differences within seeds."""
    if len(rounds) < 2:
        report.note(f"{corpus}: one seed says nothing about what holds.")
        return
    findings = []
    for worse, better in _STEPS:
        values = (_values(rounds, name, "accuracy") for name in (worse, better))
        differences = [high - low for low, high in zip(*values, strict=True)]
        mean = statistics.mean(differences)
        error = statistics.stdev(differences) / math.sqrt(len(differences))
        findings.append([better, worse, f"{mean:+.4f} ± {error:.4f}", _said(mean, error)])
    report.table(
        f"{corpus}: what holds",
        ["", "better than", "gain in accuracy", "here"],
        findings,
    )


def _said(mean: float, error: float) -> str:
    if abs(mean) <= _STANDARD_ERRORS * error or mean == 0:
        return "undecided"
    return "holds" if mean > 0 else "does not hold"


def _values(rounds: list[Result], name: str, key: str) -> list[float]:
    return [result["fits"][name][key] for result in rounds]
