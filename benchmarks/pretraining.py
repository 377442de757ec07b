"""BertMaskedLM: perplexity on held-out text, and classifiers on top, before and after.

Part imdb goes on with the embedded model on film reviews and classifies SST-2. Part chinese trains
a small Chinese BERT from nothing on shop reviews, with word pieces of its own, in short chunks
first (examples/chinese_bert.py), and classifies hotel reviews, none of which it saw before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.arguments import count, seed_number
from benchmarks.children import Job, Result, run_job
from benchmarks.report import Report, mean_and_deviation

# Seeds are repeats enough.
REPEATS = None

_SEEDS = [0, 1, 2]
_QUICK_ROWS = 60
_EPOCHS = {"imdb": 3, "chinese": 2}
_QUICK_EPOCHS = 1
_HELD_OUT_SHARE = 0.2
_HELD_OUT_ROWS = 1000
# Few labels are where more pretraining would show.
_CLASSIFIED_ROWS = 2000
_VOCABULARY = 8000
_MINUTES = 20
_THEN = {"imdb": "", "chinese": " in chunks of 18 tokens and one of 128"}
_SCORES = ("features + LogisticRegression", "BertFineTuneClassifier")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument(
        "--part", nargs="+", choices=list(_PARTS), default=list(_PARTS), help="default both"
    )
    parser.add_argument("--seeds", nargs="+", type=seed_number, help="default 0 1 2")
    parser.add_argument(
        "--epochs",
        type=count,
        help="of pretraining (default 3 for imdb, 2 for chinese in short chunks before one more)",
    )


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    seeds = options.seeds or (_SEEDS[:1] if options.quick else _SEEDS)
    for part in options.part:
        epochs = options.epochs or (_QUICK_EPOCHS if options.quick else _EPOCHS[part])
        report.runs[part] = []
        for seed in seeds:
            job = Job(
                _PARTS[part],
                {
                    "seed": seed,
                    "epochs": epochs,
                    "n_rows": _QUICK_ROWS if options.quick else None,
                },
            )
            print(f"{part}, seed {seed}", file=sys.stderr, flush=True)
            report.runs[part].append({**run_job(job), "epochs": epochs})
            print(f"  {_said(report.runs[part][-1])}", file=sys.stderr, flush=True)
        _add_table(report, part, report.runs[part], checked=not options.quick)
    report.note(
        f"Mean ± standard deviation over seeds {seeds}, which fix the rows held out, pretraining, "
        f"and what is trained on top. Perplexity: on texts that were held out, with the same masks "
        f"before and after. Classifiers have {_CLASSIFIED_ROWS:,} rows to train on. Features are "
        f"scaled and classified by LogisticRegression(C=0.01); "
        f"BertFineTuneClassifier has its defaults, all layers train."
    )


def imdb(seed: int, epochs: int, n_rows: int | None) -> Result:
    """Go on with the embedded model on film reviews; classify SST-2."""
    from sklearn.model_selection import train_test_split

    from sklearn_bert import BertMaskedLM
    from sklearn_bert.datasets import fetch_imdb_sample, fetch_sst2
    from sklearn_bert.encoder.sources import EMBEDDED_MODEL

    texts, _ = fetch_imdb_sample(return_X_y=True)
    train, held_out = train_test_split(texts[:n_rows], test_size=_HELD_OUT_SHARE, random_state=seed)
    labelled, test = (fetch_sst2(subset=subset) for subset in ("train", "test"))
    X, _, y, _ = train_test_split(
        labelled.data,
        labelled.target,
        train_size=n_rows or _CLASSIFIED_ROWS,
        stratify=labelled.target,
        random_state=seed,
    )
    rows = (X, y), (list(test.data[:n_rows]), test.target[:n_rows])
    with tempfile.TemporaryDirectory() as folder:
        model = BertMaskedLM(max_epochs=epochs, random_state=seed)
        return {
            **_pretrain(model, model.fit, train, held_out, Path(folder, "after")),
            "before": _classify(EMBEDDED_MODEL, *rows, seed),
            "after": _classify(str(Path(folder, "after")), *rows, seed),
        }


def chinese(seed: int, epochs: int, n_rows: int | None) -> Result:
    """Train a small Chinese BERT from nothing on shop reviews; classify hotel reviews."""
    from sklearn.model_selection import train_test_split

    from examples.chinese_bert import learn_tokenizer, pretrain, save_random_bert
    from sklearn_bert import BertMaskedLM
    from sklearn_bert.datasets import fetch_chn_hotel, fetch_online_shopping

    hotel_texts, hotel_labels = fetch_chn_hotel(return_X_y=True)
    shop_texts, _ = fetch_online_shopping(return_X_y=True)
    # Some reviews are in both corpora.
    unseen = sorted(set(shop_texts) - set(hotel_texts))
    held_out_rows = _HELD_OUT_ROWS if n_rows is None else n_rows // 4
    train, held_out = train_test_split(
        unseen, train_size=n_rows, test_size=held_out_rows, random_state=seed
    )
    X, X_test, y, y_test = train_test_split(
        hotel_texts,
        hotel_labels,
        train_size=n_rows or _CLASSIFIED_ROWS,
        test_size=n_rows or 0.2,
        stratify=hotel_labels,
        random_state=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        start = time.perf_counter()
        tokenizer = learn_tokenizer(train, _VOCABULARY)
        save_random_bert(tokenizer, before, seed=seed)
        vocabulary_seconds = time.perf_counter() - start
        stages = {"epochs": (epochs, 1), "seed": seed}
        found = _pretrain(
            BertMaskedLM(before, random_state=seed),
            lambda texts: pretrain(before, Path(folder, "short"), texts, **stages),
            train,
            held_out,
            after,
        )
        return {
            **found,
            "seconds": found["seconds"] + vocabulary_seconds,
            "vocabulary": len(tokenizer),
            "before": _classify(str(before), (X, y), (X_test, y_test), seed),
            "after": _classify(str(after), (X, y), (X_test, y_test), seed),
        }


def _pretrain(
    untrained: Any,
    fit: Callable[[list[str]], Any],
    train: list[str],
    held_out: list[str],
    folder: Path,
) -> Result:
    """Train, measure before and after, and save the encoder."""
    from sklearn.base import clone

    before = clone(untrained).set_params(max_epochs=0).fit(train).perplexity(held_out)
    start = time.perf_counter()
    model = fit(train)
    seconds = time.perf_counter() - start
    model.save_pretrained(folder)
    return {
        "seed": model.random_state,
        "perplexity": {"before": before, "after": model.perplexity(held_out)},
        "seconds": seconds,
        "history": model.history_,
        "train": len(train),
        "held_out": len(held_out),
        "computed_in": model.precision_,
    }


def _classify(
    folder: str, train: tuple[list[str], Any], test: tuple[list[str], Any], seed: int
) -> dict[str, float]:
    """Return the accuracy of a linear model on features, and of fine-tuning."""
    import warnings

    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sklearn_bert import BertFeaturizer, BertFineTuneClassifier
    from sklearn_bert.errors import LongTextWarning

    on_features = make_pipeline(
        BertFeaturizer(folder), StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)
    )
    classifiers = (on_features, BertFineTuneClassifier(folder, random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongTextWarning)
        return {
            name: float(classifier.fit(*train).score(*test))
            for name, classifier in zip(_SCORES, classifiers, strict=True)
        }


def _said(result: Result) -> str:
    """Return one line on a seed, for whoever waits."""
    parts = [f"perplexity {_pair(result['perplexity'], 1)}"]
    for name in _SCORES:
        both = {when: result[when][name] for when in ("before", "after")}
        parts.append(f"{name} {_pair(both, 4)}")
    return f"{', '.join(parts)}, {result['seconds']:.0f} s of pretraining"


def _pair(both: dict[str, float], digits: int) -> str:
    return f"{both['before']:.{digits}f} → {both['after']:.{digits}f}"


def _add_table(report: Report, part: str, results: list[Result], checked: bool) -> None:
    first = results[0]
    corpora = {"imdb": "imdb_sample, then SST-2", "chinese": "online_shopping, then chn_hotel"}
    rows = [_row("perplexity", [result["perplexity"] for result in results], 1)]
    for name in _SCORES:
        both = [{when: result[when][name] for when in ("before", "after")} for result in results]
        rows.append(_row(f"accuracy, {name}", both, 4))
    vocabulary = f", {first['vocabulary']:,} word pieces" if "vocabulary" in first else ""
    report.table(
        f"{corpora[part]}: pretrained on {first['train']:,} texts for {first['epochs']} epoch(s)"
        f"{_THEN[part]}{vocabulary}, perplexity on {first['held_out']:,}; {first['computed_in']}",
        ["", "before", "after", "difference"],
        rows,
    )
    seconds = [result["seconds"] for result in results]
    report.note(f"{part}: {' / '.join(f'{value:.0f}' for value in seconds)} s of pretraining.")
    if not checked:
        return
    falls = [result["perplexity"] for result in results]
    report.check(
        f"{part}: perplexity on held-out text falls with each seed: "
        f"{', '.join(_pair(both, 1) for both in falls)}",
        all(both["after"] < both["before"] for both in falls),
    )
    if part == "chinese":
        report.check(
            f"chinese: a model from nothing in under {_MINUTES} minutes: {max(seconds):.0f} s",
            max(seconds) < 60 * _MINUTES,
        )


def _row(name: str, results: list[dict[str, float]], digits: int) -> list[str]:
    """Return mean ± deviation before, after, and of the differences seed by seed."""
    before, after = ([result[when] for result in results] for when in ("before", "after"))
    differences = [new - old for old, new in zip(before, after, strict=True)]
    return [name, *(mean_and_deviation(values, digits) for values in (before, after, differences))]


_PARTS: dict[str, Callable[..., Result]] = {"imdb": imdb, "chinese": chinese}
