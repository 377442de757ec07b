"""GridSearchCV over five freeze depths and five folds, beside the same grid with other tools.

SST-2 sentences, the same weights, rows, folds, epochs and batch size; processor only, each search
in a fresh process.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.arguments import at_least
from benchmarks.children import Job, Result, alternate
from benchmarks.embedded import model_folder
from benchmarks.report import Report, median, spread
from benchmarks.rivals.models import freeze_parameter
from benchmarks.rivals.recipes import RECIPES
from benchmarks.rivals.training import BATCH_SIZE, timed

REPEATS = 1

_DEPTHS = ["all", "-1", "-2", "-3", "none"]
_FOLDS = 5
_EPOCHS = 3
_QUICK_EPOCHS = 1
_ROWS = 400
_QUICK_ROWS = 40
# The first of them have five of each class, one for each fold.
_LEAST_ROWS = 10
_WARM_UP_TEXTS = 64
_OURS = "ours, GridSearchCV"
_RIVALS = ["trainer", "expert", "skorch"]
# Folds that a rival is measured on, where not on all: it shares nothing among them.
_FOLDS_MEASURED = {"skorch": 1}
_QUICK_FOLDS_MEASURED = 1
_BOUNDS = {"trainer": 3.5, "expert": 2.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument(
        "--rows",
        type=at_least(_LEAST_ROWS),
        metavar="N",
        help=f"sentences, at least {_LEAST_ROWS} (default {_ROWS:,})",
    )
    parser.add_argument(
        "--rivals", nargs="*", choices=_RIVALS, default=_RIVALS, help="default all three"
    )


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    n_rows = options.rows or (_QUICK_ROWS if options.quick else _ROWS)
    common = {"n_rows": n_rows, "epochs": _QUICK_EPOCHS if options.quick else _EPOCHS}
    jobs = {_OURS: Job(search_ours, common)}
    for rival in options.rivals:
        folds = _QUICK_FOLDS_MEASURED if options.quick else _FOLDS_MEASURED.get(rival, _FOLDS)
        settings = {**common, "recipe": rival, "n_folds": folds}
        jobs[RECIPES[rival].title] = Job(search_rival, settings)
    report.runs = alternate(jobs, options.repeats, seeded=jobs)
    _add_tables(report, n_rows, common["epochs"])
    _add_checks(report, options)


def search_ours(
    n_rows: int, epochs: int, seed: int, folder: str | None = None, device: str = "cpu"
) -> Result:
    """Time the search as a user writes it, with an empty store in memory."""
    from sklearn.model_selection import GridSearchCV

    from sklearn_bert import BertFineTuneClassifier, cache
    from sklearn_bert.encoder import work

    texts, labels = _data("train", n_rows)
    classifier = BertFineTuneClassifier(
        folder or model_folder(),
        max_epochs=epochs,
        batch_size=BATCH_SIZE,
        device=device,
        random_state=seed,
    )
    classifier.fit(*_data("dev", _WARM_UP_TEXTS))
    cache.clear()
    search = GridSearchCV(
        classifier,
        {"freeze": [freeze_parameter(depth) for depth in _DEPTHS]},
        cv=_folds(seed),
        refit=False,
    )
    before = work.counted()
    result = timed(lambda: search.fit(texts, labels))
    scores = search.cv_results_["mean_test_score"]
    return {
        **asdict(result),
        "folds": _FOLDS,
        "accuracy": dict(zip(_DEPTHS, map(float, scores), strict=True)),
        "encoded": (work.counted() - before).texts,
        "distinct": len(set(texts)),
    }


def search_rival(
    recipe: str,
    n_rows: int,
    epochs: int,
    seed: int,
    n_folds: int,
    folder: str | None = None,
    **settings: str,
) -> Result:
    """Time the same depths and folds, one fit after the other, with `settings` of the recipe."""
    texts, labels = _data("train", n_rows)
    common = {"folder": folder or model_folder(), "seed": seed, **settings}
    train = RECIPES[recipe].train
    train(*_data("dev", _WARM_UP_TEXTS), freeze="none", epochs=1, **common)
    splits = list(_folds(seed).split(texts, labels))[:n_folds]
    accuracy: dict[str, float] = {}
    encoded = [0]

    def search() -> None:
        for freeze in _DEPTHS:
            scores = []
            for fold, held_out in splits:
                fitted = train(
                    _take(texts, fold), labels[fold], freeze=freeze, epochs=epochs, **common
                )
                predicted = fitted.predict(_take(texts, held_out))
                scores.append(float(np.mean(predicted == labels[held_out])))
                encoded[0] += len(fold) * epochs + len(held_out)
            accuracy[freeze] = statistics.mean(scores)

    result = timed(search)
    return {**asdict(result), "folds": n_folds, "accuracy": accuracy, "encoded": encoded[0]}


def _data(subset: str, n_rows: int) -> tuple[list[str], np.ndarray]:
    from sklearn_bert.datasets import fetch_sst2

    texts, labels = fetch_sst2(subset=subset, return_X_y=True)
    return list(texts[:n_rows]), labels[:n_rows]


def _take(texts: list[str], rows: Iterable[int]) -> list[str]:
    return [texts[row] for row in rows]


def _folds(seed: int) -> Any:
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)


def _seconds(results: list[Result]) -> float:
    """Return the seconds of all folds."""
    return median(results, "seconds") * _FOLDS / results[0]["folds"]


def _add_tables(report: Report, n_rows: int, epochs: int) -> None:
    rows = []
    for name, results in report.runs.items():
        best = max(_DEPTHS, key=lambda depth: _accuracy(results, depth))
        rows.append(
            [
                name,
                str(results[0]["folds"]),
                spread([result["seconds"] for result in results]),
                f"{_seconds(results) / _seconds(report.runs[_OURS]):.2f}",
                f"{median(results, 'encoded'):,.0f}",
                best,
                f"{_accuracy(results, best):.4f}",
                f"{median(results, 'fit_peak_bytes') / 1e6:,.0f}",
            ]
        )
    columns = ["", "folds measured", "seconds", "times ours", "texts encoded"]
    columns += ["best depth", "its accuracy", "peak MB"]
    title = f"{len(_DEPTHS)} depths x {_FOLDS} folds, {n_rows:,} sentences, {epochs} epochs"
    report.table(title, columns, rows)
    report.table(
        "Accuracy, mean over the folds measured",
        ["freeze", *report.runs],
        [
            [depth, *(f"{_accuracy(results, depth):.4f}" for results in report.runs.values())]
            for depth in _DEPTHS
        ],
    )
    report.note(
        f"Seconds: the whole search with fits, predictions, tokenizing and loading of models, the "
        f"library imported and warm, no refit in the end. Times ours: for {_FOLDS} folds; who "
        f"shares nothing among folds can be measured on fewer. Time is linear in rows. Median of "
        f"{len(results)} [least..most]."
    )
    report.note(
        "Texts encoded: by frozen layers of ours, or through the whole encoder of the others, once "
        "an epoch and fit. What trains of ours runs each epoch, too, and is not counted. The "
        "recipes are those of the benchmark finetune, and one number of epochs serves all depths, "
        "as in any grid over freeze alone."
    )


def _accuracy(results: list[Result], depth: str) -> float:
    return statistics.mean(result["accuracy"][depth] for result in results)


def _add_checks(report: Report, options: argparse.Namespace) -> None:
    ours = report.runs[_OURS]
    report.check(
        f"ours: each of {ours[0]['distinct']:,} distinct texts went through the frozen layers once",
        all(result["encoded"] == result["distinct"] for result in ours),
    )
    for rival, bound in _BOUNDS.items() if not options.quick else ():
        if rival not in options.rivals:
            continue
        title = RECIPES[rival].title
        ratio = _seconds(report.runs[title]) / _seconds(ours)
        report.check(
            f"{title} takes at least {bound:g} times as long as ours: {ratio:.2f}", ratio >= bound
        )
