"""Peak memory while encoding 200,000 short texts, against the size of the output.

The texts are made of SST-2: a piece of one sentence and a piece of another, 3 to 8 words in all.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

from benchmarks.arguments import count
from benchmarks.children import Job, alternate, peak_memory
from benchmarks.report import Report, spread

REPEATS = 1

_TEXTS = 200_000
_QUICK_TEXTS = 5_000
_WARM_UP_TEXTS = 64
_BOUND = 1_500_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument("--n", type=count, metavar="N", help=f"texts (default {_TEXTS:,})")


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    n_texts = options.n or (_QUICK_TEXTS if options.quick else _TEXTS)
    report.runs = alternate({"encode": Job(encode, {"n_texts": n_texts})}, options.repeats)
    results = report.runs["encode"]
    beyond = [result["peak_bytes"] - result["output_bytes"] for result in results]
    report.table(
        f"{n_texts:,} distinct texts, {results[0]['tokens'] / n_texts:.1f} tokens each",
        ["", "MB"],
        [
            ["the process before encoding: libraries, model, texts", _mb(results, "before_bytes")],
            ["peak", _mb(results, "peak_bytes")],
            ["output", _mb(results, "output_bytes")],
            ["peak less output", spread([size / 1e6 for size in beyond], 0)],
        ],
    )
    report.note(f"{spread([r['texts_per_second'] for r in results], 0)} texts/s.")
    report.check(
        f"peak less output is at most {_BOUND / 1e6:,.0f} MB: {max(beyond) / 1e6:,.0f} MB",
        max(beyond) <= _BOUND,
    )


def encode(n_texts: int) -> dict[str, Any]:
    """Encode in one call, with the defaults."""
    from sklearn_bert import BertFeaturizer, cache
    from sklearn_bert.datasets import fetch_sst2
    from sklearn_bert.encoder import work

    sentences = fetch_sst2(subset="train").data
    texts = _short_texts(sentences, n_texts)
    featurizer = BertFeaturizer()
    featurizer.transform(sentences[:_WARM_UP_TEXTS])
    cache.clear()
    before_bytes, before = peak_memory(), work.counted()
    start = time.perf_counter()
    output = featurizer.transform(texts)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "texts_per_second": n_texts / seconds,
        "tokens": (work.counted() - before).tokens,
        "before_bytes": before_bytes,
        "output_bytes": output.nbytes,
    }


def _short_texts(sentences: list[str], n_texts: int) -> list[str]:
    """Join pieces of sentences until there are `n_texts` distinct texts, the same every time."""
    draw = random.Random(0)
    words = [split for sentence in sentences if len(split := sentence.split()) >= 6]
    texts: dict[str, None] = {}
    while len(texts) < n_texts:
        pieces = []
        for least in (1, 2):
            sentence = draw.choice(words)
            length = draw.randint(least, 4)
            start = draw.randint(0, len(sentence) - length)
            pieces += sentence[start : start + length]
        texts[" ".join(pieces)] = None
    return list(texts)


def _mb(results: list[dict[str, Any]], key: str) -> str:
    return spread([result[key] / 1e6 for result in results], 0)
