"""Texts per second beside sentence-transformers, skrub and embetter, and the machine's limit.

SST-2's training sentences, the same weights, processor only, each competitor in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.children import Job, alternate
from benchmarks.matmul import best_rates, limit_job
from benchmarks.report import Report, median, spread

_QUICK_TEXTS = 600
_WARM_UP_TEXTS = 128
_DEVICE = "cpu"
_REFERENCE = "sentence-transformers"
_LIMIT = "matrix products"


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    bfloat16 = _bfloat16_is_native()
    config = _model_config()
    with tempfile.TemporaryDirectory() as folder:
        jobs = _jobs(Path(folder), _QUICK_TEXTS if options.quick else None, bfloat16)
        limit = limit_job(
            config["hidden_size"], config["intermediate_size"], bfloat16, options.quick
        )
        report.runs = alternate({_LIMIT: limit, **jobs}, options.repeats)
        cosines = _cosines(Path(folder), list(jobs))
    limits = best_rates(report.runs[_LIMIT])
    flop = _flop_per_token(config)
    _add_tables(report, jobs, limits, cosines, flop)
    first = report.runs[_REFERENCE][0]
    report.note(
        f"{first['texts']:,} texts, {first['distinct']:,} of them distinct; a token costs "
        f"{flop / 1e6:.1f} MFLOP in the layers' linear maps, padding not counted as work. "
        f"Threads: {report.runs[_LIMIT][0]['threads']}."
    )
    report.note(
        "Ratio: of median texts/s. Share: of the best matrix product at that precision. "
        "Cosine: to the vectors of sentence-transformers, mean and least over all texts."
    )
    if not bfloat16:
        report.note("bfloat16 was left out: this processor does not compute it natively.")


def encode_ours(texts: int | None, precision: str, cache: str | None, vectors: str) -> dict:
    """Encode with BertFeaturizer, the store cold."""
    from sklearn_bert import BertFeaturizer
    from sklearn_bert.encoder import work

    featurizer = BertFeaturizer(device=_DEVICE, precision=precision, cache=cache)

    def forget() -> None:
        if cache is not None:
            from sklearn_bert import cache as store

            store.clear(cache)

    def tokens() -> tuple[int, int]:
        return work.counted().tokens, work.counted().padded_tokens

    return _timed(featurizer.transform, texts, vectors, tokens, forget)


def encode_sentence_transformers(texts: int | None, vectors: str) -> dict:
    """Encode with SentenceTransformer.encode and its defaults."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(_model_folder(), device=_DEVICE)
    return _timed(model.encode, texts, vectors, _count_tokens(model))


def encode_skrub(texts: int | None, vectors: str) -> dict:
    """Encode with skrub's TextEncoder, all components kept."""
    import pandas as pd
    import skrub

    # The name that TextEncoder has since skrub 0.11.
    encoder_class = getattr(skrub, "LLMEncoder", None) or skrub.TextEncoder
    with tempfile.TemporaryDirectory() as folder:
        encoder = encoder_class(
            model_name=_model_folder(), n_components=None, device=_DEVICE, cache_folder=folder
        )
        encoder.fit_transform(pd.Series(["loads the model"], name="text"))

        def encode(part: list[str]) -> np.ndarray:
            return encoder.transform(pd.Series(part, name="text"))

        return _timed(encode, texts, vectors, _count_tokens(encoder._estimator))


def encode_embetter(texts: int | None, vectors: str) -> dict:
    """Encode with embetter's SentenceEncoder."""
    from embetter.text import SentenceEncoder

    encoder = SentenceEncoder(_model_folder(), device=_DEVICE)
    return _timed(encoder.transform, texts, vectors, _count_tokens(encoder.tfm))


def _jobs(folder: Path, texts: int | None, bfloat16: bool) -> dict[str, Job]:
    ours = {
        f"ours {precision}, {'no store' if cache is None else 'cold store'}": (
            encode_ours,
            {"precision": precision, "cache": cache},
        )
        for precision in (["float32", "bfloat16"] if bfloat16 else ["float32"])
        for cache in ("memory", None)
    }
    others: dict[str, tuple[Callable, dict]] = {
        _REFERENCE: (encode_sentence_transformers, {}),
        "skrub TextEncoder": (encode_skrub, {}),
        "embetter SentenceEncoder": (encode_embetter, {}),
    }
    return {
        name: Job(
            function, {**settings, "texts": texts, "vectors": str(_vectors_file(folder, name))}
        )
        for name, (function, settings) in {**ours, **others}.items()
    }


def _timed(
    encode: Callable[[list[str]], Any],
    n_texts: int | None,
    vectors: str,
    tokens: Callable[[], tuple[int, int]],
    forget: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Warm up, time one pass over all texts, and write the vectors where there are none yet."""
    from sklearn_bert.datasets import fetch_sst2

    texts = fetch_sst2(subset="train").data[:n_texts]
    encode(texts[:: max(1, len(texts) // _WARM_UP_TEXTS)])
    forget()
    tokens_before, padded_before = tokens()
    start = time.perf_counter()
    result = encode(texts)
    seconds = time.perf_counter() - start
    tokens_after, padded_after = tokens()
    if not Path(vectors).exists():
        np.save(vectors, np.asarray(result, dtype=np.float32))
    return {
        "seconds": seconds,
        "texts": len(texts),
        "distinct": len(set(texts)),
        "texts_per_second": len(texts) / seconds,
        "tokens": tokens_after - tokens_before,
        "padded_tokens": padded_after - padded_before,
    }


def _count_tokens(model: Any) -> Callable[[], tuple[int, int]]:
    """Count what goes into a SentenceTransformer's encoder: tokens without and with padding."""
    counts = [0, 0]

    def count(module: Any, args: tuple[dict[str, Any], ...]) -> None:
        mask = args[0]["attention_mask"]
        counts[0] += int(mask.sum())
        counts[1] += mask.numel()

    model[0].register_forward_pre_hook(count)
    return lambda: (counts[0], counts[1])


def _cosines(folder: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Return the cosine of each text's vector to that of the reference."""

    def unit(name: str) -> np.ndarray:
        vectors = np.load(_vectors_file(folder, name)).astype(np.float64)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    reference = unit(_REFERENCE)
    return {name: (unit(name) * reference).sum(axis=1) for name in names}


def _add_tables(
    report: Report,
    jobs: dict[str, Job],
    limits: dict[str, dict[str, Any]],
    cosines: dict[str, np.ndarray],
    flop: int,
) -> None:
    reference = median(report.runs[_REFERENCE], "texts_per_second")
    rows = []
    for name, job in jobs.items():
        results = report.runs[name]
        precision = job.settings.get("precision", "float32")
        rate = median([{"rate": r["tokens"] * flop / r["seconds"] / 1e9} for r in results], "rate")
        rows.append(
            [
                name,
                spread([result["texts_per_second"] for result in results]),
                f"{median(results, 'texts_per_second') / reference:.2f}",
                f"{rate:.0f}",
                _share(rate, limits.get(f"{precision} torch.matmul")),
                _share(rate, limits.get(f"{precision} oneDNN")),
                f"{results[0]['padded_tokens'] / results[0]['tokens']:.3f}",
                f"{cosines[name].mean():.5f}",
                f"{cosines[name].min():.5f}",
            ]
        )
    columns = ["", "texts/s", "ratio", "GFLOP/s", "of torch.matmul", "of oneDNN"]
    columns += ["padded/tokens", "cosine", "least"]
    report.table(f"Median of {len(results)} [least..most]", columns, rows)
    rates = report.runs[_LIMIT][0]["rates"]
    shapes = list(next(iter(rates.values())))
    report.table(
        "The machine's limit: matrix products, GFLOP/s (the best of each column counts)",
        ["tokens x in x out", *rates],
        [
            [
                shape,
                *(
                    f"{median([r['rates'][way] for r in report.runs[_LIMIT]], shape):.0f}"
                    for way in rates
                ),
            ]
            for shape in shapes
        ],
    )


def _share(rate: float, limit: dict[str, Any] | None) -> str:
    return "" if limit is None else f"{rate / limit['gflops']:.0%}"


def _vectors_file(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(' ', '-')}.npy"


def _flop_per_token(config: dict[str, Any]) -> int:
    """Count two operations for each weight of the layers' linear maps."""
    hidden, intermediate = config["hidden_size"], config["intermediate_size"]
    return 2 * config["num_hidden_layers"] * (4 * hidden * hidden + 2 * hidden * intermediate)


def _model_folder() -> str:
    from sklearn_bert.encoder.sources import EMBEDDED_MODEL, find_model_folder

    return str(find_model_folder(EMBEDDED_MODEL))


def _model_config() -> dict[str, Any]:
    config: dict[str, Any] = json.loads((Path(_model_folder()) / "config.json").read_text())
    return config


def _bfloat16_is_native() -> bool:
    from sklearn_bert.encoder.execution import resolve_device, resolve_precision

    return resolve_precision("auto", resolve_device(_DEVICE)) == "bfloat16"
