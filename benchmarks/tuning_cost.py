"""What fine-tuning costs in seconds and memory, by number and length of texts; the size of pickles.

The texts are SST-2 sentences joined, and cut between words. Each fit has a fresh process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from benchmarks.children import Job, Result, alternate, peak_memory
from benchmarks.report import Report, median, spread
from benchmarks.texts import texts_of_length

REPEATS = 1

_SIZES = (500, 1000, 2000)
_QUICK_SIZES = (32, 64)
_LENGTHS = (16, 64, 128)
_QUICK_LENGTHS = (16, 64)
_DEPTHS: tuple[int | str, ...] = (-1, "none")
_EPOCHS = 2
_WARM_UP_TEXTS = 64
_FOLDS = 5
_ONE_FIT, _ALL_FITS = "one fit", f"cross_validate, {_FOLDS} folds"
_FACTOR = 1.5
_MEMORY_FACTOR = 1.2
_PICKLED = {"all": 1_000_000, "-1": 10_000_000}
_TEXTS_TO_PICKLE = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument(
        "--part",
        nargs="+",
        choices=list(_PARTS),
        default=list(_PARTS),
        help="fits by size and length, cross-validation, pickles (default all three)",
    )


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    for part in options.part:
        _PARTS[part](report, options)


def _measure_fits(report: Report, options: argparse.Namespace) -> None:
    sizes = _QUICK_SIZES if options.quick else _SIZES
    lengths = _QUICK_LENGTHS if options.quick else _LENGTHS
    jobs = {
        _name(freeze, length, n): Job(fit, {"freeze": freeze, "length": length, "n": n})
        for freeze in _DEPTHS
        for length in lengths
        for n in sizes
    }
    report.runs |= alternate(jobs, options.repeats)
    _add_fits(report, list(jobs))
    if options.quick:
        return
    least, most = min(sizes), max(sizes)
    for freeze in _DEPTHS:
        for length in lengths:
            rates = [median(report.runs[_name(freeze, length, n)], "rate") for n in (least, most)]
            factor = max(rates) / min(rates)
            report.check(
                f"freeze={freeze}, {length} tokens: seconds a token at {least:,} and {most:,} "
                f"texts are within a factor of {_FACTOR}: {factor:.2f}",
                factor <= _FACTOR,
            )


def _measure_folds(report: Report, options: argparse.Namespace) -> None:
    n = max(_QUICK_SIZES if options.quick else _SIZES)
    jobs = {_ONE_FIT: Job(fit_once, {"n": n}), _ALL_FITS: Job(validate, {"n": n})}
    report.runs |= alternate(jobs, options.repeats)
    _add_folds(report, n)


def _measure_pickles(report: Report, options: argparse.Namespace) -> None:
    report.runs |= alternate({"pickles": Job(pickles)}, 1)
    _add_pickles(report)


def fit(freeze: int | str, length: int, n: int) -> Result:
    """Time the epochs and the frozen pass of one fit, the store cold."""
    from sklearn_bert import BertFineTuneClassifier, cache

    texts, labels, tokens = texts_of_length(n, length)
    _warm_up(freeze)
    cache.clear()
    classifier = BertFineTuneClassifier(freeze=freeze, max_epochs=_EPOCHS, random_state=0)
    before_bytes = peak_memory()
    start = time.perf_counter()
    classifier.fit(texts, labels)
    seconds = time.perf_counter() - start
    epochs = [row["seconds"] for row in classifier.history_]
    epoch_seconds = sum(epochs) / len(epochs)
    return {
        "tokens": tokens,
        "tokens_per_text": tokens / n,
        "epoch_seconds": epoch_seconds,
        "other_seconds": seconds - sum(epochs),
        "rate": epoch_seconds / tokens * 1e6,
        "before_bytes": before_bytes,
        "fit_peak_bytes": peak_memory(),
        "precision": classifier.precision_,
    }


def fit_once(n: int) -> Result:
    """Fit a head on all of the texts."""
    from sklearn_bert import BertFineTuneClassifier, cache

    texts, labels = _sentences(n)
    _warm_up("all")
    cache.clear()
    before_bytes = peak_memory()
    start = time.perf_counter()
    BertFineTuneClassifier(freeze="all", random_state=0).fit(texts, labels)
    return {"seconds": time.perf_counter() - start, "before_bytes": before_bytes}


def validate(n: int) -> Result:
    """Cross-validate a head on the same texts, and keep the fitted estimators."""
    from sklearn.model_selection import cross_validate

    from sklearn_bert import BertFineTuneClassifier, cache

    texts, labels = _sentences(n)
    _warm_up("all")
    cache.clear()
    before_bytes = peak_memory()
    start = time.perf_counter()
    found = cross_validate(
        BertFineTuneClassifier(freeze="all", random_state=0),
        texts,
        labels,
        cv=_FOLDS,
        return_estimator=True,
    )
    return {
        "seconds": time.perf_counter() - start,
        "before_bytes": before_bytes,
        "estimators": len(found["estimator"]),
        "score": float(found["test_score"].mean()),
    }


def pickles() -> Result:
    """Pickle fitted classifiers of each depth."""
    import pickle

    from sklearn_bert import BertFineTuneClassifier

    texts, labels = _sentences(_TEXTS_TO_PICKLE)
    sizes = {}
    for freeze in ("all", -1, "none"):
        classifier = BertFineTuneClassifier(freeze=freeze, max_epochs=1, random_state=0)
        classifier.fit(texts, labels)
        state = pickle.dumps(classifier, protocol=pickle.HIGHEST_PROTOCOL)
        trained = classifier.n_trainable_parameters_
        sizes[str(freeze)] = {"bytes": len(state), "trained": trained}
    return {"sizes": sizes}


def _name(freeze: int | str, length: int, n: int) -> str:
    return f"freeze={freeze}, {length} tokens, {n:,} texts"


def _add_fits(report: Report, names: list[str]) -> None:
    rows = []
    for name in names:
        results = report.runs[name]
        rows.append(
            [
                name,
                f"{results[0]['tokens_per_text']:.1f}",
                spread([result["epoch_seconds"] for result in results], 2),
                f"{median(results, 'rate'):.1f}",
                f"{median(results, 'other_seconds'):.2f}",
                f"{median(results, 'fit_peak_bytes') / 1e6:,.0f}",
            ]
        )
    columns = ["", "tokens a text", "seconds an epoch", "seconds a million tokens"]
    columns += ["rest of the fit", "peak MB"]
    report.table(f"Fits of {_EPOCHS} epochs, {results[0]['precision']}", columns, rows)
    report.note(
        "Tokens: with the two special ones, without padding. Seconds an epoch: the mean of both. "
        "Rest of the fit: with freeze=-1 above all the frozen pass, the store cold; in both cases "
        "loading the weights that are trained. Peak: of the whole process, "
        f"which has {median(report.runs[names[0]], 'before_bytes') / 1e6:,.0f} MB before the fit."
    )


def _add_folds(report: Report, n: int) -> None:
    rows = [
        [
            name,
            spread([result["seconds"] for result in report.runs[name]], 2),
            f"{median(report.runs[name], 'before_bytes') / 1e6:,.0f}",
            f"{median(report.runs[name], 'peak_bytes') / 1e6:,.0f}",
        ]
        for name in (_ONE_FIT, _ALL_FITS)
    ]
    columns = ["", "seconds", "MB before", "peak MB"]
    report.table(f"freeze=all, {n:,} sentences, fitted estimators kept", columns, rows)
    one, folds = (median(report.runs[name], "peak_bytes") for name in (_ONE_FIT, _ALL_FITS))
    report.check(
        f"the peak of {_FOLDS} folds is at most {_MEMORY_FACTOR} times that of one fit: "
        f"{folds / one:.3f}",
        folds <= _MEMORY_FACTOR * one,
    )


def _add_pickles(report: Report) -> None:
    sizes = report.runs["pickles"][0]["sizes"]
    report.table(
        "Pickles of fitted classifiers",
        ["freeze", "parameters trained", "MB"],
        [
            [freeze, f"{size['trained']:,}", f"{size['bytes'] / 1e6:.3f}"]
            for freeze, size in sizes.items()
        ],
    )
    for freeze, bound in _PICKLED.items():
        size = sizes[freeze]["bytes"]
        report.check(
            f"a pickle with freeze={freeze} is under {bound / 1e6:g} MB: {size / 1e6:.3f}",
            size < bound,
        )


def _warm_up(freeze: int | str) -> None:
    """Load the model and run everything once on other texts."""
    from sklearn_bert import BertFineTuneClassifier
    from sklearn_bert.datasets import fetch_sst2

    texts, labels = fetch_sst2(subset="dev", return_X_y=True)
    classifier = BertFineTuneClassifier(freeze=freeze, max_epochs=1, random_state=0)
    classifier.fit(texts[:_WARM_UP_TEXTS], labels[:_WARM_UP_TEXTS])


def _sentences(n: int) -> tuple[list[str], Any]:
    from sklearn_bert.datasets import fetch_sst2

    texts, labels = fetch_sst2(subset="train", return_X_y=True)
    return texts[:n], labels[:n]


_PARTS: dict[str, Callable[[Report, argparse.Namespace], None]] = {
    "fits": _measure_fits,
    "folds": _measure_folds,
    "pickles": _measure_pickles,
}
