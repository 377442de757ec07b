"""How BertFineTuneClassifier's defaults were chosen: learning rates on three corpora, two depths.

Accuracy on the test sets after training on some rows with each candidate; means over seeds.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from benchmarks.children import Job, alternate
from benchmarks.quality_tasks import load
from benchmarks.report import Report

_CANDIDATES: dict[str, dict[str, Any]] = {
    "lr=5e-5": {"lr": 5e-5},
    "lr=1e-4": {"lr": 1e-4},
    "lr=2e-4": {"lr": 2e-4},
    "lr=2e-4, layer_lr_decay=0.8": {"lr": 2e-4, "layer_lr_decay": 0.8},
    "lr=1e-4, pooling=cls": {"lr": 1e-4, "pooling": "cls"},
}
_ROWS = {"sst2": 1000, "emotion": 1000, "mrpc": 600}
_QUICK_TEST_ROWS = 50
_DEPTHS = (-2, "none")
# Seeds are repeats enough.
REPEATS = None


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    share = 0.02 if options.quick else 1.0
    seeds = [0] if options.quick else [0, 1]
    settings = {
        "share": share,
        "seeds": seeds,
        "n_test": _QUICK_TEST_ROWS if options.quick else None,
    }
    jobs = {
        name: Job(measure, {"parameters": parameters, **settings})
        for name, parameters in list(_CANDIDATES.items())[: 2 if options.quick else None]
    }
    report.runs = alternate(jobs, 1)
    columns = [f"{corpus} {depth}" for corpus in _ROWS for depth in _DEPTHS]
    rows = []
    for name, (result,) in report.runs.items():
        means = [statistics.mean(result["scores"][column]) for column in columns]
        rows.append([name, *(f"{mean:.4f}" for mean in means), f"{statistics.mean(means):.4f}"])
    report.table("Test accuracy, means over seeds", ["", *columns, "mean"], rows)
    report.note(
        f"Trained on {', '.join(f'{n * share:.0f} rows of {name}' for name, n in _ROWS.items())}, "
        f"3 epochs, all else at its default; seeds {seeds}. MRPC has text pairs."
    )


def measure(
    parameters: dict[str, Any], share: float, seeds: list[int], n_test: int | None
) -> dict[str, Any]:
    """Train on each corpus at each depth with each seed."""
    from sklearn_bert import BertFineTuneClassifier

    scores: dict[str, list[float]] = {}
    for corpus, n in _ROWS.items():
        split = load(corpus, int(n * share), n_test, seed=0)
        for depth in _DEPTHS:
            scores[f"{corpus} {depth}"] = [
                BertFineTuneClassifier(freeze=depth, random_state=seed, **parameters)
                .fit(split.X, split.y)
                .score(split.X_test, split.y_test)
                for seed in seeds
            ]
    return {"scores": scores}
