"""What is shown while candidates run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TextIO

from sklearn_bert.comparison.columns import HEADINGS, cells_of, columns_for
from sklearn_bert.comparison.running import METRICS, CandidateResult

__all__ = ["Lines", "LiveTable", "Silence", "watcher"]


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
    """A table that fills as candidates run, and goes when all is done.

    Where a result is missing yet, the column that decides says how far the candidate is.

    Parameters
    ----------
    stream : file
        A terminal. On a narrow one some columns are left out.
    scoring : str, default="f1_macro"
        What decides.
    """

    def __init__(self, stream: TextIO, scoring: str = "f1_macro") -> None:
        from rich.console import Console
        from rich.live import Live

        self._decides = METRICS.index(scoring)
        self._scoring = scoring
        self._rows: dict[str, list[str]] = {}
        self._n_folds = 0
        self._note = ""
        self._console = Console(file=stream)
        self._live = Live(console=self._console, get_renderable=self._table, transient=True)

    def __enter__(self) -> Any:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._note = ""
        self._live.stop()

    def begin(self, names: Sequence[str], n_folds: int) -> None:
        """Show all candidates, waiting."""
        self._n_folds = n_folds
        self._rows = {name: self._state("waiting") for name in names}

    def fold(self, name: str, done: int) -> None:
        """Show the folds that are done."""
        self._rows[name] = self._state(f"fold {min(done + 1, self._n_folds)} of {self._n_folds}")
        self._live.refresh()

    def done(self, result: CandidateResult) -> None:
        """Show what came of a candidate."""
        self._rows[result.name] = cells_of(result)
        self._live.refresh()

    def not_run(self, name: str, reason: str) -> None:
        """Show that a candidate did not run to its end."""
        self._rows[name] = self._state("not run")
        self._live.refresh()

    def note(self, text: str) -> None:
        """Show a line below the table."""
        self._note = text
        self._live.refresh()

    def _state(self, text: str) -> list[str]:
        """Return cells that say how far a candidate is."""
        return [text if column == self._decides else "" for column in range(len(HEADINGS))]

    def _table(self) -> Any:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        shown = columns_for(self._console.width, list(self._rows), self._scoring)
        table = Table(
            box=SIMPLE_HEAD,
            padding=(0, 1),
            pad_edge=False,
            caption=Text(self._note),
            caption_justify="left",
        )
        table.add_column("candidate")
        for column in shown:
            table.add_column(HEADINGS[column], justify="right", no_wrap=True)
        for name, cells in self._rows.items():
            # As Text, so that brackets in names are no markup.
            table.add_row(Text(name), *(Text(cells[column]) for column in shown))
        return table


def watcher(verbose: int, stream: TextIO | None = None, scoring: str = "f1_macro") -> Silence:
    """Return what shows the progress.

    Parameters
    ----------
    verbose : int
        0 shows nothing.
    stream : file, default=None
        Where to; None is standard error.
    scoring : str, default="f1_macro"
        What decides.
    """
    stream = sys.stderr if stream is None else stream
    if not verbose:
        return Silence()
    if stream.isatty():
        try:
            return LiveTable(stream, scoring)
        except ImportError:
            pass
    return Lines(stream)
