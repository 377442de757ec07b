"""A comparison as plain text, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn_bert.comparison.clock import duration
from sklearn_bert.comparison.live import HEADINGS, cells_of
from sklearn_bert.comparison.result import Comparison

__all__ = ["summarize"]


def summarize(comparison: Comparison) -> str:
    """Return the table, what did not run, the recommendation and the code.

    Parameters
    ----------
    comparison : Comparison
        From :func:`~sklearn_bert.compare`.
    """
    by_name = {result.name: result for result in comparison.results}
    rows = [[name, *cells_of(by_name[name])] for name in comparison.table.index]
    n_folds = len(comparison.results[0].folds)
    blocks = [
        f"{len(comparison.y):,} texts, {len(comparison.label_counts)} classes, {n_folds} folds, "
        f"{duration(comparison.seconds)}",
        "\n".join(_aligned([["candidate", *HEADINGS], *rows])),
        "\n".join(f"not run: {name}: {reason}" for name, reason in comparison.not_run.items()),
        comparison.recommendation,
        comparison.code,
    ]
    return "\n\n".join(block for block in blocks if block)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
