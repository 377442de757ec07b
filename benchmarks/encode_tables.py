"""What the benchmark of encoding says of its runs: tables, checks and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.children import Result
from benchmarks.embedded import MAX_LENGTH, auto_precision
from benchmarks.matmul import best_rates
from benchmarks.report import Report, median, spread
from benchmarks.rivals.encoders import REFERENCE

__all__ = [
    "LIMIT",
    "Competitor",
    "add_checks",
    "add_corpus",
    "add_limit",
    "add_notes",
    "name_of_run",
]

LIMIT = "matrix products"
# How many times the reference's texts a second ours have to reach, with all at its default.
_LEAST_RATIO = {"sst2": 2.2, "emotion": 2.0, "imdb": 2.0, "mixed": 2.0}
# Of what a processor gives that computes bfloat16 natively.
_LEAST_SHARE = {"imdb": 0.75}
# Of ours to the reference's, for each text.
_LEAST_COSINE = 0.999


@dataclass(frozen=True)
class Competitor:
    """A row of the table.

    Attributes
    ----------
    name : str
        What it is called.
    precision : str
        What it computes in.
    warm : bool
        Whether it is the second pass of another one.
    """

    name: str
    precision: str
    warm: bool = False


def name_of_run(corpus: str, competitor: str) -> str:
    """Return the key of its results in `report.runs`."""
    return f"{corpus}: {competitor}"


def add_corpus(
    report: Report,
    corpus: str,
    texts: Result,
    competitors: Sequence[Competitor],
    cosines: dict[str, np.ndarray],
) -> None:
    """Add the table of one corpus, and what its texts are.

    The operations of the texts are given to each result as ``"gflop"``, those of attention's
    products as ``"attention_gflop"``.
    """
    reference = median(report.runs[name_of_run(corpus, REFERENCE)], "texts_per_second")
    limits = best_rates(report.runs[LIMIT])
    rows = []
    for competitor in competitors:
        results = report.runs[name_of_run(corpus, competitor.name)]
        rate = median(results, "texts_per_second")
        row = [
            competitor.name,
            f"{results[0]['texts']:,}",
            spread([result["texts_per_second"] for result in results]),
            f"{rate / reference:.2f}",
        ]
        if competitor.warm:
            row += [""] * 5
        else:
            _add_operations(results, texts)
            gflops = median(results, "gflops")
            row += [
                f"{gflops:.0f}",
                _share(gflops, limits, f"{competitor.precision} torch.matmul"),
                _share(gflops, limits, f"{competitor.precision} oneDNN"),
                f"{results[0]['padded_tokens'] / results[0]['tokens']:.3f}",
                f"{median(results, 'peak_bytes') / 1e6:,.0f}",
            ]
        cosine = cosines[competitor.name]
        rows.append([*row, f"{cosine.mean():.5f}", f"{cosine.min():.5f}"])
    columns = ["", "texts", "texts/s", "ratio", "GFLOP/s", "of torch.matmul", "of oneDNN"]
    columns += ["padded/tokens", "peak MB", "cosine", "least"]
    report.table(f"{corpus}: median of {len(results)} [least..most]", columns, rows)
    for competitor in competitors:
        if competitor.warm:
            runs = report.runs[name_of_run(corpus, competitor.name)]
            again = sum(result["encoded"] for result in runs)
            report.check(f"{corpus}: {competitor.name}: {again} texts encoded again", again == 0)
    least = min(cosines[c.name].min() for c in competitors if c.name.startswith("ours"))
    report.check(
        f"{corpus}: a cosine of at least {_LEAST_COSINE} between each vector of ours and that of "
        f"{REFERENCE}: {least:.5f}",
        least >= _LEAST_COSINE,
    )
    linear, attention = texts["flop"]["1"]
    report.note(
        f"{corpus}: {texts['texts']:,} distinct texts{_made(texts['made'])}, "
        f"{texts['tokens'] / texts['texts']:.1f} tokens each, {texts['longest']} at most; "
        f"{(linear + attention) / texts['tokens'] / 1e6:.1f} MFLOP a token in matrix products, "
        f"{attention / (linear + attention):.0%} of them attention's."
    )


def add_checks(report: Report, corpus: str, precision: str) -> None:
    """Check what ours has to reach at the precision that it takes by itself."""
    name = name_of_run(corpus, f"ours {precision}, cold store")
    if name not in report.runs:
        return
    ours = report.runs[name]
    reference = report.runs[name_of_run(corpus, REFERENCE)]
    ratio = median(ours, "texts_per_second") / median(reference, "texts_per_second")
    report.check(
        f"{corpus}: at least {_LEAST_RATIO[corpus]} times the texts a second of {REFERENCE}: "
        f"{ratio:.2f}",
        ratio >= _LEAST_RATIO[corpus],
    )
    if precision != "bfloat16" or corpus not in _LEAST_SHARE:
        return
    limit = best_rates(report.runs[LIMIT])[f"{precision} torch.matmul"]["gflops"]
    share = median(ours, "gflops") / limit
    linear = share * (1 - ours[0]["attention_gflop"] / ours[0]["gflop"])
    report.check(
        f"{corpus}: at least {_LEAST_SHARE[corpus]:.0%} of the {precision} limit: {share:.1%} "
        f"({linear:.1%} without attention's products)",
        share >= _LEAST_SHARE[corpus],
    )


def add_limit(report: Report) -> None:
    """Add the table of matrix products."""
    rounds = report.runs[LIMIT]
    rates = rounds[0]["rates"]
    report.table(
        "The machine's limit: matrix products, GFLOP/s (the best of each column counts)",
        ["tokens x in x out", *rates],
        [
            [
                shape,
                *(f"{median([r['rates'][way] for r in rounds], shape):.0f}" for way in rates),
            ]
            for shape in next(iter(rates.values()))
        ],
    )


def add_notes(report: Report, precisions: Sequence[str]) -> None:
    """Say how to read the tables."""
    report.note(
        "Ratio: of median texts/s. GFLOP/s: of the matrix products that the texts cannot do "
        "without; padding is not counted as work. Share: of the best matrix product at that "
        "precision, measured meanwhile. Cosine: to the vectors of sentence-transformers, mean "
        "and least over all texts. Peak: of the whole process."
    )
    report.note(
        "Cold store: empty at first, and the pass keeps each layer's vectors, as by default. "
        "Warm store: the same texts once more in the same process. All cut texts at "
        f"{MAX_LENGTH} tokens, where sentence-transformers does for this model. Slow tools get "
        "every k-th text, so few that they end; their rates are of those. "
        f"Threads: {report.runs[LIMIT][0]['threads']}."
    )
    if "bfloat16" not in precisions and auto_precision() != "bfloat16":
        report.note("bfloat16 was left out: this processor does not compute it natively.")


def _add_operations(results: Sequence[Result], texts: Result) -> None:
    step = -(-texts["texts"] // results[0]["texts"])
    linear, attention = texts["flop"][str(step)]
    for result in results:
        result["gflop"] = (linear + attention) / 1e9
        result["attention_gflop"] = attention / 1e9
        result["gflops"] = result["gflop"] / result["seconds"]


def _share(gflops: float, limits: dict[str, Result], way: str) -> str:
    return f"{gflops / limits[way]['gflops']:.0%}" if way in limits else ""


def _made(n_made: int) -> str:
    if not n_made:
        return ""
    return f" ({n_made:,} of them made of halves of two others, as the corpus has no more)"
