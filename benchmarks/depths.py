"""Accuracy of BertFineTuneClassifier by freeze depth, on SST-2 and on emotion.

All fits on a corpus share one process and one store, so that its texts are encoded once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.arguments import seed_number
from benchmarks.children import Job, Result, run_job
from benchmarks.kept import working_folder
from benchmarks.quality_tasks import load
from benchmarks.report import Report, mean_and_deviation

# Seeds are repeats enough.
REPEATS = None

_QUICK_ROWS = 100
_QUICK_EPOCHS = 1
_SEEDS = [0, 1, 2, 3, 4]
_SST2: dict[str, dict[str, Any]] = {
    "all": {"freeze": "all", "max_epochs": 10},
    "-1": {"freeze": -1, "max_epochs": 3},
    "-2": {"freeze": -2, "max_epochs": 3},
    "-3": {"freeze": -3, "max_epochs": 3},
    "none": {"freeze": "none", "max_epochs": 3},
}
# With these the last layer computes the first token alone.
_SST2 |= {
    f"{name}, pooling='cls'": {**_SST2[name], "pooling": "cls"} for name in ("-1", "-2", "none")
}
_SST2_LEAST = {"all": 0.80, "-1": 0.83, "-2": 0.85, "-3": 0.865, "none": 0.885}
_EMOTION_HEAD = {"hidden_layer_sizes": (128, 64), "dropout": 0.3, "max_epochs": 10}
# From the least that trains to the most.
_EMOTION: dict[str, dict[str, Any]] = {
    "all": {"freeze": "all", **_EMOTION_HEAD},
    "all, unfreeze=['layer.5.output']": {
        "freeze": "all",
        "unfreeze": ["layer.5.output"],
        **_EMOTION_HEAD,
    },
    "-2": {"freeze": -2, **_EMOTION_HEAD},
    "none": {"freeze": "none", **_EMOTION_HEAD},
}
_EMOTION_LEAST = 0.945


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument(
        "--part",
        nargs="+",
        choices=list(_PARTS),
        default=list(_PARTS),
        help="the corpora, each in a process of its own (default both)",
    )
    parser.add_argument(
        "--freeze",
        nargs="+",
        choices=list(_SST2),
        default=list(_SST2),
        help="the depths to train at on SST-2 (default all)",
    )
    parser.add_argument("--seeds", nargs="+", type=seed_number, help="for SST-2 (default 0 to 4)")


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    quick = {"n_rows": _QUICK_ROWS, "max_epochs": _QUICK_EPOCHS} if options.quick else {}
    settings = {
        "sst2": {
            "depths": {name: _SST2[name] for name in options.freeze},
            "seeds": options.seeds or (_SEEDS[:1] if options.quick else _SEEDS),
        },
        "emotion": {"depths": _EMOTION, "seeds": [0]},
    }
    for part in options.part:
        job = Job(measure, {"corpus": part, **settings[part], **quick})
        report.runs[part] = [_run_shown(job)]
        fill(report, part, report.runs[part][0], checked=not options.quick)
    report.note(
        "Seconds: of fit alone, one number a seed. Texts encoded: those that went through frozen "
        "layers during fit and score, one number a seed; what the store has is not encoded again, "
        "and nothing is with freeze='none'."
    )


def fill(report: Report, part: str, result: Result, checked: bool) -> None:
    """Add the tables of a corpus, with their notes and what has to hold."""
    _PARTS[part](report, result, checked)


def measure(
    corpus: str,
    depths: dict[str, dict[str, Any]],
    seeds: list[int],
    log: str,
    n_rows: int | None = None,
    max_epochs: int | None = None,
) -> Result:
    """Fit at each depth with each seed, and score on the test set.

    Parameters
    ----------
    corpus : {"sst2", "emotion"}
        What to train on.
    depths : dict of str to dict
        Parameters by name.
    seeds : list of int
        Values of `random_state`.
    log : str
        The file that gets a line after each fit.
    n_rows : int or None
        Rows of training and test set; None is all.
    max_epochs : int or None
        Instead of the epochs in `depths`.
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    from sklearn_bert import BertFineTuneClassifier
    from sklearn_bert.encoder import work

    split = load(corpus, None, n_rows, seed=0)
    X, y, X_test, y_test = split.X[:n_rows], split.y[:n_rows], split.X_test, split.y_test
    # Loads the model; keeps nothing.
    BertFineTuneClassifier(freeze="all", max_epochs=1, cache=None).fit(X[:64], y[:64])
    fits = []
    for seed in seeds:
        for name, parameters in depths.items():
            changed = {} if max_epochs is None else {"max_epochs": max_epochs}
            classifier = BertFineTuneClassifier(random_state=seed, **{**parameters, **changed})
            before = work.counted()
            start = time.perf_counter()
            classifier.fit(X, y)
            seconds = time.perf_counter() - start
            predicted = classifier.predict(X_test)
            precision, recall, f1, _ = precision_recall_fscore_support(
                y_test, predicted, average="macro", zero_division=0
            )
            fits.append(
                {
                    "name": name,
                    "seed": seed,
                    "seconds": seconds,
                    "encoded": (work.counted() - before).texts,
                    "epochs": classifier.max_epochs,
                    "trained": classifier.n_trainable_parameters_,
                    "accuracy": float(accuracy_score(y_test, predicted)),
                    "precision": float(precision),
                    "recall": float(recall),
                    "f1": float(f1),
                }
            )
            with Path(log).open("a") as file:
                print(
                    f"{corpus}, freeze={name}, seed {seed}: accuracy {fits[-1]['accuracy']:.4f}, "
                    f"macro F1 {f1:.4f}, {seconds:.1f} s, {fits[-1]['encoded']:,} texts encoded",
                    file=file,
                )
    return {
        "fits": fits,
        "train": len(X),
        "test": len(X_test),
        "distinct": len({*X, *X_test}),
        "computed_in": classifier.precision_,
    }


def _run_shown(job: Job) -> Result:
    """Run a job, and show on standard error what it writes to its log meanwhile."""
    with working_folder("log") as folder, ThreadPoolExecutor(1) as pool:
        log = Path(folder, job.settings["corpus"])
        log.write_text("")
        running = pool.submit(run_job, Job(job.function, {**job.settings, "log": str(log)}))
        with log.open() as lines:
            while not running.done():
                print(lines.read(), end="", file=sys.stderr, flush=True)
                time.sleep(1)
            print(lines.read(), end="", file=sys.stderr, flush=True)
        return running.result()


def _by_depth(result: Result) -> dict[str, list[dict[str, Any]]]:
    """Return the fits of each depth, one for each seed."""
    fits: dict[str, list[dict[str, Any]]] = {}
    for fit in result["fits"]:
        fits.setdefault(fit["name"], []).append(fit)
    return fits


def _mean(fits: list[dict[str, Any]], key: str) -> float:
    return statistics.mean(fit[key] for fit in fits)


def _cost(fits: list[dict[str, Any]]) -> list[str]:
    """Return what all tables end with."""
    return [
        str(fits[0]["epochs"]),
        f"{fits[0]['trained']:,}",
        " / ".join(f"{fit['seconds']:.1f}" for fit in fits),
        " / ".join(f"{fit['encoded']:,}" for fit in fits),
    ]


_COST_COLUMNS = ["epochs", "parameters trained", "seconds", "texts encoded"]


def _title(corpus: str, result: Result) -> str:
    return (
        f"{corpus}: fit on {result['train']:,} texts, scored on {result['test']:,}, "
        f"{result['distinct']:,} of them distinct; {result['computed_in']}"
    )


def _report_sst2(report: Report, result: Result, checked: bool) -> None:
    depths = _by_depth(result)
    rows = []
    for name, fits in depths.items():
        rows.append([name, mean_and_deviation([fit["accuracy"] for fit in fits]), *_cost(fits)])
    report.table(_title("SST-2", result), ["freeze", "accuracy", *_COST_COLUMNS], rows)
    seeds = sorted({fit["seed"] for fit in result["fits"]})
    report.note(f"SST-2: mean ± standard deviation over seeds {seeds}.")
    if not checked:
        return
    for name, least in _SST2_LEAST.items():
        if name not in depths:
            continue
        mean = _mean(depths[name], "accuracy")
        report.check(
            f"SST-2, freeze={name}: accuracy of at least {least}: {mean:.4f}", mean >= least
        )


def _report_emotion(report: Report, result: Result, checked: bool) -> None:
    depths = _by_depth(result)
    rows = [
        [name, *(f"{_mean(fits, key):.4f}" for key in ("precision", "recall", "f1")), *_cost(fits)]
        for name, fits in depths.items()
    ]
    columns = ["freeze", "macro precision", "macro recall", "macro F1", *_COST_COLUMNS]
    report.table(_title("emotion", result), columns, rows)
    report.note("emotion: a head with hidden layers of 128 and 64, and dropout 0.3.")
    if not checked:
        return
    f1 = {name: _mean(fits, "f1") for name, fits in depths.items()}
    report.check(
        f"emotion: macro F1 rises with what trains: "
        f"{', '.join(f'{value:.4f}' for value in f1.values())}",
        all(one < more for one, more in pairwise(f1.values())),
    )
    report.check(
        f"emotion, freeze=none: macro F1 of at least {_EMOTION_LEAST}: {f1['none']:.4f}",
        f1["none"] >= _EMOTION_LEAST,
    )


_PARTS: dict[str, Callable[..., None]] = {"sst2": _report_sst2, "emotion": _report_emotion}
