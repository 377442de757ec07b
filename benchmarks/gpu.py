"""Encoding, fine-tuning and the search over depths on a GPU, at the size of BERT-base.

Beside sentence-transformers and the expert-tuned Trainer, in bfloat16. The weights are random, so
that none need to be fetched: speed does not depend on them, and no accuracy is told.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.arguments import device_at_hand
from benchmarks.children import Job, Result, alternate, run_job, together
from benchmarks.depth_search import search_ours, search_rival
from benchmarks.embedded import model_folder
from benchmarks.encode import cosines, describe, encode_ours, encode_rival, vectors_file
from benchmarks.finetune import fit_ours, fit_rival
from benchmarks.kept import working_folder
from benchmarks.machine import device_name
from benchmarks.matmul import best_rate, best_rates, limit_job
from benchmarks.report import Report, median, spread
from benchmarks.rivals.encoders import REFERENCE
from benchmarks.texts import OF_LENGTH

REPEATS = 2

_PARTS = ("encode", "finetune", "depth_search")
_PRECISION = "bfloat16"
_BERT_BASE: dict[str, int] = {}
_QUICK_BERT = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}
_QUICK_BERT |= {"intermediate_size": 128}
_LONG = f"{OF_LENGTH}128"
_CORPORA = ("sst2", _LONG)
_QUICK_TEXTS = 40
# So many that some batches are as large as any: what a GPU takes longer for but once is not a rate.
_WARM_UP_TEXTS = 2048
_EPOCHS = {"none": 3, "-1": 3, "all": 10}
_ROWS, _SEARCH_ROWS, _SEARCH_EPOCHS = 1000, 600, 3
_QUICK_ROWS, _QUICK_EPOCHS = 40, 1
_TEST_ROWS = 32
# A rival shares nothing among folds; it is measured on some of them.
_FOLDS, _RIVAL_FOLDS, _QUICK_FOLDS = 5, 2, 1
_LIMIT = "matrix products"
_OURS, _COLD, _WARM = "ours, no store", "ours, cold store", "ours, warm store"
_EXACT_REFERENCE = f"{REFERENCE}, float32"
# As its defaults have it, and as one may ask for it.
_BATCH_SIZE = 512
_REFERENCES: dict[str, dict[str, Any]] = {
    REFERENCE: {"dtype": _PRECISION},
    f"{REFERENCE}, batches of {_BATCH_SIZE}": {"dtype": _PRECISION, "batch_size": _BATCH_SIZE},
    _EXACT_REFERENCE: {"dtype": "float32"},
}
_EXPERT = "transformers Trainer, expert"
_LEAST_SHARE, _LEAST_RATIO = 0.45, 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument(
        "--part", nargs="+", choices=_PARTS, default=_PARTS, help="what to measure (default all)"
    )
    parser.add_argument(
        "--device",
        type=device_at_hand,
        choices=("cuda", "cpu"),
        help="default cuda; cpu shows that it runs",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="FOLDER",
        help="of a saved BERT tokenizer (default: that of the embedded model)",
    )


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    import torch

    device = options.device or ("cuda" if torch.cuda.is_available() else None)
    if device is None:
        report.note("Not measured: no GPU was at hand.")
        return
    if device == "cuda":
        report.machine["gpu"] = device_name(device)
    with working_folder("bert") as folder:
        found = run_job(_preparation(folder, options))
        where = {"folder": folder, "device": device}
        # One process for all parts: to start one takes longer than most of what it does.
        by_tool: dict[str, dict[str, Job]] = {}
        for part in options.part:
            for tool, of_part in _JOBS[part](where, options.quick).items():
                by_tool.setdefault(tool, {}).update(of_part)
        jobs = {_LIMIT: _limit(where, options.quick)}
        jobs |= {tool: together(of_tool) for tool, of_tool in by_tool.items()}
        report.runs = _by_run(alternate(jobs, options.repeats))
        if "encode" in options.part:
            for corpus in _CORPORA:
                _add_encode(report, corpus, found[corpus], folder, options.quick)
    if "finetune" in options.part:
        _add_finetune(report, options.quick)
    if "depth_search" in options.part:
        _add_depth_search(report, options.quick)
    _add_limit(report)


def _preparation(folder: str, options: argparse.Namespace) -> Job:
    """Return the job that saves the model, and says what it makes of the corpora to encode."""
    bert = _QUICK_BERT if options.quick else _BERT_BASE
    saved = Job(save_bert, {"folder": folder, "vocabulary": options.vocabulary, **bert})
    described = {
        corpus: Job(describe, {**_texts(corpus, options.quick), "folder": folder})
        for corpus in (_CORPORA if "encode" in options.part else ())
    }
    return together({"model": saved, **described})


def _by_run(found: dict[str, list[Result]]) -> dict[str, list[Result]]:
    """Return the results of what ran in one process by their own names."""
    runs = {_LIMIT: found.pop(_LIMIT)}
    for results in found.values():
        for result in results:
            for name, of_run in result.items():
                if isinstance(of_run, dict):
                    runs.setdefault(name, []).append(of_run)
    return runs


def save_bert(folder: str, vocabulary: str | None, **settings: int) -> Result:
    """Save a BERT with random weights, BERT-base where `settings` say nothing else."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    AutoTokenizer.from_pretrained(vocabulary or model_folder()).save_pretrained(folder)
    BertModel(BertConfig(**settings)).save_pretrained(folder)
    return {"files": len(list(Path(folder).iterdir()))}


def _limit(where: dict[str, str], quick: bool) -> Job:
    from transformers import BertConfig

    config = BertConfig(**(_QUICK_BERT if quick else _BERT_BASE))
    return limit_job(config.hidden_size, config.intermediate_size, True, quick, where["device"])


def _texts(corpus: str, quick: bool) -> dict[str, Any]:
    return {"corpus": corpus, "n_texts": _QUICK_TEXTS if quick else None}


def _encode_jobs(where: dict[str, str], quick: bool) -> dict[str, dict[str, Job]]:
    ours, rival = {}, {}
    for corpus in _CORPORA:
        common = {**_texts(corpus, quick), "step": 1, "n_warm_up": _WARM_UP_TEXTS, **where}
        for label, cache in ((_OURS, None), (_COLD, "memory")):
            settings = {**common, "precision": _PRECISION, "cache": cache}
            ours[f"{corpus}: {label}"] = Job(encode_ours, settings)
        for label, how in _REFERENCES.items():
            settings = {**common, "tool": REFERENCE, **how}
            rival[f"{corpus}: {label}"] = Job(encode_rival, settings)
    for name, job in {**ours, **rival}.items():
        job.settings["vectors"] = vectors_file(where["folder"], name)
    return {"ours": ours, REFERENCE: rival}


def _exact(name: str) -> str:
    """Return whose vectors those of a run are compared with."""
    return f"{name.rsplit(': ', 1)[0]}: {_EXACT_REFERENCE}"


def _finetune_jobs(where: dict[str, str], quick: bool) -> dict[str, dict[str, Job]]:
    ours, rival = {}, {}
    for freeze, epochs in _epochs(quick).items():
        common = {
            "freeze": freeze,
            "epochs": epochs,
            "n_rows": _QUICK_ROWS if quick else _ROWS,
            "n_test": _TEST_ROWS,
            "seed": 0,
            **where,
        }
        ours[f"freeze={freeze}: ours"] = Job(fit_ours, {**common, "precision": _PRECISION})
        rival[f"freeze={freeze}: {_EXPERT}"] = Job(fit_rival, {**common, "recipe": "expert"})
    return {"ours": ours, _EXPERT: rival}


def _epochs(quick: bool) -> dict[str, int]:
    return {freeze: _QUICK_EPOCHS if quick else epochs for freeze, epochs in _EPOCHS.items()}


def _depth_search_jobs(where: dict[str, str], quick: bool) -> dict[str, dict[str, Job]]:
    common = {
        "n_rows": _QUICK_ROWS if quick else _SEARCH_ROWS,
        "epochs": _QUICK_EPOCHS if quick else _SEARCH_EPOCHS,
        "seed": 0,
        **where,
    }
    rival = {**common, "recipe": "expert", "n_folds": _QUICK_FOLDS if quick else _RIVAL_FOLDS}
    return {
        "ours": {"search: ours": Job(search_ours, common)},
        _EXPERT: {f"search: {_EXPERT}": Job(search_rival, rival)},
    }


_JOBS = {
    "encode": _encode_jobs,
    "finetune": _finetune_jobs,
    "depth_search": _depth_search_jobs,
}


def _add_encode(report: Report, corpus: str, texts: Result, folder: str, quick: bool) -> None:
    names = {
        name.removeprefix(f"{corpus}: "): name for name in report.runs if name.startswith(corpus)
    }
    least = {
        name: cosines(vectors_file(folder, name), vectors_file(folder, _exact(name))).min()
        for name in names.values()
    }
    gflop = sum(texts["flop"]["1"]) / 1e9
    runs = {label: report.runs[name] for label, name in names.items()}
    runs[_WARM] = [{**run, **run["warm"]} for run in runs[_COLD]]
    reference = median(runs[REFERENCE], "texts_per_second")
    rows = []
    for label in (_OURS, _COLD, _WARM, *_REFERENCES):
        rate = median(runs[label], "texts_per_second")
        row = [label, spread([run["texts_per_second"] for run in runs[label]], 0)]
        row.append(f"{rate / reference:.2f}")
        if label == _WARM:
            rows.append([*row, *[""] * 5])
            continue
        first = runs[label][0]
        row += [
            f"{gflop / median(runs[label], 'seconds') / 1e3:.0f}",
            _share(report, gflop, runs[label], "float32" if "float32" in label else _PRECISION),
            f"{first['padded_tokens'] / first['tokens']:.3f}",
            f"{first.get('gpu_peak_bytes', 0) / 1e6:,.0f}",
            f"{least[names[label]]:.5f}",
        ]
        rows.append(row)
    columns = ["", "texts/s", "ratio", "TFLOP/s", "of the limit", "padded/tokens"]
    columns += ["GPU MB", "least cosine"]
    title = f"encode, {corpus}: {texts['texts']:,} texts of {texts['tokens'] / texts['texts']:.1f}"
    report.table(f"{title} tokens; median of {len(runs[_OURS])} [least..most]", columns, rows)
    if quick:
        return
    for label in (_OURS, _COLD):
        if corpus == _LONG:
            best = best_rate(report.runs[_LIMIT], _PRECISION)
            share = gflop / median(runs[label], "seconds") / best
            report.check(
                f"{corpus}, {label}: at least {_LEAST_SHARE:.0%} of the {_PRECISION} limit: "
                f"{share:.1%}",
                share >= _LEAST_SHARE,
            )
        else:
            ratio = median(runs[label], "texts_per_second") / reference
            report.check(
                f"{corpus}, {label}: at least {_LEAST_RATIO:g} times the texts a second of "
                f"{REFERENCE} in {_PRECISION}: {ratio:.2f}",
                ratio >= _LEAST_RATIO,
            )


def _add_finetune(report: Report, quick: bool) -> None:
    rows = []
    for freeze in _EPOCHS:
        ours = median(report.runs[f"freeze={freeze}: ours"], "seconds")
        for label in ("ours", _EXPERT):
            runs = report.runs[f"freeze={freeze}: {label}"]
            whole = freeze == "none"
            rows.append(
                [
                    f"freeze={freeze}: {label}",
                    spread([run["seconds"] for run in runs], 2),
                    f"{median(runs, 'seconds') / ours:.2f}",
                    _share(report, runs[0]["gflop"], runs, _PRECISION) if whole else "",
                    f"{runs[0].get('gpu_peak_bytes', 0) / 1e6:,.0f}",
                ]
            )
    epochs = ", ".join(f"{n} with freeze={freeze}" for freeze, n in _epochs(quick).items())
    report.table(
        f"finetune, SST-2: {runs[0]['rows']:,} rows, batches of 32, epochs: {epochs}",
        ["", "seconds", "times ours", "of the limit", "GPU MB"],
        rows,
    )


def _add_depth_search(report: Report, quick: bool) -> None:
    searches = {label: report.runs[f"search: {label}"] for label in ("ours", _EXPERT)}
    ours = searches["ours"]

    def seconds(runs: list[Result]) -> float:
        return median(runs, "seconds") * _FOLDS / runs[0]["folds"]

    report.table(
        f"depth search, SST-2: 5 depths x {_FOLDS} folds, "
        f"{_QUICK_EPOCHS if quick else _SEARCH_EPOCHS} epochs, "
        f"{ours[0]['distinct']:,} distinct sentences",
        ["", "folds measured", "seconds", "times ours", "texts encoded", "GPU MB", "left on it"],
        [
            [
                label,
                f"{runs[0]['folds']}",
                spread([run["seconds"] for run in runs]),
                f"{seconds(runs) / seconds(ours):.2f}",
                f"{runs[0]['encoded']:,}",
                f"{runs[0].get('gpu_peak_bytes', 0) / 1e6:,.0f}",
                f"{runs[0].get('gpu_left_bytes', 0) / 1e6:,.0f}",
            ]
            for label, runs in searches.items()
        ],
    )
    report.check(
        f"search: each of {ours[0]['distinct']:,} distinct texts went through the frozen layers "
        f"once",
        all(run["encoded"] == run["distinct"] for run in ours),
    )


def _add_limit(report: Report) -> None:
    report.table(
        "The limit: the best of the matrix products, TFLOP/s",
        ["", "TFLOP/s", "tokens x in x out"],
        [
            [way, f"{found['gflops'] / 1e3:.0f}", found["shape"]]
            for way, found in best_rates(report.runs[_LIMIT]).items()
        ],
    )
    report.note(
        "Random weights: times are those of any weights of the size, accuracies would say "
        "nothing. Each tool in a process of its own, warmed up before each run, with up to "
        f"{_WARM_UP_TEXTS:,} texts of the corpus where it encodes. Shares count the operations of "
        "matrix products without padding. Ratio: of median texts/s, to sentence-transformers in "
        "bfloat16; float32 is its default, and batches of 32 texts. Least "
        "cosine: to its vectors in float32. Warm store: the same texts once more. "
        "Left on it: what tensors take of the GPU when the search is over. The expert is that of "
        "the benchmark finetune. Times of fits are those of `fit`, with tokenizing and the frozen "
        "pass."
    )


def _share(report: Report, gflop: float, runs: list[Result], precision: str) -> str:
    best = best_rate(report.runs[_LIMIT], precision)
    return f"{gflop / median(runs, 'seconds') / best:.0%}"
