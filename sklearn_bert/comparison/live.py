"""What is shown while candidates run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TextIO

from sklearn_bert.comparison.clock import duration
from sklearn_bert.comparison.running import METRICS, CandidateResult

__all__ = ["HEADINGS", "Lines", "LiveTable", "Silence", "cells_of", "size_of", "watcher"]

HEADINGS = ("precision", "recall", "F1", "accuracy", "fit", "predict 1,000", "size", "encoded")


class Silence:
    """Shows nothing; what the others do is said here.

    Used as a context manager around the whole comparison.
    """

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave what was shown last."""

    def begin(self, names: Sequence[str], n_folds: int) -> None:
        """Say what will be tried."""

    def fold(self, name: str, done: int) -> None:
        """Say how many folds of a candidate are done, 0 as it begins."""

    def done(self, result: CandidateResult) -> None:
        """Say what came of a candidate."""

    def not_run(self, name: str, reason: str) -> None:
        """Say that a candidate did not run to its end."""

    def note(self, text: str) -> None:
        """Say what happens outside of candidates."""


class Lines(Silence):
    """Writes a line for each candidate.

    Parameters
    ----------
    stream : file
        Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._n_folds = 0

    def begin(self, names: Sequence[str], n_folds: int) -> None:
        """Say what will be tried."""
        self._n_folds = n_folds
        self.note(f"{len(names)} candidates, {n_folds} folds each")

    def fold(self, name: str, done: int) -> None:
        """Say that a candidate begins."""
        if done == 0:
            self.note(f"{name} ...")

    def done(self, result: CandidateResult) -> None:
        """Say what came of a candidate."""
        cells = zip(HEADINGS, cells_of(result), strict=True)
        self.note(f"{result.name}: " + ", ".join(f"{heading} {cell}" for heading, cell in cells))

    def not_run(self, name: str, reason: str) -> None:
        """Say that a candidate did not run to its end."""
        self.note(f"{name}: not run, {reason}")

    def note(self, text: str) -> None:
        """Write a line."""
        print(text, file=self.stream, flush=True)


class LiveTable(Silence):
    """A table that fills as candidates run.

    Parameters
    ----------
    stream : file
        A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._rows: dict[str, tuple[str, ...]] = {}
        self._n_folds = 0
        self._note = ""
        self._live = Live(console=Console(file=stream), get_renderable=self._table)

    def __enter__(self) -> Any:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._note = ""
        self._live.stop()

    def begin(self, names: Sequence[str], n_folds: int) -> None:
        """Show all candidates, waiting."""
        self._n_folds = n_folds
        self._rows = {name: ("waiting",) for name in names}

    def fold(self, name: str, done: int) -> None:
        """Show the folds that are done."""
        self._rows[name] = (f"fold {min(done + 1, self._n_folds)} of {self._n_folds}",)
        self._live.refresh()

    def done(self, result: CandidateResult) -> None:
        """Show what came of a candidate."""
        self._rows[result.name] = ("done", *cells_of(result))
        self._live.refresh()

    def not_run(self, name: str, reason: str) -> None:
        """Show that a candidate did not run to its end."""
        self._rows[name] = ("not run",)
        self._live.refresh()

    def note(self, text: str) -> None:
        """Show a line below the table."""
        self._note = text
        self._live.refresh()

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(caption=Text(self._note), caption_justify="left")
        table.add_column("candidate")
        table.add_column("")
        for heading in HEADINGS:
            table.add_column(heading, justify="right")
        for name, cells in self._rows.items():
            # As Text, so that brackets in names are no markup.
            table.add_row(*(Text(cell) for cell in (name, *cells)))
        return table


def cells_of(result: CandidateResult) -> list[str]:
    """Return what the columns say of a result."""
    scores = [f"{values.mean():.3f} ± {values.std():.3f}" for values in map(result.values, METRICS)]
    return [
        *scores,
        duration(result.fit_time),
        duration(result.predict_time),
        size_of(result.pickle_bytes),
        f"{result.texts_encoded:,}",
    ]


def size_of(n_bytes: float) -> str:
    """Return bytes as a reader says them.

    Examples
    --------
    >>> from sklearn_bert.comparison.live import size_of
    >>> [size_of(n_bytes) for n_bytes in (512, 20_480, 91_000_000)]
    ['512 B', '20.5 kB', '91.0 MB']
    """
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"


def watcher(verbose: int, stream: TextIO | None = None) -> Silence:
    """Return what shows the progress.

    Parameters
    ----------
    verbose : int
        0 shows nothing.
    stream : file, default=None
        Where to; None is standard error.
    """
    stream = sys.stderr if stream is None else stream
    if not verbose:
        return Silence()
    if stream.isatty():
        try:
            return LiveTable(stream)
        except ImportError:
            pass
    return Lines(stream)
