"""Seconds and peak memory of encoding by number and length of texts, layers and batch size.

And what a store keeps whose limit is smaller than what the texts need: how many of them a second
pass has to encode again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from benchmarks.children import Job, Result, alternate, forget_peak_memory, peak_memory
from benchmarks.report import Report, median, spread
from benchmarks.texts import texts_of_length

REPEATS = 1

_WARM_UP_TEXTS = 64
# What stays the same while one of them changes.
_BASE: dict[str, Any] = {"n": 2000, "length": 64, "layers": 6, "batch_tokens": "auto"}
_VALUES: dict[str, list[Any]] = {
    "n": [500, 2000, 8000, 32_000],
    "length": [8, 16, 32, 64, 128, 256, 512],
    "layers": [0, 1, 2, 3, 4, 5, 6],
    "batch_tokens": [128, 512, 2048, 8192, 32_768, 131_072],
}
_QUICK_BASE: dict[str, Any] = {"n": 64, "length": 16, "layers": 6, "batch_tokens": "auto"}
_QUICK_VALUES: dict[str, list[Any]] = {
    "n": [32, 128],
    "length": [64],
    "layers": [1],
    "batch_tokens": [128],
}
_SAID = {
    "n": "texts",
    "length": "tokens a text, at most",
    "layers": "layers run",
    "batch_tokens": "padded tokens of a forward pass",
}
# Of the bytes that the vectors of all layers and poolings take.
_SHARES = [0.0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.5, 1.0, 2.0, 4.0, 5.1]
_QUICK_SHARES = [0.02, 1.0, 5.1]
_STORE_TEXTS = 2000
_STORE = "store"
# Seconds a token at the least and the most texts.
_FACTOR = 1.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parts = [*_VALUES, _STORE]
    parser.add_argument(
        "--part", nargs="+", choices=parts, default=parts, help="what to change (default all)"
    )


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    base, values = (_QUICK_BASE, _QUICK_VALUES) if options.quick else (_BASE, _VALUES)
    changed = [part for part in options.part if part != _STORE]
    jobs = {
        _name(part, value): Job(encode, {**base, part: value})
        for part in changed
        for value in values[part]
    }
    report.runs = alternate(jobs, options.repeats)
    for part in changed:
        _add_part(report, part, values[part], base)
        if part == "n" and not options.quick:
            _add_check(report, values[part])
    if changed:
        report.note(
            "No store, so that a pass ends at the layer asked for. Peak: of the whole process; "
            "added: by the pass, without the vectors that it returns. Texts are "
            "SST-2's sentences joined, cut between words. Peaks count from after a first pass."
        )
    if _STORE in options.part:
        n = base["n"] if options.quick else _STORE_TEXTS
        settings = {"n": n, "shares": _QUICK_SHARES if options.quick else _SHARES}
        report.runs |= alternate({_STORE: Job(fill_store, settings)}, options.repeats)
        _add_store(report)


def encode(n: int, length: int, layers: int, batch_tokens: int | str) -> Result:
    """Encode `n` texts of `length` tokens up to a layer, with no store."""
    from sklearn_bert import BertFeaturizer
    from sklearn_bert.encoder import work

    texts, _, tokens = texts_of_length(n, length)
    featurizer = BertFeaturizer(
        layers=layers, batch_tokens=batch_tokens, device="cpu", cache=None
    ).fit(texts[:1])
    featurizer.transform(texts[:_WARM_UP_TEXTS])
    forget_peak_memory()
    before_bytes, before = peak_memory(), work.counted()
    start = time.perf_counter()
    vectors = featurizer.transform(texts)
    seconds = time.perf_counter() - start
    done = work.counted() - before
    return {
        "n": n,
        "length": length,
        "layers": layers,
        "batch_tokens": batch_tokens,
        "seconds": seconds,
        "texts_per_second": n / seconds,
        "tokens": tokens,
        "tokens_per_second": tokens / seconds,
        "batches": done.batches,
        "padded_tokens": done.padded_tokens,
        "layer_tokens": done.layer_tokens,
        "before_bytes": before_bytes,
        "added_bytes": peak_memory() - before_bytes - vectors.nbytes,
        "encode_peak_bytes": peak_memory(),
        "precision": featurizer.precision_,
    }


def fill_store(n: int, shares: list[float]) -> Result:
    """Encode the same texts twice, then read another layer, with stores of several limits."""
    from sklearn_bert import BertFeaturizer, cache
    from sklearn_bert.datasets import fetch_sst2

    texts = list(dict.fromkeys(fetch_sst2(subset="train").data))[:n]
    last, lower = BertFeaturizer(device="cpu"), BertFeaturizer(device="cpu", layers=-2)
    cache.clear()
    _encoded(lambda: last.transform(texts))
    needed = cache.info().size
    limits = []
    for share in shares:
        cache.clear()
        cache.set_limit(int(share * needed))
        first = _encoded(lambda: last.transform(texts))
        kept = cache.info()
        again = _encoded(lambda: last.transform(texts))
        layer_below = _encoded(lambda: lower.transform(texts))
        limits.append(
            {
                "share": share,
                "limit": kept.limit,
                "kept_bytes": kept.size,
                "kept_vectors": kept.entries,
                "first": first,
                "again": again,
                "layer_below": layer_below,
            }
        )
    return {"n": len(texts), "needed": needed, "limits": limits}


def _encoded(pass_over: Callable[[], Any]) -> dict[str, Any]:
    """Return how many texts were encoded, and in how many seconds all was done."""
    from sklearn_bert.encoder import work

    before = work.counted()
    start = time.perf_counter()
    pass_over()
    seconds = time.perf_counter() - start
    return {"encoded": (work.counted() - before).texts, "seconds": seconds}


def _name(part: str, value: Any) -> str:
    return f"{part}={value}"


def _add_part(report: Report, part: str, values: list[Any], base: dict[str, Any]) -> None:
    rows = []
    for value in values:
        results = report.runs[_name(part, value)]
        rows.append(
            [
                f"{value:,}",
                spread([result["seconds"] for result in results], 2),
                f"{median(results, 'texts_per_second'):,.0f}",
                f"{median(results, 'tokens_per_second'):,.0f}",
                f"{results[0]['batches']:,}",
                f"{results[0]['padded_tokens'] / results[0]['tokens']:.3f}",
                f"{median(results, 'encode_peak_bytes') / 1e6:,.0f}",
                f"{median(results, 'added_bytes') / 1e6:,.0f}",
            ]
        )
    others = ", ".join(f"{name}={base[name]}" for name in base if name != part)
    report.table(
        f"By {_SAID[part]}; {others}; {results[0]['precision']}",
        [
            _SAID[part],
            "seconds",
            "texts/s",
            "tokens/s",
            "passes",
            "padded/tokens",
            "peak MB",
            "added MB",
        ],
        rows,
    )


def _add_check(report: Report, sizes: list[int]) -> None:
    rates = [
        median(report.runs[_name("n", size)], "tokens_per_second")
        for size in (min(sizes), max(sizes))
    ]
    factor = max(rates) / min(rates)
    report.check(
        f"tokens a second of {min(sizes):,} and {max(sizes):,} texts are within a factor of "
        f"{_FACTOR}: {factor:.2f}",
        factor <= _FACTOR,
    )


def _add_store(report: Report) -> None:
    first = report.runs[_STORE][0]
    n = first["n"]
    rows = [
        [
            f"{each['share']:.0%}",
            f"{each['limit'] / 1e6:.1f}",
            f"{each['kept_bytes'] / 1e6:.1f}",
            f"{each['kept_vectors']:,}",
            f"{each['again']['encoded']:,}",
            f"{each['layer_below']['encoded']:,}",
        ]
        for each in first["limits"]
    ]
    report.table(
        f"Where the store's budget ends: {n:,} texts, whose vectors of all layers and poolings "
        f"take {first['needed'] / 1e6:.0f} MB",
        [
            "limit",
            "MB",
            "MB kept",
            "vectors kept",
            "encoded again",
            "encoded for the layer below",
        ],
        rows,
    )
    report.note(
        "Encoded again: of the same texts, asked for a second time. Encoded for the layer below: "
        "after that, with layers=-2, as the next candidate of a search. Vectors that were not "
        "asked for are kept where they take a fifth of the limit at most; a store too small for "
        "those that were keeps the first texts', and the others are encoded again: a limit costs "
        "time and never a result."
    )
    again = [each["again"]["encoded"] for each in first["limits"]]
    report.check(
        f"the more a store may keep, the fewer texts are encoded again: {again}",
        again == sorted(again, reverse=True),
    )
    report.check(
        "no store keeps more than its limit",
        all(each["kept_bytes"] <= each["limit"] for each in first["limits"]),
    )
