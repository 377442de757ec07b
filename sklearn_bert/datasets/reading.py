"""Read a table of texts with the csv module."""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO


class Quoted(csv.excel):
    """Comma-separated, with quotes around texts that need them."""


class Unquoted(csv.excel_tab):
    """Tab-separated; a quotation mark is a character like any other."""

    quoting = csv.QUOTE_NONE


def read_table(
    path: Path, columns: Sequence[str] | None, dialect: type[csv.Dialect] = Quoted
) -> list[tuple[str, ...]]:
    """Return the rows of a table in a file, or in the only file of a zip archive.

    Parameters
    ----------
    path : pathlib.Path
        The file, in UTF-8, with or without a byte order mark.
    columns : sequence of str or None
        The columns wanted, as the header names them. None: there is no header, all columns.
    dialect : type of csv.Dialect, default=Quoted
        How the file separates and quotes.

    Returns
    -------
    list of tuple of str
        One tuple a row.
    """
    with _open_text(path) as stream:
        rows = csv.reader(stream, dialect)
        if columns is None:
            return [tuple(row) for row in rows]
        header = next(rows)
        places = [header.index(column) for column in columns]
        return [tuple(row[place] for place in places) for row in rows]


@contextlib.contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    if path.suffix != ".zip":
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
        return
    with zipfile.ZipFile(path) as archive:
        (member,) = archive.namelist()
        with archive.open(member) as raw:
            yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
