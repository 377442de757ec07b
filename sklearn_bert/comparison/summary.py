"""A comparison as plain text, for a terminal or a log."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from sklearn_bert.comparison.clock import duration
from sklearn_bert.comparison.columns import GAP, HEADINGS, cells_of, columns_for, name_width
from sklearn_bert.comparison.result import Comparison

__all__ = ["summarize"]

# What a file or a pipe has room for.
_UNLIMITED = 10_000


def summarize(comparison: Comparison) -> str:
    """Return the table, what did not run, the recommendation and the code.

    On a terminal, columns and lines are those that it has room for.

    Parameters
    ----------
    comparison : Comparison
        From :func:`~sklearn_bert.compare`.
    """
    width = shutil.get_terminal_size((_UNLIMITED, 0)).columns
    names = list(comparison.table.index)
    by_name = {result.name: result for result in comparison.results}
    shown = columns_for(width, names, comparison.scoring)
    rows = [("candidate", HEADINGS), *((name, cells_of(by_name[name])) for name in names)]
    table = _aligned([[name, *(cells[column] for column in shown)] for name, cells in rows], width)
    n_folds = len(comparison.results[0].folds)
    blocks = [
        f"{len(comparison.y):,} texts, {len(comparison.label_counts)} classes, {n_folds} folds, "
        f"{duration(comparison.seconds)}",
        "\n".join(table),
        "\n".join(
            _wrapped(f"not run: {name}: {reason}", width)
            for name, reason in comparison.not_run.items()
        ),
        _wrapped(comparison.recommendation, width),
        comparison.code,
    ]
    return "\n\n".join(block for block in blocks if block)


def _aligned(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return a line for each row; the end of a name that there is no room for goes below it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    others = sum(GAP + column for column in widths[1:])
    least = name_width([name for name, *_ in rows])
    widths[0] = min(widths[0], max(least, width - others))
    lines = []
    for name, *cells in rows:
        first, *rest = textwrap.wrap(name, widths[0]) or [""]
        right = (cell.rjust(wide) for cell, wide in zip(cells, widths[1:], strict=True))
        lines.append((" " * GAP).join([first.ljust(widths[0]), *right]).rstrip())
        lines += rest
    return lines


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width, break_on_hyphens=False)
