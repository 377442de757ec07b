"""Fine-tuning beside the Trainer, skorch, tutorial loops and SetFit, at three freeze depths.

SST-2, the same weights, rows, epochs, batch size and frozen layers; processor only, each fit in a
fresh process.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.arguments import at_least
from benchmarks.children import Job, Result, alternate
from benchmarks.embedded import auto_precision, matrix_flop, model_config, model_folder
from benchmarks.matmul import best_rate, limit_job
from benchmarks.report import Report, median, spread
from benchmarks.rivals.models import freeze_parameter
from benchmarks.rivals.recipes import RECIPES
from benchmarks.rivals.setfit import MOST_STEPS
from benchmarks.rivals.skorch_recipe import PADDED_LENGTH
from benchmarks.rivals.training import BATCH_SIZE, LEARNING_RATE, timed

REPEATS = 1

_ROWS = 2000
_QUICK_ROWS = 64
_QUICK_TEST_ROWS = 32
_WARM_UP_TEXTS = 64
# SetFit pairs them with each other.
_WARM_UP_FEWER = {"setfit": 8, "padded": 8}
_EPOCHS = {"none": 3, "-1": 3, "all": 10}
_QUICK_EPOCHS = {"none": 1, "-1": 1, "all": 2}
_QUICK_FREEZE = ["-1"]
_ROWS_A_CLASS = (8, 64, None)
_QUICK_ROWS_A_CLASS = (8,)
# Loops that pad so much get a part of the rows; times are linear in rows.
_PART_OF_ROWS = {"padded": 10, "items": 4}
_LEAST_ROWS = 8
_OURS, _OURS_FLOAT32 = "ours", "ours, float32"
# What the Trainer's model reads, in which the last layer is needed for one token alone.
_OURS_POOLER = "ours, pooling='pooler'"
_LIMIT = "matrix products"
_SETFIT = RECIPES["setfit"].title
_ACCURACY_MARGIN = 0.005
# How many times faster ours has to be.
_BOUNDS = {
    "trainer": {"none": 2.5, "-1": 6, "all": 25},
    "expert": {"none": 1.2, "-1": 2.5, "all": 12},
    "skorch": {"none": 5, "-1": 12, "all": 50},
}
# Those whose accuracy ours has to have.
_NO_BETTER = ("trainer", "expert")
_LEAST_SHARE = 0.5
# A backward pass multiplies twice what the forward pass does.
_PASSES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument(
        "--rows",
        type=at_least(_LEAST_ROWS),
        metavar="N",
        help=f"training rows, at least {_LEAST_ROWS} (default {_ROWS:,})",
    )
    parser.add_argument(
        "--freeze", nargs="+", choices=list(_EPOCHS), help="the depths to measure (default all)"
    )
    parser.add_argument(
        "--rivals",
        nargs="*",
        choices=list(RECIPES),
        default=list(RECIPES),
        help="what to measure beside (default all)",
    )
    parser.add_argument("--float32", action="store_true", help="measure ours in float32 too")


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    n_rows = options.rows or (_QUICK_ROWS if options.quick else _ROWS)
    depths = options.freeze or (_QUICK_FREEZE if options.quick else list(_EPOCHS))
    epochs = _QUICK_EPOCHS if options.quick else _EPOCHS
    few = _QUICK_ROWS_A_CLASS if options.quick else _ROWS_A_CLASS
    settings = {"n_test": _QUICK_TEST_ROWS if options.quick else None}
    jobs = {}
    for freeze in depths:
        common = {**settings, "n_rows": n_rows, "freeze": freeze, "epochs": epochs[freeze]}
        jobs |= _depth_jobs(options.rivals, options.float32, common)
    if "setfit" in options.rivals:
        for rows_a_class in few:
            jobs |= _few_rows_jobs(depths, epochs, {**settings, "n_rows": n_rows}, rows_a_class)
    _measure(report, jobs, options)
    for freeze in depths:
        start = f"freeze={freeze}: "
        names = {name.removeprefix(start): name for name in jobs if name.startswith(start)}
        _add_table(report, names, f"freeze={freeze}, {epochs[freeze]} epochs")
        if not options.quick:
            _add_checks(report, freeze, options.rivals)
    for rows_a_class in few if "setfit" in options.rivals else ():
        _add_few_rows_table(report, depths, rows_a_class)
    _add_notes(report, options)


def fit_ours(
    freeze: str,
    epochs: int,
    n_rows: int,
    n_test: int | None,
    seed: int,
    precision: str = "auto",
    pooling: str = "mean",
    rows_a_class: int | None = None,
    folder: str | None = None,
    device: str = "cpu",
) -> Result:
    """Time BertFineTuneClassifier, with an empty store in memory."""
    from sklearn_bert import BertFineTuneClassifier, cache
    from sklearn_bert.encoder import work

    def classifier(max_epochs: int) -> BertFineTuneClassifier:
        return BertFineTuneClassifier(
            folder or model_folder(),
            freeze=freeze_parameter(freeze),
            pooling=pooling,
            max_epochs=max_epochs,
            batch_size=BATCH_SIZE,
            device=device,
            precision=precision,
            cache="memory",
            random_state=seed,
        )

    texts, labels, test_texts, test_labels = _data(n_rows, n_test, rows_a_class, seed)
    classifier(1).fit(*_warm_up_data())
    cache.clear()
    trained = classifier(epochs)
    before = work.counted()
    result = timed(lambda: trained.fit(texts, labels))
    encoded = (work.counted() - before).texts
    return {
        **asdict(result),
        "accuracy": float(trained.score(test_texts, test_labels)),
        "precision": trained.precision_,
        "training_seconds": sum(row["seconds"] for row in trained.history_),
        "encoded": encoded,
        "rows": len(texts),
        "gflop": _training_gflop(texts, epochs, folder),
    }


def fit_rival(
    recipe: str,
    freeze: str,
    epochs: int,
    n_rows: int,
    n_test: int | None,
    seed: int,
    rows_a_class: int | None = None,
    folder: str | None = None,
    **settings: str,
) -> Result:
    """Time one of the recipes, with `settings` that it alone has."""
    texts, labels, test_texts, test_labels = _data(n_rows, n_test, rows_a_class, seed)
    common = {"folder": folder or model_folder(), "freeze": freeze, "seed": seed, **settings}
    train = RECIPES[recipe].train
    train(*_warm_up_data(_WARM_UP_FEWER.get(recipe, _WARM_UP_TEXTS)), epochs=1, **common)
    trained = train(texts, labels, epochs=epochs, **common)
    return {
        **asdict(trained.run),
        "accuracy": float(np.mean(trained.predict(test_texts) == test_labels)),
        "precision": trained.precision,
        "rows": len(texts),
        "gflop": _training_gflop(texts, epochs, folder),
    }


def _depth_jobs(rivals: Sequence[str], float32: bool, common: dict[str, Any]) -> dict[str, Job]:
    """Return the jobs of one depth by name."""
    ours = {_OURS: {}, _OURS_POOLER: {"pooling": "pooler"}}
    if float32:
        ours[_OURS_FLOAT32] = {"precision": "float32"}
    jobs = {name: Job(fit_ours, {**common, **settings}) for name, settings in ours.items()}
    for rival in rivals:
        if rival != "setfit":
            n_rows = max(_LEAST_ROWS, common["n_rows"] // _PART_OF_ROWS.get(rival, 1))
            settings = {**common, "recipe": rival, "n_rows": n_rows}
            jobs[RECIPES[rival].title] = Job(fit_rival, settings)
    return {f"freeze={common['freeze']}: {name}": job for name, job in jobs.items()}


def _few_rows_jobs(
    depths: Sequence[str],
    epochs: dict[str, int],
    common: dict[str, Any],
    rows_a_class: int | None,
) -> dict[str, Job]:
    """Return the jobs of SetFit and, with the same rows, of ours at each depth."""
    common = {**common, "rows_a_class": rows_a_class}
    setfit = {**common, "recipe": "setfit", "freeze": "none", "epochs": 1}
    jobs = {_SETFIT: Job(fit_rival, setfit)}
    # Ours with all rows are in the tables by depth.
    for freeze in depths if rows_a_class is not None else ():
        settings = {**common, "freeze": freeze, "epochs": epochs[freeze]}
        jobs[f"{_OURS}, freeze={freeze}"] = Job(fit_ours, settings)
    return {f"{_few_title(rows_a_class)}: {name}": job for name, job in jobs.items()}


def _few_title(rows_a_class: int | None) -> str:
    return "all rows" if rows_a_class is None else f"{rows_a_class} rows a class"


def _measure(report: Report, jobs: dict[str, Job], options: argparse.Namespace) -> None:
    config = model_config()
    native = auto_precision() == "bfloat16"
    limit = limit_job(config["hidden_size"], config["intermediate_size"], native, options.quick)
    report.runs = alternate({_LIMIT: limit, **jobs}, options.repeats, seeded=jobs)


def _training_gflop(texts: Sequence[str], epochs: int, folder: str | None) -> float:
    """Count what training all layers on these texts cannot do without, padding left out."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder or model_folder())
    lengths = [len(ids) for ids in tokenizer(list(texts), truncation=True)["input_ids"]]
    linear, _ = matrix_flop(lengths, model_config(folder))
    return _PASSES * epochs * linear / 1e9


def _data(
    n_rows: int, n_test: int | None, rows_a_class: int | None, seed: int
) -> tuple[list[str], np.ndarray, list[str], np.ndarray]:
    """Return texts and labels to train on and to score on."""
    from sklearn_bert.datasets import fetch_sst2

    train, test = fetch_sst2(subset="train"), fetch_sst2(subset="test")
    rows = np.arange(len(train.data))
    if rows_a_class is None:
        rows = rows[:n_rows]
    else:
        shuffled = np.random.default_rng(seed).permutation(rows)
        classes = np.unique(train.target)
        rows = np.sort(
            np.concatenate([shuffled[train.target[shuffled] == c][:rows_a_class] for c in classes])
        )
    return (
        [train.data[row] for row in rows],
        train.target[rows],
        list(test.data[:n_test]),
        test.target[:n_test],
    )


def _warm_up_data(n: int = _WARM_UP_TEXTS) -> tuple[list[str], np.ndarray]:
    from sklearn_bert.datasets import fetch_sst2

    texts, labels = fetch_sst2(subset="dev", return_X_y=True)
    return texts[:n], labels[:n]


def _seconds_a_row(results: Sequence[Result]) -> float:
    return median(results, "seconds") / results[0]["rows"]


def _times(report: Report, name: str, reference: str) -> float:
    return _seconds_a_row(report.runs[name]) / _seconds_a_row(report.runs[reference])


def _accuracy(report: Report, name: str) -> float:
    return statistics.mean(result["accuracy"] for result in report.runs[name])


def _share(report: Report, name: str) -> float | None:
    """Return what part of the machine's limit a training of all layers reaches."""
    results = report.runs[name]
    limit = best_rate(report.runs[_LIMIT], results[0]["precision"])
    if limit == 0:
        return None
    reached = statistics.median(result["gflop"] / result["seconds"] for result in results)
    return float(reached / limit)


def _add_table(report: Report, names: dict[str, str], title: str) -> None:
    """Add a table of runs, by what they are called in it."""
    whole = title.startswith("freeze=none")
    reference = next(name for label, name in names.items() if label.startswith(_OURS))
    rows = []
    for label, name in names.items():
        results = report.runs[name]
        row = [
            label,
            f"{results[0]['rows']:,}",
            spread([result["seconds"] for result in results]),
            f"{_times(report, name, reference):.2f}",
            f"{_accuracy(report, name):.4f}",
            f"{median(results, 'fit_peak_bytes') / 1e6:,.0f}",
            results[0]["precision"],
        ]
        if whole:
            # On the pooler a part of the operations that are counted is not there to be done.
            share = None if label == _OURS_POOLER else _share(report, name)
            row.append("" if share is None else f"{share:.0%}")
        rows.append(row)
    columns = ["", "rows", "seconds", "times ours", "test accuracy"]
    columns += ["peak MB", "precision"]
    report.table(title, columns + (["of the limit"] if whole else []), rows)


def _add_few_rows_table(report: Report, depths: Sequence[str], rows_a_class: int | None) -> None:
    title = _few_title(rows_a_class)
    names = {_SETFIT: f"{title}: {_SETFIT}"}
    for freeze in depths:
        all_rows = f"freeze={freeze}: {_OURS}"
        few_rows = f"{title}: {_OURS}, freeze={freeze}"
        names[f"{_OURS}, freeze={freeze}"] = all_rows if rows_a_class is None else few_rows
    _add_table(report, names, title)


def _add_checks(report: Report, freeze: str, rivals: Sequence[str]) -> None:
    for ours in (_OURS, _OURS_POOLER):
        _check_beside_rivals(report, freeze, ours, rivals)
    share = _share(report, f"freeze={freeze}: {_OURS}")
    native = report.runs[f"freeze={freeze}: {_OURS}"][0]["precision"] == "bfloat16"
    if freeze == "none" and share is not None and native:
        report.check(
            f"freeze={freeze}: at least {_LEAST_SHARE:.0%} of the bfloat16 limit: {share:.1%}",
            share >= _LEAST_SHARE,
        )


def _check_beside_rivals(report: Report, freeze: str, ours: str, rivals: Sequence[str]) -> None:
    """Check what `ours`, one of the ways to run it, has to be beside the others."""
    start = f"freeze={freeze}: "
    for rival in (name for name in _NO_BETTER if name in rivals):
        mine, theirs = (_accuracy(report, start + who) for who in (ours, RECIPES[rival].title))
        report.check(
            f"{start}the mean accuracy of {ours} is at most half a point below that of "
            f"{RECIPES[rival].title}: {100 * (mine - theirs):+.2f} points",
            mine >= theirs - _ACCURACY_MARGIN,
        )
    for rival in (name for name in _BOUNDS if name in rivals):
        bound, title = _BOUNDS[rival][freeze], RECIPES[rival].title
        ratio = _times(report, start + title, start + ours)
        report.check(
            f"{start}{title} takes at least {bound:g} times as long as {ours}: {ratio:.2f}",
            ratio >= bound,
        )


def _add_notes(report: Report, options: argparse.Namespace) -> None:
    parts = ", ".join(f"{RECIPES[name].title} 1/{n}" for name, n in _PART_OF_ROWS.items())
    report.note(
        f"Seconds: one fit with everything that it does to the texts: tokenizing, the frozen pass "
        f"of ours (the store is cold), training. Imports and the models that the others train are "
        f"loaded before; the copy that ours trains is loaded in its fit. Times ours: seconds a "
        f"row / those of ours; time is linear in rows, and of the rows are trained on: {parts}, "
        f"so that their accuracies are those of fewer rows. Beside SetFit, ours is that of the "
        f"first depth. Median of {options.repeats} [least..most]; accuracies are means. Each "
        f"repeat has a seed of its own, from 0."
    )
    report.note(
        f"Trainer: its defaults, so float32, lr {LEARNING_RATE:g} for all falling in a line, and "
        f"batches in random order, padded to their longest. Expert: bfloat16 autocast where the "
        f"processor computes it natively, batches of like length, frozen layers under no_grad, lr "
        f"2e-4, or 1e-3 for a head alone (ours has these; none were searched for the expert), a "
        f"tenth of warmup. skorch: NeuralNetClassifier after "
        f"HuggingfacePretrainedTokenizer, which pads every text to {PADDED_LENGTH} tokens. "
        f"Tutorials: hand-written loops in float32. Ours: the defaults, and mean pooling with a "
        f"head that has its own lr; the heads of the others are on BERT's pooler, which trains "
        f"with the top layer. With pooling='pooler' ours trains the model that they train, and its "
        f"last layer computes the first token alone."
    )
    if "setfit" in options.rivals:
        report.note(
            f"SetFit: its defaults, which train the whole encoder on pairs of texts in float32; as "
            f"pairs grow with the square of the rows, its documentation says to bound them by "
            f"max_steps, here {MOST_STEPS} steps of 16 pairs, or two pairs a row if that is more. "
            f"Ours beside it: the depths and epochs of the other tables, with the same rows."
        )
    report.note(
        "Of the limit: three times the operations of the linear maps in a forward pass, of all "
        "tokens without padding, a second, of the best matrix product in that precision. Peak: "
        "of the whole process, up to the end of the fit."
    )
