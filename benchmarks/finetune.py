"""Fine-tuning beside transformers' Trainer and a skorch pipeline, at three freeze depths.

SST-2, the same weights, rows, epochs, batch size and frozen layers; processor only, each fit in a
fresh process.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from benchmarks.children import Job, Result, alternate, peak_memory
from benchmarks.report import Report, median, spread

REPEATS = 1

_ROWS = 2000
_QUICK_ROWS = 200
_QUICK_TEST_ROWS = 100
_WARM_UP_TEXTS = 64
_BATCH_SIZE = 32
_LEARNING_RATE = 5e-5
# The skorch recipe pads every text to this; SST-2's longest has fewer tokens.
_PADDED_LENGTH = 128
_EPOCHS = {"none": 3, "-1": 3, "all": 10}
_QUICK_EPOCHS = {"none": 1, "-1": 1, "all": 2}
_OURS, _OURS_FLOAT32 = "ours", "ours, float32"
_TRAINER, _SKORCH = "transformers Trainer", "skorch + transformers"
_ACCURACY_MARGIN = 0.005
# How many times faster ours has to be.
_BOUNDS = {
    _TRAINER: {"none": 2.5, "-1": 6, "all": 25},
    _SKORCH: {"none": 5, "-1": 12, "all": 50},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument("--rows", type=int, metavar="N", help=f"training rows (default {_ROWS:,})")
    parser.add_argument(
        "--freeze",
        nargs="+",
        choices=list(_EPOCHS),
        default=list(_EPOCHS),
        help="the depths to measure (default all three)",
    )
    parser.add_argument("--without-skorch", action="store_true", help="leave skorch's recipe out")
    parser.add_argument("--float32", action="store_true", help="measure ours in float32 too")


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    n_rows = options.rows or (_QUICK_ROWS if options.quick else _ROWS)
    epochs = _QUICK_EPOCHS if options.quick else _EPOCHS
    competitors = _competitors(options.float32)
    if options.without_skorch:
        del competitors[_SKORCH]
    report.runs = {
        f"freeze={freeze}: {name}": [] for freeze in options.freeze for name in competitors
    }
    for seed in range(options.repeats):
        jobs = {
            f"freeze={freeze}: {name}": Job(
                function,
                {
                    "freeze": freeze,
                    "epochs": epochs[freeze],
                    "n_rows": n_rows,
                    "n_test": _QUICK_TEST_ROWS if options.quick else None,
                    "seed": seed,
                    **settings,
                },
            )
            for freeze in options.freeze
            for name, (function, settings) in competitors.items()
        }
        for name, results in alternate(jobs, 1).items():
            report.runs[name] += results
    for freeze in options.freeze:
        title = f"freeze={freeze}, {n_rows:,} rows, {epochs[freeze]} epochs"
        _add_table(report, freeze, title, list(competitors))
        if not options.quick:
            _add_checks(report, freeze, list(competitors))
    report.note(
        f"Seconds: one fit with everything that it does to the texts: tokenizing, the frozen pass "
        f"of ours (the store is cold), training. Imports and the models that the others train are "
        f"loaded before; the copy that ours trains is loaded in its fit. Time is linear in rows. "
        f"Times ours: seconds / those of ours. Median of {options.repeats} [least..most]; "
        f"accuracies are means. Each repeat has a seed of its own, from 0."
    )
    report.note(
        f"Trainer: its defaults, so float32, lr {_LEARNING_RATE:g} for all falling in a line, and "
        f"batches in random order, padded to their longest. skorch: NeuralNetClassifier after "
        f"HuggingfacePretrainedTokenizer, which pads every text to {_PADDED_LENGTH} tokens; "
        f"float32, AdamW with lr {_LEARNING_RATE:g} for all. Ours: the defaults, so batches of "
        f"like length, and mean pooling with a head that has its own lr; the heads of the others "
        f"are on BERT's pooler, which trains with the top layer."
    )
    report.note(
        f"Peak: of the whole process, up to the end of the fit. accelerate "
        f"{metadata.version('accelerate')}, skorch {metadata.version('skorch')}."
    )


def fit_ours(
    freeze: str, epochs: int, n_rows: int, n_test: int | None, seed: int, precision: str
) -> dict[str, Any]:
    """Time BertFineTuneClassifier, with an empty store in memory."""
    from sklearn_bert import BertFineTuneClassifier, cache
    from sklearn_bert.encoder import work

    def classifier(max_epochs: int) -> BertFineTuneClassifier:
        return BertFineTuneClassifier(
            freeze=_freeze_parameter(freeze),
            max_epochs=max_epochs,
            batch_size=_BATCH_SIZE,
            device="cpu",
            precision=precision,
            cache="memory",
            random_state=seed,
        )

    texts, labels, test_texts, test_labels = _data(n_rows, n_test)
    classifier(1).fit(*_warm_up_data())
    cache.clear()
    trained = classifier(epochs)
    before = work.counted()
    result = _timed(lambda: trained.fit(texts, labels))
    training = sum(row["seconds"] for row in trained.history_)
    return {
        **result,
        "accuracy": float(trained.score(test_texts, test_labels)),
        "precision": trained.precision_,
        "training_seconds": training,
        "encoded": (work.counted() - before).texts,
    }


def fit_trainer(
    freeze: str, epochs: int, n_rows: int, n_test: int | None, seed: int
) -> dict[str, Any]:
    """Time transformers' Trainer with its defaults."""
    import numpy as np
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(_model_folder())

    def tokenized(some: Sequence[str], targets: Sequence[int]) -> list[dict[str, Any]]:
        encoded = tokenizer(list(some), truncation=True)
        return [
            {"labels": int(target), **{name: values[i] for name, values in encoded.items()}}
            for i, target in enumerate(targets)
        ]

    def train(model: Any, some: Sequence[str], targets: Sequence[int], n_epochs: int) -> Trainer:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=_BATCH_SIZE,
            num_train_epochs=n_epochs,
            learning_rate=_LEARNING_RATE,
            seed=seed,
            use_cpu=True,
            dataloader_pin_memory=False,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            eval_strategy="no",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model,
            arguments,
            train_dataset=tokenized(some, targets),
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        trainer.train()
        return trainer

    texts, labels, test_texts, test_labels = _data(n_rows, n_test)
    with tempfile.TemporaryDirectory() as folder:
        train(_model(freeze, seed), *_warm_up_data(), 1)
        model = _model(freeze, seed)
        trainers = []
        result = _timed(lambda: trainers.append(train(model, texts, labels, epochs)))
        predicted = trainers[0].predict(tokenized(test_texts, test_labels)).predictions
    return {
        **result,
        "accuracy": float(np.mean(predicted.argmax(axis=1) == test_labels)),
        "precision": "float32",
    }


def fit_skorch(
    freeze: str, epochs: int, n_rows: int, n_test: int | None, seed: int
) -> dict[str, Any]:
    """Time a pipeline of skorch's tokenizer and its classifier around a transformers model."""
    import torch
    from sklearn.pipeline import Pipeline
    from skorch import NeuralNetClassifier
    from skorch.hf import HuggingfacePretrainedTokenizer
    from transformers import AutoTokenizer

    class BertModule(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(**inputs).logits
            return logits

    loaded_tokenizer = AutoTokenizer.from_pretrained(_model_folder())

    def pipeline(model: Any, max_epochs: int) -> Pipeline:
        net = NeuralNetClassifier(
            BertModule,
            module__model=model,
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.AdamW,
            lr=_LEARNING_RATE,
            max_epochs=max_epochs,
            batch_size=_BATCH_SIZE,
            iterator_train__shuffle=True,
            train_split=None,
            device="cpu",
            verbose=0,
        )
        tokenizer = HuggingfacePretrainedTokenizer(loaded_tokenizer, max_length=_PADDED_LENGTH)
        return Pipeline([("tokenizer", tokenizer), ("net", net)])

    texts, labels, test_texts, test_labels = _data(n_rows, n_test)
    pipeline(_model(freeze, seed), 1).fit(*_warm_up_data())
    trained = pipeline(_model(freeze, seed), epochs)
    result = _timed(lambda: trained.fit(texts, labels))
    accuracy = float(trained.score(test_texts, test_labels))
    return {**result, "accuracy": accuracy, "precision": "float32"}


def _competitors(float32: bool) -> dict[str, tuple[Callable[..., Result], dict[str, Any]]]:
    ours = {_OURS: "auto", _OURS_FLOAT32: "float32"} if float32 else {_OURS: "auto"}
    return {
        **{name: (fit_ours, {"precision": precision}) for name, precision in ours.items()},
        _TRAINER: (fit_trainer, {}),
        _SKORCH: (fit_skorch, {}),
    }


def _timed(fit: Callable[[], Any]) -> dict[str, Any]:
    before_bytes = peak_memory()
    start = time.perf_counter()
    fit()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "before_bytes": before_bytes, "fit_peak_bytes": peak_memory()}


def _data(n_rows: int, n_test: int | None) -> tuple[list[str], Any, list[str], Any]:
    from sklearn_bert.datasets import fetch_sst2

    train, test = fetch_sst2(subset="train"), fetch_sst2(subset="test")
    return (
        train.data[:n_rows],
        train.target[:n_rows],
        test.data[:n_test],
        test.target[:n_test],
    )


def _warm_up_data() -> tuple[list[str], Any]:
    from sklearn_bert.datasets import fetch_sst2

    texts, labels = fetch_sst2(subset="dev", return_X_y=True)
    return texts[:_WARM_UP_TEXTS], labels[:_WARM_UP_TEXTS]


def _freeze_parameter(freeze: str) -> str | int:
    return freeze if freeze in ("none", "all") else int(freeze)


def _model_folder() -> str:
    from sklearn_bert.encoder.sources import EMBEDDED_MODEL, find_model_folder

    return str(find_model_folder(EMBEDDED_MODEL))


def _model(freeze: str, seed: int) -> Any:
    """Load a classifier of transformers in which the same layers are frozen as in ours."""
    import torch
    import transformers

    from sklearn_bert.encoder.depth import parameter_places
    from sklearn_bert.encoder.freezing import resolve_freeze

    transformers.logging.set_verbosity_error()
    torch.manual_seed(seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        _model_folder(), num_labels=2, dtype=torch.float32
    )
    encoder = model.base_model
    freezing = resolve_freeze(
        _freeze_parameter(freeze),
        None,
        encoder.config.num_hidden_layers,
        parameter_places(encoder),
    )
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(name in freezing.trainable)
    return model


def _results(report: Report, freeze: str, name: str) -> list[Result]:
    return report.runs[f"freeze={freeze}: {name}"]


def _times_ours(report: Report, freeze: str, name: str) -> float:
    seconds = median(_results(report, freeze, name), "seconds")
    return seconds / median(_results(report, freeze, _OURS), "seconds")


def _add_table(report: Report, freeze: str, title: str, names: list[str]) -> None:
    rows = []
    for name in names:
        results = _results(report, freeze, name)
        rows.append(
            [
                name,
                spread([result["seconds"] for result in results]),
                f"{_times_ours(report, freeze, name):.2f}",
                f"{_accuracy(report, freeze, name):.4f}",
                f"{median(results, 'fit_peak_bytes') / 1e6:,.0f}",
                results[0]["precision"],
            ]
        )
    columns = ["", "seconds", "times ours", "test accuracy", "peak MB", "precision"]
    report.table(title, columns, rows)


def _accuracy(report: Report, freeze: str, name: str) -> float:
    return statistics.mean(result["accuracy"] for result in _results(report, freeze, name))


def _add_checks(report: Report, freeze: str, names: list[str]) -> None:
    least = _accuracy(report, freeze, _TRAINER) - _ACCURACY_MARGIN
    report.check(
        f"freeze={freeze}: our mean accuracy is at most half a point below the Trainer's",
        _accuracy(report, freeze, _OURS) >= least,
    )
    for name, bounds in _BOUNDS.items():
        if name not in names:
            continue
        ratio = _times_ours(report, freeze, name)
        report.check(
            f"freeze={freeze}: {name} takes at least {bounds[freeze]:g} times as long as ours: "
            f"{ratio:.2f}",
            ratio >= bounds[freeze],
        )
