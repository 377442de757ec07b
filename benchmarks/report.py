"""What a benchmark found: tables, checks and raw results, as text and as JSON."""

from __future__ import annotations

import contextlib
import json
import shlex
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, thread_settings, versions

__all__ = [
    "COMMANDS_JOINED_BY",
    "Report",
    "deviation",
    "earlier_results",
    "in_one_step",
    "in_short",
    "mean_and_deviation",
    "median",
    "spread",
]

# Stands between the commands that added to one file.
COMMANDS_JOINED_BY = "; "


@dataclass(frozen=True)
class Table:
    """Rows of text under a title."""

    title: str
    columns: list[str]
    rows: list[list[str]]

    def as_text(self) -> str:
        """Align the columns: the first to the left, numbers to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        first, *others = widths
        aligned = [
            "  ".join([line[0].ljust(first), *map(str.rjust, line[1:], others)]) for line in lines
        ]
        return "\n".join([self.title, aligned[0], "  ".join("-" * w for w in widths), *aligned[1:]])


@dataclass
class Report:
    """Collects what one benchmark found.

    Attributes
    ----------
    name, summary : str
        The benchmark.
    settings : dict
        Its options.
    runs : dict of str to list of dict
        What each job returned in each round, for plots and later questions.
    """

    name: str
    summary: str
    settings: dict[str, Any]
    command: str = field(default_factory=lambda: _command())
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    machine: dict[str, Any] = field(default_factory=machine)
    versions: dict[str, str] = field(default_factory=versions)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checks: list[tuple[str, bool]] = field(default_factory=list)
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table."""
        self.tables.append(Table(title, list(columns), [list(row) for row in rows]))

    def note(self, text: str) -> None:
        """Add a sentence on how to read the tables."""
        self.notes.append(text)

    def check(self, claim: str, holds: bool) -> None:
        """Add a claim that has to hold; if one does not, the run fails."""
        self.checks.append((claim, bool(holds)))

    @property
    def holds(self) -> bool:
        """Whether all checks hold."""
        return all(holds for _, holds in self.checks)

    def as_text(self) -> str:
        """Return all but the raw results, to be read on a terminal."""
        head = [
            f"{self.name}: {self.summary}",
            "  {}{}    {}".format(*in_short(self.command), self.date),
            "  " + ", ".join(f"{key} {value}" for key, value in self.machine.items()),
            "  " + ", ".join(f"{key} {value}" for key, value in self.versions.items()),
        ]
        blocks = ["\n".join(head), *(table.as_text() for table in self.tables)]
        if self.notes:
            blocks.append("\n".join(self.notes))
        if self.checks:
            blocks.append(
                "\n".join(
                    f"[{'ok' if holds else 'FAILED'}] {claim}" for claim, holds in self.checks
                )
            )
        return "\n\n".join(blocks)

    def as_json(self) -> str:
        """Return everything, for machines."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, default=str) + "\n"

    def write(self, file: Path) -> None:
        """Write everything in one step: a file cut short would lose what was there before."""
        with in_one_step(file) as part:
            part.write_text(self.as_json(), encoding="utf-8")


@contextlib.contextmanager
def in_one_step(file: Path) -> Iterator[Path]:
    """Give the name to write under: that file takes the place of `file` once it is whole."""
    part = file.with_name(f"{file.name}.new")
    yield part
    part.replace(file)


def earlier_results(file: Path, name: str, quick: bool) -> dict[str, Any] | None:
    """Return what a file has that a run is about to write, or None if there is no such file.

    Raises
    ------
    SystemExit
        If it is not what this benchmark wrote, in the same form: hours of work may be in it.
    """
    if not file.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        theirs = found["name"], found["settings"]["quick"]
    except (ValueError, KeyError, TypeError):
        theirs = None
    if theirs != (name, quick):
        has = "no results of a benchmark" if theirs is None else f"results of {_form(*theirs)}"
        raise SystemExit(
            f"{file} has {has}; those of {_form(name, quick)} would take their place. Remove it, "
            f"or name another file."
        )
    return found


def _form(name: str, quick: bool) -> str:
    return f"{name} --quick" if quick else name


def in_short(command: str) -> tuple[str, str]:
    """Return the first of the commands that results come from, and how many there are besides."""
    first, *more = command.split(COMMANDS_JOINED_BY)
    return first, f" and {len(more)} more, which the file of results lists" if more else ""


def _command() -> str:
    """Return what was typed, with the thread settings that it was typed under."""
    threads = [f"{name}={value}" for name, value in thread_settings().items()]
    return " ".join([*threads, "python -m benchmarks", shlex.join(sys.argv[1:])])


def median(results: Sequence[dict[str, Any]], key: str) -> float:
    """Return the median of one number over the rounds."""
    return statistics.median(result[key] for result in results)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return "median [least..most]"."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} [{least:.{digits}f}..{most:.{digits}f}]"


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of what the values are a sample of; of a single one, 0."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def mean_and_deviation(values: Sequence[float], digits: int = 4) -> str:
    """Return "mean ± standard deviation"."""
    return f"{statistics.mean(values):.{digits}f} ± {deviation(values):.{digits}f}"
